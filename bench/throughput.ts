/**
 * Throughput benchmark: keys a second as fast as each bus takes them without loss: from one process to another, from
 * one to four, and from four to four. It measures the mesh with default options and set up for many keys. It is
 * compared with datagrams between bare sockets, a loop that does no more than encode, send, receive and decode, and on
 * Node with Redis and NATS.
 *
 * @module
 */

import process from "node:process";
import type { BusName } from "./buses/bus.ts";
import { Crew, Line } from "./buses/line.ts";
import { type Figure, figure, print, type Unit } from "./figures.ts";
import { KEYS_PER_DATAGRAM } from "./keys.ts";
import { openServers } from "./servers.ts";
import { TOPOLOGIES, type Topology } from "./topologies.ts";

const quick = process.argv.includes("--quick");
// All lines are open at once and take turns. With `--quick` they share a few processes, one after the other.
const ROUNDS = quick ? 1 : 3;
const ROUND_MS = quick ? 50 : 500;
// For the compilers, and for the pacer to find its rate.
const WARM_UP_MS = 800;

/** The result of one round. */
interface Outcome {
  /** Keys a second, from the first publish to when the last subscriber had the last key. */
  readonly keys: number;
  /** Share of the keys that a subscriber did not get, of the subscriber that lost most. */
  readonly lost: number;
  /** Processor time for each key published, in nanoseconds: of all publishers, all subscribers, and the server. */
  readonly publish: number;
  readonly receive: number;
  readonly serve: number | undefined;
}

const servers = await openServers();
const crew = quick ? new Crew() : undefined;
const lines = [
  ...(["datagram", "loop", "mesh", "filled", "exact"] as const).map((bus) => new Line(bus, undefined, crew)),
  ...servers.map(({ broker, server }) => new Line(broker, server, crew)),
];
for (const topology of TOPOLOGIES) print(await figuresOf(topology));
await Promise.all(lines.map((line) => line.end()));
await Promise.all(servers.map(({ server }) => server.stop()));

async function figuresOf(topology: Topology): Promise<Figure[]> {
  // The cost of subscriptions to a subscriber, and of a socket, does not depend on the number of processes.
  const taken = lines.filter(({ bus }) => topology.name === "1to1" || (bus !== "exact" && bus !== "datagram"));
  const open = (line: Line) => line.open(topology.publishers, topology.subscribers);
  for (const line of quick ? [] : taken) {
    await open(line);
    await line.flood(WARM_UP_MS);
  }
  const outcomes = new Map<BusName, Outcome[]>(taken.map(({ bus }) => [bus, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const line of taken) {
      if (quick) await open(line);
      outcomes.get(line.bus)?.push(await outcome(line));
      if (quick) await line.close();
    }
  }
  if (!quick) await Promise.all(taken.map((line) => line.close()));
  return taken.flatMap(({ bus }) => summary(topology, bus, outcomes));
}

async function outcome(line: Line): Promise<Outcome> {
  const serverBefore = line.server?.cpuMs();
  const { published, arrived } = await line.flood(ROUND_MS);
  const serverAfter = line.server?.cpuMs();
  const keys = sum(published.map(({ keys }) => keys));
  const each = line.bus === "datagram" ? KEYS_PER_DATAGRAM : 1;
  const fewest = Math.min(...arrived.map(({ received }) => received)) * each;
  if (fewest === 0 || fewest > keys) throw new Error(`${fewest} keys have come by ${line.bus} of ${keys}`);
  const start = Math.min(...published.map(({ start }) => start));
  const end = Math.max(...published.map(({ end }) => end), ...arrived.map(({ last }) => last));
  const perKey = (ms: number) => (ms * 1e6) / keys;
  return {
    keys: (fewest / (end - start)) * 1000,
    lost: 1 - fewest / keys,
    publish: perKey(sum(published.map(({ cpuMs }) => cpuMs))),
    receive: perKey(sum(arrived.map(({ cpuMs }) => cpuMs))),
    serve: serverBefore === undefined || serverAfter === undefined ? undefined : perKey(serverAfter - serverBefore),
  };
}

function summary(topology: Topology, bus: BusName, outcomes: ReadonlyMap<BusName, readonly Outcome[]>): Figure[] {
  const rounds = (of: BusName, what: string, unit: Unit, pick: (outcome: Outcome) => number) => ({
    name: `throughput.${topology.name}.${of === "datagram" ? "bare" : of}.${what}`,
    unit,
    values: (outcomes.get(of) ?? []).map(pick),
  });
  const beside = (what: string, unit: Unit, pick: (outcome: Outcome) => number) =>
    figure(rounds(bus, what, unit, pick), bus === "loop" ? undefined : rounds("loop", what, unit, pick));
  const figures = [
    beside("keys", "keys/s", ({ keys }) => keys),
    figure(rounds(bus, "lost", "share", ({ lost }) => lost)),
    beside("cpu", "ms/Mkey", ({ publish, receive, serve = 0 }) => publish + receive + serve),
    beside("publisherCpu", "ms/Mkey", ({ publish }) => publish),
    beside("subscriberCpu", "ms/Mkey", ({ receive }) => receive),
  ];
  const served = outcomes.get(bus)?.every(({ serve }) => serve !== undefined);
  return served ? [...figures, figure(rounds(bus, "serverCpu", "ms/Mkey", ({ serve = 0 }) => serve))] : figures;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
