/**
 * Silent benchmark: the cost of a thousand peers that send nothing but heartbeats. The figures are the processor time
 * of a node that knows them, less that of a node of another mesh that knows no peer at the same time, and the growth of
 * its process since it knew no peer.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { figure, print, type Unit } from "./figures.ts";
import { startPeer } from "./worker_process.ts";
import type { SilentAddress, SilentNodeRequest, SilentPeersRequest, SilentUsage } from "./silent_protocol.ts";

const quick = process.argv.includes("--quick");
// 30 peers are met at once; 1,000 take half a minute.
const PEERS = quick ? 30 : 1000;
// Two heartbeats: everything that happens once for each peer has happened.
const SETTLE_MS = quick ? 0 : 10_000;
const MEASURE_MS = quick ? 500 : 20_000;
const LOOK_MS = 100;

const node = startPeer(new URL("./silent_node.ts", import.meta.url));
const alone = startPeer(new URL("./silent_node.ts", import.meta.url));
const both = [node, alone] as const;
const request = <Answer>(peer: typeof node, type: SilentNodeRequest["type"]) =>
  peer.request({ type } satisfies SilentNodeRequest) as Promise<Answer>;
const address = await request<SilentAddress>(node, "address");
const opened = await request<SilentUsage>(node, "usage");
const peers = startPeer(new URL("./silent_peers.ts", import.meta.url));
await peers.request({ ...address, count: PEERS } satisfies SilentPeersRequest);
while ((await request<SilentUsage>(node, "usage")).peers < PEERS) await setTimeout(LOOK_MS);
await setTimeout(SETTLE_MS);

const before = await Promise.all(both.map((peer) => request<SilentUsage>(peer, "usage")));
const start = performance.now();
await setTimeout(MEASURE_MS);
const after = await Promise.all(both.map((peer) => request<SilentUsage>(peer, "usage")));
const ms = performance.now() - start;
const [known, none] = after.map(({ cpuMs }, i) => (cpuMs - (before[i] as SilentUsage).cpuMs) / ms);
const [{ rss, peers: found }, { peers: foundAlone }] = after as [SilentUsage, SilentUsage];
if (known === undefined || none === undefined || found !== PEERS || foundAlone !== 0) {
  throw new Error(`One node must know ${PEERS} peers and the other none: they know ${found} and ${foundAlone}`);
}
const single = (name: string, unit: Unit, value: number) =>
  // Noise, or a garbage collection, can make it negative.
  figure({ name: `silent.${name}`, unit, values: [Math.max(0, value)] });
print([
  single("cpu", "share", known - none),
  single("cpu.alone", "share", none),
  single("rss", "bytes", rss - opened.rss),
  single("rss.alone", "bytes", opened.rss),
]);
await Promise.all([...both, peers].map((peer) => peer.end()));
