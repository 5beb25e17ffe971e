/**
 * Runs a service in three replicas behind HTTP for a while: a store that takes up to 13 ms, readers and writers, one
 * replica that is killed and restarted, one that is shut down. Prints how old what was served was.
 *
 *     npm run service                              30 s
 *     npm run service -- --seconds 60 --seed 7     longer, with other moments
 *     npm run service -- --order mesh-first        shuts the mesh down before the server, which is the wrong way round
 *
 * Ends with 1 when a read was older than 100 ms, except for the cost of a crash, or when a cache is wrong in the end.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:http";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SeededRandom } from "../adapters/memory.ts";
import { StalenessLedger } from "../tests/sim/replica_service.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "30" },
    seed: { type: "string", default: "1" },
    order: { type: "string", default: "server-first" },
  },
});

const SECONDS = Number(values.seconds);
const READERS = 24;
const WRITERS = 4;
const KEYS = 300;
const STORE_TAKES = 13;
/** `batchInterval`. */
const BOUND = 100;
/** `peerTimeout`, a heartbeat, and a round of gaps. */
const CRASH_COST = 20_200;
/** A change that was published so long before a crash may not have left the process. */
const BEFORE_CRASH = 150;

const random = new SeededRandom(Number(values.seed));
const now = () => performance.now();
const versions = new Map<string, number>();

const store = createServer(async ({ method, url = "/" }, response) => {
  const key = url.slice(1);
  await pause(random.between(0, STORE_TAKES / 2));
  const version = (versions.get(key) ?? 0) + (method === "PUT" ? 1 : 0);
  if (method === "PUT") versions.set(key, version);
  await pause(random.between(0, STORE_TAKES / 2));
  response.end(String(version));
});
store.keepAliveTimeout = 60_000;
await new Promise<void>((resolve) => void store.listen(0, "127.0.0.1", resolve));
const storeUrl = `http://127.0.0.1:${portOf(store.address())}`;

interface Replica {
  readonly child: ChildProcess;
  readonly url: string;
  readonly meshPort: number;
  isServing: boolean;
  endedAt: number;
  isKilled: boolean;
}

async function start(meshPort: number): Promise<Replica> {
  const script = fileURLToPath(new URL("./service_replica.ts", import.meta.url));
  const args = [...process.execArgv, script, storeUrl, String(meshPort), values.order];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [port, mesh] = await new Promise<number[]>((resolve, reject) => {
    child.stdout?.on("data", (data) => {
      const found = /READY (\d+) (\d+)/.exec(String(data));
      if (found !== null) resolve(found.slice(1).map(Number));
    });
    child.on("exit", (code) => reject(new Error(`A replica has ended with ${code} before it was ready`)));
  });
  const url = `http://127.0.0.1:${port}`;
  return { child, url, meshPort: mesh ?? 0, isServing: true, endedAt: Infinity, isKilled: false };
}

const ledger = new StalenessLedger();
const usual = new StalenessLedger();
/** Changes that a killed replica may not have sent. */
const untold: { readonly key: string; readonly version: number; readonly from: number }[] = [];
const recent: { readonly replica: Replica; readonly key: string; readonly version: number; readonly at: number }[] = [];
const counts = { changes: 0, failed: 0, old: 0 };
let isOver = false;

const first = await start(0);
const replicas = [first, await start(first.meshPort), await start(first.meshPort)];
const serving = () => replicas.filter(({ isServing }) => isServing);
const some = () => serving()[random.below(serving().length)] as Replica;
const keyOf = () => `user-${random.below(KEYS)}`;

async function request(replica: Replica, method: string, key: string): Promise<number> {
  const response = await fetch(`${replica.url}/${key}`, { method });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return Number(text);
}

async function reader(): Promise<void> {
  while (!isOver) {
    await pause(random.between(1, 40));
    const [key, at] = [keyOf(), now()];
    const version = await request(some(), "GET", key).catch(() => undefined);
    if (version === undefined) continue;
    const age = ledger.read(key, version, at);
    const isUntold = untold.some((change) => {
      return change.key === key && change.version > version && at - change.from <= CRASH_COST;
    });
    if (isUntold) continue;
    usual.oldest = age > usual.oldest.age ? { age, key, at } : usual.oldest;
    if (age > BOUND) counts.old++;
  }
}

/** One writer a key, so that the result of a change that fails is known. */
async function change(replica: Replica, key: string): Promise<void> {
  const before = versions.get(key) ?? 0;
  const isDone = await request(replica, "PUT", key).then(() => true, () => false);
  const version = versions.get(key) ?? 0;
  counts.changes++;
  if (!isDone) counts.failed++;
  if (version === before) return;
  const at = now();
  if (!isDone && replica.isKilled) untold.push({ key, version, from: replica.endedAt });
  ledger.changed(key, version, at);
  recent.push({ replica, key, version, at });
}

async function writer(index: number): Promise<void> {
  while (!isOver) {
    await pause(random.between(50, 300));
    await change(some(), `user-${random.below(KEYS / WRITERS) * WRITERS + index}`);
  }
}

const startedAt = now();
const loops = [...Array.from({ length: READERS }, reader), ...Array.from({ length: WRITERS }, (_, i) => writer(i))];

await pause(SECONDS * 100 + random.between(0, 500));
const victim = replicas[0] as Replica;
victim.isServing = false;
victim.isKilled = true;
victim.endedAt = now();
for (const write of recent) {
  if (write.replica === victim && write.at > victim.endedAt - BEFORE_CRASH) {
    untold.push({ ...write, from: victim.endedAt });
  }
}
victim.child.kill("SIGKILL");
await pause(random.between(200, 1000));
replicas[0] = await start(first.meshPort);

await pause(SECONDS * 200);
const leaver = replicas[1] as Replica;
leaver.child.kill("SIGTERM");
// A load balancer notices a little later.
await pause(50);
leaver.isServing = false;
await new Promise((resolve) => leaver.child.on("exit", resolve));

await pause(Math.max(0, startedAt + Math.max(SECONDS * 1000, victim.endedAt - startedAt + CRASH_COST) - now()));
isOver = true;
await Promise.all(loops);
await pause(1000);

let wrong = 0;
for (const replica of serving()) {
  for (let i = 0; i < KEYS; i++) {
    const key = `user-${i}`;
    if (await request(replica, "GET", key) !== (versions.get(key) ?? 0)) wrong++;
  }
}
for (const { child } of serving()) child.kill("SIGTERM");
await Promise.all(serving().map(({ child }) => new Promise((resolve) => child.on("exit", resolve))));
store.close();
store.closeAllConnections();

console.log(`${ledger.reads} reads, ${counts.changes} changes of which ${counts.failed} failed (killed, or shut down)`);
console.log(
  `oldest read ${usual.oldest.age.toFixed(1)} ms; with what the crash cost ${ledger.oldest.age.toFixed(1)} ms`,
);
console.log(`reads older than ${BOUND} ms: ${counts.old}; wrong in the end: ${wrong}`);
process.exitCode = counts.old + wrong === 0 ? 0 : 1;

function portOf(address: ReturnType<ReturnType<typeof createServer>["address"]>): number {
  return typeof address === "object" ? address?.port ?? 0 : 0;
}
