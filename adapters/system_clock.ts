/**
 * Clock and timers of the runtime, as they were when this file was loaded: test runners put fake ones in their place.
 *
 * Fakes replace the global `performance` and the global timers (vitest, Jest, sinon), or the properties of the module
 * `node:timers` (`node:test`), which a bundle in CommonJS reads at each call. Neither reaches these constants.
 *
 * @module
 */

import { performance } from "node:perf_hooks";
import process from "node:process";
import timers from "node:timers";

/** Milliseconds of a clock that never goes back. */
export const now: () => number = performance.now.bind(performance);

/** Milliseconds of the clock of the wall, which goes on while the machine is suspended, and may be set. */
export const wall: () => number = Date.now;

/** Of `node:timers`. */
export const setTimeout: typeof timers.setTimeout = timers.setTimeout;

/** Of `node:timers`. */
export const clearTimeout: typeof timers.clearTimeout = timers.clearTimeout;

/** Of `node:timers`. */
export const setImmediate: typeof timers.setImmediate = timers.setImmediate;

/** Of `node:timers`. */
export const clearImmediate: typeof timers.clearImmediate = timers.clearImmediate;

const { nextTick } = process;

/**
 * Makes a call to `node:dgram`, which on Node asks `process.nextTick` to call back: sinon replaces that too, and what
 * was sent or closed would never be said to be.
 */
export function withRealTicks<T>(call: () => T): T {
  const current = process.nextTick;
  if (current === nextTick) return call();
  process.nextTick = nextTick;
  try {
    return call();
  } finally {
    process.nextTick = current;
  }
}
