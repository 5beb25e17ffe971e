/**
 * Storm plan: the properties of a seeded world, drawn from its seed before anything happens.
 *
 * @module
 */

import { SeededRandom } from "../../../adapters/memory.ts";
import type { MeshOptions } from "../../../mod.ts";

/** The kinds of faults and other incidents of a world. */
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
  | "subscribe"
  | "flip"
  | "stall"
  | "ambush"
  | "flash"
  | "retire"
  | "flood"
  | "orphan"
  | "block"
  | "suspend";

/** Those that may happen in a world without any gap. */
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

/**
 * Incidents that were added later. They are drawn by themselves, so that they change nothing else in the world of a
 * seed.
 */
const WIDER_HARMFUL: readonly Trouble[] = ["flip", "stall", "ambush", "flash", "retire", "flood"];

/**
 * A storm; hours with hardly any events; one incident for which `docs/guarantees.md` says how soon its event comes;
 * more nodes than each may know; two nodes with one id.
 */
export type WorldKind = "storm" | "quiet" | "soon" | "crowd" | "clones";

/** A node of this project with and without the extension, and a peer that behaves as go-warp does. */
export type Kind = "extended" | "go-warp" | "original";

/** How nodes find each other. A star has one seed, and its outer nodes do not know each other. */
export type Reach = "multicast" | "seeds" | "both" | "star";

/** A world, before it begins. Times are in milliseconds. */
export interface StormPlan {
  readonly seed: number;
  readonly kind: WorldKind;
  /** Nothing happens that can lose a key, so there must be no gap. */
  readonly calm: boolean;
  readonly troubles: ReadonlySet<Trouble>;
  /** The nodes at the start. */
  readonly kinds: readonly Kind[];
  readonly reach: Reach;
  /** Number of hosts that are seeds of all others, in a star. */
  readonly seeds: number;
  /** Of all nodes, or a mean. */
  readonly heartbeat: number;
  readonly peerTimeout: number;
  /** How long the storm lasts. */
  readonly duration: number;
  /** Approximate number of keys that are published in it. */
  readonly keys: number;
  /** Longest key, in bytes. */
  readonly longest: number;
  /** Loss that remains when the storm is over, as a probability. */
  readonly lastingLoss: number;
  /** Each host has a clock of its own, with another start and a slightly different speed. */
  readonly skewed: boolean;
  /** `peerTimeout` is left out. */
  readonly untimed: boolean;
  /** Each node has a heartbeat and a timeout of its own. */
  readonly varied: boolean;
  /** An unknown node sends what it can. */
  readonly unknownNode: boolean;
  /** Datagrams arrive once more, late. */
  readonly late: boolean;
  /** The option, when the limit may be reached. */
  readonly maxPeers: number | undefined;
  /** Least delay of a datagram. */
  readonly pathDelay: number;
  /** The world runs to the end of its time limit, even when all is well before. */
  readonly thorough: boolean;
}

/** Draws the world of a seed. */
export function planStorm(seed: number): StormPlan {
  const random = new SeededRandom(seed);
  const wide = new SeededRandom(seed + 2 ** 41);
  const sleepy = new SeededRandom(seed + 2 ** 42).chance(0.1);
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
  const drawn: StormPlan = {
    seed,
    kind: "storm",
    calm,
    troubles,
    kinds,
    reach: pick(random, ["multicast", "multicast", "multicast", "both", "seeds", "star"]),
    seeds: 1,
    heartbeat,
    peerTimeout: Math.round(heartbeat * timeouts),
    duration: Math.round(random.between(1500, random.chance(0.15) ? 10_000 : 4000)),
    keys: 20 + random.below(random.chance(0.3) ? 280 : 80),
    longest: random.chance(0.2) ? 1300 : 24,
    lastingLoss,
    skewed: random.chance(0.3),
    thorough: random.chance(0.1),
    untimed: false,
    varied: false,
    unknownNode: false,
    late: false,
    maxPeers: undefined,
    pathDelay: 0.1,
  };
  const plan = widen(wide, drawn);
  const mayLose = plan.kind === "storm" && !plan.calm;
  return sleepy && mayLose ? { ...plan, troubles: new Set([...plan.troubles, "suspend"]) } : plan;
}

function widen(wide: SeededRandom, plan: StormPlan): StormPlan {
  const kind = drawKind(wide);
  if (kind === "quiet") return quietPlan(wide, plan);
  if (kind === "crowd") return crowdPlan(wide, plan);
  if (kind === "soon") return soonPlan(wide, plan);
  if (kind === "clones") return clonesPlan(wide, plan);
  const wider: StormPlan = {
    ...plan,
    troubles: widerTroubles(wide, plan),
    seeds: wide.chance(0.5) ? 1 : 2,
    varied: wide.chance(0.25),
    unknownNode: wide.chance(0.15),
    late: wide.chance(0.15),
  };
  if (plan.calm) return wider;
  const drawn = wide.next();
  return drawn < 0.03 ? farPlan(wide, wider) : drawn < 0.06 ? orphanPlan(wide, wider) : wider;
}

/** Nodes whose seeds end. Other faults would heal the network too soon. */
function orphanPlan(wide: SeededRandom, plan: StormPlan): StormPlan {
  const kinds = Array.from({ length: plan.seeds + 2 + wide.below(2) }, (): Kind => "extended");
  return {
    ...plan,
    kinds,
    reach: "star",
    troubles: new Set(["orphan", ...(wide.chance(0.3) ? ["loss" as const] : [])]),
  };
}

/** Worlds of hours are costly, although little happens in them. */
function drawKind(wide: SeededRandom): WorldKind {
  const drawn = wide.next();
  return drawn < 0.02 ? "quiet" : drawn < 0.1 ? "soon" : drawn < 0.13 ? "crowd" : drawn < 0.15 ? "clones" : "storm";
}

function widerTroubles(wide: SeededRandom, { calm, troubles }: StormPlan): ReadonlySet<Trouble> {
  const wider = new Set(troubles);
  if (wide.chance(0.1)) wider.add("block");
  if (calm || wide.chance(0.5)) return wider;
  if (wide.chance(0.3)) return new Set([pick(wide, WIDER_HARMFUL)]);
  for (const trouble of WIDER_HARMFUL) if (wide.chance(0.3)) wider.add(trouble);
  return wider;
}

/** A mesh with long delays: a state is old when it arrives. */
function farPlan(wide: SeededRandom, plan: StormPlan): StormPlan {
  const heartbeat = Math.round(wide.between(2500, 5000));
  return {
    ...plan,
    heartbeat,
    peerTimeout: 4 * heartbeat,
    pathDelay: wide.between(600, 1500),
    duration: 10_000,
    lastingLoss: 0,
  };
}

function quietPlan(wide: SeededRandom, plan: StormPlan): StormPlan {
  const heartbeat = Math.round(wide.between(30_000, 60_000));
  return {
    ...plan,
    kind: "quiet",
    calm: false,
    troubles: new Set(),
    kinds: Array.from({ length: 2 + wide.below(2) }, () => "extended"),
    reach: pick(wide, ["multicast", "star"]),
    heartbeat,
    peerTimeout: 3 * heartbeat,
    duration: Math.round(3_600_000 * (wide.chance(0.7) ? wide.between(0.1, 1.2) : wide.between(1, 4))),
    lastingLoss: 0,
    late: wide.chance(0.35),
    skewed: true,
    thorough: false,
  };
}

function soonPlan(wide: SeededRandom, plan: StormPlan): StormPlan {
  const untimed = wide.chance(0.5);
  return {
    ...plan,
    kind: "soon",
    calm: false,
    troubles: new Set(),
    kinds: ["extended", "extended"],
    peerTimeout: untimed ? 3 * plan.heartbeat : plan.peerTimeout,
    untimed,
    lastingLoss: 0,
    thorough: false,
  };
}

function clonesPlan(wide: SeededRandom, plan: StormPlan): StormPlan {
  return {
    ...plan,
    kind: "clones",
    calm: false,
    troubles: new Set(),
    kinds: Array.from({ length: 2 + wide.below(3) }, () => "extended"),
    reach: pick(wide, ["multicast", "multicast", "both", "seeds"]),
    peerTimeout: 4 * plan.heartbeat,
    duration: Math.round(wide.between(1000, 6000)),
    lastingLoss: 0,
    thorough: false,
  };
}

function crowdPlan(wide: SeededRandom, plan: StormPlan): StormPlan {
  const maxPeers = 1 + wide.below(5);
  return {
    ...plan,
    kind: "crowd",
    calm: true,
    troubles: new Set(plan.calm ? plan.troubles : []),
    kinds: Array.from({ length: maxPeers + 2 + wide.below(4) }, () => "extended"),
    heartbeat: Math.round(wide.between(200, 2000)),
    peerTimeout: 20_000,
    duration: Math.round(wide.between(3000, 12_000)),
    lastingLoss: 0,
    thorough: false,
    maxPeers,
  };
}

function drawTroubles(random: SeededRandom, calm: boolean): ReadonlySet<Trouble> {
  const troubles = new Set(HARMLESS.filter(() => random.chance(0.4)));
  if (calm) return troubles;
  // A single kind of fault shows what many together hide.
  if (random.chance(0.3)) return new Set([pick(random, HARMFUL)]);
  for (const trouble of HARMFUL) if (random.chance(0.35)) troubles.add(trouble);
  return troubles;
}

/** Draws the options of one node. Ports and seeds are not among them. */
export function drawOptions(random: SeededRandom, plan: StormPlan): MeshOptions {
  const { calm, maxPeers } = plan;
  const options: MeshOptions = {
    ...drawTimes(random, plan),
    ...(maxPeers === undefined ? {} : { maxPeers }),
    batchInterval: pick(random, [0, 5, 20, 100]),
    batchSize: pick(random, [1, 2, 5, 20, 1000]),
    queueSize: pick(random, [3, 20, 1000, 1000]),
  };
  if (calm) return options;
  const overrun = plan.troubles.has("overrun") && random.chance(0.6);
  const flooded = plan.troubles.has("flood");
  const minSendRate = pick(random, flooded ? [20, 50, 200] : [200, 500, 2000]);
  return {
    ...options,
    ...(flooded ? { queueSize: 1000, batchSize: pick(random, [1, 5]) } : {}),
    ...(overrun ? { receiveBuffer: 4096 } : {}),
    ...(random.chance(0.4) ? { repairBytes: pick(random, [65_536, 65_536, 200_000]) } : {}),
    ...(random.chance(0.2) ? { repairAge: Math.round(random.between(100, 3000)) } : {}),
    ...(random.chance(flooded ? 0.7 : 0.15)
      ? { minSendRate, maxSendRate: minSendRate * pick(random, [1, 2, 10]) }
      : {}),
  };
}

/**
 * All nodes of a mesh should have the same heartbeat: where they differ, they do so by a factor of four at most.
 * Timeouts may differ in any way.
 */
function drawTimes(random: SeededRandom, plan: StormPlan): MeshOptions {
  const { heartbeat, peerTimeout, varied, untimed, calm } = plan;
  if (untimed) return { heartbeat };
  if (!varied) return { heartbeat, peerTimeout };
  const own = Math.round(heartbeat * 2 ** (random.chance(0.5) ? 0 : random.between(-1, 1)));
  return { heartbeat: own, peerTimeout: Math.round(own * random.between(calm ? 4 : 2.2, 8)) };
}

/** One of several. */
export function pick<T>(random: SeededRandom, choices: readonly T[]): T {
  return choices[random.below(choices.length)] as T;
}

/** Describes a world in one line. */
export function describePlan(plan: StormPlan): string {
  const counts = (["extended", "go-warp", "original"] as const)
    .map((kind) => [kind, plan.kinds.filter((each) => each === kind).length] as const)
    .filter(([, count]) => count > 0);
  const { kind, calm, seeds, pathDelay, maxPeers } = plan;
  const more = [
    ...(plan.skewed ? ["skewed clocks"] : []),
    ...(plan.varied ? ["heartbeats of their own"] : []),
    ...(plan.unknownNode ? ["an unknown node"] : []),
    ...(plan.late ? ["late copies"] : []),
    ...(pathDelay > 1 ? [`delays of ${pathDelay.toFixed()} ms`] : []),
    ...(maxPeers === undefined ? [] : [`maxPeers ${maxPeers}`]),
  ];
  return `${kind === "storm" ? calm ? "calm" : "stormy" : kind}, ${
    counts.map(([kind, count]) => `${count} ${kind}`).join(" + ")
  }, ` +
    `${plan.reach}${
      plan.reach === "star" ? ` of ${seeds}` : ""
    }, heartbeat ${plan.heartbeat}, peerTimeout ${plan.peerTimeout}, ${plan.duration} ms of ` +
    `${[...plan.troubles].join(" ") || "nothing"}, lasting loss ${plan.lastingLoss}${
      more.map((word) => `, ${word}`).join("")
    }`;
}
