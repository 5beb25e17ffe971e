import type { Figure, Unit } from "./figures.ts";
import { isMet, type Target } from "./targets.ts";

/** Figures by `runtime/name`. */
export type Figures = Readonly<Record<string, Figure>>;

/** A table with a column for each runtime: the figure, and in brackets its quotient by its control. */
export function table(figures: Figures, runtimes: readonly string[]): string {
  const names = [...new Set(Object.values(figures).map(({ name }) => name))];
  const rows = names.map((name) => {
    const cells = runtimes.map((runtime) => figures[`${runtime}/${name}`]);
    const unit = cells.find((cell) => cell !== undefined)?.unit ?? "bytes";
    return [name, SUFFIX[unit], ...cells.map((cell) => cell === undefined ? "" : text(cell))];
  });
  return aligned([["", "", ...runtimes], ...rows]);
}

/** A line for each target that was measured. */
export function targetLines(figures: Figures, targets: readonly Target[]): string {
  const rows = targets.flatMap((target) => {
    const found = figures[target.figure];
    if (found === undefined) return [];
    const { atMost, atLeast = 0 } = target;
    const limit = atMost === undefined
      ? `at least ${amount(atLeast, found.unit)}`
      : `at most ${amount(atMost, found.unit)}`;
    return [[
      isMet(target, found) ? "met" : "MISSED",
      target.figure,
      `${amount(found.value, found.unit)} ${SUFFIX[found.unit]}`,
      limit,
    ]];
  });
  return aligned(rows);
}

const SUFFIX: Readonly<Record<Unit, string>> = {
  "ns/key": "ns/key",
  "ns/call": "ns/call",
  "keys/s": "keys/s",
  "datagrams/s": "datagrams/s",
  datagrams: "datagrams",
  ms: "ms",
  share: "%",
  bytes: "bytes",
};

function text({ value, unit, ratio, high }: Figure): string {
  // What matters of a loss is the worst of it.
  if (unit === "share") return high > value ? `${amount(value, unit)} to ${amount(high, unit)}` : amount(value, unit);
  return ratio === undefined ? amount(value, unit) : `${amount(value, unit)} (${ratio.toFixed(2)})`;
}

function amount(value: number, unit: Unit): string {
  switch (unit) {
    case "keys/s":
    case "datagrams/s":
      return value >= 1e6 ? `${(value / 1e6).toFixed(2)} M` : `${(value / 1e3).toFixed(0)} k`;
    case "share":
      return (100 * value).toFixed(2);
    case "ms":
      return value.toFixed(3);
    case "datagrams":
    case "bytes":
      return value.toFixed(0);
    default:
      return value.toFixed(1);
  }
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((known, row) => row.map((cell, i) => Math.max(cell.length, known[i] ?? 0)), []);
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()).join("\n");
}
