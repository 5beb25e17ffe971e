// Addresses as bytes and as text: RFC 4291 for what is read, RFC 5952 for what is written.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import * as fc from "fast-check";
import { IP_LENGTH, readIp, writeIp } from "../../src/wire/ip.ts";
import { fromHex, toHex } from "../support/hex.ts";

function bytesOf(literal: string, family: 4 | 6): Uint8Array {
  const bytes = new Uint8Array(IP_LENGTH[family]);
  writeIp(bytes, 0, literal, family);
  return bytes;
}

/** The literal and its bytes; the text is the canonical one of RFC 5952, sections 4 and 5. */
const CANONICAL: readonly [string, string][] = [
  ["::", "00000000000000000000000000000000"],
  ["::1", "00000000000000000000000000000001"],
  ["1::", "00010000000000000000000000000000"],
  // 4.2.1: as short as can be, on either end.
  ["2001:db8::1", "20010db8000000000000000000000001"],
  ["2001:db8::", "20010db8000000000000000000000000"],
  // 4.2.2: one group of zeros is written.
  ["2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001"],
  // 4.2.3: the longest run is shortened, the first of two that are as long.
  ["2001:0:0:1::1", "20010000000000010000000000000001"],
  ["2001:db8::1:0:0:1", "20010db8000000000001000000000001"],
  ["::1:0:0:0", "00000000000000000001000000000000"],
  ["0:1:0:1:0:1:0:1", "00000001000000010000000100000001"],
  ["::2:3:4:5:6:7", "00000000000200030004000500060007"],
  ["1:2:3:4:5:6::", "00010002000300040005000600000000"],
  // 4.1 and 4.3: no leading zeros, small letters.
  ["abcd:ef01:2345:6789:abcd:ef01:2345:6789", "abcdef0123456789abcdef0123456789"],
  ["fe80::a0b:c0d", "fe80000000000000000000000a0b0c0d"],
];

/** Other spellings of an address. */
const OTHER: readonly [string, string][] = [
  ["2001:0db8:0:0:0:0:0:1", "2001:db8::1"],
  ["2001:DB8::1", "2001:db8::1"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["2001:db8:0:0:1::1", "2001:db8::1:0:0:1"],
  ["2001:db8::0:1", "2001:db8::1"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ["::ffff:10.1.2.3", "::ffff:a01:203"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["1:2:3:4:5:6:255.255.255.254", "1:2:3:4:5:6:ffff:fffe"],
];

describe("an IPv6 address", () => {
  for (const [literal, hex] of CANONICAL) {
    test(`${literal} is ${hex}, in both directions`, () => {
      assertEquals([toHex(bytesOf(literal, 6)), readIp(fromHex(hex), 0, 6)], [hex, literal]);
    });
  }

  for (const [literal, canonical] of OTHER) {
    test(`${literal} is read back as ${canonical}`, () => {
      assertEquals(readIp(bytesOf(literal, 6), 0, 6), canonical);
    });
  }

  test("gives the same bytes again, and the text is canonical by RFC 5952", () => {
    // Few different groups, so that there are runs of zeros of all lengths, and several as long.
    const group = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.constantFrom(1, 0x10, 0xff00), fc.nat(0xffff));
    const groups = fc.array(group, { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(groups, (groups) => {
        const bytes = Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
        const text = readIp(bytes, 0, 6);
        assertEquals(toHex(bytesOf(text, 6)), toHex(bytes));
        assertMatch(text, /^[0-9a-f:]{2,39}$/);
        const runs = groups.map((group) => group === 0 ? "0" : "x").join("").match(/0+/g) ?? [];
        const longest = Math.max(0, ...runs.map(({ length }) => length));
        const [before = "", after] = text.split("::");
        assertEquals(after !== undefined, longest > 1, text);
        const written = [before, after ?? ""].flatMap((part) => part === "" ? [] : part.split(":"));
        assertEquals(written.length, longest > 1 ? 8 - longest : 8, text);
        assert(written.every((part) => part === "0" || !part.startsWith("0")), text);
        // The first of the longest runs is shortened.
        const at = runs.length === 0 || longest < 2 ? 8 : firstRun(groups, longest);
        assertEquals(before === "" ? 0 : before.split(":").length, at, text);
      }),
      { numRuns: 2000 },
    );
  });

  test("of random text is read as by the runtime, with a dotted end or without", () => {
    let count = 0;
    fc.assert(
      fc.property(fc.ipV6(), (literal) => {
        const text = readIp(bytesOf(literal, 6), 0, 6);
        assertEquals(readIp(bytesOf(text, 6), 0, 6), text);
        // The URL of the runtime is an independent implementation. That of Bun does not know all literals.
        const url = `http://[${literal}]/`;
        if (!URL.canParse(url)) return;
        count++;
        assertEquals(new URL(url).hostname, `[${text}]`);
      }),
    );
    assertGreater(count, 50);
  });
});

describe("an IPv4 address", () => {
  test("is four bytes, in both directions", () => {
    assertEquals([toHex(bytesOf("10.0.255.1", 4)), readIp(fromHex("0a00ff01"), 0, 4)], ["0a00ff01", "10.0.255.1"]);
    fc.assert(fc.property(fc.ipV4(), (literal) => assertEquals(readIp(bytesOf(literal, 4), 0, 4), literal)));
  });
});

test("an address is read and written within its bounds, and nowhere else", () => {
  const family = fc.constantFrom(4 as const, 6 as const);
  // Mostly zeros, which an IPv6 literal leaves out.
  const byte = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(255));
  const bytes = fc.array(byte, { minLength: 16, maxLength: 16 }).map((bytes) => Uint8Array.from(bytes));
  fc.assert(
    fc.property(family, bytes, fc.nat(9), (family, random, offset) => {
      const address = random.subarray(0, IP_LENGTH[family]);
      const bytes = new Uint8Array(offset + address.length + 3).fill(0xee);
      writeIp(bytes, offset, readIp(address, 0, family), family);
      const [before, after] = [new Uint8Array(offset).fill(0xee), new Uint8Array(3).fill(0xee)];
      assertEquals(bytes, Uint8Array.of(...before, ...address, ...after));
      assertEquals(readIp(bytes, offset, family), readIp(address, 0, family));
    }),
  );
});

function firstRun(groups: readonly number[], length: number): number {
  return groups.findIndex((_, i) => {
    const run = groups.slice(i, i + length);
    return run.length === length && run.every((group) => group === 0);
  });
}
