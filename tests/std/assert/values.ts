// Value assertions: conditions, existence, matches and comparisons.
import { inspect } from "node:util";
import { AssertionError, withSuffix } from "./assertion_error.ts";

/** The values that a condition takes for false. */
export type Falsy = false | 0 | 0n | "" | null | undefined;

/** Any class, abstract ones included. */
export type Constructor = abstract new (...args: never) => unknown;

/** Fails unless `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Fails unless `expr` is falsy. */
export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

/** Fails, always. */
export function fail(msg?: string): never {
  throw new AssertionError(withSuffix("Failed assertion.", msg));
}

/** Fails on `null` and `undefined`. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(withSuffix(`Expected neither null nor undefined: current value is ${actual}.`, msg));
}

/** Fails unless `actual` is an instance of the class. */
export function assertInstanceOf<T extends Constructor>(
  actual: unknown,
  expectedType: T,
  msg?: string,
): asserts actual is T extends abstract new (...args: never) => infer I ? I : never {
  if (actual instanceof expectedType) return;
  throw new AssertionError(withSuffix(`Expected a ${expectedType.name}: current value is ${inspect(actual)}.`, msg));
}

/** Fails unless the text matches. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) return;
  throw new AssertionError(withSuffix(`Expected ${inspect(actual)} to match ${expected}.`, msg));
}

/** Fails when the text matches. */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) return;
  throw new AssertionError(withSuffix(`Expected ${inspect(actual)} not to match ${expected}.`, msg));
}

/** Fails unless the text contains the other. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(withSuffix(`Expected ${inspect(actual)} to include ${inspect(expected)}.`, msg));
}

/** Fails unless the two are at most `tolerance` apart; by default 1e-7 of `expected`. */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  if (Math.abs(expected - actual) <= allowed) return;
  throw new AssertionError(withSuffix(`Expected ${actual} to be within ${allowed} of ${expected}.`, msg));
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  compare(actual > expected, ">", actual, expected, msg);
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  compare(actual >= expected, ">=", actual, expected, msg);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  compare(actual < expected, "<", actual, expected, msg);
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  compare(actual <= expected, "<=", actual, expected, msg);
}

function compare(holds: boolean, relation: string, actual: unknown, expected: unknown, msg: string | undefined): void {
  if (holds) return;
  throw new AssertionError(withSuffix(`Expected ${inspect(actual)} ${relation} ${inspect(expected)}.`, msg));
}
