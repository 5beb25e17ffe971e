// Publications: what may be published, and the errors about what may not.
import { describe, test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { KeyTooLongError } from "../../src/errors.ts";
import type { Topic } from "../../src/events.ts";
import { checkGoKey, checkPublication, isAlike } from "../../src/pubsub/publication.ts";

describe("what is published", () => {
  test("is a key or a prefix, with its metadata", () => {
    assertEquals(checkPublication("k"), { text: "k", isPrefix: false, metadata: undefined });
    assertEquals(checkPublication({ prefix: "" }), { text: "", isPrefix: true, metadata: undefined });
    const metadata = { region: "eu", scope: "local" as const };
    assertEquals(checkPublication({ prefix: "user:" }, metadata), { text: "user:", isPrefix: true, metadata });
  });

  const ILL: readonly unknown[] = ["\ud800", { prefix: "user:\udc00" }, { prefix: 5 }, {}, null, undefined, 5, ["k"]];
  for (const topic of ILL) {
    test(`is well-formed text: ${JSON.stringify(topic)}`, () => {
      assertThrows(
        () => checkPublication(topic as Topic),
        TypeError,
        "must be a well-formed string or { prefix: string }",
      );
    });
  }

  test("has no options beside the prefix", () => {
    const topic = { prefix: "a", scope: "local" } as Topic;
    assertThrows(() => checkPublication(topic), TypeError, 'every option must be known: current value is "scope"');
  });

  test("fits a datagram: 1,366 bytes for a key, 1,363 for a prefix, less with metadata", () => {
    const longest = (make: (length: number) => unknown) => {
      let length = 1;
      for (;; length++) {
        try {
          make(length + 1);
        } catch (error) {
          return [length, error instanceof KeyTooLongError ? error.limit : 0];
        }
      }
    };
    assertEquals(longest((n) => checkPublication("x".repeat(n))), [1366, 1366]);
    assertEquals(longest((n) => checkPublication({ prefix: "x".repeat(n) })), [1363, 1363]);
    assertEquals(longest((n) => checkPublication("x".repeat(n), { region: "eu" })), [1357, 1357]);
    assertEquals(longest((n) => checkPublication({ prefix: "x".repeat(n) }, { scope: "local" })), [1357, 1357]);
    assertEquals(longest((n) => checkGoKey("x".repeat(n))), [1360, 1360]);
  });

  test("has at most 1,024 bytes of metadata", () => {
    const clock = (writers: number) => ({
      vectorClock: Object.fromEntries(Array.from({ length: writers }, (_, i) => [`${i}`.padStart(55, "w"), i])),
    });
    checkPublication("k", clock(15));
    assertThrows(() => checkPublication("k", clock(16)), RangeError, "at most 1024 bytes: current value is 1031");
  });

  test("for Go nodes is a key", () => {
    assertThrows(
      () => checkGoKey({ prefix: "a" } as unknown as string),
      TypeError,
      "`goKeys` must be an array of keys",
    );
  });
});

test("two events are alike when they go to the same nodes", () => {
  const eu = { region: "eu" };
  assertEquals([isAlike(undefined, undefined), isAlike(eu, { region: "eu", vectorClock: { a: 1 } })], [true, true]);
  assertEquals([isAlike(eu, undefined), isAlike(eu, { region: "us" })], [false, false]);
  assertEquals(isAlike({ ...eu, scope: "local" }, { ...eu, scope: "global" }), false);
});
