/**
 * Core benchmark: the cost of a key in a whole node whose socket does nothing. A key is published while it is pending,
 * published anew, and delivered from a full datagram: to no subscriber, to a prefix subscription, and to one of 1,000,
 * 100,000 and 1,000,000 exact ones, compared with a `Map` of as many keys.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import process from "node:process";
import { systemClock } from "../adapters/system.ts";
import type { Clock } from "../src/platform/clock.ts";
import { BatchWriter } from "../src/wire/batch_writer.ts";
import { readBatch, scanPacket } from "../src/wire/packet.ts";
import { print } from "./figures.ts";
import { asciiKeys, KEYS_PER_DATAGRAM } from "./keys.ts";
import { measure, type Row } from "./microbenchmark.ts";
import { type Offline, openOffline } from "./offline_node.ts";

const KEYS = 1000;
const EXACT = 100_000;
const QUICK = process.argv.includes("--quick");
/** Number of exact subscriptions, by the name of the figure. A million take seconds to make. */
const EXACTS = { exact: EXACT, "exact.few": 1000, ...(!QUICK && { "exact.many": 1_000_000 }) };
const DATAGRAMS = 16;
const TIMES = DATAGRAMS * KEYS_PER_DATAGRAM;

// Holds the last result, so that no compiler drops the work.
let sink: unknown;
const keep = (key: string) => sink = key;
let events = 0;

const never: Clock = {
  now: () => performance.now(),
  setTimer: () => ({ cancel() {} }),
  setTurnEnd: () => ({ cancel() {} }),
};

// A turn of an event loop reads up to 32 datagrams.
const turnEnds: (() => void)[] = [];
const turning: Clock = {
  ...never,
  setTurnEnd: (callback) => {
    turnEnds.push(callback);
    return { cancel() {} };
  },
};

const pending = await openOffline({}, never);
const publisher = await openOffline({ batchInterval: 0, batchSize: 65_535, queueSize: 2 * KEYS }, systemClock);
const unheard = await openOffline({}, turning);
const prefix = await openOffline({}, turning);
const onEvent = () => events++;
prefix.mesh.subscribe({ prefix: "" }, onEvent);

print(
  await measure(
    [...pendingRows(), ...publishRows(), ...await deliverRows()],
    QUICK,
  ),
);
if (sink === undefined || events === 0) throw new Error("Nothing was measured");
// The other nodes hold nothing pending, and on their clock a node that leaves would wait for ever.
await publisher.mesh.close();

function pendingRows(): Row[] {
  const keys = asciiKeys(8);
  const set = new Set(keys);
  const nothing = (key: string) => key;
  return [
    {
      name: "publish.pending",
      unit: "ns/call",
      times: KEYS,
      block() {
        // Nothing is sent within a block: each key is new once at most.
        const before = pending.mesh.metrics().keysPublished;
        for (let i = 0; i < KEYS; i++) sink = pending.mesh.publish(keys[i & 7] as string);
        if (pending.mesh.metrics().keysPublished > before + keys.length) throw new Error("A key was not pending");
      },
      control: "publish.pending.control",
    },
    {
      // The least possible work: an empty function, and a look-up whether the key is pending.
      name: "publish.pending.control",
      unit: "ns/call",
      times: KEYS,
      block() {
        for (let i = 0; i < KEYS; i++) {
          const key = keys[i & 7] as string;
          sink = set.has(key) ? nothing(key) : undefined;
        }
      },
    },
  ];
}

function publishRows(): Row[] {
  const keys = asciiKeys(KEYS);
  const set = new Set<string>();
  return [
    {
      name: "publish.new",
      unit: "ns/key",
      times: KEYS,
      async block() {
        for (const key of keys) void publisher.mesh.publish(key);
        while (publisher.mesh.metrics().pending > 0) await setImmediate();
      },
      control: "publish.new.control",
    },
    {
      // Into a set and out of it, and as many turns of the event loop.
      name: "publish.new.control",
      unit: "ns/key",
      times: KEYS,
      async block() {
        for (const key of keys) set.add(key);
        await setImmediate();
        for (const key of keys) set.delete(key);
        sink = set;
      },
    },
  ];
}

async function deliverRows(): Promise<Row[]> {
  const keys = asciiKeys(EXACT);
  const datagrams = datagramsOf(keys);
  const sizes = Object.entries(EXACTS);
  return [
    deliverRow("unheard", unheard.receive, datagrams),
    deliverRow("prefix", prefix.receive, datagrams),
    ...(await Promise.all(sizes.map(([name, size]) => exactRows(name, asciiKeys(size))))).flat(),
    // With exact subscriptions to other keys.
    deliverRow("others", (await subscribed(keys)).receive, datagramsOf(keys.map((key) => key.replace("user", "item")))),
    {
      // The codec alone.
      name: "deliver.control",
      unit: "ns/key",
      times: TIMES,
      block: each((datagram) => readBatch(datagram, scanPacket(datagram), keep), datagrams),
    },
  ];
}

async function exactRows(name: string, keys: readonly string[]): Promise<Row[]> {
  const datagrams = datagramsOf(keys);
  const map = new Map(keys.map((key) => [key, key]));
  const lookUp = (key: string) => sink = map.get(key);
  const row = deliverRow(name, (await subscribed(keys)).receive, datagrams, `deliver.${name}.map`);
  const control = deliverRow(`${name}.map`, (data) => void readBatch(data, scanPacket(data), lookUp), datagrams);
  return [row, control];
}

function deliverRow(
  name: string,
  take: (datagram: Uint8Array) => void,
  datagrams: readonly Uint8Array[],
  control = "deliver.control",
): Row {
  return { name: `deliver.${name}`, unit: "ns/key", times: TIMES, block: each(take, datagrams), control };
}

function each(take: (datagram: Uint8Array) => unknown, datagrams: readonly Uint8Array[]): () => void {
  let next = 0;
  return () => {
    for (let i = 0; i < DATAGRAMS; i++) take(datagrams[next++ % datagrams.length] as Uint8Array);
    for (let end = turnEnds.shift(); end !== undefined; end = turnEnds.shift()) end();
  };
}

/**
 * Full datagrams of all keys, out of order: V8 and the processor's caches handle a key that came a moment ago much
 * faster.
 */
function datagramsOf(keys: readonly string[]): Uint8Array[] {
  return Array.from({ length: Math.floor(keys.length / KEYS_PER_DATAGRAM) }, (_, i) => {
    const writer = new BatchWriter(new Uint8Array(16).fill(7));
    for (let k = 0; k < KEYS_PER_DATAGRAM; k++) {
      writer.commit(writer.put(keys[((i * KEYS_PER_DATAGRAM + k) * 7919) % keys.length] as string));
    }
    return writer.bytes();
  });
}

async function subscribed(keys: readonly string[]): Promise<Offline> {
  const node = await openOffline({}, turning);
  for (const key of keys) node.mesh.subscribe(key, onEvent);
  return node;
}
