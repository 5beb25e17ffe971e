/**
 * Contexts of `AsyncLocalStorage`, the same on Node, Deno and Bun.
 *
 * @module
 */

import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import type { Contexts } from "../src/contexts.ts";

/** Taken when this file is loaded: no request is under way then, unless it is the first that imports the package. */
const outside = AsyncLocalStorage.snapshot();

/**
 * A call of what was bound costs 70 to 95 ns on Node 20 to 26, 15 ns on Bun 1.4, and 250 ns on Deno 2.9, twice that when
 * the context holds something.
 */
export const contexts: Contexts = {
  bind: (callback) => AsyncResource.bind(callback),
  leave: (run) => outside(run),
};
