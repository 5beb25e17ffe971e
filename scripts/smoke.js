// Runs in a folder where the packed package is installed: `smoke.js ADAPTER` asserts that this runtime comes to use
// ADAPTER. Plain JavaScript, since Node 20 runs nothing else by itself.
import assert from "node:assert/strict";
import process from "node:process";
import { InProcessBus, openMesh } from "@warp-mesh/bus";
import { bind } from "@warp-mesh/bus/auto";
import { rulesFor } from "@warp-mesh/bus/conformance";

const expected = process.argv[2];

assert.match(import.meta.resolve("@warp-mesh/bus"), /\/node_modules\/@warp-mesh\/bus\/dist\/mod\.js$/);
for (const name of ["node", "bun", "deno", "memory", "auto"]) {
  const file = import.meta.resolve(`@warp-mesh/bus/${name}`);
  assert.ok(file.endsWith(`/node_modules/@warp-mesh/bus/dist/adapters/${name}.js`), file);
}

const rules = rulesFor({
  lacks: ["timeouts"],
  open: async ([first, ...others]) => {
    const bus = new InProcessBus({ ...first });
    return { buses: [bus, ...others.map((place) => bus.replica(place))] };
  },
});
await Promise.all(rules.map(({ run }) => run()));

const options = {
  host: "127.0.0.1",
  port: 0,
  shared: false,
  sendsMulticast: false,
  multicastLoopback: true,
  multicastTtl: 1,
};
const socket = await bind(options, { message() {}, error() {} });
assert.equal(socket.adapter, expected);
await socket.close();

const publisher = await openMesh({ interface: "127.0.0.1", port: 0 });
const subscriber = await openMesh({ interface: "127.0.0.1", port: publisher.port });
const received = new Promise((resolve) => subscriber.subscribe("user:42", resolve));
await publisher.publish("user:42");
assert.equal((await received).key, "user:42");
// It is a file of its own, which is loaded now.
assert.equal((await publisher.diagnose({ timeout: 100 })).node.id, publisher.nodeId);
await Promise.all([publisher.close(), subscriber.close()]);

console.log(`smoke test passed with the ${expected} adapter`);
