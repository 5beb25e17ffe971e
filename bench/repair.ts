/**
 * Repair benchmark: how long the retransmission of a lost datagram takes, where 1, 5 and 25 % of all are lost. A
 * publisher and a receiver run in this process, on sockets of the loopback interface, by unicast. The receiver's
 * sockets lose a share of all datagrams in both directions.
 *
 * - `repair.1.hole`: others follow the lost datagram, a thousand a second with one key each. It is the time from
 *   `publish` to the callback, for keys whose first copy was lost. `repair.1.first` is the same for all other keys.
 * - `repair.1.tail`: nothing follows the lost datagram. It is the time from `publish` to when the receiver knows that
 *   it misses something, and to the callback.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { systemPorts } from "../adapters/auto.ts";
import { decodePacket, MeshBus, type MeshOptions, openMesh } from "../mod.ts";
import { type Figure, figure, print, quantile } from "./figures.ts";
import { lossy } from "./lossy_socket.ts";

const quick = process.argv.includes("--quick");
const SEED = 1;
// Enough for about a hundred holes.
const SHARES = [
  { percent: 1, keys: quick ? 200 : 5_000 },
  { percent: 5, keys: quick ? 150 : 3_000 },
  { percent: 25, keys: quick ? 100 : 1_000 },
] as const;
// Fewer are not significant: then more keys are published.
const FEWEST_HOLES = 3;
// Each has a stream of its own, so that tails of several can be lost at once.
const PUBLISHERS = 8;
const TAIL_ROUNDS = quick ? 1 : 5;
// After a burst its end is announced for 450 ms. A tail begins when that is over.
const QUIET_MS = 600;
const LOOK_MS = 1;

const OPTIONS: MeshOptions = { interface: "127.0.0.1", multicast: false, batchInterval: 0 };
const HOLE = "hole:";
const TAIL = "tail:";

const publishedAt = new Map<string, number>();
const lost = new Set<string>();
let share = 0;
let samples = { hole: [] as number[], first: [] as number[], tail: [] as number[], noticed: [] as number[] };

const receiver = await MeshBus.open({
  ...systemPorts,
  ...OPTIONS,
  port: 0,
  bind: lossy(systemPorts.bind, {
    share: () => share,
    seed: SEED,
    // The first copy of a tail.
    always: (data) => keysOf(data).some((key) => key.startsWith(TAIL) && !lost.has(key)),
    onLoss: (data) => keysOf(data).forEach((key) => lost.add(key)),
  }),
});
const publishers = await Promise.all(
  Array.from({ length: PUBLISHERS }, () => openMesh({ ...OPTIONS, port: 0, peers: [receiver.address] })),
);
receiver.subscribe({ prefix: "" }, ({ key, cause }) => {
  if (cause !== "publish") throw new Error(`Nothing must be lost for good: an event with the cause ${cause} has come`);
  const ms = performance.now() - (publishedAt.get(key) as number);
  publishedAt.delete(key);
  if (key.startsWith(TAIL)) samples.tail.push(ms);
  else if (lost.has(key)) samples.hole.push(ms);
  else samples.first.push(ms);
});
await known();
// For the compilers.
await holes("warm", SHARES[2].keys);
for (const { percent, keys } of SHARES) {
  share = percent / 100;
  samples = { hole: [], first: [], tail: [], noticed: [] };
  await holes(`${percent}`, keys);
  for (let round = 0; round < TAIL_ROUNDS; round++) await tails(`${percent}:${round}`);
  print(figures(percent));
}
share = 0;
await Promise.all([...publishers, receiver].map((mesh) => mesh.close()));

async function holes(name: string, keys: number): Promise<void> {
  const enough = () => share === 0 || samples.hole.length >= FEWEST_HOLES;
  for (let i = 0; i < keys || !enough(); i++) {
    publish(publishers[0] as MeshBus, `${HOLE}${name}:${i}`);
    await setTimeout(1);
  }
  await allArrived();
}

async function tails(name: string): Promise<void> {
  await setTimeout(QUIET_MS);
  const waiting = new Map(publishers.map((mesh, i) => [mesh.nodeId, `${TAIL}${name}:${i}`]));
  for (const mesh of publishers) publish(mesh, waiting.get(mesh.nodeId) as string);
  const start = performance.now();
  while (waiting.size > 0) {
    await setTimeout(LOOK_MS);
    for (const { id, missing } of receiver.status().peers) {
      const key = waiting.get(id);
      if (key === undefined || (missing === 0 && publishedAt.has(key))) continue;
      samples.noticed.push(performance.now() - start);
      waiting.delete(id);
    }
  }
  await allArrived();
}

function publish(mesh: MeshBus, key: string): void {
  publishedAt.set(key, performance.now());
  void mesh.publish(key);
}

async function allArrived(): Promise<void> {
  while (publishedAt.size > 0) await setTimeout(LOOK_MS);
}

async function known(): Promise<void> {
  while (receiver.peers().length < PUBLISHERS || publishers.some((mesh) => mesh.peers().length === 0)) {
    await setTimeout(10);
  }
}

function keysOf(data: Uint8Array): string[] {
  const packet = decodePacket(data);
  return "keys" in packet ? packet.keys.map((key) => new TextDecoder().decode(key)) : [];
}

function figures(percent: number): Figure[] {
  const single = (name: string, values: readonly number[], q: number) => ({
    ...figure({ name: `repair.${percent}.${name}`, unit: "ms", values: [quantile(values, q)] }),
    samples: values.length,
  });
  return [
    single("hole.p50", samples.hole, 0.5),
    single("hole.p99", samples.hole, 0.99),
    single("first.p50", samples.first, 0.5),
    single("first.p99", samples.first, 0.99),
    single("tail.noticed.p50", samples.noticed, 0.5),
    single("tail.noticed.max", samples.noticed, 1),
    single("tail.delivered.p50", samples.tail, 0.5),
    single("tail.delivered.max", samples.tail, 1),
  ];
}
