/**
 * Stand-in for JSR's `@std/assert`: the part of it that these tests use, with the same signatures. `CONTRIBUTING.md`
 * says how to run the tests on the real one.
 *
 * @module
 */

export { AssertionError } from "./assertion_error.ts";
export {
  assertArrayIncludes,
  assertEquals,
  assertNotEquals,
  assertNotStrictEquals,
  assertStrictEquals,
  equal,
} from "./equality.ts";
export { assertRejects, assertThrows } from "./errors.ts";
export {
  assert,
  assertAlmostEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
  fail,
} from "./values.ts";
