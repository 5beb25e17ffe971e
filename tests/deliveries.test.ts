// When subscribers are called: at once while they are quick, in turns when they are not.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { MemoryNetwork } from "../adapters/memory.ts";
import { Deliveries } from "../src/deliveries.ts";
import { Subscriptions } from "../src/subscriptions.ts";
import type { SyncEvent, Topic } from "../src/sync_bus.ts";

const PATIENCE = 1000;

/** Deliveries on a host whose callbacks can block it. */
function setUp() {
  const { clock, host } = (() => {
    const network = new MemoryNetwork();
    return { clock: network.clock, host: network.host("10.0.0.1") };
  })();
  const subscriptions = new Subscriptions((error) => {
    throw error;
  });
  const slow: [Topic, number][] = [];
  let overflows = 0;
  const deliveries = new Deliveries({
    clock: host.clock,
    subscriptions,
    patience: PATIENCE,
    onSlow: (topic, duration) => slow.push([topic, duration]),
    onDropped: () => {
      overflows++;
      deliveries.tellAll("overflow");
    },
  });
  const read = (...keys: string[]) => {
    deliveries.begin();
    for (const [i, key] of keys.entries()) {
      deliveries.take(key);
      if (i % 32 === 31) deliveries.look();
    }
    deliveries.end();
  };
  return { clock, host, subscriptions, slow, deliveries, read, overflows: () => overflows };
}

function keysOf(count: number, name = "k"): string[] {
  return Array.from({ length: count }, (_, i) => `${name}${i}`);
}

describe("deliveries", () => {
  test("to quick callbacks are made within the receipt, and set no timer", () => {
    const { clock, subscriptions, deliveries, read } = setUp();
    const got: string[] = [];
    subscriptions.add({ prefix: "" }, ({ key }) => got.push(key));
    for (let i = 0; i < 10; i++) read(...keysOf(100));
    assertEquals(got, Array.from({ length: 10 }, () => keysOf(100)).flat());
    assertEquals([clock.pending, deliveries.waiting, deliveries.age ?? 0], [0, 0, 0]);
  });

  test("take the time of one callback when it is slow, and go on with the next in a later turn", async () => {
    const { clock, host, subscriptions, slow, deliveries, read } = setUp();
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
    assertEquals([host.clock.now(), deliveries.waiting], [10, 4]);
    await clock.advance(15);
    read("k5");
    assertEquals([deliveries.waiting, deliveries.age ?? 0], [4, 20]);
    // The clock of a machine that is suspended stands still.
    deliveries.sleep(5000);
    assertEquals(deliveries.age, 5020);
    deliveries.sleep(-5000);
    await clock.advance(100);
    assertEquals(at, [10, 20, 30, 40, 50, 60]);
    // A timer that is due runs between any two of them.
    assertEquals(ticks.slice(0, 6), [10, 20, 30, 40, 50, 60]);
    assertEquals(slow, Array.from({ length: 6 }, () => [{ prefix: "k" }, 10]));
    assertEquals([deliveries.waiting, deliveries.age ?? 0], [0, 0]);
  });

  test("reach loops when the callbacks beside them were called, in one turn or in several", async () => {
    const { clock, host, subscriptions, deliveries, read } = setUp();
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
        ["gap", () => deliveries.tellAll("gap")],
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
    const { clock, host, subscriptions, deliveries, read } = setUp();
    subscriptions.add({ prefix: "" }, () => host.block(1));
    host.clock.setTimer(() => {
      for (let i = 0; i < 10; i++) read("x");
      assertEquals([host.clock.now(), deliveries.waiting], [5, 6]);
    }, 1);
    await clock.advance(100);
    assertEquals(deliveries.waiting, 0);
  });

  test("of one key to many subscribers are made in turns too", async () => {
    const { clock, host, subscriptions, deliveries, read } = setUp();
    let calls = 0;
    for (let i = 0; i < 10; i++) {
      subscriptions.add("x", () => {
        calls++;
        host.block(5);
      });
    }
    read("x");
    assertEquals([calls, deliveries.waiting], [1, 0]);
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

  test("of a busy node are looked at after some keys, and those of its next datagrams are timed", async () => {
    const { clock, host, subscriptions, slow, deliveries, read } = setUp();
    let calls = 0;
    subscriptions.add({ prefix: "" }, ({ key }) => {
      calls++;
      if (key.startsWith("slow")) host.block(10);
    });
    host.clock.setTimer(() => {
      read("quick");
      read(...keysOf(100, "slow"));
      assertEquals([calls, slow.length, deliveries.waiting], [33, 0, 68]);
    }, 1);
    await clock.advance(330);
    assertGreater(slow.length, 0);
    deliveries.close();
  });

  test("read for as long as callbacks took before the next one, while something comes", async () => {
    const { clock, host, subscriptions, read, deliveries } = setUp();
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
    deliveries.close();
  });

  test("are given up for all that waits when the oldest key has waited for too long", async () => {
    const { clock, host, subscriptions, deliveries, read, overflows } = setUp();
    const got: SyncEvent[] = [];
    subscriptions.add({ prefix: "k" }, (event) => {
      got.push(event);
      host.block(100);
    });
    const queue = subscriptions.add("other");
    read(...keysOf(50));
    await clock.advance(5_000);
    assertEquals(got.map(({ key }) => key), [...keysOf(11), "k"]);
    assertEquals([got.at(-1)?.cause, overflows(), deliveries.dropped], ["overflow", 1, 39]);
    assertEquals((await queue[Symbol.asyncIterator]().next()).value, { key: "other", cause: "overflow" });
    assertEquals(subscriptions.counts.overflows, 2);
    assertEquals([deliveries.waiting, deliveries.age ?? 0], [0, 0]);
    read("k99");
    assertEquals(got.at(-1), { key: "k99", cause: "publish" });
  });

  test("that wait are as old as it turns out later", async () => {
    const { clock, host, subscriptions, deliveries, read } = setUp();
    subscriptions.add({ prefix: "" }, () => host.block(20));
    await clock.advance(500);
    deliveries.antedate(0);
    assertEquals(deliveries.age, undefined);
    read(...keysOf(10));
    await clock.advance(50);
    const age = deliveries.age ?? 0;
    assert(age >= 40 && age < 100, `${age}`);
    deliveries.antedate(300);
    assertEquals(deliveries.age, host.clock.now() - 300);
    deliveries.antedate(400);
    assertEquals(deliveries.age, host.clock.now() - 300);
    await clock.advance(1000);
    assertEquals(deliveries.age, undefined);
  });

  test("of one key to many are as old as it turns out later, too", async () => {
    const { clock, host, subscriptions, deliveries, read } = setUp();
    for (let i = 0; i < 50; i++) subscriptions.add({ prefix: "" }, () => host.block(20));
    await clock.advance(5000);
    read("key");
    await clock.advance(100);
    deliveries.antedate(1000);
    assertEquals(deliveries.age, host.clock.now() - 1000);
  });

  test("are given up when there is no room, and go on with what comes then", async () => {
    const { clock, host, subscriptions, deliveries, read, overflows } = setUp();
    const got: string[] = [];
    subscriptions.add({ prefix: "" }, ({ key, cause }) => {
      got.push(`${cause} ${key}`);
      if (got.length === 1) host.block(10);
    });
    read("slow", ...keysOf(65_537));
    assertEquals([overflows(), deliveries.dropped, deliveries.waiting], [1, 65_536, 1]);
    await clock.advance(20);
    assertEquals(got, ["publish slow", "overflow ", "publish k65536"]);
  });

  test("are not made to those that subscribed after the key came, nor to those that are gone", async () => {
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

  test("of keys that wait are not made to those that subscribe meanwhile, nor after an unsubscription", async () => {
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
    const { subscriptions, deliveries } = setUp();
    for (const causes of [["gap", "overflow"], ["overflow", "gap"]] as const) {
      const queue = subscriptions.add({ prefix: "" });
      for (const cause of causes) deliveries.tellAll(cause);
      assertEquals((await queue[Symbol.asyncIterator]().next()).value, { key: "", cause: "gap" });
      queue.close();
      assertEquals((await queue[Symbol.asyncIterator]().next()).done, true);
    }
  });

  test("tell everybody of a gap at once when callbacks are quick, in turns when not, and to the end", async () => {
    const { clock, host, subscriptions, deliveries, read } = setUp();
    const got: string[] = [];
    for (let i = 0; i < 5; i++) subscriptions.add(`x${i}`, ({ cause }) => got.push(`${cause} ${i}`));
    deliveries.tellAll("gap");
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
    deliveries.tellAll("gap");
    assertEquals(host.clock.now(), 30);
    read("x3");
    await clock.advance(40);
    // Another, and an overflow, which says less, while it goes on: a second round after the first, which covers the key.
    deliveries.tellAll("gap");
    deliveries.tellAll("overflow");
    assertEquals(deliveries.waiting, 0);
    assertGreater(deliveries.age ?? 0, 0);
    await clock.advance(1000);
    assertEquals(got, Array.from({ length: 2 }, () => ["gap 0", "gap 1", "gap 2", "gap 3", "gap 4"]).flat());
    assertEquals(slow, 10);
    assertEquals([host.clock.now() - deliveries.toldAt > 500, deliveries.age ?? 0], [true, 0]);
  });

  test("end with `close`, and leave no timer", async () => {
    const { clock, host, subscriptions, deliveries, read } = setUp();
    let calls = 0;
    subscriptions.add({ prefix: "" }, () => {
      calls++;
      host.block(10);
      if (calls === 2) {
        subscriptions.stop();
        deliveries.close();
      }
    });
    read(...keysOf(10));
    await clock.advance(1000);
    assertEquals([calls, deliveries.waiting, clock.pending], [2, 0, 0]);
    deliveries.tellAll("gap");
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
          const { clock, host, subscriptions, deliveries, read, overflows } = setUp();
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
                deliveries.tellAll("gap");
                gaps++;
              }
              read(...Array.from({ length: keys }, () => String(sent++)));
            }, 0);
          }
          await clock.advance(200_000);
          const seen = new Set(got);
          for (let key = 0; key < sent; key++) if (!seen.has(key) && key > covered) missing.push(key);
          assertEquals(missing, []);
          assertEquals(seen.size + deliveries.dropped >= sent, true);
          if (gaps + overflows() === 0) assertEquals(got.length, sent);
          assertEquals([deliveries.waiting, deliveries.age ?? 0], [0, 0]);
        },
      ),
      { numRuns: 200, seed: 8 },
    );
  });
});
