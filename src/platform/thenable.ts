/**
 * Detection of promises among the return values of callbacks.
 *
 * @module
 */

/** Whether a callback has returned a promise or another thenable, which may still reject. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
