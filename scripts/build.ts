/**
 * Builds the npm package into `dist/` with plain `tsc`.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";
import { ROOT, TSC } from "./runtimes.ts";

rmSync(join(ROOT, "dist"), { recursive: true, force: true });
const { ok } = await run(process.execPath, [TSC, "-p", "tsconfig.build.json"], { cwd: ROOT });
process.exitCode = ok ? 0 : 1;
