/**
 * Runs the tests on this Node, Deno and Bun, one after another.
 *
 *     npm test                          all on the first, and on the others what the first has not shown for them
 *     npm test -- tests/wire            those under a path
 *     npm test -- --only deno,bun       on some of the runtimes: node, deno, bun
 *     npm run test:matrix               on every supported Node too, and on Deno without --unstable-net
 *
 * @module
 */

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { header, run } from "./run.ts";
import { BUN, CACHE, DENO, filesUnder, NODE_VERSIONS, nodeBinary, ROOT, stripsTypes } from "./runtimes.ts";
import { countsFromJunit, countsFromOutput, type TestCounts } from "./test_counts.ts";
import { failuresFromOutput } from "./test_failures.ts";

interface TestRun {
  readonly runtime: string;
  readonly title: string;
  readonly command: () => string | Promise<string>;
  readonly args: readonly string[];
  /** Test files, from the project's folder. */
  readonly files: readonly string[];
}

/**
 * Simulations of the core, which has no clock but a virtual one: several run at the same time. Other versions of a runtime
 * do without them.
 */
const SIMULATED =
  /\/observability\/diagnosis\/(?:diagnose|false_alarms)\.test\.ts$|\/membership\/departed_peers\.test\.ts$|\/sim\/(?!duplicate_id|everyday_load|suspended)\w+\.test\.ts$/;
/**
 * For the first run alone: the longest of these, the benchmarks, the demo, and tests with several hosts or many processes,
 * which start the runtimes that they need by themselves.
 */
const ONCE =
  /\/hosts\/(?!adapter_contract|host_shapes|hosts|no_multicast)\w+\.test\.ts$|\/(?:runtimes\/(?:busy_host|demo)|scripts\/bench|sim\/(?:churn|mesh_size|pace_links))\.test\.ts$/;
/** For the versions of Node, as what they start is all three runtimes: this Node, and the only Deno and Bun. */
const ON_NODE =
  /\/(?:adapters\/system_clock|hosts\/hosts|runtimes\/(?:mixed_runtimes|process_exit|stopped_process))\.test\.ts$/;

// More than twice what the slowest takes on two cores.
const RUN_TIMEOUT_MS = 1_800_000;

const { values, positionals } = parseArgs({
  options: { matrix: { type: "boolean", default: false }, only: { type: "string", default: "node,deno,bun" } },
  allowPositionals: true,
});

mkdirSync(CACHE, { recursive: true });
const summaries: string[] = [];
const errorReporter: string[] = [];
const results: TestCounts[] = [];
for (const testRun of testRuns()) {
  // A runner that is given no file looks for some by itself.
  if (testRun.files.length === 0) continue;
  header(testRun.title);
  const start = performance.now();
  const counts = await execute(testRun);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const summary = `${testRun.title.padEnd(28)} ${line(counts)}, ${seconds} s`;
  console.log(`\n${summary}`);
  summaries.push(summary);
  results.push(counts);
}
// Again at the end, where it is found among thousands of results.
for (const failure of errorReporter) console.log(failure);
if (summaries.length > 1) {
  header("All runtimes");
  console.log(summaries.join("\n"));
}
const total = sumOf(results);
console.log(`\n${line(total)}`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

function testRuns(): TestRun[] {
  const tests = chosen(".test.ts");
  // Tests of what only Deno has, such as its leak sanitizers.
  const denoTests = [...tests, ...chosen(".deno.ts")];
  const nodes = values.matrix ? NODE_VERSIONS : [process.versions.node];
  const runs = [
    ...nodes.map((version) => nodeRun(version, tests)),
    denoRun("Deno", ["--unstable-net"], denoTests),
    ...(values.matrix ? [denoRun("Deno without --unstable-net", [], denoTests)] : []),
    bunRun(tests),
  ].filter(({ runtime }) => values.only.split(",").includes(runtime));
  return positionals.length === 0 ? runs.map(shortened) : runs;
}

/** A run without what those before it have shown. */
function shortened(testRun: TestRun, at: number, runs: readonly TestRun[]): TestRun {
  if (at === 0) return testRun;
  const before = runs.slice(0, at).map(({ runtime }) => runtime);
  const isVersion = before.includes(testRun.runtime);
  const isOther = before.includes("node") && testRun.runtime !== "node";
  const files = testRun.files.filter((file) =>
    !ONCE.test(file) && !(isVersion && SIMULATED.test(file)) && !(isOther && ON_NODE.test(file))
  );
  return { ...testRun, files };
}

function nodeRun(version: string, files: readonly string[]): TestRun {
  const types = stripsTypes(version) ? ["--disable-warning=ExperimentalWarning"] : ["--import", "tsx"];
  // One file at a time, as Deno and Bun do it: tests measure time, and two cores are all that a small machine has.
  const args = [...types, "--test", "--test-reporter=spec", "--test-concurrency=1"];
  return { runtime: "node", title: `Node ${version}`, command: () => nodeBinary(version), args, files };
}

function denoRun(title: string, flags: readonly string[], files: readonly string[]): TestRun {
  return { runtime: "deno", title, command: () => DENO, args: ["test", "-A", "--no-check", ...flags], files };
}

function bunRun(tests: readonly string[]): TestRun {
  // Bun takes a bare name for a filter; a path with a dot is one file.
  const files = tests.map((file) => `./${file}`);
  return { runtime: "bun", title: "Bun", command: () => BUN, args: ["test", "--timeout", "120000"], files };
}

function chosen(ending: string): string[] {
  const all = filesUnder("tests", ending);
  if (positionals.length === 0) return all;
  return all.filter((file) => positionals.some((path) => file.startsWith(path.replace(/^\.\//, ""))));
}

/** The simulations side by side, then all others in one process, with the machine to themselves. */
async function execute(testRun: TestRun): Promise<TestCounts> {
  const simulated = testRun.files.filter((file) => SIMULATED.test(file));
  const others = testRun.files.filter((file) => !SIMULATED.test(file));
  const command = await testRun.command();
  const all: TestCounts[] = [];
  // The longest, `storm` and `pace_links`, come late by name, and must not be alone at the end.
  const waiting = simulated.reverse().values();
  const workOff = async () => {
    for (const file of waiting) all.push(await executeSome(testRun, command, [file]));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, workOff));
  if (others.length > 0) all.push(await executeSome(testRun, command, others));
  return sumOf(all);
}

/** A process that failed without naming a failed test, or that ran no test at all, counts as one failure. */
async function executeSome(testRun: TestRun, command: string, files: readonly string[]): Promise<TestCounts> {
  const { runtime, title, args } = testRun;
  // What others print at the same time is kept apart.
  const quiet = files.some((file) => SIMULATED.test(file));
  // No two have a file in common.
  const report = join(CACHE, `${basename(files[0] ?? "")}.junit.xml`);
  rmSync(report, { force: true });
  const words = runtime === "deno" ? [...args, `--junit-path=${report}`] : args;
  const { ok, output } = await run(command, [...words, ...files], { cwd: ROOT, timeout: RUN_TIMEOUT_MS, quiet });
  if (quiet && ok) console.log(output.trimEnd());
  const counts = existsSync(report) ? countsFromJunit(report) : countsFromOutput(output);
  const failed = counts.failed === 0 && (!ok || counts.passed === 0) ? 1 : counts.failed;
  // A run that was ended, or a runner that broke, names nobody: the last that it said.
  const said = failuresFromOutput(runtime, output) || output.trimEnd().split("\n").slice(-20).join("\n");
  if (failed > 0) errorReporter.push(`\n=== Failed on ${title} ===\n${said}`);
  return { ...counts, failed };
}

function sumOf(all: readonly TestCounts[]): TestCounts {
  const sum = (name: keyof TestCounts) => all.reduce((total, counts) => total + counts[name], 0);
  return { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
}

function line({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}
