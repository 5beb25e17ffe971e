/**
 * Test counts: how many tests passed, failed and were skipped, read from the output of each runtime's runner.
 *
 * @module
 */

import { readFileSync } from "node:fs";

/** The number of tests that a runner reports. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Reads the closing lines of Node's test runner (`ℹ pass 13`) or of Bun's (` 13 pass`). */
export function countsFromOutput(output: string): TestCounts {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[\d;]*m/g, "");
  return {
    passed: sum(plain, /^ℹ pass (\d+)$|^ *(\d+) pass$/gm),
    failed: sum(plain, /^ℹ (?:fail|cancelled) (\d+)$|^ *(\d+) (?:fail|errors?)$/gm),
    skipped: sum(plain, /^ℹ (?:skipped|todo) (\d+)$|^ *(\d+) (?:skip|todo)$/gm),
  };
}

const BROKE_OFF = /<failure message="(?!\d+ test steps? failed)/;

/**
 * Counts the test cases in a report that `deno test --junit-path` wrote. Deno's closing line counts a top-level
 * `describe` as one test; this leaves the groups out, so that the figures of all runtimes can be compared.
 */
export function countsFromJunit(path: string): TestCounts {
  const cases = [...readFileSync(path, "utf8").matchAll(/<testcase name="([^"]*)".*?<\/testcase>/gs)];
  const groups = new Set(cases.flatMap(([, name = ""]) => prefixes(name)));
  // A group with a failure of its own is one that broke off: its tests have no results.
  const tests = cases
    .filter(([text, name = ""]) => !groups.has(name) || BROKE_OFF.test(text))
    .map(([text]) => text);
  const failed = tests.filter((text) => text.includes("<failure")).length;
  const skipped = tests.filter((text) => text.includes("<skipped/>")).length;
  return { passed: tests.length - failed - skipped, failed, skipped };
}

function prefixes(name: string): string[] {
  const parts = name.split(" &gt; ");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join(" &gt; "));
}

function sum(text: string, pattern: RegExp): number {
  let total = 0;
  for (const [, first, second] of text.matchAll(pattern)) total += Number(first ?? second);
  return total;
}
