// The pacer: how fast a node may send, and what raises and lowers that rate.
import { describe, test } from "node:test";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
  assertStrictEquals,
} from "@std/assert";
import * as fc from "fast-check";
import { Pacer } from "../../src/net/pacer.ts";

function makePacer({ min = 2000, max = 200_000 } = {}) {
  const time = { now: 5000, reads: 0 };
  const now = () => {
    time.reads++;
    return time.now;
  };
  const pacer = new Pacer({ min, max, clock: { now, setTimer: never, setTurnEnd: never } });
  /** Sends all that may leave now. Returns how many those were. */
  const drain = () => {
    let count = 0;
    for (; pacer.wait() === 0; count++) pacer.spend();
    return count;
  };
  return { pacer, time, drain };
}

function never(): never {
  throw new Error("Cannot set a timer as a pacer needs none");
}

describe("the bucket", () => {
  test("holds 2 ms of the rate, and no fewer than 16", () => {
    for (const [rate, depth] of [[1, 16], [2000, 16], [8000, 16], [20_000, 40], [200_000, 400]] as const) {
      const { pacer, drain } = makePacer({ min: rate, max: rate });
      assertEquals(pacer.rate, rate);
      assertEquals(drain(), depth, `${rate} a second`);
    }
  });

  test("tells when the next datagram may leave", () => {
    const { pacer, time, drain } = makePacer({ min: 4000, max: 4000 });
    drain();
    assertEquals(pacer.wait(), 0.25);
    time.now += 0.125;
    assertEquals(pacer.wait(), 0.125);
    time.now += 0.125;
    assertEquals(pacer.wait(), 0);
    pacer.spend();
    assertEquals(pacer.wait(), 0.25);
  });

  test("waits at least the resolution of the clock, so that waiting ends", () => {
    const { pacer, time, drain } = makePacer({ min: 3000, max: 3000 });
    drain();
    // So late that a nanosecond more is the same number.
    time.now = 1e9;
    drain();
    for (let sent = 0; sent < 100; sent++) {
      let waits = 0;
      for (let wait = pacer.wait(); wait > 0; wait = pacer.wait()) {
        assert(wait >= 0.001);
        time.now += wait;
        assertLessOrEqual(++waits, 2);
      }
      pacer.spend();
    }
  });

  test("lets no more than its depth leave after a pause, and none while time stands still", () => {
    const { time, drain } = makePacer({ min: 20_000, max: 20_000 });
    for (const pause of [3000, 2, 1e9]) {
      time.now += pause;
      assertEquals([drain(), drain()], [40, 0]);
    }
  });

  test("owes what left without waiting, up to its depth", () => {
    const { pacer, drain } = makePacer({ min: 20_000, max: 20_000 });
    drain();
    pacer.spend();
    assertEquals(pacer.wait(), 0.1);
    for (let count = 0; count < 1000; count++) pacer.spend();
    assertEquals(pacer.wait(), 2.05);
  });

  test("reads the clock once for a datagram", () => {
    const { pacer, time } = makePacer();
    time.reads = 0;
    pacer.wait();
    pacer.spend();
    assertEquals(time.reads, 1);
  });
});

describe("the rate", () => {
  test("begins at 30,000, or at the nearest allowed value", () => {
    const rates = [[2000, 200_000], [1, 100], [35_000, 40_000]].map(([min, max]) => makePacer({ min, max }).pacer.rate);
    assertEquals(rates, [30_000, 100, 35_000]);
  });

  test("rises by 1,000 for 10 ms in which it held the sender back, up to the highest", () => {
    const { pacer, time, drain } = makePacer({ max: 32_500 });
    const rates: number[] = [];
    for (let epoch = 0; epoch < 4; epoch++) {
      drain();
      time.now += 9.999;
      assertEquals([pacer.wait(), pacer.rate], [0, rates.at(-1) ?? 30_000]);
      time.now += 0.001;
      pacer.wait();
      rates.push(pacer.rate);
    }
    assertEquals(rates, [31_000, 32_000, 32_500, 32_500]);
  });

  test("rises by a twentieth when that is less: from 500 to 8,000 in 0.57 s", () => {
    const { pacer, time, drain } = makePacer({ min: 500 });
    while (pacer.rate > 500) {
      pacer.onLoss();
      time.now += 20;
    }
    let epochs = 0;
    for (; pacer.rate < 8000; epochs++) {
      drain();
      time.now += 10;
      pacer.wait();
    }
    assertEquals(epochs, 57);
  });

  test("stays when the sender was never held back, or sent nothing", () => {
    const { pacer, time } = makePacer();
    for (let count = 0; count < 100; count++) {
      assertEquals(pacer.wait(), 0);
      pacer.spend();
      time.now += 3;
    }
    time.now += 1000;
    pacer.wait();
    assertEquals(pacer.rate, 30_000);
  });

  test("rises once after a pause, however long", () => {
    const { pacer, time, drain } = makePacer();
    drain();
    time.now += 3000;
    for (let count = 0; count < 5; count++) pacer.wait();
    assertEquals(pacer.rate, 31_000);
    time.now += 3000;
    pacer.wait();
    assertEquals(pacer.rate, 31_000);
  });

  test("falls to 0.7 of it with a loss, once in 20 ms, down to the lowest", () => {
    const { pacer, time } = makePacer({ min: 14_000 });
    const rates: number[] = [];
    for (const pause of [0, 0, 19.999, 0.001, 20, 20]) {
      time.now += pause;
      pacer.onLoss();
      rates.push(Math.round(pacer.rate));
    }
    assertEquals(rates, [21_000, 21_000, 21_000, 14_700, 14_000, 14_000]);
  });

  test("falls to what has arrived at a higher one, unless that is within a tenth of it, and by no more than a loss takes from it", () => {
    const { pacer, time } = makePacer();
    const falls = [40_000, 27_100, 26_900, 24_300, 24_200, 1, 1].map((carried) => {
      const hasFallen = pacer.onLoss(carried);
      // Once in 20 ms, as with every loss.
      if (hasFallen) assert(!pacer.onLoss(1));
      time.now += 20;
      return [hasFallen, pacer.rate];
    });
    assertEquals(falls, [
      [false, 30_000],
      [false, 30_000],
      [true, 26_900],
      [false, 26_900],
      [true, 24_200],
      [true, 16_940],
      [true, 11_858],
    ]);
  });

  test("does not rise for as long as it took to detect a loss, at most 250 ms, whatever else is held or lost", () => {
    for (const [age, held] of [[3, 10], [60, 60], [Infinity, 250]] as const) {
      const { pacer, time, drain } = makePacer();
      pacer.hold(age);
      pacer.hold(1);
      pacer.onLoss();
      const { rate } = pacer;
      drain();
      time.now += held - 0.001;
      assert(pacer.wait() === 0);
      assertEquals(pacer.rate, rate);
      drain();
      // A pause that has begun with the end of that is over.
      time.now += 10;
      pacer.wait();
      assertGreater(pacer.rate, rate);
    }
  });

  test("does not rise within 10 ms of when it was held, and does not fall by that", () => {
    const { pacer, time, drain } = makePacer();
    for (let i = 0; i < 10; i++) {
      drain();
      time.now += 9;
      pacer.hold();
      assertEquals(pacer.rate, 30_000);
    }
    drain();
    time.now += 10;
    pacer.wait();
    assertEquals(pacer.rate, 31_000);
  });

  test("reports whether it has fallen, and when less than half of it is not allowed", () => {
    const { pacer, time } = makePacer({ min: 10_000 });
    assertEquals([pacer.isSlow, pacer.onLoss(), pacer.rate, pacer.isSlow], [false, true, 21_000, false]);
    assertEquals(pacer.onLoss(), false);
    const fallen: boolean[] = [];
    for (let i = 0; i < 4; i++) {
      time.now += 20;
      fallen.push(pacer.onLoss());
    }
    assertEquals([fallen, pacer.rate, pacer.isSlow], [[true, true, true, false], 10_000, true]);
  });

  test("does not rise within 10 ms of a loss, even one that does not make it fall", () => {
    const { pacer, time, drain } = makePacer();
    pacer.onLoss();
    const slow = pacer.rate;
    // A loss every 9 ms, two of three too soon to count.
    for (const _ of [1, 2]) {
      drain();
      time.now += 9;
      pacer.onLoss();
    }
    assertEquals(pacer.rate, slow);
    time.now += 9;
    drain();
    assertEquals(pacer.rate, slow);
    time.now += 1;
    pacer.wait();
    assertEquals(pacer.rate, slow + 1000);
  });

  test("does not rise for time that held the sender back before a loss", () => {
    const { pacer, time, drain } = makePacer();
    drain();
    time.now += 5;
    pacer.onLoss();
    const slow = pacer.rate;
    time.now += 20;
    pacer.wait();
    assertEquals(pacer.rate, slow);
  });

  test("falls and recovers within documented times", () => {
    const { pacer, time } = makePacer();
    const sendFor = (ms: number) => {
      let sent = 0;
      for (const end = time.now + ms; time.now < end;) {
        const wait = pacer.wait();
        if (wait > 0) time.now += wait;
        else {
          pacer.spend();
          sent++;
        }
      }
      return sent;
    };
    // 30,000 a second, and 1,000 more every 10 ms: 3,000 and 450 in 100 ms.
    assertAlmostEquals(sendFor(100), 3450, 100);
    for (let loss = 0; loss < 20; loss++) {
      pacer.onLoss();
      time.now += 20;
    }
    assertEquals(pacer.rate, 2000);
    assertAlmostEquals(sendFor(9), 18 + 16, 2);
    // 228 epochs from there to 200,000.
    sendFor(2360);
    assertEquals(pacer.rate, 200_000);
    assertAlmostEquals(sendFor(100), 20_000, 20);
  });
});

/** A model: the same rules over the whole past, computed anew each time. */
function rateOf(
  log: readonly { readonly at: number; readonly what: "free" | "held" | "loss" }[],
  min: number,
  max: number,
) {
  const within = (rate: number) => Math.min(max, Math.max(min, rate));
  let rate = within(30_000);
  let epoch = { at: 5000, held: 0 };
  let fellAt = -Infinity;
  for (const { at, what } of log) {
    if (at - epoch.at >= 10) {
      if (epoch.held > 0) rate = within(rate + Math.min(1000, rate * 0.05));
      epoch = { at, held: 0 };
    }
    if (what === "held") epoch.held++;
    if (what !== "loss") continue;
    epoch = { at, held: 0 };
    if (at - fellAt < 20) continue;
    rate = within(rate * 0.7);
    fellAt = at;
  }
  return rate;
}

describe("whatever is sent and lost, and however time passes", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("send" as const), count: fc.integer({ min: 1, max: 60 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("pass" as const),
        ms: fc.oneof(fc.constantFrom(0, 1, 9.999, 10, 20, 3000), fc.double({ min: 0, max: 15, noNaN: true })),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("lose" as const) }) },
  );
  const bounds = fc.oneof(
    fc.constantFrom([2000, 200_000], [1, 1_000_000], [1, 1], [1_000_000, 1_000_000]),
    fc.tuple(fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: 0, max: 30_000 })).map(([min, more]) => [
      min,
      min + more,
    ]),
  );

  test("the rate follows the rules, and no stretch of time has more datagrams than it allows", () => {
    fc.assert(fc.property(bounds, fc.array(step, { maxLength: 80, size: "max" }), ([min = 1, max = 1], steps) => {
      const { pacer, time } = makePacer({ min, max });
      const log: { at: number; what: "free" | "held" | "loss" }[] = [];
      const sent: number[] = [];
      let fastest = pacer.rate;
      for (const step of steps) {
        if (step.do === "pass") time.now += step.ms;
        else if (step.do === "lose") {
          pacer.onLoss();
          log.push({ at: time.now, what: "loss" });
        } else {
          for (let count = 0; count < step.count; count++) {
            const wait = pacer.wait();
            log.push({ at: time.now, what: wait > 0 ? "held" : "free" });
            if (wait > 0) time.now += Math.min(wait, 5);
            else {
              pacer.spend();
              sent.push(time.now);
            }
          }
        }
        assertStrictEquals(pacer.rate, rateOf(log, min, max));
        assert(pacer.rate >= min && pacer.rate <= max);
        fastest = Math.max(fastest, pacer.rate);
      }
      const depth = Math.max(16, fastest / 500);
      // From each datagram on: how many there were, less how many the time allows, is never above the depth.
      let least = Infinity;
      sent.forEach((at, index) => {
        const spare = index - ((at - 5000) * fastest) / 1000;
        least = Math.min(least, spare);
        assertLessOrEqual(spare - least + 1, depth + 0.001);
      });
    }));
  });

  test("a datagram may leave after the returned wait", () => {
    fc.assert(fc.property(bounds, fc.double({ min: 0, max: 1e9, noNaN: true }), ([min = 1, max = 1], start) => {
      const { pacer, time, drain } = makePacer({ min, max });
      time.now += start;
      drain();
      const wait = pacer.wait();
      assertGreater(wait, 0);
      assertLessOrEqual(wait, 1000 / min + 0.001);
      time.now += wait;
      // The time itself is rounded.
      assertLessOrEqual(pacer.wait(), 0.001);
    }));
  });
});
