// Seed addresses: their bound, with any answers in any order.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { SeededRandom } from "../../adapters/memory/random.ts";
import { MAX_SEED_ADDRESSES, pick, SeedAddresses } from "../../src/discovery/seed_addresses.ts";
import { type Endpoint, formatAddress } from "../../src/platform/endpoint.ts";
import { Jitter } from "../../src/platform/jitter.ts";

function jitter(seed = 1): Jitter {
  const random = new SeededRandom(seed);
  return new Jitter((length) => random.bytes(length));
}

/** `count` addresses of a network of its own. */
function list(network: number, count: number, from = 0): Endpoint[] {
  return Array.from({ length: count }, (_, i) => {
    return { host: `10.${network}.${(from + i) >> 8}.${(from + i) & 255}`, port: 7946 };
  });
}

function names(endpoints: readonly Endpoint[]): string[] {
  return endpoints.map(({ host, port }) => formatAddress(host, port));
}

function setUp(seed?: number) {
  const cuts: [number, number][] = [];
  const pool = new SeedAddresses<number>(jitter(seed), (key, length) => cuts.push([key, length]));
  const lengthOf = (network: number) => pool.endpoints.filter(({ host }) => host.startsWith(`10.${network}.`)).length;
  const put = (key: number, endpoints: readonly Endpoint[]) => {
    const before = new Set(names(pool.endpoints));
    pool.set(key, endpoints);
    pool.commit();
    return names(pool.endpoints).filter((name) => !before.has(name));
  };
  return { pool, cuts, lengthOf, put };
}

describe("the pool of seed addresses", () => {
  test("is full before anything is cut", () => {
    const { pool, cuts, put } = setUp();
    put(1, list(1, 1000));
    put(2, list(2, 24));
    assertEquals([pool.endpoints.length, cuts], [MAX_SEED_ADDRESSES, []]);
    put(2, list(2, 25));
    assertEquals([pool.endpoints.length, cuts], [MAX_SEED_ADDRESSES, [[1, 1000]]]);
  });

  test("cuts the longest lists to a common length, and no other", () => {
    const { put, lengthOf } = setUp();
    for (const [network, count] of [[1, 5000], [2, 10], [3, 700], [4, 24]] as const) put(network, list(network, count));
    assertEquals([1, 2, 3, 4].map(lengthOf), [495, 10, 495, 24]);
  });

  test("gives a list its length back when there is room again, at its next answer", () => {
    const { put, lengthOf } = setUp();
    put(1, list(1, 1000));
    put(2, list(2, 1000));
    assertEquals([lengthOf(1), lengthOf(2)], [512, 512]);
    put(2, []);
    put(1, list(1, 1000));
    assertEquals([lengthOf(1), lengthOf(2)], [1000, 0]);
  });

  test("keeps the addresses known before that are still there, and fills up with others", () => {
    const { pool, put } = setUp();
    put(1, list(1, 2000));
    const before = names(pool.endpoints);
    const later = list(1, 2000, 1000);
    const there = new Set(names(later));
    const expected = before.filter((name) => there.has(name));
    const found = put(1, later);
    const after = new Set(names(pool.endpoints));
    assertEquals(expected.filter((name) => !after.has(name)), []);
    assertEquals([after.size, found.length], [MAX_SEED_ADDRESSES, MAX_SEED_ADDRESSES - expected.length]);
  });

  test("chooses others with another seed, each address as likely as the next", () => {
    const counts = new Array<number>(4096).fill(0);
    for (let seed = 1; seed <= 64; seed++) {
      const { pool, put } = setUp(seed);
      put(1, list(1, 4096));
      for (const { host } of pool.endpoints) {
        const [, , high = 0, low = 0] = host.split(".").map(Number);
        counts[high * 256 + low] = (counts[high * 256 + low] ?? 0) + 1;
      }
    }
    // 64 draws with a chance of a quarter: 16, with a standard deviation of 3.5. Six of them either way for all 4096.
    assertGreater(Math.min(...counts), 0);
    assertLessOrEqual(Math.max(...counts), 37);
    const halves = [counts.slice(0, 2048), counts.slice(2048)].map((half) => half.reduce((a, b) => a + b, 0));
    assertLessOrEqual(Math.abs((halves[0] ?? 0) - (halves[1] ?? 0)), 64 * 1024 * 0.03);
  });

  test("holds its bound, is the same array while nothing changes, and is fair, in all cases", () => {
    const step = fc.record({
      key: fc.nat(12),
      count: fc.oneof(fc.nat(20), fc.nat(1200), fc.constantFrom(0, 1, 1023, 1024, 1025, 3000)),
      // Lists that overlap with what was there, and with those of others.
      network: fc.nat(3),
      from: fc.nat(500),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.nat(), (steps, seed) => {
        const cuts: number[] = [];
        const pool = new SeedAddresses<number>(jitter(seed), (key) => cuts.push(key));
        const given = new Map<number, Endpoint[]>();
        let before = pool.endpoints;
        for (const { key, count, network, from } of steps) {
          const answer = list(network, count, from);
          given.set(key, answer);
          cuts.length = 0;
          pool.set(key, answer);
          pool.commit();
          const now = pool.endpoints;
          assertLessOrEqual(now.length, MAX_SEED_ADDRESSES);
          assertEquals(new Set(names(now)).size, now.length);
          const known = new Set(names(before));
          assertEquals(now === before, now.length === before.length && names(now).every((name) => known.has(name)));
          const all = new Set([...given.values()].flatMap(names));
          assert(names(now).every((name) => all.has(name)), "an address out of nowhere");
          const total = [...given.values()].reduce((sum, { length }) => sum + length, 0);
          if (total <= MAX_SEED_ADDRESSES) assertEquals(cuts, []);
          // The answer itself has its share at least.
          const share = Math.min(answer.length, Math.floor(MAX_SEED_ADDRESSES / given.size));
          const there = new Set(names(now));
          assertGreaterOrEqual(names(answer).filter((name) => there.has(name)).length, share);
          before = now;
        }
      }),
      { numRuns: 50 },
    );
  });

  test("has nothing for a list that finds it full of lists of one", () => {
    const { pool, cuts, put } = setUp();
    for (let i = 0; i < MAX_SEED_ADDRESSES; i++) pool.set(i, list(1, 1, i));
    pool.commit();
    assertEquals(put(5000, list(2, 3)), []);
    assertEquals([pool.endpoints.length, cuts], [MAX_SEED_ADDRESSES, [[5000, 3]]]);
  });
});

describe("pick", () => {
  test("takes as many as requested, those that come first before others, none twice", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(50)), fc.nat(60), fc.nat(), (items, count, seed) => {
        const isFirst = (item: number) => item % 3 === 0;
        const picked = pick(items, count, isFirst, jitter(seed));
        assertEquals(picked.length, Math.min(count, items.length));
        assertEquals(new Set(picked).size, picked.length);
        assert(picked.every((item) => items.includes(item)));
        const firsts = items.filter(isFirst).length;
        assertEquals(picked.filter(isFirst).length, Math.min(firsts, count));
      }),
    );
  });
});
