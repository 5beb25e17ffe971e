/**
 * Builds the npm package into `dist/` with plain `tsc`.
 *
 * @module
 */

import { chmodSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";
import { ROOT, TSC } from "./runtimes.ts";

rmSync(join(ROOT, "dist"), { recursive: true, force: true });
const { ok } = await run(process.execPath, [TSC, "-p", "tsconfig.build.json"], { cwd: ROOT });
// npm does it when it installs the package; a link to a clone has nobody who does.
if (ok) chmodSync(join(ROOT, "dist", "cli", "main.js"), 0o755);
process.exitCode = ok ? 0 : 1;
