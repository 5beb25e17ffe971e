// Metadata: what is accepted, how it lies in a record, and that no bytes make its reader throw.
import { describe, test } from "node:test";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import {
  checkMetadata,
  type EntryMetadata,
  mergeClocks,
  type Metadata,
  metadataLength,
  readMetadata,
  type VectorClock,
  writeMetadata,
} from "../../src/wire/metadata.ts";
import { name as anyName, vectorClock } from "../support/arbitraries.ts";
import { fromHex, toHex } from "../support/hex.ts";

const entry: fc.Arbitrary<EntryMetadata> = fc.record({
  index: fc.nat(0xffff),
  isForGo: fc.boolean(),
  region: anyName,
  vectorClock,
  scope: fc.constantFrom("local" as const, "global" as const),
}, { requiredKeys: ["index", "isForGo"], noNullPrototype: true });

function valueOf(entries: readonly EntryMetadata[]): Uint8Array {
  const bytes = new Uint8Array(entries.reduce((sum, each) => sum + metadataLength(each), 0));
  let end = 0;
  for (const each of entries) end = writeMetadata(bytes, end, each);
  assertEquals(end, bytes.length);
  return bytes;
}

describe("the metadata of entries", () => {
  test("is the same when it is read again", () => {
    fc.assert(fc.property(fc.array(entry, { minLength: 1, maxLength: 4 }), (entries) => {
      assertEquals(readMetadata(valueOf(entries)), entries);
    }));
  });

  test("lies in the record as the layout says", () => {
    const all: EntryMetadata = {
      index: 258,
      isForGo: true,
      region: "é",
      vectorClock: { a: 1, bc: 2n ** 64n - 1n },
      scope: "local",
    };
    assertEquals(
      toHex(valueOf([all])),
      "0102" + "17" + "02c3a9" + "02" + "0161" + "0000000000000001" + "026263" + "ffffffffffffffff",
    );
    assertEquals(toHex(valueOf([{ index: 0, isForGo: false, scope: "global" }])), "000008");
    assertEquals(toHex(valueOf([{ index: 1, isForGo: false }])), "000100");
    assertEquals(toHex(valueOf([{ index: 0, isForGo: false, vectorClock: {} }])), "00000200");
  });

  test("may have writers with the names of properties that every object has", () => {
    const clock: VectorClock = Object.fromEntries([["__proto__", 1], ["constructor", 2n ** 60n], ["toString", 3]]);
    const [read] = readMetadata(valueOf([{ index: 0, isForGo: false, vectorClock: clock }])) ?? [];
    assertEquals(Object.entries(read?.vectorClock ?? {}), [["__proto__", 1], ["constructor", 2n ** 60n], [
      "toString",
      3,
    ]]);
    assertStrictEquals(Object.getPrototypeOf(read?.vectorClock), Object.prototype);
    assertEquals(Object.keys(checkMetadata({ vectorClock: clock })?.vectorClock ?? {}), Object.keys(clock));
    assertEquals(Object.entries(mergeClocks(clock, { constructor: 5 } as unknown as VectorClock) ?? {}), [
      ["__proto__", 1],
      ["constructor", 2n ** 60n],
      ["toString", 3],
    ]);
  });

  test("is unreadable when it is cut within an entry, and has the entries before a cut between two", () => {
    let whole = 0;
    fc.assert(fc.property(fc.array(entry, { minLength: 1, maxLength: 3 }), (entries) => {
      const value = valueOf(entries);
      const ends = new Map(entries.map((_, i) => [valueOf(entries.slice(0, i + 1)).length, i + 1]));
      for (let length = 0; length < value.length; length++) {
        const count = ends.get(length);
        assertEquals(
          readMetadata(value.subarray(0, length)),
          count === undefined ? undefined : entries.slice(0, count),
        );
        if (count !== undefined) whole++;
      }
    }));
    assert(whole > 0);
  });

  test("with any byte changed is read within its limits or is unreadable, and nothing throws", () => {
    let [read, unreadable] = [0, 0];
    fc.assert(fc.property(entry, entry, fc.integer({ min: 1, max: 255 }), (one, other, change) => {
      const value = valueOf([one, other]);
      for (let at = 0; at < value.length; at++) {
        const before = value[at] as number;
        value[at] = before ^ change;
        const found = readMetadata(value);
        if (found === undefined) unreadable++;
        else {
          read++;
          // What is read can be written, and is then read as the same.
          assertEquals(readMetadata(valueOf(found)), found);
        }
        value[at] = before;
      }
    }));
    assert(read > 100 && unreadable > 100, `${read} and ${unreadable}`);
  });

  const text = (length: number) => `${length.toString(16).padStart(2, "0")}${"61".repeat(length)}`;
  const unreadable: readonly (readonly [string, string])[] = [
    ["nothing", ""],
    ["a region without text", "000001" + "00"],
    ["a region of 65 bytes", "000001" + text(65)],
    ["a region that is no UTF-8", "000001" + "01ff"],
    ["a clock of 65 writers", "000002" + "41" + `${text(1)}0000000000000001`.repeat(65)],
    ["a writer without a name", "000002" + "01" + "00" + "0000000000000001"],
    ["a writer of 65 bytes", "000002" + "01" + text(65) + "0000000000000001"],
    ["a writer that is no UTF-8", "000002" + "01" + "02c328" + "0000000000000001"],
    ["a count of 7 bytes", "000002" + "01" + text(1) + "00000000000001"],
    ["a clock without its number of writers", "000002"],
  ];
  for (const [what, hex] of unreadable) {
    test(`is unreadable with ${what}`, () => assertEquals(readMetadata(fromHex(hex)), undefined));
  }

  test("of the greatest lengths is readable", () => {
    assertEquals(readMetadata(fromHex("000001" + text(64)))?.[0]?.region, "a".repeat(64));
    const clock = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`${i}`.padEnd(64, "w"), i]));
    assertEquals(readMetadata(valueOf([{ index: 9, isForGo: false, vectorClock: clock }]))?.[0]?.vectorClock, clock);
  });

  test("ignores flags that it does not know, and takes both scopes for the wider one", () => {
    assertEquals(readMetadata(fromHex("0005e0")), [{ index: 5, isForGo: false }]);
    assertEquals(readMetadata(fromHex("00050c")), [{ index: 5, isForGo: false, scope: "global" }]);
  });
});

describe("the metadata of a publish", () => {
  test("is copied, without what is undefined", () => {
    const clock = { a: 1 };
    const checked = checkMetadata({ region: "eu", vectorClock: clock, scope: undefined });
    assertEquals(checked, { region: "eu", vectorClock: { a: 1 } });
    assert(checked?.vectorClock !== clock);
    assertEquals(checkMetadata({}), undefined);
    assertEquals(checkMetadata({ region: undefined, vectorClock: undefined, scope: undefined }), undefined);
    assertEquals(checkMetadata({ vectorClock: {} }), { vectorClock: {} });
  });

  const clock = (vectorClock: unknown) => ({ vectorClock } as Metadata);
  const count = "a count of `vectorClock` must be an integer from 0 to 2^53 - 1, or a bigint up to 2^64 - 1";
  const refused: readonly (readonly [string, Metadata, typeof TypeError | typeof RangeError, string])[] = [
    [
      "a region that is no string",
      { region: 5 as unknown as string },
      TypeError,
      "`region` must be a well-formed string: current value is 5",
    ],
    ["a region that is ill-formed", { region: "\ud800" }, TypeError, "`region` must be a well-formed string"],
    [
      "an empty region",
      { region: "" },
      RangeError,
      '`region` must have 1 to 64 bytes of UTF-8: current value "" has 0',
    ],
    ["a region of 65 bytes", { region: `${"é".repeat(32)}a` }, RangeError, `"${"é".repeat(32)}a" has 65`],
    [
      "another scope",
      { scope: "zonal" as "local" },
      TypeError,
      '`scope` must be "local" or "global": current value is "zonal"',
    ],
    [
      "a clock that is null",
      clock(null),
      TypeError,
      "`vectorClock` must be a plain object with a count per writer: current value is null",
    ],
    ["a clock that is a list", clock([1]), TypeError, "`vectorClock` must be a plain object with a count per writer"],
    ["a clock that is a map", clock(new Map([["a", 1]])), TypeError, "`vectorClock` must be a plain object"],
    ["a clock that is text", clock("a"), TypeError, "`vectorClock` must be a plain object with a count per writer"],
    [
      "a clock of 65 writers",
      clock(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`w${i}`, 1]))),
      RangeError,
      "`vectorClock` must have at most 64 writers: current value is 65",
    ],
    [
      "a writer without a name",
      clock({ "": 1 }),
      RangeError,
      '`vectorClock` must have 1 to 64 bytes of UTF-8: current value "" has 0',
    ],
    ["a writer of 65 bytes", clock({ ["w".repeat(65)]: 1 }), RangeError, "has 65"],
    [
      "a writer that is ill-formed",
      clock({ "\udc00": 1 }),
      TypeError,
      "a writer of `vectorClock` must be a well-formed string",
    ],
    ["a negative count", clock({ a: -1 }), RangeError, `${count}: current value is -1`],
    ["a count with a fraction", clock({ a: 0.5 }), RangeError, `${count}: current value is 0.5`],
    ["a count that is not exact", clock({ a: 2 ** 53 }), RangeError, `${count}: current value is ${2 ** 53}`],
    ["a count that is text", clock({ a: "1" }), TypeError, `${count}: current value is "1"`],
    ["a negative bigint", clock({ a: -1n }), RangeError, `${count}: current value is -1`],
    ["a bigint of 65 bits", clock({ a: 2n ** 64n }), RangeError, `${count}: current value is ${2n ** 64n}`],
  ];
  for (const [what, metadata, type, message] of refused) {
    test(`is refused: ${what}`, () => {
      const error = assertThrows(() => checkMetadata(metadata), type, message);
      assert((error as Error).message.startsWith("Cannot publish as "), (error as Error).message);
    });
  }

  test("of any values in range is accepted as it is", () => {
    fc.assert(fc.property(entry, ({ index: _index, isForGo: _isForGo, ...metadata }) => {
      assertEquals(checkMetadata(metadata), Object.keys(metadata).length === 0 ? undefined : metadata);
    }));
  });
});

describe("clocks that are merged", () => {
  test("have the higher count of each writer, whether it is a number or a bigint", () => {
    fc.assert(fc.property(vectorClock, vectorClock, (a, b) => {
      const merged = mergeClocks(a, b) ?? {};
      const writers = new Set([...Object.keys(a), ...Object.keys(b)]);
      assertEquals(new Set(Object.keys(merged)), writers);
      for (const writer of writers) {
        const counts = [a, b].flatMap((clock) => Object.hasOwn(clock, writer) ? [BigInt(clock[writer] as number)] : []);
        const highest = counts.reduce((most, each) => each > most ? each : most);
        assertEquals(BigInt(merged[writer] as number), highest);
      }
      assertEquals(mergeClocks(b, a), merged);
      assertEquals(mergeClocks(merged, a), merged);
    }));
  });

  test("are the one that there is, or none", () => {
    assertEquals([mergeClocks({ a: 1 }, undefined), mergeClocks(undefined, { b: 2 })], [{ a: 1 }, { b: 2 }]);
    assertEquals(mergeClocks(undefined, undefined), undefined);
  });
});
