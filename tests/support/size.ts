/**
 * The size of a run: how much of what is seeded, random or repeated the tests take.
 *
 * @module
 */

const chosen = globalThis.process?.env.WARP_MESH_TESTS;

/**
 * Whether it is only as much as shows that the tests work: `npm test` sets `WARP_MESH_TESTS=small`. `npm run
 * test:matrix` sets `version` for other versions of a runtime that it has run in full.
 */
export const IS_SMALL: boolean = chosen === "small";

/** Whether all of it is run. */
export const IS_FULL: boolean = !IS_SMALL && chosen !== "version";

/** A number of worlds or runs: this many at full size, and the smaller number otherwise. */
export function sized(full: number, small: number): number {
  return IS_FULL ? full : small;
}

/** All items of a list at full size, and otherwise those for which `isKept` holds. */
export function some<T>(all: readonly T[], isKept: (each: T, index: number) => boolean): readonly T[] {
  return IS_FULL ? all : all.filter(isKept);
}
