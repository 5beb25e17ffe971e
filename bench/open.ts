/**
 * Open benchmark: how long a process takes to import the package, and then to open a mesh with default options. Each
 * run is a process of its own. They alternate with processes that import only the runtime's sockets and bind one.
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
import { figure, print, type Rounds } from "./figures.ts";
import { plainArgs } from "./worker_process.ts";

const ROUNDS = process.argv.includes("--quick") ? 2 : 9;
const FOLDER = join(CACHE, "bench", "dist");

// As npm delivers it: as many files of JavaScript as there are of TypeScript.
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
  // In the first round files come from the disk.
  if (round < 0) continue;
  times.import.push(ours.import);
  times["import.control"].push(bare.import);
  times.open.push(ours.open);
  opens.push(bare.open);
}
const rounds = (name: string, values: readonly number[]): Rounds => ({ name: `open.${name}`, unit: "ms", values });
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
