/**
 * Benchmark of awaited publishes: how long one takes beside a round trip by plain publishes, with two replicas, and how
 * many a second one replica acknowledges with a thousand in flight. The latter is compared, on Node, with Redis, whose
 * subscriber answers over a reply channel, and with the requests of NATS.
 *
 * @module
 */

import process from "node:process";
import type { AwaitedBus, AwaitedRequest, Flood, Trips } from "./awaited_node.ts";
import { type Figure, figure, print } from "./figures.ts";
import { openServers } from "./servers.ts";
import { type Peer, startPeer } from "./worker_process.ts";

const quick = process.argv.includes("--quick");
const ROUNDS = quick ? 1 : 5;
const TRIPS = quick ? 50 : 1000;
const FLOOD_MS = quick ? 50 : 500;
const WARM_UP = { trips: quick ? 10 : 500, ms: quick ? 50 : 800 };
const IN_FLIGHT = 1000;
const NODE = new URL("./awaited_node.ts", import.meta.url);

/** A publisher, and replicas. */
class Group {
  readonly #peers: readonly Peer[];

  private constructor(peers: readonly Peer[]) {
    this.#peers = peers;
  }

  static async open(bus: AwaitedBus, replicas: number, server = 0): Promise<Group> {
    const peers = Array.from({ length: 1 + replicas }, () => startPeer(NODE));
    const group = new Group(peers);
    let port = server;
    for (const [i, peer] of peers.entries()) {
      port = await ask<number>(peer, { type: "open", bus, port, isPublisher: i === 0 });
    }
    for (const peer of peers) await ask(peer, { type: "ready", others: replicas });
    return group;
  }

  async publish<Answer>(request: AwaitedRequest): Promise<Answer> {
    const [publisher] = this.#peers;
    if (publisher === undefined) throw new Error("There is no publisher");
    return await ask<Answer>(publisher, request);
  }

  async end(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => ask(peer, { type: "close" })));
    await Promise.all(this.#peers.map((peer) => peer.end()));
  }
}

print(await latencies());
print(await throughput());

async function latencies(): Promise<Figure[]> {
  const group = await Group.open("mesh", 2);
  const measure = (count: number) => group.publish<Trips>({ type: "trips", count, replicas: 2 });
  await measure(WARM_UP.trips);
  const rounds: Trips[] = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push(await measure(TRIPS));
  await group.end();
  return ["p50", "p99"].flatMap((quantile) => {
    const of = (what: "trip" | "awaited") => ({
      name: `awaited.latency.${what === "trip" ? "trip" : "mesh"}.${quantile}`,
      unit: "ms" as const,
      values: rounds.map((round) => round[what][quantile] as number),
    });
    return [figure(of("trip")), figure(of("awaited"), of("trip"))].map((each) => ({ ...each, samples: TRIPS }));
  });
}

async function throughput(): Promise<Figure[]> {
  const servers = await openServers();
  const buses: [AwaitedBus, Group][] = [["mesh", await Group.open("mesh", 1)]];
  for (const { broker, server } of servers) buses.push([broker, await Group.open(broker, 1, server.port)]);
  const flood = async (group: Group, ms: number) =>
    (await group.publish<Flood>({ type: "flood", inFlight: IN_FLIGHT, ms })).perSecond;
  for (const [, group] of buses) await flood(group, WARM_UP.ms);
  const rounds = new Map<AwaitedBus, number[]>(buses.map(([bus]) => [bus, []]));
  for (let i = 0; i < ROUNDS; i++) {
    for (const [bus, group] of buses) rounds.get(bus)?.push(await flood(group, FLOOD_MS));
  }
  for (const [, group] of buses) await group.end();
  for (const { server } of servers) await server.stop();
  const of = (bus: AwaitedBus) => ({
    name: `awaited.throughput.${bus}.keys`,
    unit: "keys/s" as const,
    values: rounds.get(bus) ?? [],
  });
  const control = rounds.has("redis") ? of("redis") : undefined;
  return buses.map(([bus]) => figure(of(bus), bus === "redis" ? undefined : control));
}

async function ask<Answer>(peer: Peer, request: AwaitedRequest): Promise<Answer> {
  return await peer.request(request) as Answer;
}
