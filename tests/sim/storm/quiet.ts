/**
 * Seeded worlds of hours in which hardly anything happens: for faults that develop slowly.
 *
 * @module
 */

import { watchProblem } from "./invariants.ts";
import type { StormNode } from "./node.ts";
import { pick } from "./plan.ts";
import type { StormWorld } from "./world.ts";

type Check = (problem?: string) => void;

/** Keeps what was sent for as long as a world can last, in milliseconds. */
const KEEPS = { repairAge: 86_400_000 };
/** Number of checks in a long time. */
const LOOKS = 40;

/** Plays one long scene. At its end the same must hold as after a storm. */
export async function runQuiet(world: StormWorld, check: Check): Promise<void> {
  const { plan, random } = world;
  if (plan.late) await copies(world, check);
  else await pick(random, [meeting, cut, cut])(world, check);
}

/** Two nodes cannot communicate from the beginning, and meet hours later: what was published meanwhile must arrive. */
async function meeting(world: StormWorld, check: Check): Promise<void> {
  const { plan, random, network: { clock } } = world;
  world.set({ loss: 1 });
  const publisher = await world.open("extended", world.hosts++, KEEPS);
  if (random.chance(0.5)) {
    await clock.advance(random.below(2000));
    world.publish(publisher);
  }
  await clock.advance(random.below(2000));
  for (let i = 1; i < plan.kinds.length; i++) await world.open("extended", world.hosts++, KEEPS);
  await clock.advance(pick(random, [0.1, 1, 3, 10, 100, 10_000]));
  world.publish(publisher);
  await pass(world, check, plan.duration, 0);
}

/**
 * Nodes that know each other are cut off for longer than `peerTimeout`, at times without the seed by which they met.
 */
async function cut(world: StormWorld, check: Check): Promise<void> {
  const { plan, random, network } = world;
  const nodes = await openAll(world, 2 + plan.kinds.length);
  await pass(world, check, 4 * plan.heartbeat, 0.1);
  const [seed, ...others] = nodes as [StormNode, ...StormNode[]];
  if (random.chance(0.7)) {
    seed.isReplaced = true;
    if (random.chance(0.5)) world.crash(seed);
    else world.leave(seed);
    await pass(world, check, 5 * plan.heartbeat, 0.1);
  }
  const left = others.filter(() => random.chance(0.5)).map(({ host }) => host.address);
  network.partition([left, nodes.map(({ host }) => host.address).filter((address) => !left.includes(address))]);
  await pass(world, check, plan.duration, 0.2);
}

/** A node ends, and copies of its datagrams arrive, up to hours later. */
async function copies(world: StormWorld, check: Check): Promise<void> {
  const { plan, random } = world;
  const nodes = await openAll(world, plan.kinds.length + 1);
  await pass(world, check, 3 * plan.heartbeat, 0.5);
  const node = pick(random, nodes.slice(1));
  node.isReplaced = true;
  world.publish(node);
  await pass(world, check, random.between(0, 2) * plan.heartbeat, 0.5);
  if (random.chance(0.5)) world.crash(node);
  else world.leave(node);
  for (let i = 0; i < 10; i++) {
    await pass(world, check, plan.duration * random.next() ** 3 / 3, 0.05);
    world.late?.play();
    await pass(world, check, random.between(0, 4 * plan.heartbeat), 0.05);
    check(goneProblem(world, nodes));
  }
}

/** A node that departed long ago is a peer, or a peer is in doubt. */
function goneProblem({ now, late, excuses }: StormWorld, nodes: readonly StormNode[]): string | undefined {
  for (const node of nodes) {
    const { index, mesh, state } = node;
    if (state !== "running") continue;
    for (const other of nodes) {
      if (other.endedAt + 2 * other.peerTimeout > now) continue;
      const isThere = mesh?.peers().some((address) => address.startsWith(`${other.host.address}:`));
      if (isThere && (late?.playedAt(node, other.id) ?? -Infinity) + 2 * other.peerTimeout > now) {
        excuses.use("late copies");
      } else if (isThere) {
        return `P17: node ${index} has node ${other.index} as a peer, which is ${other.state} since ${other.endedAt}`;
      }
    }
  }
  return undefined;
}

async function openAll(world: StormWorld, count: number): Promise<StormNode[]> {
  const nodes: StormNode[] = [];
  for (let i = 0; i < count; i++) {
    nodes.push(await world.open("extended", world.hosts++, world.random.chance(0.5) ? KEEPS : {}));
    await world.network.clock.advance(world.random.below(500));
  }
  return nodes;
}

/** Lets time pass, with some keys. */
async function pass(world: StormWorld, check: Check, time: number, traffic: number): Promise<void> {
  for (let i = 0; i < LOOKS; i++) {
    await world.network.clock.advance(time / LOOKS);
    if (world.random.chance(traffic)) world.traffic(1 + world.random.below(3));
    if (i % 4 === 0) world.awaits.play();
    check(watchProblem(world));
  }
}
