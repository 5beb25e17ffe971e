/**
 * Report: what the demo has measured, as text for the terminal.
 *
 * @module
 */

import process from "node:process";
import { styleText } from "node:util";
import type { Runtime } from "./replica_process.ts";

/** What the demo has measured of one replica. */
export interface Score {
  readonly runtime: Runtime;
  writes: number;
  /** From publish to eviction, in milliseconds, one for each entry that it dropped. */
  readonly latencies: number[];
  reads: number;
  /** Reads, after the bound, that gave an old value. */
  stale: number;
}

type Style = Parameters<typeof styleText>[0];

const STYLES: Readonly<Record<Runtime, Style>> = { node: "green", deno: "cyan", bun: "yellow" };

// Asked of the stream, so that a pipe, NO_COLOR and a terminal without colours all get plain text.
const HAS_COLOURS = process.stdout.isTTY && process.stdout.hasColors();

/** A text in a style, plain where the output is no terminal. */
export function styled(style: Style, text: string): string {
  return HAS_COLOURS ? styleText(style, text) : text;
}

/** The name of a runtime in its colour, as wide as the longest. */
export function named(runtime: Runtime): string {
  return styled(STYLES[runtime], runtime.padEnd(4));
}

/** A duration in milliseconds. */
export function milliseconds(duration: number): string {
  return `${duration.toFixed(2)} ms`;
}

/** The summary: a line for each replica, and one for all. */
export function table(scores: readonly Score[]): string {
  const all = scores.flatMap((score) => score.latencies);
  const sum = (of: (score: Score) => number) => scores.reduce((total, score) => total + of(score), 0);
  const total = [sum((score) => score.writes), all.length, ...spread(all), sum((s) => s.reads), sum((s) => s.stale)];
  const head = ["writes", "evictions", "p50 ms", "max ms", "reads", "stale reads"];
  const row = (cells: ReadonlyArray<string | number>) => cells.map((cell) => String(cell).padStart(13)).join("");
  return [
    styled("bold", `replica ${row(head)}`),
    ...scores.map((score) => {
      const { runtime, writes, latencies, reads, stale } = score;
      return `${named(runtime)}    ${row([writes, latencies.length, ...spread(latencies), reads, stale])}`;
    }),
    styled("bold", `all     ${row(total)}`),
  ].join("\n");
}

/** Median (the lower one of two) and maximum. */
function spread(values: readonly number[]): [median: string, max: string] {
  const sorted = [...values].sort((a, b) => a - b);
  const text = (value: number | undefined) => value === undefined ? "–" : value.toFixed(2);
  return [text(sorted[Math.ceil(sorted.length / 2) - 1]), text(sorted.at(-1))];
}
