/**
 * Memory benchmark: the heap that a peer and a subscription take after all garbage is collected. It is the bytes of a
 * thousand peers, and of a hundred thousand subscriptions to one key each, divided by their number. The keys themselves
 * belong to the caller.
 *
 * @module
 */

import process from "node:process";
import type { MeshBus } from "../mod.ts";
import { figure, print } from "./figures.ts";
import { heapBytes } from "./heap.ts";
import { asciiKeys } from "./keys.ts";
import { openOffline } from "./offline_node.ts";
import { Simulated } from "./simulated_node.ts";

const quick = process.argv.includes("--quick");
const PEERS = quick ? 100 : 1_000;
const SUBSCRIPTIONS = quick ? 10_000 : 100_000;
const ROUNDS = quick ? 1 : 2;

const rounds = { peer: [] as number[], subscription: [] as number[] };
// All results are kept until the end, so that none of it is collected between two measurements.
const held: unknown[] = [];
const meshes: MeshBus[] = [];
// Round 0 is for the compilers, whose code is on the heap too.
for (let round = quick ? 1 : 0; round <= ROUNDS; round++) {
  const perPeer = await ofPeers();
  const perSubscription = await ofSubscriptions();
  if (round === 0) continue;
  rounds.peer.push(perPeer);
  rounds.subscription.push(perSubscription);
}
if (held.length === 0) throw new Error("Nothing was measured");
// Their timers would keep the process alive.
await Promise.all(meshes.map((mesh) => mesh.close()));
print([
  figure({ name: "memory.peer", unit: "bytes", values: rounds.peer }),
  figure({ name: "memory.subscription", unit: "bytes", values: rounds.subscription }),
]);

async function ofPeers(): Promise<number> {
  const simulated = await Simulated.open(PEERS);
  held.push(simulated);
  const before = await heapBytes();
  await simulated.meet();
  return Math.max(0, (await heapBytes() - before) / PEERS);
}

async function ofSubscriptions(): Promise<number> {
  const { mesh } = await openOffline();
  const keys = asciiKeys(SUBSCRIPTIONS);
  meshes.push(mesh);
  held.push(keys);
  const before = await heapBytes();
  const callback = () => {};
  for (const key of keys) held.push(mesh.subscribe(key, callback));
  return Math.max(0, (await heapBytes() - before) / SUBSCRIPTIONS);
}
