/**
 * What the hot paths allocate and execute, counted by the engine: `hot_paths.ts` starts it, and it prints JSON.
 *
 * Nothing is optimised here, so that the counts do not depend on when a compiler runs: the bytes that one operation
 * allocates, and the blocks of code (functions, branches, turns of loops) that it executes, as V8's coverage counts
 * them.
 *
 * @module
 */

import { Session } from "node:inspector/promises";
import process from "node:process";
import { setImmediate as turnEnd } from "node:timers";
import { setImmediate } from "node:timers/promises";
import { SendQueue } from "../adapters/send_queue.ts";
import type { MeshOptions } from "../mod.ts";
import type { Clock } from "../src/platform/clock.ts";
import type { DatagramHandlers } from "../src/platform/datagram_socket.ts";
import { MeshBus } from "../src/mesh_bus.ts";
import { BatchWriter } from "../src/wire/batch_writer.ts";
import { visitBatch } from "../src/wire/packet.ts";
import { KeyBytes } from "../src/wire/key_bytes.ts";
import { scanPacket } from "../src/wire/packet.ts";

/** The counts of one operation of a hot path. */
export interface HotPathCounts {
  readonly bytes: number;
  readonly blocks: number;
}

interface HotPath {
  readonly name: string;
  /** Operations in a run. */
  readonly times: number;
  readonly run: () => unknown;
}

const KEYS = 4000;
const PER_DATAGRAM = 60;
const keys = Array.from({ length: KEYS }, (_, i) => `user:${String(i).padStart(11, "0")}`);
const nodeId = new Uint8Array(16).fill(7);
/** Longer timers are those of heartbeats and announcements, which are no hot path: they never fire. */
const LONGEST_PAUSE = 10;

/** Time advances by 0.1 µs with each reading, so that nothing is ever late, and jumps over pauses. */
let time = 0;
const clock: Clock = {
  now: () => time += 1e-4,
  setTimer(callback, delay) {
    if (delay < LONGEST_PAUSE) {
      turnEnd(() => {
        time += delay;
        callback();
      });
    }
    return { cancel() {} };
  },
  setTurnEnd(callback) {
    turnEnd(callback);
    return { cancel() {} };
  },
};
const collect = (globalThis as { gc?: () => void }).gc;
if (collect === undefined) throw new Error("Start it with --expose-gc");

const publisher = await open({ batchInterval: 0, queueSize: 2 * KEYS, repairBytes: 65_536 });
const unheard = await open({});
const prefix = await open({});
const exact = await open({});
const single = await open({});
let heard = 0;
const onEvent = () => heard++;
prefix.mesh.subscribe({ prefix: "" }, onEvent);
single.mesh.subscribe({ prefix: "" }, onEvent);
for (const key of keys) exact.mesh.subscribe(key, onEvent);

const paths: readonly HotPath[] = [
  {
    name: "publish, pending",
    times: KEYS,
    run() {
      for (let i = 0; i < KEYS; i++) void publisher.mesh.publish("user:42");
    },
  },
  {
    name: "publish and send, per key",
    times: KEYS,
    async run() {
      for (const key of keys) void publisher.mesh.publish(key);
      while (publisher.mesh.metrics().pending > 0) await setImmediate();
    },
  },
  {
    name: "publish and send, one key a turn",
    times: KEYS,
    async run() {
      for (const key of keys) {
        void publisher.mesh.publish(key);
        await setImmediate();
      }
    },
  },
  { name: "receive, unheard, per key", times: KEYS, run: receiver(unheard, PER_DATAGRAM) },
  { name: "receive, prefix, per key", times: KEYS, run: receiver(prefix, PER_DATAGRAM) },
  { name: "receive, exact, per key", times: KEYS, run: receiver(exact, PER_DATAGRAM) },
  { name: "receive, one key a datagram", times: KEYS, run: receiver(single, 1) },
  { name: "receive a copy, per datagram", times: KEYS, run: copies() },
  { name: "decode, per key", times: KEYS, run: decoding() },
  { name: "send 16 datagrams", times: 100, run: sending() },
];

const session = new Session();
session.connect();
await session.post("Profiler.enable");
const counts: Record<string, HotPathCounts> = {};
for (const { name, times, run } of paths) {
  // Once for what is made on first use, and once for the object shapes that follow.
  for (let i = 0; i < 3; i++) await run();
  const allocated: number[] = [];
  for (let i = 0; i < 5; i++) {
    collect();
    const before = process.memoryUsage().heapUsed;
    await run();
    allocated.push(process.memoryUsage().heapUsed - before);
  }
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  await session.post("Profiler.takePreciseCoverage");
  await run();
  const { result } = await session.post("Profiler.takePreciseCoverage");
  await session.post("Profiler.stopPreciseCoverage");
  let blocks = 0;
  for (const { url, functions } of result) {
    if (!/\/(?:src|adapters)\//.test(url)) continue;
    for (const { ranges } of functions) for (const { count } of ranges) blocks += count;
  }

  // The engine counts young objects by pages of 256 kB, of which a run may begin one more than it fills.
  counts[name] = { bytes: Math.min(...allocated) / times, blocks: blocks / times };
}
if (heard === 0) throw new Error("Nothing was delivered");
console.log(JSON.stringify(counts));
process.exit();

async function open(options: MeshOptions): Promise<{ mesh: MeshBus; receive(data: Uint8Array): void }> {
  let handlers: DatagramHandlers | undefined;
  const done = () => Promise.resolve();
  const mesh = await MeshBus.open({
    multicast: false,
    peers: ["127.0.0.2:9"],
    advertiseAddr: "127.0.0.1:7946",
    ...options,
    clock,
    bind(_, given) {
      handlers = given;
      const queue = new SendQueue((_datagrams, _host, _port, done) => done());
      return Promise.resolve({
        ...{ adapter: "memory", unmet: [], host: "127.0.0.1", port: 7946, receiveBuffer: undefined } as const,
        ...{ send: queue.send.bind(queue), sendMany: queue.sendMany.bind(queue), join: done, leave: done, close: done },
      });
    },
    resolve: (host) => Promise.resolve([host]),
    randomBytes: (length) => new Uint8Array(length).fill(length),
    resolveSrv: () => Promise.reject(new Error("no look-ups")),
    networkInterfaces: () => [],
  });
  return { mesh, receive: (data) => handlers?.message(data, "127.0.0.2", 9) };
}

function batches(perDatagram: number): { readonly writer: BatchWriter; number: number }[] {
  return Array.from({ length: Math.ceil(KEYS / perDatagram) }, (_, i) => {
    const writer = new BatchWriter(nodeId, true);
    for (const key of keys.slice(i * perDatagram, (i + 1) * perDatagram)) writer.commit(writer.put(key));
    return { writer, number: 0 };
  });
}

/** All keys, in datagrams with successive numbers. */
function receiver({ receive }: { receive(data: Uint8Array): void }, perDatagram: number): () => void {
  const all = batches(perDatagram);
  let number = 0;
  return () => {
    for (const { writer } of all) receive(writer.bytes(++number));
  };
}

/** One datagram that has arrived before, again and again. */
function copies(): () => void {
  const [batch] = batches(PER_DATAGRAM);
  const datagram = batch?.writer.bytes(1).slice() ?? new Uint8Array();
  return () => {
    for (let i = 0; i < KEYS; i++) prefix.receive(datagram);
  };
}

function decoding(): () => void {
  const datagrams = batches(PER_DATAGRAM).map(({ writer }) => writer.bytes());
  const key = new KeyBytes();
  let length = 0;
  const visit = ({ start, end }: KeyBytes) => length += end - start;
  return () => {
    for (const datagram of datagrams) visitBatch(datagram, scanPacket(datagram), key, visit);
  };
}

function sending(): () => Promise<void> {
  const queue = new SendQueue((_datagrams, _host, _port, done) => done());
  const group = Array.from({ length: 16 }, () => new Uint8Array(1400));
  return async () => {
    for (let i = 0; i < 100; i++) await queue.sendMany(group, "127.0.0.1", 9);
  };
}
