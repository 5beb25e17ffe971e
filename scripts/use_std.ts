/**
 * Maps `@std/assert` and `@std/async` to JSR's packages, or back to the replacements in `tests/std`. Run `npm install`
 * afterwards; for JSR, npm has to know the `@jsr` scope.
 *
 *     npm run std -- jsr
 *     npm run std -- local
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./runtimes.ts";

interface Target {
  /** The target of the name in `deno.json`. */
  deno(name: string): string;
  /** The version in `package.json`. */
  npm(name: string): string;
}

const targets: Readonly<Record<string, Target>> = {
  jsr: { deno: (name) => `jsr:@std/${name}@^1`, npm: (name) => `npm:@jsr/std__${name}@^1` },
  local: { deno: (name) => `./tests/std/${name}/mod.ts`, npm: (name) => `file:tests/std/${name}` },
};

const choice = process.argv[2] ?? "";
const target = targets[choice];
if (!target) throw new RangeError(`Cannot point @std at \`${choice}\` as it must be jsr or local`);
for (const name of ["assert", "async"]) {
  replace("deno.json", name, target.deno(name));
  replace("package.json", name, target.npm(name));
}

function replace(manifest: string, name: string, value: string): void {
  const path = join(ROOT, manifest);
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace(new RegExp(`("@std/${name}": )"[^"]*"`), `$1${JSON.stringify(value)}`));
}
