/**
 * What a seeded world is like: drawn from its seed before anything happens.
 *
 * @module
 */

import { SeededRandom } from "../../adapters/memory.ts";
import type { MeshOptions } from "../../mod.ts";

/** What can go wrong, or just happen, in a world. */
export type Trouble =
  | "loss"
  | "duplicate"
  | "reorder"
  | "delay"
  | "spike"
  | "truncate"
  | "filter"
  | "partition"
  | "cut"
  | "pause"
  | "overrun"
  | "crash"
  | "restart"
  | "leave"
  | "join"
  | "subscribe";

/** What may happen in a world without any gap. */
const HARMLESS: readonly Trouble[] = ["duplicate", "reorder", "delay", "leave", "restart", "join", "subscribe"];
const HARMFUL: readonly Trouble[] = [
  "loss",
  "loss",
  "spike",
  "truncate",
  "filter",
  "partition",
  "cut",
  "pause",
  "overrun",
  "crash",
];

/** A node of this project with and without the extension, and a peer like the original. */
export type Kind = "extended" | "go-warp" | "original";

/** How nodes find each other. A star has one seed, and its points do not know each other. */
export type Reach = "multicast" | "seeds" | "both" | "star";

/** A world, before it begins. Times are in milliseconds. */
export interface StormPlan {
  readonly seed: number;
  /** Nothing happens that can lose a key: there must be no gap. */
  readonly calm: boolean;
  readonly troubles: ReadonlySet<Trouble>;
  /** The nodes at the start. */
  readonly kinds: readonly Kind[];
  readonly reach: Reach;
  readonly heartbeat: number;
  readonly peerTimeout: number;
  /** How long the storm lasts. */
  readonly duration: number;
  /** Keys that are published in it, about. */
  readonly keys: number;
  /** Longest key, in bytes. */
  readonly longest: number;
  /** Loss that stays when the storm is over: a chance. */
  readonly lastingLoss: number;
  /** Each host has a clock of its own, that begins elsewhere and is a little fast or slow. */
  readonly skewed: boolean;
  /** The world runs to the end of its bound, even when all is well before. */
  readonly thorough: boolean;
}

/** Draws the world of a seed. */
export function planStorm(seed: number): StormPlan {
  const random = new SeededRandom(seed);
  const calm = seed % 3 === 0;
  // Small worlds are quick, so that there can be many.
  const size = random.chance(0.85) ? 2 + random.below(3) : 5 + random.below(8);
  const troubles = drawTroubles(random, calm);
  const mixed = random.chance(0.3);
  const kinds = Array.from({ length: size }, (_, i): Kind => {
    if (!mixed || i < Math.min(2, size - 1) && random.chance(0.8)) return "extended";
    return pick(random, ["extended", "go-warp", "original"]);
  });
  const heartbeat = Math.round(size > 4 ? random.between(500, 2000) : random.between(200, 800));
  const lastingLoss = !calm && random.chance(1 / 3) ? 0.1 : 0;
  const timeouts = random.between(lastingLoss > 0 || calm ? 4 : 2.2, 6);
  return {
    seed,
    calm,
    troubles,
    kinds,
    reach: pick(random, ["multicast", "multicast", "multicast", "both", "seeds", "star"]),
    heartbeat,
    peerTimeout: Math.round(heartbeat * timeouts),
    duration: Math.round(random.between(1500, random.chance(0.15) ? 10_000 : 4000)),
    keys: 20 + random.below(random.chance(0.3) ? 280 : 80),
    longest: random.chance(0.2) ? 1300 : 24,
    lastingLoss,
    skewed: random.chance(0.3),
    thorough: random.chance(0.1),
  };
}

function drawTroubles(random: SeededRandom, calm: boolean): ReadonlySet<Trouble> {
  const troubles = new Set(HARMLESS.filter(() => random.chance(0.4)));
  if (calm) return troubles;
  // One kind alone shows what a crowd of them hides.
  if (random.chance(0.3)) return new Set([pick(random, HARMFUL)]);
  for (const trouble of HARMFUL) if (random.chance(0.35)) troubles.add(trouble);
  return troubles;
}

/** Draws the options of one node. Ports and seeds are not among them. */
export function drawOptions(random: SeededRandom, plan: StormPlan): MeshOptions {
  const { heartbeat, peerTimeout, calm } = plan;
  const options: MeshOptions = {
    heartbeat,
    peerTimeout,
    batchInterval: pick(random, [0, 5, 20, 100]),
    batchSize: pick(random, [1, 2, 5, 20, 1000]),
    queueSize: pick(random, [3, 20, 1000, 1000]),
  };
  if (calm) return options;
  const overrun = plan.troubles.has("overrun") && random.chance(0.6);
  const minSendRate = pick(random, [200, 500, 2000]);
  return {
    ...options,
    ...(overrun ? { receiveBuffer: 4096 } : {}),
    ...(random.chance(0.4) ? { repairBytes: pick(random, [65_536, 65_536, 200_000]) } : {}),
    ...(random.chance(0.2) ? { repairAge: Math.round(random.between(100, 3000)) } : {}),
    ...(random.chance(0.15) ? { minSendRate, maxSendRate: minSendRate * pick(random, [1, 2, 10]) } : {}),
  };
}

/** One of several. */
export function pick<T>(random: SeededRandom, choices: readonly T[]): T {
  return choices[random.below(choices.length)] as T;
}

/** One line that says what a world is like. */
export function describePlan(plan: StormPlan): string {
  const counts = (["extended", "go-warp", "original"] as const)
    .map((kind) => [kind, plan.kinds.filter((each) => each === kind).length] as const)
    .filter(([, count]) => count > 0);
  return `${plan.calm ? "calm" : "stormy"}, ${counts.map(([kind, count]) => `${count} ${kind}`).join(" + ")}, ` +
    `${plan.reach}, heartbeat ${plan.heartbeat}, peerTimeout ${plan.peerTimeout}, ${plan.duration} ms of ` +
    `${[...plan.troubles].join(" ") || "nothing"}, lasting loss ${plan.lastingLoss}${
      plan.skewed ? ", skewed clocks" : ""
    }`;
}
