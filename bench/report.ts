/**
 * Report: renders a benchmark document as text.
 *
 * @module
 */

import type { BenchDocument, Figures } from "./bench_document.ts";
import type { Figure, Unit } from "./figures.ts";
import type { Outcome } from "./targets.ts";

/** Renders a document as text for a terminal. */
export function report({ machine, quick, versions, servers, figures, targets }: BenchDocument): string {
  const names = Object.keys(versions);
  const beside = Object.entries(servers).map(([name, version]) => `${name} ${version ?? "is not installed"}`);
  return [
    "",
    ...quick ? ["Quick: it shows that it works, and no more.", ""] : [],
    `${machine.processor}, ${machine.cores} cores, ${machine.os}`,
    [...names.map((name) => `${name} ${versions[name]}`), ...beside].join(", "),
    "",
    table(figures, names),
    "",
    "In brackets: the figure by its control",
    "",
    targetLines(figures, targets),
  ].join("\n");
}

/** A table with a column for each runtime: the figure, and in brackets its ratio to its control. */
function table(figures: Figures, runtimes: readonly string[]): string {
  const names = [...new Set(Object.values(figures).map(({ name }) => name))];
  const rows = names.map((name) => {
    const cells = runtimes.map((runtime) => figures[`${runtime}/${name}`]);
    const unit = cells.find((cell) => cell !== undefined)?.unit ?? "bytes";
    return [name, SUFFIX[unit], ...cells.map((cell) => cell === undefined ? "" : text(cell))];
  });
  return aligned([["", "", ...runtimes], ...rows]);
}

/** A line for each target that was measured. */
function targetLines(figures: Figures, targets: readonly Outcome[]): string {
  const rows = targets.flatMap(({ figure, value, met, atMost, atLeast, of }) => {
    const unit = figures[figure]?.unit;
    if (unit === undefined) return [];
    const limit = atMost ?? atLeast ?? 0;
    const beside = of === undefined ? undefined : figures[of];
    const what = beside === undefined ? amount(limit, unit) : `${limit} × ${of}, ${amount(beside.value, unit)}`;
    return [[
      met ? "met" : "MISSED",
      figure,
      `${amount(value, unit)} ${SUFFIX[unit]}`,
      `at ${atMost === undefined ? "least" : "most"} ${what}`,
    ]];
  });
  return aligned(rows);
}

const SUFFIX: Readonly<Record<Unit, string>> = {
  "ns/key": "ns/key",
  "ns/call": "ns/call",
  "ms/Mkey": "ms/million keys",
  "keys/s": "keys/s",
  ms: "ms",
  share: "%",
  bytes: "bytes",
};

function text({ value, unit, ratio, high }: Figure): string {
  // The worst round matters most for a loss.
  if (unit === "share") return high > value ? `${amount(value, unit)} to ${amount(high, unit)}` : amount(value, unit);
  return ratio === undefined ? amount(value, unit) : `${amount(value, unit)} (${ratio.toFixed(2)})`;
}

/** Formats a value without its unit. */
export function amount(value: number, unit: Unit): string {
  switch (unit) {
    case "keys/s":
      return value >= 1e6 ? `${(value / 1e6).toFixed(2)} M` : `${(value / 1e3).toFixed(0)} k`;
    case "share":
      return (100 * value).toFixed(2);
    case "ms":
      return value.toFixed(3);
    case "ms/Mkey":
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
