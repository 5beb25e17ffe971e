/**
 * Hostile churn: an unknown node forges heartbeats, invents nodes and forges peer exchanges while real nodes join: C4.
 *
 * @module
 */

import { SeededRandom, type TappedDatagram } from "../../../adapters/memory.ts";
import { open } from "../../support/memory_sockets.ts";
import { pick } from "../storm/plan.ts";
import { hostAddress } from "../worlds.ts";
import { acquaintanceProblem, memoryProblem, reportProblem } from "./checks.ts";
import type { ChurnRun } from "./churn.ts";
import { PORT } from "./plan.ts";
import { acquaintanceTime, closeAll, untilAcquainted } from "./rest.ts";
import { GUESTS, type Target, type Trick, TRICKS, UNKNOWN, UnknownNode } from "./unknown_node.ts";
import { ChurnWorld } from "./world.ts";

/** Addresses that the unknown node names. The first of them are sockets that receive what is sent to them. */
const ADDRESSES = 10_000;
const VICTIMS = 20;
/** Datagrams of the unknown node in a burst. */
const BURST = 50;
/** Longest pause between two datagrams of a node to an address that has not responded, in milliseconds. */
const LONGEST_PAUSE = 3_600_000;
/**
 * Limit of the datagrams of one node to unvalidated addresses, at once and in a second: to those that nodes advertise
 * and to those that peer exchanges list. As in `docs/wire.md`.
 */
const PROBES = { burst: 64 + 256, perSecond: 16 + 64 };
/**
 * The same limit for all that a node sends: responses, probes, requests and heartbeats to the unknown node and to
 * others.
 */
const SENDS = { burst: 1500, perSecond: 700 };

interface HostilePlan {
  readonly heartbeat: number;
  readonly size: number;
  readonly multicast: boolean;
  readonly maxPeers: number;
  readonly tricks: readonly Trick[];
  /** How long the attack lasts, in milliseconds, and how many datagrams the unknown node sends in that time. */
  readonly time: number;
  readonly datagrams: number;
}

/** Makes the world of a seed. */
export function makeHostile(seed: number, trace?: (line: string) => void): ChurnRun {
  const plan = planHostile(seed);
  const { heartbeat, size, multicast, maxPeers, tricks, time, datagrams } = plan;
  const world = new ChurnWorld({ seed, heartbeat, faults: { delay: { min: 0.1, max: 2 } }, trace });
  const description = `${size} nodes ${multicast ? "by multicast" : "by a seed"}, heartbeat ${heartbeat}, ` +
    `maxPeers ${maxPeers}, ${datagrams} datagrams of an unknown node in ${time} ms: ${tricks.join(" ")}`;
  return { world, description, run: () => attack(world, plan) };
}

function planHostile(seed: number): HostilePlan {
  const random = new SeededRandom(seed);
  const tricks = TRICKS.filter(() => random.chance(0.4));
  const size = 4 + random.below(4);
  return {
    heartbeat: pick(random, [500, 1000, 5000]),
    size,
    multicast: random.chance(0.5),
    // Half of the room is for nodes that cannot be validated; the other half must do for guests and real nodes.
    maxPeers: pick(random, [2 * (size + GUESTS), 100, 1024]),
    tricks: tricks.length > 0 ? tricks : [pick(random, TRICKS)],
    time: random.between(2000, 20_000),
    datagrams: 500 + random.below(3000),
  };
}

async function attack(world: ChurnWorld, plan: HostilePlan): Promise<number> {
  const { random, network } = world;
  const { clock } = network;
  const { size, time, datagrams, tricks, maxPeers } = plan;
  world.isUnderAttack = true;
  const [advertised, listed] = [await targets(world, 1), await targets(world, 2)];
  // A list counts only when its sender has been validated.
  const watch = new Watch(world, tricks.includes("guest") ? [] : listed);
  const unknownNode = new UnknownNode(world, advertised, listed);
  await unknownNode.bind(tricks.includes("guest"));
  let hosts = 0;
  const join = async () => {
    const options = { multicast: plan.multicast, maxPeers, peers: plan.multicast ? [] : [`${hostAddress(0)}:${PORT}`] };
    await world.open(hostAddress(hosts++), options);
  };
  while (hosts < size - 2) await join();
  if (random.chance(0.7)) await clock.advance(random.next() * plan.heartbeat);
  const step = time / datagrams;
  const joinsAt = new Set([Math.floor(datagrams * random.next()), Math.floor(datagrams * random.next())]);
  for (let i = 0; i < datagrams; i++) {
    unknownNode.play(pick(random, tricks));
    if (joinsAt.has(i)) await join();
    // They come in bursts.
    if (i % BURST < BURST - 1) continue;
    await clock.advance(BURST * step);
    const isOver = world.now > world.lastChange + acquaintanceTime(world);
    world.check(tableProblem(world, maxPeers) ?? (isOver ? acquaintanceProblem(world) : undefined));
  }
  const took = await untilAcquainted(world);
  world.check(tableProblem(world, maxPeers) ?? watch.problem());
  await join();
  await untilAcquainted(world);
  await unknownNode.close();
  // Invented nodes are forgotten as go-warp's nodes are.
  await clock.advance(130_000);
  world.check(memoryProblem(world) ?? acquaintanceProblem(world) ?? reportProblem(world) ?? inventionProblem(world));
  world.check(watch.problem());
  await closeAll(world);
  return took;
}

/** Half of the addresses that the unknown node names. */
async function targets(world: ChurnWorld, half: 1 | 2): Promise<Target[]> {
  const { random, network } = world;
  const all: Target[] = [];
  for (let i = 0; i < VICTIMS / 2; i++) {
    const [host, port] = [`10.0.0.${half === 1 ? 200 + i : 220 + i}`, pick(random, [PORT, 53, 30_000])];
    await open(network.host(host), { port });
    all.push({ host, port });
  }
  while (all.length < ADDRESSES / 2) {
    const host = `10.${half * 10 + random.below(10)}.${random.below(256)}.${1 + random.below(250)}`;
    all.push({ host, port: 1 + random.below(65_535) });
  }
  return all;
}

function tableProblem(world: ChurnWorld, maxPeers: number): string | undefined {
  for (const { mesh, index } of world.running()) {
    const { peers } = mesh.metrics();
    if (peers > maxPeers) return `K7: node ${index} has ${peers} peers`;
    const followed = mesh.status().peers.length;
    if (followed > 3 * maxPeers) return `K7: node ${index} follows ${followed} nodes`;
  }
  return undefined;
}

/** A peer that does not exist. */
function inventionProblem(world: ChurnWorld): string | undefined {
  for (const node of world.running()) {
    const invention = [...node.known.keys()].find((id) => world.withId(id) === undefined);
    if (invention !== undefined) {
      return `K7: node ${node.index} still knows the unknown ${invention}`;
    }
  }
  return undefined;
}

/** Counts what nodes send, by destination. */
class Watch {
  readonly #world: ChurnWorld;
  /** When a node last sent something to an address that is no node's, in milliseconds, and how often it has. */
  readonly #sent = new Map<string, { readonly time: number; readonly times: number }>();
  readonly #probes = new Map<string, number>();
  readonly #sends = new Map<string, number>();
  /** Addresses that must get nothing. */
  readonly #spared: ReadonlySet<string>;
  readonly #begun: number;

  constructor(world: ChurnWorld, spared: readonly Target[]) {
    this.#world = world;
    this.#spared = new Set(spared.map(({ host, port }) => `${host}:${port}`));
    this.#begun = world.now;
    world.network.tap((datagram) => this.#see(datagram));
  }

  /** The node that has sent more than it may. */
  problem(): string | undefined {
    const seconds = (this.#world.now - this.#begun) / 1000;
    return excess("addresses that have not responded", this.#probes, PROBES, seconds) ??
      excess("datagrams", this.#sends, SENDS, seconds);
  }

  #see({ fate, from, to, multicast, time }: TappedDatagram): void {
    if (fate !== "sent" || from.host === UNKNOWN.host) return;
    this.#sends.set(from.host, (this.#sends.get(from.host) ?? 0) + 1);
    if ((multicast && to.host === "239.0.0.1") || to.host === UNKNOWN.host) return;
    const isNode = this.#world.nodes.some(({ mesh, host }) =>
      mesh.address === `${to.host}:${to.port}` || (host.address === to.host && to.port === PORT)
    );
    // The seed may not be open yet.
    if (isNode || (to.host === hostAddress(0) && to.port === PORT)) return;
    if (this.#spared.has(`${to.host}:${to.port}`)) {
      this.#world.problems.push(`K7: ${from.host} believes a list of an unvalidated node: ${to.host}:${to.port}`);
    }
    const path = `${from.host} to ${to.host}:${to.port}`;
    const last = this.#sent.get(path);
    const { times } = last ?? { times: 0 };
    this.#sent.set(path, { time, times: times + 1 });
    this.#probes.set(from.host, (this.#probes.get(from.host) ?? 0) + 1);
    if (last === undefined) return;
    const pause = time - last.time;
    // Once when it is advertised, and after 1, 2, 4 … heartbeats as peers list it.
    if (pause >= Math.min(this.#world.heartbeat * 2 ** Math.max(0, times - 2), LONGEST_PAUSE)) return;
    this.#world.problems.push(
      `K7: ${times + 1} datagrams from ${path}, which never responded, the last two in ${pause.toFixed(1)} ms`,
    );
  }
}

function excess(
  what: string,
  counts: ReadonlyMap<string, number>,
  { burst, perSecond }: { readonly burst: number; readonly perSecond: number },
  seconds: number,
): string | undefined {
  const most = burst + perSecond * seconds;
  for (const [host, count] of counts) {
    if (count > most) return `K7: ${host} has sent to ${count} ${what} in ${seconds.toFixed(1)} s`;
  }
  return undefined;
}
