/**
 * Cost benchmark: the cost of a key by its length, by the number of subscriptions, and by the number of peers. The
 * node's socket does nothing, so that this is the core alone.
 *
 * @module
 */

import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../adapters/system.ts";
import type { MeshBus, MeshOptions } from "../mod.ts";
import type { Clock } from "../src/platform/clock.ts";
import { BatchWriter } from "../src/wire/batch_writer.ts";
import { NO_ROOM } from "../src/wire/utf8.ts";
import { print } from "./figures.ts";
import { asciiKeys, keysOfLength } from "./keys.ts";
import { measure, type Row } from "./microbenchmark.ts";
import { openOffline } from "./offline_node.ts";
import { Simulated } from "./simulated_node.ts";

const quick = process.argv.includes("--quick");
const KEYS = 1_000;
const LENGTHS = [8, 64, 256, 1_000];
const SUBSCRIPTIONS = [1, 1_000, 1_000_000];
// A thousand peers take seconds to meet.
const PEERS = quick ? [1, 10, 100] : [1, 10, 100, 1_000];

// Long keys go alone. Nothing is paced: datagrams leave as fast as the node can send them.
const UNPACED: MeshOptions = {
  batchInterval: 0,
  batchSize: 65_535,
  queueSize: 2 * KEYS,
  minSendRate: 1_000_000,
  maxSendRate: 1_000_000,
};

// A turn of an event loop reads up to 32 datagrams.
const PER_TURN = 32;
const turnEnds: (() => void)[] = [];
const turning: Clock = {
  now: () => performance.now(),
  setTimer: () => ({ cancel() {} }),
  setTurnEnd(callback) {
    turnEnds.push(callback);
    return { cancel() {} };
  },
};

const meshes: MeshBus[] = [];
const rows: Row[] = [];
for (const length of LENGTHS) rows.push(...await lengthRows(length));
for (const count of SUBSCRIPTIONS) rows.push(await subscriptionRow(count));
for (const count of PEERS) rows.push(await peerRow(count, "group"), await peerRow(count, "unicast"));
print(await measure(rows, quick));
// Their timers would keep the process alive.
await Promise.all(meshes.map((mesh) => mesh.close()));

async function lengthRows(length: number): Promise<Row[]> {
  const keys = keysOfLength(length, KEYS);
  const publisher = await openOffline(UNPACED, systemClock);
  const receiver = await openOffline({}, turning);
  meshes.push(publisher.mesh, receiver.mesh);
  receiver.mesh.subscribe({ prefix: "" }, () => {});
  return [
    {
      name: `cost.length.${length}.publish`,
      unit: "ns/key",
      times: KEYS,
      async block() {
        for (const key of keys) void publisher.mesh.publish(key);
        while (publisher.mesh.metrics().pending > 0) await setImmediate();
      },
    },
    { name: `cost.length.${length}.deliver`, unit: "ns/key", times: KEYS, block: delivery(receiver.receive, keys) },
  ];
}

async function subscriptionRow(count: number): Promise<Row> {
  const { mesh, receive } = await openOffline({}, turning);
  meshes.push(mesh);
  const topics = asciiKeys(count);
  for (const topic of topics) mesh.subscribe(topic, () => {});
  // Spread over the subscriptions: V8 and the processor's caches handle a key that came a moment ago much faster.
  const keys = Array.from({ length: KEYS }, (_, i) => topics[(i * 7919) % count] as string);
  return { name: `cost.subscriptions.${count}`, unit: "ns/key", times: KEYS, block: delivery(receive, keys) };
}

async function peerRow(count: number, way: "group" | "unicast"): Promise<Row> {
  const simulated = await Simulated.open(count, way === "group");
  await simulated.meet();
  simulated.mute();
  const keys = asciiKeys(KEYS);
  return { name: `cost.peers.${count}.${way}`, unit: "ns/key", times: KEYS, block: () => simulated.publish(keys) };
}

/** Delivers all keys in full datagrams, and ends a turn of the event loop where a real one would end. */
function delivery(receive: (data: Uint8Array) => void, keys: readonly string[]): () => void {
  const datagrams: Uint8Array[] = [];
  let writer = new BatchWriter(new Uint8Array(16).fill(7));
  for (const key of keys) {
    let end = writer.put(key);
    if (end === NO_ROOM) {
      datagrams.push(writer.bytes());
      writer = new BatchWriter(new Uint8Array(16).fill(7));
      end = writer.put(key);
    }
    writer.commit(end);
  }
  datagrams.push(writer.bytes());
  return () => {
    for (const [i, datagram] of datagrams.entries()) {
      receive(datagram);
      if (i % PER_TURN === PER_TURN - 1 || i === datagrams.length - 1) endTurn();
    }
  };
}

function endTurn(): void {
  for (let end = turnEnds.shift(); end !== undefined; end = turnEnds.shift()) end();
}
