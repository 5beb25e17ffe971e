/**
 * The receiving process of `throughput.ts`. It counts keys by a prefix subscription or by 100,000 exact ones, or
 * datagrams on a bare socket.
 *
 * @module
 */

import { setTimeout } from "node:timers/promises";
import process from "node:process";
import { bind } from "../adapters/auto.ts";
import { openMesh } from "../mod.ts";
import { asciiKeys } from "./keys.ts";
import { serve } from "./peer.ts";
import {
  type How,
  KEY_POOL,
  type ReceiverReport,
  type ReceiverRequest,
  type ReceiverWelcome,
} from "./throughput_protocol.ts";

// So long nothing must have come for all to be through: several times what a full receive buffer takes.
const SETTLE_MS = 50;
// A call of the clock for each key would cost as much as the key.
const CLOCK_EVERY = 64;

let received = 0;
let first = 0;
let last = 0;
let startCpu = process.cpuUsage();

function arrived(): void {
  if (received++ % CLOCK_EVERY !== 0) return;
  last = performance.now();
  if (received === 1) first = last;
}

const mesh = await openMesh({ port: 0, interface: "127.0.0.1", multicast: false });
const bare = await bind(
  {
    host: "127.0.0.1",
    port: 0,
    shared: false,
    sendsMulticast: false,
    multicastLoopback: false,
    multicastTtl: 1,
    receiveBuffer: 4 * 1024 * 1024,
  },
  {
    message: arrived,
    error: (error) => console.error(error),
  },
);
const keys = asciiKeys(KEY_POOL);
let current: How | undefined;
let stop = () => {};

await serve(async (request: ReceiverRequest): Promise<ReceiverWelcome | ReceiverReport> => {
  if (request.type === "start") start(request.how);
  if (request.type === "report") return await report();
  return { mesh: mesh.address, bare: bare.port };
});
await Promise.all([mesh.close(), bare.close()]);

function start(how: How): void {
  if (how !== current) subscribe(how);
  received = 0;
  startCpu = process.cpuUsage();
}

function subscribe(how: How): void {
  stop();
  const topics = how === "prefix" ? [{ prefix: "" }] : how === "exact" ? keys : [];
  const subscriptions = topics.map((topic) => mesh.subscribe(topic, arrived));
  stop = () => subscriptions.forEach((subscription) => subscription.close());
  current = how;
}

async function report(): Promise<ReceiverReport> {
  let before: number;
  do {
    before = received;
    await setTimeout(SETTLE_MS);
    // When the process was held up, its timers come before what the socket has for it.
    await setTimeout(1);
  } while (received !== before);
  const { user, system } = process.cpuUsage(startCpu);
  return { received, ms: last - first, cpuMs: (user + system) / 1000 };
}
