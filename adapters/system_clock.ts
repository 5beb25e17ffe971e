/**
 * System clock: the clocks and timers of the runtime, as they were when this file was loaded, as test runners replace
 * them by fake ones.
 *
 * Fakes replace the global `performance` and the global timers (vitest, Jest, sinon), or the properties of the module
 * `node:timers` (`node:test`), which a bundle in CommonJS reads at each call. Neither affects these constants.
 *
 * @module
 */

import { performance } from "node:perf_hooks";
import process from "node:process";
import timers from "node:timers";

/** Milliseconds of a monotonic clock. */
export const now: () => number = performance.now.bind(performance);

/** Milliseconds of the wall clock, which goes on while the machine is suspended, and may be set. */
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
 * Makes a call to `node:dgram` with the real `process.nextTick`, by which Node calls back. sinon replaces that too, and
 * the callbacks of sends and closes would never come.
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
