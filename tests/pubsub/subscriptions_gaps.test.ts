// Gaps: events may have been lost, so every subscription gets an event to drop what it keeps.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { EventQueue } from "../../src/pubsub/event_queue.ts";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { Cause, SyncCallback, SyncEvent, Topic } from "../../src/pubsub/sync_bus.ts";
import { settle } from "../support/outcome.ts";
import { notifyGap } from "../support/notify_gap.ts";

function setUp() {
  const errors: unknown[] = [];
  const subscriptions = new Subscriptions((error) => errors.push(error));
  const log: string[] = [];
  /** A callback that records its name and what it got. */
  const note = (name: string): SyncCallback => (event) => log.push(`${name}=${short(event)}`);
  /** What a round of gaps recorded. */
  const gap = () => {
    log.length = 0;
    notifyGap(subscriptions);
    return [...log];
  };
  return { subscriptions, errors, log, note, gap };
}

/** A key, or `!` with the cause and the key. */
function short({ key, cause }: SyncEvent): string {
  return cause === "publish" ? key : `!${cause}:${key}`;
}

/** An event that was read, `undefined` when none came at once. */
async function read(events: AsyncIterator<SyncEvent>): Promise<SyncEvent | undefined> {
  let event: SyncEvent | undefined;
  void events.next().then(({ value }) => event = value);
  await settle();
  return event;
}

/** Subscribes to be iterated; `drain` closes it and returns what it held. */
function iterated(subscriptions: Subscriptions, topic: Topic, capacity: number) {
  const subscription = subscriptions.add(topic, { capacity });
  const events = subscription[Symbol.asyncIterator]();
  const drain = async () => {
    subscription.close();
    const held: SyncEvent[] = [];
    for await (const event of subscription) held.push(event);
    return held;
  };
  return { events, drain };
}

describe("a gap", () => {
  test("reaches every subscription, with its own key or prefix", () => {
    const { subscriptions, note, gap } = setUp();
    assertEquals(gap(), []);
    const events: SyncEvent[] = [];
    subscriptions.add("a", (event) => events.push(event));
    subscriptions.add("a", note("1"));
    subscriptions.add("é", note("2"));
    subscriptions.add("", note("3"));
    subscriptions.add({ prefix: "" }, note("4"));
    subscriptions.add({ prefix: "a" }, note("5"));
    subscriptions.add({ prefix: "b" }, note("6"));
    subscriptions.add({ prefix: "a" }, note("7"));
    subscriptions.add("gone", note("8")).close();
    assertEquals(gap().sort(), ["1=!gap:a", "2=!gap:é", "3=!gap:", "4=!gap:", "5=!gap:a", "6=!gap:b", "7=!gap:a"]);
    assertEquals(events, [{ key: "a", cause: "gap" }]);
    assertEquals(subscriptions.counts, { events: 8, merged: 0, overflows: 0 });
  });

  test("is stopped by no callback that fails", async () => {
    const { subscriptions, errors, note, gap } = setUp();
    const failures = ["thrown", "rejected"].map((text) => new Error(text));
    for (const topic of ["a", "b", { prefix: "" }, { prefix: "c" }] as const) {
      subscriptions.add(topic, () => {
        throw failures[0];
      });
      subscriptions.add(topic, () => Promise.reject(failures[1]));
      subscriptions.add(topic, note("last"));
    }
    assertEquals(gap(), ["last=!gap:a", "last=!gap:b", "last=!gap:", "last=!gap:c"]);
    await settle();
    assertEquals(failures.map((failure) => errors.filter((error) => error === failure).length), [4, 4]);
  });

  test("does not reach what a callback subscribes, and ends though each subscribes anew", () => {
    for (const own of ["k", { prefix: "k" }] as const) {
      const { subscriptions, note, gap } = setUp();
      let serial = 0;
      const again: SyncCallback = (event) => {
        note("again")(event);
        for (const topic of [own, `new ${++serial}`, { prefix: "new".repeat(serial) }]) subscriptions.add(topic, again);
        each.close();
      };
      const each = subscriptions.add(own, again);
      assertEquals(gap(), ["again=!gap:k"]);
      assertEquals(gap().length, 3);
    }
  });

  test("does not reach what a callback has closed", () => {
    const { subscriptions, note, gap } = setUp();
    const topics: readonly Topic[] = ["a", "b", "a", { prefix: "" }, { prefix: "a" }, { prefix: "b" }];
    const first = subscriptions.add("a", (event) => {
      note("first")(event);
      for (const other of others) other.close();
      first.close();
    });
    const others = topics.map((topic) => subscriptions.add(topic, note("other")));
    subscriptions.add({ prefix: "b" }, note("last"));
    assertEquals([gap(), gap()], [["first=!gap:a", "last=!gap:b"], ["last=!gap:b"]]);
  });

  test("does not reach any subscription after a callback has closed all", () => {
    const { subscriptions, note, gap } = setUp();
    subscriptions.add("a", () => subscriptions.closeAll());
    for (const topic of ["a", "b", { prefix: "" }]) subscriptions.add(topic, note("1"));
    assertEquals(gap(), []);
  });

  test("may be interrupted by another, and by a publish", () => {
    const { subscriptions, note, gap } = setUp();
    let nested = false;
    subscriptions.add("a", (event) => {
      note("a")(event);
      if (nested) return;
      nested = true;
      subscriptions.deliver("b");
      notifyGap(subscriptions);
    });
    subscriptions.add("b", note("b"));
    assertEquals(gap(), ["a=!gap:a", "b=b", "a=!gap:a", "b=!gap:b", "b=!gap:b"]);
  });
});

describe("an exact subscription that is iterated", () => {
  test("holds one event, whose cause stays the gap", async () => {
    const orders = ["g", "gg", "pg", "gp", "pgp", "gpgpp", "ppggp"];
    for (const order of orders) {
      const { subscriptions } = setUp();
      const { drain } = iterated(subscriptions, "k", 1);
      const taken: number[] = [];
      for (const step of order) {
        if (step === "g") notifyGap(subscriptions);
        else taken.push(subscriptions.deliver("k", { region: "eu", vectorClock: { a: 1 } }));
      }
      assertEquals(subscriptions.counts, { events: order.length, merged: order.length - 1, overflows: 0 }, order);
      assertEquals(taken.every((count) => count === 1), true, order);
      assertEquals(await drain(), [{ key: "k", cause: "gap" }], order);
    }
  });

  test("gets what is published after the gap was read", async () => {
    const { subscriptions } = setUp();
    const { events, drain } = iterated(subscriptions, "k", 1);
    notifyGap(subscriptions);
    assertEquals(await read(events), { key: "k", cause: "gap" });
    subscriptions.deliver("k", { region: "eu" });
    assertEquals(await drain(), [{ key: "k", cause: "publish", region: "eu" }]);
  });
});

describe("a prefix subscription that is iterated", () => {
  test("gets the gap after what it holds, and nothing of what comes until then", async () => {
    const { subscriptions } = setUp();
    const { events, drain } = iterated(subscriptions, { prefix: "k" }, 3);
    for (const key of ["k1", "k"]) subscriptions.deliver(key);
    notifyGap(subscriptions);
    assertEquals(["k1", "k", "k2", "k3"].map((key) => subscriptions.deliver(key)), [0, 0, 0, 0]);
    assertEquals(subscriptions.counts, { events: 7, merged: 4, overflows: 0 });
    assertEquals([await read(events), await read(events)].map((event) => event && short(event)), ["k1", "k"]);
    subscriptions.deliver("k4");
    assertEquals(await read(events), { key: "k", cause: "gap" });
    subscriptions.deliver("k5");
    assertEquals((await drain()).map(short), ["k5"]);
  });

  test("has room for the gap when it is full, in place of an overflow that it holds", async () => {
    for (const order of ["g", "og", "go", "ogo", "gg", "oogg"]) {
      const { subscriptions } = setUp();
      const { drain } = iterated(subscriptions, { prefix: "" }, 2);
      for (const key of ["a", "b"]) subscriptions.deliver(key);
      for (const step of order) step === "g" ? notifyGap(subscriptions) : subscriptions.deliver("c");
      const overflows = order.startsWith("o") ? 1 : 0;
      assertEquals(subscriptions.counts, { events: 2 + order.length, merged: order.length - 1, overflows }, order);
      assertEquals((await drain()).map(short), ["a", "b", "!gap:"], order);
    }
  });

  test("hands the gap straight to a waiting reader", async () => {
    const { subscriptions } = setUp();
    const { events, drain } = iterated(subscriptions, { prefix: "k" }, 1);
    const waiting = [events.next(), events.next()];
    notifyGap(subscriptions);
    assertEquals(subscriptions.deliver("k1"), 1);
    assertEquals((await Promise.all(waiting)).map(({ value }) => short(value)), ["!gap:k", "k1"]);
    assertEquals(await drain(), []);
  });

  test("drops the gap with the rest when its loop is left", async () => {
    const { subscriptions } = setUp();
    const { events } = iterated(subscriptions, { prefix: "" }, 1);
    subscriptions.deliver("a");
    notifyGap(subscriptions);
    await events.return?.();
    assertEquals((await events.next()).done, true);
  });
});

describe("a queue", () => {
  const key = fc.constantFrom("k", "k1", "k2", "k3", "ké");
  const step = fc.oneof(
    { weight: 4, arbitrary: key },
    { weight: 1, arbitrary: fc.constant("gap" as const) },
    { weight: 3, arbitrary: fc.constant("read" as const) },
  );

  for (const topic of ["k", { prefix: "k" }] as const) {
    test(`of ${JSON.stringify(topic)} covers every offer by an event that is read later`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 4 }), async (steps, capacity) => {
          const queue = new EventQueue(capacity, topic, () => {});
          const exact = typeof topic === "string";
          /** What was offered and what was read, in order. */
          const offers: { readonly event: SyncEvent; readonly at: number }[] = [];
          const reads: { event: SyncEvent; at: number }[] = [];
          let at = 0;
          let overflows = 0;
          const take = () => void queue.next().then(({ value }) => void (value && reads.push({ event: value, at })));
          for (const step of steps) {
            at++;
            if (step === "read") take();
            else {
              const event: SyncEvent = step === "gap"
                ? { key: "k", cause: "gap" }
                : { key: exact ? "k" : step, cause: "publish" };
              offers.push({ event, at });
              const offered = queue.offer(event);
              if (offered === "overflow") overflows++;
              if (event.cause === "gap") assert(offered === "queued" || offered === "merged", offered);
              // An exact subscription loses nothing, so all that it is offered is taken.
              if (exact) assert(offered !== "overflow" && offered !== "covered", offered);
            }
            // A read is done when it is requested, or when the event comes that it waits for.
            await undefined;
            await undefined;
          }
          at++;
          queue.end();
          const before = reads.length;
          for (let i = 0; i <= capacity + 1; i++) take();
          await settle();
          assertLessOrEqual(reads.length - before, exact ? 1 : capacity + 1);
          for (const { event, at } of offers) {
            const covering = reads.find((read) =>
              read.at >= at &&
              (event.cause === "gap"
                ? read.event.cause === "gap"
                : read.event.key === event.key || !exact && read.event.cause !== "publish")
            );
            assert(covering !== undefined, `${short(event)} at ${at}: ${reads.map((read) => short(read.event))}`);
          }
          // Nothing is made up: no gap, overflow or key that was not offered, and no more of them.
          const count = (cause: Cause) => reads.filter(({ event }) => event.cause === cause).length;
          assertLessOrEqual(count("gap"), offers.filter(({ event }) => event.cause === "gap").length);
          assertLessOrEqual(count("overflow"), overflows);
          assertLessOrEqual(count("publish"), offers.filter(({ event }) => event.cause === "publish").length);
          for (const { event } of reads) if (event.cause !== "publish") assertEquals(event.key, "k");
        }),
        { numRuns: 1000 },
      );
    });
  }
});
