/** How many lines of what one run says of its failures are repeated. */
const MOST_LINES = 120;

const NODE = /^✖ failing tests:$/m;
const DENO = /^ ERRORS $/m;
const BUN_RESULT = /^\((?:pass|skip|todo|fail)\) /;
const BUN_FILE = /^\S+\.(?:test|deno)\.m?[jt]s:$/;
// What it lists again at the end, when there was more than one file, or how many there were.
const BUN_END = /^\d+ tests (?:skipped|failed):$|^ *\d+ pass$/;

/**
 * What a runner said of the tests that failed: names, errors and where they are; empty when it named none. A run of
 * thousands of tests is read from its end, and often no more than the end is kept.
 */
export function failuresFromOutput(output: string): string {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[\d;]*m/g, "");
  // Node and Deno gather them at the end.
  const gathered = plain.slice(lastIndexOf(plain, NODE) ?? lastIndexOf(plain, DENO) ?? plain.length);
  const lines = (gathered === "" ? fromBun(plain) : gathered.trim().split("\n")).filter((line) => line.trim() !== "");
  const more = lines.length - MOST_LINES;
  return [...lines.slice(0, MOST_LINES), ...(more > 0 ? [`… and ${more} lines more`] : [])].join("\n");
}

function lastIndexOf(text: string, pattern: RegExp): number | undefined {
  return [...text.matchAll(new RegExp(pattern, "gm"))].at(-1)?.index;
}

/** Bun tells an error above the name of its test, among the results of the others. */
function fromBun(text: string): string[] {
  const found: string[] = [];
  let file = "";
  let before: string[] = [];
  for (const line of text.split("\n")) {
    if (BUN_END.test(line)) break;
    if (line.startsWith("(fail) ")) found.push(`${file} ${line}`, ...before);
    if (BUN_FILE.test(line)) file = line;
    if (BUN_FILE.test(line) || BUN_RESULT.test(line)) before = [];
    else before.push(line);
  }
  return found;
}
