// Equality assertions: deep equality, strict equality and contained items.
import nodeAssert from "node:assert";
import { inspect } from "node:util";
import { AssertionError, withSuffix } from "./assertion_error.ts";

/**
 * Deep equality: same prototypes, same own keys, NaN equals NaN. Stricter than the real one in two things: 0 differs
 * from -0, and an object without a prototype from one with `Object.prototype`.
 */
export function equal(a: unknown, b: unknown): boolean {
  try {
    nodeAssert.deepStrictEqual(a, b);
    return true;
  } catch {
    return false;
  }
}

/** Fails unless the two are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  try {
    nodeAssert.deepStrictEqual(actual, expected);
  } catch (cause) {
    const difference = cause instanceof Error ? cause.message : inspect(cause);
    throw new AssertionError(`${withSuffix("Values are not equal.", msg)}\n${difference}`);
  }
}

/** Fails when the two are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw new AssertionError(withSuffix(`Expected a value other than ${inspect(expected)}.`, msg));
}

/** Fails unless the two are the same value, as `Object.is` has it. */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const what = equal(actual, expected) ? "Values are equal, but not the same" : "Values are not the same";
  throw new AssertionError(withSuffix(`${what}: ${inspect(actual)} and ${inspect(expected)}.`, msg));
}

/** Fails when the two are the same value, as `Object.is` has it. */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!Object.is(actual, expected)) return;
  throw new AssertionError(withSuffix(`Expected something other than the same ${inspect(actual)}.`, msg));
}

/** Fails unless each item of `expected` deeply equals some item of `actual`. */
export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, msg?: string): void {
  const missing = Array.from(expected).filter((item) => !Array.from(actual).some((other) => equal(item, other)));
  if (missing.length === 0) return;
  throw new AssertionError(withSuffix(`Expected ${inspect(actual)} to include ${inspect(missing)}.`, msg));
}
