/**
 * Seeded worlds in which nodes join and leave: `checks.ts` says what must hold in them.
 *
 * @module
 */

import { makeHostile } from "./hostile.ts";
import { makeMoves } from "./moves.ts";
import { makeQuiet } from "./quiet.ts";
import { makeSplit } from "./split.ts";
import { makeStart } from "./start.ts";
import { makeUnrest } from "./unrest.ts";
import { BrokenWorld, type ChurnWorld } from "./world.ts";

/** The kinds of worlds: changes, a partition, hours of quiet, starting up, unknown nodes, or nodes that move. */
export type ChurnKind = "unrest" | "split" | "quiet" | "start" | "hostile" | "moves";

/** The totals of a world. */
export interface ChurnReport {
  readonly kind: ChurnKind;
  readonly seed: number;
  readonly joins: number;
  readonly leaves: number;
  readonly crashes: number;
  readonly pauses: number;
  readonly partitions: number;
  /** Peers that were lost as they were silent: rightly. */
  readonly expired: number;
  readonly datagrams: number;
  /** Longest time until all nodes knew each other again, in heartbeats. */
  readonly slowest: number;
  /** Virtual time. */
  readonly ms: number;
}

/** A world that is made and not yet run. */
export interface ChurnRun {
  readonly world: ChurnWorld;
  /** Describes the world in one line. */
  readonly description: string;
  /** Runs it; returns the longest time until all nodes knew each other, in heartbeats. */
  readonly run: () => Promise<number>;
}

/** Makes the world of a seed. */
export type ChurnMaker = (seed: number, trace?: (line: string) => void) => ChurnRun;

/** A property does not hold. */
export class ChurnError extends Error {
  override readonly name = "ChurnError";
}

const MAKERS: Readonly<Record<ChurnKind, ChurnMaker>> = {
  unrest: makeUnrest,
  split: makeSplit,
  quiet: makeQuiet,
  start: makeStart,
  hostile: makeHostile,
  moves: makeMoves,
};

export const CHURN_KINDS: readonly ChurnKind[] = Object.keys(MAKERS) as ChurnKind[];

/**
 * Runs the world of a seed to its end.
 *
 * @param trace gets a line for each thing that happens
 * @throws {ChurnError} when a property does not hold
 */
export async function runChurn(kind: ChurnKind, seed: number, trace?: (line: string) => void): Promise<ChurnReport> {
  const { world, description, run } = MAKERS[kind](seed, trace);
  trace?.(description);
  try {
    const slowest = await run();
    const { counts, now, network: { stats } } = world;
    return { kind, seed, ...counts, datagrams: stats.sent, slowest, ms: now };
  } catch (cause) {
    const problem = cause instanceof BrokenWorld ? cause.message : cause instanceof Error ? cause.stack : cause;
    throw new ChurnError(
      `World ${kind} ${seed} at ${world.now} ms: ${problem}\n  ${description}\n` +
        `  \`npm run churn -- --kind ${kind} --seed ${seed}\` replays it`,
      { cause },
    );
  }
}
