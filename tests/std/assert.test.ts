// The stand-in for `@std/assert`: each assertion, when it holds and when it fails.
import { describe, test } from "node:test";
import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertNotMatch,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
} from "@std/assert";

// No assertion under test may be what proves that it fails.
function failure(fn: () => void): AssertionError {
  try {
    fn();
  } catch (error) {
    if (error instanceof AssertionError) return error;
    throw error;
  }
  throw new Error("the assertion passed");
}

async function asyncFailure(fn: () => Promise<unknown>): Promise<AssertionError> {
  try {
    await fn();
  } catch (error) {
    if (error instanceof AssertionError) return error;
    throw error;
  }
  throw new Error("the assertion passed");
}

describe("@std/assert", () => {
  test("assert, assertFalse and fail", () => {
    assert(1);
    assertFalse("");
    if (failure(() => assert(0, "zero")).message !== "zero") throw new Error("the message is lost");
    failure(() => assertFalse("x"));
    if (failure(() => fail("why")).message !== "Failed assertion: why") throw new Error("the message is lost");
  });

  test("assertEquals is deep and takes the type into account", () => {
    assertEquals({ a: [1, { b: new Map([["k", new Set([1])]]) }] }, { a: [1, { b: new Map([["k", new Set([1])]]) }] });
    assertEquals(new Uint8Array([1, 2]), new Uint8Array([1, 2]));
    assertEquals(new Date(5), new Date(5));
    assertEquals(NaN, NaN);
    const unequal: [unknown, unknown][] = [
      [{ a: 1 }, { a: 2 }],
      [{ a: 1, b: undefined }, { a: 1 }],
      [[1, 2], [2, 1]],
      [new Map([["k", 1]]), new Map([["k", 2]])],
      [new Set([1]), new Set([2])],
      [new Uint8Array([1]), new Uint8Array([2])],
      [new Uint8Array([1]), [1]],
      [new Date(5), new Date(6)],
      [1, "1"],
      [null, undefined],
    ];
    for (const [a, b] of unequal) {
      failure(() => assertEquals(a, b));
      assertNotEquals(a, b);
      assertFalse(equal(a, b));
    }
    failure(() => assertNotEquals({ a: [1] }, { a: [1] }));
    assertStringIncludes(failure(() => assertEquals({ a: 1 }, { a: 2 }, "the caller's words")).message, "caller's");
  });

  test("assertStrictEquals takes the same value only", () => {
    const value = {};
    assertStrictEquals(value, value);
    assertStrictEquals(NaN, NaN);
    failure(() => assertStrictEquals({}, {}));
    failure(() => assertStrictEquals(0, -0));
    assertNotStrictEquals({}, {});
    failure(() => assertNotStrictEquals(value, value));
  });

  test("assertThrows returns the error and compares class and message", () => {
    const error = new RangeError("too large: 7");
    function thrower(): never {
      throw error;
    }
    assertStrictEquals(assertThrows(thrower), error);
    assertStrictEquals(assertThrows(thrower, "words"), error);
    assertStrictEquals(assertThrows(thrower, RangeError, "large"), error);
    assertStrictEquals(assertThrows(thrower, Error), error);
    failure(() => assertThrows(thrower, TypeError));
    failure(() => assertThrows(thrower, RangeError, "small"));
    assertStringIncludes(failure(() => assertThrows(thrower, RangeError, "small", "words")).message, "words");
    assertStringIncludes(failure(() => assertThrows(() => 1, "words")).message, "words");
    const text: unknown = "no error";
    failure(() =>
      assertThrows(() => {
        throw text;
      }, Error)
    );
  });

  test("assertRejects resolves to the error and compares class and message", async () => {
    const error = new RangeError("too large: 7");
    const rejecter = () => Promise.reject(error);
    assertStrictEquals(await assertRejects(rejecter), error);
    assertStrictEquals(await assertRejects(rejecter, "words"), error);
    assertStrictEquals(await assertRejects(rejecter, RangeError, "large"), error);
    await asyncFailure(() => assertRejects(rejecter, TypeError));
    await asyncFailure(() => assertRejects(rejecter, RangeError, "small"));
    await asyncFailure(() => assertRejects(() => Promise.resolve(1)));
  });

  test("assertRejects fails when the function throws instead", async () => {
    const thrower = () => {
      throw new RangeError("at once");
    };
    assertStringIncludes((await asyncFailure(() => assertRejects(thrower))).message, "throws when expected to reject");
    await asyncFailure(() => assertRejects(thrower, RangeError, "at once"));
  });

  test("assertInstanceOf and assertExists", () => {
    assertInstanceOf(new RangeError("x"), Error);
    failure(() => assertInstanceOf(new Error("x"), RangeError));
    failure(() => assertInstanceOf("x", String));
    assertExists(0);
    assertExists("");
    failure(() => assertExists(null));
    failure(() => assertExists(undefined));
  });

  test("assertMatch, assertStringIncludes and assertArrayIncludes", () => {
    assertMatch("port 7946", /\d+/);
    failure(() => assertMatch("port", /\d+/));
    assertNotMatch("port", /\d+/);
    failure(() => assertNotMatch("port 7946", /\d+/));
    assertStringIncludes("port 7946", "79");
    failure(() => assertStringIncludes("port 7946", "80"));
    assertArrayIncludes([1, { a: 2 }, 3], [{ a: 2 }, 1]);
    failure(() => assertArrayIncludes([1, { a: 2 }], [{ a: 3 }]));
  });

  test("order and nearness", () => {
    assertGreater(2, 1);
    failure(() => assertGreater(1, 1));
    assertGreaterOrEqual(1, 1);
    failure(() => assertGreaterOrEqual(1, 2));
    assertLess(1, 2);
    failure(() => assertLess(1, 1));
    assertLessOrEqual(1, 1);
    failure(() => assertLessOrEqual(2, 1));
    failure(() => assertLess(NaN, 1));
    assertAlmostEquals(0.1 + 0.2, 0.3);
    assertAlmostEquals(10, 12, 2);
    failure(() => assertAlmostEquals(10, 12, 1));
    failure(() => assertAlmostEquals(1, 1.001));
    failure(() => assertAlmostEquals(NaN, 1));
  });
});
