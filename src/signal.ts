/**
 * What callers pass as `signal`.
 *
 * @module
 */

import { show } from "./errors.ts";

/**
 * Checks that `signal` is one, by shape: one of another realm will do.
 *
 * @throws {TypeError} when it is none, such as its controller; `action` completes "Cannot …"
 */
export function checkSignal(action: string, signal: AbortSignal): void {
  if (typeof signal?.aborted === "boolean" && typeof signal.addEventListener === "function") return;
  throw new TypeError(`Cannot ${action} as \`signal\` must be an AbortSignal: current value is ${show(signal)}`);
}
