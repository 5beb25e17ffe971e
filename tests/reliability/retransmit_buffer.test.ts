// The retransmit buffer: what it keeps of the batches that were sent, by number, bytes and age.
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

function makeBuffer({ maxBytes = 65_536, maxAge = 1000 } = {}) {
  const time = { now: 5000 };
  const clock = { now: () => time.now, setTimer: never, setTurnEnd: never };
  return { buffer: new RetransmitBuffer({ maxBytes, maxAge, clock }), time };
}

function never(): never {
  throw new Error("Cannot set a timer as the buffer needs none");
}

/** A datagram that has its number in every byte. */
function datagram(number: number, length = 100): Uint8Array {
  return new Uint8Array(length).fill(number % 251);
}

describe("an empty buffer", () => {
  test("holds nothing", () => {
    const { buffer } = makeBuffer();
    assertEquals([buffer.last, buffer.oldest, buffer.bytes, buffer.age, buffer.allocated], [0, 1, 0, Infinity, 0]);
    assertEquals([buffer.get(0), buffer.get(1), buffer.get(2 ** 48)], [undefined, undefined, undefined]);
    assertEquals([buffer.firstSince(0), buffer.firstSince(Infinity)], [1, 1]);
    assertEquals([buffer.ageOf(0), buffer.ageOf(1)], [Infinity, 0]);
  });
});

describe("what was appended", () => {
  test("is numbered from 1 and returned", () => {
    const { buffer } = makeBuffer();
    const lengths = [100, 1400, 1, 0, 1399];
    assertEquals(lengths.map((length, i) => buffer.append(datagram(i + 1, length))), [1, 2, 3, 4, 5]);
    assertEquals([buffer.last, buffer.oldest, buffer.bytes], [5, 1, 2900]);
    lengths.forEach((length, i) => assertEquals(buffer.get(i + 1), datagram(i + 1, length)));
    assertEquals([buffer.get(0), buffer.get(6), buffer.get(2 ** 48 - 1)], [undefined, undefined, undefined]);
  });

  test("is a copy", () => {
    const { buffer } = makeBuffer();
    const bytes = datagram(1);
    buffer.append(bytes);
    bytes.fill(9);
    assertEquals(buffer.get(1), datagram(1));
  });

  test("is refused when it has more than 1,400 bytes, and gets no number", () => {
    const { buffer } = makeBuffer();
    assertThrows(
      () => buffer.append(new Uint8Array(1401)),
      RangeError,
      "Cannot keep a datagram as it must have at most 1400 bytes: current value is 1401",
    );
    assertEquals([buffer.last, buffer.bytes], [0, 0]);
  });
});

describe("age", () => {
  test("is counted from when each was appended", () => {
    const { buffer, time } = makeBuffer();
    buffer.append(datagram(1));
    time.now += 10;
    buffer.append(datagram(2));
    time.now += 5;
    assertEquals([buffer.age, buffer.ageOf(2), buffer.ageOf(1), buffer.ageOf(0), buffer.ageOf(3)], [
      5,
      5,
      15,
      Infinity,
      0,
    ]);
  });

  test("ends each datagram separately, when it is above the limit", () => {
    const { buffer, time } = makeBuffer({ maxAge: 1000 });
    buffer.append(datagram(1));
    time.now += 600;
    buffer.append(datagram(2));
    time.now += 400;
    assertEquals([buffer.oldest, buffer.bytes], [1, 200]);
    time.now += 0.001;
    assertEquals([buffer.oldest, buffer.bytes, buffer.get(1)], [2, 100, undefined]);
    time.now += 600;
    assertEquals([buffer.get(2), buffer.oldest, buffer.last, buffer.bytes], [undefined, 3, 2, 0]);
    assertEquals(buffer.append(datagram(3)), 3);
    assertEquals([buffer.get(3), buffer.oldest], [datagram(3), 3]);
  });

  test("is checked by every read of the buffer, not by `oldest` alone", () => {
    const looks: ((buffer: RetransmitBuffer) => unknown)[] = [
      (buffer) => buffer.get(1),
      (buffer) => buffer.bytes || undefined,
      (buffer) => buffer.firstSince(Infinity) === 2 ? undefined : "held",
    ];
    for (const look of looks) {
      const { buffer, time } = makeBuffer();
      buffer.append(datagram(1));
      time.now += 1001;
      assertEquals(look(buffer), undefined);
    }
  });

  test("of what is no longer held is that of the newest such datagram", () => {
    const { buffer, time } = makeBuffer({ maxAge: 1000 });
    for (const pause of [0, 10, 10]) {
      time.now += pause;
      buffer.append(datagram(1));
    }
    time.now += 985;
    assertEquals(buffer.oldest, 2);
    assertEquals([1, 2, 3].map((number) => buffer.ageOf(number)), [1005, 995, 985]);
    time.now += 10;
    assertEquals(buffer.oldest, 3);
    assertEquals([0, 1, 2, 3].map((number) => buffer.ageOf(number)), [Infinity, 1005, 1005, 995]);
    time.now += 1_000_000;
    assertEquals([buffer.oldest, buffer.ageOf(3), buffer.age], [4, 1_000_995, 1_000_995]);
  });
});

describe("firstSince", () => {
  test("finds the lowest held number that is no older", () => {
    const { buffer, time } = makeBuffer();
    for (const pause of [0, 10, 0, 10]) {
      time.now += pause;
      buffer.append(datagram(1));
    }
    time.now += 1;
    // Ages: 21, 11, 11, 1.
    const expected = [[0, 5], [0.9, 5], [1, 4], [10.9, 4], [11, 2], [20.9, 2], [21, 1], [Infinity, 1], [-1, 5]];
    for (const [since = 0, number] of expected) assertEquals(buffer.firstSince(since), number, `since ${since}`);
  });

  test("never goes below `oldest`, however far it looks back", () => {
    const { buffer, time } = makeBuffer({ maxAge: 100 });
    buffer.append(datagram(1));
    time.now += 60;
    buffer.append(datagram(2));
    time.now += 60;
    assertEquals([buffer.firstSince(500), buffer.oldest], [2, 2]);
  });

  test("finds numbers in any segment", () => {
    const { buffer, time } = makeBuffer({ maxAge: 1e6 });
    for (let number = 1; number <= 40; number++) {
      time.now++;
      buffer.append(datagram(number, 1400));
    }
    assertEquals(buffer.oldest, 1);
    for (let number = 1; number <= 40; number++) assertEquals(buffer.firstSince(40 - number), number);
  });
});

describe("a skipped number", () => {
  test("is never held, nor is anything below it", () => {
    const { buffer, time } = makeBuffer();
    buffer.append(datagram(1));
    buffer.append(datagram(2));
    time.now += 7;
    assertEquals(buffer.skip(), 3);
    assertEquals([buffer.last, buffer.oldest, buffer.bytes, buffer.age], [3, 4, 0, 0]);
    assertEquals([1, 2, 3].map((number) => buffer.get(number)), [undefined, undefined, undefined]);
    time.now += 1;
    assertEquals([1, 2, 3].map((number) => buffer.ageOf(number)), [1, 1, 1]);
    assertEquals([buffer.append(datagram(4)), buffer.oldest, buffer.get(4)], [4, 4, datagram(4)]);
    assertEquals(buffer.firstSince(Infinity), 4);
  });

  test("can be the first", () => {
    const { buffer } = makeBuffer();
    assertEquals([buffer.skip(), buffer.skip(), buffer.append(datagram(3))], [1, 2, 3]);
    assertEquals([buffer.oldest, buffer.get(3)], [3, datagram(3)]);
  });
});

describe("a full buffer", () => {
  test("drops the oldest, keeps most, and stays within its bytes", () => {
    for (const maxBytes of [65_536, 100_000, 300_000, 1_000_000]) {
      for (const length of [18, 90, 1400]) {
        const { buffer } = makeBuffer({ maxBytes });
        const count = Math.ceil((3 * maxBytes) / (length + 16));
        for (let number = 1; number <= count; number++) {
          buffer.append(datagram(number, length));
          assertLessOrEqual(buffer.bytes, maxBytes);
          assertLessOrEqual(buffer.allocated, maxBytes);
        }
        const held = count - buffer.oldest + 1;
        assertEquals(buffer.bytes, held * length);
        // A quarter is dropped at once, a fifth may be what does not fill a segment of its own, or a datagram.
        assertGreaterOrEqual(held * (length + 16), maxBytes * 0.55, `${maxBytes} bytes in datagrams of ${length}`);
        for (let number = buffer.oldest; number <= count; number++) {
          assertEquals(buffer.get(number), datagram(number, length));
        }
        assertEquals(buffer.get(buffer.oldest - 1), undefined);
      }
    }
  });

  test("holds the datagram just appended, however small the buffer is", () => {
    const { buffer } = makeBuffer({ maxBytes: 0 });
    for (let number = 1; number <= 5; number++) {
      buffer.append(datagram(number, 1400));
      assertEquals([buffer.oldest, buffer.get(number)], [number, datagram(number, 1400)]);
      assertEquals(buffer.allocated, 1416);
    }
  });

  test("writes into the memory that it has", () => {
    const { buffer } = makeBuffer();
    const buffers = new Set<ArrayBufferLike | undefined>();
    for (let number = 1; number <= 10_000; number++) {
      buffers.add(buffer.get(buffer.append(datagram(number, 500)))?.buffer);
    }
    assertEquals(buffers.size, 4);
  });
});

describe("memory", () => {
  test("grows with what is held, and is freed but for one segment when that grows old", () => {
    const { buffer, time } = makeBuffer({ maxBytes: 16 * 65_536, maxAge: 1000 });
    assertEquals(buffer.allocated, 0);
    buffer.append(datagram(1, 1400));
    assertEquals(buffer.allocated, 65_536);
    while (buffer.oldest === 1) buffer.append(datagram(1, 1400));
    assertEquals(buffer.allocated, 16 * 65_536);
    time.now += 1001;
    assertEquals([buffer.oldest, buffer.allocated], [buffer.last + 1, 65_536]);
    buffer.append(datagram(1, 1400));
    assertEquals([buffer.bytes, buffer.allocated], [1400, 65_536]);
  });

  test("is reused by a slow stream that age alone bounds", () => {
    const { buffer, time } = makeBuffer({ maxAge: 1000 });
    const buffers = new Set<ArrayBufferLike | undefined>();
    for (let number = 1; number <= 1000; number++) {
      time.now += 100;
      buffers.add(buffer.get(buffer.append(datagram(number, 1400)))?.buffer);
      assertLessOrEqual(buffer.bytes, 11 * 1400);
    }
    assertLessOrEqual(buffers.size, 3);
  });
});

/** A model that keeps datagrams in piles, as they lie in segments. */
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

describe("whatever is appended and read", () => {
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

  test("the buffer agrees with the model", () => {
    fc.assert(fc.property(maxBytes, fc.constantFrom(0, 100, 1e6), steps, (maxBytes, maxAge, steps) => {
      const { buffer, time } = makeBuffer({ maxBytes, maxAge });
      const model = new Model(maxBytes, maxAge);
      for (const step of steps) {
        if (step.do === "append") {
          const bytes = datagram(model.last + 1, step.length);
          model.append(bytes, time.now);
          assertStrictEquals(buffer.append(bytes), model.last);
        } else if (step.do === "skip") {
          model.skip(time.now);
          assertStrictEquals(buffer.skip(), model.last);
        } else if (step.do === "wait") {
          time.now += step.ms;
        } else {
          const held = model.held(time.now);
          const item = held.find(({ number }) => number === step.at);
          assertEquals(buffer.get(step.at), item?.bytes);
          const age = step.at === 0 ? Infinity : time.now - (item?.time ?? model.droppedAt);
          assertStrictEquals(buffer.ageOf(step.at), step.at > model.last ? 0 : age);
          const first = held.find((item) => time.now - item.time <= step.since);
          assertStrictEquals(buffer.firstSince(step.since), first?.number ?? model.last + 1);
          assertStrictEquals(buffer.oldest, model.oldest);
          assertStrictEquals(buffer.bytes, held.reduce((sum, { bytes }) => sum + bytes.length, 0));
          assertStrictEquals(buffer.age, time.now - model.lastAt);
          assert(buffer.allocated <= Math.max(1416, maxBytes));
        }
      }
      const held = model.held(time.now);
      assertEquals(held.map(({ number }) => buffer.get(number)), held.map(({ bytes }) => bytes));
      assertEquals([buffer.last, buffer.oldest], [model.last, model.oldest]);
    }));
  });
});
