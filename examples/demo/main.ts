/**
 * The demo: three replicas of a small service, one each on Node, Deno and Bun, keep their caches right over one store
 * with no server. Each in turn changes a user; the terminal shows how long the others took to drop it. It ends by itself
 * and fails when a replica cannot be started, ends too early, or serves an old value later than the bound.
 *
 *     npm start
 *     npm start -- --rounds 30 --bound 100
 *     npm start -- --deaf bun         what happens when a replica does not subscribe
 *     npm start -- --crash deno       what happens when one is killed
 *     npm start -- --help             all options
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { FileStore } from "./file_store.ts";
import type { Message } from "./replica.ts";
import { ReplicaProcess, type Runtime, RUNTIMES } from "./replica_process.ts";
import { milliseconds, named, type Score, styled, table } from "./report.ts";
import { readSettings, type Settings, USAGE } from "./settings.ts";
import { type ClockDifference, compareClocks, sharedNow } from "./shared_clock.ts";

/** Time that a replica has to start, and then to find the others, in milliseconds. */
const START_TIMEOUT = 15_000;

const USERS: ReadonlyArray<readonly [id: string, name: string]> = [["41", "Ada"], ["42", "Grace"], ["43", "Alan"]];

/** A replica, and what it has said of itself. */
interface Replica {
  readonly process: ReplicaProcess;
  readonly score: Score;
  ready?: Extract<Message, { readonly say: "ready" }>;
  peers: number;
  clock: ClockDifference;
  /** When it dropped the entry of a key for the last time, by its clock. */
  readonly evictedAt: Map<string, number>;
}

const { rounds, bound, deaf, crash } = settingsOrUsage();
const interrupted = interruption();
const folder = mkdtempSync(join(tmpdir(), "warp-mesh-demo-"));
const replicas: Replica[] = [];
const conditions = new Set<() => void>();

// Whatever ends this process ends the replicas: this when it can still act, the end of their input when it cannot.
process.on("exit", () => {
  for (const replica of replicas) replica.process.kill();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

process.exitCode = await Promise.race([demo(), interrupted]).catch((error: Error) => {
  console.error(`\n${styled("red", `The demo has failed: ${error.message}`)}`);
  return 1;
});
await Promise.all(replicas.map((replica) => replica.process.stop()));
process.exit();

/** What the command line asks for. Ends the process with 0 when that is help, with 2 when it cannot be. */
function settingsOrUsage(): Settings {
  try {
    const settings = readSettings(process.argv.slice(2));
    if (settings !== undefined) return settings;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    console.error(`${USAGE}\n\n${(error as Error).message}`);
    process.exit(2);
  }
}

async function demo(): Promise<number> {
  console.log("Three replicas of one service, a cache in each, one store of files, no server.\n");
  const store = new FileStore(folder);
  for (const [id, name] of USERS) await store.write(`user:${id}`, name);
  await startAll();
  for (let number = 1; number <= rounds; number++) {
    await orCrash(playRound(number));
    if (number === 1) replicas.find((replica) => replica.process.runtime === crash)?.process.kill();
  }
  return summary();
}

/** Starts the first replica on a free port, and the others on the same one. */
async function startAll(): Promise<void> {
  const [first, ...others] = RUNTIMES;
  const { port } = await readyOf(start(first, 0));
  await Promise.all(others.map((runtime) => readyOf(start(runtime, port))));
  await orCrash(until(
    () => replicas.every((replica) => replica.peers === RUNTIMES.length - 1),
    START_TIMEOUT,
    "the replicas have not found each other",
  ));
  for (const replica of replicas) {
    replica.clock = await orCrash(compareClocks(() => replica.process.clock()));
    const { version, address, adapter, pid } = await readyOf(replica);
    console.log(
      `${named(replica.process.runtime)} ${version.padEnd(8)} is ${address}, adapter "${adapter}", process ${pid}`,
    );
  }
  console.log(`\nEach knows both others, by multicast on port ${port} of this host's loopback interface.\n`);
}

function start(runtime: Runtime, port: number): Replica {
  const replica: Replica = {
    process: new ReplicaProcess({ runtime, folder, port, deaf: runtime === deaf, onMessage }),
    score: { runtime, writes: 0, latencies: [], reads: 0, stale: 0 },
    peers: 0,
    clock: { offset: 0, error: 0 },
    evictedAt: new Map(),
  };
  replicas.push(replica);
  return replica;
}

async function readyOf(replica: Replica): Promise<NonNullable<Replica["ready"]>> {
  const text = `the replica on ${replica.process.runtime} has not started`;
  await orCrash(until(() => replica.ready !== undefined, START_TIMEOUT, text));
  if (replica.ready === undefined) throw new Error(text);
  return replica.ready;
}

function onMessage(message: Message, from: ReplicaProcess): void {
  const replica = replicas.find(({ process }) => process === from);
  if (replica === undefined) return;
  if (message.say === "ready") replica.ready = message;
  if (message.say === "peers") replica.peers = message.count;
  if (message.say === "evicted") replica.evictedAt.set(message.key, message.time);
  if (message.say === "trouble") console.log(`      ${named(from.runtime)} has trouble: ${message.text}`);
  for (const check of conditions) check();
}

async function playRound(number: number): Promise<void> {
  const writer = replicas[(number - 1) % replicas.length] as Replica;
  const others = replicas.filter((replica) => replica !== writer);
  const [id, person] = USERS[Math.floor((number - 1) / replicas.length) % USERS.length] as (typeof USERS)[number];
  const [key, name] = [`user:${id}`, `${person} ${number}`];
  // Now all have it in their caches.
  await Promise.all(replicas.map((replica) => replica.process.read(id)));
  for (const { evictedAt } of replicas) evictedAt.clear();

  const publishedAt = timeOf(writer, await writer.process.write(id, name));
  writer.score.writes++;
  process.stdout.write(
    `${String(number).padStart(3)}   ${named(writer.process.runtime)} writes ${key} = "${name}"`.padEnd(48),
  );
  await Promise.all(others.map(async (replica) => {
    const inTime = await until(() => replica.evictedAt.has(key), bound).then(() => true, () => false);
    if (!inTime) return;
    const latency = timeOf(replica, replica.evictedAt.get(key) ?? NaN) - publishedAt;
    replica.score.latencies.push(latency);
    process.stdout.write(`   ${named(replica.process.runtime)} drops it after ${milliseconds(latency)}`);
  }));
  await delay(Math.max(0, publishedAt + bound - sharedNow()));
  await Promise.all(replicas.map(async ({ process, score }) => {
    score.reads++;
    if (await process.read(id) !== name) score.stale++;
  }));
  process.stdout.write("\n");
}

/** A time of a replica's clock by the clock of this process. */
function timeOf(replica: Replica, time: number): number {
  return time - replica.clock.offset;
}

function summary(): number {
  const stale = replicas.reduce((sum, { score }) => sum + score.stale, 0);
  const errors = replicas.map(({ clock }) => clock.error).sort((a, b) => b - a);
  const error = (errors[0] ?? 0) + (errors[1] ?? 0);
  console.log(`\n${table(replicas.map(({ score }) => score))}\n`);
  console.log(
    `Times are from publish in one process to eviction in another; the clocks of two agree within ${
      milliseconds(error)
    }.`,
  );
  if (stale === 0) {
    console.log(styled("green", `No replica served an old value ${bound} ms after a change.`));
    return 0;
  }
  console.log(styled("red", `${stale} reads gave an old value ${bound} ms after a change.`));
  return 1;
}

/** Resolves as soon as `condition` holds, which is asked after each message; rejects after `timeout` milliseconds. */
function until(condition: () => boolean, timeout: number, otherwise = ""): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = () => condition() && settle(resolve);
    const timer = setTimeout(() => settle(() => reject(new Error(`${otherwise} within ${timeout} ms`))), timeout);
    function settle(how: () => void): void {
      clearTimeout(timer);
      conditions.delete(check);
      how();
    }
    conditions.add(check);
    check();
  });
}

/** Rejects when a replica ends meanwhile. */
function orCrash<T>(promise: Promise<T>): Promise<T> {
  return Promise.race([promise, ...replicas.map(({ process }) => process.crashed)]);
}

/** Resolves to the exit code when the user, or the system, ends the demo. */
function interruption(): Promise<number> {
  return new Promise((resolve) => {
    // The reader of a pipe has gone, as in `npm start | head`.
    process.stdout.on("error", () => resolve(1));
    for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
      process.once(signal, () => {
        console.log(`\nEnded by ${signal}.`);
        resolve(code);
      });
    }
  });
}
