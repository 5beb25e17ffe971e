// Own events: a bus's own keys at its own subscriptions, and texts that are no key. The same on every bus.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { InProcessBus, KeyTooLongError, MeshBus, type MeshOptions, type SyncBus, type SyncEvent } from "../../mod.ts";

interface Scene {
  readonly bus: SyncBus;
  readonly other: SyncBus;
  /** Advances time until everything has arrived. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

async function openTwo(options: MeshOptions = {}) {
  const network = new MemoryNetwork({ seed: 1 });
  const { clock } = network;
  const host = network.host("10.0.0.1");
  const bus = await MeshBus.open({ ...host, ...options });
  const other = await MeshBus.open({ ...network.host("10.0.0.2"), ...options });
  await clock.runUntil(() => bus.peers().length === 1 && other.peers().length === 1, 5_000);
  const close = async () => void await clock.run(Promise.all([bus.close(), other.close()]), 5_000);
  return { network, clock, host, bus, other, close, settle: () => clock.advance(1_000) };
}

function openReplicas(): Promise<Scene> {
  const bus = new InProcessBus();
  const other = bus.replica();
  const close = async () => void await Promise.all([bus.close(), other.close()]);
  return Promise.resolve({ bus, other, close, settle: () => Promise.resolve() });
}

const scenes: Readonly<Record<string, () => Promise<Scene>>> = { "a mesh": openTwo, "replicas": openReplicas };

for (const [name, open] of Object.entries(scenes)) {
  describe(`of ${name}`, () => {
    test("a subscription gets what its own bus publishes when it, or the publisher, says `self`", async () => {
      const { bus, other, settle, close } = await open();
      const heard: string[] = [];
      const say = (who: string) => ({ key }: SyncEvent) => heard.push(`${key} at ${who}`);
      bus.subscribe("k", say("own"));
      bus.subscribe("k", say("self"), { self: true });
      bus.subscribe({ prefix: "k" }, say("prefix"), { self: true });
      bus.subscribe("k", say("no"), { self: false });
      other.subscribe("k", say("other"));
      const outcomes: string[][] = [];
      for (const self of [undefined, true, false]) {
        await bus.publish("k", { self });
        await settle();
        outcomes.push(heard.splice(0).sort());
      }
      assertEquals(outcomes, [
        ["k at other", "k at prefix", "k at self"],
        ["k at no", "k at other", "k at own", "k at prefix", "k at self"],
        ["k at other"],
      ]);
      await other.publish("k", { self: false });
      await settle();
      assertEquals(heard.sort(), ["k at no", "k at own", "k at prefix", "k at self"]);
      await close();
    });

    test("callbacks have been called when `publish` returns, with the guard touched before", async () => {
      const { bus, close } = await open();
      const guard = bus.guard("k");
      const fresh: boolean[] = [];
      bus.subscribe("k", () => fresh.push(guard.isFresh()), { self: true });
      const accepted = bus.publish("k");
      assertEquals(fresh, [false]);
      await accepted;
      // A key that is pending already is not queued again, and delivered all the same.
      await bus.publish("k");
      assertEquals(fresh, [false, false]);
      await close();
    });

    test("iterated subscriptions and leases get own keys as callbacks do", async () => {
      const { bus, close } = await open();
      const [plain, self] = [bus.subscribeLease("a"), bus.subscribeLease("a", { self: true })];
      const prefix = bus.subscribe({ prefix: "lease:" }, undefined as never, { self: true });
      let calls = 0;
      bus.subscribeLease("a", () => calls++, { self: true });
      await bus.revokeLease("a");
      await bus.revokeLease("b", { self: true });
      await bus.revokeLease("a", { self: false });
      await close();
      const keys = async (events: AsyncIterable<SyncEvent>) => {
        const list: string[] = [];
        for await (const { key } of events) list.push(key);
        return list;
      };
      assertEquals([await keys(plain), await keys(self), await keys(prefix)], [
        [],
        ["lease:a"],
        ["lease:a", "lease:b"],
      ]);
      assertEquals(calls, 1);
    });

    test("a closed subscription gets no own keys, and a refused key is not delivered", async () => {
      const { bus, close } = await open();
      let calls = 0;
      const subscription = bus.subscribe({ prefix: "" }, () => calls++, { self: true });
      await assertRejects(() => bus.publish("x".repeat(1367)), KeyTooLongError);
      await assertRejects(() => bus.publish("k", { signal: AbortSignal.abort() }));
      subscription.close();
      await bus.publish("k");
      assertEquals(calls, 0);
      bus.subscribe("k", () => bus.close(), { self: true });
      bus.subscribe("k", () => calls++, { self: true });
      await bus.publish("k");
      assertEquals([calls, bus.isHealthy()], [0, false]);
      await close();
    });

    test("`self` must be a boolean", async () => {
      const { bus, close } = await open();
      const bad = { self: "yes" as unknown as boolean };
      await assertRejects(() => bus.publish("k", bad), TypeError, '`self` must be a boolean: current value is "yes"');
      assertThrows(() => bus.subscribe("k", bad), TypeError, "Cannot subscribe as `self` must be a boolean");
      await close();
    });

    test("a text that cannot be a key, or begin one, is refused", async () => {
      const { bus, close } = await open();
      const fits = ["", "x".repeat(1366), "é".repeat(683), "😀".repeat(341)];
      const long = ["x".repeat(1367), "é".repeat(684), "😀".repeat(342)];
      for (const key of fits) {
        for (const topic of [key, { prefix: key }]) bus.unsubscribe(topic, bus.subscribe(topic));
        assert(bus.guard(key).isFresh());
        await bus.publish(key);
      }
      for (const key of long) {
        const { message } = await assertRejects(() => bus.publish(key), KeyTooLongError);
        for (const topic of [key, { prefix: key }]) {
          const refused = assertThrows(() => bus.subscribe(topic), KeyTooLongError);
          assertEquals(refused.message, message.replace("publish", "subscribe"));
          const subscription = bus.subscribe("k");
          assertThrows(() => bus.unsubscribe(topic, subscription), KeyTooLongError, "Cannot unsubscribe");
        }
        assertThrows(() => bus.subscribeLease(key), KeyTooLongError, "1366 bytes");
        assertThrows(() => bus.guard(key), KeyTooLongError, "Cannot guard");
      }
      for (const key of ["\ud800", "a\udc00"]) {
        assertThrows(() => bus.guard(key), TypeError, "Cannot guard as the key must be a well-formed string");
        assertThrows(() => bus.subscribe({ prefix: key }), TypeError, "must be a well-formed string");
      }
      await close();
    });
  });
}

test("with go-warp's wire topics may be as long as its keys", async () => {
  const { bus, close } = await openTwo({ wire: "go-warp" });
  let calls = 0;
  bus.subscribe("x".repeat(1378), () => calls++, { self: true });
  await bus.publish("x".repeat(1378));
  assertEquals(calls, 1);
  assertThrows(() => bus.subscribe("x".repeat(1379)), KeyTooLongError, "1378 bytes");
  assertThrows(() => bus.guard("x".repeat(1379)), KeyTooLongError, "1378 bytes");
  await close();
});

describe("own keys on a mesh", () => {
  test("that wait for room are delivered when they are accepted, and not when they are withdrawn", async () => {
    const { bus, clock, close } = await openTwo({ queueSize: 2, batchInterval: 50 });
    const heard: string[] = [];
    bus.subscribe({ prefix: "" }, ({ key }) => heard.push(key), { self: true });
    const controller = new AbortController();
    const { signal } = controller;
    const accepted = ["a", "b", "c"].map((key) => bus.publish(key));
    const withdrawn = assertRejects(() => bus.publish("d", { signal }));
    const silent = bus.publish("e", { self: false });
    assertEquals([heard, bus.metrics().waiting], [["a", "b"], 3]);
    controller.abort();
    await clock.run(Promise.all([...accepted, withdrawn, silent]), 5_000);
    assertEquals(heard, ["a", "b", "c"]);
    await close();
  });

  test("that wait for room are delivered to later subscribers, and touch guards when they are accepted", async () => {
    const { bus, clock, close } = await openTwo({ queueSize: 1, batchInterval: 50 });
    const heard: string[] = [];
    const accepted = ["a", "b"].map((key) => bus.publish(key));
    const guard = bus.guard("b");
    bus.subscribe("b", ({ key }) => heard.push(key), { self: true });
    assertEquals([heard, guard.isFresh(), bus.metrics().waiting], [[], true, 1]);
    await clock.run(Promise.all(accepted), 5_000);
    assertEquals([heard, guard.isFresh()], [["b"], false]);
    await close();
  });

  test("of a callback are delivered after it, and a chain of them lets time go on", async () => {
    const { bus, other, clock, settle, close } = await openTwo();
    const heard: string[] = [];
    let inside = 0;
    bus.subscribe({ prefix: "" }, ({ key }) => {
      assertEquals(++inside, 1);
      heard.push(key);
      const next = Number(key) + 1;
      if (next < 1_000) void bus.publish(String(next));
      inside--;
    }, { self: true });
    await other.publish("0");
    await settle();
    assertEquals(heard, Array.from({ length: 1_000 }, (_, i) => String(i)));
    heard.length = 0;
    await bus.publish("500");
    await settle();
    assertEquals(heard, Array.from({ length: 500 }, (_, i) => String(500 + i)));
    assertEquals(bus.metrics().backlog, 0);
    assert(clock.now() < 60_000);
    await close();
  });

  test("wait for slow callbacks like those of others, count in the staleness, and end as an overflow", async () => {
    const { bus, host, clock, close } = await openTwo({ heartbeat: 200 });
    const causes: string[] = [];
    const slow: number[] = [];
    bus.events.listen((event) => {
      if (event.type === "slowCallback") slow.push(event.duration);
    });
    bus.subscribe({ prefix: "" }, ({ cause }) => {
      causes.push(cause);
      host.block(50);
    }, { self: true });
    for (let i = 0; i < 20; i++) await bus.publish(`k${i}`);
    assertEquals([causes, slow], [["publish"], [50]]);
    assertEquals(bus.metrics().backlog, 19);
    await clock.advance(120);
    assertLess(50, bus.status().staleness);
    assertEquals(bus.status().state === "current", false);
    await clock.advance(3_000);
    assertEquals([causes.at(-1), bus.metrics().backlog], ["overflow", 0]);
    assertLess(causes.length, 20);
    await close();
  });

  test("of a loop are timed each, so that one callback that is slow makes those after it wait", async () => {
    const { bus, host, settle, close } = await openTwo();
    const heard: string[] = [];
    bus.subscribe({ prefix: "" }, ({ key }) => {
      heard.push(key);
      if (key === "slow") host.block(50);
    }, { self: true });
    await settle();
    for (const key of ["a", "b", "slow", "c"]) void bus.publish(key);
    assertEquals([heard, bus.metrics().backlog], [["a", "b", "slow"], 1]);
    await settle();
    assertEquals(heard, ["a", "b", "slow", "c"]);
    await close();
  });

  test("keep their subscribers while they wait", async () => {
    const { bus, host, settle, close } = await openTwo();
    const heard: string[] = [];
    bus.subscribe("slow", () => host.block(20), { self: true });
    bus.subscribe({ prefix: "" }, ({ key }) => heard.push(`plain ${key}`));
    bus.subscribe({ prefix: "" }, ({ key }) => heard.push(`self ${key}`), { self: true });
    await bus.publish("slow", { self: true });
    await bus.publish("a");
    await bus.publish("b", { self: true });
    await bus.publish("c", { self: false });
    bus.subscribe({ prefix: "" }, ({ key }) => heard.push(`late ${key}`), { self: true });
    await settle();
    assertEquals(heard, ["plain slow", "self slow", "self a", "plain b", "self b"]);
    await close();
  });

  test("without subscribers do not wait, and are no overflow however many a callback publishes", async () => {
    const { bus, other, settle, close } = await openTwo({ queueSize: 70_000 });
    const causes: string[] = [];
    let backlog = -1;
    bus.subscribe("another", () => {}, { self: true });
    bus.subscribe({ prefix: "cache:" }, ({ cause }) => causes.push(cause));
    bus.subscribe("clear", () => {
      for (let i = 0; i < 33_000; i++) {
        void bus.publish(`left out ${i}`);
        void bus.publish(`for all ${i}`, { self: true });
      }
      backlog = bus.metrics().backlog;
    });
    await other.publish("clear");
    await settle();
    assertEquals([backlog, bus.metrics().keysDropped, causes], [0, 0, []]);
    await close();
  });

  test("of a listener to slowCallback neither disturb what is under way nor get lost", async () => {
    const { bus, host, settle, close } = await openTwo();
    const heard: string[] = [];
    bus.events.listen((event) => {
      if (event.type === "slowCallback") void bus.publish("told");
    });
    for (let i = 0; i < 3; i++) {
      bus.subscribe({ prefix: "" }, ({ key }) => {
        heard.push(`${i} ${key}`);
        if (key === "slow" && i === 0) host.block(20);
      }, { self: true });
    }
    await bus.publish("quick");
    await settle(); // so that callbacks are timed one by one
    await bus.publish("slow");
    await settle();
    const expected = ["quick", "slow", "told"].flatMap((key) => [0, 1, 2].map((i) => `${i} ${key}`));
    assertEquals(heard, expected);
    await close();
  });

  test("and those of another all arrive, each once, however they mix with slow callbacks", async () => {
    const step = fc.record({
      own: fc.boolean(),
      self: fc.constantFrom(undefined, true, false),
      block: fc.integer({ min: 0, max: 12 }),
      publishes: fc.boolean(),
      pause: fc.integer({ min: 0, max: 30 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const { bus, other, host, clock, settle, close } = await openTwo({ heartbeat: 5_000 });
        const heard: string[] = [];
        const plain: string[] = [];
        bus.subscribe({ prefix: "" }, ({ key }) => {
          heard.push(key);
          const [kind, i] = key.split(" ");
          const { block = 0, publishes = false } = steps[Number(i)] ?? {};
          if (block > 0) host.block(block);
          if (kind !== "nested" && publishes) void bus.publish(`nested ${i}`);
        }, { self: true });
        bus.subscribe({ prefix: "" }, ({ key }) => plain.push(key));
        for (const [i, { own, self, pause }] of steps.entries()) {
          await (own ? bus.publish(`own ${i}`, { self }) : other.publish(`other ${i}`));
          if (pause > 0) await clock.advance(pause);
        }
        await settle();
        await settle();
        const firsts = steps.flatMap(({ own, self }, i) =>
          own && self === false ? [] : [`${own ? "own" : "other"} ${i}`]
        );
        const nested = steps.flatMap(({ own, self, publishes }, i) =>
          publishes && !(own && self === false) ? [`nested ${i}`] : []
        );
        assertEquals(heard.sort(), [...firsts, ...nested].sort());
        const all = steps.flatMap(({ own, self }, i) => own ? self === true ? [`own ${i}`] : [] : [`other ${i}`]);
        assertEquals(plain.sort(), all.sort());
        await close();
      }),
      { numRuns: 60 },
    );
  });
});
