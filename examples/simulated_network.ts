/**
 * A mesh on a network in memory that loses datagrams: no socket is opened, no time passes, and the same seed gives the
 * same run. For testing what a service does when an invalidation is late, or comes as a gap.
 *
 *     node --import tsx examples/simulated_network.ts [seed]
 *
 * @module
 */

import { MemoryNetwork } from "../adapters/memory.ts"; // in your own code: "@warp-mesh/bus/memory"
import { MeshBus } from "../mod.ts"; // in your own code: "@warp-mesh/bus"

const WRITES = 1000;

const seed = Number(process.argv[2] ?? 42);
const network = new MemoryNetwork({ seed, delay: { min: 0.2, max: 2 } });
const { clock } = network;

// A host has all the ports that a mesh needs: sockets, clock, random bytes, names, interfaces.
const writer = await MeshBus.open({ ...network.host("10.0.0.1"), batchInterval: 0 });
const reader = await MeshBus.open({ ...network.host("10.0.0.2") });
await clock.runUntil(() => writer.peers().length === 1 && reader.peers().length === 1, 1000);

let rounds = 0;
for (const loss of [0, 0.1, 0.5]) {
  rounds++;
  network.set({ loss });
  const stale = new Set<string>();
  const before = reader.metrics();
  const subscription = reader.subscribe({ prefix: "user:" }, ({ key, cause, prefix }) => {
    if (cause === "publish" && prefix === undefined) stale.delete(key);
    else stale.clear(); // a gap, or a published prefix: anything under it may have changed
  });
  for (let i = 0; i < WRITES; i++) {
    stale.add(`user:${i}`);
    await writer.publish(`user:${i}`);
    await clock.advance(5);
  }
  network.set({ loss: 0 });
  await clock.runUntil(() => reader.status().peers[0]?.position === WRITES * rounds, 60_000);
  subscription.close();
  const { missing, gaps } = reader.metrics();
  const found = `${missing - before.missing} datagrams were missing and repaired, ${gaps - before.gaps} gaps`;
  console.log(`loss ${loss * 100} %: ${found}; ${stale.size} of ${WRITES} keys are still stale`);
}

const closing = Promise.all([writer.close(), reader.close()]);
await clock.run(closing, 2000);
console.log(`${clock.now()} ms of simulated time, ${network.stats.sent} datagrams, seed ${seed}`);
