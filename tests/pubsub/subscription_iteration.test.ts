// Subscriptions that are iterated: what they hold, merge and drop, and how their loops end.
import { describe, test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type {
  Scope,
  SubscribeOptions,
  Subscription,
  SyncEvent,
  Topic,
  VectorClock,
} from "../../src/pubsub/sync_bus.ts";
import { settle, watch } from "../support/outcome.ts";

const ALL: Topic = { prefix: "" };

function setUp(topic: Topic, options?: SubscribeOptions) {
  const subscriptions = new Subscriptions((error) => {
    throw error;
  });
  const subscription = subscriptions.add(topic, options);
  const deliver = (...keys: string[]) => keys.map((key) => subscriptions.deliver(key));
  return { subscriptions, subscription, deliver };
}

/** What a subscription holds, in short: a key, or `!` and the topic's name for an overflow. Closes it. */
async function drain(subscription: Subscription): Promise<string[]> {
  subscription.close();
  const texts: string[] = [];
  for await (const { key, cause } of subscription) texts.push(cause === "publish" ? key : `!${cause}:${key}`);
  return texts;
}

async function nextKey(events: AsyncIterator<SyncEvent>): Promise<string> {
  const { value, done } = await events.next();
  return done ? "done" : value.cause === "publish" ? value.key : `!${value.cause}:${value.key}`;
}

describe("a loop", () => {
  test("gets what was held before it began, and what comes", async () => {
    const { subscription, deliver } = setUp({ prefix: "k" });
    deliver("k1", "k2");
    const got: string[] = [];
    for await (const { key } of subscription) {
      got.push(key);
      if (got.length === 2) queueMicrotask(() => deliver("k3"));
      if (got.length === 3) deliver("k4", "x");
      if (got.length === 4) subscription.close();
    }
    assertEquals(got, ["k1", "k2", "k3", "k4"]);
  });

  test("that is left closes the subscription and drops what it held", async () => {
    const { subscriptions, subscription, deliver } = setUp(ALL);
    deliver("a", "b");
    for await (const { key } of subscription) {
      assertEquals(key, "a");
      break;
    }
    assertEquals([subscription.closed, subscriptions.count("a"), await nextKey(subscription[Symbol.asyncIterator]())], [
      true,
      0,
      "done",
    ]);
  });

  test("that throws closes the subscription", async () => {
    const { subscription, deliver } = setUp(ALL);
    deliver("a");
    const loop = async () => {
      for await (const { key } of subscription) throw new Error(key);
    };
    assertEquals((await loop().catch((error) => error as Error))?.message, "a");
    assertEquals(subscription.closed, true);
  });

  test("ends after the events that were held when the subscription closed", async () => {
    const { subscription, deliver } = setUp(ALL);
    deliver("a", "b");
    subscription.close();
    assertEquals(deliver("c"), [0]);
    assertEquals(await drain(subscription), ["a", "b"]);
    assertEquals(await drain(subscription), []);
  });

  test("that waits ends when the subscription closes, by hand or by its signal", async () => {
    const controller = new AbortController();
    const byHand = setUp(ALL).subscription;
    const bySignal = setUp("k", { signal: controller.signal }).subscription;
    const waiting = [byHand, bySignal].map((each) => watch(each[Symbol.asyncIterator]().next()));
    await settle();
    assertEquals(waiting.map(({ state }) => state), ["waiting", "waiting"]);
    byHand.close();
    controller.abort();
    await settle();
    assertEquals(waiting.map(({ state }) => state), ["fulfilled", "fulfilled"]);
  });
});

describe("next", () => {
  test("may be called many times at once: each gets an event, in order", async () => {
    const { subscription, deliver } = setUp(ALL);
    const events = subscription[Symbol.asyncIterator]();
    const waiting = [nextKey(events), nextKey(events), nextKey(events), nextKey(events)];
    assertEquals(deliver("a", "a", "b"), [1, 1, 1]);
    subscription.close();
    assertEquals(await Promise.all(waiting), ["a", "a", "b", "done"]);
  });

  test("shares the events between the iterators of one subscription", async () => {
    const { subscription, deliver } = setUp(ALL);
    const [one, other] = [subscription[Symbol.asyncIterator](), subscription[Symbol.asyncIterator]()];
    deliver("a", "b");
    assertEquals([await nextKey(one), await nextKey(other)], ["a", "b"]);
  });

  test("is done for good after `return`, and so are the calls that wait", async () => {
    const { subscription, deliver } = setUp(ALL);
    const events = subscription[Symbol.asyncIterator]();
    const waiting = nextKey(events);
    assertEquals(await events.return?.(), { done: true, value: undefined });
    deliver("a");
    assertEquals([await waiting, await nextKey(events), subscription.closed], ["done", "done", true]);
  });

  test("is refused for a subscription with a callback", () => {
    const { subscriptions } = setUp(ALL);
    const subscription = subscriptions.add("k", () => {});
    assertThrows(() => subscription[Symbol.asyncIterator](), TypeError, "it is one or the other");
  });
});

describe("an undelivered event", () => {
  test("has the next of its key merged into it, in its position", async () => {
    const { subscriptions, subscription, deliver } = setUp(ALL);
    assertEquals(deliver("a", "b", "a", "c", "b", "a"), [1, 1, 1, 1, 1, 1]);
    assertEquals(subscriptions.counts, { events: 6, merged: 3, overflows: 0 });
    assertEquals(await drain(subscription), ["a", "b", "c"]);
  });

  test("is not merged with one that was delivered", async () => {
    const { subscription, deliver } = setUp("k");
    const events = subscription[Symbol.asyncIterator]();
    deliver("k");
    assertEquals(await nextKey(events), "k");
    deliver("k");
    assertEquals(await nextKey(events), "k");
  });

  test("takes the fields of the later publisher, and the higher count of each writer", async () => {
    const { subscriptions, subscription } = setUp("k");
    subscriptions.deliver("k", { region: "eu", scope: "local", vectorClock: { a: 5, b: 1, toString: 1 } });
    subscriptions.deliver("k", { region: "us", vectorClock: { a: 2, b: 3, constructor: 4 } });
    subscriptions.deliver("k");
    const { value } = await subscription[Symbol.asyncIterator]().next();
    assertEquals(value, {
      key: "k",
      cause: "publish",
      region: "us",
      scope: "local" as Scope,
      vectorClock: { a: 5, b: 3, toString: 1, constructor: 4 } as unknown as VectorClock,
    });
  });

  test("takes a clock though only one of the two has it", async () => {
    for (const clocks of [[undefined, { a: 1 }], [{ a: 1 }, undefined]]) {
      const { subscriptions, subscription } = setUp("k");
      for (const vectorClock of clocks) subscriptions.deliver("k", vectorClock === undefined ? {} : { vectorClock });
      const { value } = await subscription[Symbol.asyncIterator]().next();
      assertEquals(value, { key: "k", cause: "publish", vectorClock: { a: 1 } });
    }
  });

  test("has the higher of two counts, whether each is a number or a bigint", async () => {
    const { subscriptions, subscription } = setUp("k");
    subscriptions.deliver("k", { vectorClock: { a: 2n ** 60n, b: 7, c: 2n ** 53n } });
    subscriptions.deliver("k", { vectorClock: { a: 9, b: 2n ** 61n, c: 2n ** 53n + 1n } });
    const { value } = await subscription[Symbol.asyncIterator]().next();
    assertEquals(value.vectorClock, { a: 2n ** 60n, b: 2n ** 61n, c: 2n ** 53n + 1n });
  });

  test("of a published prefix keeps the prefix when the key of it is published too", async () => {
    const { subscriptions, subscription } = setUp({ prefix: "user:" });
    // All keys of the subscription have changed: a later event of one key says less.
    subscriptions.deliverPrefix("user:4", { vectorClock: { a: 1 } });
    subscriptions.deliver("user:4", { vectorClock: { a: 3 }, region: "eu" });
    const events = subscription[Symbol.asyncIterator]();
    const { value } = await events.next();
    assertEquals(value, {
      key: "user:4",
      cause: "publish",
      prefix: "user:4",
      region: "eu",
      vectorClock: { a: 3 },
    });
  });

  test("of a key takes the prefix of a later publish that names the same", async () => {
    const { subscriptions, subscription } = setUp("k1");
    subscriptions.deliver("k1", { region: "eu" });
    assertEquals([subscriptions.deliverPrefix("k"), subscriptions.counts.merged], [1, 1]);
    const { value } = await subscription[Symbol.asyncIterator]().next();
    assertEquals(value, { key: "k1", cause: "publish", prefix: "k", region: "eu" });
  });

  test("of a wider prefix is that of all that the subscription covers, once", async () => {
    const { subscriptions, subscription } = setUp({ prefix: "user:" });
    for (const prefix of ["", "us", "user:"]) subscriptions.deliverPrefix(prefix);
    assertEquals(subscriptions.counts, { events: 3, merged: 2, overflows: 0 });
    assertEquals(await drain(subscription), ["user:"]);
  });

  test("of an exact subscription is never lost, though its capacity is 1", async () => {
    const { subscriptions, subscription, deliver } = setUp("k", { capacity: 1 });
    for (let i = 0; i < 1000; i++) deliver("k");
    assertEquals(subscriptions.counts, { events: 1000, merged: 999, overflows: 0 });
    assertEquals(await drain(subscription), ["k"]);
  });
});

describe("a prefix subscription that is full", () => {
  test("gets one event that says so, after those it held", async () => {
    const { subscriptions, subscription, deliver } = setUp({ prefix: "k" }, { capacity: 2 });
    assertEquals(deliver("k1", "k2", "k1", "k3", "k4", "k1"), [1, 1, 1, 0, 0, 0]);
    assertEquals(subscriptions.counts, { events: 6, merged: 3, overflows: 1 });
    assertEquals(await drain(subscription), ["k1", "k2", "!overflow:k"]);
  });

  test("gets what comes after that was delivered", async () => {
    const { subscription, deliver } = setUp(ALL, { capacity: 1 });
    const events = subscription[Symbol.asyncIterator]();
    deliver("a", "b");
    assertEquals(await nextKey(events), "a");
    // There is room again, but the overflow event is to come yet, and covers it.
    assertEquals(deliver("c"), [0]);
    assertEquals(await nextKey(events), "!overflow:");
    assertEquals(deliver("c", "d"), [1, 0]);
    assertEquals(await drain(subscription), ["c", "!overflow:"]);
  });

  test("has room for 32 keys by default", async () => {
    for (const capacity of [undefined, 32]) {
      const { subscription, deliver } = setUp(ALL, capacity === undefined ? {} : { capacity });
      const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
      deliver(...keys);
      assertEquals(await drain(subscription), [...keys.slice(0, 32), "!overflow:"]);
    }
  });

  test("stays bounded when it is not iterated, and does not affect others", async () => {
    const { subscriptions, subscription: abandoned } = setUp(ALL, { capacity: 3 });
    const reading = subscriptions.add(ALL)[Symbol.asyncIterator]();
    let called = 0;
    subscriptions.add(ALL, () => called++);
    for (let i = 0; i < 10_000; i++) {
      subscriptions.deliver(`k${i}`);
      await nextKey(reading);
    }
    assertEquals([called, subscriptions.counts.overflows], [10_000, 1]);
    assertEquals(await drain(abandoned), ["k0", "k1", "k2", "!overflow:"]);
  });

  test("hands events straight to a waiting reader, so it is never full", async () => {
    const { subscriptions, subscription, deliver } = setUp(ALL, { capacity: 1 });
    const events = subscription[Symbol.asyncIterator]();
    const waiting = ["a", "b", "c"].map(() => nextKey(events));
    deliver("a", "b", "c");
    assertEquals([await Promise.all(waiting), subscriptions.counts.overflows], [["a", "b", "c"], 0]);
  });
});
