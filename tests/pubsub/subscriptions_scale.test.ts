// The cost of a delivery with many subscriptions, counted in look-ups, not in time.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import { countLookUps, type LookUps } from "../support/look_ups.ts";
import { notifyGap } from "../support/notify_gap.ts";

const TEN = 10;
const MANY = 100_000;

function unexpected(error: unknown): void {
  throw error;
}

/** A bus with `count` exact subscriptions and as many to prefixes of 7 characters, and how often each was called. */
function subscribed(count: number) {
  const subscriptions = new Subscriptions(unexpected);
  const calls = new Map<string, number>();
  const note = (name: string) => () => void calls.set(name, (calls.get(name) ?? 0) + 1);
  for (let i = 0; i < count; i++) {
    subscriptions.add(`user:${i}`, note(`user:${i}`));
    subscriptions.add({ prefix: `p${String(i).padStart(6, "0")}` }, note(`p${i}`));
  }
  return { subscriptions, calls };
}

/** The cost of one delivery, without that of the callbacks. */
function cost(subscriptions: Subscriptions, key: string): LookUps {
  return countLookUps(() => subscriptions.deliver(key));
}

describe("100,000 subscriptions", () => {
  test("cost a delivery no more look-ups than ten do, and only its own subscriber is called", () => {
    const few = subscribed(TEN);
    const many = subscribed(MANY);
    for (const key of ["user:3", "p000004/x", "nobody's", "", "p"]) {
      const [one, other] = [cost(few.subscriptions, key), cost(many.subscriptions, key)];
      assertEquals(other, one, key);
      assert(one.direct > 0, "the counter counts");
      assertLessOrEqual(one.direct + one.stepped, 12, key);
    }
    assertEquals([...few.calls], [["user:3", 1], ["p4", 1]]);
    assertEquals([...many.calls], [...few.calls]);
  });

  test("to one key cost nothing for each other key", () => {
    const subscriptions = new Subscriptions(unexpected);
    let calls = 0;
    for (let i = 0; i < MANY; i++) subscriptions.add("hot", () => calls++);
    subscriptions.add("cold", () => {});
    assertLessOrEqual(cost(subscriptions, "cold").stepped, 2);
    assertEquals([calls, subscriptions.count("hot")], [0, MANY]);
  });

  test("cost one look-up for each length that prefixes have", () => {
    const subscriptions = new Subscriptions(unexpected);
    for (let length = 0; length < 50; length++) {
      for (const letter of "abc") subscriptions.add({ prefix: letter.repeat(length) }, () => {});
    }
    const key = "x".repeat(100);
    assertLessOrEqual(cost(subscriptions, key).direct, 1 + 50);
    // A key shorter than a prefix cannot begin with it.
    assertLessOrEqual(cost(subscriptions, "x").direct, 1 + 2);
  });

  test("get a gap in one walk, each once, though one in ten throws", () => {
    let errors = 0;
    const subscriptions = new Subscriptions(() => errors++);
    const called = new Map<string, number>();
    for (let i = 0; i < MANY; i++) {
      subscriptions.add(i % 2 === 0 ? `k${i}` : { prefix: `p${i}` }, ({ key }) => {
        called.set(key, i);
        if (i % 10 === 0) throw new Error(key);
      });
    }
    const { direct, stepped } = countLookUps(() => notifyGap(subscriptions));
    assertEquals([called.size, errors, subscriptions.counts.events], [MANY, MANY / 10, MANY]);
    // One step to a group and one to its only subscriber, and the ends of the loops; callbacks look up on their own.
    assertLessOrEqual(direct, MANY);
    assertLessOrEqual(stepped, 3 * MANY + 100);
  });

  test("leave nothing behind when they have ended", () => {
    const { subscriptions } = subscribed(TEN);
    const all = Array.from(
      { length: MANY },
      (_, i) => subscriptions.add(i % 2 === 0 ? `k${i}` : { prefix: "q".repeat(1 + i % 99) }),
    );
    const before = cost(subscriptions, "x".repeat(200));
    for (const each of all) each.close();
    const after = cost(subscriptions, "x".repeat(200));
    assertEquals([before.direct, after.direct], [1 + 99, 1 + 1]);
    // A key that was subscribed to costs the same as one that never was.
    assertEquals(cost(subscriptions, "k0"), cost(subscriptions, "x0"));
  });
});
