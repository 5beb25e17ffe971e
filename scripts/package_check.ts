/**
 * Packs the built package and checks the tarball: its files, publint, attw, and a smoke test on three runtimes.
 *
 * @module
 */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { quickStart } from "./quick_start.ts";
import { run } from "./run.ts";
import { BUN, CACHE, DENO, npm, ROOT } from "./runtimes.ts";

const PACK = join(CACHE, "pack");
const SMOKE = join(CACHE, "smoke");
const QUICK_START = join(CACHE, "quick_start");
const PROGRAM = join("node_modules", "@warp-mesh", "bus", "dist", "cli", "main.js");
const PUBLINT = join(ROOT, "node_modules", "publint", "src", "cli.js");
const ATTW = join(ROOT, "node_modules", "@arethetypeswrong", "cli", "dist", "index.js");

for (const folder of [PACK, SMOKE, QUICK_START]) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}
if (!await npm(["pack", "--pack-destination", PACK], ROOT)) throw new Error("Cannot pack the package");
const tarball = join(PACK, readdirSync(PACK)[0] ?? "");

const results = [
  await passes("publint", [PUBLINT, tarball, "--strict"]),
  // CommonJS resolution is ignored: the package is ESM only, which Node 20.19 and later can `require` too.
  await passes("attw", [ATTW, tarball, "--profile", "esm-only"]),
  ...await smokeTests(),
  ...await quickStarts(),
];
process.exitCode = results.every((ok) => ok) ? 0 : 1;

async function passes(name: string, args: readonly string[]): Promise<boolean> {
  const { ok } = await run(process.execPath, args, { cwd: ROOT, quiet: true });
  console.log(`${name} ${ok ? "found nothing" : "FAILED"}`);
  return ok;
}

/** Installs the tarball as a user would, and asserts on each runtime which adapter it uses. */
async function smokeTests(): Promise<boolean[]> {
  writeFileSync(join(SMOKE, "package.json"), JSON.stringify({ private: true, type: "module" }));
  // Keeps Deno from using this project's own settings.
  writeFileSync(join(SMOKE, "deno.json"), JSON.stringify({ nodeModulesDir: "manual", lock: false }));
  copyFileSync(join(ROOT, "scripts", "smoke.js"), join(SMOKE, "smoke.js"));
  if (!await npm(["install", "--offline", "--no-package-lock", tarball], SMOKE)) return [false];
  const commands: [string, string[]][] = [
    [process.execPath, ["smoke.js", "node"]],
    [DENO, ["run", "-A", "--unstable-net", "smoke.js", "deno"]],
    [DENO, ["run", "-A", "smoke.js", "node"]],
    [BUN, ["smoke.js", "bun"]],
    [process.execPath, [PROGRAM, "doctor", "--help"]],
    [DENO, ["run", "-A", PROGRAM, "doctor", "--help"]],
    [BUN, [PROGRAM, "doctor", "--help"]],
  ];
  const passed = [contains()];
  for (const [command, args] of commands) {
    passed.push((await run(command, args, { cwd: SMOKE, timeout: 30_000 })).ok);
  }
  // As a user calls it who does not know the name of the program.
  passed.push(await npm(["exec", "--offline", "--", "@warp-mesh/bus", "doctor", "--help"], SMOKE));
  return passed;
}

/** Whether the installed package has the documents that the manifest names, built files, and no source maps. */
function contains(): boolean {
  const folder = join(SMOKE, "node_modules", "@warp-mesh", "bus");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) => file.split(sep).join("/"));
  const manifest: { readonly files: readonly string[] } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const expected = [...manifest.files.filter((file) => file !== "dist"), "LICENSE", "README.md", "package.json"].sort();
  const others = files.filter((file) => !/^(?:dist|docs$)/.test(file)).sort();
  const code = files.filter((file) => /^dist\/.*\.[jt]s$/.test(file));
  const strange = files.filter((file) => /^dist\/.*\./.test(file) && !code.includes(file));
  // The sources are not in the package, so a map would point to nothing.
  const mapped = code.filter((file) => readFileSync(join(folder, file), "utf8").includes("sourceMappingURL"));
  const ok = code.length > 0 && strange.length + mapped.length === 0 && others.join() === expected.join();
  const wrong = `FAILED: ${[...strange, ...mapped]}; beside dist there are ${others} and should be ${expected}`;
  console.log(`contents ${ok ? "are those of the manifest, with no source maps" : wrong}`);
  return ok;
}

/** Follows the README's quick start in a new folder, and compares the output with the README's. */
async function quickStarts(): Promise<boolean[]> {
  const { file, code, commands, output } = quickStart();
  const offline = ["install", "--offline", "--no-audit", "--no-fund", tarball];
  if (!await npm(["init", "-y"], QUICK_START) || !await npm(offline, QUICK_START)) return [false];
  writeFileSync(join(QUICK_START, file), code);
  const binaries: Readonly<Record<string, string>> = { node: process.execPath, deno: DENO, bun: BUN };
  const passed: boolean[] = [];
  for (const [runtime, ...args] of commands) {
    const result = await run(binaries[runtime] ?? runtime, args, { cwd: QUICK_START, quiet: true, timeout: 30_000 });
    const ok = result.ok && result.output === output;
    console.log(`quick start by ${runtime} ${ok ? "prints what the README says" : `FAILED: ${result.output}`}`);
    passed.push(ok);
  }
  return passed;
}
