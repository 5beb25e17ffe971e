// Runs in a folder where the packed package is installed: `smoke.js ADAPTER` asserts that this runtime comes to use
// ADAPTER. Plain JavaScript, since Node 20 runs nothing else by itself.
import assert from "node:assert/strict";
import process from "node:process";
import { openMesh } from "@warp-mesh/bus";

const expected = process.argv[2];

for (const name of ["node", "bun", "deno", "memory", "auto"]) {
  const file = import.meta.resolve(`@warp-mesh/bus/${name}`);
  assert.ok(file.endsWith(`/node_modules/@warp-mesh/bus/dist/adapters/${name}.js`), file);
}
assert.ok(import.meta.resolve("@warp-mesh/bus").endsWith("/node_modules/@warp-mesh/bus/dist/mod.js"));
