/**
 * Runs the tests on this Node, Deno and Bun, one after another.
 *
 *     npm test                          all tests
 *     npm test -- tests/wire            those under a path
 *     npm test -- --only deno,bun       on some of the runtimes: node, deno, bun
 *     npm run test:matrix               on every supported Node too, and on Deno without --unstable-net
 *
 * @module
 */

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
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
  readonly env?: Readonly<Record<string, string>>;
}

/** What the matrix adds to `npm test`: other versions, on which most seeded worlds say nothing new. */
const FEWER = { WARP_MESH_WORLDS: "400" };
/** Nor do the benchmarks, and tests with several hosts or many processes, which start processes on all three runtimes by themselves. */
const ONCE = /\/(?:bench|busy_host|(?:discovery|dns|doctor|interfaces|loss|membership|paths)_hosts)\.test\.ts$/;

// Two and a half times what the slowest takes on two cores.
const RUN_TIMEOUT_MS = 1_800_000;
const JUNIT = join(CACHE, "deno.junit.xml");

const { values, positionals } = parseArgs({
  options: { matrix: { type: "boolean", default: false }, only: { type: "string", default: "node,deno,bun" } },
  allowPositionals: true,
});

mkdirSync(CACHE, { recursive: true });
const summaries: string[] = [];
const failures: string[] = [];
const total = { passed: 0, failed: 0, skipped: 0 };
for (const testRun of testRuns()) {
  // A runner that is given no file looks for some by itself.
  if (!values.only.split(",").includes(testRun.runtime) || testRun.files.length === 0) continue;
  header(testRun.title);
  const start = performance.now();
  const counts = await execute(testRun);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const summary = `${testRun.title.padEnd(28)} ${line(counts)}, ${seconds} s`;
  console.log(`\n${summary}`);
  summaries.push(summary);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
// Again at the end, where it is found among thousands of results.
for (const failure of failures) console.log(failure);
if (summaries.length > 1) {
  header("All runtimes");
  console.log(summaries.join("\n"));
}
console.log(`\n${line(total)}`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

function testRuns(): TestRun[] {
  const tests = chosen(".test.ts");
  // Tests of what only Deno has, such as its leak sanitizers.
  const denoTests = [...tests, ...chosen(".deno.ts")];
  const nodes = values.matrix ? NODE_VERSIONS : [process.versions.node];
  return [
    ...nodes.map((version) => nodeRun(version, tests)),
    denoRun("Deno", ["--unstable-net"], denoTests),
    ...(values.matrix
      ? [{
        ...denoRun("Deno without --unstable-net", [], denoTests.filter((file) => !ONCE.test(file))),
        env: FEWER,
      }]
      : []),
    bunRun(tests),
  ];
}

function nodeRun(version: string, files: readonly string[]): TestRun {
  const types = stripsTypes(version) ? ["--disable-warning=ExperimentalWarning"] : ["--import", "tsx"];
  // One file at a time, as Deno and Bun do it: tests measure time, and two cores are all that a small machine has.
  const runner = ["--test", "--test-reporter=spec", "--test-concurrency=1"];
  return {
    runtime: "node",
    title: `Node ${version}`,
    command: () => nodeBinary(version),
    args: [...types, ...runner],
    ...(version === process.versions.node
      ? { files }
      : { files: files.filter((file) => !ONCE.test(file)), env: FEWER }),
  };
}

function denoRun(title: string, flags: readonly string[], files: readonly string[]): TestRun {
  const args = ["test", "-A", "--no-check", `--junit-path=${JUNIT}`, ...flags];
  return { runtime: "deno", title, command: () => DENO, args, files };
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

/** A run that failed without naming a failed test, or that ran no test at all, counts as one failure. */
async function execute({ runtime, title, command, args, files, env = {} }: TestRun): Promise<TestCounts> {
  rmSync(JUNIT, { force: true });
  const { ok, output } = await run(await command(), [...args, ...files], { cwd: ROOT, env, timeout: RUN_TIMEOUT_MS });
  const counts = runtime === "deno" && existsSync(JUNIT) ? countsFromJunit(JUNIT) : countsFromOutput(output);
  const failed = counts.failed === 0 && (!ok || counts.passed === 0) ? 1 : counts.failed;
  // A run that was ended, or a runner that broke, names nobody: the last that it said.
  const said = failuresFromOutput(runtime, output) || output.trimEnd().split("\n").slice(-20).join("\n");
  if (failed > 0) failures.push(`\n=== Failed on ${title} ===\n${said}`);
  return { ...counts, failed };
}

function line({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}
