/**
 * What a key costs in a whole node whose socket does nothing: published while it is pending, published anew, and
 * delivered from a full datagram to nobody, to a prefix subscription and to one of 100,000 exact ones.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import process from "node:process";
import { systemClock } from "../adapters/system.ts";
import type { MeshOptions } from "../mod.ts";
import type { Clock } from "../src/clock.ts";
import type { DatagramHandlers } from "../src/datagram_socket.ts";
import { MeshBus } from "../src/mesh_bus.ts";
import { BatchWriter } from "../src/wire/batch_writer.ts";
import { readBatch, scanPacket } from "../src/wire/packet.ts";
import { print } from "./figures.ts";
import { asciiKeys, KEYS_PER_DATAGRAM } from "./keys.ts";
import { measure, type Row } from "./micro.ts";

const KEYS = 1000;
const EXACT = 100_000;
const DATAGRAMS = 16;

// What came out last, so that no compiler drops the work.
let sink: unknown;
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

const pending = await open({}, never);
const publisher = await open({ batchInterval: 0, batchSize: 65_535, queueSize: 2 * KEYS }, systemClock);
const unheard = await open({}, turning);
const exact = await open({}, turning);
const prefix = await open({}, turning);
const everyKey = asciiKeys(EXACT);
const onEvent = () => events++;
for (const key of everyKey) exact.mesh.subscribe(key, onEvent);
prefix.mesh.subscribe({ prefix: "" }, onEvent);

print(
  await measure(
    [...pendingRows(), ...publishRows(), ...deliverRows()],
    process.argv.includes("--quick"),
  ),
);
if (sink === undefined || events === 0) throw new Error("Nothing was measured");
// The others hold nothing, and on their clock a node that leaves would wait for ever.
await publisher.mesh.close();

function pendingRows(): Row[] {
  const keys = asciiKeys(8);
  const set = new Set(keys);
  for (const key of keys) void pending.mesh.publish(key);
  const nothing = (key: string) => key;
  return [
    {
      name: "publish.pending",
      unit: "ns/call",
      times: KEYS,
      block() {
        for (let i = 0; i < KEYS; i++) sink = pending.mesh.publish(keys[i & 7] as string);
        if (pending.mesh.metrics().keysPublished !== keys.length) throw new Error("A key was not pending");
      },
      control: "publish.pending.control",
    },
    {
      // The least that it can be: an empty function and a look whether the key is pending.
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
      // In and out of a set, and as many turns of the event loop.
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

function deliverRows(): Row[] {
  // All keys in turn, out of order: V8 and the processor's caches take a key that came a moment ago for much less.
  const datagrams = Array.from({ length: Math.floor(EXACT / KEYS_PER_DATAGRAM) }, (_, i) => {
    const writer = new BatchWriter(new Uint8Array(16).fill(7));
    for (let k = 0; k < KEYS_PER_DATAGRAM; k++) {
      writer.add(everyKey[((i * KEYS_PER_DATAGRAM + k) * 7919) % EXACT] as string);
    }
    return writer.bytes();
  });
  let next = 0;
  const each = (take: (datagram: Uint8Array) => unknown) => () => {
    for (let i = 0; i < DATAGRAMS; i++) take(datagrams[next++ % datagrams.length] as Uint8Array);
    for (let end = turnEnds.shift(); end !== undefined; end = turnEnds.shift()) end();
  };
  const keep = (key: string) => sink = key;
  const times = DATAGRAMS * KEYS_PER_DATAGRAM;
  const nodes = { unheard, prefix, exact };
  return [
    ...Object.entries(nodes).map(([name, { receive }]): Row => ({
      name: `deliver.${name}`,
      unit: "ns/key",
      times,
      block: each(receive),
      control: "deliver.control",
    })),
    {
      // The codec alone.
      name: "deliver.control",
      unit: "ns/key",
      times,
      block: each((datagram) => readBatch(datagram, scanPacket(datagram), keep)),
    },
  ];
}

async function open(options: MeshOptions, clock: Clock): Promise<{ mesh: MeshBus; receive(data: Uint8Array): void }> {
  let handlers: DatagramHandlers | undefined;
  const mesh = await MeshBus.open({
    multicast: false,
    peers: ["127.0.0.2:9"],
    advertiseAddr: "127.0.0.1:7946",
    ...options,
    clock,
    bind(_, given) {
      handlers = given;
      const socket = { adapter: "memory", unmet: [], host: "127.0.0.1", port: 7946 } as const;
      const done = () => Promise.resolve();
      return Promise.resolve({ ...socket, receiveBuffer: undefined, send: done, join: done, leave: done, close: done });
    },
    resolve: (host) => Promise.resolve([host]),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    resolveSrv: () => Promise.reject(new Error("no look-ups")),
    networkInterfaces: () => [],
  });
  return { mesh, receive: (data) => handlers?.message(data, "127.0.0.2", 9) };
}
