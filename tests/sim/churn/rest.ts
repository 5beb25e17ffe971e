/**
 * How a world of nodes that come and go comes to rest, and ends.
 *
 * @module
 */

import { acquaintanceProblem, memoryProblem } from "./checks.ts";
import type { ChurnWorld } from "./world.ts";

/** How long everybody may take to know everybody, in heartbeats, when nothing is lost. */
export const ACQUAINTANCE = 2;
/**
 * Ways from a heartbeat until two know each other by it: to the one that tells, to the one that is told, and a probe and its
 * answer; and as many for what was under way before.
 */
const WAYS = 8;
/**
 * Pause before an address is asked again that has not answered, the first time, in milliseconds; it doubles each time.
 */
const ASK_AGAIN = 60_000;
/**
 * How often two that hear of each other must be able to ask each other. When 10 % is lost and both ask, both questions are
 * lost with a chance of 1 %: all of these with 10^-8.
 */
const ASKED = 4;

/** Heartbeats come after 0.85 to 1 of their time. */
const SHORTEST_BEAT = 0.85;

/** How long everybody may take to know everybody after the last change, in milliseconds. */
export function acquaintanceTime({ heartbeat, longestWay, lossy, isTangled, now }: ChurnWorld): number {
  const time = ACQUAINTANCE * heartbeat + WAYS * longestWay;
  if (lossy) return time + ASK_AGAIN * (2 ** (ASKED - 1) - 1);
  // Who asked another while they were apart, as a third told of it, asks again after 60 s more than since the first time.
  return isTangled ? time + ASK_AGAIN + now : time;
}

/**
 * Goes on until all know each other; returns how long it took since the last change, in heartbeats; 0 when it is.
 *
 * @throws {BrokenWorld} when it takes too long
 */
export function untilAcquainted(world: ChurnWorld): Promise<number> {
  return until(world, () => acquaintanceProblem(world), acquaintanceTime(world));
}

/**
 * Goes on until something is as it must be; returns how long it took since the last change, in heartbeats.
 *
 * @param problem says in words what is not yet so
 * @param time that it may take since the last change, in milliseconds
 * @throws {BrokenWorld} when it takes longer
 */
export async function until(world: ChurnWorld, problem: () => string | undefined, time: number): Promise<number> {
  const { heartbeat, lastChange, network: { clock } } = world;
  // In grains of the clock, so that it is reached.
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

/** Lets the world rest, then closes one node, then the others. `hasGroup` says that all hear each other by multicast. */
export async function closeAll(world: ChurnWorld, hasGroup = false): Promise<void> {
  const { heartbeat, longestWay, network: { clock } } = world;
  await restAwhile(world, hasGroup);
  const [first, ...others] = world.running();
  const closing = first === undefined ? undefined : world.close(first);
  await clock.advance(100 + 2 * longestWay);
  world.check(memoryProblem(world));
  await clock.run(Promise.all([closing, ...others.map((node) => world.close(node))]), 5000);
  // What is under way arrives.
  await clock.advance(longestWay + 1);
  const { sent } = world.network.stats;
  if (clock.pending > 0) world.check(`K6: ${clock.pending} timers are left when all nodes are closed`);
  await clock.advance(2 * heartbeat);
  if (world.network.stats.sent > sent) world.check("K6: something was sent when all nodes were closed");
  world.check();
}

/** Nothing happens for some heartbeats: nobody is lost, and no more is sent than need be. */
async function restAwhile(world: ChurnWorld, hasGroup: boolean): Promise<void> {
  const { heartbeat, lossy, lastChange, network: { clock } } = world;
  const time = 4;
  // Who shares its port with the next says that it leaves for a second, as the answers do not reach it.
  await clock.advance(Math.max(0, lastChange + 1100 - world.now));
  const before = world.network.stats.sent;
  await clock.advance(time * heartbeat);
  const sent = world.network.stats.sent - before;
  world.check(memoryProblem(world));
  const { length } = world.running();
  // One to the group, or one to each other and to three seeds; twice as many again when questions are asked and answered.
  const each = hasGroup ? 1 : 1 + length + 3;
  // One that has crashed is asked after 1, 2, 4 … heartbeats by each that knew it: three times in four of them at most.
  const crashed = world.nodes.filter(({ state }) => state === "crashed").length;
  const most = length * ((1 + time / SHORTEST_BEAT) * (lossy ? 3 * (1 + length + 3) : each) + 3 * crashed);
  if (sent > most) world.check(`K5: ${sent} datagrams in ${time} heartbeats of rest, of at most ${Math.floor(most)}`);
}
