/**
 * Test failures: what a runner's output says of the tests that failed.
 *
 * @module
 */

/** The number of lines that are repeated of a run's failures. */
const MOST_LINES = 400;

const NODE = /^✖ failing tests:$/gm;
const DENO = /^ ERRORS $/gm;
const BUN_RESULT = /^\((?:pass|skip|todo|fail)\) /;
const BUN_FILE = /^\S+\.(?:test|deno)\.m?[jt]s:$/;
// A file that cannot be loaded, or a hook.
const BUN_OUTSIDE = "# Unhandled error";
// The list at the end, when there was more than one file, or the number of failures.
const BUN_END = /^\d+ tests (?:skipped|failed):$|^ *\d+ pass$/;

/**
 * The output of the runner of `node`, `deno` or `bun` about the tests that failed: names, errors and places; empty when
 * it named none. A run of thousands of tests is read from its end, and often only the end is kept.
 */
export function failuresFromOutput(runtime: string, output: string): string {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[\d;]*m/g, "");
  const said = runtime === "bun" ? fromBun(plain) : gathered(plain, runtime === "deno" ? DENO : NODE);
  const lines = said.filter((line) => line.trim() !== "");
  const more = lines.length - MOST_LINES;
  return [...lines.slice(0, MOST_LINES), ...(more > 0 ? [`… and ${more} lines more`] : [])].join("\n");
}

/** Node and Deno print the failures together at the end. */
function gathered(text: string, heading: RegExp): string[] {
  const last = [...text.matchAll(heading)].at(-1);
  return last === undefined ? [] : text.slice(last.index).trim().split("\n");
}

function isEnd(line: string): boolean {
  return BUN_FILE.test(line) || BUN_RESULT.test(line) || BUN_END.test(line);
}

/** Bun prints an error above the name of its test, among the results of the others. */
function fromBun(text: string): string[] {
  const found: string[] = [];
  let file = "";
  let before: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("(fail) ")) found.push(`${file} ${line}`, ...before);
    else if (isEnd(line) && before.some((text) => text.startsWith(BUN_OUTSIDE))) found.push(file, ...before);
    if (BUN_END.test(line)) break;
    if (BUN_FILE.test(line)) file = line;
    if (isEnd(line)) before = [];
    else before.push(line);
  }
  return found;
}
