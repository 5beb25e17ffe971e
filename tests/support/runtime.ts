// Runtime commands: shell commands that run a file on the runtime of this test.
import process from "node:process";
import { fileURLToPath } from "node:url";

const DENO_FLAGS = ["-A", "--no-check", ...(hasUnstableNet() ? ["--unstable-net"] : [])];

/** The shell command that runs a TypeScript file of this folder on the runtime that runs this test. */
export function runCommand(url: URL): string {
  return command(process.versions["deno"] === undefined ? process.execArgv : ["run", ...DENO_FLAGS], url);
}

/** The same for a file of tests. */
export function testCommand(url: URL): string {
  if (process.versions["deno"] !== undefined) return command(["test", ...DENO_FLAGS], url);
  return command(process.versions["bun"] !== undefined ? ["test", "--timeout", "60000"] : process.execArgv, url);
}

function command(args: readonly string[], url: URL): string {
  return [process.execPath, ...args, fileURLToPath(url)].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

function hasUnstableNet(): boolean {
  return (globalThis as { Deno?: { listenDatagram?: unknown } }).Deno?.listenDatagram !== undefined;
}
