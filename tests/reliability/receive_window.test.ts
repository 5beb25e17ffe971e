// The receive window: which numbers of a stream have arrived, against a model that keeps a set of them.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { type Hole, type HoleCount, ReceiveWindow } from "../../src/reliability/receive_window.ts";
import { MAX_NUMBER } from "../../src/wire/layout.ts";

function shown({ holes }: ReceiveWindow): [number, number][] {
  return holes.map(({ from, to }) => [from, to]);
}

function state({ highest, missing, settled }: ReceiveWindow): [highest: number, missing: number, settled: number] {
  return [highest, missing, settled];
}

/** A window to which these numbers have come. */
function windowOf(...numbers: number[]): ReceiveWindow {
  const window = new ReceiveWindow();
  for (const number of numbers) window.accept(number, 0, 0);
  return window;
}

describe("a window", () => {
  test("is empty at first", () => {
    const window = new ReceiveWindow();
    assertEquals([state(window), shown(window)], [[0, 0, 0], []]);
  });

  test("takes numbers in order, and each once", () => {
    const window = new ReceiveWindow();
    assertEquals([1, 2, 3].map((number) => window.accept(number, 0, 0)), ["new", "new", "new"]);
    assertEquals([3, 1, 2].map((number) => window.accept(number, 0, 0)), ["duplicate", "duplicate", "duplicate"]);
    assertEquals([state(window), shown(window)], [[3, 0, 3], []]);
  });

  test("has a hole below a number that comes early, and for each position that is ahead", () => {
    const window = windowOf(1, 5);
    assertEquals([state(window), shown(window)], [[5, 3, 1], [[2, 4]]]);
    for (const last of [5, 3, 0]) window.extend(last, 0, 0);
    assertEquals([state(window), shown(window)], [[5, 3, 1], [[2, 4]]]);
    window.extend(7, 0, 0);
    assertEquals([window.missing, shown(window)], [5, [[2, 4], [6, 7]]]);
    assertEquals([window.accept(9, 0, 0), shown(window), window.missing], ["new", [[2, 4], [6, 7], [8, 8]], 6]);
  });

  test("closes a hole from below, from above, in the middle, and as a whole", () => {
    const window = windowOf(10);
    const steps: [number, [number, number][]][] = [
      [1, [[2, 9]]],
      [9, [[2, 8]]],
      [5, [[2, 4], [6, 8]]],
      [3, [[2, 2], [4, 4], [6, 8]]],
      [2, [[4, 4], [6, 8]]],
      [4, [[6, 8]]],
      [7, [[6, 6], [8, 8]]],
    ];
    for (const [number, holes] of steps) {
      assertEquals([window.accept(number, 0, 0), shown(window)], ["recovered", holes]);
      assertEquals(window.accept(number, 0, 0), "duplicate");
    }
    assertEquals(state(window), [10, 2, 5]);
  });

  test("has a hole requested when it is due, and keeps that when the hole gets smaller or is split", () => {
    const window = new ReceiveWindow();
    window.accept(10, 5, 7);
    const [hole] = window.holes as [Hole];
    assertEquals(hole, { from: 1, to: 9, foundAt: 5, due: 7, attempts: 0, nakSentAt: 0, lastNakSentAt: 0 });
    Object.assign(hole, { due: 50, attempts: 2, nakSentAt: 30, lastNakSentAt: 36 });
    window.accept(5, 99, 99);
    assertEquals(window.holes, [
      { from: 1, to: 4, foundAt: 5, due: 50, attempts: 2, nakSentAt: 30, lastNakSentAt: 36 },
      { from: 6, to: 9, foundAt: 5, due: 50, attempts: 2, nakSentAt: 30, lastNakSentAt: 36 },
    ]);
    window.extend(12, 60, 80);
    assertEquals(window.holes[2], {
      from: 11,
      to: 12,
      foundAt: 60,
      due: 80,
      attempts: 0,
      nakSentAt: 0,
      lastNakSentAt: 0,
    });
    window.accept(11, 99, 99);
    assertEquals(window.foundAt, 60);
    window.accept(2, 99, 99);
    assertEquals(window.foundAt, 5);
  });

  test("splits a hole so that the first part has so many numbers", () => {
    const window = windowOf(2, 11, 14);
    const [one, nine] = window.holes as [Hole, Hole];
    window.split(one, 1);
    window.split(nine, 8);
    window.split(nine, 9);
    assertEquals(shown(window), [[1, 1], [3, 10], [12, 13]]);
    nine.attempts = 3;
    window.split(nine, 7);
    assertEquals([shown(window), window.holes[2]?.attempts], [[[1, 1], [3, 9], [10, 10], [12, 13]], 3]);
    window.split(nine, 1);
    assertEquals([shown(window), window.missing], [[[1, 1], [3, 3], [4, 9], [10, 10], [12, 13]], 11]);
  });

  test("starts anywhere: what is missing below is given up, and reported once", () => {
    const window = windowOf(3, 7, 10);
    assertEquals(window.startAt(1), undefined);
    assertEquals([window.startAt(6), shown(window)], [{ from: 1, to: 5, count: 4 }, [[6, 6], [8, 9]]]);
    assertEquals([window.startAt(6), window.startAt(2), window.accept(4, 0, 0)], [undefined, undefined, "duplicate"]);
    assertEquals([window.startAt(9), shown(window)], [{ from: 6, to: 8, count: 2 }, [[9, 9]]]);
    assertEquals([window.startAt(20), state(window)], [{ from: 9, to: 9, count: 1 }, [19, 0, 19]]);
    assertEquals([window.accept(19, 0, 0), window.accept(20, 0, 0)], ["duplicate", "new"]);
  });

  test("starts beyond all that is known without a gap when nothing is missing", () => {
    const window = windowOf(1, 2);
    assertEquals([window.startAt(100), state(window)], [undefined, [99, 0, 99]]);
  });

  test("ends at the answered position: what is missing above it is forgotten, and what comes there is new", () => {
    const window = windowOf(3, 7, 10);
    window.endAt(10);
    window.endAt(11);
    assertEquals(state(window), [10, 7, 0]);
    window.endAt(8);
    assertEquals([state(window), shown(window)], [[8, 6, 0], [[1, 2], [4, 6], [8, 8]]]);
    window.endAt(4);
    assertEquals([state(window), shown(window)], [[4, 3, 0], [[1, 2], [4, 4]]]);
    assertEquals([window.accept(5, 0, 0), window.accept(10, 0, 0)], ["new", "new"]);
    window.endAt(0);
    assertEquals([state(window), shown(window)], [[0, 0, 0], []]);
  });

  test("ends and returns what was settled by mistake: what came meanwhile was taken for copies", () => {
    const window = windowOf(1, 2);
    window.startAt(1000);
    assertEquals([window.accept(3, 0, 0), window.accept(500, 0, 0)], ["duplicate", "duplicate"]);
    assertEquals([window.endAt(10), window.endAt(10), window.endAt(5)], [{ from: 3, to: 10 }, undefined, undefined]);
    const started = windowOf(1, 2);
    started.startAt(7);
    started.accept(9, 0, 0);
    assertEquals([started.endAt(8), state(started)], [undefined, [8, 2, 6]]);
    assertEquals([started.endAt(2), state(started)], [undefined, [2, 0, 2]]);
  });

  test("handles a jump to the highest number, and the way back", () => {
    const window = windowOf(1);
    assertEquals(window.accept(MAX_NUMBER, 0, 0), "new");
    assertEquals([state(window), shown(window)], [[MAX_NUMBER, MAX_NUMBER - 2, 1], [[2, MAX_NUMBER - 1]]]);
    assertEquals([window.accept(2 ** 47, 0, 0), window.missing], ["recovered", MAX_NUMBER - 3]);
    assertEquals(shown(window), [[2, 2 ** 47 - 1], [2 ** 47 + 1, MAX_NUMBER - 1]]);
    window.endAt(5);
    assertEquals([state(window), shown(window)], [[5, 4, 1], [[2, 5]]]);
    window.extend(MAX_NUMBER, 0, 0);
    assertEquals(window.startAt(MAX_NUMBER), { from: 2, to: MAX_NUMBER - 1, count: MAX_NUMBER - 2 });
    assertEquals([state(window), shown(window)], [[MAX_NUMBER, 1, MAX_NUMBER - 1], [[MAX_NUMBER, MAX_NUMBER]]]);
  });
});

describe("a window with too many holes", () => {
  /** Every second number arrives, so that each other one is a hole of its own. */
  function sieve(holes: number): ReceiveWindow {
    const window = new ReceiveWindow();
    window.trust(true);
    for (let i = 1; i <= holes; i++) window.accept(2 * i, i, i);
    return window;
  }

  test("keeps 512 apart before its node is validated", () => {
    const window = new ReceiveWindow();
    for (let i = 1; i <= 512; i++) window.accept(2 * i, 0, 0);
    assertEquals([window.holes.length, window.missing], [512, 512]);
    window.accept(1026, 0, 0);
    assertEquals([window.holes.length, shown(window)[511]], [512, [1023, 1025]]);
    window.trust(true);
    for (let i = 514; i <= 520; i++) window.accept(2 * i, 0, 0);
    assertEquals(window.holes.length, 519);
  });

  test("keeps 2,048 apart, and merges the last two beyond that", () => {
    const window = sieve(2048);
    assertEquals([window.holes.length, window.missing], [2048, 2048]);
    window.accept(4098, 0, 0);
    // 4096 lies between the last two: it counts as missing once more.
    assertEquals([window.holes.length, window.missing, shown(window)[2047]], [2048, 2050, [4095, 4097]]);
    assertEquals([window.accept(1, 0, 0), window.holes.length], ["recovered", 2047]);
    // Now there is room for one more.
    assertEquals([window.accept(4096, 0, 0), window.holes.length], ["recovered", 2048]);
    assertEquals(window.accept(4096, 0, 0), "duplicate");
  });

  test("requests merged holes as the one that was requested less often", () => {
    const window = sieve(2048);
    Object.assign(window.holes[2047] as Hole, { attempts: 2, nakSentAt: 10, lastNakSentAt: 20, due: 9_000 });
    window.accept(4098, 5_000, 5_005);
    assertEquals(window.holes[2047], {
      from: 4095,
      to: 4097,
      foundAt: 2048,
      attempts: 0,
      nakSentAt: 0,
      lastNakSentAt: 0,
      due: 5_005,
    });
    window.accept(4100, 6_000, 6_005);
    assertEquals(window.holes[2047], {
      from: 4095,
      to: 4099,
      foundAt: 2048,
      attempts: 0,
      nakSentAt: 0,
      lastNakSentAt: 0,
      due: 5_005,
    });
  });

  test("keeps the limit, however holes are made", () => {
    const window = sieve(2048);
    window.extend(4200, 0, 0);
    assertEquals(window.holes.length, 2048);
    window.accept(4150, 0, 0);
    assertEquals(window.holes.length, 2048);
    for (const hole of [...window.holes]) window.split(hole, 1);
    assertLessOrEqual(window.holes.length, 2 * 2048);
  });

  test("is filled from below at once, however many there are", () => {
    const window = sieve(4096);
    let count = 0;
    while (window.holes[0] !== undefined) {
      // In the middle of the first hole whenever it has one.
      const { from, to } = window.holes[0];
      window.accept((from + to) >> 1, 0, 0);
      count++;
    }
    assertEquals([count, window.missing, window.settled], [4096 + 2048, 0, 8192]);
  });

  test("takes 200,000 of them in bounded memory", () => {
    const window = new ReceiveWindow();
    window.trust(true);
    for (let i = 1; i <= 200_000; i++) window.accept(2 * i, 0, 0);
    assertEquals([window.holes.length, window.highest], [2048, 400_000]);
    assertEquals(window.missing, window.holes.reduce((sum, { from, to }) => sum + to - from + 1, 0));
  });

  test("shares the room of all: beyond 32,768 each has 64, until others have less", () => {
    const shared = { trusted: 0, untrusted: 0, requested: 0, recovered: 0 };
    const windows = crowd(20, shared);
    for (const window of windows) window.trust(true);
    for (const window of windows) fill(window);
    assertEquals(windows.slice(0, 16).map(({ holes }) => holes.length), Array(16).fill(2048));
    assertEquals(windows.slice(16).map(({ holes }) => holes.length), Array(4).fill(64));
    assertEquals(shared, { trusted: 16 * 2048 + 4 * 64, untrusted: 0, requested: 0, recovered: 0 });
    const [first, last] = [windows[0], windows[19]] as [ReceiveWindow, ReceiveWindow];
    first.startAt(6001);
    for (let i = 3001; i <= 3010; i++) last.accept(2 * i, 0, 0);
    assertEquals([last.holes.length, shared.trusted], [74, 15 * 2048 + 4 * 64 + 10]);
    for (const window of windows) window.endAt(0);
    assertEquals(shared.trusted, 0);
  });

  test("shares less, and separately, with nodes that are not validated", () => {
    const shared = { trusted: 0, untrusted: 0, requested: 0, recovered: 0 };
    const windows = crowd(100, shared);
    for (const window of windows) fill(window);
    assertEquals(windows.map(({ holes }) => holes.length), [...Array(16).fill(512), ...Array(84).fill(64)]);
    assertEquals(shared, { trusted: 0, untrusted: 16 * 512 + 84 * 64, requested: 0, recovered: 0 });
    windows[0]?.trust(true);
    assertEquals(shared, { trusted: 512, untrusted: 15 * 512 + 84 * 64, requested: 0, recovered: 0 });
    const other = new ReceiveWindow(shared);
    other.trust(true);
    fill(other);
    assertEquals(other.holes.length, 2048);
  });

  function crowd(size: number, shared: HoleCount): ReceiveWindow[] {
    return Array.from({ length: size }, () => new ReceiveWindow(shared));
  }

  function fill(window: ReceiveWindow): void {
    for (let i = 1; i <= 3000; i++) window.accept(2 * i, 0, 0);
  }
});

type Step =
  | { readonly do: "accept" | "extend" | "startAt" | "endAt"; readonly number: number }
  | { readonly do: "split"; readonly which: number; readonly count: number };

/** A model of a window: all numbers that exist, and all that are settled, in sets. */
class Model {
  highest = 0;
  settled = new Set<number>();

  get missing(): number[] {
    return Array.from({ length: this.highest }, (_, i) => i + 1).filter((number) => !this.settled.has(number));
  }

  accept(number: number): "new" | "recovered" | "duplicate" {
    const isNew = number > this.highest;
    const isKnown = this.settled.has(number);
    this.highest = Math.max(this.highest, number);
    this.settled.add(number);
    return isNew ? "new" : isKnown ? "duplicate" : "recovered";
  }

  extend(last: number): void {
    this.highest = Math.max(this.highest, last);
  }

  startAt(first: number) {
    const below = this.missing.filter((number) => number < first);
    for (let number = 1; number < first; number++) this.settled.add(number);
    this.highest = Math.max(this.highest, first - 1);
    const [from] = below;
    return from === undefined ? undefined : { from, to: below.at(-1), count: below.length };
  }

  endAt(last: number): void {
    this.highest = Math.min(this.highest, last);
    this.settled = new Set([...this.settled].filter((number) => number <= last));
  }
}

function check(window: ReceiveWindow, model: Model): void {
  const { missing } = model;
  const numbers = window.holes.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
  assertEquals(numbers, missing);
  assertEquals(state(window), [model.highest, missing.length, (missing[0] ?? model.highest + 1) - 1]);
  assert(window.holes.every(({ from, to }) => from <= to));
}

test("whatever comes, a window agrees with a set of numbers", () => {
  const number = fc.integer({ min: 1, max: 40 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: number.map((number) => ({ do: "accept" as const, number })) },
    { weight: 2, arbitrary: fc.nat(40).map((number) => ({ do: "extend" as const, number })) },
    { weight: 1, arbitrary: number.map((number) => ({ do: "startAt" as const, number })) },
    { weight: 1, arbitrary: fc.nat(40).map((number) => ({ do: "endAt" as const, number })) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("split" as const),
        which: fc.nat(9),
        count: fc.integer({ min: 1, max: 9 }),
      }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const shared = { trusted: 0, untrusted: 0, requested: 0, recovered: 0 };
      const window = new ReceiveWindow(shared);
      window.trust(true);
      const model = new Model();
      steps.forEach((step, time) => {
        if (step.do === "split") {
          const hole = window.holes[step.which];
          if (hole !== undefined) {
            window.split(hole, step.count);
            assertLessOrEqual(hole.to - hole.from + 1, step.count);
          }
        } else if (step.do === "accept") {
          const holesBefore = window.holes.length;
          assertEquals(window.accept(step.number, time, time), model.accept(step.number));
          assertLessOrEqual(window.holes.length, holesBefore + 1);
        } else if (step.do === "extend") {
          window.extend(step.number, time, time);
          model.extend(step.number);
        } else if (step.do === "startAt") {
          assertEquals(window.startAt(step.number), model.startAt(step.number));
        } else {
          window.endAt(step.number);
          model.endAt(step.number);
        }
        check(window, model);
        assertEquals(shared, { trusted: window.holes.length, untrusted: 0, requested: 0, recovered: 0 });
      });
    }),
    { numRuns: 500 },
  );
});

test("numbers of any size are handled as small ones are", () => {
  const far = fc.constantFrom(0, 2 ** 31 - 20, 2 ** 32 - 20, 2 ** 47, MAX_NUMBER - 60);
  const steps = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 30, size: "max" });
  fc.assert(fc.property(far, steps, (far, numbers) => {
    const [near, window] = [new ReceiveWindow(), new ReceiveWindow()];
    for (const each of [near, window]) each.trust(true);
    window.startAt(far + 1);
    for (const number of numbers) {
      assertEquals(window.accept(far + number, 0, 0), near.accept(number, 0, 0));
      assertEquals(shown(window), shown(near).map(([from, to]) => [far + from, far + to]));
      assertEquals([window.missing, window.settled - far], [near.missing, near.settled]);
    }
  }));
});
