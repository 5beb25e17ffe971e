// The virtual clock: the order of its timers, and what holds its time.
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { VirtualClock } from "../../../adapters/memory.ts";

test("a VirtualClock holds time during work that none of its timers ends, whatever the result", async () => {
  for (const error of [undefined, new Error("it failed")]) {
    const clock = new VirtualClock();
    const log: string[] = [];
    clock.setTimer(() => {
      log.push(`begun at ${clock.now()}`);
      // Turns of the real event loop, for which `advance` does not wait.
      const work = new Promise<void>((resolve, reject) => {
        setTimeout(() => error === undefined ? resolve() : reject(error), 20);
      });
      clock.holdWhile(work);
      void work.catch(() => {}).then(() => log.push(`done at ${clock.now()}`));
    }, 5);
    clock.setTimer(() => log.push("another timer"), 5);
    await clock.advance(1000);
    assertEquals([log, clock.now()], [["begun at 5", "done at 5", "another timer"], 1000]);
  }
});

describe("VirtualClock", () => {
  test("runs timers in the order of their times, then of their making", async () => {
    const clock = new VirtualClock();
    const calls: string[] = [];
    const note = (name: string) => () => calls.push(`${name} ${clock.now()}`);
    clock.setTimer(note("late"), 20);
    clock.setTimer(note("first"), 10);
    clock.setTimer(note("second"), 10);
    clock.setTimer(note("negative"), -5);
    clock.setTimer(note("fraction"), 0.5);
    await clock.advance(15);
    assertEquals(calls, ["negative 0", "fraction 0.5", "first 10", "second 10"]);
    assertEquals(clock.now(), 15);
    assertEquals(clock.pending, 1);
    await clock.advance(5);
    assertEquals(calls.at(-1), "late 20");
    assertEquals(clock.pending, 0);
  });

  test("runs turn ends at the same moment, after all timers that are due", async () => {
    const clock = new VirtualClock();
    const calls: string[] = [];
    clock.setTimer(() => {
      clock.setTurnEnd(() => calls.push(`turn end ${clock.now()}`));
      clock.setTimer(() => calls.push(`no delay ${clock.now()}`), 0);
      calls.push("a");
    }, 10);
    clock.setTimer(() => calls.push("b"), 10);
    clock.setTimer(() => calls.push("later"), 10.001);
    await clock.advance(20);
    assertEquals(calls, ["a", "b", "no delay 10", "turn end 10", "later"]);
  });

  test("lets promises run to their end between two calls", async () => {
    const clock = new VirtualClock();
    const calls: string[] = [];
    const chain = async (name: string) => {
      for (let i = 0; i < 50; i++) await undefined;
      calls.push(`${name} ${clock.now()}`);
    };
    clock.setTimer(() => void chain("a"), 10);
    clock.setTimer(() => calls.push("b"), 10);
    clock.setTimer(() => void chain("c"), 20);
    await clock.advance(20);
    assertEquals(calls, ["a 10", "b", "c 20"]);
  });

  test("lets the caller's promises set their timers before time moves", async () => {
    const clock = new VirtualClock();
    let calledAt = -1;
    void (async () => {
      for (let i = 0; i < 50; i++) await undefined;
      clock.setTimer(() => calledAt = clock.now(), 5);
    })();
    await clock.advance(100);
    assertEquals(calledAt, 5);
  });

  test("advance(0) runs what is due now", async () => {
    const clock = new VirtualClock();
    let calls = 0;
    clock.setTurnEnd(() => calls++);
    clock.setTimer(() => calls++, 0);
    clock.setTimer(() => calls++, 0.001);
    await clock.advance(0);
    assertEquals(calls, 2);
    assertEquals(clock.now(), 0);
  });

  test("does not call cancelled callbacks", async () => {
    const clock = new VirtualClock();
    let calls = 0;
    const timers = [
      clock.setTimer(() => calls++, 1),
      clock.setTurnEnd(() => calls++),
      clock.setTimer(() => calls++, 0),
    ];
    for (const timer of timers) timer.cancel();
    timers[0]?.cancel();
    assertEquals(clock.pending, 0);
    await clock.advance(10);
    assertEquals(calls, 0);

    const made = clock.setTimer(() => calls++, 1);
    await clock.advance(1);
    made.cancel();
    assertEquals(calls, 1);
    assertEquals(clock.pending, 0);
  });

  test("keeps the count and the order of timers with thousands of cancelled ones", async () => {
    const clock = new VirtualClock();
    const calls: number[] = [];
    for (let i = 0; i < 10_000; i++) {
      const timer = clock.setTimer(() => calls.push(i), 10_000 - i);
      if (i % 100 !== 0) timer.cancel();
    }
    assertEquals(clock.pending, 100);
    await clock.advance(10_000);
    assertEquals(calls, Array.from({ length: 100 }, (_, i) => 9900 - 100 * i));
    assertEquals(clock.pending, 0);
  });

  test("has no errors of binary fractions", async () => {
    const clock = new VirtualClock();
    let calls = 0;
    clock.setTimer(() => calls++, 0.1 + 0.2);
    for (let i = 0; i < 3; i++) await clock.advance(0.1);
    assertEquals(clock.now(), 0.3);
    assertEquals(calls, 1);
  });

  test("lets a timer that waits for a time between two steps reach it", async () => {
    const clock = new VirtualClock();
    const deadline = 10.000_000_04;
    let done = false;
    const wait = () => {
      if (clock.now() >= deadline) done = true;
      else clock.setTimer(wait, deadline - clock.now());
    };
    wait();
    await clock.advance(10.002);
    assert(done);
  });

  test("advance rejects with what a timer throws, and the next continues from there", async () => {
    const clock = new VirtualClock();
    const thrown = new Error("from the timer");
    const calls: string[] = [];
    clock.setTimer(() => {
      throw thrown;
    }, 10);
    clock.setTimer(() => calls.push("same moment"), 10);
    clock.setTimer(() => calls.push("later"), 20);
    assertStrictEquals(await assertRejects(() => clock.advance(100)), thrown);
    assertEquals([clock.now(), clock.pending], [10, 2]);
    await clock.advance(10);
    assertEquals(calls, ["same moment", "later"]);
  });

  test("refuses to be advanced twice at a time", async () => {
    const clock = new VirtualClock();
    const first = clock.advance(10);
    await assertRejects(() => clock.advance(10), Error, "it is being moved already");
    await first;
    await clock.advance(10);
    assertEquals(clock.now(), 20);
  });

  test("rejects when timers without delay never end", async () => {
    const clock = new VirtualClock();
    const again = () => clock.setTimer(again, 0);
    clock.setTimer(again, 5);
    await assertRejects(() => clock.advance(10), Error, "at most 250000 calls may run at one moment");
    assertEquals(clock.now(), 5);
  });

  test("refuses invalid times", async () => {
    const clock = new VirtualClock();
    for (const bad of [-1, NaN, Infinity]) {
      await assertRejects(() => clock.advance(bad), RangeError, `current value is ${bad}`);
    }
    for (const bad of [NaN, Infinity]) {
      assertThrows(() => clock.setTimer(() => {}, bad), RangeError, `current value is ${bad}`);
    }
  });

  test("runUntil stops at the first moment at which the condition holds", async () => {
    const clock = new VirtualClock();
    let calls = 0;
    const again = () => {
      calls++;
      clock.setTimer(again, 10);
    };
    clock.setTimer(again, 10);
    assertEquals(await clock.runUntil(() => calls === 3, 1000), 30);
    assertEquals(await clock.runUntil(() => calls === 3, 0), 0);
    await assertRejects(
      () => clock.runUntil(() => calls === 100, 50),
      Error,
      "must hold within 50 ms: current time is 80 ms, with 1 timers still to come",
    );
  });

  test("run settles as the promise does", async () => {
    const clock = new VirtualClock();
    const after = (ms: number) => new Promise<void>((resolve) => clock.setTimer(resolve, ms));
    assertEquals(await clock.run(after(50).then(() => "value"), 100), "value");
    assertEquals(clock.now(), 50);
    const failing = after(50).then(() => Promise.reject(new TypeError("failed")));
    await assertRejects(() => clock.run(failing, 100), TypeError, "failed");
    await assertRejects(() => clock.run(after(101), 100), Error, "must hold within 100 ms");
  });

  test("nextTurn waits for work that is ready, and holds time for it", async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const turns = (async () => {
      for (let i = 0; i < 20; i++) await clock.nextTurn();
      seen.push(clock.now());
    })();
    await clock.advance(10);
    assertEquals(seen, [0]);
    await turns;
  });
});
