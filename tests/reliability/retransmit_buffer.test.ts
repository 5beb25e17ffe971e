// What is kept of what was sent: numbers, bytes, ages, and how much of it.
import { describe, test } from "node:test";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import * as fc from "fast-check";
import { RetransmitBuffer } from "../../src/reliability/retransmit_buffer.ts";

function makeRing({ maxBytes = 65_536, maxAge = 1000 } = {}) {
  const time = { now: 5000 };
  const clock = { now: () => time.now, setTimer: never, setTurnEnd: never };
  return { ring: new RetransmitBuffer({ maxBytes, maxAge, clock }), time };
}

function never(): never {
  throw new Error("Cannot set a timer as a ring needs none");
}

/** A datagram that shows which one it is in every byte. */
function datagram(number: number, length = 100): Uint8Array {
  return new Uint8Array(length).fill(number % 251);
}

describe("a ring that nothing was given to", () => {
  test("holds nothing", () => {
    const { ring } = makeRing();
    assertEquals([ring.last, ring.oldest, ring.bytes, ring.age, ring.allocated], [0, 1, 0, Infinity, 0]);
    assertEquals([ring.get(0), ring.get(1), ring.get(2 ** 48)], [undefined, undefined, undefined]);
    assertEquals([ring.firstSince(0), ring.firstSince(Infinity)], [1, 1]);
    assertEquals([ring.ageOf(0), ring.ageOf(1)], [Infinity, 0]);
  });
});

describe("what was appended", () => {
  test("is numbered from 1 and given back", () => {
    const { ring } = makeRing();
    const lengths = [100, 1400, 1, 0, 1399];
    assertEquals(lengths.map((length, i) => ring.append(datagram(i + 1, length))), [1, 2, 3, 4, 5]);
    assertEquals([ring.last, ring.oldest, ring.bytes], [5, 1, 2900]);
    lengths.forEach((length, i) => assertEquals(ring.get(i + 1), datagram(i + 1, length)));
    assertEquals([ring.get(0), ring.get(6), ring.get(2 ** 48 - 1)], [undefined, undefined, undefined]);
  });

  test("is a copy", () => {
    const { ring } = makeRing();
    const bytes = datagram(1);
    ring.append(bytes);
    bytes.fill(9);
    assertEquals(ring.get(1), datagram(1));
  });

  test("is refused when it has more than 1,400 bytes, and takes no number", () => {
    const { ring } = makeRing();
    assertThrows(
      () => ring.append(new Uint8Array(1401)),
      RangeError,
      "Cannot keep a datagram as it must have at most 1400 bytes: current value is 1401",
    );
    assertEquals([ring.last, ring.bytes], [0, 0]);
  });
});

describe("age", () => {
  test("is counted from when each was given", () => {
    const { ring, time } = makeRing();
    ring.append(datagram(1));
    time.now += 10;
    ring.append(datagram(2));
    time.now += 5;
    assertEquals([ring.age, ring.ageOf(2), ring.ageOf(1), ring.ageOf(0), ring.ageOf(3)], [5, 5, 15, Infinity, 0]);
  });

  test("ends each datagram by itself, when it is above the limit", () => {
    const { ring, time } = makeRing({ maxAge: 1000 });
    ring.append(datagram(1));
    time.now += 600;
    ring.append(datagram(2));
    time.now += 400;
    assertEquals([ring.oldest, ring.bytes], [1, 200]);
    time.now += 0.001;
    assertEquals([ring.oldest, ring.bytes, ring.get(1)], [2, 100, undefined]);
    time.now += 600;
    assertEquals([ring.get(2), ring.oldest, ring.last, ring.bytes], [undefined, 3, 2, 0]);
    assertEquals(ring.append(datagram(3)), 3);
    assertEquals([ring.get(3), ring.oldest], [datagram(3), 3]);
  });

  test("is asked for by every look at the ring, not by `oldest` alone", () => {
    const looks: ((ring: RetransmitBuffer) => unknown)[] = [
      (ring) => ring.get(1),
      (ring) => ring.bytes || undefined,
      (ring) => ring.firstSince(Infinity) === 2 ? undefined : "held",
    ];
    for (const look of looks) {
      const { ring, time } = makeRing();
      ring.append(datagram(1));
      time.now += 1001;
      assertEquals(look(ring), undefined);
    }
  });

  test("of what is held no more is that of the newest such", () => {
    const { ring, time } = makeRing({ maxAge: 1000 });
    for (const pause of [0, 10, 10]) {
      time.now += pause;
      ring.append(datagram(1));
    }
    time.now += 985;
    assertEquals(ring.oldest, 2);
    assertEquals([1, 2, 3].map((number) => ring.ageOf(number)), [1005, 995, 985]);
    time.now += 10;
    assertEquals(ring.oldest, 3);
    assertEquals([0, 1, 2, 3].map((number) => ring.ageOf(number)), [Infinity, 1005, 1005, 995]);
    time.now += 1_000_000;
    assertEquals([ring.oldest, ring.ageOf(3), ring.age], [4, 1_000_995, 1_000_995]);
  });
});

describe("firstSince", () => {
  test("finds the lowest held number that is no older", () => {
    const { ring, time } = makeRing();
    for (const pause of [0, 10, 0, 10]) {
      time.now += pause;
      ring.append(datagram(1));
    }
    time.now += 1;
    // Ages: 21, 11, 11, 1.
    const expected = [[0, 5], [0.9, 5], [1, 4], [10.9, 4], [11, 2], [20.9, 2], [21, 1], [Infinity, 1], [-1, 5]];
    for (const [since = 0, number] of expected) assertEquals(ring.firstSince(since), number, `since ${since}`);
  });

  test("never goes below `oldest`, however far it looks back", () => {
    const { ring, time } = makeRing({ maxAge: 100 });
    ring.append(datagram(1));
    time.now += 60;
    ring.append(datagram(2));
    time.now += 60;
    assertEquals([ring.firstSince(500), ring.oldest], [2, 2]);
  });

  test("finds numbers in any segment", () => {
    const { ring, time } = makeRing({ maxAge: 1e6 });
    for (let number = 1; number <= 40; number++) {
      time.now++;
      ring.append(datagram(number, 1400));
    }
    assertEquals(ring.oldest, 1);
    for (let number = 1; number <= 40; number++) assertEquals(ring.firstSince(40 - number), number);
  });
});

describe("a skipped number", () => {
  test("is never held, nor is anything below it", () => {
    const { ring, time } = makeRing();
    ring.append(datagram(1));
    ring.append(datagram(2));
    time.now += 7;
    assertEquals(ring.skip(), 3);
    assertEquals([ring.last, ring.oldest, ring.bytes, ring.age], [3, 4, 0, 0]);
    assertEquals([1, 2, 3].map((number) => ring.get(number)), [undefined, undefined, undefined]);
    time.now += 1;
    assertEquals([1, 2, 3].map((number) => ring.ageOf(number)), [1, 1, 1]);
    assertEquals([ring.append(datagram(4)), ring.oldest, ring.get(4)], [4, 4, datagram(4)]);
    assertEquals(ring.firstSince(Infinity), 4);
  });

  test("can be the first", () => {
    const { ring } = makeRing();
    assertEquals([ring.skip(), ring.skip(), ring.append(datagram(3))], [1, 2, 3]);
    assertEquals([ring.oldest, ring.get(3)], [3, datagram(3)]);
  });
});

describe("a full ring", () => {
  test("drops the oldest, keeps most, and stays within its bytes", () => {
    for (const maxBytes of [65_536, 100_000, 300_000, 1_000_000]) {
      for (const length of [18, 90, 1400]) {
        const { ring } = makeRing({ maxBytes });
        const count = Math.ceil((3 * maxBytes) / (length + 16));
        for (let number = 1; number <= count; number++) {
          ring.append(datagram(number, length));
          assertLessOrEqual(ring.bytes, maxBytes);
          assertLessOrEqual(ring.allocated, maxBytes);
        }
        const held = count - ring.oldest + 1;
        assertEquals(ring.bytes, held * length);
        // A quarter is dropped at once, a fifth may be what does not fill a segment of its own, or a datagram.
        assertGreaterOrEqual(held * (length + 16), maxBytes * 0.55, `${maxBytes} bytes in datagrams of ${length}`);
        for (let number = ring.oldest; number <= count; number++) {
          assertEquals(ring.get(number), datagram(number, length));
        }
        assertEquals(ring.get(ring.oldest - 1), undefined);
      }
    }
  });

  test("holds the datagram just given, however small it is", () => {
    const { ring } = makeRing({ maxBytes: 0 });
    for (let number = 1; number <= 5; number++) {
      ring.append(datagram(number, 1400));
      assertEquals([ring.oldest, ring.get(number)], [number, datagram(number, 1400)]);
      assertEquals(ring.allocated, 1416);
    }
  });

  test("writes into the memory that it has", () => {
    const { ring } = makeRing();
    const buffers = new Set<ArrayBufferLike | undefined>();
    for (let number = 1; number <= 10_000; number++) buffers.add(ring.get(ring.append(datagram(number, 500)))?.buffer);
    assertEquals(buffers.size, 4);
  });
});

describe("memory", () => {
  test("grows with what is held, and is given up but for one segment when that grows old", () => {
    const { ring, time } = makeRing({ maxBytes: 16 * 65_536, maxAge: 1000 });
    assertEquals(ring.allocated, 0);
    ring.append(datagram(1, 1400));
    assertEquals(ring.allocated, 65_536);
    while (ring.oldest === 1) ring.append(datagram(1, 1400));
    assertEquals(ring.allocated, 16 * 65_536);
    time.now += 1001;
    assertEquals([ring.oldest, ring.allocated], [ring.last + 1, 65_536]);
    ring.append(datagram(1, 1400));
    assertEquals([ring.bytes, ring.allocated], [1400, 65_536]);
  });

  test("is reused by a slow stream that age alone bounds", () => {
    const { ring, time } = makeRing({ maxAge: 1000 });
    const buffers = new Set<ArrayBufferLike | undefined>();
    for (let number = 1; number <= 1000; number++) {
      time.now += 100;
      buffers.add(ring.get(ring.append(datagram(number, 1400)))?.buffer);
      assertLessOrEqual(ring.bytes, 11 * 1400);
    }
    assertLessOrEqual(buffers.size, 3);
  });
});

/** Datagrams in piles, as they lie in segments: the naive one. */
class Model {
  last = 0;
  oldest = 1;
  droppedAt = -Infinity;
  lastAt = -Infinity;
  #piles: { number: number; bytes: Uint8Array; time: number }[][] = [];
  readonly #pileBytes: number;
  readonly #limit: number;
  readonly #maxAge: number;

  constructor(maxBytes: number, maxAge: number) {
    this.#pileBytes = Math.max(1416, Math.min(65_536, Math.floor(maxBytes / 32) * 8));
    this.#limit = Math.max(1, Math.floor(maxBytes / this.#pileBytes));
    this.#maxAge = maxAge;
  }

  held(now: number) {
    while (this.#piles.length > 0 && this.#piles[0]?.every(({ time }) => now - time > this.#maxAge)) this.#dropPile();
    const held = this.#piles.flat().filter(({ time }) => now - time <= this.#maxAge);
    const gone = this.#piles.flat().filter(({ time }) => now - time > this.#maxAge).at(-1);
    if (gone !== undefined) this.droppedAt = gone.time;
    this.oldest = held[0]?.number ?? this.last + 1;
    return held;
  }

  append(bytes: Uint8Array, now: number): void {
    this.held(now);
    const pile = this.#piles.at(-1);
    const taken = pile?.reduce((sum, item) => sum + item.bytes.length + 16, 0) ?? Infinity;
    const item = { number: ++this.last, bytes, time: now };
    this.lastAt = now;
    if (taken + bytes.length + 16 <= this.#pileBytes) {
      pile?.push(item);
      return;
    }
    if (this.#piles.length === this.#limit) this.#dropPile();
    this.#piles.push([item]);
  }

  skip(now: number): void {
    this.#piles = [];
    this.last++;
    this.lastAt = this.droppedAt = now;
  }

  #dropPile(): void {
    this.droppedAt = this.#piles.shift()?.at(-1)?.time ?? this.droppedAt;
  }
}

describe("whatever is given and asked", () => {
  const step = fc.oneof(
    { weight: 12, arbitrary: fc.record({ do: fc.constant("append" as const), length: fc.nat(1400) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("append" as const), length: fc.constantFrom(0, 1, 1400) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("wait" as const),
        ms: fc.oneof(fc.nat(50), fc.constantFrom(100, 101, 1000), fc.double({ min: 0, max: 120, noNaN: true })),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("skip" as const) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("look" as const), since: fc.nat(150), at: fc.nat(200) }) },
  );
  const maxBytes = fc.oneof(fc.nat(20_000), fc.constantFrom(65_536, 1416, 2832, 5664));
  const steps = fc.array(step, { maxLength: 150, size: "max" });

  test("the ring is as the naive one", () => {
    fc.assert(fc.property(maxBytes, fc.constantFrom(0, 100, 1e6), steps, (maxBytes, maxAge, steps) => {
      const { ring, time } = makeRing({ maxBytes, maxAge });
      const model = new Model(maxBytes, maxAge);
      for (const step of steps) {
        if (step.do === "append") {
          const bytes = datagram(model.last + 1, step.length);
          model.append(bytes, time.now);
          assertStrictEquals(ring.append(bytes), model.last);
        } else if (step.do === "skip") {
          model.skip(time.now);
          assertStrictEquals(ring.skip(), model.last);
        } else if (step.do === "wait") {
          time.now += step.ms;
        } else {
          const held = model.held(time.now);
          const item = held.find(({ number }) => number === step.at);
          assertEquals(ring.get(step.at), item?.bytes);
          const age = step.at === 0 ? Infinity : time.now - (item?.time ?? model.droppedAt);
          assertStrictEquals(ring.ageOf(step.at), step.at > model.last ? 0 : age);
          const first = held.find((item) => time.now - item.time <= step.since);
          assertStrictEquals(ring.firstSince(step.since), first?.number ?? model.last + 1);
          assertStrictEquals(ring.oldest, model.oldest);
          assertStrictEquals(ring.bytes, held.reduce((sum, { bytes }) => sum + bytes.length, 0));
          assertStrictEquals(ring.age, time.now - model.lastAt);
          assert(ring.allocated <= Math.max(1416, maxBytes));
        }
      }
      const held = model.held(time.now);
      assertEquals(held.map(({ number }) => ring.get(number)), held.map(({ bytes }) => bytes));
      assertEquals([ring.last, ring.oldest], [model.last, model.oldest]);
    }));
  });
});
