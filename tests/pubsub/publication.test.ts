// The check of what is published: each rule with its message, and the room that metadata leaves for a key.
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { KeyTooLongError } from "../../src/errors.ts";
import { checkGoKey, checkPublication, isAlike, MAX_METADATA } from "../../src/pubsub/publication.ts";
import type { Topic } from "../../src/pubsub/sync_bus.ts";
import { BatchWriter } from "../../src/wire/batch_writer.ts";
import type { Metadata } from "../../src/wire/metadata.ts";

/** A clock whose entry takes `bytes` bytes in its record: 4 for the entry, and at least 10 for each writer. */
function clockOf(bytes: number): Metadata {
  const clock: Record<string, number> = {};
  let left = bytes - 4;
  for (let i = 0; left > 0; i++) {
    // What is left must be enough for one more writer, whose name is unique with two digits.
    const writer = left <= 73 ? left - 9 : Math.min(64, left - 9 - 11);
    clock[`${i}`.padStart(2, "0").padEnd(writer, "w")] = i;
    left -= 9 + writer;
  }
  return { vectorClock: clock };
}

describe("what is published", () => {
  test("is a key or a prefix, with a copy of its metadata", () => {
    assertEquals(checkPublication("k"), { text: "k", isPrefix: false, metadata: undefined });
    assertEquals(checkPublication(""), { text: "", isPrefix: false, metadata: undefined });
    assertEquals(checkPublication({ prefix: "" }, { region: "eu", scope: undefined }), {
      text: "",
      isPrefix: true,
      metadata: { region: "eu" },
    });
  });

  const rule = "Cannot publish as the key must be a well-formed string or { prefix: string }: current value is ";
  const refused: readonly (readonly [unknown, string])[] = [
    [undefined, `${rule}undefined`],
    [null, `${rule}null`],
    [5, `${rule}5`],
    [{}, `${rule}[object Object]`],
    [{ prefix: 5 }, `${rule}[object Object]`],
    ["\ud800", rule],
    [{ prefix: "a\udc00" }, rule],
  ];
  for (const [topic, message] of refused) {
    test(`is refused: ${JSON.stringify(topic)}`, () => {
      const error = assertThrows(() => checkPublication(topic as Topic), TypeError) as Error;
      assert(error.message.startsWith(message), error.message);
    });
  }

  test("is refused with an unknown property beside the prefix", () => {
    const error = assertThrows(() => checkPublication({ prefix: "a", self: true } as Topic), TypeError) as Error;
    assert(error.message.includes("self"), error.message);
  });

  test("is refused when its metadata is out of range", () => {
    assertThrows(() => checkPublication("k", { region: "" }), RangeError, "`region` must have 1 to 64 bytes");
    assertThrows(() => checkPublication("k", { scope: "all" as "local" }), TypeError, "`scope` must be");
  });

  test("has at most 1,024 bytes of metadata", () => {
    const [most, more] = [clockOf(MAX_METADATA - 3), clockOf(MAX_METADATA - 2)];
    assertEquals(checkPublication("k", most).metadata, most);
    assertThrows(
      () => checkPublication("k", more),
      RangeError,
      "Cannot publish as the metadata of a key must take at most 1024 bytes: current value is 1025",
    );
  });

  // Each text is the longest that fits a datagram with its metadata, as a batch writer finds too.
  const limits: readonly (readonly [string, boolean, Metadata, number])[] = [
    ["a key", false, {}, 1366],
    ["a prefix", true, {}, 1363],
    ["a key with a scope", false, { scope: "local" }, 1360],
    ["a prefix with a scope", true, { scope: "local" }, 1357],
    ["a key with a region", false, { region: "é" }, 1357],
    ["a key with the most metadata", false, clockOf(MAX_METADATA - 3), 342],
    ["a prefix with the most metadata", true, clockOf(MAX_METADATA - 3), 339],
  ];
  for (const [what, isPrefix, metadata, limit] of limits) {
    test(`has at most ${limit} bytes as ${what}`, () => {
      const topicOf = (text: string) => isPrefix ? { prefix: text } : text;
      const longest = checkPublication(topicOf("x".repeat(limit)), metadata);
      const error = assertThrows(() => checkPublication(topicOf("é".repeat(limit / 2 + 1)), metadata), KeyTooLongError);
      assertEquals([error.bytes, error.limit], [2 * Math.floor(limit / 2 + 1), limit]);
      const put = (text: string) => {
        const writer = new BatchWriter(new Uint8Array(16), true);
        if (!isPrefix && longest.metadata === undefined) return writer.put(text) > 0;
        const entry = isPrefix
          ? writer.addPrefix(text, longest.metadata)
          : writer.addKey(text, false, longest.metadata);
        return entry !== undefined;
      };
      assertEquals([put(longest.text), put(`${longest.text}x`)], [true, false]);
    });
  }
});

describe("a key for Go nodes", () => {
  test("is a string that fits a datagram with the mark of it", () => {
    assertEquals(checkGoKey("k"), { text: "k", isPrefix: false, metadata: undefined });
    assertEquals(checkGoKey("x".repeat(1360)).text.length, 1360);
    const error = assertThrows(() => checkGoKey("x".repeat(1361)), KeyTooLongError);
    assertEquals([error.bytes, error.limit], [1361, 1360]);
    const writer = new BatchWriter(new Uint8Array(16), true);
    assertEquals(writer.addKey("x".repeat(1361), true, undefined), undefined);
    assert(writer.addKey("x".repeat(1360), true, undefined) !== undefined);
  });

  test("is no prefix", () => {
    assertThrows(
      () => checkGoKey({ prefix: "k" } as unknown as string),
      TypeError,
      "Cannot publish as a key of `goKeys` must be a string: current value is [object Object]",
    );
  });
});

test("events are alike when they differ in their clocks alone", () => {
  const [eu, us, local] = [{ region: "eu" }, { region: "us" }, { region: "eu", scope: "local" as const }];
  assertEquals([isAlike(undefined, undefined), isAlike(undefined, {}), isAlike({ vectorClock: { a: 1 } }, {})], [
    true,
    true,
    true,
  ]);
  assertEquals([isAlike(eu, { ...eu, vectorClock: { a: 1 } }), isAlike(eu, us), isAlike(eu, local)], [
    true,
    false,
    false,
  ]);
  assertEquals([isAlike(undefined, eu), isAlike({ scope: "global" }, undefined)], [false, false]);
});
