/**
 * Busy node: a node of `busy.ts` that publishes at a steady pace while its process is busy with other work.
 *
 *     busy_node.ts PORT PEERS SECONDS BUSY_MS EVERY_MS
 *
 * It begins when it knows `PEERS` peers, prints that, and prints its counters before it closes.
 *
 * @module
 */

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { openMesh } from "../mod.ts";

const [port = 0, peers = 1, seconds = 10, busy = 5, every = 20] = process.argv.slice(2).map(Number);
const mesh = await openMesh({ interface: "127.0.0.1", port });
mesh.subscribe({ prefix: "" }, () => {});
const giveUp = performance.now() + 60_000;
while (mesh.peers().length < peers && performance.now() < giveUp) await sleep(50);
console.log(JSON.stringify({ known: mesh.peers().length }));
// The others may not be ready yet: unicast copies to peers that do not receive multicast yet are part of the
// measurement.
const before = mesh.metrics();
const end = performance.now() + 1000 * seconds;
let count = 0;
while (performance.now() < end) {
  for (let i = 0; i < 5; i++) void mesh.publish(`${mesh.nodeId}:${count++}`);
  const until = performance.now() + busy;
  while (performance.now() < until);
  await sleep(every - busy);
}
await sleep(2000);
const after = mesh.metrics();
const { gaps } = after;
const grown = (name: "delivered" | "missing" | "recovered" | "naksSent" | "duplicates" | "published") =>
  after[name] - before[name];
const { state } = mesh.status();
console.log(JSON.stringify({
  peers: mesh.peers().length,
  published: grown("published"),
  delivered: grown("delivered"),
  duplicates: grown("duplicates"),
  missing: grown("missing"),
  recovered: grown("recovered"),
  requests: grown("naksSent"),
  gaps,
  state,
}));
await mesh.close();
