/**
 * Async contexts: captures and enters contexts of `AsyncLocalStorage`, the same on Node, Deno and Bun.
 *
 * @module
 */

import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { types } from "node:util";
import type { Contexts, EnterContext } from "../src/platform/contexts.ts";
import { frameOfNowIn } from "./deno_async_context.ts";

/** The properties that a resource has besides the stores of its context. */
const own = new Map(symbolsOf(newResource()));

/** Captured when this file is loaded: no request is running then, unless it is the first that imports the package. */
const outside: EnterContext = AsyncLocalStorage.snapshot();

/**
 * Whether a resource shows the stores of its context: on Node it does, on Deno 2.9 and Bun 1.4 it does not. With Node
 * up to 22 it holds the stores itself.
 */
const { isVisible, isHeld } = outside(probe);

/** Deno shows instead whether two contexts are the same. */
const frameOfNow = frameOfNowIn(globalThis);
/** The frame of `outside`. It is not read within it, as entering a context makes another frame. */
const outerFrame = frameOfNow?.();

/** Functions that enter a context, by its frame. */
const byFrame = new WeakMap<object, EnterContext>();

/** Resources in no context, for Node up to 22. Nothing runs in them. */
const idle: AsyncResource[] = [];

const leave: EnterContext = isHeld ? leaveHeld : outside;

/**
 * Captures contexts at a low cost. Entering a context costs 10 to 14 ns on Node 20 to 26, 2 ns on Bun 1.4 and 350 to
 * 700 ns on Deno 2.9. With 100,000 different ones it costs 0.3 to 1.3 us, for memory that is not in the processor's
 * cache (40 ns on Bun). Leaving it costs 90 to 250 ns on Node, 500 on Deno. So all that subscribe in no context share
 * one, and on Deno all that subscribe in the same context.
 */
export const contexts: Contexts = {
  capture() {
    const frame = frameOfNow?.();
    if (frameOfNow !== undefined && frame === outerFrame) return leave;
    const known = frame && byFrame.get(frame);
    if (known !== undefined) return known;
    const resource = newResource();
    if (isVisible && isEmpty(resource)) return leave;
    // `AsyncResource.bind` and `snapshot` make a function that takes 0.5 to 2.7 kB on Node, and is slower to enter:
    // `findings/node_context_snapshots_take_kilobytes.sh`.
    const enter: EnterContext = (run) => resource.runInAsyncScope(run);
    if (frame !== undefined) byFrame.set(frame, enter);
    return enter;
  },
  leave,
};

/**
 * `run` and `enterWith` write into the resource that is executing: each entry gets a resource of its own, which is
 * wiped after it.
 */
function leaveHeld<R>(run: () => R): R {
  const resource = idle.pop() ?? wiped(newResource());
  try {
    return resource.runInAsyncScope(run);
  } finally {
    idle.push(wiped(resource));
  }
}

function wiped(resource: AsyncResource): AsyncResource {
  const names = Object.getOwnPropertySymbols(resource);
  if (names.length === own.size) return resource;
  for (const name of names) if (!own.has(name)) Reflect.deleteProperty(resource, name);
  return resource;
}

/** A resource that carries the current context. */
function newResource(): AsyncResource {
  return new AsyncResource("warp-mesh", { requireManualDestroy: true });
}

function symbolsOf(resource: AsyncResource): [name: symbol, value: unknown][] {
  return Object.getOwnPropertySymbols(resource).map((name) => [name, Reflect.get(resource, name)]);
}

/** Node up to 22 has a symbol for each store, Node 24 one for a map of all. A store that was left is undefined. */
function isEmpty(resource: AsyncResource): boolean {
  return symbolsOf(resource).every(([name, value]) =>
    value === undefined || own.get(name) !== undefined ||
    types.isMap(value) && [...Map.prototype.values.call(value)].every((store) => store === undefined)
  );
}

function probe(): { readonly isVisible: boolean; readonly isHeld: boolean } {
  const storage = new AsyncLocalStorage<boolean>();
  const resource = storage.run(true, newResource);
  const isVisible = isEmpty(newResource()) && !isEmpty(resource);
  // While a storage is enabled, Node up to 22 follows each promise: an `await` takes three times as long.
  storage.disable();
  return { isVisible, isHeld: isVisible && symbolsOf(resource).length > own.size };
}
