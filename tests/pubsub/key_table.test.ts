// The key table against a Map, with hashes that collide, and the cost of a look-up then.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { KeyTable } from "../../src/pubsub/key_table.ts";
import { KeyBytes } from "../../src/wire/key_bytes.ts";
import { ILL_FORMED, utf8Length } from "../../src/wire/utf8.ts";
import { anyKey } from "../support/arbitraries.ts";
import { countLookUps } from "../support/look_ups.ts";

interface Value {
  readonly serial: number;
}

/** A table beside a `Map` that has to hold the same. */
class Both {
  readonly table: KeyTable<Value, string>;
  readonly model = new Map<string, Value>();
  readonly #key = new KeyBytes();
  #serial = 0;

  constructor(seed: number, hashMask?: number) {
    this.table = new KeyTable(seed, hashMask);
  }

  /** Adds the key, or removes it when it is there. */
  toggle(text: string): void {
    const key = this.#key.encode(text);
    const place = this.table.find(key, key.end);
    if (place >= 0) {
      this.table.removeAt(place, key);
      this.model.delete(text);
      return;
    }
    const value = { serial: this.#serial++ };
    this.table.add(key, text, value, text);
    this.model.set(text, value);
  }

  find(text: string): Value | undefined {
    const key = this.#key.encode(text);
    const place = this.table.find(key, key.end);
    if (place < 0) return undefined;
    assert(this.table.textAt(place) === text && this.table.shortAt(place) === text, text);
    return this.table.valueAt(place);
  }

  check(texts: Iterable<string>): void {
    for (const text of texts) assert(this.find(text) === this.model.get(text), text);
    const serials = (values: Iterable<Value>) => Array.from(values, ({ serial }) => serial).join();
    assertEquals(serials(this.table.values()), serials(this.model.values()));
    assertEquals(this.table.size, this.model.size);
  }
}

const near = fc.constantFrom("", "a", "ab", "abc", "abcd", "abcde", "é", "Ã©", "\u00e9a", "€", "😀", "😀a");
const long = fc.tuple(fc.integer({ min: 60, max: 70 }), fc.constantFrom("a", "b", "é")).map(([n, end]) =>
  "x".repeat(n) + end
);
const numbered = fc.nat(200).map((n) => `user:${n}`);
const text = fc.oneof(near, long, numbered, anyKey);
const seed = fc.integer();
// All hashes the same, many of them, or the real ones.
const hashMask = fc.constantFrom(0, 3, 0xff, -1);

describe("a key table", () => {
  test("holds what a map holds, in its order, whatever is added and removed", () => {
    fc.assert(
      fc.property(seed, hashMask, fc.array(text, { maxLength: 400, size: "max" }), (seed, hashMask, texts) => {
        const both = new Both(seed, hashMask);
        for (const text of texts) both.toggle(text);
        both.check(new Set(texts));
        for (const text of both.model.keys()) both.toggle(text);
        both.check(new Set(texts));
        for (const text of texts.slice(0, 20)) both.toggle(text);
        both.check(new Set(texts));
      }),
      { numRuns: 300 },
    );
  });

  test("grows and shrinks with what it holds", () => {
    for (const hashMask of [0x7, -1]) {
      const both = new Both(42, hashMask);
      const texts = Array.from({ length: hashMask === -1 ? 50_000 : 2_000 }, (_, i) => `key ${i * 7919}`);
      for (const text of texts) both.toggle(text);
      both.check(texts);
      for (const [i, text] of texts.entries()) if (i % 10 !== 0) both.toggle(text);
      both.check(texts);
      for (const text of texts) both.toggle(text);
      both.check(texts);
    }
  });

  test("finds a key by the bytes with which a longer one begins", () => {
    fc.assert(
      fc.property(seed, hashMask, fc.array(text, { minLength: 1 }), text, (seed, hashMask, texts, key) => {
        const both = new Both(seed, hashMask);
        for (const text of new Set(texts)) both.toggle(text);
        const bytes = new KeyBytes();
        for (let length = 0; length <= key.length + 1; length++) {
          const end = bytes.encode(key).endOf(length);
          const begin = key.substring(0, length);
          const isOne = length <= key.length && utf8Length(begin) !== ILL_FORMED;
          assertEquals(end >= 0, isOne, `${length} of ${JSON.stringify(key)}`);
          if (isOne) assertEquals(both.table.find(bytes, end) >= 0, both.model.has(begin));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("iterates while keys come and go, as a map does", () => {
    const step = fc.tuple(fc.nat(3), fc.array(fc.nat(120), { maxLength: 60, size: "max" }));
    fc.assert(
      fc.property(seed, hashMask, fc.array(step, { maxLength: 12 }), (seed, hashMask, steps) => {
        const both = new Both(seed, hashMask);
        for (let i = 0; i < 120; i++) both.toggle(`k${i}`);
        const [walk, modelWalk] = [both.table.values(), both.model.values()];
        for (const [advance, toggled] of steps) {
          for (let i = 0; i < advance * 10; i++) assert(walk.next().value === modelWalk.next().value);
          for (const i of toggled) both.toggle(`k${i}`);
        }
        for (const value of modelWalk) assert(walk.next().value === value);
        assert(walk.next().done);
        both.check([]);
      }),
      { numRuns: 300 },
    );
  });

  test("takes a bounded time for a key though all have the same hash", () => {
    const both = new Both(7, 0);
    for (let i = 0; i < 10_000; i++) both.toggle(`user:${i}`);
    const key = new KeyBytes();
    let reads = 0;
    const bytesOf = (text: string) => {
      key.encode(text);
      reads = 0;
      return key.bytes = new Proxy(key.bytes, {
        get(target, name) {
          if (typeof name === "string" && /^\d+$/.test(name)) reads++;
          const value: unknown = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    };
    for (const text of ["user:0", "user:5000", "user:9999", "user:none"]) {
      bytesOf(text);
      const { direct } = countLookUps(() => both.table.find(key, key.end));
      // Its hash, and as many keys as are within reach. Then one look-up in a map, beside that in the table.
      assertLessOrEqual(reads, text.length * (1 + 128), text);
      assertLessOrEqual(direct, 2, text);
    }
    both.check(["user:0", "user:9999", "user:none"]);
  });

  test("has hashes that spread, with any seed", () => {
    for (const seed of [0, 1, -5, 0x7fffffff]) {
      const both = new Both(seed);
      // Half of the slots are taken, by keys that differ little: were one out of reach, each look-up would use a map.
      for (let i = 0; i < 65_536; i++) both.toggle(`k${i}`);
      const { direct } = countLookUps(() => {
        for (let i = 0; i < 1000; i++) both.find(`other${i}`);
      });
      assertEquals(direct, 1000, `seed ${seed}`);
    }
  });
});
