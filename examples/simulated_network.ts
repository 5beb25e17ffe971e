/**
 * A mesh on a network in memory that loses datagrams: no socket is opened, no time passes, and the same seed gives the
 * same run. For testing what a service does when an invalidation is late or lost.
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

for (const loss of [0, 0.1, 0.5]) {
  network.set({ loss });
  const stale = new Set<string>();
  const subscription = reader.subscribe({ prefix: "user:" }, (event) => stale.delete(event.key));
  for (let i = 0; i < WRITES; i++) {
    stale.add(`user:${i}`);
    await writer.publish(`user:${i}`);
    await clock.advance(5);
  }
  subscription.close();
  // The reader gets each key by multicast and by unicast, so a key is lost when both are.
  console.log(`loss ${loss * 100} %: ${stale.size} of ${WRITES} invalidations never came`);
}

const closing = Promise.all([writer.close(), reader.close()]);
await clock.run(closing, 2000);
console.log(`${clock.now()} ms of simulated time, ${network.stats.sent} datagrams, seed ${seed}`);
