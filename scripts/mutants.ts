/**
 * Breaks the protocol in one way after another, and shows that the storms notice each.
 *
 *     npm run mutants                   all
 *     npm run mutants -- hole           those whose name has the word
 *
 * The sources are copied to a temporary folder; nothing changes here. A breakage whose piece of source is not there exactly
 * once is an error, so that the list follows the code.
 *
 * @module
 */

import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Mutant, MUTANTS } from "./mutants/protocol.ts";
import { ROOT } from "./runtimes.ts";

/** Worlds that a breakage has to survive before and after the directed tests, which take as long as some hundred. */
const WORLDS = [100, 1000] as const;
const JOBS = 2;
/** A breakage may make a world run for ever. */
const TIMEOUT_MS = 120_000;
const COPIED = ["src", "adapters", "tests", "scripts", "mod.ts", "package.json"];

const { positionals } = parseArgs({ allowPositionals: true });
const chosen = MUTANTS.filter(({ name }) => positionals.every((word) => name.includes(word)));
const rotten = MUTANTS.filter(({ file, find }) => readFileSync(join(ROOT, file), "utf8").split(find).length !== 2);
for (const { name, file } of rotten) console.error(`"${name}": its piece of ${file} is not there exactly once`);
if (chosen.length === 0) console.error(`No breakage has "${positionals.join(" ")}" in its name`);
if (rotten.length > 0 || chosen.length === 0) process.exit(1);

const survivors: string[] = [];
const waiting = [...chosen];
const start = performance.now();
const healthy = await inCopy((folder) => verdictOn(folder));
if (healthy !== undefined) {
  console.error(`The storms fail as it is: ${healthy}`);
  process.exit(1);
}
await Promise.all(Array.from({ length: JOBS }, () =>
  inCopy(async (folder) => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) await judge(folder, mutant);
  })));
const seconds = Math.round((performance.now() - start) / 1000);
console.log(`\n${chosen.length - survivors.length} of ${chosen.length} breakages were noticed, ${seconds} s`);
for (const name of survivors) console.error(`Not noticed: ${name}`);
process.exitCode = survivors.length === 0 ? 0 : 1;

async function judge(folder: string, { name, file, find, replace }: Mutant): Promise<void> {
  const path = join(folder, file);
  const source = readFileSync(path, "utf8");
  writeFileSync(path, source.replace(find, () => replace));
  const begun = performance.now();
  const verdict = await verdictOn(folder);
  writeFileSync(path, source);
  const time = `${((performance.now() - begun) / 1000).toFixed(1)} s`;
  console.log(`${verdict === undefined ? "SURVIVED" : "noticed "}  ${name} (${verdict ?? "by nothing"}, ${time})`);
  if (verdict === undefined) survivors.push(name);
}

/** What the storms in a folder find; `undefined` for nothing. */
async function verdictOn(folder: string): Promise<string | undefined> {
  return await inWorlds(folder, 1, WORLDS[0]) ?? await inTests(folder) ??
    await inWorlds(folder, 1 + WORLDS[0], WORLDS[1]);
}

async function inWorlds(folder: string, from: number, count: number): Promise<string | undefined> {
  const share = ["--from", String(from), "--count", String(count), "--jobs", "1", "--bail"];
  const { ok, output } = await node(folder, "scripts/worlds.ts", ...share);
  if (ok) return undefined;
  return /World \d+ at [^\n]*/.exec(output)?.[0].slice(0, 100) ?? "a world that does not end";
}

async function inTests(folder: string): Promise<string | undefined> {
  const { ok, output } = await node(folder, "--test", "--test-reporter=tap", "tests/storm_directed.test.ts");
  return ok ? undefined : /not ok \d+ - ([^\n]*)/.exec(output)?.[1] ?? "a directed test that does not end";
}

/** Runs Node quietly: `run` would show what a breakage does. */
function node(folder: string, ...args: string[]): Promise<{ readonly ok: boolean; readonly output: string }> {
  const options = { cwd: folder, timeout: TIMEOUT_MS, killSignal: "SIGKILL", maxBuffer: 2 ** 26 } as const;
  return new Promise((resolve) => {
    execFile(process.execPath, ["--import", "tsx", ...args], options, (error, stdout, stderr) => {
      resolve({ ok: error === null, output: stdout + stderr });
    });
  });
}

async function inCopy<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "warp-mesh-mutant-"));
  try {
    for (const name of COPIED) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
