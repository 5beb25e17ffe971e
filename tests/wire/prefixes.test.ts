// Prefixes in the extension block of a batch: what is written is read, and nothing else.
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { readPrefixes, writePrefix } from "../../src/wire/prefixes.ts";
import { utf8Length } from "../../src/wire/utf8.ts";
import { anyKey } from "../support/arbitraries.ts";
import { fromHex, toHex } from "../support/hex.ts";

const prefixes = fc.array(anyKey, { minLength: 1, maxLength: 5 });

function valueOf(prefixes: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(prefixes.reduce((sum, prefix) => sum + 2 + utf8Length(prefix), 0));
  let end = 0;
  for (const prefix of prefixes) end = writePrefix(bytes, end, prefix);
  assertEquals(end, bytes.length);
  return bytes;
}

describe("prefixes", () => {
  test("are the same when they are read again, the empty one too", () => {
    fc.assert(fc.property(prefixes, (prefixes) => assertEquals(readPrefixes(valueOf(prefixes)), prefixes)));
    assertEquals(toHex(valueOf(["", "é:"])), "0000" + "0003c3a93a");
  });

  test("that are cut within one are not read", () => {
    fc.assert(fc.property(prefixes, (prefixes) => {
      const value = valueOf(prefixes);
      const ends = new Map(prefixes.map((_, i) => [valueOf(prefixes.slice(0, i + 1)).length, i + 1]));
      for (let length = 0; length < value.length; length++) {
        const count = ends.get(length);
        const expected = count === undefined ? undefined : prefixes.slice(0, count);
        assertEquals(readPrefixes(value.subarray(0, length)), expected);
      }
    }));
  });

  test("of any bytes are whole or not read, and nothing throws", () => {
    let read = 0;
    fc.assert(fc.property(prefixes, fc.nat(), fc.integer({ min: 1, max: 255 }), (prefixes, where, change) => {
      const value = valueOf(prefixes);
      const at = where % value.length;
      value[at] = (value[at] as number) ^ change;
      const found = readPrefixes(value);
      if (found === undefined) return;
      read++;
      assertEquals(valueOf(found), value);
    }));
    assert(read > 0);
  });

  for (
    const [what, hex] of [["nothing", ""], ["half a length", "00"], ["bytes that are no UTF-8", "0001ff"]] as const
  ) {
    test(`are not read from ${what}`, () => assertEquals(readPrefixes(fromHex(hex)), undefined));
  }
});
