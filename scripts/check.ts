/**
 * Checks everything that is not a test: format, lint, types, documentation, examples and both packages.
 *
 *     npm run check                     all of it
 *     npm run check -- format lint      some of it
 *
 * @module
 */

import { header, run } from "./run.ts";
import { DENO, filesUnder, ROOT, TSC } from "./runtimes.ts";

type Command = readonly [command: string, ...args: string[]];

const node = process.execPath;
const script = (name: string): Command => [node, "--import", "tsx", `scripts/${name}.ts`];
const examples = filesUnder("examples", ".ts").filter((file) => file.split("/").length === 2);
const adapters = ["node", "bun", "deno", "memory", "auto"].map((name) => `adapters/${name}.ts`);

const steps: Readonly<Record<string, readonly Command[]>> = {
  format: [[DENO, "fmt", "--check"]],
  lint: [[DENO, "lint"]],
  types: [
    [node, TSC, "-p", "tsconfig.build.json", "--noEmit"],
    [node, TSC, "-p", "tsconfig.pure.json"],
    [node, TSC, "-p", "tsconfig.all.json"],
    [DENO, "check", "--unstable-net", "mod.ts", "cli/main.ts", ...filesUnder("tests", ".deno.ts")],
  ],
  docs: [[DENO, "doc", "--lint", "mod.ts", "cli/main.ts", "conformance/mod.ts", ...adapters]],
  build: [script("build")],
  examples: [script("doc_examples"), ...examples.map((file): Command => [node, "--import", "tsx", file])],
  jsr: [[DENO, "publish", "--config", "jsr.json", "--dry-run", "--allow-dirty"]],
  // The other steps use the tarball of the first.
  npm: [script("package_check"), script("package_types"), script("test_tools")],
  size: [script("bundle_size")],
};

/** The steps of a lane run in turn, and the lanes side by side: most steps are one process. */
const LANES: readonly (readonly string[])[] = [
  ["build", "examples", "npm"],
  ["format", "lint", "types", "docs", "jsr", "size"],
];

const chosen = process.argv.slice(2);
const failed = chosen.filter((name) => !(name in steps));
for (const name of failed) console.error(`There is no check "${name}": there are ${Object.keys(steps).join(", ")}`);
await Promise.all(LANES.map(async (lane) => {
  for (const name of lane.filter((name) => chosen.length === 0 || chosen.includes(name))) await check(name);
}));
console.log(failed.length === 0 ? "\nAll checks passed" : `\nFailed checks: ${failed.join(", ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** Runs a step, and then prints its output. */
async function check(name: string): Promise<void> {
  const start = performance.now();
  let text = "";
  for (const [command, ...args] of steps[name] ?? []) {
    const { ok, output } = await run(command, args, { cwd: ROOT, env: { NO_COLOR: "1" }, silent: true });
    text += output;
    if (!ok && !failed.includes(name)) failed.push(name);
  }
  header(`${name}, ${((performance.now() - start) / 1000).toFixed(1)} s`);
  process.stdout.write(text);
}
