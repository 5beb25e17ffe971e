/**
 * The receiving process of `throughput.ts`. It counts keys by a prefix subscription or by 100,000 exact ones, or
 * datagrams on a bare socket.
 *
 * @module
 */

import { setTimeout } from "node:timers/promises";
import process from "node:process";
import { bind } from "../adapters/auto.ts";
import { openMesh, type SyncEvent } from "../mod.ts";
import { asciiKeys } from "./keys.ts";
import { serve } from "./peer.ts";
import {
  type How,
  KEY_POOL,
  type ReceiverReport,
  type ReceiverRequest,
  type ReceiverWelcome,
} from "./throughput_protocol.ts";

// So long nothing must have come on the bare socket for all to be through: several times what a full receive buffer takes.
const SETTLE_MS = 50;
// On the mesh, where what is lost is repaired: several times the longest pause between two requests for it.
const REPAIR_MS = 5_000;
const LOOK_MS = 2;
// A call of the clock for each key would cost as much as the key.
const CLOCK_EVERY = 64;

// With multicast each key comes twice, by the group and by unicast, and is delivered once.
const multicast = process.argv.includes("--multicast");

let received = 0;
let first = 0;
let last = 0;
let missingBefore = 0;
let startCpu = process.cpuUsage();

function arrived(): void {
  if (received++ % CLOCK_EVERY !== 0) return;
  last = performance.now();
  if (received === 1) first = last;
}

function heard({ cause }: SyncEvent): void {
  if (cause === "publish") arrived();
}

const mesh = await openMesh({ port: 0, interface: "127.0.0.1", multicast });
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
  if (request.type === "report") return await report(request.keys);
  return { mesh: mesh.address, port: mesh.port, bare: bare.port };
});
await Promise.all([mesh.close(), bare.close()]);

function start(how: How): void {
  if (how !== current) subscribe(how);
  received = 0;
  missingBefore = mesh.metrics().missing;
  startCpu = process.cpuUsage();
}

function subscribe(how: How): void {
  stop();
  const topics = how === "prefix" ? [{ prefix: "" }] : how === "exact" ? keys : [];
  const subscriptions = topics.map((topic) => mesh.subscribe(topic, heard));
  stop = () => subscriptions.forEach((subscription) => subscription.close());
  current = how;
}

async function report(keys: number): Promise<ReceiverReport> {
  const patience = current === "bare" ? SETTLE_MS : REPAIR_MS;
  let before = -1;
  let since = performance.now();
  while (current === "bare" || received < keys) {
    const now = performance.now();
    if (received !== before) since = now;
    else if (now - since > patience) break;
    before = received;
    await setTimeout(LOOK_MS);
    // When the process was held up, its timers come before what the socket has for it.
    await setTimeout(1);
  }
  const { user, system } = process.cpuUsage(startCpu);
  const missing = mesh.metrics().missing - missingBefore;
  return { received, ms: last - first, cpuMs: (user + system) / 1000, missing };
}
