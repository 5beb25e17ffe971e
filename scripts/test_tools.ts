/**
 * Runs the `js` blocks of docs/testing.md, each with the test runner that it describes, against the packed package.
 * `package_check.ts` has packed it. It takes about half a minute, most of it npm's.
 *
 * @module
 */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";
import { BUN, CACHE, npm, ROOT } from "./runtimes.ts";

const PACK = join(CACHE, "pack");
const FOLDER = join(CACHE, "test_tools");
const TOOLS = ["vitest@4.1.12", "jest@30.5.2", "sinon@22.1.0"];
const TIMEOUT_MS = 60_000;
const node = process.execPath;

/** How each file is run, by its name in the first line of its block. */
const COMMANDS: Readonly<Record<string, readonly [command: string, ...args: string[]]>> = {
  "cache.in_process.js": [node, "--test", "cache.in_process.js"],
  "cache.vitest.js": [node, "node_modules/vitest/vitest.mjs", "run", "cache.vitest.js"],
  "cache.jest.js": [node, "--experimental-vm-modules", "node_modules/jest/bin/jest.js", "cache.jest.js"],
  "cache.node.js": [node, "--test", "cache.node.js"],
  "cache.bun.test.js": [BUN, "test", "./cache.bun.test.js"],
};

rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });
const manifest = { private: true, type: "module", jest: { transform: {}, testMatch: ["**/cache.jest.*"] } };
writeFileSync(join(FOLDER, "package.json"), JSON.stringify(manifest));
const vitest = 'export default { test: { include: ["cache.vitest.js"] } };\n';
writeFileSync(join(FOLDER, "vitest.config.js"), vitest);
const [tarball] = readdirSync(PACK);
if (tarball === undefined) throw new Error("Cannot run the test tools before the package is packed");
copyFileSync(join(PACK, tarball), join(FOLDER, "package.tgz"));
if (!await npm(["install", "--no-package-lock", "--no-audit", "--no-fund", "./package.tgz", ...TOOLS], FOLDER)) {
  throw new Error("Cannot install the test tools");
}

const text = readFileSync(join(ROOT, "docs", "testing.md"), "utf8");
const files = Array.from(text.matchAll(/^```js\n\/\/ (\S+)\n([^]*?)^```$/gm), ([, name = "", code = ""]) => {
  writeFileSync(join(FOLDER, name), code);
  return name;
});
const failed = Object.keys(COMMANDS).filter((name) => !files.includes(name));
for (const name of failed) console.log(`docs/testing.md has no block ${name}`);
for (const name of files) {
  const [command, ...args] = COMMANDS[name] ?? [node, name];
  const { ok } = await run(command, args, { cwd: FOLDER, quiet: true, timeout: TIMEOUT_MS });
  console.log(`${name} ${ok ? "passed" : "FAILED"}`);
  if (!ok) failed.push(name);
}
// A bundle in CommonJS reads the properties of `node:timers`, in which `node:test` puts its fakes, at each call.
const bundled = "cache.node.cjs";
const build = ["build", "cache.node.js", "--format=cjs", "--target=node", `--outfile=${bundled}`];
for (const [command, args] of [[BUN, build], [node, ["--test", bundled]]] as const) {
  const { ok } = await run(command, args, { cwd: FOLDER, quiet: true, timeout: TIMEOUT_MS });
  console.log(`${bundled} ${ok ? "passed" : "FAILED"}: ${args[0]}`);
  if (!ok) failed.push(bundled);
}
process.exitCode = failed.length === 0 ? 0 : 1;
