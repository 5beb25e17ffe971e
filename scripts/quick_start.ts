/**
 * Quick start: reads the README's first program, the commands that run it, and its output.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./runtimes.ts";

/** The README's quick start. */
export interface QuickStart {
  /** The name of the file, from the first line of the block. */
  readonly file: string;
  readonly code: string;
  /** The commands that run it, as words: the runtime first. */
  readonly commands: ReadonlyArray<readonly [runtime: string, ...args: string[]]>;
  /** Its output. */
  readonly output: string;
}

const BLOCKS = /^```js\n(\/\/ (\S+)\n[^]*?)^```\n\n```sh\n([^]*?)^```\n\nIt prints:\n\n```text\n([^]*?)^```$/m;

/** Reads the file, the commands and the output from the README. */
export function quickStart(): QuickStart {
  const match = BLOCKS.exec(readFileSync(join(ROOT, "README.md"), "utf8"));
  if (match === null) throw new Error("Cannot find the quick start in README.md");
  const [, code = "", file = "", shell = "", output = ""] = match;
  const commands = shell.trim().split("\n").map((line) => {
    const [runtime = "", ...args] = line.replace(/ +#.*$/, "").split(" ");
    return [runtime, ...args] as const;
  });
  return { file, code, commands, output };
}
