/**
 * Builds the npm package into `dist/` with plain `tsc`.
 *
 * @module
 */

import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";
import { filesUnder, ROOT, TSC } from "./runtimes.ts";

// `tsc` keeps the reference in declarations, which need nothing else of Node.
const SIDE_EFFECT = /^import "[^"]+";\n/gm;

// `tsc` drops such a reference, and JSR refuses sources that have one. Without it, the compiler reports to a program
// with neither the library nor `@types/node` that `Symbol` has no `asyncDispose` (TS2550).
const LIBRARY = '/// <reference lib="esnext.disposable" />\n';

rmSync(join(ROOT, "dist"), { recursive: true, force: true });
const { ok } = await run(process.execPath, [TSC, "-p", "tsconfig.build.json"], { cwd: ROOT });
// npm sets the mode when it installs the package; a link to a clone has no such step.
if (ok) chmodSync(join(ROOT, "dist", "cli", "main.js"), 0o755);
for (const path of ok ? filesUnder("dist", ".d.ts") : []) {
  const file = join(ROOT, path);
  const text = readFileSync(file, "utf8").replace(SIDE_EFFECT, "");
  writeFileSync(file, text.includes("[Symbol.asyncDispose]") ? LIBRARY + text : text);
}
process.exitCode = ok ? 0 : 1;
