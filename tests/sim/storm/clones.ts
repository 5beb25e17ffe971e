/**
 * Seeded worlds in which two nodes have the same id: machines that are cloned, and processes that are set back.
 *
 * @module
 */

import type { StormNode } from "./node.ts";
import { pick } from "./plan.ts";
import type { StormWorld } from "./world.ts";

/** Longest pause of the network between two events, in milliseconds. */
const STEP = 60;

/**
 * Properties that go by ids or by numbers of a stream, which belong to two nodes here. What each node accepts must
 * reach all others or be a gap to them, guards must notice, and in the end all nodes must know each other by ids of
 * their own.
 */
export const NOT_OF_CLONES: readonly string[] = [
  "P2",
  "P10",
  "P13",
  "P14",
  "P15",
  "P16",
  "P17",
  "P18",
  "P19",
  "P20",
  "P22",
];

/** Gives two nodes the same id, once or several times, while keys are published. */
export async function runClones(world: StormWorld, check: (problem?: string) => void): Promise<void> {
  const { plan, random, network: { clock } } = world;
  for (const kind of plan.kinds) {
    await world.open(kind, world.hosts++);
    if (random.chance(0.3)) await clock.advance(random.below(500));
  }
  const end = clock.now() + plan.duration;
  const clonings = 1 + random.below(2);
  const at = Array.from({ length: clonings }, () => clock.now() + random.between(0, 0.7) * plan.duration).sort(
    ascending,
  );
  while (clock.now() < end) {
    await clock.advance(1 + random.below(STEP));
    await world.keepAppointments(false);
    if (random.chance(0.4)) world.traffic(1 + random.below(6));
    if (random.chance(0.1)) world.guard();
    world.awaits.play();
    if (random.chance(0.05)) world.set({ loss: pick(random, [0, 0, 0.1, 0.3]), reorder: pick(random, [0, 0.2]) });
    if (clock.now() >= (at[0] ?? Infinity)) {
      at.shift();
      await clone(world);
    }
    check();
  }
  const changes = world.nodes.reduce((sum, { renamings }) => sum + renamings, 0);
  world.note(() => `${changes} ids have changed`);
}

/** Opens a node with the id of a running one, or of one that has just crashed and is set back to when it was opened. */
async function clone(world: StormWorld): Promise<void> {
  const { random, network: { clock } } = world;
  // A process that is set back has the state that it had when it was opened: the ports of a node can do no more.
  const candidates = world.up().filter(({ kind, renamings }) => kind === "extended" && renamings === 0);
  if (candidates.length === 0) return;
  const original = pick(random, candidates);
  if (random.chance(0.5)) {
    const twin = await world.open("extended", world.hosts++, { beginsAs: original.nodeId });
    world.note(() => `${twin.index} is a clone of ${original.index}`);
    return;
  }
  original.isReplaced = true;
  world.crash(original);
  if (random.chance(0.5)) await clock.advance(random.below(300));
  const restored = await world.open("extended", hostOf(original), { beginsAs: original.nodeId });
  world.note(() => `${restored.index} is ${original.index}, set back`);
}

function hostOf({ host: { address } }: StormNode): number {
  return Number(address.split(".")[3]) - 1;
}

function ascending(a: number, b: number): number {
  return a - b;
}
