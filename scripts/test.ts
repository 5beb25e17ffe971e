/**
 * Runs the tests on this Node, Deno and Bun.
 *
 *     npm test                          all on the first, and on the others what the first has not shown for them
 *     npm test -- tests/wire            those under a path
 *     npm test -- --only deno,bun       on some of the runtimes: node, deno, bun
 *     npm run test:full                 the same with all seeded worlds and the longest simulations
 *     npm run test:matrix               that, on every supported Node, and on Deno without --unstable-net too
 *
 * `test_plan.ts` decides which file runs where, and beside which others.
 *
 * @module
 */

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { header, run } from "./run.ts";
import { BUN, CACHE, DENO, filesUnder, NODE_VERSIONS, nodeBinary, ROOT, typeFlags } from "./runtimes.ts";
import { countsFromJunit, countsFromOutput, type TestCounts } from "./test_counts.ts";
import { failuresFromOutput } from "./test_failures.ts";
import { isShownBy, type Kind, kindOf, longestFirst, maySkip } from "./test_plan.ts";

interface TestRun {
  readonly runtime: "node" | "deno" | "bun";
  readonly title: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Test files, as paths from the project's folder. */
  readonly files: readonly string[];
  readonly isFull: boolean;
}

/** A process of a run, with one test file or several. */
interface Job {
  readonly testRun: TestRun;
  readonly files: readonly string[];
}

interface JobResult extends TestCounts {
  readonly job: Job;
  readonly seconds: number;
}

/** For several files at once, as Node's own runner starts a process for each, and Deno's a worker. */
const ENTRY = "scripts/test_entry.ts";

const CORES = availableParallelism();
/** The parts in turn, and how many processes of each run at a time. Each part runs on all runtimes before the next. */
const PARTS: readonly (readonly [readonly Kind[], number])[] = [
  [["unit", "long"], CORES],
  [["live"], Math.min(4, 2 * CORES)],
  [["alone"], 1],
];

// Several times the time of the slowest on two cores.
const JOB_TIMEOUT_MS = 900_000;
const LONGEST = 10;

const { values, positionals } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    matrix: { type: "boolean", default: false },
    only: { type: "string", default: "node,deno,bun" },
  },
  allowPositionals: true,
});

const isFull = values.full || values.matrix || process.env["WARP_MESH_TESTS"] === "full";

mkdirSync(CACHE, { recursive: true });
const start = performance.now();
const failures: string[] = [];
const runs = await testRuns();
const results: JobResult[] = [];
let reports = 0;
for (const [kinds, lanes] of PARTS) {
  // The files that take longest on Deno and Bun come first.
  const inTurn = kinds.includes("live") ? [...runs].reverse() : runs;
  const jobs = kinds.flatMap((kind) => inTurn.flatMap((testRun) => jobsOf(testRun, kind)));
  if (jobs.length === 0) continue;
  header(kinds.join(", "));
  const waiting = jobs.values();
  const workOff = async () => {
    for (const job of waiting) results.push(await execute(job, runs.length === 1 && jobs.length === 1));
  };
  await Promise.all(Array.from({ length: lanes }, workOff));
}

header("What took longest");
for (const { job, seconds } of [...results].sort((a, b) => b.seconds - a.seconds).slice(0, LONGEST)) {
  console.log(`${seconds.toFixed(1).padStart(6)} s  ${nameOf(job)}`);
}
// Repeated at the end, where it is easy to find.
for (const failure of failures) console.log(failure);
header("All runtimes");
for (const testRun of runs) {
  const own = results.filter(({ job }) => job.testRun === testRun);
  const seconds = own.reduce((sum, result) => sum + result.seconds, 0);
  console.log(`${testRun.title.padEnd(28)} ${line(sumOf(own))}, ${seconds.toFixed(1)} s of processes`);
}
const total = sumOf(results);
console.log(`\n${line(total)}, ${((performance.now() - start) / 1000).toFixed(1)} s`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

async function testRuns(): Promise<TestRun[]> {
  const tests = chosen(".test.ts");
  // Tests of features that only Deno has, such as its leak sanitizers.
  const denoTests = [...tests, ...chosen(".deno.ts")];
  const only = values.only.split(",");
  const nodes = values.matrix ? NODE_VERSIONS : [process.versions.node];
  const all: TestRun[] = [];
  if (only.includes("node")) { for (const version of nodes) all.push(await nodeRun(version, tests)); }
  if (only.includes("deno")) {
    all.push(denoRun("Deno", ["--unstable-net"], denoTests));
    if (values.matrix) all.push(denoRun("Deno without --unstable-net", [], denoTests));
  }
  if (only.includes("bun")) all.push(bunRun(tests));
  // A runner without a file looks for some by itself.
  return (positionals.length === 0 ? all.map(shortened) : all).filter(({ files }) => files.length > 0);
}

/** A run without the files whose result the runs before it have shown. */
function shortened(testRun: TestRun, at: number, all: readonly TestRun[]): TestRun {
  const before = all.slice(0, at).map(({ runtime }) => runtime);
  const isFullHere = testRun.isFull && !before.includes(testRun.runtime);
  const files = testRun.files.filter((file) => isShownBy(file, testRun.runtime, isFullHere, before));
  return { ...testRun, files, isFull: isFullHere };
}

async function nodeRun(version: string, files: readonly string[]): Promise<TestRun> {
  const args = [...typeFlags(version), "--test-reporter=spec"];
  return { runtime: "node", title: `Node ${version}`, command: await nodeBinary(version), args, files, isFull };
}

function denoRun(title: string, flags: readonly string[], files: readonly string[]): TestRun {
  const args = ["test", "-A", "--no-check", ...flags];
  return { runtime: "deno", title, command: DENO, args, files, isFull };
}

function bunRun(files: readonly string[]): TestRun {
  return { runtime: "bun", title: "Bun", command: BUN, args: ["test", "--timeout", "120000"], files, isFull };
}

function chosen(ending: string): string[] {
  const all = filesUnder("tests", ending);
  if (positionals.length === 0) return all;
  return all.filter((file) => positionals.some((path) => file.startsWith(path.replace(/^\.\//, ""))));
}

/** The processes of a kind in a run. */
function jobsOf(testRun: TestRun, kind: Kind): Job[] {
  const files = testRun.files.filter((file) => kindOf(file) === kind);
  if (kind === "unit") return files.length === 0 ? [] : [{ testRun, files }];
  return longestFirst(files).map((file) => ({ testRun, files: [file] }));
}

/** A process that failed without naming a failed test, or that ran no test at all, counts as one failure. */
async function execute(job: Job, isShown: boolean): Promise<JobResult> {
  const { testRun: { runtime, title, command, args, isFull }, files } = job;
  const begin = performance.now();
  // Several runners write their output at the same time.
  const report = join(CACHE, `tests_${reports++}.junit.xml`);
  rmSync(report, { force: true });
  const words = runtime === "deno" ? [...args, `--junit-path=${report}`] : args;
  const names = runtime === "bun" || files.length === 1
    // Bun uses a bare name as a filter; a path with a dot is one file.
    ? files.map((file) => `./${file}`)
    : [ENTRY, ...(runtime === "deno" ? ["--"] : []), ...files];
  const env = { WARP_MESH_TESTS: isFull ? "full" : values.matrix ? "version" : "small" };
  const options = { cwd: ROOT, env, timeout: JOB_TIMEOUT_MS, quiet: !isShown };
  const { ok, output } = await run(command, [...words, ...names], options);
  const seconds = (performance.now() - begin) / 1000;
  const counts = existsSync(report) ? countsFromJunit(report) : countsFromOutput(output);
  rmSync(report, { force: true });
  const failed = counts.failed === 0 && (!ok || (counts.passed === 0 && !files.every((file) => maySkip(file, runtime))))
    ? 1
    : counts.failed;
  console.log(`${failed > 0 ? "✖" : "✔"} ${nameOf(job)}: ${line({ ...counts, failed })}, ${seconds.toFixed(1)} s`);
  // A run that was ended, or a runner that broke, names no test: its last lines are repeated.
  const said = failuresFromOutput(runtime, output) || output.trimEnd().split("\n").slice(-20).join("\n");
  if (failed > 0) failures.push(`\n=== Failed on ${title} ===\n${said}`);
  return { ...counts, failed, job, seconds };
}

function nameOf({ testRun: { title }, files }: Job): string {
  return `${title} ${files.length === 1 ? files[0] : `${files.length} files of unit tests`}`;
}

function sumOf(all: readonly TestCounts[]): TestCounts {
  const sum = (name: keyof TestCounts) => all.reduce((total, counts) => total + counts[name], 0);
  return { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
}

function line({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}
