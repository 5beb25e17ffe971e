/**
 * All nodes start within a heartbeat: C3. With a seed, all nodes know each other within two heartbeats of the last
 * start; with multicast, within 100 ms.
 *
 * @module
 */

import { SeededRandom } from "../../../adapters/memory.ts";
import { pick } from "../storm/plan.ts";
import { hostAddress } from "../worlds.ts";
import { acquaintanceProblem, reportProblem } from "./checks.ts";
import type { ChurnRun } from "./churn.ts";
import type { Silence } from "./plan.ts";
import { closeAll, untilAcquainted } from "./rest.ts";
import { ChurnWorld } from "./world.ts";

/** Longest time until a joining node on a network with multicast knows all and is known, in milliseconds. */
const AT_ONCE = 100;

interface StartPlan {
  readonly size: number;
  readonly heartbeat: number;
  /** Longest time for which a datagram is under way, in milliseconds. */
  readonly delay: number;
  /** Why there is no multicast; `undefined` when there is. */
  readonly silence: Silence | undefined;
  /** Whether the seed is opened before or after all others. */
  readonly seedAt: "first" | "last" | "any";
  /** When each node is opened, in milliseconds. The first is the seed. */
  readonly starts: readonly number[];
}

/** Makes the world of a seed. */
export function makeStart(seed: number, trace?: (line: string) => void): ChurnRun {
  const plan = planStart(seed);
  const { size, heartbeat, delay, silence, seedAt } = plan;
  const drop = silence === "network" ? ({ multicast }: { readonly multicast: boolean }) => multicast : undefined;
  const world = new ChurnWorld({ seed, heartbeat, faults: { delay: { min: delay / 10, max: delay }, drop }, trace });
  const how = silence === undefined ? "by multicast" : `by a seed that is ${seedAt} (silent by ${silence})`;
  const description = `${size} nodes start ${how}, heartbeat ${heartbeat}, delay to ${delay.toFixed(2)} ms`;
  return { world, description, run: () => start(world, plan) };
}

function planStart(seed: number): StartPlan {
  const random = new SeededRandom(seed);
  const size = random.chance(0.7) ? 10 : 2 + random.below(30);
  const heartbeat = pick(random, [200, 1000, 5000]);
  const silence = random.chance(0.25) ? undefined : pick<Silence>(random, ["option", "host", "network"]);
  const seedAt = pick<StartPlan["seedAt"]>(random, ["first", "last", "any"]);
  const seedStart = seedAt === "first" ? 0 : seedAt === "last" ? heartbeat : random.next() * heartbeat;
  const spread = random.chance(0.2) ? 0 : heartbeat;
  const starts = [seedStart, ...Array.from({ length: size - 1 }, () => random.next() * spread)];
  return { size, heartbeat, delay: 0.1 + 10 * random.next() ** 2, silence, seedAt, starts };
}

async function start(world: ChurnWorld, { silence, starts }: StartPlan): Promise<number> {
  const { network: { clock }, heartbeat } = world;
  const isMulticast = silence === undefined;
  const options = { multicast: silence !== "option", peers: isMulticast ? [] : [`${hostAddress(0)}:7946`] };
  const order = starts.map((at, host) => ({ at, host })).sort((a, b) => a.at - b.at || a.host - b.host);
  for (const [i, { at, host }] of order.entries()) {
    await clock.advance(Math.max(0, at - world.now));
    await world.open(hostAddress(host), options, { multicast: silence !== "host" });
    const next = order[i + 1]?.at ?? Infinity;
    if (!isMulticast || next - world.now <= AT_ONCE) continue;
    await clock.advance(AT_ONCE);
    world.check(acquaintanceProblem(world));
  }
  let took = AT_ONCE / heartbeat;
  if (!isMulticast) took = await untilAcquainted(world);
  await clock.advance(2 * heartbeat);
  world.check(acquaintanceProblem(world) ?? reportProblem(world));
  await closeAll(world, isMulticast);
  return took;
}
