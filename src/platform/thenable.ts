/**
 * What callbacks return.
 *
 * @module
 */

/** Whether a callback has returned a promise, or what is as good as one, that may still reject. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
