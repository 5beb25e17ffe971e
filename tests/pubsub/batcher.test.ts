// The batcher: when batches leave, what they contain, and which publishers wait.
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError, KeyTooLongError } from "../../src/errors.ts";
import { keysOf, makeBatcher } from "../support/batches.ts";
import { settle, watch } from "../support/outcome.ts";
import { countListeners } from "../support/signals.ts";

/** A batcher whose queue is full of `a` and `b`. */
function fullQueue(batchSize = 2) {
  const rig = makeBatcher({ queueSize: 2, batchSize });
  assert(rig.batcher.tryAdd("a") && rig.batcher.tryAdd("b"));
  return rig;
}

describe("a batch", () => {
  test("may leave at once when none has in the last millisecond, and takes keys until it is taken", () => {
    const { batcher, clock, readyAt, takeAll } = makeBatcher();
    for (const key of ["b", "a", "c"]) assert(batcher.tryAdd(key));
    assertEquals([readyAt, batcher.isReady, batcher.pending, clock.pending], [[0], true, 3, 0]);
    assertEquals([takeAll(), batcher.pending], [[["b", "a", "c"]], 0]);
  });

  test("leaves at the end of the turn when one has left at once in the last millisecond", async () => {
    const { batcher, clock, readyAt, timers, takeAll } = makeBatcher();
    batcher.tryAdd("first");
    takeAll();
    await clock.advance(0.999);
    for (const key of ["b", "a", "c"]) assert(batcher.tryAdd(key));
    assertEquals([readyAt, batcher.take(), batcher.pending], [[0], undefined, 3]);
    await clock.advance(0);
    assertEquals([readyAt, takeAll(), batcher.pending, clock.pending], [[0, 0.999], [["b", "a", "c"]], 0, 0]);
    assertEquals(timers, []);
    await clock.advance(0.001);
    assert(batcher.tryAdd("at once"));
    assertEquals([readyAt, takeAll()], [[0, 0.999, 1], [["at once"]]]);
  });

  test("takes further keys beyond the budget, until that allows the next", async () => {
    const { batcher, budget, clock, readyAt, timers, takeAll } = makeBatcher();
    // 64 may leave at once, 20 a millisecond: the next in 1.05 ms.
    budget.spend(64 + 20);
    batcher.tryAdd("a");
    await clock.advance(0.5);
    batcher.tryAdd("b");
    await clock.advance(0.549);
    assertEquals([readyAt, takeAll(), timers], [[], [], [1.05]]);
    await clock.advance(0.001);
    assertEquals([readyAt, takeAll()], [[1.05], [["a", "b"]]]);
  });

  test("leaves at the end of the turn again as soon as the budget allows it", async () => {
    const { batcher, budget, clock, readyAt, timers, takeAll } = makeBatcher();
    budget.spend(64);
    await clock.advance(0.05);
    batcher.tryAdd("a");
    await clock.advance(0);
    assertEquals([readyAt, takeAll(), timers], [[0.05], [["a"]], []]);
  });

  test("waits no longer than the interval, whatever the budget owes", async () => {
    const { batcher, budget, clock, readyAt, takeAll } = makeBatcher({ batchInterval: 2 });
    budget.spend(1_000);
    batcher.tryAdd("a");
    await clock.advance(1.999);
    assertEquals(readyAt, []);
    await clock.advance(0.001);
    assertEquals([readyAt, takeAll()], [[2], [["a"]]]);
  });

  test("is checked at the end of each turn when it waits for less than a timer takes", async () => {
    const { budget, clock } = makeBatcher();
    let turns = 0;
    const readyAt: number[] = [];
    const { batcher } = makeBatcher({
      budget,
      clock: {
        now: () => clock.now(),
        setTimer: () => {
          throw new Error("a timer was set");
        },
        // Turns of 10 µs.
        setTurnEnd: (callback) => (turns++, clock.setTimer(callback, 0.01)),
      },
      transmit: { wake: () => readyAt.push(clock.now()) },
    });
    budget.spend(64);
    batcher.tryAdd("a");
    await clock.advance(1);
    assertEquals([readyAt, turns], [[0.05], 5]);
  });

  test("takes keys until it is taken, though it may leave", async () => {
    const { batcher, clock, readyAt, takeAll } = makeBatcher({ batchSize: 3 });
    batcher.tryAdd("a");
    await clock.advance(0);
    assertEquals([readyAt, batcher.isReady], [[0], true]);
    for (const key of ["b", "c", "d"]) batcher.tryAdd(key);
    assertEquals([takeAll(), batcher.isReady], [[["a", "b", "c"]], false]);
    await clock.advance(0);
    assertEquals(takeAll(), [["d"]]);
  });

  test("leaves at the end of every turn with an interval of 0", async () => {
    const { batcher, budget, clock, readyAt, timers, takeAll } = makeBatcher({ batchInterval: 0 });
    const taken: string[][][] = [];
    budget.spend(1_000);
    for (const key of ["a", "b", "c"]) {
      batcher.tryAdd(key);
      await clock.advance(0);
      taken.push(takeAll());
    }
    assertEquals([readyAt, taken, timers], [[0, 0, 0], [[["a"]], [["b"]], [["c"]]], []]);
  });

  test("leaves at once when it is full", async () => {
    const { batcher, clock, readyAt, takeAll } = makeBatcher({ batchSize: 3 });
    for (const key of ["a", "b", "c", "d", "e", "f", "g"]) batcher.tryAdd(key);
    assertEquals([readyAt, takeAll()], [[0, 0, 0], [["a", "b", "c"], ["d", "e", "f"]]]);
    await clock.advance(0);
    assertEquals([readyAt, takeAll()], [[0, 0, 0, 0], [["g"]]]);
  });

  test("leaves at once when the queue is full, as it can take nothing more", () => {
    const { readyAt, takeAll, batcher } = fullQueue(20);
    assertEquals([readyAt, batcher.pending], [[0], 2]);
    void batcher.wait("c");
    void batcher.wait("d");
    void batcher.wait("e");
    // Each time room is made, the waiting keys fill the queue again.
    assertEquals(takeAll(), [["a", "b"], ["c", "d"]]);
    assertEquals(batcher.pending, 1);
  });

  test("takes keys in a queue that is full while others are ready", () => {
    const { batcher, takeAll } = makeBatcher({ queueSize: 5, batchSize: 2 });
    for (const key of ["a", "b", "c", "d", "e"]) assert(batcher.tryAdd(key));
    void batcher.wait("f");
    assertEquals(takeAll(), [["a", "b"], ["c", "d"], ["e", "f"]]);
  });

  test("is never empty, though its timer runs out after it was full", async () => {
    const { batcher, clock, readyAt, takeAll } = makeBatcher({ batchSize: 2 });
    batcher.tryAdd("first");
    takeAll();
    batcher.tryAdd("a");
    assertEquals(clock.pending, 1);
    batcher.tryAdd("b");
    await clock.advance(1000);
    assertEquals([readyAt, takeAll(), clock.pending], [[0, 0], [["a", "b"]], 0]);
  });

  test("ends before it would pass 1,400 bytes", async () => {
    const { batcher, clock } = makeBatcher({ batchSize: 65_535 });
    const keys = Array.from({ length: 40 }, (_, i) => "é".repeat(48) + String(i).padStart(2, "0"));
    // 98 bytes each, and two for the length: (1400 - 20) / 100.
    const most = 13;
    for (const key of keys) batcher.tryAdd(key);
    await clock.advance(0);
    const lengths: number[] = [];
    const taken: string[][] = [];
    for (let datagram = batcher.take(); datagram !== undefined; datagram = batcher.take()) {
      lengths.push(datagram.length);
      taken.push(keysOf(datagram));
    }
    assertEquals(taken, Array.from({ length: taken.length }, (_, i) => keys.slice(i * most, (i + 1) * most)));
    assertEquals(lengths, [1320, 1320, 1320, 120]);
  });

  test("ends before it would pass 1,400 bytes with its number", async () => {
    const cases: readonly [boolean, number, number[]][] = [[false, 1400, [2, 1]], [true, 722, [1, 1, 1]]];
    for (const [numbered, length, counts] of cases) {
      const { batcher, clock } = makeBatcher({ numbered });
      // 690 bytes each with the two for its length, so that two of them fill a datagram without a number.
      for (const key of ["a", "b", "c"]) batcher.tryAdd(key.padEnd(688, "."));
      await clock.advance(0);
      const taken: Uint8Array[] = [];
      for (let i = 1; i <= counts.length; i++) {
        taken.push((batcher.take(numbered ? i : undefined) as Uint8Array).slice());
      }
      assertEquals(taken.map((datagram) => keysOf(datagram).length), counts);
      assertEquals(taken[0]?.length, length);
      assertEquals(batcher.take(), undefined);
    }
  });

  test("is unchanged after it was taken until it is given back", async () => {
    const { batcher, clock, takeAll } = makeBatcher({ batchSize: 1 });
    batcher.tryAdd("a");
    const first = batcher.take();
    for (let i = 0; i < 200; i++) batcher.tryAdd(`k${i}`);
    await clock.advance(200);
    const second = batcher.take();
    for (let i = 200; i < 400; i++) batcher.tryAdd(`k${i}`);
    assertEquals([keysOf(first as Uint8Array), keysOf(second as Uint8Array)], [["a"], ["k0"]]);
    assertEquals(takeAll(), Array.from({ length: 399 }, (_, i) => [`k${i + 1}`]));
  });
});

describe("a limit below the largest datagram", () => {
  test("applies to the open batch and to those that are reused, and a longer key goes alone", async () => {
    const { batcher, clock, takeAll } = makeBatcher({ batchSize: 1000 });
    const names = (count: number) => Array.from({ length: count }, (_, i) => `${i}`.padEnd(98, "."));
    // 20 bytes, and 100 for each key: 13 fit 1,400.
    const sizes = async (count: number) => {
      for (const name of names(count)) assert(batcher.tryAdd(name));
      await clock.advance(200);
      return takeAll().map(({ length }) => length);
    };
    assertEquals([batcher.limit, await sizes(30)], [1400, [13, 13, 4]]);
    assert(batcher.tryAdd("open".padEnd(98, ".")));
    batcher.limit = 548;
    assertEquals([batcher.limit, await sizes(12)], [548, [5, 5, 3]]);
    const long = "long".padEnd(1000, ".");
    for (const key of ["before", long, "after"]) assert(batcher.tryAdd(key));
    await clock.advance(200);
    assertEquals(takeAll(), [["before"], [long], ["after"]]);
    assertThrows(() => batcher.tryAdd("too long".padEnd(1379, ".")), KeyTooLongError);
    batcher.limit = 1400;
    assertEquals(await sizes(30), [13, 13, 4]);
  });
});

describe("a pending key", () => {
  test("is not queued again, ready or not", async () => {
    const { batcher, clock, takeAll } = makeBatcher();
    assertEquals([batcher.tryAdd("a"), batcher.tryAdd("a"), batcher.pending], [true, true, 1]);
    await clock.advance(0);
    assertEquals([batcher.tryAdd("a"), batcher.accepted, batcher.pending], [true, 1, 1]);
    assertEquals(takeAll(), [["a"]]);
    await clock.advance(1000);
    assertEquals([takeAll(), batcher.pending], [[], 0]);
  });

  test("is sent again when it is published after its datagram was taken", async () => {
    const { batcher, clock } = makeBatcher();
    batcher.tryAdd("a");
    await clock.advance(0);
    const first = batcher.take();
    assert(batcher.tryAdd("a"));
    assertEquals([keysOf(first as Uint8Array), batcher.pending, batcher.accepted], [["a"], 1, 2]);
    await clock.advance(100);
    assertEquals(keysOf(batcher.take() as Uint8Array), ["a"]);
  });

  test("is sent again however many were sent alone since it was", () => {
    const { batcher } = makeBatcher();
    const publish = (...keys: string[]) => {
      const before = batcher.accepted;
      for (const key of keys) batcher.tryAdd(key);
      batcher.hurry();
      while (batcher.take() !== undefined) batcher.release();
      return batcher.accepted - before;
    };
    // Positions of 32 bits come round after 2^20 batches.
    for (const alone of [5, 2 ** 20 + 5, 10]) {
      assertEquals(publish("a", "b"), 2);
      for (let i = 0; i < alone; i++) publish("alone");
      assertEquals([publish("a", "b"), publish("b", "a")], [2, 2]);
    }
  });

  test("is not queued again while it is pending, however often it was sent before", () => {
    const hot = ["user:0", "list:0", "team:0", "cart:0", "item:0"];
    for (let count = 1; count <= hot.length; count++) {
      const { batcher } = makeBatcher({ queueSize: 1_000 });
      for (let turn = 0; turn < 400; turn++) {
        const before = batcher.accepted;
        for (let i = 0; i < 5; i++) for (const key of hot.slice(0, count)) batcher.tryAdd(key);
        assertEquals(batcher.accepted - before, count);
        batcher.hurry();
        while (batcher.take() !== undefined) batcher.release();
      }
    }
  });

  test("is sent again when it was pending alone and another, that had to wait, has taken its place", () => {
    const { batcher, takeAll } = makeBatcher({ queueSize: 1 });
    assert(batcher.tryAdd("a"));
    assertEquals([batcher.tryAdd("a"), batcher.tryAdd("b")], [true, false]);
    void batcher.wait("b");
    assertEquals([batcher.take() !== undefined, batcher.pending], [true, 1]);
    assertEquals([batcher.tryAdd("a"), batcher.tryAdd("b")], [false, true]);
    void batcher.wait("a");
    assertEquals(takeAll().at(-1), ["a"]);
  });

  test("is not forgotten with a batch whose memory held it before", () => {
    const { batcher, takeAll } = makeBatcher({ batchSize: 1 });
    // The batch of `a` is used again for `c`, while `a` is pending anew in another.
    batcher.tryAdd("a");
    takeAll();
    for (const key of ["b", "c", "a"]) batcher.tryAdd(key);
    assertEquals([keysOf(batcher.take() as Uint8Array), keysOf(batcher.take() as Uint8Array)], [["b"], ["c"]]);
    assertEquals([batcher.tryAdd("a"), batcher.pending, takeAll()], [true, 1, [["a"]]]);
  });

  test("takes no room in a full queue", () => {
    const { batcher } = fullQueue();
    assertEquals([batcher.tryAdd("a"), batcher.tryAdd("c"), batcher.waiting, batcher.pending], [true, false, 0, 2]);
  });
});

describe("a key", () => {
  const fits = ["x".repeat(1378), "é".repeat(689), "日".repeat(459) + "x", "🙂".repeat(344) + "xx"];
  for (const key of fits) {
    test(`of 1,378 bytes fits: ${key.slice(0, 2)}`, async () => {
      const { batcher, clock, takeAll } = makeBatcher();
      for (const each of ["a", key, "b"]) assert(batcher.tryAdd(each));
      await clock.advance(0);
      assertEquals(takeAll(), [["a"], [key], ["b"]]);
    });

    test(`of 1,379 bytes is refused, and the error names it: ${key.slice(0, 2)}`, async () => {
      const { batcher, clock, takeAll } = makeBatcher();
      batcher.tryAdd("a");
      const error = assertThrows(() => batcher.tryAdd(`${key}x`), KeyTooLongError);
      assertEquals([error.bytes, error.limit, error.name], [1379, 1378, "KeyTooLongError"]);
      assert(error.message.includes("1378") && error.message.includes("1379"), error.message);
      batcher.tryAdd("b");
      await clock.advance(0);
      assertEquals([takeAll(), batcher.accepted], [[["a", "b"]], 2]);
    });
  }

  test("of 1,366 bytes fits beside a number; one of 1,367 is refused, and the error names it", async () => {
    const { batcher, clock } = makeBatcher({ numbered: true });
    const key = "é".repeat(683);
    assert(batcher.tryAdd(key));
    const error = assertThrows(() => batcher.tryAdd(`${key}x`), KeyTooLongError);
    assertEquals([error.bytes, error.limit], [1367, 1366]);
    await clock.advance(0);
    const datagram = batcher.take(1) as Uint8Array;
    assertEquals([keysOf(datagram), datagram.length], [[key], 1400]);
  });

  test("that is too long or ill-formed is refused at once when it would have to wait", () => {
    const { batcher } = fullQueue();
    assertThrows(() => batcher.tryAdd("x".repeat(1379)), KeyTooLongError);
    assertThrows(() => batcher.tryAdd("a\ud800"), TypeError);
    assertEquals(batcher.waiting, 0);
  });

  test("that has no UTF-8 form is refused", async () => {
    const { batcher, clock, takeAll } = makeBatcher();
    for (const key of ["\ud800", "a\udfff", "\ude42\ud83d", "\ud800".repeat(2000)]) {
      assertThrows(() => batcher.tryAdd(key), TypeError, "well-formed");
    }
    batcher.tryAdd("");
    await clock.advance(0);
    assertEquals(takeAll(), [[""]]);
  });
});

describe("a publisher that waits for room", () => {
  test("gets the result of its own subscribers when the key is accepted", () => {
    const late: unknown[] = [];
    const { batcher } = makeBatcher({ queueSize: 1, ownKeys: { acceptedLate: (key, self) => late.push([key, self]) } });
    batcher.tryAdd("a");
    void batcher.wait("b", undefined, true);
    void batcher.wait("c");
    assertEquals(late, []);
    batcher.take();
    assertEquals(late, [["b", true]]);
    batcher.take();
    assertEquals(late, [["b", true], ["c", undefined]]);
  });

  test("is served in order of arrival, and not overtaken", async () => {
    const { batcher, takeAll } = fullQueue();
    const outcomes = ["c", "d", "e"].map((key) => (batcher.tryAdd(key), watch(batcher.wait(key))));
    const states = () => outcomes.map(({ state }) => state);
    await settle();
    assertEquals([states(), batcher.waiting], [["waiting", "waiting", "waiting"], 3]);
    assertEquals(keysOf(batcher.take() as Uint8Array), ["a", "b"]);
    assertEquals([batcher.tryAdd("f"), batcher.waiting, batcher.pending], [false, 1, 2]);
    await settle();
    assertEquals(states(), ["fulfilled", "fulfilled", "waiting"]);
    assertEquals([keysOf(batcher.take() as Uint8Array), batcher.tryAdd("f")], [["c", "d"], true]);
    await settle();
    assertEquals([states()[2], takeAll(), batcher.accepted], ["fulfilled", [["e", "f"]], 6]);
  });

  test("shares the batch of another that waits with the same key, which is sent once", async () => {
    const { batcher, clock, takeAll } = fullQueue();
    const outcomes = ["c", "d", "d", "c"].map((key) => watch(batcher.wait(key)));
    batcher.take();
    await settle();
    assertEquals([outcomes.map(({ state }) => state), batcher.waiting], [new Array(4).fill("fulfilled"), 0]);
    await clock.advance(100);
    assertEquals(takeAll(), [["c", "d"]]);
  });

  test("is refused when the signal has aborted already", async () => {
    const { batcher } = fullQueue();
    const reason = new Error("no");
    const signal = AbortSignal.abort(reason);
    const listeners = countListeners(signal);
    assertStrictEquals(await assertRejects(() => batcher.wait("c", signal)), reason);
    assertEquals([batcher.waiting, listeners.count], [0, 0]);
  });

  test("withdraws the key when the signal aborts", async () => {
    const { batcher, clock, takeAll } = fullQueue();
    const controller = new AbortController();
    const listeners = countListeners(controller.signal);
    const outcomes = [batcher.wait("c", controller.signal), batcher.wait("d")].map(watch);
    assertEquals([batcher.waiting, listeners.count], [2, 1]);
    const reason = new Error("enough");
    controller.abort(reason);
    assertEquals([batcher.waiting, listeners.count], [1, 0]);
    await settle();
    assertStrictEquals(outcomes[0]?.reason, reason);
    assertEquals(outcomes.map(({ state }) => state), ["rejected", "waiting"]);
    const first = takeAll();
    await clock.advance(1000);
    assertEquals([first, takeAll(), batcher.accepted], [[["a", "b"]], [["d"]], 3]);
  });

  test("keeps its key when the signal aborts after it was accepted", async () => {
    const { batcher, clock, takeAll } = fullQueue();
    const controller = new AbortController();
    const listeners = countListeners(controller.signal);
    const outcome = watch(batcher.wait("c", controller.signal));
    batcher.take();
    assertEquals(listeners.count, 0);
    controller.abort();
    await settle();
    await clock.advance(100);
    assertEquals([outcome.state, takeAll()], ["fulfilled", [["c"]]]);
  });
});

describe("close", () => {
  test("makes what is pending ready, rejects waiting publishers, and refuses the rest", async () => {
    const { batcher, clock, readyAt, takeAll } = fullQueue(20);
    const controller = new AbortController();
    const listeners = countListeners(controller.signal);
    const outcomes = [batcher.wait("c"), batcher.wait("d", controller.signal)].map(watch);
    batcher.close();
    assertEquals([readyAt, batcher.waiting, listeners.count, clock.pending], [[0], 0, 0, 0]);
    await settle();
    for (const { state, reason } of outcomes) assert(state === "rejected" && reason instanceof ClosedError);
    for (const key of ["a", "e"]) assertThrows(() => batcher.tryAdd(key), ClosedError, "publish");
    assertEquals(batcher.pending, 2);
    batcher.close();
    assertEquals([takeAll(), batcher.pending, readyAt], [[["a", "b"]], 0, [0]]);
  });

  test("leaves nothing behind when nothing is pending", () => {
    const { batcher, clock, readyAt } = makeBatcher();
    batcher.close();
    assertEquals([readyAt, batcher.take(), clock.pending], [[], undefined, 0]);
  });
});

describe("a sender that takes another id", () => {
  test("has it in batches whose memory is reused, and not in those that were under way", () => {
    const nodeId = new Uint8Array(16).fill(7);
    const { batcher } = makeBatcher({ nodeId, batchSize: 1 });
    const sender = (datagram: Uint8Array | undefined) => datagram?.[2];
    for (const key of ["a", "b", "c", "d"]) batcher.tryAdd(key);
    // Two are done with and two under way.
    batcher.take();
    batcher.take();
    batcher.release();
    const underWay = [batcher.take(), batcher.take()];
    nodeId.fill(9);
    batcher.rename();
    batcher.release();
    const senders: unknown[] = [];
    for (let i = 0; i < 8; i++) {
      batcher.tryAdd(`later:${i}`);
      senders.push(sender(batcher.take()));
    }
    assertEquals([senders, underWay.map(sender)], [new Array(8).fill(9), [7, 7]]);
  });

  test("has it in all that is not under way, and in later batches", () => {
    const nodeId = new Uint8Array(16).fill(7);
    const { batcher } = makeBatcher({ nodeId, batchSize: 1 });
    const sender = (datagram: Uint8Array | undefined) => datagram?.[2];
    for (const key of ["a", "b"]) batcher.tryAdd(key);
    const underWay = batcher.take();
    nodeId.fill(9);
    batcher.rename();
    assertEquals(sender(underWay), 7);
    const senders = [sender(batcher.take())];
    for (const key of ["c", "d", "e"]) {
      batcher.tryAdd(key);
      senders.push(sender(batcher.take()));
    }
    assertEquals([senders, batcher.take()], [[9, 9, 9, 9], undefined]);
  });
});
