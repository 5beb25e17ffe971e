/**
 * Quiet churn: nothing happens for hours except that datagrams are lost and nodes stall for up to one heartbeat: C2. No
 * peer may be lost.
 *
 * @module
 */

import { SeededRandom } from "../../../adapters/memory.ts";
import type { Timer } from "../../../mod.ts";
import { pick } from "../storm/plan.ts";
import { hostAddress } from "../worlds.ts";
import { acquaintanceProblem, reportProblem } from "./checks.ts";
import type { ChurnRun } from "./churn.ts";
import type { ChurnNode } from "./node.ts";
import { closeAll, untilAcquainted } from "./rest.ts";
import { ChurnWorld } from "./world.ts";

/** How long a world lasts, in heartbeats: an hour with the default of 5 s. */
const QUIET_BEATS = 720;
/** The heartbeats of worlds: the default, and a short one. In milliseconds. */
const HEARTBEATS = [5000, 5000, 5000, 100] as const;
/** How many hours a world lasts on average, without those of the short heartbeat. */
export const HOURS_IN_WORLDS = 0.75;

interface QuietPlan {
  readonly heartbeat: number;
  readonly size: number;
  readonly multicast: boolean;
  readonly loss: number;
  /** Longest time for which a datagram is under way, in milliseconds. */
  readonly delay: number;
  /** Mean number of heartbeats between two stalls of a node, besides the one that there always is. */
  readonly calm: number;
  /** Chance that a stall affects several nodes at once, as on one machine. */
  readonly together: number;
}

/** Makes the world of a seed. */
export function makeQuiet(seed: number, trace?: (line: string) => void): ChurnRun {
  const plan = planQuiet(seed);
  const { heartbeat, loss, delay, size, multicast, calm, together } = plan;
  const world = new ChurnWorld({ seed, heartbeat, faults: { loss, delay: { min: 0.05, max: delay } }, trace });
  const description = `${size} nodes ${multicast ? "by multicast" : "by a seed"}, heartbeat ${heartbeat}, ` +
    `loss ${loss.toFixed(3)}, delay to ${delay.toFixed(2)} ms, stalls every ${1 + calm} heartbeats, ` +
    `${Math.round(together * 100)} % of several`;
  return { world, description, run: () => rest(world, plan) };
}

function planQuiet(seed: number): QuietPlan {
  const random = new SeededRandom(seed);
  const heartbeat = HEARTBEATS[seed % HEARTBEATS.length] as number;
  return {
    heartbeat,
    // The cost grows with the square of it.
    size: random.chance(0.8) ? 5 + random.below(2) : 5 + random.below(6),
    multicast: random.chance(0.5),
    loss: random.chance(0.8) ? 0.1 : random.next() * 0.1,
    delay: Math.min(50, heartbeat / 10) * random.next() ** 2 + 0.05,
    calm: pick(random, [0.5, 3, 15]),
    together: random.chance(0.5) ? 0 : random.next() * 0.5,
  };
}

async function rest(world: ChurnWorld, plan: QuietPlan): Promise<number> {
  const { random, heartbeat, network: { clock } } = world;
  const { size, multicast } = plan;
  const peers = multicast ? [] : [`${hostAddress(0)}:7946`];
  for (let i = 0; i < size; i++) {
    await world.open(hostAddress(i), { multicast, peers });
    await clock.advance(random.next() * heartbeat / size);
  }
  const took = await untilAcquainted(world);
  const end = world.now + QUIET_BEATS * heartbeat;
  const stalls = world.nodes.map((node) => new Stalls(world, plan, node));
  for (const each of stalls) each.next();
  while (world.now < end) {
    await clock.advance(20 * heartbeat);
    world.check(acquaintanceProblem(world));
  }
  for (const each of stalls) each.end();
  await clock.advance(heartbeat);
  world.check(reportProblem(world));
  await closeAll(world, multicast);
  return took;
}

/** Stalls a node again and again. */
class Stalls {
  readonly #world: ChurnWorld;
  readonly #plan: QuietPlan;
  readonly #node: ChurnNode;
  #timer: Timer | undefined;

  constructor(world: ChurnWorld, plan: QuietPlan, node: ChurnNode) {
    this.#world = world;
    this.#plan = plan;
    this.#node = node;
  }

  /**
   * Waits for the next stall. A node is awake for a heartbeat between two: otherwise they would be a single longer one.
   */
  next(): void {
    const { random, heartbeat, network: { clock } } = this.#world;
    this.#timer = clock.setTimer(() => this.#stall(), heartbeat * (1 - this.#plan.calm * Math.log(1 - random.next())));
  }

  end(): void {
    this.#timer?.cancel();
  }

  #stall(): void {
    const world = this.#world;
    const { random, heartbeat, network: { clock } } = world;
    const length = (random.chance(0.3) ? 1 : random.next()) * heartbeat;
    const others = random.chance(this.#plan.together) ? world.nodes.filter(() => random.chance(0.5)) : [];
    for (const node of [this.#node, ...others]) {
      if (node.stalledIn(world.now - heartbeat, world.now) === 0) world.pause(node, length);
    }
    this.#timer = clock.setTimer(() => this.next(), length);
  }
}
