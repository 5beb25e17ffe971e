/**
 * Opens meshes of many nodes in memory, all at once, and prints how soon all know each other and what they send then.
 *
 *     npm run scale                                         50, 100, 200, 400 and 800 nodes
 *     npm run scale -- --nodes 300,1000 --discovery seed    others, found by one seed only
 *     npm run scale -- --loss 0.1 --seed 7                  with a tenth of all datagrams lost
 *
 * @module
 */

import { parseArgs } from "node:util";
import { BigMesh, type Discovery, HEARTBEAT } from "../tests/sim/mesh_size.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "50,100,200,400,800" },
    discovery: { type: "string", default: "group,seed,host" },
    loss: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    idle: { type: "string", default: "4" },
  },
});

const faults = { loss: Number(values.loss), seed: Number(values.seed) };
const rows: Record<string, string | number>[] = [];
for (const discovery of values.discovery.split(",") as Discovery[]) {
  for (const nodes of values.nodes.split(",").map(Number)) {
    const start = performance.now();
    const mesh = await BigMesh.open(nodes, discovery, {}, faults);
    const complete = await mesh.complete(20 * HEARTBEAT);
    const opening = mesh.network.stats.sent / nodes;
    await mesh.network.clock.advance(3 * HEARTBEAT);
    const { sent, received, bytes } = await mesh.idle(Number(values.idle));
    const row = {
      discovery,
      nodes,
      "all known, ms": Math.round(complete),
      "sent until then": Math.round(opening),
      "idle: sent": Number(sent.toFixed(2)),
      "bytes": Math.round(bytes),
      "received": Math.round(received),
      "s": Math.round((performance.now() - start) / 1000),
    };
    console.log(JSON.stringify(row));
    rows.push(row);
  }
}
console.log(`\nA node and a heartbeat of ${HEARTBEAT / 1000} s`);
console.table(rows);
