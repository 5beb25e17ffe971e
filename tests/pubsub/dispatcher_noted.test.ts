// The dispatcher with prefixes, metadata and receipts: when they are delivered, and when that is acknowledged.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";
import * as fc from "fast-check";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { EntryReceipt } from "../../src/pubsub/delivery_receipt.ts";
import { type Arrival, Dispatcher } from "../../src/pubsub/dispatcher.ts";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { SyncEvent } from "../../src/pubsub/sync_bus.ts";

const PATIENCE = 1000;

/** Deliveries on a host whose callbacks can block it. After a drop `notifyAll` is left to the test. */
function setUp() {
  const network = new MemoryNetwork();
  const host = network.host("10.0.0.1");
  const { clock } = network;
  const subscriptions = new Subscriptions((error) => {
    throw error;
  });
  let drops = 0;
  const dispatcher = new Dispatcher({
    clock: host.clock,
    subscriptions,
    patience: PATIENCE,
    onSlow: () => {},
    onDropped: () => drops++,
  });
  const log: string[] = [];
  /** A key or prefix, `"p*"`, with a receipt that notes its outcome. */
  const arrival = (text: string, rest: Partial<Arrival> = {}): Arrival => {
    const isPrefix = text.endsWith("*");
    const receipt = new EntryReceipt((outcome) => log.push(`${text} ${outcome}`));
    return { text: isPrefix ? text.slice(0, -1) : text, isPrefix, metadata: undefined, receipt, ...rest };
  };
  /** A datagram with these keys and prefixes is read. */
  const read = (...texts: string[]) => {
    dispatcher.begin(undefined, true);
    for (const text of texts) dispatcher.takeNoted(arrival(text));
    dispatcher.end();
  };
  const show = ({ key, cause, prefix }: SyncEvent) =>
    cause === "publish" ? `${key}${prefix === undefined ? "" : `<${prefix}`}` : `!${cause}`;
  /** Subscribes with a callback that notes the event, and blocks the host. */
  const subscribe = (topic: string, { blocks = 0, name = "", self = false } = {}) =>
    subscriptions.add(topic.endsWith("*") ? { prefix: topic.slice(0, -1) } : topic, (event) => {
      log.push(`${name}${show(event)}`);
      if (blocks > 0) host.block(blocks);
    }, { self });
  const whenDelivered = (name = "all") => dispatcher.whenDelivered(() => log.push(name));
  return { clock, host, subscriptions, dispatcher, log, arrival, read, subscribe, whenDelivered, drops: () => drops };
}

describe("keys and prefixes with notes", () => {
  test("are delivered at once while callbacks are quick, and their receipts end in order", () => {
    const { clock, dispatcher, log, read, subscribe } = setUp();
    subscribe("user:*");
    read("user:1", "none", "us*", "user:2");
    assertEquals(log, [
      "user:1",
      "user:1 delivered",
      "none unsubscribed",
      "user:<us",
      "us* delivered",
      "user:2",
      "user:2 delivered",
    ]);
    assertEquals([dispatcher.waiting, dispatcher.age, clock.pending], [0, undefined, 0]);
  });

  test("are delivered to several subscribers before their receipt ends", () => {
    const { log, read, subscribe } = setUp();
    subscribe("k", { name: "1:" });
    subscribe("*", { name: "2:" });
    read("k", "k*");
    assertEquals(log, ["1:k", "2:k", "k delivered", "1:k<k", "2:k<k", "k* delivered"]);
  });

  test("have the metadata of their publisher", () => {
    const { dispatcher, subscriptions, arrival } = setUp();
    const got: SyncEvent[] = [];
    subscriptions.add("a", (event) => got.push(event));
    subscriptions.add("b", (event) => got.push(event));
    subscriptions.add("b", (event) => got.push(event));
    const metadata = { region: "eu", vectorClock: { w: 2n ** 60n } };
    dispatcher.begin(undefined, true);
    for (const text of ["a", "b", "a*"]) dispatcher.takeNoted(arrival(text, { metadata }));
    dispatcher.end();
    const event = { cause: "publish" as const, ...metadata };
    assertEquals(got, [{ key: "a", ...event }, { key: "b", ...event }, { key: "b", ...event }, {
      key: "a",
      prefix: "a",
      ...event,
    }]);
  });

  test("wait behind slow callbacks, and are acknowledged only when they were delivered", async () => {
    const { clock, host, dispatcher, log, read, subscribe } = setUp();
    subscribe("k*", { blocks: 10 });
    subscribe("k2", { name: "2:" });
    read("k1", "k2", "none", "k*", "k3");
    assertEquals([log, dispatcher.waiting], [["k1", "k1 delivered"], 4]);
    assertEquals(dispatcher.age, 10);
    read("k4");
    assertEquals(dispatcher.waiting, 5);
    await clock.advance(1000);
    assertEquals(log.slice(2), [
      ...["2:k2", "k2", "k2 delivered", "none unsubscribed"],
      // Subscribers of keys come before those of prefixes.
      ...["2:k2<k", "k<k", "k* delivered"],
      ...["k3", "k3 delivered", "k4", "k4 delivered"],
    ]);
    assertEquals([dispatcher.waiting, dispatcher.age, host.clock.now() >= 50], [0, undefined, true]);
  });

  test("go on in a later turn between two subscribers, and their receipt ends after the last", async () => {
    const { clock, log, read, subscribe } = setUp();
    for (const name of ["1:", "2:", "3:"]) subscribe("k", { blocks: 10, name });
    read("k*");
    assertEquals(log, ["1:k<k"]);
    await clock.advance(15);
    assertEquals(log, ["1:k<k", "2:k<k"]);
    await clock.advance(100);
    assertEquals(log, ["1:k<k", "2:k<k", "3:k<k", "k* delivered"]);
  });

  test("let timers run while a prefix is looked for in very many subscriptions", async () => {
    const { clock, dispatcher, log, read, subscriptions, subscribe } = setUp();
    for (let i = 0; i < 5000; i++) subscriptions.add(`x${i}`, () => {});
    subscribe("k", { blocks: 10 });
    subscribe("z");
    read("k", "z*");
    assertEquals([log, dispatcher.waiting], [["k", "k delivered"], 1]);
    await clock.advance(100);
    assertEquals(log.slice(2), ["z<z", "z* delivered"]);
  });

  test("that come within a callback of another are delivered there, and each receipt ends once", () => {
    const { dispatcher, subscriptions, log, read, subscribe } = setUp();
    subscriptions.add("outer", () => {
      log.push("outer");
      read("inner", "inner2");
      log.push("outer returns");
    });
    subscribe("inner");
    read("outer", "inner");
    assertEquals(log, [
      ...["outer", "inner", "inner delivered", "inner2 unsubscribed", "outer returns", "outer delivered"],
      ...["inner", "inner delivered"],
    ]);
    assertEquals([dispatcher.waiting, dispatcher.age], [0, undefined]);
  });

  test("that come within a callback wait until the others of its key were called", async () => {
    const { clock, subscriptions, log, read, subscribe } = setUp();
    let isFirst = true;
    subscriptions.add("outer", () => {
      log.push("1:outer");
      if (isFirst) read("inner", "outer");
      isFirst = false;
    });
    subscribe("outer", { name: "2:" });
    subscribe("inner");
    read("outer*");
    await clock.advance(100);
    assertEquals(log, [
      ...["1:outer", "2:outer<outer", "outer* delivered"],
      ...["inner", "inner delivered", "1:outer", "2:outer", "outer delivered"],
    ]);
  });

  test("are acknowledged by nobody after `close`", async () => {
    const { clock, dispatcher, log, read, subscribe, whenDelivered } = setUp();
    subscribe("k*", { blocks: 10 });
    read("k1", "k2", "k3*");
    whenDelivered();
    dispatcher.close();
    await clock.advance(1000);
    dispatcher.notifyAll("gap");
    whenDelivered();
    assertEquals([log, clock.pending], [["k1", "k1 delivered"], 0]);
  });
});

/** Three keys and a prefix in one datagram: the first blocks longer than the others may wait, so they are dropped. */
async function dropped() {
  const rig = setUp();
  rig.subscribe("slow", { blocks: 2 * PATIENCE });
  rig.subscribe("k*");
  rig.read("slow", "k1", "k2*", "k3");
  assertEquals([rig.log.splice(0), rig.dispatcher.waiting], [["slow", "slow delivered"], 3]);
  return rig;
}

describe("what is dropped", () => {
  test("is acknowledged as delivered only after the event that stands for it", async () => {
    const { clock, dispatcher, log, whenDelivered, drops } = await dropped();
    whenDelivered("before");
    // The host is blocked until then.
    await clock.advance(2 * PATIENCE);
    assertEquals([drops(), dispatcher.waiting, dispatcher.dropped], [1, 0, 3]);
    whenDelivered("after");
    await clock.advance(1000);
    assertEquals(log, []);
    whenDelivered("last");
    dispatcher.notifyAll("overflow");
    await clock.advance(3000);
    assertEquals(log, [
      ...["!overflow", "!overflow"],
      ...["k1 delivered", "k2* delivered", "k3 delivered", "before", "after", "last"],
    ]);
    whenDelivered("at once");
    assertEquals(log.at(-1), "at once");
  });

  test("keeps the age of what waits until the event has come", async () => {
    const { clock, host, dispatcher } = await dropped();
    assertEquals(dispatcher.age, 2 * PATIENCE);
    await clock.advance(2 * PATIENCE);
    const now = host.clock.now();
    assertEquals(dispatcher.age, now);
    await clock.advance(500);
    assertEquals(dispatcher.age, now + 500);
    dispatcher.sleep(60_000);
    assertEquals(dispatcher.age, now + 60_500);
    dispatcher.notifyAll("overflow");
    // The first of two subscribers has it, and blocks.
    assertGreater(dispatcher.age ?? 0, now + 60_500);
    await clock.advance(3000);
    assertEquals(dispatcher.age, undefined);
  });

  test("keeps its age while later keys are delivered before the event", async () => {
    const { clock, host, dispatcher, read, log } = await dropped();
    await clock.advance(2 * PATIENCE);
    const since = host.clock.now();
    await clock.advance(100);
    read("k4");
    assertEquals(log, ["k4", "k4 delivered"]);
    await clock.advance(100);
    assertEquals(dispatcher.age, since + 200);
  });

  test("is acknowledged by the event that covers what is queued, also for a gap", async () => {
    const { clock, dispatcher, log, read, subscribe, whenDelivered } = setUp();
    subscribe("k*", { blocks: 10 });
    read("k1", "k2", "k*");
    whenDelivered();
    log.length = 0;
    dispatcher.notifyAll("gap");
    assertEquals([log, dispatcher.waiting], [[], 0]);
    await clock.advance(100);
    assertEquals(log, ["!gap", "k2 delivered", "k* delivered", "all"]);
  });

  test("is acknowledged after the event also when its deliveries were under way", async () => {
    const { clock, dispatcher, log, read, subscribe } = setUp();
    subscribe("k", { blocks: 10, name: "1:" });
    subscribe("k", { blocks: 10, name: "2:" });
    read("k");
    assertEquals(log, ["1:k"]);
    dispatcher.notifyAll("gap");
    await clock.advance(100);
    assertEquals(log, ["1:k", "1:!gap", "2:!gap", "k delivered"]);
  });

  test("during an event for all is acknowledged after the next one", async () => {
    const { clock, dispatcher, log, read, subscribe } = setUp();
    subscribe("k", { blocks: 10, name: "1:" });
    subscribe("k", { blocks: 10, name: "2:" });
    dispatcher.notifyAll("gap");
    assertEquals(log, ["1:!gap"]);
    read("k");
    dispatcher.notifyAll("gap");
    await clock.advance(200);
    assertEquals(log, ["1:!gap", "2:!gap", "1:!gap", "2:!gap", "k delivered"]);
  });
});

describe("`whenDelivered`", () => {
  test("calls at once when nothing waits", () => {
    const { log, read, subscribe, whenDelivered, clock } = setUp();
    whenDelivered("first");
    subscribe("k");
    read("k");
    whenDelivered("second");
    assertEquals([log, clock.pending], [["first", "k", "k delivered", "second"], 0]);
  });

  test("calls after what is queued now, and before what comes later", async () => {
    const { clock, dispatcher, log, read, subscribe, whenDelivered } = setUp();
    subscribe("k*", { blocks: 10 });
    read("k1", "k2");
    whenDelivered();
    read("k3");
    assertEquals([log, dispatcher.waiting], [["k1", "k1 delivered"], 2]);
    await clock.advance(1000);
    assertEquals(log.slice(2), ["k2", "k2 delivered", "all", "k3", "k3 delivered"]);
    assertEquals(dispatcher.age, undefined);
  });

  test("calls after the datagram that is being read, when it is called within a callback", async () => {
    const { clock, dispatcher, subscriptions, log, read, whenDelivered } = setUp();
    subscriptions.add({ prefix: "k" }, ({ key }) => {
      log.push(key);
      if (key === "k1") whenDelivered();
    });
    for (const texts of [["k1"], ["k1", "k2"]]) {
      read(...texts);
      assertEquals([log.includes("all"), dispatcher.age], [false, 0]);
      await clock.advance(10);
      assertEquals(log.splice(0).filter((line) => !line.endsWith("delivered")), ["k1", "all", ...texts.slice(1)]);
    }
  });

  test("calls after a callback of any length, and drops nothing when no key waits", async () => {
    const { clock, dispatcher, host, subscriptions, log, read, whenDelivered, drops } = setUp();
    subscriptions.add("k", () => {
      whenDelivered();
      host.block(2 * PATIENCE);
    });
    read("k");
    assertEquals(log, ["k delivered"]);
    await clock.advance(3 * PATIENCE);
    assertEquals([log, drops(), dispatcher.dropped, dispatcher.age], [["k delivered", "all"], 0, 0, undefined]);
  });

  test("calls after an event for all subscriptions that is under way", async () => {
    const { clock, dispatcher, log, subscribe, whenDelivered } = setUp();
    subscribe("a", { blocks: 10 });
    subscribe("b", { blocks: 10 });
    dispatcher.notifyAll("gap");
    whenDelivered();
    assertEquals(log, ["!gap"]);
    await clock.advance(100);
    assertEquals(log, ["!gap", "!gap", "all"]);
  });

  test("leaves the age of what waits as it is", async () => {
    const { clock, host, dispatcher, read, subscribe, whenDelivered } = setUp();
    subscribe("k*", { blocks: 10 });
    read("k1", "k2");
    whenDelivered();
    assertEquals(dispatcher.age, host.clock.now());
    await clock.advance(1000);
    assertEquals([dispatcher.age, dispatcher.waiting], [undefined, 0]);
  });
});

describe("a prefix that the bus has published itself", () => {
  const own = (text: string): Arrival => ({ text, isPrefix: true, metadata: { region: "eu" }, receipt: undefined });

  test("is delivered at once, to all subscriptions or to those with `self: true`", () => {
    const { dispatcher, log, subscribe, clock } = setUp();
    subscribe("k1", { name: "other:" });
    subscribe("k*", { name: "self:", self: true });
    dispatcher.takeOwn(own("k"), true);
    assertEquals(log.splice(0), ["other:k1<k", "self:k<k"]);
    dispatcher.takeOwn(own("k"), false);
    assertEquals([log, clock.pending], [["self:k<k"], 0]);
  });

  test("waits for slow callbacks, and takes no room when nobody can get it", async () => {
    const { clock, dispatcher, log, read, subscribe } = setUp();
    const slow = subscribe("k1", { blocks: 10 });
    read("k1", "k1");
    dispatcher.takeOwn(own("k"), false);
    assertEquals(dispatcher.waiting, 1);
    dispatcher.takeOwn(own("k"), true);
    assertEquals(dispatcher.waiting, 2);
    subscribe("none", { self: true });
    dispatcher.takeOwn(own("k"), false);
    assertEquals(dispatcher.waiting, 3);
    await clock.advance(100);
    assertEquals(log, ["k1", "k1 delivered", "k1", "k1 delivered", "k1<k"]);
    slow.close();
  });

  test("within a callback is delivered when that has returned", async () => {
    const { clock, dispatcher, subscriptions, log, read, subscribe } = setUp();
    subscriptions.add("outer", () => {
      dispatcher.takeOwn(own("k"), true);
      log.push("outer returns");
    });
    subscribe("k1");
    read("outer");
    assertEquals(log[0], "outer returns");
    await clock.advance(10);
    assertEquals(log.filter((line) => !line.endsWith("delivered")), ["outer returns", "k1<k"]);
  });
});

describe("however long callbacks take", () => {
  const duration = fc.oneof(fc.constant(0), fc.constantFrom(0.1, 1, 3), fc.constantFrom(6, 40, 300, 1500));
  const step = fc.record({
    pause: fc.constantFrom(0, 0, 0, 1, 5, 50, 800),
    keys: fc.nat(20),
    also: fc.constantFrom("nothing" as const, "nothing" as const, "gap" as const, "whenDelivered" as const),
  });

  test("a receipt ends once, when all subscribers have its event or one that stands for it", async () => {
    let [endedCount, droppedCount, calledCount] = [0, 0, 0];
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 20 }),
        fc.array(duration, { minLength: 1 }),
        async (steps, durations) => {
          const network = new MemoryNetwork();
          const host = network.host("10.0.0.1");
          const subscriptions = new Subscriptions((error) => {
            throw error;
          });
          const dispatcher: Dispatcher = new Dispatcher({
            clock: host.clock,
            subscriptions,
            patience: PATIENCE,
            onSlow: () => {},
            // As in a node: rounds have a distance.
            onDropped: () => host.clock.setTimer(() => dispatcher.notifyAll("overflow"), 100),
          });
          let sent = 0;
          let calls = 0;
          const seen = [new Set<number>(), new Set<number>()];
          /** Up to which number an event for everything stands for all, for each subscription. */
          const covered = [-1, -1];
          const ended = new Set<number>();
          const wanted: number[] = [];
          const called: number[] = [];
          seen.forEach((numbers, i) =>
            subscriptions.add({ prefix: "" }, ({ key, cause }) => {
              if (cause === "publish") numbers.add(Number(key));
              else covered[i] = sent - 1;
              host.block(durations[calls++ % durations.length] as number);
            })
          );
          const arrive = () => {
            const number = sent++;
            const receipt = new EntryReceipt((outcome) => {
              assertEquals([outcome, ended.has(number)], ["delivered", false]);
              seen.forEach((numbers, i) =>
                assert(numbers.has(number) || number <= (covered[i] as number), `${number}`)
              );
              ended.add(number);
            });
            const metadata = number % 2 === 0 ? undefined : { region: "eu" };
            dispatcher.takeNoted({ text: `${number}`, isPrefix: number % 3 === 0, metadata, receipt });
          };
          for (const { pause, keys, also } of steps) {
            await network.clock.advance(pause);
            host.clock.setTimer(() => {
              if (also === "gap") dispatcher.notifyAll("gap");
              dispatcher.begin(undefined, true);
              for (let i = 0; i < keys; i++) arrive();
              dispatcher.end();
              if (also !== "whenDelivered") return;
              const last = sent;
              wanted.push(last);
              dispatcher.whenDelivered(() => {
                for (let number = 0; number < last; number++) assert(ended.has(number), `${number} of ${last}`);
                called.push(last);
              });
            }, 0);
          }
          await network.clock.advance(200_000);
          assertEquals([ended.size, called], [sent, wanted]);
          assertEquals([dispatcher.waiting, dispatcher.age], [0, undefined]);
          endedCount += sent;
          droppedCount += dispatcher.dropped;
          calledCount += called.length;
        },
      ),
      {
        numRuns: 200,
        // The second drop came before the round for the first had ended: the earlier call was the later one.
        examples: [[[
          { pause: 0, keys: 2, also: "nothing" },
          { pause: 800, keys: 0, also: "nothing" },
          { pause: 800, keys: 1, also: "whenDelivered" },
          { pause: 0, keys: 1, also: "whenDelivered" },
        ], [6, 1500, 0]]],
      },
    );
    assert(
      endedCount > 2000 && droppedCount > 500 && calledCount > 100,
      `${endedCount} ${droppedCount} ${calledCount}`,
    );
  });
});
