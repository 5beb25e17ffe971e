// The bus inside one process, method by method, as go-warp's InMemoryBus has them.
import { describe, test } from "node:test";
import { assert, assertEquals, assertFalse, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { VirtualClock } from "../../adapters/memory.ts";
import { ClosedError, KeyTooLongError, QuorumNotSatisfiedError, QuorumUnsupportedError } from "../../src/errors.ts";
import { InProcessBus } from "../../src/pubsub/in_process_bus.ts";
import type { LoadGuard } from "../../src/pubsub/load_guard.ts";
import type { PublishOptions, SyncBus, SyncEvent } from "../../src/pubsub/sync_bus.ts";
import { settle } from "../support/outcome.ts";

function setUp() {
  const errors: unknown[] = [];
  const replica = new InProcessBus({ onError: (error) => errors.push(error) });
  const bus: SyncBus = replica;
  /** The publisher: subscribers of `bus` do not get what it publishes itself. */
  const other: SyncBus = replica.replica();
  const events: SyncEvent[] = [];
  const keep = (event: SyncEvent) => events.push(event);
  const keys = () => events.map(({ key }) => key);
  return { bus, other, errors, events, keep, keys };
}

const BAD_KEYS: readonly unknown[] = [undefined, null, 5, {}, "\ud800"];

describe("publish", () => {
  test("delivers to the subscribers of the key before it resolves", async () => {
    const { bus, other, keep, events } = setUp();
    bus.subscribe("user:42", keep);
    bus.subscribe({ prefix: "user:" }, keep);
    bus.subscribe("user:4", keep);
    await other.publish("user:42");
    assertEquals(events, new Array(2).fill({ key: "user:42", cause: "publish" }));
  });

  test("carries region, vector clock and scope, where there are any", async () => {
    const { bus, other, keep, events } = setUp();
    bus.subscribe({ prefix: "" }, keep);
    const options: PublishOptions = { region: "eu", vectorClock: { a: 1, b: 2 }, scope: "local" };
    await other.publish("a", options);
    await other.publish("b", { region: "us", scope: "global", signal: new AbortController().signal });
    await other.publish("c", {});
    assertEquals(events, [
      { region: "eu", vectorClock: { a: 1, b: 2 }, scope: "local", key: "a", cause: "publish" },
      { region: "us", scope: "global", key: "b", cause: "publish" },
      { key: "c", cause: "publish" },
    ]);
  });

  test("keeps a copy of the clock, though the publisher counts on", async () => {
    const { bus, other } = setUp();
    const subscription = bus.subscribe({ prefix: "" });
    const vectorClock = { me: 1 };
    await other.publish("a", { vectorClock });
    vectorClock.me++;
    await other.publish("b", { vectorClock });
    await bus.close();
    const clocks: unknown[] = [];
    for await (const event of subscription) clocks.push(event.vectorClock);
    assertEquals(clocks, [{ me: 1 }, { me: 2 }]);
  });

  test("takes keys from none to 1,366 bytes, as a mesh does", async () => {
    const { bus, other, keep, keys } = setUp();
    bus.subscribe({ prefix: "" }, keep);
    const long = "é".repeat(683);
    await other.publish("");
    await other.publish(long);
    const publish = [
      () => other.publish(`${long}x`),
      () => other.publishAndAwait(`${long}x`, 0),
      () => other.revokeLease(long),
    ];
    for (const refused of publish) {
      const error = await assertRejects(refused, KeyTooLongError, "Cannot publish as a key must fit one datagram");
      assertEquals(error.limit, 1366);
    }
    assertEquals(keys(), ["", long]);
  });

  test("rejects with a TypeError when the key is no well-formed string", async () => {
    const { bus, other, keep, events } = setUp();
    bus.subscribe({ prefix: "" }, keep);
    for (const key of BAD_KEYS) {
      const error = await assertRejects(() => other.publish(key as string), TypeError);
      assertEquals(error.message.split(":")[0], "Cannot publish as the key must be a well-formed string or { prefix");
    }
    assertEquals([events, other.metrics()], [[], { published: 0, delivered: 0 }]);
  });

  test("rejects with the signal's reason when it has aborted, and publishes nothing", async () => {
    const { bus, other, keep, events } = setUp();
    bus.subscribe("k", keep);
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    for (const promise of [other.publish("k", { signal }), other.publishAndAwait("k", 1, { signal })]) {
      assertStrictEquals(await assertRejects(() => promise), reason);
    }
    assertEquals(events, []);
  });

  test("is not affected by a callback that throws or rejects", async () => {
    const { bus, other, errors, keep, keys } = setUp();
    const failures = [new Error("thrown"), new Error("rejected")];
    bus.subscribe("k", () => {
      throw failures[0];
    });
    bus.subscribe("k", () => Promise.reject(failures[1]));
    bus.subscribe("k", keep);
    await other.publish("k");
    await settle();
    assertEquals([keys(), errors.length], [["k"], 2]);
    failures.forEach((failure, i) => assertStrictEquals(errors[i], failure));
    // Without `onError` they are dropped.
    const silent = new InProcessBus();
    silent.subscribe("k", () => Promise.reject(new Error("dropped")));
    await silent.publish("k", { self: true });
    await settle();
  });
});

describe("publishAndAwait", () => {
  test("counts replicas, not subscribers, and says what each has answered", async () => {
    const { bus, other, keep, keys } = setUp();
    const third = other instanceof InProcessBus ? other.replica() : other;
    bus.subscribe("k", keep);
    bus.subscribe({ prefix: "" }, keep);
    other.subscribe("k", keep, { self: true });
    const { acknowledgements } = await other.publishAndAwait("k", 2, { region: "eu" });
    assertEquals(acknowledgements, [
      { node: "in-process:1", outcome: "delivered" },
      { node: "in-process:3", outcome: "unsubscribed" },
    ]);
    assertEquals(keys(), ["k", "k", "k"]);
    await third.close();
    assertEquals((await other.publishAndAwait("k", "all")).acknowledgements.length, 1);
  });

  test("of a prefix counts in the same way", async () => {
    const { bus, other, keep, events } = setUp();
    bus.subscribe("user:1", keep);
    bus.subscribe({ prefix: "user:1" }, keep);
    bus.subscribe({ prefix: "" }, keep);
    bus.subscribe("order:1", keep);
    await other.publishAndAwait({ prefix: "user:" }, 1, { vectorClock: { a: 2n ** 63n } });
    const shared = { vectorClock: { a: 2n ** 63n }, cause: "publish", prefix: "user:" } as const;
    assertEquals(events, [
      { ...shared, key: "user:1" },
      { ...shared, key: "user:1" },
      { ...shared, key: "user:" },
    ]);
  });

  test("rejects with a QuorumNotSatisfiedError when there are fewer, and publishes nothing", async () => {
    const { bus, other, keep, events } = setUp();
    bus.subscribe("k", keep);
    const error = await assertRejects(() => other.publishAndAwait("k", 2), QuorumNotSatisfiedError);
    assertEquals([error.required, error.acknowledged, error.name], [2, 0, "QuorumNotSatisfiedError"]);
    assertEquals(error.missing, [{ node: "in-process:1", reason: "pending" }]);
    assertEquals([events, other.metrics()], [[], { published: 0, delivered: 0 }]);
  });

  test("rejects with a QuorumUnsupportedError when there is no other replica, and publishes nothing", async () => {
    const bus = new InProcessBus();
    for (const replicas of [1, "all"] as const) {
      await assertRejects(() => bus.publishAndAwait("k", replicas), QuorumUnsupportedError);
    }
    await assertRejects(() => bus.publishAndAwaitTopology("k", 1), QuorumUnsupportedError);
    assertEquals(bus.metrics().published, 0);
  });

  test("does not count a replica whose callback threw", async () => {
    const { bus, other } = setUp();
    bus.subscribe("k", () => {
      throw new Error("no");
    });
    const error = await assertRejects(() => other.publishAndAwait("k", 1), QuorumNotSatisfiedError);
    assertEquals([error.acknowledged, error.missing], [0, [{ node: "in-process:1", reason: "failed" }]]);
    assertEquals(error.acknowledgements, [{ node: "in-process:1", outcome: "failed" }]);
  });

  test("waits for the promise of a callback that says so, and fails when that rejects", async () => {
    const { bus, other } = setUp();
    let end: (error?: Error) => void = () => {};
    const work = () => new Promise<void>((resolve, reject) => end = (error) => error ? reject(error) : resolve());
    bus.subscribe("k", work, { deliveredWhen: "settled" });
    let hasResolved = false;
    const first = other.publishAndAwait("k", 1).then(() => hasResolved = true);
    await settle();
    assertFalse(hasResolved);
    end();
    await first;
    const second = other.publishAndAwait("k", "all");
    end(new Error("no"));
    await assertRejects(() => second, QuorumNotSatisfiedError, "in-process:1 failed");
  });

  test("is limited in time where the bus has a clock", async () => {
    const clock = new VirtualClock();
    const bus = new InProcessBus({ clock });
    const other = bus.replica();
    bus.subscribe("k", () => new Promise(() => {}), { deliveredWhen: "settled" });
    const late = assertRejects(() => other.publishAndAwait("k", 1, { timeout: 100 }), QuorumNotSatisfiedError);
    await clock.advance(100);
    assertEquals((await late).missing, [{ node: "in-process:1", reason: "pending" }]);
    const failed = assertRejects(() => other.publishAndAwait("k", 1), QuorumNotSatisfiedError);
    await clock.advance(5000);
    assertEquals((await failed).missing, [{ node: "in-process:1", reason: "failed" }]);
    assertEquals(clock.pending, 0);
  });

  test("ends when the signal aborts, when the bus closes, and when all others have left", async () => {
    const { bus, other } = setUp();
    bus.subscribe("k", () => new Promise(() => {}), { deliveredWhen: "settled" });
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborted = assertRejects(() => other.publishAndAwait("k", 1, { signal: controller.signal }));
    const all = other.publishAndAwait("k", "all");
    const one = assertRejects(() => other.publishAndAwait("k", 1), QuorumNotSatisfiedError);
    await settle();
    controller.abort(reason);
    assertStrictEquals(await aborted, reason);
    await bus.close();
    assertEquals(await all, { acknowledgements: [] });
    assertEquals((await one).acknowledged, 0);
    const { bus: third, other: fourth } = setUp();
    third.subscribe("k", () => new Promise(() => {}), { deliveredWhen: "settled" });
    const closed = assertRejects(() => fourth.publishAndAwait("k", 1), ClosedError);
    await fourth.close();
    await closed;
  });

  test("with 0 behaves as publish", async () => {
    const { bus, other, keep, keys } = setUp();
    await other.publishAndAwait("k", 0);
    bus.subscribe("k", keep);
    assertEquals(await other.publishAndAwait("k", 0), { acknowledgements: [] });
    await other.publishAndAwaitTopology("k", 0);
    assertEquals([keys(), other.metrics().published], [["k", "k"], 3]);
  });

  test("counts an event that is in the queue of a subscription, or merged there, or covered by an overflow", async () => {
    const { bus, other } = setUp();
    const slow = bus.subscribe({ prefix: "" }, { capacity: 1 })[Symbol.asyncIterator]();
    for (const key of ["a", "a", "b", "c"]) await other.publishAndAwait(key, 1);
    assertEquals([other.metrics().published, bus.metrics().delivered], [4, 2]);
    assertEquals([(await slow.next()).value?.key, (await slow.next()).value?.cause], ["a", "overflow"]);
  });

  test("rejects misuse before anything is published", async () => {
    const { bus, other, keep, events } = setUp();
    bus.subscribe("k", keep);
    for (const count of [-1, 0.5, NaN, Infinity, "2" as unknown as number]) {
      const rule = [count === "2" as unknown ? TypeError : RangeError, `must be an integer from 0`] as const;
      await assertRejects(() => other.publishAndAwait("k", count), ...rule);
      await assertRejects(() => other.publishAndAwaitTopology("k", count), ...rule);
    }
    for (const timeout of [0, -1, NaN, 86_400_001]) {
      await assertRejects(() => other.publishAndAwait("k", 1, { timeout }), RangeError, "`timeout` must be");
    }
    for (const key of BAD_KEYS) await assertRejects(() => other.publishAndAwait(key as string, 0), TypeError);
    assertEquals(events, []);
  });
});

describe("publishAndAwaitTopology", () => {
  test("counts distinct zones, its own one only when asked, and replicas without a zone for none", async () => {
    const bus = new InProcessBus({ zone: "a" });
    for (const zone of ["a", "b", "b", "c", undefined]) bus.replica({ zone });
    await bus.publishAndAwaitTopology("k", 2);
    const error = await assertRejects(() => bus.publishAndAwaitTopology("k", 3), QuorumNotSatisfiedError);
    assertEquals([error.required, error.published], [3, false]);
    assert(error.message.startsWith("Quorum not satisfied: nothing was published as 3 zones are not there ("));
    await bus.publishAndAwaitTopology("k", 3, { ownZone: true });
    assertEquals(bus.metrics().published, 2);
  });

  test("refuses a zone that is empty or too long", () => {
    const bus = new InProcessBus();
    for (const zone of ["", "x".repeat(65), "é".repeat(33)]) {
      assertThrows(() => new InProcessBus({ zone }), RangeError, "`zone` must have 1 to 64 bytes");
      assertThrows(() => bus.replica({ zone }), RangeError, "`zone` must have 1 to 64 bytes");
    }
    assertThrows(() => bus.replica({ zone: "\ud800" }), TypeError, "well-formed");
  });
});

describe("scope", () => {
  test("local stays in the region of the publisher, and where no region is known", async () => {
    const bus = new InProcessBus({ region: "eu" });
    const heard: string[] = [];
    for (const region of ["eu", "us", undefined]) {
      bus.replica({ region }).subscribe({ prefix: "" }, (event) => heard.push(`${event.key} in ${region}`));
    }
    await bus.publish("a", { scope: "local" });
    await bus.publish("b", { scope: "local", region: "us" });
    await bus.publish("c", { scope: "global" });
    const everywhere = ["c in eu", "c in us", "c in undefined"];
    assertEquals(heard, ["a in eu", "a in undefined", "b in us", "b in undefined", ...everywhere]);
  });
});

describe("subscribe", () => {
  test("takes a key or a prefix, with a callback or to be iterated, with capacity and signal", async () => {
    const { bus, other, keep, keys } = setUp();
    const controller = new AbortController();
    bus.subscribe("k1", keep, { signal: controller.signal });
    const iterated = bus.subscribe({ prefix: "k" }, { capacity: 1, signal: controller.signal });
    for (const key of ["k1", "k2"]) await other.publish(key);
    controller.abort();
    await other.publish("k1");
    const causes: string[] = [];
    for await (const { cause } of iterated) causes.push(cause);
    assertEquals([keys(), causes], [["k1"], ["publish", "overflow"]]);
  });
});

describe("replica", () => {
  test("gets what all others publish, and not what it publishes itself", async () => {
    const first = new InProcessBus();
    const second = first.replica();
    const all = [first, second, second.replica()];
    const heard: string[] = [];
    for (const [i, bus] of all.entries()) bus.subscribe({ prefix: "" }, ({ key }) => heard.push(`${key} at ${i}`));
    for (const [i, bus] of all.entries()) await bus.publish(`of ${i}`);
    assertEquals(heard, ["of 0 at 1", "of 0 at 2", "of 1 at 0", "of 1 at 2", "of 2 at 0", "of 2 at 1"]);
    await second.close();
    await first.publish("left");
    assertEquals(heard.slice(6), ["left at 2"]);
  });

  test("that a callback makes, or subscribes at, does not get what was published before", async () => {
    const { bus, other, keep, events } = setUp();
    const later = new InProcessBus();
    const third = later.replica();
    later.subscribe("k", () => {
      third.subscribe("k", keep);
      later.replica().subscribe("k", keep);
    });
    await later.replica().publish("k");
    assertEquals(events, []);
    bus.subscribe("k", keep);
    await later.publish("k");
    await other.publish("k");
    assertEquals(events.length, 3);
  });

  test("detects that a load is overtaken, whichever replica publishes", async () => {
    const { bus, other } = setUp();
    const guards = [bus.guard("k"), other.guard("k"), bus.guard("other")];
    await other.publish("k");
    assertEquals(guards.map((guard) => guard.isFresh()), [false, false, true]);
  });
});

describe("unsubscribe", () => {
  test("closes a subscription to the topic, and nothing else", async () => {
    const { bus, other, keep, keys } = setUp();
    const subscription = bus.subscribe("k", keep);
    bus.unsubscribe("x", subscription);
    await other.publish("k");
    assertFalse(subscription.closed);
    bus.unsubscribe("k", subscription);
    bus.unsubscribe("k", subscription);
    await other.publish("k");
    assertEquals([keys(), subscription.closed], [["k"], true]);
  });
});

describe("leases", () => {
  test("revokeLease reaches subscribeLease, until unsubscribeLease", async () => {
    const { bus, other, keep, events } = setUp();
    const called = bus.subscribeLease("session-1", keep);
    const iterated = bus.subscribeLease("session-1", { capacity: 5 });
    bus.subscribeLease("session-2", keep);
    await other.revokeLease("session-1", { region: "eu" });
    assertEquals(events, [{ region: "eu", key: "lease:session-1", cause: "publish" }]);
    bus.unsubscribeLease("session-2", called);
    assertFalse(called.closed);
    for (const each of [called, iterated]) bus.unsubscribeLease("session-1", each);
    await other.revokeLease("session-1");
    assertEquals([events.length, called.closed, (await iterated[Symbol.asyncIterator]().next()).value?.key], [
      1,
      true,
      "lease:session-1",
    ]);
  });

  test("are keys that begin with lease:", async () => {
    const { bus, other, keep, keys } = setUp();
    bus.subscribe("lease:a", keep);
    bus.subscribeLease("b", keep);
    await other.revokeLease("a");
    await other.publish("lease:b");
    assertEquals(keys(), ["lease:a", "lease:b"]);
  });
});

describe("guard", () => {
  test("is fresh until its key is published", async () => {
    const { bus, other } = setUp();
    const [one, two, lease] = ["k", "k2", "lease:a"].map((key) => bus.guard(key));
    const fresh = () => [one, two, lease].map((guard) => guard?.isFresh());
    assertEquals([one?.key, fresh()], ["k", [true, true, true]]);
    await other.publish("k1");
    assertEquals(fresh(), [true, true, true]);
    await other.publish("k");
    assertEquals(fresh(), [false, true, true]);
    await other.publishAndAwait("k2", 0);
    await other.revokeLease("a");
    assertEquals(fresh(), [false, false, false]);
    assert(bus.guard("k").isFresh());
  });

  test("stays fresh when a publish is refused", async () => {
    const { bus, other } = setUp();
    const guard = bus.guard("k");
    await assertRejects(() => other.publishAndAwait("k", 2), QuorumNotSatisfiedError);
    await assertRejects(() => other.publish("k", { signal: AbortSignal.abort() }));
    assert(guard.isFresh());
  });

  test("is overtaken before the callbacks of the key, and one that they take is fresh", async () => {
    const { bus, other } = setUp();
    const guard = bus.guard("k");
    const fresh: boolean[] = [];
    const taken: LoadGuard[] = [];
    bus.subscribe("k", () => {
      fresh.push(guard.isFresh());
      taken.push(bus.guard("k"));
    });
    await other.publish("k");
    assertEquals([fresh, taken.map((each) => each.isFresh())], [[false], [true]]);
  });

  test("keeps a slow load that was overtaken out of a cache", async () => {
    const { bus, other } = setUp();
    const rows = new Map([["k", 1]]);
    const cache = new Map<string, number>();
    bus.subscribe({ prefix: "" }, ({ key }) => cache.delete(key));
    const load = async (change: () => Promise<void>) => {
      const guard = bus.guard("k");
      const row = rows.get("k") ?? 0;
      await change();
      if (guard.isFresh()) cache.set("k", row);
    };
    await load(() => {
      rows.set("k", 2);
      return other.publish("k");
    });
    assertEquals([...cache], []);
    await load(async () => {});
    assertEquals([...cache], [["k", 2]]);
  });

  test("is never fresh once the bus is closed", async () => {
    const { bus } = setUp();
    const guard = bus.guard("k");
    await bus.close();
    assertEquals([guard.isFresh(), bus.guard("k").isFresh(), bus.guard("new").isFresh()], [false, false, false]);
  });

  test("is good for the next 65,536 keys, and is then given up on the safe side", () => {
    const { bus } = setUp();
    const guard = bus.guard("k");
    for (let i = 1; i < 65_536; i++) bus.guard(`k${i}`);
    assert(guard.isFresh());
    for (let i = 0; i < 2 * 65_536; i++) bus.guard(`later${i}`);
    assertFalse(guard.isFresh());
    assert(bus.guard("k").isFresh());
  });

  test("takes what can be published, and nothing else", () => {
    const { bus } = setUp();
    for (const key of ["", "__proto__", "é".repeat(683)]) assert(bus.guard(key).isFresh());
    for (const key of BAD_KEYS) {
      assertThrows(() => bus.guard(key as string), TypeError, "Cannot guard as the key must be a well-formed string");
    }
    assertThrows(() => bus.guard("x".repeat(1367)), KeyTooLongError, "Cannot guard as a key must fit");
  });
});

describe("isHealthy", () => {
  test("is true until the bus is closed", async () => {
    const { bus } = setUp();
    assert(bus.isHealthy());
    await bus.close();
    assertFalse(bus.isHealthy());
  });
});

describe("metrics", () => {
  test("count keys that were published and events that were taken", async () => {
    const { bus, other, keep } = setUp();
    assertEquals(bus.metrics(), { published: 0, delivered: 0 });
    await other.publish("nobody's");
    bus.subscribe("k", keep);
    bus.subscribe({ prefix: "" }, keep);
    await other.publish("k");
    await other.publishAndAwait("k", 1);
    assertEquals(bus.metrics(), { published: 0, delivered: 4 });
    assertEquals(other.metrics(), { published: 3, delivered: 0 });
  });
});

describe("peers", () => {
  test("are the other replicas that are open", async () => {
    const bus = new InProcessBus();
    assertEquals(bus.peers(), []);
    const [second, third] = [bus.replica(), bus.replica()];
    const fourth = third.replica();
    assertEquals([bus.peers(), fourth.peers()], [
      ["in-process:2", "in-process:3", "in-process:4"],
      ["in-process:1", "in-process:2", "in-process:3"],
    ]);
    await Promise.all([bus.close(), second.close()]);
    assertEquals([third.peers(), fourth.peers()], [["in-process:4"], ["in-process:3"]]);
    assertThrows(() => bus.replica(), ClosedError, "Cannot make a replica as the bus is closed");
  });
});

describe("close", () => {
  test("ends subscriptions and refuses later calls", async () => {
    const { bus, other, keep, events } = setUp();
    const called = bus.subscribe("k", keep);
    const iterated = bus.subscribe("k");
    const waiting = bus.subscribe("x")[Symbol.asyncIterator]().next();
    await other.publish("k");
    const closed = bus.close();
    assertStrictEquals(bus.close(), closed);
    await closed;
    assertEquals([called.closed, iterated.closed, (await waiting).done], [true, true, true]);
    const refused = [
      () => bus.publish("k"),
      () => bus.publishAndAwait("k", 0),
      () => bus.publishAndAwaitTopology("k", 0),
      () => bus.revokeLease("k"),
    ];
    for (const publish of refused) await assertRejects(publish, ClosedError, "Cannot publish as the bus is closed");
    const message = "Cannot subscribe as the bus is closed";
    assertThrows(() => bus.subscribe("k", keep), ClosedError, message);
    assertThrows(() => bus.subscribeLease("k"), ClosedError, message);
    bus.unsubscribe("k", called);
    bus.unsubscribeLease("k", called);
    assertEquals([events.length, bus.metrics(), bus.peers()], [1, { published: 0, delivered: 2 }, ["in-process:2"]]);
  });

  test("may be called by a callback", async () => {
    const { bus, other, keep, keys } = setUp();
    bus.subscribe("k", () => bus.close());
    bus.subscribe("k", keep);
    await other.publish("k");
    assertEquals([keys(), bus.isHealthy()], [[], false]);
  });

  test("is Symbol.asyncDispose", async () => {
    const { bus } = setUp();
    await bus[Symbol.asyncDispose]();
    assertFalse(bus.isHealthy());
    assertStrictEquals(bus.close(), bus.close());
  });
});

describe("a wrong value of an option", () => {
  test("is refused when the bus is made, not when something fails", () => {
    for (const onError of ["log", null, {}]) {
      // @ts-expect-error As a program without types passes it.
      assertThrows(() => new InProcessBus({ onError }), TypeError, "`onError` must be a function");
    }
  });

  test("is refused by `publish` as on a mesh", async () => {
    const bus = new InProcessBus();
    // @ts-expect-error The controller of a signal is none.
    const publishing = () => bus.publish("k", { signal: new AbortController() });
    await assertRejects(publishing, TypeError, "Cannot publish as `signal` must be an AbortSignal");
    assertEquals(bus.metrics().published, 0);
  });
});
