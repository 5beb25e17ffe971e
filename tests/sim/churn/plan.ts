/**
 * Churn plan: the properties of a world of churn, drawn from its seed before anything happens.
 *
 * @module
 */

import { type Faults, type MemoryDatagram, type MemoryHostOptions, SeededRandom } from "../../../adapters/memory.ts";
import type { MeshOptions } from "../../../mod.ts";
import { pick } from "../storm/plan.ts";
import { hostAddress } from "../worlds.ts";

/**
 * How nodes can find each other:
 *
 * - `multicast`: every node hears every other;
 * - `seed`, `seeds`: no multicast, and one or three seeds, of which some are absent;
 * - `half`: every other host has no multicast, and one seed;
 * - `oneWay`: every third host hears no multicast, or what it sends is not heard. No seeds, and one host in full order.
 */
export type Topology = "multicast" | "seed" | "seeds" | "half" | "oneWay";

/** Why there is no multicast: the option, the host has none, or the network takes it and delivers nothing. */
export type Silence = "option" | "host" | "network";

/** What happens to nodes and between them. */
export type Upheaval = "join" | "leave" | "crash" | "restart" | "pause" | "part" | "cut";
const UPHEAVALS: readonly Upheaval[] = ["join", "leave", "crash", "restart", "pause", "part", "cut"];

/** The properties of a world. Times are in milliseconds. */
export interface ChurnPlan {
  readonly seed: number;
  readonly topology: Topology;
  readonly silence: Silence;
  /** Nodes at the start, and the most at a time. */
  readonly size: number;
  readonly most: number;
  readonly heartbeat: number;
  readonly upheavals: ReadonlySet<Upheaval>;
  /** Rounds: each is a time of changes and then one of rest. */
  readonly rounds: number;
  /** How long changes continue, in heartbeats. */
  readonly unrest: number;
  /** Changes in a heartbeat. */
  readonly pace: number;
  readonly faults: Partial<Faults>;
  /** Of three seeds, the number that are never there. */
  readonly deadSeeds: number;
}

export const PORT = 7946;
/** Least number of nodes of a large world: all costs grow with the square of it. */
const LARGE = 20;

/** Whether the world of a seed has more nodes than most. */
export function isLarge(seed: number): boolean {
  return planChurn(seed).size > LARGE;
}

/** Draws the world of a seed. Every 50th has up to 200 nodes. */
export function planChurn(seed: number): ChurnPlan {
  const random = new SeededRandom(seed);
  const size = seed % 50 === 0 ? 100 + random.below(101) : 3 + random.below(random.chance(0.8) ? 10 : 38);
  const topology = pick<Topology>(random, ["multicast", "multicast", "seed", "seeds", "half", "oneWay"]);
  const loss = random.chance(0.5) ? 0 : random.between(0.01, 0.1);
  // Where an unvalidated address is probed again after minutes, short heartbeats would be many.
  const heartbeat = size > LARGE || loss > 0 ? pick(random, [1000, 5000]) : pick(random, [100, 300, 1000, 5000]);
  const delay = Math.min(50, heartbeat / 10) * random.next() ** 2;
  const upheavals = new Set(UPHEAVALS.filter(() => random.chance(0.6)));
  return {
    seed,
    topology,
    silence: pick<Silence>(random, ["option", "host", "network"]),
    size,
    most: size > 100 ? 200 : Math.ceil(size * 1.5),
    heartbeat,
    upheavals,
    rounds: size > LARGE ? 1 : 1 + random.below(4),
    unrest: size > LARGE ? 4 : 2 + random.below(12),
    pace: (size > LARGE ? size / 10 : 0.5) * random.between(0.5, 4),
    faults: {
      loss,
      delay: { min: delay / 10, max: delay },
      ...(random.chance(0.3) ? { duplicate: random.next() * 0.1 } : {}),
      ...(random.chance(0.3) ? { reorder: random.next() * 0.3, reorderBy: delay } : {}),
    },
    deadSeeds: random.below(3),
  };
}

/** The option `peers` of every node, seeds included: a service has one configuration. */
export function seedsOf({ topology }: ChurnPlan): readonly string[] {
  const count = topology === "seeds" ? 3 : topology === "seed" || topology === "half" ? 1 : 0;
  return Array.from({ length: count }, (_, i) => `${hostAddress(i)}:${PORT}`);
}

/** Hosts that must have a node when the world comes to rest, as other nodes find each other by it. */
export function pillarsOf({ topology, deadSeeds }: ChurnPlan): readonly number[] {
  if (topology === "multicast") return [];
  return [topology === "seeds" ? deadSeeds : 0];
}

/** Hosts that never have a node. */
export function isDead({ topology, deadSeeds }: ChurnPlan, host: number): boolean {
  return topology === "seeds" && host < deadSeeds;
}

/** Whether the node on a host is to have no multicast. */
function isSilent({ topology }: ChurnPlan, host: number): boolean {
  return topology === "seed" || topology === "seeds" || (topology === "half" && host % 2 === 1);
}

/** The options of the node on a host. */
export function optionsOf(plan: ChurnPlan, host: number): { options: MeshOptions; kind: MemoryHostOptions } {
  const silent = isSilent(plan, host);
  return {
    options: { peers: seedsOf(plan), ...(silent && plan.silence === "option" ? { multicast: false } : {}) },
    kind: { multicast: !(silent && plan.silence === "host") },
  };
}

/** The multicast that the network does not deliver. */
export function dropOf(plan: ChurnPlan): Faults["drop"] {
  const { topology, silence, seed } = plan;
  const hostOf = (address: string) => Number(address.split(".")[3]) - 1;
  if (topology === "oneWay") {
    const isDeaf = (host: number) => host % 3 === 1 && (host + seed) % 2 === 0;
    const isDumb = (host: number) => host % 3 === 1 && (host + seed) % 2 === 1;
    return ({ multicast, from, receiver }: MemoryDatagram) =>
      multicast && (isDumb(hostOf(from.host)) || isDeaf(hostOf(receiver)));
  }
  if (silence !== "network") return undefined;
  return ({ multicast, from, receiver }: MemoryDatagram) =>
    multicast && (isSilent(plan, hostOf(from.host)) || isSilent(plan, hostOf(receiver)));
}

/** Describes a world in one line. */
export function describeChurn(plan: ChurnPlan): string {
  const { topology, silence, size, most, heartbeat, upheavals, rounds, unrest, pace, faults, deadSeeds } = plan;
  const { loss = 0, duplicate = 0, reorder = 0, delay } = faults;
  const how = topology === "multicast" || topology === "oneWay" ? "" : ` (silent by ${silence})`;
  const dead = topology === "seeds" ? `, ${deadSeeds} of 3 seeds down` : "";
  return `${topology}${how}${dead}, ${size} to ${most} nodes, heartbeat ${heartbeat}, ${rounds} × ${unrest} heartbeats of ` +
    `${pace.toFixed(2)} changes: ${[...upheavals].join(" ") || "none"}; loss ${loss.toFixed(3)}, ` +
    `duplicate ${duplicate.toFixed(3)}, reorder ${reorder.toFixed(3)}, delay to ${delay?.max.toFixed(2)} ms`;
}
