// The dispatcher: subscribers are called at once while they are quick, and in turns when they are slow.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { MemoryNetwork } from "../../adapters/memory.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { EntryReceipt } from "../../src/pubsub/delivery_receipt.ts";
import { type Arrival, Dispatcher } from "../../src/pubsub/dispatcher.ts";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { SyncEvent, Topic } from "../../src/pubsub/sync_bus.ts";
import { KeyBytes } from "../../src/wire/key_bytes.ts";

const PATIENCE = 1000;

/** Deliveries on a host whose callbacks can block it. */
function setUp(patience = PATIENCE) {
  const { clock, host } = (() => {
    const network = new MemoryNetwork();
    return { clock: network.clock, host: network.host("10.0.0.1") };
  })();
  const subscriptions = new Subscriptions((error) => {
    throw error;
  });
  const slow: [Topic, number][] = [];
  let overflows = 0;
  const dispatcher = new Dispatcher({
    clock: host.clock,
    subscriptions,
    patience,
    onSlow: (topic, duration) => slow.push([topic, duration]),
    onDropped: () => {
      overflows++;
      dispatcher.notifyAll("overflow");
    },
  });
  /** A datagram with these keys is read. */
  const read = (...keys: (string | Uint8Array)[]) => readBytes(datagramOf(keys));
  const readBytes = (data: Uint8Array) => {
    const key = new KeyBytes();
    key.open(data, 0, data.length);
    dispatcher.begin();
    for (let at = 0, i = 1; at < data.length; i++) {
      const start = at + 2;
      at = start + ((data[start - 2] as number) << 8 | (data[start - 1] as number));
      if (key.move(start, at)) dispatcher.take(key);
      if (i % 32 === 0) dispatcher.look();
    }
    // What lies there next does not matter any more.
    data.fill(0xff);
    key.close();
    dispatcher.end();
  };
  return { clock, host, subscriptions, slow, dispatcher, read, readBytes, overflows: () => overflows };
}

/** Sets a timer of 1 ms again and again. The result returns the longest time until the next fired. */
function watchTimers(clock: Clock): () => number {
  let last = clock.now();
  let longest = 0;
  const tick = () => {
    longest = Math.max(longest, clock.now() - last);
    last = clock.now();
    clock.setTimer(tick, 1);
  };
  clock.setTimer(tick, 1);
  return () => longest;
}

/** Texts, or bytes that are no text, each with its length before it. */
function datagramOf(keys: readonly (string | Uint8Array)[]): Uint8Array {
  const encoder = new TextEncoder();
  return Uint8Array.from(keys.flatMap((key) => {
    const bytes = typeof key === "string" ? encoder.encode(key) : key;
    return [bytes.length >> 8, bytes.length & 0xff, ...bytes];
  }));
}

function keysOf(count: number, name = "k"): string[] {
  return Array.from({ length: count }, (_, i) => `${name}${i}`);
}

describe("deliveries", () => {
  test("to quick callbacks are made during the receipt, and set no timer", () => {
    const { clock, subscriptions, dispatcher, read } = setUp();
    const got: string[] = [];
    subscriptions.add({ prefix: "" }, ({ key }) => got.push(key));
    for (let i = 0; i < 10; i++) read(...keysOf(100));
    assertEquals(got, Array.from({ length: 10 }, () => keysOf(100)).flat());
    assertEquals([clock.pending, dispatcher.waiting, dispatcher.age ?? 0], [0, 0, 0]);
  });

  test("take the time of one callback when it is slow, and go on with the next in a later turn", async () => {
    const { clock, host, subscriptions, slow, dispatcher, read } = setUp();
    const at: number[] = [];
    subscriptions.add({ prefix: "k" }, () => {
      host.block(10);
      at.push(host.clock.now());
    });
    const ticks: number[] = [];
    const tick = () => {
      ticks.push(host.clock.now());
      host.clock.setTimer(tick, 10);
    };
    host.clock.setTimer(tick, 10);
    read(...keysOf(5));
    assertEquals([host.clock.now(), dispatcher.waiting], [10, 4]);
    await clock.advance(15);
    read("k5");
    assertEquals([dispatcher.waiting, dispatcher.age ?? 0], [4, 20]);
    // The clock of a suspended machine stands still.
    dispatcher.sleep(5000);
    assertEquals(dispatcher.age, 5020);
    dispatcher.sleep(-5000);
    await clock.advance(100);
    assertEquals(at, [10, 20, 30, 40, 50, 60]);
    // A timer that is due runs between any two of them.
    assertEquals(ticks.slice(0, 6), [10, 20, 30, 40, 50, 60]);
    assertEquals(slow, Array.from({ length: 6 }, () => [{ prefix: "k" }, 10]));
    assertEquals([dispatcher.waiting, dispatcher.age ?? 0], [0, 0]);
  });

  test("that wait are those that came, in order, whatever is between them", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    const got: string[] = [];
    subscriptions.add({ prefix: "" }, ({ key }) => {
      got.push(key);
      if (key === "slow") host.block(10);
      if (key === "ä2") dispatcher.takeOwn("own2", true);
    });
    const notUtf8 = Uint8Array.of(0xff, 0xfe);
    read("slow", notUtf8, "", "ä2", notUtf8, "€".repeat(100), notUtf8);
    dispatcher.takeOwn("own1", true);
    read(notUtf8);
    read(notUtf8, "last");
    assertEquals([got, dispatcher.waiting], [["slow"], 5]);
    await clock.advance(100);
    assertEquals(got, ["slow", "", "ä2", "€".repeat(100), "own1", "last", "own2"]);
    assertEquals([dispatcher.waiting, dispatcher.age ?? 0], [0, 0]);
  });

  // As many quick keys as make a node that reads stop timing, with subscribers and without.
  for (const quick of ["k", "other"]) {
    test(`that wait take one callback a turn when it becomes slow, whatever came before: 2,500 of ${quick}`, async () => {
      const { clock, host, subscriptions, slow, dispatcher, read } = setUp(60_000);
      const at: number[] = [];
      subscriptions.add({ prefix: "k" }, ({ key }) => {
        if (!key.startsWith("kslow")) return;
        host.block(10);
        at.push(host.clock.now());
      });
      const longest = watchTimers(host.clock);
      for (let round = 0; round < 3; round++) {
        read("kslow");
        for (let i = 0; i < 25; i++) read(...keysOf(100, quick));
        read(...keysOf(40, "kslow"));
      }
      await clock.advance(20_000);
      assertEquals([at.length, slow.length, dispatcher.waiting], [3 * 41, 3 * 41, 0]);
      // A timer runs between any two of them.
      assertLessOrEqual(longest(), 11);
    });
  }

  for (const count of [3, 1000]) {
    test(`that wait share the time of a turn when a key has many subscribers: ${count}`, async () => {
      const { clock, host, subscriptions, slow, dispatcher, read } = setUp(60_000);
      let calls = 0;
      for (let i = 0; i < count; i++) {
        subscriptions.add({ prefix: "k" }, () => {
          calls++;
          host.block(2 / count + 0.05);
        });
      }
      read(...keysOf(200, "other"), "k", "k");
      const longest = watchTimers(host.clock);
      read(...keysOf(2500, "other"));
      read(...keysOf(20));
      await clock.advance(5_000);
      assertEquals([calls, slow.length, dispatcher.waiting], [22 * count, 0, 0]);
      // 4 ms where they are read, 4 ms at the end of that turn, and a callback more.
      assertLessOrEqual(longest(), 9);
    });
  }

  test("are timed by a node that had slow ones recently, however quick the next is", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp(60_000);
    let calls = 0;
    subscriptions.add({ prefix: "k" }, () => {
      calls++;
      host.block(10);
    });
    read(...keysOf(2_100));
    await clock.advance(30_000);
    assertEquals([calls, dispatcher.waiting], [2_100, 0]);
    read("other");
    read(...keysOf(100));
    assertEquals([calls, dispatcher.waiting], [2_101, 99]);
    dispatcher.close();
  });

  for (const patience of [1000, 5000]) {
    test(`that are slow all the time are called one a turn, and reported: ${patience} ms of patience`, async () => {
      const { clock, host, subscriptions, slow, dispatcher, read, overflows } = setUp(patience);
      const [duration, count] = [patience / 50, 2500];
      let done = 0;
      subscriptions.add({ prefix: "k" }, () => {
        done++;
        host.block(duration);
      });
      let last = 0;
      let longest = 0;
      let sent = 40;
      const tick = () => {
        const now = host.clock.now();
        longest = Math.max(longest, now - last);
        last = now;
        // As many wait all the time.
        for (; sent < count && sent < done + 40; sent++) read("k");
        host.clock.setTimer(tick, 1);
      };
      host.clock.setTimer(tick, 1);
      read(...keysOf(40));
      await clock.advance((count + 10) * duration);
      assertEquals([done, dispatcher.waiting, overflows(), slow.length], [count, 0, 0, count]);
      assertEquals(longest, duration);
    });
  }

  for (const between of [0, 31]) {
    test(`of a nested datagram come first, none is lost: ${between} more`, async () => {
      const { clock, host, subscriptions, dispatcher, read } = setUp();
      const got: string[] = [];
      const inner = ["inner1", ...keysOf(between), "inner2"];
      subscriptions.add({ prefix: "" }, ({ key }) => {
        got.push(key);
        if (key === "outer1") {
          if (between === 0) host.block(2);
          read(...inner);
        }
        if (key === "inner1") host.block(10);
      });
      read("outer1", "outer2", "outer3");
      await clock.advance(100);
      assertEquals([got, dispatcher.waiting], [["outer1", ...inner, "outer2", "outer3"], 0]);
    });
  }

  test("of a nested datagram come after the other subscribers of that key", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    const got: string[] = [];
    subscriptions.add({ prefix: "" }, ({ key }) => {
      got.push(`first ${key}`);
      if (key !== "outer") return;
      host.block(2);
      read("inner");
    });
    subscriptions.add({ prefix: "" }, ({ key }) => got.push(`second ${key}`));
    read("outer", "last");
    await clock.advance(100);
    const keys = ["outer", "inner", "last"];
    assertEquals([got, dispatcher.waiting], [keys.flatMap((key) => [`first ${key}`, `second ${key}`]), 0]);
  });

  test("that wait come after a gap that a callback before them has caused", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    const got: string[] = [];
    subscriptions.add({ prefix: "" }, ({ key, cause }) => {
      got.push(cause === "publish" ? key : cause);
      if (key === "slow") host.block(10);
      if (key !== "k2100" || cause !== "publish") return;
      dispatcher.notifyAll("gap");
      dispatcher.takeOwn("own", true);
    }, { self: true });
    read("slow");
    for (let i = 0; i < 2200; i += 100) read(...keysOf(2200).slice(i, i + 100));
    await clock.advance(100);
    assertEquals([got.slice(-3), dispatcher.waiting], [["k2100", "gap", "own"], 0]);
  });

  for (const before of [50, 2500]) {
    test(`have an age until the last subscriber has them, ${before} keys after a slow one`, async () => {
      const { clock, host, subscriptions, dispatcher, read } = setUp();
      const ages: (number | undefined)[] = [];
      subscriptions.add({ prefix: "" }, ({ key }) => {
        if (key === "slow") host.block(50);
        if (key === "last") ages.push(dispatcher.age);
      });
      subscriptions.add({ prefix: "" }, () => {});
      read("slow");
      for (const key of keysOf(before)) read(key);
      read("last");
      await clock.advance(1000);
      assertEquals([ages.length, typeof ages[0], dispatcher.age], [1, "number", undefined]);
    });
  }

  test("that wait are bounded by their bytes too, also by bytes that are no key", () => {
    const { host, subscriptions, dispatcher, read, readBytes, overflows } = setUp(Infinity);
    subscriptions.add("slow", () => host.block(10));
    read("slow");
    const datagram = datagramOf(["k", new Uint8Array(2000).fill(0xff)]);
    let most = 0;
    for (let i = 0; i < 50_000; i++) {
      readBytes(datagram.slice());
      most = Math.max(most, dispatcher.waiting);
    }
    assertEquals(overflows(), 1);
    assertLessOrEqual(most * datagram.length, 92_000_000);
  });

  test("reach loops when the callbacks beside them were called, in one turn or in several", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    const got: string[] = [];
    const loop = async (topic: Topic, name: string) => {
      for await (const { cause } of subscriptions.add(topic)) got.push(`${name} ${cause}`);
    };
    const loops = [loop("k", "exact loop"), loop({ prefix: "" }, "loop")];
    for (const prefix of ["", "k"]) {
      subscriptions.add({ prefix }, ({ cause }) => {
        host.block(10);
        got.push(`callback ${cause}`);
      });
    }
    for (
      const [cause, tell] of [
        ["publish", () => read("k")],
        ["gap", () => dispatcher.notifyAll("gap")],
      ] as const
    ) {
      got.length = 0;
      tell();
      // One callback a turn.
      await clock.advance(1);
      assertEquals(got.slice(0, 1), [`callback ${cause}`]);
      await clock.advance(100);
      assertEquals(got, ["callback", "callback", "exact loop", "loop"].map((who) => `${who} ${cause}`));
    }
    subscriptions.closeAll();
    await Promise.all(loops);
  });

  test("of many callbacks that are not slow one by one take the time of a turn", async () => {
    const { clock, host, subscriptions, slow, read } = setUp();
    const got: string[] = [];
    subscriptions.add({ prefix: "" }, ({ key }) => {
      got.push(key);
      host.block(0.5);
    });
    read(...keysOf(30));
    assertEquals([host.clock.now(), got.length], [4, 8]);
    await clock.advance(4);
    assertEquals([host.clock.now(), got.length], [8, 16]);
    await clock.advance(100);
    assertEquals(got, keysOf(30));
    assertEquals(slow, []);
  });

  test("of several datagrams in one turn share its time", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    subscriptions.add({ prefix: "" }, () => host.block(1));
    host.clock.setTimer(() => {
      for (let i = 0; i < 10; i++) read("x");
      assertEquals([host.clock.now(), dispatcher.waiting], [5, 6]);
    }, 1);
    await clock.advance(100);
    assertEquals(dispatcher.waiting, 0);
  });

  // How each runtime reads: Node 32 datagrams a turn, Bun until it finds none.
  for (
    const [how, inTurn, pause, most] of [["to its end", 32, 0, 0], ["on and on", 1000, 0, 12.1], [
      "with pauses",
      1000,
      1,
      0,
    ]] as const
  ) {
    test(`to quick callbacks wait only when a turn goes on for long: one that reads ${how}`, async () => {
      const { clock, host, subscriptions, dispatcher, read, overflows } = setUp();
      const got: string[] = [];
      let lastAt = 0;
      subscriptions.add({ prefix: "" }, ({ key }) => {
        // It takes long enough for the end of the turn to be checked.
        if (key === "own") return host.block(0.2);
        got.push(key);
        if (dispatcher.waiting === 0) lastAt = host.clock.now() - startedAt;
      });
      const keys = keysOf(1000);
      let startedAt = 0;
      let next = 0;
      let waited = 0;
      const turn = () => {
        dispatcher.takeOwn("own", true);
        for (let i = 0; i < inTurn && next < keys.length; i++) {
          host.block(i % 10 === 9 ? 0.05 + pause : 0.05);
          read(keys[next++] as string);
          waited = Math.max(waited, dispatcher.waiting);
        }
        if (next < keys.length) host.clock.setTurnEnd(turn);
        else if (most > 0) assertLessOrEqual(lastAt, most);
      };
      host.clock.setTimer(() => {
        startedAt = host.clock.now();
        turn();
      }, 1);
      await clock.advance(300);
      assertEquals([got, dispatcher.waiting, overflows(), clock.pending], [keys, 0, 0, 0]);
      assertEquals(waited > 0, most > 0, `${waited}`);
    });
  }

  test("of this bus's own keys do not wait as long as callbacks are quick, however long the turn is", () => {
    const { host, subscriptions, dispatcher } = setUp();
    let calls = 0;
    subscriptions.add({ prefix: "" }, () => calls++);
    for (let i = 1; i <= 1000; i++) {
      host.block(0.05);
      dispatcher.takeOwn("x", true);
      assertEquals(calls, i);
    }
  });

  test("of one key to many subscribers are made in turns too", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    let calls = 0;
    for (let i = 0; i < 10; i++) {
      subscriptions.add("x", () => {
        calls++;
        host.block(5);
      });
    }
    read("x");
    assertEquals([calls, dispatcher.waiting], [1, 0]);
    await clock.advance(49);
    assertEquals(calls, 10);
  });

  test("are timed one by one by a node that is calm, and named by their topic", async () => {
    const { clock, host, subscriptions, slow, read } = setUp();
    subscriptions.add("once", () => host.block(6)).close();
    const once = subscriptions.add("once", () => {
      host.block(6);
      once.close();
    });
    subscriptions.add({ prefix: "on" }, () => {});
    subscriptions.add({ prefix: "two" }, () => host.block(7));
    subscriptions.add("just", () => host.block(5));
    for (const key of ["once", "once", "two", "just"]) {
      await clock.advance(50);
      read(key);
    }
    assertEquals(slow, [["once", 6], [{ prefix: "two" }, 7]]);
  });

  test("of a busy node are checked after some keys, and those of its next datagrams are timed", async () => {
    const { clock, host, subscriptions, slow, dispatcher, read } = setUp();
    let calls = 0;
    subscriptions.add({ prefix: "" }, ({ key }) => {
      calls++;
      if (key.startsWith("slow")) host.block(10);
    });
    host.clock.setTimer(() => {
      read("quick");
      read(...keysOf(100, "slow"));
      assertEquals([calls, slow.length, dispatcher.waiting], [33, 0, 68]);
    }, 1);
    await clock.advance(330);
    assertGreater(slow.length, 0);
    dispatcher.close();
  });

  test("alternate with reading, for as long as callbacks took, while something comes", async () => {
    const { clock, host, subscriptions, read, dispatcher } = setUp();
    let calls = 0;
    subscriptions.add({ prefix: "" }, () => {
      calls++;
      host.block(40);
    });
    let turns = 0;
    const arrive = () => {
      if (calls < 3) host.clock.setTurnEnd(arrive);
      if (calls === 2) turns++;
      read(`x${turns}`);
    };
    host.clock.setTurnEnd(arrive);
    read("a", "b", "c");
    await clock.advance(80);
    assertEquals(calls, 3);
    assertGreater(turns, 8);
    assertLessOrEqual(turns, 11);
    dispatcher.close();
  });

  test("are given up for all that waits when the oldest key has waited for too long", async () => {
    const { clock, host, subscriptions, dispatcher, read, overflows } = setUp();
    const got: SyncEvent[] = [];
    subscriptions.add({ prefix: "k" }, (event) => {
      got.push(event);
      host.block(100);
    });
    const queue = subscriptions.add("other");
    read(...keysOf(50));
    await clock.advance(5_000);
    assertEquals(got.map(({ key }) => key), [...keysOf(11), "k"]);
    assertEquals([got.at(-1)?.cause, overflows(), dispatcher.dropped], ["overflow", 1, 39]);
    assertEquals((await queue[Symbol.asyncIterator]().next()).value, { key: "other", cause: "overflow" });
    assertEquals(subscriptions.counts.overflows, 2);
    assertEquals([dispatcher.waiting, dispatcher.age ?? 0], [0, 0]);
    read("k99");
    assertEquals(got.at(-1), { key: "k99", cause: "publish" });
  });

  test("that wait get the age that is found later", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    subscriptions.add({ prefix: "" }, () => host.block(20));
    await clock.advance(500);
    dispatcher.antedate(0);
    assertEquals(dispatcher.age, undefined);
    read(...keysOf(10));
    await clock.advance(50);
    const age = dispatcher.age ?? 0;
    assert(age >= 40 && age < 100, `${age}`);
    dispatcher.antedate(300);
    assertEquals(dispatcher.age, host.clock.now() - 300);
    dispatcher.antedate(400);
    assertEquals(dispatcher.age, host.clock.now() - 300);
    await clock.advance(1000);
    assertEquals(dispatcher.age, undefined);
  });

  test("of one key to many get the age that is found later, too", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    for (let i = 0; i < 50; i++) subscriptions.add({ prefix: "" }, () => host.block(20));
    await clock.advance(5000);
    read("key");
    await clock.advance(100);
    dispatcher.antedate(1000);
    assertEquals(dispatcher.age, host.clock.now() - 1000);
  });

  test("are given up when there is no room, and go on with what comes then", async () => {
    const { clock, host, subscriptions, dispatcher, read, overflows } = setUp();
    const got: string[] = [];
    subscriptions.add({ prefix: "" }, ({ key, cause }) => {
      got.push(`${cause} ${key}`);
      if (got.length === 1) host.block(10);
    });
    read("slow", ...keysOf(65_537));
    assertEquals([overflows(), dispatcher.dropped, dispatcher.waiting], [1, 65_536, 1]);
    await clock.advance(20);
    assertEquals(got, ["publish slow", "overflow ", "publish k65536"]);
  });

  test("are not made to subscribers that came after the key, nor to closed ones", async () => {
    const { clock, host, subscriptions, read } = setUp();
    const got: string[] = [];
    let late = 0;
    const first = subscriptions.add({ prefix: "" }, ({ key }) => {
      got.push(key);
      host.block(10);
      if (key === "a") subscriptions.add({ prefix: "" }, ({ key }) => got.push(`late ${key} ${++late}`));
      if (key === "c") first.close();
    });
    // As without a backlog: the second key is read when the callback of the first has subscribed.
    read("a", "b");
    read("c", "d");
    await clock.advance(100);
    assertEquals(got, ["a", "b", "late b 1", "c", "late c 2", "late d 3"]);
  });

  test("of keys that wait are not made to subscribers that come meanwhile, nor after an unsubscription", async () => {
    const { clock, host, subscriptions, read } = setUp();
    const got: string[] = [];
    const slow = subscriptions.add({ prefix: "" }, ({ key }) => {
      got.push(key);
      host.block(10);
    });
    read(...keysOf(4));
    subscriptions.add({ prefix: "" }, ({ key }) => got.push(`late ${key}`));
    await clock.advance(15);
    slow.close();
    await clock.advance(1000);
    read("next");
    assertEquals(got, ["k0", "k1", "late next"]);
  });

  test("of a gap stay when an overflow follows before they are read, and take the place of one", async () => {
    const { subscriptions, dispatcher } = setUp();
    for (const causes of [["gap", "overflow"], ["overflow", "gap"]] as const) {
      const queue = subscriptions.add({ prefix: "" });
      for (const cause of causes) dispatcher.notifyAll(cause);
      assertEquals((await queue[Symbol.asyncIterator]().next()).value, { key: "", cause: "gap" });
      queue.close();
      assertEquals((await queue[Symbol.asyncIterator]().next()).done, true);
    }
  });

  test("report a gap to all subscriptions at once when callbacks are quick, in turns when not, and to the end", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    const got: string[] = [];
    for (let i = 0; i < 5; i++) subscriptions.add(`x${i}`, ({ cause }) => got.push(`${cause} ${i}`));
    dispatcher.notifyAll("gap");
    assertEquals(got, ["gap 0", "gap 1", "gap 2", "gap 3", "gap 4"]);
    assertEquals(clock.pending, 0);
    got.length = 0;
    let slow = 0;
    for (let i = 0; i < 5; i++) {
      subscriptions.add(`y${i}`, () => {
        slow++;
        host.block(30);
      });
    }
    dispatcher.notifyAll("gap");
    assertEquals(host.clock.now(), 30);
    read("x3");
    await clock.advance(40);
    // Another gap, and an overflow, which covers less, while it goes on: a second round, which covers the key.
    dispatcher.notifyAll("gap");
    dispatcher.notifyAll("overflow");
    assertEquals(dispatcher.waiting, 0);
    assertGreater(dispatcher.age ?? 0, 0);
    await clock.advance(1000);
    assertEquals(got, Array.from({ length: 2 }, () => ["gap 0", "gap 1", "gap 2", "gap 3", "gap 4"]).flat());
    assertEquals(slow, 10);
    assertEquals([host.clock.now() - dispatcher.notifiedAt > 500, dispatcher.age ?? 0], [true, 0]);
  });

  test("end with `close`, and leave no timer", async () => {
    const { clock, host, subscriptions, dispatcher, read } = setUp();
    let calls = 0;
    subscriptions.add({ prefix: "" }, () => {
      calls++;
      host.block(10);
      if (calls === 2) {
        subscriptions.stop();
        dispatcher.close();
      }
    });
    read(...keysOf(10));
    await clock.advance(1000);
    assertEquals([calls, dispatcher.waiting, clock.pending], [2, 0, 0]);
    dispatcher.notifyAll("gap");
    assertEquals([calls, clock.pending], [2, 0]);
  });

  test("keep the order, and lose nothing that is not covered, however long callbacks take", async () => {
    const duration = fc.oneof(fc.constant(0), fc.constantFrom(0.1, 1, 3), fc.constantFrom(6, 40, 300, 1500));
    const step = fc.record({ pause: fc.constantFrom(0, 0, 0, 1, 5, 50, 800), keys: fc.nat(40), gap: fc.nat(9) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25 }),
        fc.array(duration, { minLength: 1 }),
        async (steps, durations) => {
          const { clock, host, subscriptions, dispatcher, read, overflows } = setUp();
          const got: number[] = [];
          let calls = 0;
          let covered = -1;
          let sent = 0;
          let gaps = 0;
          subscriptions.add({ prefix: "" }, ({ key, cause }) => {
            if (cause === "publish") {
              assert(Number(key) > (got.at(-1) ?? -1), "in order, and nothing twice");
              got.push(Number(key));
            } else covered = sent - 1;
            host.block(durations[calls++ % durations.length] as number);
          });
          const missing: number[] = [];
          for (const { pause, keys, gap } of steps) {
            await clock.advance(pause);
            host.clock.setTimer(() => {
              if (gap === 0) {
                dispatcher.notifyAll("gap");
                gaps++;
              }
              read(...Array.from({ length: keys }, () => String(sent++)));
            }, 0);
          }
          await clock.advance(200_000);
          const seen = new Set(got);
          for (let key = 0; key < sent; key++) if (!seen.has(key) && key > covered) missing.push(key);
          assertEquals(missing, []);
          assertEquals(seen.size + dispatcher.dropped >= sent, true);
          if (gaps + overflows() === 0) assertEquals(got.length, sent);
          assertEquals([dispatcher.waiting, dispatcher.age ?? 0], [0, 0]);
        },
      ),
      { numRuns: 200, seed: 8 },
    );
  });
});

describe("what has more than its text", () => {
  /** Receipts and what has become of them. */
  function receipts() {
    const outcomes = new Map<string, unknown>();
    const of = (name: string) => new EntryReceipt((outcome) => outcomes.set(name, outcome));
    return { outcomes, of };
  }

  function noted(rig: ReturnType<typeof setUp>, ...arrivals: readonly Partial<Arrival>[]): void {
    rig.dispatcher.begin(Infinity, true);
    for (const arrival of arrivals) {
      rig.dispatcher.takeNoted({ text: "k", isPrefix: false, metadata: undefined, receipt: undefined, ...arrival });
    }
    rig.dispatcher.end();
  }

  test("is delivered at once while callbacks are quick, with its metadata", () => {
    const rig = setUp();
    const { outcomes, of } = receipts();
    const got: SyncEvent[] = [];
    for (let i = 0; i < 2; i++) rig.subscriptions.add({ prefix: "k" }, (event) => got.push(event));
    noted(rig, { metadata: { region: "eu" }, receipt: of("key") }, { text: "", isPrefix: true, receipt: of("prefix") });
    const key = { region: "eu", key: "k", cause: "publish" } as const;
    const prefix = { key: "k", cause: "publish", prefix: "" } as const;
    assertEquals(got, [key, key, prefix, prefix]);
    assertEquals([...outcomes], [["key", "delivered"], ["prefix", "delivered"]]);
  });

  test("waits behind slow callbacks, in order, and its receipt with it", async () => {
    const rig = setUp();
    const { outcomes, of } = receipts();
    const got: string[] = [];
    rig.subscriptions.add({ prefix: "" }, ({ key, prefix }) => {
      got.push(prefix === undefined ? key : `${prefix}*`);
      rig.host.block(5);
    });
    rig.read("slow");
    noted(rig, { text: "a", receipt: of("a") }, { text: "user:", isPrefix: true, receipt: of("user:") });
    rig.read("b");
    assertEquals([got, outcomes.size], [["slow"], 0]);
    await rig.clock.advance(100);
    assertEquals([got, [...outcomes.values()]], [["slow", "a", "user:*", "b"], ["delivered", "delivered"]]);
  });

  test("that nobody hears is unsubscribed, at once or when its turn comes", async () => {
    const rig = setUp();
    const { outcomes, of } = receipts();
    noted(rig, { receipt: of("at once") }, { isPrefix: true, receipt: of("prefix") });
    rig.subscriptions.add("slow", () => rig.host.block(5));
    await rig.clock.advance(10);
    rig.read("slow");
    noted(rig, { receipt: of("later") });
    assertEquals([...outcomes.values()], ["unsubscribed", "unsubscribed"]);
    await rig.clock.advance(100);
    assertEquals(outcomes.get("later"), "unsubscribed");
  });

  test("that is dropped counts as delivered when all subscriptions have been notified, and not before", async () => {
    const rig = setUp();
    const { outcomes, of } = receipts();
    const got: string[] = [];
    for (const name of ["a", "b"]) {
      rig.subscriptions.add({ prefix: "" }, ({ cause, key }) => {
        got.push(`${name} ${cause} ${key}`);
        rig.host.block(5);
      });
    }
    rig.read("slow");
    noted(rig, { text: "x", receipt: of("x") });
    rig.dispatcher.notifyAll("gap");
    assertEquals(outcomes.size, 0);
    await rig.clock.runUntil(() => got.includes("a gap "), 1000);
    assertEquals(outcomes.size, 0);
    await rig.clock.advance(100);
    assertEquals([got.slice(-2), [...outcomes]], [["a gap ", "b gap "], [["x", "delivered"]]]);
  });

  test("that is dropped while the event for all subscriptions has to wait stays outstanding", async () => {
    const rig = setUp();
    let dropped = 0;
    const dispatcher = new Dispatcher({
      clock: rig.host.clock,
      subscriptions: rig.subscriptions,
      patience: PATIENCE,
      onSlow() {},
      onDropped: () => dropped++,
    });
    const { outcomes, of } = receipts();
    const got: string[] = [];
    rig.subscriptions.add({ prefix: "" }, ({ cause }) => {
      got.push(cause);
      rig.host.block(5);
    });
    const other = { ...rig, dispatcher };
    noted(other, { text: "slow" }, { text: "x", receipt: of("x") });
    await rig.clock.advance(0);
    noted(
      other,
      ...Array.from({ length: 65_537 }, (_, i) => ({ text: `${i}`, receipt: i === 0 ? of("first") : undefined })),
    );
    assertEquals(dropped, 1);
    let isDelivered = false;
    dispatcher.whenDelivered(() => isDelivered = true);
    for (let i = 0; i < 4; i++) await rig.clock.advance(20);
    assert((dispatcher.age ?? 0) > 0, "nothing is outstanding");
    assertEquals([outcomes.get("first"), isDelivered], [undefined, false]);
    dispatcher.notifyAll("overflow");
    await rig.clock.advance(100);
    assertEquals([outcomes.get("first"), isDelivered, dispatcher.age], ["delivered", true, undefined]);
    dispatcher.close();
  });

  test("is not mixed up with a datagram that comes within a callback", () => {
    const rig = setUp();
    const { outcomes, of } = receipts();
    rig.subscriptions.add("outer", () => noted(rig, { text: "inner", receipt: of("inner") }));
    noted(rig, { text: "outer", receipt: of("outer") }, { text: "last", receipt: of("last") });
    assertEquals([...outcomes], [["inner", "unsubscribed"], ["outer", "delivered"], ["last", "unsubscribed"]]);
  });

  test("of the bus itself reaches those with `self: true`", () => {
    const rig = setUp();
    const got: string[] = [];
    rig.subscriptions.add({ prefix: "" }, () => got.push("other"));
    rig.subscriptions.add({ prefix: "user:1" }, ({ key, prefix }) => got.push(`${key} ${prefix}`), { self: true });
    const own = { text: "user:", isPrefix: true, metadata: undefined, receipt: undefined };
    rig.dispatcher.takeOwn(own, false);
    rig.dispatcher.takeOwn(own, true);
    assertEquals(got, ["user:1 user:", "other", "user:1 user:"]);
  });
});

describe("when all is delivered", () => {
  test("is now when nothing waits, and after what waits now else", async () => {
    const rig = setUp();
    const got: string[] = [];
    rig.dispatcher.whenDelivered(() => got.push("at once"));
    assertEquals(got, ["at once"]);
    rig.subscriptions.add({ prefix: "" }, ({ key }) => {
      got.push(key);
      if (key === "a") rig.dispatcher.whenDelivered(() => got.push("after a"));
      rig.host.block(5);
    });
    rig.read("a", "b");
    rig.dispatcher.whenDelivered(() => got.push("after b"));
    rig.read("c");
    assertEquals(got, ["at once", "a"]);
    await rig.clock.advance(100);
    assertEquals(got, ["at once", "a", "after a", "b", "after b", "c"].sort((x, y) => got.indexOf(x) - got.indexOf(y)));
    assert(got.indexOf("after b") > got.indexOf("b") && got.indexOf("after a") > got.indexOf("a"));
  });

  test("is after an event for all subscriptions that is under way, or drops what waits", async () => {
    const rig = setUp();
    const got: string[] = [];
    for (const name of ["a", "b"]) {
      rig.subscriptions.add("k", ({ cause }) => {
        got.push(`${name} ${cause}`);
        rig.host.block(5);
      });
    }
    rig.dispatcher.notifyAll("gap");
    rig.dispatcher.whenDelivered(() => got.push("done"));
    await rig.clock.advance(100);
    assertEquals(got.splice(0), ["a gap", "b gap", "done"]);
    rig.read("k", "k");
    rig.dispatcher.whenDelivered(() => got.push("done"));
    rig.dispatcher.notifyAll("gap");
    await rig.clock.advance(200);
    assertEquals([got.at(-1), got.filter((each) => each === "done").length], ["done", 1]);
    assert(got.includes("b gap"));
  });

  test("is never after close", async () => {
    const rig = setUp();
    let calls = 0;
    rig.subscriptions.add("k", () => rig.host.block(5));
    rig.read("k", "k");
    rig.dispatcher.whenDelivered(() => calls++);
    rig.dispatcher.close();
    rig.dispatcher.whenDelivered(() => calls++);
    await rig.clock.advance(100);
    assertEquals(calls, 0);
  });
});
