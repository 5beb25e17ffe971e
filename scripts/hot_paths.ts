/**
 * Compares what the hot paths allocate and execute with the counts in `bench/hot_paths.json`, by major version of Node.
 *
 *     node --import tsx scripts/hot_paths.ts             what has grown, by this Node
 *     node --import tsx scripts/hot_paths.ts --update    that is how it is to be
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { HotPathCounts } from "./hot_paths_child.ts";
import { ROOT } from "./runtimes.ts";

const BASELINE = join(ROOT, "bench", "hot_paths.json");
/** Allowed growth: for an object that is a word larger, or another version of Node. */
const GROWTH = 1.1;
/** The engine's own work per operation. */
const NOISE = { bytes: 8, blocks: 0.2 } as const;

/** Counts by the name of the path. */
export type Counts = Readonly<Record<string, HotPathCounts>>;

// Young objects stay in place until all is counted, and nothing is compiled, so the counts are of the source.
const ENGINE = [
  "--expose-gc",
  "--no-opt",
  "--no-sparkplug",
  "--no-maglev",
  "--single-threaded",
  "--min-semi-space-size=128",
  "--max-semi-space-size=256",
];

/** Counts with this Node: the lower counts of two processes, as the TypeScript loader fills its cache in the first. */
export function countHotPaths(): Counts {
  const child = fileURLToPath(new URL("./hot_paths_child.ts", import.meta.url));
  const args = [...ENGINE, "--import", "tsx", child];
  const count = (): Counts =>
    JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, encoding: "utf8", timeout: 120_000 }));
  const [first, second] = [count(), count()];
  const lower = ([name, { bytes, blocks }]: [string, HotPathCounts]) => {
    const other = first[name] ?? { bytes, blocks };
    return [name, { bytes: Math.min(bytes, other.bytes), blocks: Math.min(blocks, other.blocks) }];
  };
  return Object.fromEntries(Object.entries(second).map(lower));
}

/** The counts for this Node, or for the newest before it. */
export function baselineOf(major: number): Counts {
  const all: Readonly<Record<string, Counts>> = JSON.parse(readFileSync(BASELINE, "utf8"));
  const known = Object.keys(all).map(Number).filter((each) => each <= major).sort((a, b) => b - a)[0];
  if (known === undefined) throw new Error(`There are no counts of Node ${major}`);
  return all[String(known)] as Counts;
}

/** A line for each count that is too high. */
export function grown(counts: Counts, baseline: Counts): string[] {
  const names = [...new Set([...Object.keys(baseline), ...Object.keys(counts)])];
  return names.flatMap((name) => {
    const [is, was] = [counts[name], baseline[name]];
    if (is === undefined || was === undefined) return [`"${name}" is ${is === undefined ? "not counted" : "new"}`];
    return (["bytes", "blocks"] as const)
      .filter((what) => is[what] > GROWTH * was[what] + NOISE[what])
      .map((what) => `"${name}" takes ${is[what].toFixed(1)} ${what}, ${was[what].toFixed(1)} before`);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const major = Number.parseInt(process.versions.node, 10);
  const counts = countHotPaths();
  if (process.argv.includes("--update")) {
    const all = JSON.parse(readFileSync(BASELINE, "utf8"));
    all[major] = counts;
    writeFileSync(
      BASELINE,
      `${JSON.stringify(all, (_, value) => typeof value === "number" ? Math.round(value * 10) / 10 : value, 2)}\n`,
    );
  } else {
    console.table(counts);
    const lines = grown(counts, baselineOf(major));
    for (const line of lines) console.log(line);
    process.exitCode = lines.length === 0 ? 0 : 1;
  }
}
