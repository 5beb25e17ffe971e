/**
 * Seeded worlds in which nodes come and go: `checks.ts` says what must hold in them nevertheless.
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

/** What a world shows: changes, a network in two, quiet for hours, starting up, strangers, or nodes that move. */
export type ChurnKind = "unrest" | "split" | "quiet" | "start" | "hostile" | "moves";

/** What a world came to. */
export interface ChurnReport {
  readonly kind: ChurnKind;
  readonly seed: number;
  readonly joins: number;
  readonly leaves: number;
  readonly crashes: number;
  readonly pauses: number;
  readonly partitions: number;
  /** Peers that were taken for gone as they were silent: rightly. */
  readonly expired: number;
  readonly datagrams: number;
  /** Longest until all knew each other again, in heartbeats. */
  readonly slowest: number;
  /** Virtual time. */
  readonly ms: number;
}

/** A world, made and not yet run. */
export interface ChurnRun {
  readonly world: ChurnWorld;
  /** One line that says what it is like. */
  readonly description: string;
  /** Runs it; returns how long it took, at the longest, until all knew each other, in heartbeats. */
  readonly run: () => Promise<number>;
}

/** Makes the world of a seed. */
export type ChurnMaker = (seed: number, trace?: (line: string) => void) => ChurnRun;

/** What must hold does not. */
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
 * @throws {ChurnError} when something does not hold
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
