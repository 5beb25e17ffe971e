// Entries of the batcher: prefixes, metadata and what is awaited.
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { ClosedError } from "../../src/errors.ts";
import type { BatcherConfig } from "../../src/pubsub/batcher.ts";
import type { Entry } from "../../src/pubsub/pending_entries.ts";
import { decodeExtension } from "../../src/wire/extension.ts";
import type { Metadata } from "../../src/wire/metadata.ts";
import { decodePacket } from "../../src/wire/packet.ts";
import { keysOf, makeBatcher } from "../support/batches.ts";

function entry(text: string, wish: Partial<Entry> = {}): Entry {
  return { text, isPrefix: false, metadata: undefined, isForGo: false, awaiter: undefined, ...wish };
}

/** A batcher, and what it was told of awaited entries. */
function setUp(config: Partial<BatcherConfig> = {}) {
  const rig = makeBatcher({ numbered: true, ...config });
  const { batcher } = rig;
  const numbered: string[] = [];
  const awaited = (text: string, wish: Partial<Entry> = {}) =>
    batcher.tryAddEntry(
      entry(text, {
        ...wish,
        awaiter: { numbered: (number, index) => void numbered.push(`${text} ${number}/${index}`) },
      }),
    );
  let next = 1;
  /** Takes all batches that are ready, as text: keys, prefixes, and whether they are awaited. */
  const takeAll = () => {
    const taken: string[] = [];
    for (let datagram = batcher.take(next); datagram !== undefined; datagram = batcher.take(++next)) {
      const extension = decodeExtension(decodePacket(datagram).rest);
      const prefixes = (extension?.prefixes ?? []).map((prefix) => `${prefix}*`);
      taken.push([...keysOf(datagram), ...prefixes].join(" ") + (extension?.isAwaited ? " !" : ""));
    }
    batcher.release();
    return taken;
  };
  const metadataOf = (datagram: Uint8Array | undefined) =>
    decodeExtension(decodePacket(datagram ?? new Uint8Array()).rest)?.metadata;
  return { ...rig, awaited, numbered, takeAll, metadataOf };
}

describe("an awaited entry", () => {
  test("is told the number and its index, wherever it lies", async () => {
    const { awaited, batcher, clock, numbered, takeAll } = setUp();
    awaited("lone");
    await clock.advance(0);
    assertEquals([takeAll(), numbered.splice(0)], [["lone !"], ["lone 1/0"]]);
    for (const key of ["a", "b"]) batcher.tryAdd(key);
    awaited("b");
    awaited("c");
    awaited("user:", { isPrefix: true });
    awaited("a");
    await clock.advance(0);
    assertEquals(takeAll(), ["a b c user:* !"]);
    assertEquals(numbered.splice(0), ["b 2/1", "c 2/2", "user: 2/3", "a 2/0"]);
    batcher.tryAdd("lone");
    awaited("lone");
    await clock.advance(1);
    assertEquals([takeAll(), numbered], [["lone !"], ["lone 3/0"]]);
  });

  test("in a batch that is full already marks that one", async () => {
    const { awaited, batcher, clock, numbered, takeAll } = setUp({ batchSize: 2 });
    for (const key of ["a", "b", "c"]) batcher.tryAdd(key);
    awaited("a");
    await clock.advance(100);
    assertEquals([takeAll(), numbered], [["a b !", "c"], ["a 1/0"]]);
  });

  test("that a pending prefix stands for is told of the prefix", async () => {
    const { awaited, batcher, clock, numbered, takeAll } = setUp();
    batcher.tryAdd("other");
    batcher.tryAddEntry(entry("user:", { isPrefix: true }));
    awaited("user:1");
    awaited("user:a", { isPrefix: true });
    await clock.advance(1);
    assertEquals([takeAll(), numbered], [["other user:* !"], ["user:1 1/1", "user:a 1/1"]]);
  });

  test("leaves at the end of the turn when the budget is used up, with what is awaited in the same turn", async () => {
    const { awaited, batcher, budget, clock, takeAll } = setUp();
    budget.spend(64);
    batcher.tryAdd("waits");
    await clock.advance(0);
    assertEquals(takeAll(), []);
    awaited("a");
    awaited("b");
    assertEquals(takeAll(), []);
    await clock.advance(0);
    assertEquals(takeAll(), ["waits a b !"]);
  });

  test("waits for room like any other", async () => {
    const { awaited, batcher, clock, numbered, takeAll } = setUp({ queueSize: 1 });
    assert(batcher.tryAdd("full"));
    assertEquals([awaited("a"), awaited("user:", { isPrefix: true }), awaited("full")], [false, false, true]);
    const accepted: string[] = [];
    void batcher.wait(entry("late:", { isPrefix: true })).then(() => accepted.push("late:"));
    void batcher.wait("later").then(() => accepted.push("later"));
    await clock.advance(1);
    // A full queue is ready at once, so what is accepted now leaves as well.
    assertEquals([takeAll(), numbered], [["full !", "late:*", "later"], ["full 1/0"]]);
    await clock.advance(0);
    assertEquals(accepted, ["late:", "later"]);
  });

  test("is refused when the batcher is closed", () => {
    const { awaited, batcher } = setUp();
    batcher.close();
    assertThrows(() => awaited("a"), ClosedError);
  });
});

describe("pending entries", () => {
  test("of one text are merged: the clock has the highest count of each writer", async () => {
    const { batcher, clock, metadataOf } = setUp();
    const clocks: Metadata["vectorClock"][] = [{ a: 5, b: 1 }, { a: 3, c: 2n ** 63n }, undefined];
    for (const vectorClock of clocks) {
      const metadata: Metadata = { region: "eu", ...vectorClock && { vectorClock } };
      batcher.tryAddEntry(entry("k", { metadata }));
    }
    assertEquals(batcher.pending, 1);
    await clock.advance(1);
    assertEquals(metadataOf(batcher.take(1))?.[0]?.vectorClock, { a: 5, b: 1, c: 2n ** 63n });
  });

  test("of two regions or scopes stay apart, and a plain key needs none that stays in a region", async () => {
    const { batcher, clock, takeAll } = setUp();
    batcher.tryAddEntry(entry("k", { metadata: { region: "eu", scope: "local" } }));
    batcher.tryAddEntry(entry("k", { metadata: { region: "us", scope: "local" } }));
    batcher.tryAdd("k");
    batcher.tryAddEntry(entry("user:", { isPrefix: true, metadata: { region: "us", scope: "local" } }));
    batcher.tryAdd("user:1");
    await clock.advance(1);
    assertEquals(takeAll(), ["k k k user:1 user:*"]);
  });

  test("stand for plain keys and longer prefixes until they are taken", async () => {
    const { batcher, clock, takeAll } = setUp();
    batcher.tryAddEntry(entry("k", { metadata: { region: "eu" } }));
    batcher.tryAddEntry(entry("user:", { isPrefix: true }));
    for (const key of ["k", "user:1", "user:"]) batcher.tryAdd(key);
    batcher.tryAddEntry(entry("user:1", { isPrefix: true }));
    batcher.tryAdd("use");
    await clock.advance(1);
    assertEquals([takeAll(), batcher.pending], [["k use user:*"], 0]);
    for (const key of ["k", "user:1"]) batcher.tryAdd(key);
    await clock.advance(1);
    assertEquals(takeAll(), ["k user:1"]);
  });

  test("do not stand for keys while a Go node is there, which hears no prefix", async () => {
    const { batcher, clock, takeAll } = setUp({ peers: { hasPlain: true } });
    batcher.tryAddEntry(entry("user:", { isPrefix: true }));
    batcher.tryAdd("user:1");
    batcher.tryAddEntry(entry("user:1", { isPrefix: true }));
    await clock.advance(1);
    assertEquals(takeAll(), ["user:1 user:*"]);
  });

  test("for Go nodes are sent once, and no other entry stands for them", async () => {
    const { batcher, clock, metadataOf } = setUp();
    batcher.tryAddEntry(entry("user:", { isPrefix: true }));
    for (let i = 0; i < 2; i++) batcher.tryAddEntry(entry("user:1", { isForGo: true }));
    await clock.advance(1);
    const datagram = batcher.take(1);
    assertEquals([keysOf(datagram ?? new Uint8Array()), metadataOf(datagram)], [["user:1"], [{
      index: 0,
      isForGo: true,
    }]]);
  });
});

test("nothing that is published is lost: it is sent, or something pending stands for it", () => {
  const word = fc.constantFrom("", "a", "ab", "abc", "b", "ba");
  const metadata = fc.constantFrom<Metadata | undefined>(undefined, { region: "eu" }, { scope: "local", region: "eu" });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("key", "prefix"), text: word, metadata }) },
    { weight: 1, arbitrary: fc.constant("take" as const) },
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 4 }),
      (steps, hasPlain, batchSize) => {
        const { batcher } = setUp({ peers: { hasPlain }, batchSize, batchInterval: 0 });
        const open: { text: string; isPrefix: boolean; metadata: Metadata | undefined }[] = [];
        let number = 0;
        const take = () => {
          batcher.hurry();
          for (let datagram = batcher.take(++number); datagram !== undefined; datagram = batcher.take(++number)) {
            const extension = decodeExtension(decodePacket(datagram).rest);
            const keys = keysOf(datagram);
            const prefixes = extension?.prefixes ?? [];
            for (let i = open.length - 1; i >= 0; i--) {
              const { text, isPrefix, metadata } = open[i] as typeof open[number];
              const isCovered = (isPrefix ? prefixes : keys).some((sent, at) => {
                const index = isPrefix ? keys.length + at : at;
                const has = extension?.metadata?.find((each) => each.index === index);
                // What goes everywhere is not covered by what stays in a region.
                return sent === text && (metadata?.scope === "local" || has?.scope !== "local");
              }) || prefixes.some((prefix, at) => {
                const has = extension?.metadata?.find((each) => each.index === keys.length + at);
                return metadata === undefined && text.startsWith(prefix) && has?.scope !== "local";
              });
              if (isCovered) {
                open.splice(i, 1);
              }
            }
          }
          batcher.release();
          assertEquals(open, []);
        };
        for (const each of steps) {
          if (each === "take") {
            take();
            continue;
          }
          const { kind, text, metadata } = each;
          const isPrefix = kind === "prefix";
          if (metadata === undefined && !isPrefix) batcher.tryAdd(text);
          else batcher.tryAddEntry(entry(text, { isPrefix, metadata }));
          open.push({ text, isPrefix, metadata });
        }
        take();
      },
    ),
  );
});
