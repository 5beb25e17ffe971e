// The batch writer: what it writes can be read, and fits.
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import type { NotedEntry } from "../../src/wire/batch_notes.ts";
import { BatchWriter } from "../../src/wire/batch_writer.ts";
import { decodeExtension, encodeExtension } from "../../src/wire/extension.ts";
import type { Metadata } from "../../src/wire/metadata.ts";
import { decodePacket, encodePacket } from "../../src/wire/packet.ts";

const ID = new Uint8Array(16).fill(3);
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** What a batch says: its keys, prefixes and metadata by index. */
function read(datagram: Uint8Array) {
  const packet = decodePacket(datagram);
  const extension = decodeExtension(packet.rest);
  return {
    keys: "keys" in packet ? packet.keys.map((key) => decoder.decode(key)) : [],
    prefixes: extension?.prefixes ?? [],
    metadata: new Map((extension?.metadata ?? []).map(({ index, ...rest }) => [index, rest])),
    number: extension?.number ?? extension?.more,
    isAwaited: extension?.isAwaited === true,
  };
}

interface Item {
  readonly kind: "plain" | "key" | "prefix";
  readonly text: string;
  readonly metadata: Metadata | undefined;
  readonly isForGo: boolean;
}

const text = fc.string({ unit: "grapheme", maxLength: 60 });
const metadata = fc.option(
  fc.record({ region: fc.string({ minLength: 1, maxLength: 8 }), vectorClock: fc.constant({ a: 1, b: 2n ** 60n }) }, {
    requiredKeys: [],
  }),
  { nil: undefined },
);
const item: fc.Arbitrary<Item> = fc.record({
  kind: fc.constantFrom("plain", "key", "prefix"),
  text,
  metadata,
  isForGo: fc.boolean(),
});

describe("a batch", () => {
  test("of keys, prefixes and metadata in any order says what was put in, and keeps to its limit", () => {
    fc.assert(fc.property(fc.array(item, { maxLength: 60 }), fc.integer({ min: 548, max: 1400 }), (items, limit) => {
      const writer = new BatchWriter(ID, true);
      writer.limit = limit;
      const keys: { text: string; metadata: Metadata | undefined; isForGo: boolean }[] = [];
      const prefixes: { text: string; metadata: Metadata | undefined }[] = [];
      for (const { kind, text, metadata, isForGo } of items) {
        if (kind === "prefix") {
          if (writer.addPrefix(text, metadata) !== undefined) prefixes.push({ text, metadata });
        } else if (kind === "key") {
          if (writer.addKey(text, isForGo, metadata) !== undefined) keys.push({ text, metadata, isForGo });
        } else {
          const end = writer.put(text);
          if (end >= 0) writer.commit(end);
          if (end >= 0) keys.push({ text, metadata: undefined, isForGo: false });
        }
      }
      assertEquals([writer.keys, writer.count], [keys.length, keys.length + prefixes.length]);
      const datagram = writer.bytes(7, true, true);
      assert(datagram.length <= limit, `${datagram.length} of ${limit}`);
      const got = read(datagram);
      assertEquals([got.keys, got.prefixes], [keys.map((each) => each.text), prefixes.map((each) => each.text)]);
      assertEquals([got.number, got.isAwaited], [7, true]);
      const noted = [...keys, ...prefixes.map((each) => ({ ...each, isForGo: false }))];
      const expected = noted.flatMap(({ metadata, isForGo }, index) =>
        metadata === undefined && !isForGo ? [] : [[index, { ...metadata, isForGo }] as const]
      );
      assertEquals(got.metadata, new Map(expected));
    }));
  });

  test("without notes has no byte more than its keys and its number", () => {
    const writer = new BatchWriter(ID, true);
    writer.commit(writer.put("user:1"));
    writer.commit(writer.put("é"));
    const keys = ["user:1", "é"].map((key) => encoder.encode(key));
    const body = encodePacket({ type: 3, nodeId: ID, keys });
    assertEquals(writer.bytes(9), Uint8Array.of(...body, ...encodeExtension({ number: 9 })));
    assertEquals(writer.bytes(9, true, true), Uint8Array.of(...body, ...encodeExtension({ more: 9, isAwaited: true })));
    assertEquals(writer.bytes().length, body.length);
  });

  test("that is used again has nothing of before", () => {
    const writer = new BatchWriter(ID, true);
    writer.addPrefix("user:", { region: "eu" });
    writer.clear();
    writer.commit(writer.put("x".repeat(1366)));
    assertEquals(writer.bytes(1).length, 1400);
  });

  test("takes one entry that is longer than the limit, when it is alone", () => {
    for (const add of ["addPrefix", "addKey"] as const) {
      const writer = new BatchWriter(ID, true);
      writer.limit = 548;
      const put = (text: string) =>
        add === "addPrefix" ? writer.addPrefix(text, undefined) : writer.addKey(text, true, undefined);
      assert(put("x".repeat(1300)) !== undefined);
      assertEquals([put("y"), writer.put("z") < 0, writer.bytes(1).length <= 1400], [undefined, true, true]);
    }
  });

  test("takes more metadata of an entry as long as that fits", () => {
    const writer = new BatchWriter(ID, true);
    const entry = writer.addKey("k", false, { vectorClock: { a: 1 } }) as NotedEntry;
    assert(writer.replace(entry, { vectorClock: { a: 2, b: 3 } }));
    assertEquals(read(writer.bytes(1)).metadata.get(0)?.vectorClock, { a: 2, b: 3 });
    for (let end = writer.put("x".repeat(100)); end >= 0; end = writer.put("x".repeat(100))) writer.commit(end);
    const full = writer.bytes(1).length;
    const large = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`writer ${i}`, i]));
    assertEquals(writer.replace(entry, { vectorClock: large }), false);
    assertEquals([writer.bytes(1).length, read(writer.bytes(1)).metadata.get(0)?.vectorClock], [full, { a: 2, b: 3 }]);
  });

  test("knows where its last key with a text is", () => {
    const writer = new BatchWriter(ID, true);
    for (const key of ["a", "é", "a", "b"]) writer.commit(writer.put(key));
    assertEquals(["a", "é", "b", "c", ""].map((key) => writer.indexOf(key)), [2, 1, 3, -1, -1]);
  });
});
