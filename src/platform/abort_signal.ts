/**
 * Abort signals: the check of a `signal` option, and one listener for each signal however many wait for it.
 *
 * @module
 */

import { misuse } from "../errors.ts";
import type { Signal } from "./signal_shape.ts";

export type { Signal, SignalShape } from "./signal_shape.ts";

/**
 * Checks that `signal` is an abort signal. The check is by shape, so a signal of another realm is accepted.
 *
 * @throws {TypeError} when it is something else, such as its controller; `action` completes "Cannot …"
 */
export function checkSignal(action: string, signal: Signal): void {
  if (typeof signal?.aborted === "boolean" && typeof signal.addEventListener === "function") return;
  throw misuse(action, "`signal` must be an AbortSignal", signal);
}

/** The callbacks that wait for one signal, and the function that removes its listener. */
interface Watch {
  readonly callbacks: Set<() => void>;
  readonly stop: () => void;
}

const watches = new WeakMap<Signal, Watch>();

/**
 * Calls `callback` when `signal` aborts, which must not have happened yet. Returns a function that removes the
 * callback.
 *
 * A signal gets one listener, however many callbacks wait for it. A service may end thousands of subscriptions with one
 * signal: the runtimes take quadratic time to add that many listeners, and Node warns from the eleventh on.
 */
export function onAbort(signal: Signal, callback: () => void): () => void {
  const watch = watches.get(signal) ?? startWatch(signal);
  // A new function for each call, as the same callback may be given twice.
  const call = () => callback();
  watch.callbacks.add(call);
  return () => {
    if (watch.callbacks.delete(call) && watch.callbacks.size === 0) watch.stop();
  };
}

function startWatch(signal: Signal): Watch {
  const callbacks = new Set<() => void>();
  const abort = () => {
    stop();
    for (const callback of callbacks) callback();
  };
  const stop = () => {
    watches.delete(signal);
    signal.removeEventListener("abort", abort);
  };
  const watch = { callbacks, stop };
  watches.set(signal, watch);
  signal.addEventListener("abort", abort);
  return watch;
}
