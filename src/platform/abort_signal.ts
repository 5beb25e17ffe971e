/**
 * What callers pass as `signal`.
 *
 * @module
 */

import { misuse } from "../errors.ts";
import type { Signal } from "./signal_shape.ts";

export type { Signal, SignalShape } from "./signal_shape.ts";

/**
 * Checks that `signal` is one, by shape: one of another realm will do.
 *
 * @throws {TypeError} when it is none, such as its controller; `action` completes "Cannot …"
 */
export function checkSignal(action: string, signal: Signal): void {
  if (typeof signal?.aborted === "boolean" && typeof signal.addEventListener === "function") return;
  throw misuse(action, "`signal` must be an AbortSignal", signal);
}

/** Who waits for a signal. */
interface Watch {
  readonly callbacks: Set<() => void>;
  readonly stop: () => void;
}

const watches = new WeakMap<Signal, Watch>();

/**
 * Calls `callback` when `signal`, which has not aborted yet, does. Returns a function that takes it back.
 *
 * A signal gets one listener of ours, however many wait for it: a service may end thousands of subscriptions with one,
 * and runtimes take quadratic time to add that many listeners, and Node warns from the eleventh on.
 */
export function onAbort(signal: Signal, callback: () => void): () => void {
  const watch = watches.get(signal) ?? startWatch(signal);
  // A function of its own: the same callback may be given twice.
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
