/**
 * Groups: the programs that measure figures, and the runtimes that they run on.
 *
 * @module
 */

import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { BUN, DENO, ROOT } from "../scripts/runtimes.ts";
import type { Figure } from "./figures.ts";

/** A runtime that figures are measured on. */
export interface Runtime {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** A group of figures that one program measures, `NAME.ts`. */
export interface Group {
  readonly name: string;
  /** The names of the runtimes on which it is measured. */
  readonly on: readonly string[];
  /** Whether all runtimes are measured at the same time: for a group that takes long and hardly any processor time. */
  readonly atOnce?: boolean;
}

export const RUNTIMES: readonly Runtime[] = [
  { name: "node", command: process.execPath, args: process.execArgv },
  { name: "deno", command: DENO, args: ["run", "-A", "--no-check", "--unstable-net"] },
  { name: "bun", command: BUN, args: [] },
];

const EACH = RUNTIMES.map(({ name }) => name);

// The bundle and the datagrams are the same wherever they are made.
export const GROUPS: readonly Group[] = [
  { name: "latency", on: EACH },
  { name: "idle", on: EACH },
  { name: "throughput", on: EACH },
  { name: "awaited", on: EACH },
  { name: "codec", on: EACH },
  { name: "core", on: EACH },
  { name: "cost", on: EACH },
  { name: "memory", on: EACH },
  { name: "open", on: EACH },
  { name: "repair", on: EACH },
  { name: "drop", on: EACH },
  { name: "silent", on: EACH, atOnce: true },
  { name: "extension", on: ["node"] },
  { name: "size", on: ["node"] },
];

// Several times the duration of the longest group.
const GROUP_TIMEOUT_MS = 300_000;

/** Runs a group on a runtime and reads the figures that it prints, one a line. Aborting ends it. */
export function figuresOf(runtime: Runtime, group: Group, quick: boolean, signal: AbortSignal): Promise<Figure[]> {
  const { name, command, args } = runtime;
  const program = join(ROOT, "bench", `${group.name}.ts`);
  const child = spawn(command, [...args, program, ...(quick ? ["--quick"] : [])], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: GROUP_TIMEOUT_MS,
    signal,
  });
  const found: Figure[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => found.push(JSON.parse(line)));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, ended) => {
      if (code === 0) resolve(found);
      else reject(new Error(`${group.name} has failed on ${name}: it ended with ${code ?? ended}`));
    });
  });
}

/** The version of a runtime. */
export function versionOf({ command }: Runtime): string {
  return /\d+\.\d+\.\d+\S*/.exec(execFileSync(command, ["--version"], { encoding: "utf8" }))?.[0] ?? "unknown";
}
