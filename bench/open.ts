/**
 * How long a process takes to import the package, and then to open a mesh with default options: processes of their own, one
 * after the other, in turn with some that import nothing but the runtime's sockets and bind one.
 *
 * @module
 */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { run } from "../scripts/run.ts";
import { CACHE, ROOT, TSC } from "../scripts/runtimes.ts";
import { figure, print, type RetryLoop } from "./figures.ts";
import { plainArgs } from "./peer.ts";

const ROUNDS = process.argv.includes("--quick") ? 2 : 9;
const FOLDER = join(CACHE, "bench", "dist");

// What npm has: JavaScript in as many files as there are of TypeScript.
const node = "Bun" in globalThis || "Deno" in globalThis ? "node" : process.execPath;
const built = await run(node, [TSC, "-p", "tsconfig.build.json", "--outDir", FOLDER], { cwd: ROOT, quiet: true });
if (!built.ok || !existsSync(join(FOLDER, "mod.js"))) {
  throw new Error(`The package could not be built: ${built.output}`);
}

const program = join(ROOT, "bench", "open_once.mjs");
const times = { import: [] as number[], open: [] as number[], "import.control": [] as number[] };
const opens: number[] = [];
for (let round = -1; round < ROUNDS; round++) {
  const ours = await once(join(FOLDER, "mod.js"));
  const bare = await once("node:dgram");
  // The first time, files come from the disk.
  if (round < 0) continue;
  times.import.push(ours.import);
  times["import.control"].push(bare.import);
  times.open.push(ours.open);
  opens.push(bare.open);
}
const rounds = (name: string, values: readonly number[]): RetryLoop => ({ name: `open.${name}`, unit: "ms", values });
print([
  figure(rounds("import", times.import), rounds("import.control", times["import.control"])),
  figure(rounds("import.control", times["import.control"])),
  figure(rounds("open", times.open), rounds("open.control", opens)),
  figure(rounds("open.control", opens)),
]);

async function once(module: string): Promise<{ readonly import: number; readonly open: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [...plainArgs(), program, module]);
  return JSON.parse(stdout);
}
