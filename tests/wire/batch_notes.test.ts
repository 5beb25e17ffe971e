// Notes of a batch: prefixes and metadata that a batch writer takes with keys, and what the datagram has then.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import type { NotedEntry } from "../../src/wire/batch_notes.ts";
import { BatchWriter } from "../../src/wire/batch_writer.ts";
import { decodeExtension } from "../../src/wire/extension.ts";
import { MAX_DATAGRAM } from "../../src/wire/layout.ts";
import { type EntryMetadata, type Metadata, metadataLength } from "../../src/wire/metadata.ts";
import { decodePacket } from "../../src/wire/packet.ts";
import { utf8Length } from "../../src/wire/utf8.ts";
import { anyKey, name, vectorClock } from "../support/arbitraries.ts";
import { addKey, keysOf } from "../support/batches.ts";
import { toHex } from "../support/hex.ts";

const NODE_ID = new Uint8Array(16).fill(7);

const metadata: fc.Arbitrary<Metadata | undefined> = fc.option(
  fc.record({ region: name, vectorClock, scope: fc.constantFrom("local" as const, "global" as const) }, {
    requiredKeys: [],
    noNullPrototype: true,
  }),
  { nil: undefined },
);
const text = fc.oneof(
  { weight: 6, arbitrary: anyKey },
  { weight: 1, arbitrary: fc.integer({ min: 200, max: 900 }).map((length) => "x".repeat(length)) },
);
const kind = fc.constantFrom("plain" as const, "key" as const, "go" as const, "prefix" as const);
const step = fc.record({ kind, text, metadata });
const limit = fc.oneof(fc.constant(MAX_DATAGRAM), fc.integer({ min: 100, max: MAX_DATAGRAM }));

/** What a datagram carries: its keys, its prefixes, and the metadata by index. */
function contentOf(datagram: Uint8Array) {
  return { keys: keysOf(datagram), ...decodeExtension(decodePacket(datagram).rest) };
}

describe("a batch with notes", () => {
  test("decodes to what was put in, in any order and within any limit", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "max" }), limit, (steps, limit) => {
        const writer = new BatchWriter(NODE_ID, true);
        writer.limit = limit;
        const keys: string[] = [];
        const prefixes: string[] = [];
        const noted: {
          readonly isPrefix: boolean;
          readonly index: number;
          readonly note: Omit<EntryMetadata, "index">;
        }[] = [];
        for (const { kind, text, metadata } of steps) {
          const isFirst = writer.count === 0;
          const isForGo = kind === "go";
          const attached = kind === "go" || kind === "plain" ? undefined : metadata;
          const before = writer.bytes(9).slice();
          if (kind === "plain") {
            if (addKey(writer, text) === 0) keys.push(text);
            else assertEquals(toHex(writer.bytes(9)), toHex(before));
          } else {
            const entry = kind === "prefix" ? writer.addPrefix(text, attached) : writer.addKey(text, isForGo, attached);
            const list = kind === "prefix" ? prefixes : keys;
            if (entry === undefined) {
              assertEquals(toHex(writer.bytes(9)), toHex(before));
              // With 1,400 bytes for itself an entry of the longest text here always fits.
              assertEquals(isFirst && utf8Length(text) + metadataLength(attached ?? {}) < 1300, false);
              continue;
            }
            assertEquals([entry.index, entry.isPrefix, entry.isForGo], [list.length, kind === "prefix", isForGo]);
            if (attached !== undefined || isForGo) {
              noted.push({ isPrefix: kind === "prefix", index: list.length, note: { isForGo, ...attached } });
            }
            list.push(text);
          }
          const { length } = writer.bytes(9);
          assertLessOrEqual(length, writer.count === 1 ? MAX_DATAGRAM : limit);
        }
        assertEquals([writer.count, writer.keys], [keys.length + prefixes.length, keys.length]);
        assertEquals(contentOf(writer.bytes(9, true, true)), {
          keys,
          more: 9,
          isAwaited: true,
          ...prefixes.length > 0 && { prefixes },
          ...noted.length > 0 && {
            metadata: noted.map(({ isPrefix, index, note }) => ({
              index: isPrefix ? keys.length + index : index,
              ...note,
            })),
          },
        });
      }),
      { numRuns: 300 },
    );
  });

  test("is used up to the last byte of its limit, and no further", () => {
    for (const limit of [200, MAX_DATAGRAM]) {
      for (let length = limit - 60; length < limit; length++) {
        const writer = new BatchWriter(NODE_ID, true);
        writer.limit = limit;
        assertEquals(addKey(writer, "first"), 0);
        // Header and count, the first key, the second with its length, header and number, and a record of metadata.
        const whole = 20 + 7 + 2 + length + 12 + 3 + 3 + 3;
        const entry = writer.addKey("k".repeat(length), false, { region: "eu" });
        assertEquals(entry !== undefined, whole <= limit, `${length} of ${limit}`);
        if (entry !== undefined) assertEquals(writer.bytes(1).length, whole);
      }
    }
  });

  test("leaves plain keys the room that its notes do not take", () => {
    const writer = new BatchWriter(NODE_ID, true);
    writer.limit = 100;
    assert(writer.addPrefix("p".repeat(20), undefined) !== undefined);
    // 20 for the header, 25 for the record of the prefix and 12 for the number: 43, of which two are a length.
    assertEquals([addKey(writer, "k".repeat(42)) < 0, addKey(writer, "k".repeat(41))], [true, 0]);
    assertEquals(writer.bytes(1).length, 100);
  });

  test("is empty again after `clear`, with all of its room", () => {
    const writer = new BatchWriter(NODE_ID, true);
    writer.addPrefix("p".repeat(600), { region: "eu" });
    writer.addKey("k", true, undefined);
    writer.clear();
    assertEquals([writer.count, writer.keys, contentOf(writer.bytes(3))], [0, 0, { keys: [], number: 3 }]);
    assertEquals([addKey(writer, "a"), addKey(writer, "k".repeat(1363))], [0, 0]);
    assertEquals(writer.bytes(3).length, MAX_DATAGRAM);
  });

  test("may be larger than its limit with a lone first entry alone", () => {
    const writer = new BatchWriter(NODE_ID, true);
    writer.limit = 300;
    assert(writer.addPrefix("p".repeat(900), { region: "eu" }) !== undefined);
    assertEquals(writer.addKey("k", false, { region: "eu" }), undefined);
    assertEquals([writer.addPrefix("", undefined), addKey(writer, "") < 0, writer.count], [undefined, true, 1]);
    const other = new BatchWriter(NODE_ID, true);
    assertEquals(other.addPrefix("p".repeat(1364), undefined), undefined);
    assert(other.addPrefix("p".repeat(1363), undefined) !== undefined);
    assertEquals(other.bytes(1).length, MAX_DATAGRAM);
  });
});

describe("`replace`", () => {
  const clockOf = (writers: number) => Object.fromEntries(Array.from({ length: writers }, (_, i) => [`w${i}`, i]));

  test("changes the metadata of an entry as long as the datagram stays within its limit", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), limit, fc.array(metadata, { maxLength: 12 }), fc.nat(), (
        steps,
        limit,
        changes,
        which,
      ) => {
        const writer = new BatchWriter(NODE_ID, true);
        writer.limit = limit;
        const entries = steps.flatMap(({ kind, text, metadata }) => {
          const entry = kind === "prefix" ? writer.addPrefix(text, metadata) : writer.addKey(text, false, metadata);
          return entry === undefined ? [] : [entry];
        });
        changes.forEach((wanted, i) => {
          const change = wanted ?? {};
          const entry = entries[(which + i) % Math.max(1, entries.length)];
          if (entry === undefined) return;
          const before = writer.bytes(5).slice();
          const held = entry.metadata;
          // What the datagram would be, made anew.
          const anew = new BatchWriter(NODE_ID, true);
          const texts = { keys: contentOf(before).keys, prefixes: contentOf(before).prefixes ?? [] };
          const isFit = entries.every((each) => {
            const attached = each === entry ? change : each.metadata;
            const text = each.isPrefix ? texts.prefixes[each.index] : texts.keys[each.index];
            return (each.isPrefix ? anew.addPrefix(text ?? "", attached) : anew.addKey(text ?? "", false, attached)) !==
              undefined;
          }) && anew.bytes(5).length <= (entries.length === 1 ? MAX_DATAGRAM : limit);
          assertEquals(writer.replace(entry, change), isFit);
          assertEquals(toHex(writer.bytes(5)), toHex(isFit ? anew.bytes(5) : before));
          if (!isFit) assertEquals(entry.metadata, held);
        });
      }),
      { numRuns: 300 },
    );
  });

  test("refuses what another batch holds nothing of", () => {
    const writer = new BatchWriter(NODE_ID, true);
    const entry = writer.addKey("k", false, { vectorClock: clockOf(1) }) as NotedEntry;
    assertEquals(writer.replace(entry, { vectorClock: clockOf(60) }), true);
    writer.clear();
    assertEquals(writer.replace(entry, { vectorClock: clockOf(2) }), false);
  });
});

describe("a batch without notes", () => {
  test("has not a byte more than one of keys alone", () => {
    fc.assert(fc.property(fc.array(text, { maxLength: 20 }), (texts) => {
      const writer = new BatchWriter(NODE_ID, true);
      // Notes that were cleared leave nothing.
      writer.addPrefix("p", { region: "eu" });
      writer.clear();
      const keys = texts.filter((text) => addKey(writer, text) === 0);
      const body = keys.flatMap((key) => {
        const bytes = new TextEncoder().encode(key);
        return [bytes.length >> 8, bytes.length & 0xff, ...bytes];
      });
      const head = [0x57, 3, ...NODE_ID, keys.length >> 8, keys.length & 0xff];
      assertEquals(toHex(writer.bytes()), toHex(Uint8Array.from([...head, ...body])));
      const block = [0x57, 0x2b, 1, 1, 0, 6, 0, 0, 0, 0, 1, 2];
      assertEquals(toHex(writer.bytes(258)), toHex(Uint8Array.from([...head, ...body, ...block])));
    }));
  });
});

describe("the index of a key", () => {
  test("is that of the key with its text that has no notes", () => {
    const writer = new BatchWriter(NODE_ID, true);
    writer.addKey("k", true, undefined);
    addKey(writer, "other");
    addKey(writer, "k");
    writer.addKey("k", false, { scope: "local", region: "eu" });
    writer.addPrefix("k", { region: "eu" });
    assertEquals(["k", "other", "none", ""].map((key) => writer.indexOf(key)), [2, 1, -1, -1]);
  });
});
