// Subscriptions: which callbacks are called with which events, and how a subscription ends.
import { describe, test } from "node:test";
import { assert, assertEquals, assertFalse, assertStrictEquals, assertThrows } from "@std/assert";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { Subscription, SyncCallback, Topic } from "../../src/pubsub/sync_bus.ts";
import { settle } from "../support/outcome.ts";
import { countListeners } from "../support/signals.ts";

function setUp() {
  const errors: unknown[] = [];
  const subscriptions = new Subscriptions((error) => errors.push(error));
  const log: string[] = [];
  /** A callback that records its name and the key. */
  const note = (name: string): SyncCallback => ({ key }) => log.push(`${name}:${key}`);
  /** What a delivery recorded. */
  const deliver = (key: string) => {
    log.length = 0;
    subscriptions.deliver(key);
    return [...log];
  };
  return { subscriptions, errors, note, deliver, log };
}

describe("a key is delivered", () => {
  test("to the subscribers of the key, and to those of its prefixes", () => {
    const { subscriptions, note, deliver } = setUp();
    const topics: readonly [string, Topic][] = [
      ["exact", "user:42"],
      ["user", { prefix: "user:" }],
      ["all", { prefix: "" }],
      ["whole", { prefix: "user:42" }],
      ["longer", "user:421"],
      ["longer prefix", { prefix: "user:421" }],
      ["other", "user:4"],
      ["empty", ""],
    ];
    for (const [name, topic] of topics) subscriptions.add(topic, note(name));
    const names = (key: string) => deliver(key).map((line) => line.replace(`:${key}`, "")).sort();
    assertEquals(names("user:42"), ["all", "exact", "user", "whole"]);
    assertEquals(names("user:421"), ["all", "longer", "longer prefix", "user", "whole"]);
    assertEquals(names("user:"), ["all", "user"]);
    assertEquals([names("use"), names("")], [["all"], ["all", "empty"]]);
    assertEquals(["user:42", "user:421", "", "x"].map((key) => subscriptions.count(key)), [4, 5, 2, 1]);
  });

  test("to those of one topic in the order in which they subscribed", () => {
    const { subscriptions, note, deliver } = setUp();
    for (const name of ["1", "2", "3"]) subscriptions.add("k", note(name));
    const second = subscriptions.add("k", note("4"));
    subscriptions.add("k", note("5"));
    second.close();
    subscriptions.add("k", note("6"));
    assertEquals(deliver("k"), ["1:k", "2:k", "3:k", "5:k", "6:k"]);
  });

  test("as an event with its key, cause and the publisher's fields", () => {
    const { subscriptions } = setUp();
    const events: unknown[] = [];
    subscriptions.add("k", (event) => events.push(event));
    subscriptions.add({ prefix: "" }, (event) => events.push(event));
    const metadata = { region: "eu", vectorClock: { a: 1 }, scope: "global" } as const;
    subscriptions.deliver("k");
    subscriptions.deliver("k", metadata);
    const [bare, full] = [{ key: "k", cause: "publish" }, { ...metadata, key: "k", cause: "publish" }];
    assertEquals(events, [bare, bare, full, full]);
    assertEquals(subscriptions.counts, { events: 4, merged: 0, overflows: 0 });
  });

  test("before `deliver` returns, which reports how many took it", () => {
    const { subscriptions, note } = setUp();
    assertEquals(subscriptions.deliver("k"), 0);
    subscriptions.add("k", note("1"));
    subscriptions.add({ prefix: "k" }, note("2"));
    subscriptions.add("other", note("3"));
    assertEquals(subscriptions.deliver("k"), 2);
  });
});

describe("a callback that fails", () => {
  test("is counted and reported, and does not affect others", async () => {
    const { subscriptions, errors, note, deliver } = setUp();
    const failures = ["thrown", "rejected", "then", "then threw"].map((text) => new Error(text));
    subscriptions.add("k", () => {
      throw failures[0];
    });
    subscriptions.add("k", () => Promise.reject(failures[1]));
    subscriptions.add(
      "k",
      () => ({ then: (_: unknown, reject: (error: unknown) => void) => reject(failures[2]) }),
    );
    subscriptions.add("k", () => ({
      then() {
        throw failures[3];
      },
    }));
    subscriptions.add("k", note("last"));
    assertEquals([subscriptions.deliver("k"), deliver("k")], [5, ["last:k"]]);
    await settle();
    assertEquals(errors.length, 8);
    for (const failure of failures) {
      assertEquals(errors.filter((error) => error === failure).length, 2, failure.message);
    }
  });

  test("is called again with the next event", () => {
    const { subscriptions } = setUp();
    let calls = 0;
    const nothing: unknown = undefined;
    subscriptions.add("k", () => {
      calls++;
      throw nothing;
    });
    subscriptions.deliver("k");
    subscriptions.deliver("k");
    assertEquals(calls, 2);
  });
});

describe("a callback may", () => {
  test("end its own subscription", () => {
    const { subscriptions, note, deliver } = setUp();
    const own: Subscription = subscriptions.add("k", (event) => {
      own.close();
      note("own")(event);
    });
    subscriptions.add("k", note("next"));
    assertEquals([deliver("k"), deliver("k")], [["own:k", "next:k"], ["next:k"]]);
  });

  test("end others, which are then not called any more", () => {
    const { subscriptions, note, deliver } = setUp();
    subscriptions.add("k", (event) => {
      for (const other of others) other.close();
      note("first")(event);
    });
    const topics: readonly Topic[] = ["k", { prefix: "k" }, { prefix: "" }];
    const others = topics.map((topic) => subscriptions.add(topic, note("other")));
    subscriptions.add({ prefix: "" }, note("last"));
    assertEquals(deliver("k"), ["first:k", "last:k"]);
  });

  test("subscribe, and what it adds gets the next event first, whatever its topic", () => {
    for (const topic of ["k", { prefix: "k" }, { prefix: "" }] as const) {
      for (const own of ["k", { prefix: "" }] as const) {
        const { subscriptions, note, deliver } = setUp();
        const adding = subscriptions.add(own, (event) => {
          note("adding")(event);
          subscriptions.add(topic, note("added"));
          adding.close();
        });
        const name = JSON.stringify([own, topic]);
        assertEquals([deliver("k"), deliver("k")], [["adding:k"], ["added:k"]], name);
      }
    }
  });

  test("publish in turn", () => {
    const { subscriptions, note, deliver } = setUp();
    subscriptions.add("a", (event) => {
      note("a")(event);
      subscriptions.deliver("b");
    });
    subscriptions.add({ prefix: "" }, note("all"));
    subscriptions.add("b", note("b"));
    assertEquals(deliver("a"), ["a:a", "b:b", "all:b", "all:a"]);
  });
});

describe("a subscription ends", () => {
  test("with `close`, again and again", () => {
    const { subscriptions, note, deliver } = setUp();
    const subscription = subscriptions.add("k", note("1"));
    assertEquals([subscription.topic, subscription.closed], ["k", false]);
    subscription.close();
    subscription.close();
    assertEquals([subscription.closed, deliver("k"), subscriptions.count("k")], [true, [], 0]);
  });

  test("with `remove` of its own topic, not of another's", () => {
    const { subscriptions, note, deliver } = setUp();
    const exact = subscriptions.add("k", note("exact"));
    const prefix = subscriptions.add({ prefix: "k" }, note("prefix"));
    const wrong: readonly [Topic, Subscription][] = [["x", exact], [{ prefix: "k" }, exact], ["k", prefix]];
    for (const [topic, subscription] of [...wrong, [{ prefix: "" }, prefix]] as const) {
      subscriptions.remove(topic, subscription);
    }
    assertEquals([deliver("k"), exact.closed, prefix.closed], [["exact:k", "prefix:k"], false, false]);
    subscriptions.remove("k", exact);
    subscriptions.remove({ prefix: "k" }, prefix);
    assertEquals([deliver("k"), exact.closed, prefix.closed], [[], true, true]);
    subscriptions.remove("k", exact);
  });

  test("not by another bus that has the same topic", () => {
    const [one, other] = [setUp(), setUp()];
    const subscription = one.subscriptions.add("k", one.note("1"));
    other.subscriptions.add("k", other.note("2"));
    other.subscriptions.remove("k", subscription);
    assertEquals([subscription.closed, one.deliver("k"), other.deliver("k")], [false, ["1:k"], ["2:k"]]);
  });

  test("with its signal, whose listener is removed then", () => {
    const { subscriptions, note, deliver } = setUp();
    const controller = new AbortController();
    const listeners = countListeners(controller.signal);
    const subscription = subscriptions.add("k", note("1"), { signal: controller.signal });
    assertEquals([deliver("k"), listeners.count], [["1:k"], 1]);
    controller.abort();
    assertEquals([subscription.closed, deliver("k"), subscriptions.count("k"), listeners.count], [true, [], 0, 0]);
  });

  test("before it begins when its signal has aborted", () => {
    const { subscriptions, note, deliver } = setUp();
    const signal = AbortSignal.abort();
    const listeners = countListeners(signal);
    const subscription = subscriptions.add({ prefix: "" }, note("1"), { signal });
    assertEquals([subscription.closed, deliver("k"), subscriptions.count("k"), listeners.count], [true, [], 0, 0]);
  });

  test("and its signal has no listener, however it ends", () => {
    const { subscriptions, note } = setUp();
    const { signal } = new AbortController();
    const listeners = countListeners(signal);
    const add = () => subscriptions.add("k", note("1"), { signal });
    add().close();
    subscriptions.remove("k", add());
    add();
    assertEquals(listeners.count, 1);
    subscriptions.closeAll();
    assertEquals([listeners.count, subscriptions.count("k")], [0, 0]);
  });

  test("with all others, when all are closed", () => {
    const { subscriptions, note, deliver } = setUp();
    const topics: readonly Topic[] = ["a", "a", "b", { prefix: "" }, { prefix: "a" }, { prefix: "b" }, { prefix: "a" }];
    const all = topics.map((topic) => subscriptions.add(topic, note("1")));
    subscriptions.closeAll();
    assertEquals([all.every(({ closed }) => closed), deliver("a"), deliver("b")], [true, [], []]);
  });

  test("though its topic's object was changed meanwhile", () => {
    const { subscriptions, note, deliver } = setUp();
    const topic = { prefix: "a" };
    const subscription = subscriptions.add(topic, note("1"));
    topic.prefix = "b";
    assertEquals([deliver("a"), deliver("b"), subscription.topic], [["1:a"], [], { prefix: "a" }]);
    subscription.close();
    assertEquals(deliver("a"), []);
  });
});

describe("misuse", () => {
  const { subscriptions, note, deliver } = setUp();
  const add = subscriptions.add.bind(subscriptions) as (...args: unknown[]) => Subscription;
  const remove = subscriptions.remove.bind(subscriptions) as (...args: unknown[]) => void;

  const capacities = [0, -1, 1.5, NaN, Infinity, "3", {}];
  for (const capacity of capacities) {
    test(`is a capacity of ${JSON.stringify(capacity) ?? String(capacity)}`, () => {
      const type = typeof capacity === "number" ? RangeError : TypeError;
      const { message } = assertThrows(() => add("k", { capacity }), type);
      assertEquals(message.replace(/: .*/, ""), "Cannot subscribe as `capacity` must be an integer from 1");
      assertThrows(() => add("k", note("1"), { capacity }), type);
    });
  }

  const topics = [undefined, null, 5, {}, { prefix: 5 }, [], "\ud800", { prefix: "a\udc00" }, () => {}];
  for (const [i, topic] of topics.entries()) {
    test(`is a value that is no topic (${i})`, () => {
      assertThrows(() => add(topic, note("1")), TypeError, "Cannot subscribe as the topic must be");
      assertThrows(() => remove(topic, add("other")), TypeError, "Cannot unsubscribe as the topic must be");
    });
  }

  test("is a callback that is no function", () => {
    for (const callback of ["f", 5, true]) {
      assertThrows(() => add("k", callback), TypeError, "Cannot subscribe as the callback must be a function");
    }
  });

  test("is a signal that is none, such as its controller", () => {
    for (const signal of [new AbortController(), {}, true]) {
      assertThrows(
        () => add("k", note("1"), { signal }),
        TypeError,
        "Cannot subscribe as `signal` must be an AbortSignal",
      );
    }
  });

  test("is to unsubscribe what `subscribe` did not return", () => {
    for (const subscription of [undefined, null, {}, "k", note("1")]) {
      assertThrows(() => remove("k", subscription), TypeError, "Cannot unsubscribe as it takes what");
    }
  });

  test("leaves nothing subscribed", () => {
    assertEquals([deliver("k"), subscriptions.count("k"), subscriptions.counts.events], [[], 0, 0]);
  });

  test("is not an option that is undefined", () => {
    const subscription = add("fine", { capacity: undefined, signal: undefined });
    assertFalse(subscription.closed);
    assert(Symbol.asyncIterator in subscription);
    assertStrictEquals(add("fine", undefined).closed, false);
  });
});

describe("a published prefix is delivered", () => {
  test("once to each subscription that has keys in common with it, callbacks first", () => {
    const { subscriptions } = setUp();
    const got: string[] = [];
    const topics: readonly Topic[] = [
      "user:1",
      "user:",
      "user",
      "order:1",
      { prefix: "" },
      { prefix: "us" },
      { prefix: "user:" },
      { prefix: "user:1" },
      { prefix: "order" },
    ];
    for (const topic of topics) {
      subscriptions.add(
        topic,
        (event) => got.push(`${JSON.stringify(topic)} ${event.key} ${event.prefix} ${event.cause}`),
      );
    }
    assertEquals(subscriptions.deliverPrefix("user:"), 6);
    assertEquals(got, [
      '"user:1" user:1 user: publish',
      '"user:" user: user: publish',
      '{"prefix":""} user: user: publish',
      '{"prefix":"us"} user: user: publish',
      '{"prefix":"user:"} user: user: publish',
      '{"prefix":"user:1"} user:1 user: publish',
    ]);
    got.length = 0;
    assertEquals([subscriptions.deliverPrefix(""), got.length], [topics.length, topics.length]);
  });

  test("to iterated subscriptions after all callbacks, and not to those made meanwhile", async () => {
    const { subscriptions, log, note } = setUp();
    const iterated = subscriptions.add({ prefix: "a" });
    const first = iterated[Symbol.asyncIterator]().next().then(({ value }) => log.push(`iterated:${value?.prefix}`));
    subscriptions.add("ab", () => {
      log.push("callback");
      subscriptions.add("abc", note("late"));
    });
    subscriptions.deliverPrefix("a");
    await first;
    assertEquals(log, ["callback", "iterated:a"]);
  });

  test("in steps: the caller can look at the time between them", () => {
    const { subscriptions, note } = setUp();
    for (let i = 0; i < 1000; i++) subscriptions.add(`other:${i}`, note("other"));
    subscriptions.add("user:1", note("user"));
    const steps = [...subscriptions.offerPrefix("user:", subscriptions.newest, false)];
    assertEquals(steps.map((step) => step?.topic), [undefined, undefined, undefined, "user:1"]);
  });
});

test("a wrong wish about when an event counts as delivered is refused", () => {
  const { subscriptions } = setUp();
  const add = (options: object) => () => subscriptions.add("k", () => {}, options);
  assertThrows(add({ deliveredWhen: "later" }), TypeError, '`deliveredWhen` must be "returned" or "settled"');
  for (const settleTimeout of [0, -1, NaN, 600_001]) {
    assertThrows(
      add({ deliveredWhen: "settled", settleTimeout }),
      RangeError,
      "`settleTimeout` must be a number from 1",
    );
  }
  assertThrows(add({ settleTimeout: "5" }), TypeError, "`settleTimeout` must be");
});
