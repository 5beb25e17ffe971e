// Integers of 64 bits: a number where that is exact, and a bigint above.
import { describe, test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import * as fc from "fast-check";
import { readU64, writeU64 } from "../../src/wire/integers.ts";
import { fromHex, toHex } from "../support/hex.ts";

/** The bytes of a value with other bytes around them, which must not change. */
function written(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(12).fill(0xee);
  writeU64(bytes, 2, value);
  assertEquals([toHex(bytes.subarray(0, 2)), toHex(bytes.subarray(10))], ["eeee", "eeee"]);
  return bytes.subarray(2, 10);
}

describe("a count of 64 bits", () => {
  const cases: readonly (readonly [number | bigint, string])[] = [
    [0, "0000000000000000"],
    [1, "0000000000000001"],
    [2 ** 32 - 1, "00000000ffffffff"],
    [2 ** 32, "0000000100000000"],
    [Number.MAX_SAFE_INTEGER, "001fffffffffffff"],
    [2n ** 53n, "0020000000000000"],
    [2n ** 53n + 1n, "0020000000000001"],
    [2n ** 63n, "8000000000000000"],
    [2n ** 64n - 1n, "ffffffffffffffff"],
  ];
  for (const [value, hex] of cases) {
    test(`${value} is written as ${hex} and read again`, () => {
      assertEquals(toHex(written(value)), hex);
      assertStrictEquals(readU64(fromHex(`ee${hex}ee`), 1), value);
    });
  }

  test("is read as a number exactly when that is safe, whatever it was written as", () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
      const read = readU64(written(value), 0);
      const isSafe = value <= BigInt(Number.MAX_SAFE_INTEGER);
      assertStrictEquals(read, isSafe ? Number(value) : value);
      if (isSafe) assertEquals(written(Number(value)), written(value));
    }));
  });
});
