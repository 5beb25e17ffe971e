/**
 * Three nodes that find each other by seed addresses, as in a cloud or a container network that has no multicast.
 *
 *     node --import tsx examples/seeds_without_multicast.ts
 *
 * @module
 */

import { type MeshBus, openMesh } from "../mod.ts"; // in your own code: "@warp-mesh/bus"

// A real node would name its seeds by host names, the same list on each: `peers: ["cache-0.example:7946", …]`, with an
// `advertiseAddr` that names the port of the mesh. On one host each node needs a port of its own, which `address` tells.
const local = { interface: "127.0.0.1", port: 0, multicast: false };
const first = await openMesh(local);
const second = await openMesh({ ...local, peers: [first.address] });
// One seed is enough: it tells of the others.
const third = await openMesh({ ...local, peers: [first.address] });
const nodes = { first, second, third };

for (const [name, node] of Object.entries(nodes)) {
  await peersOf(node, 2);
  console.log(`${name} is ${node.address} and knows ${node.peers().join(", ")}`);
}

const heard = [first, second].map((node) => node.subscribe("config"));
await third.publish("config");
for (const subscription of heard) {
  for await (const event of subscription) {
    console.log(`heard that ${event.key} has changed`);
    break;
  }
}

await Promise.all(Object.values(nodes).map((node) => node.close()));

/** Resolves when the node knows so many peers. */
async function peersOf(node: MeshBus, count: number): Promise<void> {
  for await (const _event of node.events) {
    if (node.peers().length >= count) return;
  }
}
