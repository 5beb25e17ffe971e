// Metadata of keys: its checks, and its record against itself and against malformed bytes.
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import {
  checkMetadata,
  type EntryMetadata,
  mergeClocks,
  type Metadata,
  metadataLength,
  readMetadata,
  writeMetadata,
} from "../../src/wire/metadata.ts";

const MOST = 2n ** 64n - 1n;

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12 }),
  fc.constantFrom("__proto__", "constructor", "é".repeat(32), "🙂", "x".repeat(64)),
).filter((text) => text.length > 0);
const count = fc.oneof(fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER), fc.bigInt(BigInt(2 ** 53), MOST));
const clock = fc.array(fc.tuple(name, count), { maxLength: 10 }).map((entries) => Object.fromEntries(entries));
const metadata: fc.Arbitrary<Metadata> = fc.record({
  region: name,
  vectorClock: clock,
  scope: fc.constantFrom("local", "global"),
}, { requiredKeys: [] });
const entry: fc.Arbitrary<EntryMetadata> = fc.tuple(metadata, fc.nat(65_535), fc.boolean()).map((
  [rest, index, isForGo],
) => ({ ...rest, index, isForGo }));

function write(entries: readonly EntryMetadata[]): Uint8Array {
  const bytes = new Uint8Array(entries.reduce((sum, each) => sum + metadataLength(each), 0));
  let end = 0;
  for (const each of entries) end = writeMetadata(bytes, end, each);
  assertEquals(end, bytes.length);
  return bytes;
}

describe("the record", () => {
  test("has as many bytes as it says, and is read as it was written", () => {
    fc.assert(fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), (entries) => {
      assertEquals(readMetadata(write(entries)), entries);
    }));
  });

  test("that was cut or changed is read without an exception, and never beyond its end", () => {
    fc.assert(fc.property(fc.array(entry, { minLength: 1, maxLength: 3 }), fc.nat(), fc.nat(255), (entries, at, to) => {
      const bytes = write(entries);
      const cut = bytes.slice(0, at % bytes.length);
      assert(cut.length === 0 || (readMetadata(cut)?.length ?? 0) <= entries.length);
      bytes[at % bytes.length] = to;
      for (const each of readMetadata(bytes) ?? []) assert(metadataLength(each) <= bytes.length);
    }));
  });

  const MALFORMED: readonly (readonly [string, readonly number[]])[] = [
    ["nothing", []],
    ["an entry without flags", [0, 0]],
    ["a region of no bytes", [0, 0, 1, 0]],
    ["a region that is not UTF-8", [0, 0, 1, 1, 0xff]],
    ["a region of 65 bytes", [0, 0, 1, 65, ...new Array(65).fill(97)]],
    ["a clock without a count", [0, 0, 2]],
    ["a clock of 65 writers", [0, 0, 2, 65]],
    ["a writer without a count", [0, 0, 2, 1, 1, 97, 0, 0, 0, 0, 0, 0, 0]],
  ];
  for (const [what, bytes] of MALFORMED) {
    test(`is not read: ${what}`, () => assertEquals(readMetadata(Uint8Array.from(bytes)), undefined));
  }

  test("has flags of later versions, which are ignored", () => {
    assertEquals(readMetadata(Uint8Array.of(0, 7, 0xe0)), [{ index: 7, isForGo: false }]);
  });
});

describe("a count", () => {
  test("is a number as long as that is exact, and a bigint above", () => {
    const counts = [0, 2 ** 32, Number.MAX_SAFE_INTEGER, 2n ** 53n, MOST];
    const written = write([{
      index: 0,
      isForGo: false,
      vectorClock: Object.fromEntries(counts.map((n, i) => [`${i}`, n])),
    }]);
    assertEquals(Object.values(readMetadata(written)?.[0]?.vectorClock ?? {}), counts);
    assertEquals(
      Object.values(
        readMetadata(write([{ index: 0, isForGo: false, vectorClock: { a: 5n } }]))?.[0]?.vectorClock ?? {},
      ),
      [5],
    );
  });
});

describe("merged clocks", () => {
  test("have the highest count of each writer, whichever came first", () => {
    fc.assert(fc.property(clock, clock, (a, b) => {
      const merged = mergeClocks(a, b) ?? {};
      assertEquals(new Set(Object.keys(merged)), new Set([...Object.keys(a), ...Object.keys(b)]));
      for (const [writer, count] of Object.entries(merged)) {
        const [one = 0, other = 0] = [a, b].map((each) => Object.hasOwn(each, writer) ? each[writer] : undefined);
        assert(count >= one && count >= other && (count === one || count === other));
      }
    }));
  });

  test("of which one is absent are the other", () => {
    assertEquals([mergeClocks(undefined, { a: 1 }), mergeClocks({ a: 1 }, undefined)], [{ a: 1 }, { a: 1 }]);
    assertEquals(mergeClocks(undefined, undefined), undefined);
  });
});

describe("what is refused", () => {
  const REFUSED: readonly (readonly [unknown, typeof TypeError | typeof RangeError, string])[] = [
    [{ region: "" }, RangeError, 'Cannot publish as `region` must have 1 to 64 bytes of UTF-8: current value "" has 0'],
    [{ region: "é".repeat(33) }, RangeError, "has 66"],
    [{ region: "\ud800" }, TypeError, "`region` must be a well-formed string"],
    [{ region: 5 }, TypeError, "`region` must be a well-formed string: current value is 5"],
    [{ scope: "regional" }, TypeError, '`scope` must be "local" or "global": current value is "regional"'],
    [{ vectorClock: [1] }, TypeError, "`vectorClock` must be an object"],
    [{ vectorClock: 1 }, TypeError, "`vectorClock` must be an object"],
    [{ vectorClock: { "": 1 } }, RangeError, "`vectorClock` must have 1 to 64 bytes"],
    [{ vectorClock: { a: -1 } }, RangeError, "a count of `vectorClock` must be an integer"],
    [{ vectorClock: { a: 0.5 } }, RangeError, "current value is 0.5"],
    [{ vectorClock: { a: 2 ** 53 } }, RangeError, "current value is 9007199254740992"],
    [{ vectorClock: { a: 2n ** 64n } }, TypeError, "current value is 18446744073709551616"],
    [{ vectorClock: { a: "1" } }, TypeError, 'current value is "1"'],
    [{ vectorClock: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`w${i}`, 1])) }, RangeError, "at most 64"],
  ];
  for (const [given, type, message] of REFUSED) {
    test(message, () => {
      assertThrows(() => checkMetadata(given as Metadata), type, message);
    });
  }

  test("is nothing else: what is given is copied", () => {
    const given = { region: "eu", vectorClock: { a: 1 }, scope: "local" as const };
    const checked = checkMetadata(given);
    given.vectorClock.a++;
    assertEquals(checked, { region: "eu", vectorClock: { a: 1 }, scope: "local" });
    assertEquals([checkMetadata({}), checkMetadata({ vectorClock: {} })], [undefined, { vectorClock: {} }]);
  });
});
