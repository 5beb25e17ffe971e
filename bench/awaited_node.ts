/**
 * Awaited node: one process of the benchmark of awaited publishes, as publisher or as replica, by a mesh or by a broker
 * whose subscribers answer over a reply channel.
 *
 * @module
 */

import { connect, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { createClient } from "redis";
import { type MeshBus, openMesh } from "../mod.ts";
import { quantile } from "./figures.ts";
import { serve } from "./worker_process.ts";

/** The buses that are compared. */
export type AwaitedBus = "mesh" | "redis" | "nats";

/** What a process is asked. */
export type AwaitedRequest =
  | { readonly type: "open"; readonly bus: AwaitedBus; readonly port: number; readonly isPublisher: boolean }
  | { readonly type: "ready"; readonly others: number }
  /** Round trips and awaited publishes in turn, so many of each. */
  | { readonly type: "trips"; readonly count: number; readonly replicas: number }
  /** Awaited publishes, so many in flight, for a time in milliseconds. */
  | { readonly type: "flood"; readonly inFlight: number; readonly ms: number }
  | { readonly type: "close" };

/** Times of round trips and of awaited publishes, in milliseconds. */
export interface Trips {
  readonly trip: Readonly<Record<string, number>>;
  readonly awaited: Readonly<Record<string, number>>;
}

/** Awaited publishes a second. */
export interface Flood {
  readonly perSecond: number;
}

const CHANNEL = "keys";
const REPLIES = "replies";
/** Pause between two keys, in milliseconds: the mesh is idle in between. */
const PAUSE_MS = 1;

/** A publisher that awaits one replica. */
type PublishAwaited = (key: string) => Promise<unknown>;

let mesh: MeshBus | undefined;
let publishAwaited: PublishAwaited = () => Promise.resolve();
let close: () => Promise<unknown> = () => Promise.resolve();
let onPong: (key: string) => void = () => {};

async function open({ bus, port, isPublisher }: Extract<AwaitedRequest, { readonly type: "open" }>): Promise<number> {
  if (bus === "redis") await openRedis(port, isPublisher);
  else if (bus === "nats") await openNats(port, isPublisher);
  else {
    const opened = mesh = await openMesh({ interface: "127.0.0.1", port, queueSize: 10_000 });
    if (isPublisher) opened.subscribe({ prefix: "pong:" }, ({ key }) => onPong(key));
    else {
      opened.subscribe({ prefix: "key:" }, () => {});
      opened.subscribe({ prefix: "ping:" }, ({ key }) => void opened.publish(`pong:${key.slice("ping:".length)}`));
    }
    publishAwaited = (key) => opened.publishAndAwait(key, 1);
    close = () => opened.close();
  }
  return mesh?.port ?? port;
}

/** As services do it: the message names the publish, and the replica publishes that name after its callback. */
async function openRedis(port: number, isPublisher: boolean): Promise<void> {
  const options = { socket: { host: "127.0.0.1", port }, commandOptions: { timeout: 0 } };
  const [publisher, subscriber] = [createClient(options), createClient(options)];
  for (const client of [publisher, subscriber]) {
    client.on("error", (error) => {
      throw error;
    });
    await client.connect();
  }
  const open = new Map<string, () => void>();
  if (isPublisher) {
    await subscriber.subscribe(REPLIES, (key) => {
      open.get(key)?.();
      open.delete(key);
    });
  } else await subscriber.subscribe(CHANNEL, (key) => void publisher.publish(REPLIES, key));
  publishAwaited = (key) =>
    new Promise<void>((resolve) => {
      open.set(key, resolve);
      void publisher.publish(CHANNEL, key);
    });
  close = () => Promise.all([publisher.close(), subscriber.close()]);
}

/** By its own request and reply. */
async function openNats(port: number, isPublisher: boolean): Promise<void> {
  const connection: NatsConnection = await connect({ servers: `127.0.0.1:${port}` });
  if (!isPublisher) {
    const callback = (error: Error | null, message: Msg) => {
      if (error !== null) throw error;
      message.respond();
    };
    connection.subscribe(CHANNEL, { callback });
    await connection.flush();
  }
  publishAwaited = (key) => connection.request(CHANNEL, key, { timeout: 60_000 });
  close = () => connection.close();
}

async function trips(count: number, replicas: number): Promise<Trips> {
  const [trip, awaited]: [number[], number[]] = [[], []];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    await new Promise<void>((resolve) => {
      // The first of the replicas that answer ends the trip.
      onPong = (key) => key === `pong:${i}` && resolve();
      void mesh?.publish(`ping:${i}`);
    });
    trip.push(performance.now() - begun);
    await pause();
    const awaitedFrom = performance.now();
    await mesh?.publishAndAwait(`key:${i}`, replicas);
    awaited.push(performance.now() - awaitedFrom);
    await pause();
  }
  return { trip: quantiles(trip), awaited: quantiles(awaited) };
}

async function flood(inFlight: number, ms: number): Promise<Flood> {
  const begun = performance.now();
  let serial = 0;
  const publish = async () => {
    while (performance.now() - begun < ms) await publishAwaited(`key:${serial++}`);
  };
  await Promise.all(Array.from({ length: inFlight }, publish));
  return { perSecond: serial / (performance.now() - begun) * 1000 };
}

function quantiles(times: readonly number[]): Record<string, number> {
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

await serve(async (request: AwaitedRequest) => {
  switch (request.type) {
    case "open":
      return await open(request);
    case "ready":
      return await mesh?.waitForPeers(request.others) ?? null;
    case "trips":
      return await trips(request.count, request.replicas);
    case "flood":
      return await flood(request.inFlight, request.ms);
    case "close":
      await close();
      return null;
  }
});
