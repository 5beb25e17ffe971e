/**
 * Split: the network is partitioned in two, for shorter or longer than the timeout of peers, and heals: C1. No node
 * hears both sides, so all know each other again as soon as after a start.
 *
 * @module
 */

import { SeededRandom } from "../../../adapters/memory.ts";
import { pick } from "../storm/plan.ts";
import { hostAddress } from "../worlds.ts";
import { acquaintanceProblem, memoryProblem, reportProblem } from "./checks.ts";
import type { ChurnRun } from "./churn.ts";
import { type ChurnPlan, describeChurn, dropOf, isDead, optionsOf, pillarsOf, planChurn } from "./plan.ts";
import { closeAll, untilAcquainted } from "./rest.ts";
import { ChurnWorld } from "./world.ts";

/** Most nodes at the start. */
const MOST = 20;

/** Makes the world of a seed. */
export function makeSplit(seed: number, trace?: (line: string) => void): ChurnRun {
  const drawn = planChurn(seed);
  const { heartbeat, faults: { delay = { min: 0.1, max: 1 } }, size } = drawn;
  const plan: ChurnPlan = { ...drawn, size: Math.min(size, MOST), faults: { delay }, upheavals: new Set(["part"]) };
  const world = new ChurnWorld({ seed, heartbeat, faults: { delay, drop: dropOf(plan) }, trace });
  return { world, description: describeChurn(plan), run: () => split(world, plan) };
}

async function split(world: ChurnWorld, plan: ChurnPlan): Promise<number> {
  const { heartbeat, network: { clock } } = world;
  const random = new SeededRandom(plan.seed + 2 ** 42);
  const hosts = Array.from({ length: 254 }, (_, i) => i).filter((host) => !isDead(plan, host));
  const join = async () => {
    const host = hosts.shift() ?? 0;
    const { options, kind } = optionsOf(plan, host);
    await world.open(hostAddress(host), options, kind);
  };
  while (world.nodes.length < plan.size) await join();
  let slowest = await untilAcquainted(world);
  for (let round = 1; round <= plan.rounds; round++) {
    await clock.advance(random.between(0, 2) * heartbeat);
    const all = Array.from({ length: 254 }, (_, i) => hostAddress(i));
    const left = all.filter(() => random.chance(0.5));
    const right = all.filter((host) => !left.includes(host));
    // One side may be cut off host by host, so that its nodes do not forget the other side all at once.
    if (random.chance(0.5)) {
      world.part([left, right.filter(() => random.chance(0.5))]);
      await clock.advance(random.next() * heartbeat);
    }
    world.part([left, right]);
    const end = world.now + random.between(0.1, 9) * heartbeat;
    while (world.now < end) {
      await clock.advance(Math.min(random.next() * heartbeat, end - world.now) + 0.001);
      if (random.chance(0.1)) await join();
      const node = pick(random, world.running());
      const isPillar = pillarsOf(plan).some((host) => hostAddress(host) === node.host.address);
      if (random.chance(0.1) && !isPillar && world.running().length > 2) world.crash(node);
      world.check(memoryProblem(world));
    }
    world.heal();
    slowest = Math.max(slowest, await untilAcquainted(world));
    await clock.advance(world.patience + 100);
    world.check(memoryProblem(world) ?? acquaintanceProblem(world) ?? reportProblem(world));
  }
  await closeAll(world, plan.topology === "multicast");
  return slowest;
}
