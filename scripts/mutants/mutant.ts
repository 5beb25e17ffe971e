/**
 * Mutant: the type of a breakage, and of what must notice it.
 *
 * @module
 */

/** A breakage: a piece of a source file, which must be there exactly once, and what takes its place. */
export interface Breakage {
  readonly name: string;
  /** From the project's folder. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Worlds that have shown it before: they are tried first. */
  readonly seeds?: readonly number[];
}

/**
 * What must notice it: storms (`scripts/worlds.ts`), worlds of nodes that come and go (`scripts/churn.ts`), or the tests of
 * calls, of how keys travel, or of what is awaited.
 */
export type Judge = "storms" | "churn" | "calls" | "traffic" | "awaits";

/** A {@linkcode Breakage}, and its judge. */
export interface Mutant extends Breakage {
  readonly judge: Judge;
}

/** Breakages that have the same judge. */
export function judgedBy(judge: Judge, breakages: readonly Breakage[]): readonly Mutant[] {
  return breakages.map((breakage) => ({ ...breakage, judge }));
}
