// Entries of the batcher: keys with metadata, prefixes, and publishes whose delivery is awaited.
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError } from "../../src/errors.ts";
import type { BatcherConfig } from "../../src/pubsub/batcher.ts";
import type { Entry } from "../../src/pubsub/pending_entries.ts";
import { decodeExtension } from "../../src/wire/extension.ts";
import type { Metadata } from "../../src/wire/metadata.ts";
import { decodePacket } from "../../src/wire/packet.ts";
import { type BatcherRig, keysOf, makeAwaiter, makeBatcher } from "../support/batches.ts";
import { settle, watch } from "../support/outcome.ts";

type Numbered = (readonly [name: string, number: number, index: number])[];

/** What a datagram carries, in short. */
interface Content {
  readonly keys: string[];
  readonly prefixes?: readonly string[] | undefined;
  /** Metadata by index. */
  readonly metadata?: Readonly<Record<number, Metadata & { readonly isForGo?: boolean }>> | undefined;
  readonly isAwaited?: boolean | undefined;
}

function contentOf(datagram: Uint8Array): Content {
  const { prefixes, metadata, isAwaited } = decodeExtension(decodePacket(datagram).rest) ?? {};
  const attached = metadata?.map(({ index, isForGo, ...rest }) => [index, { ...rest, ...isForGo && { isForGo } }]);
  return {
    keys: keysOf(datagram),
    ...prefixes && { prefixes },
    ...attached && { metadata: Object.fromEntries(attached) },
    ...isAwaited && { isAwaited },
  };
}

/** A batcher with numbered batches, and ways to publish to it. */
function setUp(config: Partial<BatcherConfig> = {}) {
  const rig: BatcherRig = makeBatcher({ numbered: true, ...config });
  const { batcher } = rig;
  const numbered: Numbered = [];
  const awaiter = (name: string) => makeAwaiter((number, index) => numbered.push([name, number, index]));
  const entryOf = (text: string, rest: Partial<Entry> = {}): Entry => ({
    text,
    isPrefix: false,
    isForGo: false,
    metadata: undefined,
    awaiter: undefined,
    ...rest,
  });
  const add = (text: string, rest?: Partial<Entry>) => batcher.tryAddEntry(entryOf(text, rest));
  let taken = 0;
  /** Takes all that is ready, and returns what the datagrams carry. */
  const take = () => {
    const contents: Content[] = [];
    for (let bytes = batcher.take(taken + 1); bytes !== undefined; bytes = batcher.take(taken + 1)) {
      taken++;
      contents.push(contentOf(bytes));
      batcher.release();
    }
    return contents;
  };
  /** Takes all that is pending. */
  const flush = () => {
    batcher.hurry();
    return take();
  };
  return {
    ...rig,
    add,
    take,
    flush,
    entryOf,
    numbered,
    /** Publishes a plain key. */
    key: (key: string) => batcher.tryAdd(key),
    /** Publishes a prefix. */
    prefix: (prefix: string, metadata?: Metadata) => add(prefix, { isPrefix: true, metadata }),
    /** Publishes a key whose delivery is awaited. */
    awaitKey: (key: string, name?: string, metadata?: Metadata) =>
      metadata === undefined
        ? batcher.tryAddAwaited(key, awaiter(name ?? key))
        : add(key, { awaiter: awaiter(name ?? key), metadata }),
    awaitPrefix: (prefix: string, name = prefix) => add(prefix, { isPrefix: true, awaiter: awaiter(name) }),
    /** Publishes a key that stands for a prefix. */
    goKey: (key: string) => add(key, { isForGo: true }),
  };
}

describe("an entry", () => {
  test("leaves with the keys beside it, keys first", () => {
    const { key, prefix, add, take, batcher } = setUp();
    assert(prefix("p:"));
    assert(key("a"));
    assert(add("b", { metadata: { region: "eu" } }));
    assert(prefix("q:", { scope: "global" }));
    assert(key("c"));
    assertEquals([batcher.pending, batcher.accepted], [5, 5]);
    assertEquals(take(), [{
      keys: ["a", "b", "c"],
      prefixes: ["p:", "q:"],
      metadata: { 1: { region: "eu" }, 4: { scope: "global" } },
    }]);
    assertEquals([batcher.pending, batcher.pendingAge], [0, undefined]);
  });

  test("counts towards the size of a batch, as keys do", () => {
    const { key, prefix, take } = setUp({ batchSize: 2 });
    for (const text of ["a", "b"]) assert(key(text) && prefix(`${text}:`));
    assertEquals(take(), [{ keys: ["a"], prefixes: ["a:"] }, { keys: ["b"], prefixes: ["b:"] }]);
  });

  test("that does not fit the open batch begins another", () => {
    const { key, prefix, flush } = setUp();
    assert(key("k".repeat(700)));
    assert(prefix("p".repeat(700)));
    assert(key("last"));
    assertEquals(flush().map(({ keys, prefixes }) => [keys.map((key) => key.length), prefixes?.length]), [
      [[700], undefined],
      [[4], 1],
    ]);
  });

  test("is refused after `close`, also when it is pending already", () => {
    const { batcher, prefix } = setUp();
    prefix("p");
    batcher.close();
    assertThrows(() => prefix("p"), ClosedError);
  });
});

describe("what is pending", () => {
  test("is not sent twice in the same words", () => {
    const { prefix, add, goKey, batcher, take } = setUp();
    for (let i = 0; i < 3; i++) {
      assert(prefix("p"));
      assert(add("k", { metadata: { region: "eu" } }));
      assert(goKey("g"));
    }
    assertEquals(batcher.pending, 3);
    assertEquals(take(), [{
      keys: ["k", "g"],
      prefixes: ["p"],
      metadata: { 0: { region: "eu" }, 1: { isForGo: true } },
    }]);
    assert(prefix("p"));
    assertEquals(batcher.pending, 1);
  });

  test("takes the higher counts of later clocks of the same key and prefix", () => {
    const { add, take, batcher } = setUp();
    for (const isPrefix of [false, true]) {
      add("k", { isPrefix, metadata: { region: "eu", vectorClock: { a: 1, b: 2n ** 60n } } });
      add("k", { isPrefix, metadata: { region: "eu", vectorClock: { a: 3, b: 2, c: 5 } } });
      add("k", { isPrefix, metadata: { region: "eu" } });
    }
    assertEquals(batcher.pending, 2);
    const metadata = { region: "eu", vectorClock: { a: 3, b: 2n ** 60n, c: 5 } };
    assertEquals(take(), [{ keys: ["k"], prefixes: ["k"], metadata: { 0: metadata, 1: metadata } }]);
  });

  test("gets a clock that it had not, when region and scope are the same", () => {
    const { prefix, take } = setUp();
    prefix("p");
    prefix("p", { vectorClock: { a: 1 } });
    assertEquals(take(), [{ keys: [], prefixes: ["p"], metadata: { 0: { vectorClock: { a: 1 } } } }]);
  });

  test("is not merged with another region or scope", () => {
    const { add, take } = setUp();
    const all: readonly Metadata[] = [{ region: "eu" }, { region: "us" }, { region: "us", scope: "local" }, {
      scope: "global",
    }];
    for (const metadata of all) add("k", { metadata });
    assertEquals(take(), [{ keys: ["k", "k", "k", "k"], metadata: { ...all } }]);
  });

  test("is not merged beyond 64 writers, which nobody would read", () => {
    const { add, take } = setUp();
    const clockOf = (from: number, to: number) =>
      Object.fromEntries(Array.from({ length: to - from }, (_, i) => [`${from + i}`, 1]));
    const [first, more, most] = [clockOf(0, 50), clockOf(50, 80), clockOf(50, 64)];
    for (const vectorClock of [first, most, more]) add("k", { metadata: { vectorClock } });
    assertEquals(take(), [{
      keys: ["k", "k"],
      metadata: { 0: { vectorClock: clockOf(0, 64) }, 1: { vectorClock: more } },
    }]);
  });

  test("is not merged beyond 1,024 bytes of metadata, though the datagram has room", () => {
    const { add, flush } = setUp();
    const clockOf = (from: number, to: number) =>
      Object.fromEntries(Array.from({ length: to - from }, (_, i) => [`${from + i}`.padEnd(64, "w"), 1]));
    // 13 writers of 73 bytes take 956 bytes with the record, 14 take 1,029.
    for (const [from, to] of [[0, 7], [7, 13], [13, 14]] as const) {
      add("k", { metadata: { vectorClock: clockOf(from, to) } });
    }
    assertEquals(flush().map(({ metadata }) => metadata), [{
      0: { vectorClock: clockOf(0, 13) },
      1: { vectorClock: clockOf(13, 14) },
    }]);
  });

  test("is not merged when its batch has no room for that", () => {
    const { add, key, flush } = setUp();
    add("k", { metadata: { vectorClock: { a: 1 } } });
    key("x".repeat(1330));
    add("k", { metadata: { vectorClock: { a: 2 } } });
    add("k", { metadata: { vectorClock: { ["w".repeat(64)]: 1 } } });
    assertEquals(flush().map(({ metadata }) => metadata), [
      { 0: { vectorClock: { a: 2 } } },
      { 0: { vectorClock: { ["w".repeat(64)]: 1 } } },
    ]);
  });

  test("covers a plain key when it has metadata, unless it stays in a region", () => {
    const { add, key, take, batcher } = setUp();
    add("k", { metadata: { region: "eu" } });
    add("l", { metadata: { region: "eu", scope: "local" } });
    assert(key("k") && key("l") && key("l"));
    assertEquals(batcher.pending, 3);
    assertEquals(take().map(({ keys }) => keys), [["k", "l", "l"]]);
  });
});

describe("a pending prefix", () => {
  test("covers the keys and the prefixes that begin with it", () => {
    const { prefix, key, awaitKey, batcher, take } = setUp();
    prefix("p:");
    assert(key("p:1") && key("p:") && prefix("p:1:") && awaitKey("p:2"));
    assertEquals(batcher.pending, 1);
    assert(key("p") && prefix("p"));
    assertEquals(take(), [{ keys: ["p"], prefixes: ["p:", "p"], isAwaited: true }]);
    assert(key("p:1"));
    assertEquals(batcher.pending, 1);
  });

  test("covers no key while a Go node is known, which cannot read it, and covers prefixes", () => {
    const peers = { hasPlain: true };
    const { prefix, key, awaitKey, numbered, batcher, take } = setUp({ peers });
    prefix("p:");
    assert(key("p:1") && awaitKey("p:2") && prefix("p:3"));
    assertEquals(batcher.pending, 3);
    peers.hasPlain = false;
    assert(key("p:4"));
    assertEquals(take(), [{ keys: ["p:1", "p:2"], prefixes: ["p:"], isAwaited: true }]);
    assertEquals(numbered, [["p:2", 1, 1]]);
  });

  test("covers nothing when it stays in a region", () => {
    const { prefix, key, take } = setUp();
    prefix("p", { scope: "local", region: "eu" });
    assert(key("p1") && prefix("p2"));
    assertEquals(take().map(({ keys, prefixes }) => [keys, prefixes]), [[["p1"], ["p", "p2"]]]);
  });

  test("covers no key with metadata, and none for Go nodes", () => {
    const { prefix, add, goKey, take } = setUp();
    prefix("p");
    assert(
      add("p1", { metadata: { region: "eu" } }) && goKey("p2") &&
        add("p3", { isPrefix: true, metadata: { region: "eu" } }),
    );
    assertEquals(take().map(({ keys, prefixes }) => [keys, prefixes]), [[["p1", "p2"], ["p", "p3"]]]);
  });

  test("covers nothing once its batch is taken, though later batches are pending", () => {
    const { prefix, key, batcher } = setUp({ batchSize: 1 });
    prefix("p:");
    prefix("q:");
    batcher.take(1);
    assert(key("p:1") && key("q:1"));
    assertEquals(batcher.pending, 2);
  });

  test("is compared with 64 others at most: what is beyond is sent as well", () => {
    const { prefix, key, batcher } = setUp({ batchSize: 100 });
    for (let i = 0; i < 65; i++) prefix(`p${i}:`);
    assert(key("p63:k"));
    assertEquals(batcher.pending, 65);
    assert(key("p64:k"));
    assertEquals(batcher.pending, 66);
  });
});

describe("a key for Go nodes", () => {
  test("covers nothing, and is covered by nothing", () => {
    const { prefix, key, goKey, add, take } = setUp();
    assert(
      goKey("k") && key("k") && goKey("l") && prefix("") && goKey("m") && add("n", { metadata: { region: "eu" } }),
    );
    assert(goKey("n"));
    assertEquals(take(), [{
      keys: ["k", "k", "l", "m", "n", "n"],
      prefixes: [""],
      metadata: {
        0: { isForGo: true },
        2: { isForGo: true },
        3: { isForGo: true },
        4: { region: "eu" },
        5: { isForGo: true },
      },
    }]);
  });
});

describe("an awaited entry", () => {
  test("gets the number of its batch and its index there: a key, and a prefix behind the keys", () => {
    const { key, awaitKey, awaitPrefix, prefix, numbered, take } = setUp();
    assert(awaitPrefix("p:") && key("a") && awaitKey("b") && prefix("q:") && awaitPrefix("r:"));
    assert(awaitKey("c", "c", { region: "eu" }) && key("d"));
    assertEquals(numbered, []);
    assertEquals(take().map(({ isAwaited }) => isAwaited), [true]);
    assertEquals(numbered, [["p:", 1, 4], ["b", 1, 1], ["r:", 1, 6], ["c", 1, 2]]);
  });

  test("gets them when the key is pending alone", () => {
    const { key, awaitKey, numbered, take, batcher } = setUp();
    assert(key("a") && awaitKey("a", "once") && awaitKey("a", "twice"));
    assertEquals(batcher.pending, 1);
    assertEquals(take(), [{ keys: ["a"], isAwaited: true }]);
    assertEquals(numbered, [["once", 1, 0], ["twice", 1, 0]]);
  });

  test("gets them when it is alone itself, and others follow", () => {
    const { key, awaitKey, numbered, take } = setUp();
    assert(awaitKey("a") && key("b") && key("a"));
    assertEquals(take(), [{ keys: ["a", "b"], isAwaited: true }]);
    assertEquals(numbered, [["a", 1, 0]]);
  });

  test("gets them when the key is pending in the open batch, or in a full one", () => {
    const { key, awaitKey, numbered, flush } = setUp({ batchSize: 3 });
    for (const text of ["a", "b", "c", "d", "e"]) assert(key(text));
    for (const text of ["e", "b", "c", "d", "a"]) assert(awaitKey(text));
    assertEquals(flush(), [{ keys: ["a", "b", "c"], isAwaited: true }, { keys: ["d", "e"], isAwaited: true }]);
    assertEquals(numbered, [["b", 1, 1], ["c", 1, 2], ["a", 1, 0], ["e", 2, 1], ["d", 2, 0]]);
  });

  test("gets them when it makes its batch full, or needs another one", () => {
    const { key, awaitKey, numbered, flush } = setUp({ batchSize: 2 });
    assert(key("a") && awaitKey("b") && key("c") && awaitKey("x".repeat(1366), "long") && awaitKey("y"));
    assert(awaitKey("x".repeat(1366), "long again"));
    assertEquals(flush().map(({ keys }) => keys.length), [2, 1, 1, 1]);
    assertEquals(numbered, [["b", 1, 1], ["long", 3, 0], ["long again", 3, 0], ["y", 4, 0]]);
  });

  test("gets those of its own key, not of one with notes and the same text", () => {
    const peers = { hasPlain: true };
    const { key, add, goKey, awaitKey, numbered, take } = setUp({ peers });
    assert(key("other") && key("k") && goKey("k") && add("k", { metadata: { region: "eu", scope: "local" } }));
    assert(awaitKey("k"));
    assertEquals(take().map(({ keys }) => keys), [["other", "k", "k", "k"]]);
    assertEquals(numbered, [["k", 1, 1]]);
  });

  test("gets those of the entry that covers it: the key with metadata, or the prefix", () => {
    const { key, add, prefix, awaitKey, awaitPrefix, numbered, take } = setUp();
    assert(key("x") && add("k", { metadata: { region: "eu" } }) && prefix("o") && prefix("p"));
    assert(awaitKey("k") && awaitKey("p1") && awaitPrefix("p2") && awaitPrefix("p", "same"));
    assert(awaitKey("k", "merged", { region: "eu", vectorClock: { a: 1 } }));
    assert(key("y"));
    assertEquals(take().map(({ keys, prefixes }) => [keys, prefixes]), [[["x", "k", "y"], ["o", "p"]]]);
    assertEquals(numbered, [["k", 1, 1], ["p1", 1, 4], ["p2", 1, 4], ["same", 1, 4], ["merged", 1, 1]]);
  });

  test("is forgotten with its batch: the next use of it awaits nothing", () => {
    const { key, awaitKey, numbered, take, flush } = setUp();
    awaitKey("a");
    take();
    key("a");
    assertEquals(flush(), [{ keys: ["a"] }]);
    assertEquals(numbered.length, 1);
  });
});

describe("a batch with an awaited entry", () => {
  test("leaves at the end of the turn, although the budget is used up", async () => {
    const { awaitKey, key, budget, clock, readyAt, timers, take } = setUp();
    budget.spend(10_000);
    key("a");
    assertEquals([take(), timers.length], [[], 1]);
    awaitKey("b");
    assertEquals(take(), []);
    await clock.advance(0);
    assertEquals([readyAt, take()], [[0], [{ keys: ["a", "b"], isAwaited: true }]]);
    assertEquals(clock.pending, 0);
  });

  test("never waits for the interval, whatever was spent and whatever else is published", async () => {
    const { awaitKey, key, prefix, budget, clock, readyAt, take, numbered } = setUp({ batchInterval: 60_000 });
    for (let i = 0; i < 20; i++) {
      budget.spend(1000);
      key(`k${i}`);
      await clock.advance(i / 7);
      if (i % 2 === 0) prefix("p");
      awaitKey(i % 3 === 0 ? `k${i}` : `l${i}`, `${i}`);
      await clock.advance(0);
      assertEquals(readyAt.at(-1), clock.now());
      assertEquals([take().length, numbered.length], [1, i + 1]);
    }
  });

  test("leaves at once when one may", () => {
    const { awaitKey, readyAt, take } = setUp();
    awaitKey("a");
    assertEquals([readyAt, take().length], [[0], 1]);
  });

  test("that is full is ready already", async () => {
    const { awaitKey, key, budget, clock, take } = setUp({ batchSize: 2 });
    budget.spend(10_000);
    for (const text of ["a", "b", "c"]) key(text);
    awaitKey("a");
    assertEquals(take(), [{ keys: ["a", "b"], isAwaited: true }]);
    await clock.advance(0);
    // The open batch waits as before.
    assertEquals(take(), []);
  });
});

describe("without room", () => {
  test("an entry is accepted only when it is pending already", () => {
    const { key, prefix, add, awaitKey, batcher, numbered, take } = setUp({ queueSize: 3 });
    assert(key("a") && prefix("p") && add("m", { metadata: { vectorClock: { a: 1 } } }));
    assertEquals([prefix("q"), awaitKey("b"), add("m", { metadata: { region: "eu" } })], [false, false, false]);
    assert(prefix("p") && key("p1") && awaitKey("a") && awaitKey("p2"));
    assert(add("m", { metadata: { vectorClock: { a: 2 } } }));
    assertEquals(batcher.pending, 3);
    assertEquals(take(), [{
      keys: ["a", "m"],
      prefixes: ["p"],
      metadata: { 1: { vectorClock: { a: 2 } } },
      isAwaited: true,
    }]);
    assertEquals(numbered, [["a", 1, 0], ["p2", 1, 2]]);
  });

  test("entries wait with keys, in order, and are awaited when they are accepted", async () => {
    const late: (readonly [string | Entry, boolean | undefined])[] = [];
    const ownKeys = { acceptedLate: (key: string | Entry, self: boolean | undefined) => late.push([key, self]) };
    const { key, awaitKey, entryOf, batcher, budget, clock, numbered, take } = setUp({ queueSize: 1, ownKeys });
    assert(key("a"));
    const awaited: Entry = entryOf("p", {
      isPrefix: true,
      awaiter: makeAwaiter((number, index) => numbered.push(["p", number, index])),
    });
    const [first, second, third] = [
      batcher.wait(awaited, undefined, true),
      batcher.wait("b"),
      batcher.wait(entryOf("c")),
    ]
      .map(watch);
    assertEquals([batcher.waiting, awaitKey("a", "covered")], [3, true]);
    // A key that is pending needs no room, and what is not waits behind the others.
    budget.spend(10_000);
    const bytes = batcher.take(1);
    await settle();
    assertEquals([keysOf(bytes as Uint8Array), first?.state, second?.state], [["a"], "fulfilled", "waiting"]);
    assertEquals([late, batcher.waiting, numbered], [[[awaited, true]], 2, [["covered", 1, 0]]]);
    await clock.advance(0);
    const next = batcher.take(2) as Uint8Array;
    assertEquals([contentOf(next), numbered.at(-1)], [{ keys: [], prefixes: ["p"], isAwaited: true }, ["p", 2, 0]]);
    await settle();
    assertEquals([second?.state, third?.state], ["fulfilled", "waiting"]);
    batcher.close();
    await settle();
    assertEquals([third?.state, third?.reason instanceof ClosedError], ["rejected", true]);
    assertEquals(take(), [{ keys: ["b"] }]);
  });

  test("an entry that waits can be withdrawn", async () => {
    const { key, entryOf, batcher, take } = setUp({ queueSize: 1 });
    key("a");
    const controller = new AbortController();
    const waiting = batcher.wait(entryOf("p", { isPrefix: true }), controller.signal);
    controller.abort(new Error("no longer"));
    await assertRejects(() => waiting, Error, "no longer");
    assertEquals([batcher.waiting, take()], [0, [{ keys: ["a"] }]]);
    const reason = new Error("never");
    const refused = await assertRejects(() => batcher.wait(entryOf("p"), AbortSignal.abort(reason)));
    assertStrictEquals(refused, reason);
  });
});
