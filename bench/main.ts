/**
 * Measures the mesh on this Node, Deno and Bun.
 *
 *     npm run bench                       all parts, about eight minutes
 *     npm run bench -- --quick            the same with few samples, to see that it works
 *     npm run bench -- --json             one JSON document on standard output
 *     npm run bench -- --only node,bun    on some of the runtimes: node, deno, bun
 *     npm run bench -- --part core        some of the parts, which `README.md` lists
 *
 * `README.md` beside this file says what the figures mean.
 *
 * @module
 */

import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { BUN, DENO, ROOT } from "../scripts/runtimes.ts";
import type { Figure } from "./figures.ts";
import { table, targetLines } from "./report.ts";
import { isMet, TARGETS } from "./targets.ts";

interface Runtime {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

const RUNTIMES: readonly Runtime[] = [
  { name: "node", command: process.execPath, args: process.execArgv },
  { name: "deno", command: DENO, args: ["run", "-A", "--no-check", "--unstable-net"] },
  { name: "bun", command: BUN, args: [] },
];

// The bundle and the datagrams are the same wherever they are made.
const PARTS = [
  { name: "codec", on: ["node", "deno", "bun"] },
  { name: "core", on: ["node", "deno", "bun"] },
  { name: "throughput", on: ["node", "deno", "bun"] },
  { name: "fullspeed", on: ["node", "deno", "bun"] },
  { name: "latency", on: ["node", "deno", "bun"] },
  { name: "repair", on: ["node", "deno", "bun"] },
  { name: "drop", on: ["node", "deno", "bun"] },
  { name: "silent", on: ["node", "deno", "bun"] },
  { name: "extension", on: ["node"] },
  { name: "size", on: ["node"] },
] as const;

// Several times what the longest part takes.
const PART_TIMEOUT_MS = 120_000;

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string", default: RUNTIMES.map(({ name }) => name).join() },
    part: { type: "string", default: PARTS.map(({ name }) => name).join() },
  },
});

const loadBefore = loadavg()[0];
const start = performance.now();
const runtimes = RUNTIMES.filter(({ name }) => values.only.split(",").includes(name));
const figures: Record<string, Figure> = {};
for (const runtime of runtimes) {
  for (const { name: part, on } of PARTS) {
    if (!values.part.split(",").includes(part) || !on.some((name) => name === runtime.name)) continue;
    process.stderr.write(`${runtime.name} ${part} …\n`);
    for (const figure of await figuresOf(runtime, part)) figures[`${runtime.name}/${figure.name}`] = figure;
  }
}
const versions = Object.fromEntries(runtimes.map((runtime) => [runtime.name, version(runtime)]));
const machine = {
  os: `${process.platform} ${release()} ${process.arch}`,
  processor: cpus()[0]?.model ?? "unknown",
  cores: availableParallelism(),
  // Others' work shows here: the bench itself keeps about two cores busy while it measures throughput.
  loadBefore,
};

if (values.json) {
  const { name, version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const seconds = (performance.now() - start) / 1000;
  const targets = TARGETS.flatMap((target) => {
    const found = figures[target.figure];
    return found === undefined ? [] : [{ ...target, value: found.value, met: isMet(target, found) }];
  });
  const document = { package: `${name}@${version}`, quick: values.quick, seconds, machine, versions, targets, figures };
  console.log(JSON.stringify(document, null, 2));
} else {
  const names = runtimes.map(({ name }) => name);
  console.log(`\n${machine.processor}, ${machine.cores} cores, ${machine.os}`);
  console.log(`${names.map((name) => `${name} ${versions[name]}`).join(", ")}`);
  console.log(
    `\n${table(figures, names)}\n\nIn brackets: the figure by its control\n\n${targetLines(figures, TARGETS)}`,
  );
}

/** Runs a part on a runtime and reads what it prints, a figure a line. */
function figuresOf({ name, command, args }: Runtime, part: string): Promise<Figure[]> {
  const quick = values.quick ? ["--quick"] : [];
  const child = spawn(command, [...args, join(ROOT, "bench", `${part}.ts`), ...quick], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: PART_TIMEOUT_MS,
  });
  const found: Figure[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => found.push(JSON.parse(line)));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(found);
      else reject(new Error(`${part} has failed on ${name}: it ended with ${code ?? signal}`));
    });
  });
}

function version({ command }: Runtime): string {
  return /\d+\.\d+\.\d+\S*/.exec(execFileSync(command, ["--version"], { encoding: "utf8" }))?.[0] ?? "unknown";
}
