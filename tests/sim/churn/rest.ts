/**
 * Rest: how a world of churn comes to rest and ends.
 *
 * @module
 */

import { acquaintanceProblem, memoryProblem } from "./checks.ts";
import type { ChurnWorld } from "./world.ts";

/** Longest time until all nodes know each other, in heartbeats, when nothing is lost. */
export const ACQUAINTANCE = 2;
/**
 * Path delays from a heartbeat until two nodes know each other by it: to the peer that lists one of them, to the node
 * that gets the list, a probe and its ack; and as many for what was under way before.
 */
const DELAYS = 8;
/** Pause before an unvalidated address is probed again for the first time, in milliseconds; it doubles each time. */
const REPROBE_PAUSE = 60_000;
/**
 * How often two nodes that learn of each other must be able to probe each other. When 10 % is lost and both probe, both
 * probes are lost with a chance of 1 %, and all of these with 10^-8.
 */
const PROBED = 4;

/** Heartbeats come after 0.85 to 1 of their interval. */
const SHORTEST_BEAT = 0.85;

/** Longest time until all nodes know each other after the last change, in milliseconds. */
export function acquaintanceTime({ heartbeat, longestDelay, lossy, isTangled, now }: ChurnWorld): number {
  const time = ACQUAINTANCE * heartbeat + DELAYS * longestDelay;
  if (lossy) return time + REPROBE_PAUSE * (2 ** (PROBED - 1) - 1);
  // A node that probed another during a partition, as a third node listed it, probes again 60 s later than twice that
  // time.
  return isTangled ? time + REPROBE_PAUSE + now : time;
}

/**
 * Advances until all nodes know each other. Returns how long it took since the last change, in heartbeats, or 0 when
 * they already do.
 *
 * @throws {BrokenWorld} when it takes too long
 */
export function untilAcquainted(world: ChurnWorld): Promise<number> {
  return until(world, () => acquaintanceProblem(world), acquaintanceTime(world));
}

/**
 * Advances until nothing is wrong. Returns how long it took since the last change, in heartbeats.
 *
 * @param problem describes what is still wrong
 * @param time that it may take since the last change, in milliseconds
 * @throws {BrokenWorld} when it takes longer
 */
export async function until(world: ChurnWorld, problem: () => string | undefined, time: number): Promise<number> {
  const { heartbeat, lastChange, network: { clock } } = world;
  // In units of the clock, so that it is reached.
  const end = Math.ceil(1000 * (lastChange + time)) / 1000;
  let found = problem();
  world.check();
  if (found === undefined) return 0;
  for (; found !== undefined; found = problem()) {
    world.check(memoryProblem(world));
    const beats = ((world.now - lastChange) / heartbeat).toFixed(2);
    if (world.now >= end) world.check(`${found}, ${beats} heartbeats later`);
    await clock.advance(Math.min(heartbeat / 20, Math.max(0.001, end - world.now)));
  }
  world.check();
  return (world.now - lastChange) / heartbeat;
}

/** Lets the world rest, then closes one node, then the others. `hasGroup`: all nodes hear each other by multicast. */
export async function closeAll(world: ChurnWorld, hasGroup = false): Promise<void> {
  const { heartbeat, longestDelay, network: { clock } } = world;
  await restAwhile(world, hasGroup);
  const [first, ...others] = world.running();
  const closing = first === undefined ? undefined : world.close(first);
  await clock.advance(100 + 2 * longestDelay);
  world.check(memoryProblem(world));
  await clock.run(Promise.all([closing, ...others.map((node) => world.close(node))]), 5000);
  // Datagrams that are under way arrive.
  await clock.advance(longestDelay + 1);
  const { sent } = world.network.stats;
  if (clock.pending > 0) world.check(`K6: ${clock.pending} timers are left when all nodes are closed`);
  await clock.advance(2 * heartbeat);
  if (world.network.stats.sent > sent) world.check("K6: something was sent when all nodes were closed");
  world.check();
}

/** Nothing happens for some heartbeats: no peer is lost, and no more is sent than necessary. */
async function restAwhile(world: ChurnWorld, hasGroup: boolean): Promise<void> {
  const { heartbeat, lossy, lastChange, network: { clock } } = world;
  const time = 4;
  // A node that shares its port with its successor repeats its leave for a second, as the acks do not reach it.
  await clock.advance(Math.max(0, lastChange + 1100 - world.now));
  const before = world.network.stats.sent;
  await clock.advance(time * heartbeat);
  const sent = world.network.stats.sent - before;
  world.check(memoryProblem(world));
  const { length } = world.running();
  // One to the group, or one to each other node and to three seeds; twice as many again for probes and acks.
  const each = hasGroup ? 1 : 1 + length + 3;
  // A crashed node is probed after 1, 2, 4 … heartbeats by each that knew it: three times in four of them at most.
  const crashed = world.nodes.filter(({ state }) => state === "crashed").length;
  const most = length * ((1 + time / SHORTEST_BEAT) * (lossy ? 3 * (1 + length + 3) : each) + 3 * crashed);
  if (sent > most) world.check(`K5: ${sent} datagrams in ${time} heartbeats of rest, of at most ${Math.floor(most)}`);
}
