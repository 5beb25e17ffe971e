// Published prefixes, and receipts: which subscriptions get which event, in which order, and what is acknowledged.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import type { Outcome } from "../../src/acknowledgement.ts";
import type { Contexts, EnterContext } from "../../src/platform/contexts.ts";
import { EntryReceipt } from "../../src/pubsub/delivery_receipt.ts";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { SubscribeOptions, SyncEvent, Topic } from "../../src/pubsub/sync_bus.ts";
import { settle } from "../support/outcome.ts";

function setUp({ contexts, clock = new VirtualClock() }: { contexts?: Contexts; clock?: VirtualClock } = {}) {
  const errors: unknown[] = [];
  const subscriptions = new Subscriptions((error) => errors.push(error), contexts, undefined, undefined, 0, clock);
  const log: string[] = [];
  /** Subscribes with a callback that notes its name and the event's key. */
  const note = (name: string, topic: Topic, options?: SubscribeOptions) =>
    subscriptions.add(topic, ({ key, prefix }) => log.push(`${name}:${key}<${prefix}`), options);
  return { subscriptions, errors, log, note, clock };
}

function receiptOf() {
  const done: Outcome[] = [];
  // It also reports that promises are waited for, without an outcome.
  return { receipt: new EntryReceipt((outcome) => void (outcome !== undefined && done.push(outcome))), done };
}

describe("a published prefix", () => {
  test("is delivered once to each subscription that has keys with it in common, with the longer text as key", () => {
    const { subscriptions, log, note } = setUp();
    const topics: readonly Topic[] = [
      "user:1",
      "user:",
      "user",
      "",
      "x",
      { prefix: "" },
      { prefix: "us" },
      { prefix: "user:" },
      { prefix: "user:1" },
      { prefix: "userx" },
      { prefix: "x" },
    ];
    const nameOf = (topic: Topic) => typeof topic === "string" ? topic : `${topic.prefix}*`;
    for (const topic of topics) note(nameOf(topic), topic);
    assertEquals(subscriptions.deliverPrefix("user:"), 6);
    assertEquals(log.sort(), [
      "*:user:<user:",
      "us*:user:<user:",
      "user:*:user:<user:",
      "user:1*:user:1<user:",
      "user:1:user:1<user:",
      "user::user:<user:",
    ]);
    log.length = 0;
    assertEquals(subscriptions.deliverPrefix(""), topics.length);
    assertEquals(log.length, topics.length);
    assert(log.every((line) => line.endsWith("<")));
    assertEquals([subscriptions.deliverPrefix("nobody"), subscriptions.counts.events], [1, 6 + 11 + 1]);
  });

  test("has the publisher's metadata, and the cause of a publish", async () => {
    const { subscriptions } = setUp();
    const held = subscriptions.add({ prefix: "a" });
    const metadata = { region: "eu", scope: "global" as const, vectorClock: { w: 2n ** 60n } };
    subscriptions.deliverPrefix("ab", metadata);
    const { value } = await held[Symbol.asyncIterator]().next();
    const expected: SyncEvent = { key: "ab", cause: "publish", prefix: "ab", ...metadata };
    assertEquals(value, expected);
  });

  test("reaches callbacks first, then queues", () => {
    const { subscriptions } = setUp();
    const held = [subscriptions.add("a1"), subscriptions.add({ prefix: "a" })];
    let left = 2;
    for (const topic of ["a2", { prefix: "" }] as const) subscriptions.add(topic, () => left--);
    const kinds = [...subscriptions.offerPrefix("a", subscriptions.newest, false)].map((each) => {
      if (each?.isIterated) assertEquals(left, 0);
      return each?.isIterated;
    });
    assertEquals(kinds, [false, false, true, true]);
    for (const subscription of held) subscription.close();
  });

  test("reaches no subscription that is made or closed while it is delivered", () => {
    const { subscriptions, log, note } = setUp();
    const later: { close(): void }[] = [];
    subscriptions.add("a1", () => {
      note("new", "a2");
      later.forEach((subscription) => subscription.close());
    });
    later.push(note("closed", { prefix: "a" }), note("closed too", "a1"));
    note("stays", { prefix: "" });
    subscriptions.deliverPrefix("a");
    assertEquals(log, ["stays:a<a"]);
  });

  test("of the own bus reaches the subscriptions with `self: true` alone", () => {
    const { subscriptions, log, note } = setUp();
    note("self", "a1", { self: true });
    note("other", "a1");
    note("all", { prefix: "" }, { self: true });
    assertEquals(subscriptions.deliverPrefix("a", undefined, undefined, true), 2);
    assertEquals(log, ["self:a1<a", "all:a<a"]);
  });

  test("yields nothing now and then while many subscriptions are looked at in vain", () => {
    const { subscriptions, note, log } = setUp();
    for (let i = 0; i < 2000; i++) note(`${i}`, `k${i}`);
    note("last", { prefix: "z" });
    const steps = [...subscriptions.offerPrefix("z", subscriptions.newest, false)];
    const pauses = steps.filter((step) => step === undefined).length;
    // Once in 256.
    assertEquals([log, pauses], [["last:z<z"], 7]);
    assertEquals(subscriptions.deliverPrefix("z"), 1);
  });

  test("is delivered to the same subscriptions as a key that it covers, and no event twice", () => {
    const text = fc.constantFrom("", "a", "ab", "abc", "b", "é", "ééx");
    const topic = fc.tuple(text, fc.boolean()).map(([text, isPrefix]): Topic => isPrefix ? { prefix: text } : text);
    fc.assert(fc.property(fc.array(topic, { maxLength: 12 }), text, (topics, prefix) => {
      const { subscriptions } = setUp();
      const got = new Map<number, SyncEvent[]>();
      topics.forEach((topic, i) => subscriptions.add(topic, (event) => got.set(i, [...got.get(i) ?? [], event])));
      const taken = subscriptions.deliverPrefix(prefix, { region: "eu" });
      let expected = 0;
      topics.forEach((topic, i) => {
        const text = typeof topic === "string" ? topic : topic.prefix;
        const key = text.startsWith(prefix)
          ? text
          : typeof topic !== "string" && prefix.startsWith(text)
          ? prefix
          : undefined;
        const events = key === undefined ? undefined : [{ region: "eu", key, cause: "publish" as const, prefix }];
        assertEquals(got.get(i), events);
        if (events !== undefined) expected++;
      });
      assertEquals(taken, expected);
    }));
  });
});

/** Each way in which an event is delivered with a receipt. */
const PATHS: Readonly<Record<string, (subscriptions: Subscriptions, receipt: EntryReceipt) => void>> = {
  deliver: (subscriptions, receipt) => void subscriptions.deliver("k", undefined, subscriptions.newest, false, receipt),
  offer: (subscriptions, receipt) => {
    for (const _ of subscriptions.offer("k", subscriptions.newest, false, undefined, receipt));
  },
  "deliverOne or offer": (subscriptions, receipt) => {
    const taken = subscriptions.deliverOne("k", subscriptions.newest, false, undefined, receipt);
    if (taken < 0) PATHS.offer?.(subscriptions, receipt);
  },
  deliverPrefix: (subscriptions, receipt) =>
    void subscriptions.deliverPrefix("k", undefined, subscriptions.newest, false, receipt),
  "within a context": (subscriptions, receipt) =>
    subscriptions.within(() => void subscriptions.deliver("k", undefined, subscriptions.newest, false, receipt)),
};

for (const [path, deliver] of Object.entries(PATHS)) {
  describe(`a receipt by \`${path}\``, () => {
    /** The outcome with these subscriptions, at once or once their promises have settled. */
    const outcomeWith = async (subscribe: (subscriptions: Subscriptions) => void, contexts?: Contexts) => {
      const { subscriptions, errors, clock } = setUp({ ...contexts && { contexts } });
      subscribe(subscriptions);
      const { receipt, done } = receiptOf();
      deliver(subscriptions, receipt);
      receipt.end();
      const atOnce = [...done];
      await settle();
      return { atOnce, done, errors, clock };
    };

    test("is of an event without a subscriber, with one, or with several", async () => {
      assertEquals((await outcomeWith(() => {})).atOnce, ["unsubscribed"]);
      assertEquals((await outcomeWith((all) => all.add("other", () => {}))).atOnce, ["unsubscribed"]);
      assertEquals((await outcomeWith((all) => all.add("k", () => {}))).atOnce, ["delivered"]);
      assertEquals((await outcomeWith((all) => all.add("k"))).atOnce, ["delivered"]);
      const several = await outcomeWith((all) => [all.add("k", () => {}), all.add({ prefix: "" }), all.add("k")]);
      assertEquals(several.atOnce, ["delivered"]);
    });

    test("is failed when a callback throws, and the others are called all the same", async () => {
      let called = 0;
      const { atOnce, errors } = await outcomeWith((all) => {
        all.add("k", () => {
          throw new Error("no");
        });
        all.add("k", () => called++);
        all.add({ prefix: "k" }, () => called++);
      });
      assertEquals([atOnce, called, errors.length], [["failed"], 2, 1]);
    });

    test("is failed when the only callback throws", async () => {
      const { atOnce, errors } = await outcomeWith((all) =>
        all.add("k", () => {
          throw new Error("no");
        })
      );
      assertEquals([atOnce, errors.length], [["failed"], 1]);
    });

    test('waits for promises with `deliveredWhen: "settled"` alone, and reports a rejection once', async () => {
      const returned = await outcomeWith((all) => all.add("k", () => Promise.reject(new Error("no"))));
      assertEquals([returned.atOnce, returned.done, returned.errors.length], [["delivered"], ["delivered"], 1]);
      const settled: SubscribeOptions = { deliveredWhen: "settled" };
      const good = await outcomeWith((all) => all.add("k", () => Promise.resolve(), settled));
      assertEquals([good.atOnce, good.done, good.clock.pending], [[], ["delivered"], 0]);
      const bad = await outcomeWith((all) => all.add("k", () => Promise.reject(new Error("no")), settled));
      assertEquals([bad.atOnce, bad.done, bad.errors.length, bad.clock.pending], [[], ["failed"], 1, 0]);
      const plain = await outcomeWith((all) => all.add("k", () => 5, settled));
      assertEquals(plain.atOnce, ["delivered"]);
    });

    test("is failed when a promise does not settle in time: after 5 s, or what `settleTimeout` says", async () => {
      for (const [settleTimeout, after] of [[undefined, 5000], [20, 20]] as const) {
        const options: SubscribeOptions = { deliveredWhen: "settled", ...settleTimeout && { settleTimeout } };
        const { clock, done } = await outcomeWith((all) => all.add("k", () => new Promise(() => {}), options));
        await clock.advance(after - 0.001);
        assertEquals(done, []);
        await clock.advance(0.001);
        assertEquals([done, clock.pending], [["failed"], 0]);
      }
    });

    test("is the same where callbacks run in contexts of their own", async () => {
      let entered = 0;
      const contexts: Contexts = {
        capture: () => {
          const enter: EnterContext = (run) => {
            entered++;
            return run();
          };
          return enter;
        },
        leave: (run) => run(),
      };
      const { atOnce } = await outcomeWith((all) => [all.add("k", () => {}), all.add("k", () => {})], contexts);
      assertEquals(atOnce, ["delivered"]);
      assertGreaterOrEqual(entered, 2);
      const failed = await outcomeWith((all) =>
        all.add("k", () => {
          throw new Error("no");
        }), contexts);
      assertEquals([failed.atOnce, failed.errors.length], [["failed"], 1]);
    });
  });
}

describe("queues", () => {
  test("count as delivered to when they merge the event, overflow, or hold an event that covers it", () => {
    const { subscriptions } = setUp();
    const held = subscriptions.add({ prefix: "" }, { capacity: 1 });
    const outcomes = ["a", "a", "b", "c"].map((key) => {
      const { receipt, done } = receiptOf();
      subscriptions.deliver(key, undefined, subscriptions.newest, false, receipt);
      receipt.end();
      return done;
    });
    assertEquals([outcomes, subscriptions.counts.overflows], [Array(4).fill(["delivered"]), 1]);
    held.close();
  });
});

describe("after the end", () => {
  test("promises of callbacks are waited for no more, and nobody is acknowledged", async () => {
    for (const end of ["stop", "closeAll"] as const) {
      const { subscriptions, clock } = setUp();
      subscriptions.add("k", () => new Promise(() => {}), { deliveredWhen: "settled" });
      const { receipt, done } = receiptOf();
      subscriptions.deliver("k", undefined, subscriptions.newest, false, receipt);
      receipt.end();
      assertEquals(clock.pending, 1);
      subscriptions[end]();
      assertEquals(clock.pending, 0);
      await clock.advance(10_000);
      assertEquals(done, []);
    }
  });

  test("a subscription that is closed within its callback is waited for all the same", async () => {
    const { subscriptions } = setUp();
    const subscription = subscriptions.add("k", () => {
      subscription.close();
      return Promise.resolve();
    }, { deliveredWhen: "settled" });
    const { receipt, done } = receiptOf();
    subscriptions.deliver("k", undefined, subscriptions.newest, false, receipt);
    receipt.end();
    await settle();
    assertEquals(done, ["delivered"]);
  });
});

describe("options", () => {
  const refused: readonly (readonly [SubscribeOptions, typeof TypeError | typeof RangeError, string])[] = [
    [
      { deliveredWhen: "called" as "settled" },
      TypeError,
      '`deliveredWhen` must be "returned" or "settled": current value is "called"',
    ],
    [{ settleTimeout: 0 }, RangeError, "`settleTimeout` must be a number from 1 to 600000: current value is 0"],
    [
      { settleTimeout: 600_001 },
      RangeError,
      "`settleTimeout` must be a number from 1 to 600000: current value is 600001",
    ],
    [{ settleTimeout: NaN }, RangeError, "current value is NaN"],
    [{ settleTimeout: "5" as unknown as number }, TypeError, 'current value is "5"'],
  ];
  for (const [options, type, message] of refused) {
    test(`are refused: ${message}`, () => {
      const { subscriptions } = setUp();
      const error = assertThrows(() => subscriptions.add("k", () => {}, options), type, message) as Error;
      assert(error.message.startsWith("Cannot subscribe as "), error.message);
      assert(subscriptions.isEmpty);
    });
  }
});
