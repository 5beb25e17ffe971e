// Broken buses: each breaks rules of the conformance suite, and each of these rules notices it.
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type BusUnderTest, rulesFor } from "../../conformance/mod.ts";
import type {
  AwaitOptions,
  PublishOptions,
  PublishResult,
  SubscribeOptions,
  Subscription,
  SyncBus,
  SyncCallback,
  SyncEvent,
  Topic,
} from "../../mod.ts";
import { inProcessWithClock } from "./buses.ts";

/** Changes some methods of a bus, the one with this index. */
type Change = (bus: SyncBus, index: number, all: readonly SyncBus[]) => Partial<SyncBus>;

interface Breakage {
  readonly what: string;
  readonly change: Change;
  /** How the names of the rules begin that must notice it. */
  readonly noticedBy: readonly string[];
}

const NONE: PublishResult = { acknowledgements: [] };

const BREAKAGES: readonly Breakage[] = [
  broken("delivers twice", called((callback) => (event) => [callback(event), callback(event)]), [
    "A key that is published reaches",
    "It resolves when as many",
  ]),
  broken("takes a key for a prefix", topics((topic) => typeof topic === "string" ? { prefix: topic } : topic), [
    "A subscription to another key",
  ]),
  broken("has wildcards", topics((topic) => topic === "u*" ? { prefix: "u" } : topic), ["There are no wildcards"]),
  broken("changes keys", published((topic, options) => [String(topic).replace("\uFEFF", ""), options]), [
    "Any well-formed key",
  ]),
  broken("leaves a replica alone", (_, index) => index === 2 ? { publish: async () => {} } : {}, [
    "Each replica gets",
  ]),
  broken("publishes with a result", (bus) => ({ publish: (topic) => bus.publish(topic).then(() => 1 as never) }), [
    "`publish` resolves to nothing",
  ]),
  broken("delivers its own keys", optionsOf((options) => ({ self: true, ...options })), [
    "A subscription does not get what its own",
  ]),
  broken("ignores `self` of subscribe", optionsOf(({ self: _, ...options }) => options), [
    "With `self: true` of `subscribe`",
  ]),
  broken("ignores `self` of publish", published((topic, { self: _, ...options }) => [topic, options]), [
    "`self: true` of `publish`",
    "Own subscriptions get a published prefix",
    "`revokeLease` publishes",
  ], (bus) => ({ revokeLease: (id) => bus.revokeLease(id) })),
  broken("tells nobody with `self: false`", (bus) => ({
    publish: async (topic, options) => void (options?.self === false ? 0 : await bus.publish(topic, options)),
  }), ["`self` of `publish` changes nothing"]),
  broken("hears no prefix at keys", (bus) => ({
    subscribe: subscribing(bus, (topic, callback, options) => [
      topic,
      callback && typeof topic === "string" ? (event) => event.prefix === undefined && callback(event) : callback,
      options,
    ]),
  }), ["A published prefix reaches", 'The prefix `""` reaches']),
  broken(
    "takes every prefix for all",
    published((topic, options) => [
      typeof topic === "string" ? topic : { prefix: "" },
      options,
    ]),
    ["It reaches no other subscription", "A guard stays fresh when another prefix"],
  ),
  broken("gives the prefix as the key", events((event) => ({ ...event, key: event.prefix ?? event.key })), [
    "Its event has it as `prefix`",
  ]),
  broken("gives keys a prefix", events((event) => ({ prefix: event.key, ...event })), ["The event of a published key"]),
  broken("drops the region", events(({ region: _, ...event }) => event), ["An event has the region"]),
  broken(
    "rounds counts",
    events((event) => event.vectorClock === undefined ? event : { ...event, vectorClock: rounded(event) }),
    [
      "A count of a vector clock",
    ],
  ),
  broken("reads options late", (bus) => ({
    publish: async (topic, options) => {
      await undefined;
      await bus.publish(topic, options);
    },
  }), ["A vector clock is read when"]),
  broken(
    "drops the metadata of prefixes",
    published((topic, options) => [
      topic,
      typeof topic === "string" ? options : {},
    ]),
    ["A published prefix carries metadata"],
  ),
  broken(
    "takes local for global",
    published((topic, options) => [topic, global(options)]),
    [
      'With the scope `"local"` an event stays',
      'With the scope `"local"` and no region',
      "A replica that an event does not go to",
    ],
    (bus) => ({ publishAndAwait: (topic, replicas, options) => bus.publishAndAwait(topic, replicas, global(options)) }),
  ),
  broken(
    "takes global for local",
    published((topic, options) => [
      topic,
      options.region === undefined ? options : { ...options, scope: "local" },
    ]),
    ['With the scope `"global"`'],
  ),
  broken(
    "forgets a writer",
    published((topic, options) => [
      topic,
      options.vectorClock === undefined ? options : { ...options, vectorClock: { a: options.vectorClock["a"] ?? 0 } },
    ]),
    ["Events that are merged have"],
  ),
  broken("refuses no publish", (bus) => ({
    publish: (topic, options) => bus.publish(topic, options).catch(() => {}),
    publishAndAwait: (topic, replicas, options) => bus.publishAndAwait(topic, replicas, options).catch(() => NONE),
    publishAndAwaitTopology: (topic, zones, options) =>
      bus.publishAndAwaitTopology(topic, zones, options).catch(() => NONE),
    revokeLease: (id, options) => bus.revokeLease(id, options).catch(() => {}),
  }), [
    "To publish what is no",
    "To publish a key that is too long",
    "An unknown option of `publish`",
    "What is awaited is",
    "`timeout` is a number",
    "With a signal that has aborted",
    "The id of a lease",
    "With no other replica it rejects with",
    "With no other replica it rejects as",
    "With more than there are",
    "After `close`, publishing",
  ]),
  broken("publishes what it refuses", (bus) => ({
    publish: (topic, options) =>
      bus.publish(topic, options).catch(async (error) => {
        await bus.publish("refused").catch(() => {});
        throw error;
      }),
  }), ["To publish what is no", "To publish a key that", "An unknown option of `publish`", "With a signal that has"]),
  broken("refuses no subscription", (bus) => ({
    subscribe: ((...args: Parameters<SyncBus["subscribe"]>) => {
      try {
        return bus.subscribe(...args);
      } catch {
        return bus.subscribe("k");
      }
    }) as SyncBus["subscribe"],
  }), ["To subscribe to what no key", "An unknown option of `subscribe`", "A callback that is no function"]),
  broken("guards anything", (bus) => ({ guard: (key) => ({ key, isFresh: () => bus.isHealthy() }) }), [
    "To guard what nobody",
    "A guard has its key",
    "A guard is stale when its own",
    "A guard is stale when any replica",
    "A guard is stale before",
  ]),
  broken("has guards that are never fresh", (bus) => ({
    guard: (key) => ({ key: bus.guard(key).key, isFresh: () => false }),
  }), ["A guard stays fresh when another key", "A guard stays fresh when another prefix", "A guard has its key"]),
  broken("has guards that outlive it", () => ({ guard: (key) => ({ key, isFresh: () => true }) }), [
    "After `close` no guard",
  ]),
  broken("closes when a callback fails", (bus) => ({
    subscribe: subscribing(bus, (topic, callback, options) => [
      topic,
      callback && ((event) => {
        try {
          return callback(event);
        } catch {
          return bus.close();
        }
      }),
      options,
    ]),
  }), ["A callback that throws"]),
  broken("never says that a subscription is closed", subscriptions((inner) => ({ ...parts(inner), closed: false })), [
    "A subscription has its topic",
    "`unsubscribe` closes",
    "A signal that aborts closes",
    "Leaving the loop",
    "`close` closes all",
  ]),
  broken("closes no subscription", subscriptions((inner) => ({ ...parts(inner), close() {} })), [
    "A closed subscription gets",
    "A subscription has its topic",
  ]),
  broken("ignores unsubscribe", () => ({ unsubscribe() {}, unsubscribeLease() {} }), [
    "`unsubscribe` closes",
    "`unsubscribeLease` closes",
  ]),
  broken("gives the last event first", iterators(reversed), ["An iterated subscription gives"]),
  broken("has no bound", optionsOf((options) => ({ ...options, capacity: 1000 })), [
    "A prefix subscription that is full",
    "Without `capacity`",
  ]),
  broken("holds one event", optionsOf((options) => ({ ...options, capacity: 1 })), [
    "An event is merged with",
    "Without `capacity`",
  ]),
  broken("forgets held events", iterators(async function* () {}), ["Closing a subscription ends"]),
  broken("iterates what has a callback", iterators(reversed), ["To iterate a subscription"]),
  broken("has other keys of leases", (bus) => ({
    revokeLease: (id, options) => bus.publish(`leases:${id}`, options),
    subscribeLease: ((id: string, ...rest: [SyncCallback]) => bus.subscribe(`leases:${id}`, ...rest)) as never,
  }), ["`revokeLease` publishes", "`subscribeLease` subscribes"]),
  broken(
    "makes up acknowledgements",
    awaiting((topic, options, bus) =>
      bus.publish(topic, options).then(() => ({ acknowledgements: [{ node: "x", outcome: "delivered" }] }))
    ),
    [
      "`publishAndAwait` with 0",
      "`publishAndAwaitTopology` with 0",
      "Its result has an answer",
      '`"all"` awaits',
      "A published prefix is awaited",
      "It resolves when replicas in as many",
    ],
  ),
  broken("awaits all, however many are wanted", (bus) => ({
    publishAndAwait: (topic, replicas, options) => bus.publishAndAwait(topic, replicas === 0 ? 0 : "all", options),
  }), ["One that fails takes nothing", "With more than there are"]),
  broken("acknowledges at once", awaiting(() => Promise.resolve(NONE)), [
    "It resolves when as many",
    "A callback counts when",
    "A replica whose callback throws",
  ]),
  broken(
    "acknowledges what it has published",
    awaiting((topic, options, bus) => bus.publish(topic, options).then(() => NONE)),
    [
      'With `deliveredWhen: "settled"` it counts',
      'With `deliveredWhen: "settled"` a promise that rejects',
      'With `"all"`, a replica that closes',
      "With a number",
      "When `signal` aborts it rejects",
      "When the bus closes it",
      "A promise that is not settled",
      "After `timeout`",
    ],
  ),
  broken("ignores `deliveredWhen`", optionsOf(({ deliveredWhen: _, ...options }) => options), [
    'With `deliveredWhen: "settled"` it counts',
    'With `deliveredWhen: "settled"` a promise that rejects',
  ]),
  broken("has one `settleTimeout`", optionsOf((options) => ({ ...options, settleTimeout: 600_000 })), [
    "A promise that is not settled",
  ]),
  broken("has one `timeout`", (bus) => ({
    publishAndAwait: (topic, replicas, options) =>
      bus.publishAndAwait(topic, replicas, { ...options, timeout: 86_400_000 }),
  }), ["After `timeout`"]),
  broken("ignores `signal` while it waits", (bus) => ({
    publishAndAwait: (topic, replicas, options = {}) =>
      bus.publishAndAwait(topic, replicas, { ...options, signal: undefined }),
  }), ["When `signal` aborts it rejects"]),
  broken("counts replicas for zones", (bus) => ({
    publishAndAwaitTopology: (topic, zones, { ownZone: _, ...options } = {}) =>
      bus.publishAndAwait(topic, zones, options),
  }), [
    "It resolves when replicas in as many",
    "The publisher's own zone",
    "Several replicas in one zone",
    "A replica without a zone",
    "A zone whose only replica",
  ]),
  broken("is a peer of itself", (bus) => ({ peers: () => ["itself", ...bus.peers()] }), ["`peers` has an address"]),
  broken("is always healthy", () => ({ isHealthy: () => true }), ["`isHealthy` is true", "`Symbol.asyncDispose`"]),
  broken("counts down", (bus) => ({
    metrics: () => ({ published: -bus.metrics().published, delivered: -bus.metrics().delivered }),
  }), ["`metrics` counts"]),
  broken("publishes later, and not once it closes", (bus) => ({
    publish: async (topic, options) => {
      await undefined;
      await bus.publish(topic, options);
    },
  }), ["What was published before"]),
  broken("closes again", (bus) => ({ close: async () => await bus.close() }), ["A second `close`"]),
  broken("cannot be read when it is closed", (bus) => ({
    metrics() {
      if (!bus.isHealthy()) throw new Error("closed");
      return bus.metrics();
    },
  }), ["After `close`, `unsubscribe`"]),
  broken("closes the others too", (_bus, _index, all) => ({
    close: async () => (await Promise.all(all.map((other) => other.close())))[0] as never,
  }), ["Closing one replica"]),
  broken("does not close", () => {
    const closing = Promise.resolve({} as never);
    return { close: () => closing };
  }, ["A closed bus delivers", "`close` closes all", "After `close` no guard"]),
  broken("cannot be disposed of", () => ({ [Symbol.asyncDispose]: async () => {} }), ["`Symbol.asyncDispose`"]),
];

const rules = rulesFor(inProcessWithClock);

describe("a bus that", () => {
  for (const { change, noticedBy, what } of BREAKAGES) {
    test(`${what} breaks ${noticedBy.length} rules`, async () => {
      const names = noticedBy.map(nameOf);
      for (const { name, run } of rulesFor(changed(change)).filter(({ name }) => names.includes(name))) {
        const { message } = await assertRejects(run, Error, undefined, name);
        assert(message.startsWith(`The rule "${name}" is broken as `), message);
      }
    });
  }
});

test("each rule is broken by one of these buses", () => {
  const noticed = new Set(BREAKAGES.flatMap(({ noticedBy }) => noticedBy.map(nameOf)));
  assertEquals(rules.map(({ name }) => name).filter((name) => !noticed.has(name)), []);
});

test("a bus that is wrapped without a change keeps all rules", async () => {
  for (const { run } of rulesFor(changed(() => ({})))) await run();
});

test("a bus under test that opens too few buses is refused", async () => {
  const [rule] = rulesFor({ open: () => Promise.resolve({ buses: [] }) });
  assert(rule);
  await assertRejects(rule.run, Error, "must open 2 buses: current number is 0");
});

function broken(what: string, change: Change, noticedBy: readonly string[], more: Change = () => ({})): Breakage {
  return { what, noticedBy, change: (...args) => ({ ...change(...args), ...more(...args) }) };
}

/** The name of the only rule that begins so. */
function nameOf(beginning: string): string {
  const names = rules.map(({ name }) => name).filter((name) => name.startsWith(beginning));
  assertEquals(names.length, 1, `${beginning}: ${names}`);
  return names[0] ?? "";
}

function changed(change: Change): BusUnderTest {
  return {
    async open(places) {
      const { buses, settle } = await inProcessWithClock.open(places);
      return { settle, buses: buses.map((bus, i) => ({ ...wrapped(bus), ...change(bus, i, buses) })) };
    },
  };
}

function wrapped(bus: SyncBus): SyncBus {
  return {
    publish: bus.publish.bind(bus),
    publishAndAwait: bus.publishAndAwait.bind(bus),
    publishAndAwaitTopology: bus.publishAndAwaitTopology.bind(bus),
    subscribe: bus.subscribe.bind(bus) as SyncBus["subscribe"],
    unsubscribe: bus.unsubscribe.bind(bus),
    revokeLease: bus.revokeLease.bind(bus),
    subscribeLease: bus.subscribeLease.bind(bus) as SyncBus["subscribeLease"],
    unsubscribeLease: bus.unsubscribeLease.bind(bus),
    guard: bus.guard.bind(bus),
    isHealthy: bus.isHealthy.bind(bus),
    metrics: bus.metrics.bind(bus),
    peers: bus.peers.bind(bus),
    close: bus.close.bind(bus),
    [Symbol.asyncDispose]: bus[Symbol.asyncDispose].bind(bus),
  };
}

type Arguments = [topic: Topic, callback: SyncCallback | undefined, options: SubscribeOptions | undefined];

/** `subscribe` with other arguments. */
function subscribing(
  bus: SyncBus,
  change: (...args: Arguments) => Arguments,
  wrap: (subscription: Subscription) => Subscription = (subscription) => subscription,
): SyncBus["subscribe"] {
  return (topic: Topic, first?: SyncCallback | SubscribeOptions, second?: SubscribeOptions): Subscription => {
    const args = typeof first === "function" ? change(topic, first, second) : change(topic, undefined, first);
    return wrap(args[1] === undefined ? bus.subscribe(args[0], args[2]) : bus.subscribe(args[0], args[1], args[2]));
  };
}

function topics(change: (topic: Topic) => Topic): Change {
  return (bus) => ({ subscribe: subscribing(bus, (topic, ...rest) => [change(topic), ...rest]) });
}

function called(change: (callback: SyncCallback) => SyncCallback): Change {
  return (bus) => ({
    subscribe: subscribing(bus, (topic, callback, options) => [topic, callback && change(callback), options]),
  });
}

function events(change: (event: SyncEvent) => SyncEvent): Change {
  return called((callback) => (event) => callback(change(event)));
}

function optionsOf(change: (options: SubscribeOptions) => SubscribeOptions): Change {
  return (bus) => ({
    subscribe: subscribing(bus, (topic, callback, options) => [topic, callback, change(options ?? {})]),
  });
}

function subscriptions(change: (subscription: Subscription) => Subscription): Change {
  return (bus) => ({ subscribe: subscribing(bus, (...args) => args, change) });
}

/** A subscription with other events, which begin to come when it is iterated. */
function iterators(change: (inner: Subscription) => AsyncIterable<SyncEvent>): Change {
  return subscriptions((inner) => ({
    ...parts(inner),
    [Symbol.asyncIterator]: () => change(inner)[Symbol.asyncIterator]() as AsyncIterableIterator<SyncEvent>,
  }));
}

function parts(inner: Subscription): Subscription {
  return {
    topic: inner.topic,
    closed: inner.closed,
    close: () => inner.close(),
    [Symbol.asyncIterator]: () => inner[Symbol.asyncIterator](),
  };
}

async function* reversed(inner: Subscription): AsyncGenerator<SyncEvent, void, undefined> {
  const held: SyncEvent[] = [];
  for await (const event of inner) held.unshift(event);
  yield* held;
}

function published(change: (topic: Topic, options: PublishOptions) => [Topic, PublishOptions]): Change {
  return (bus) => ({ publish: (topic, options) => bus.publish(...change(topic, options ?? {})) });
}

/** Awaits in another way, and without zones. */
function awaiting(
  publish: (topic: Topic, options: PublishOptions | undefined, bus: SyncBus) => Promise<PublishResult>,
): Change {
  return (bus) => {
    const call = (topic: Topic, _count: unknown, { timeout: _, ...options }: AwaitOptions = {}) =>
      publish(topic, options, bus);
    return { publishAndAwait: call, publishAndAwaitTopology: call };
  };
}

function global(options: PublishOptions = {}): PublishOptions {
  return options.scope === "local" ? { ...options, scope: "global" } : options;
}

function rounded({ vectorClock = {} }: SyncEvent): Record<string, number> {
  return Object.fromEntries(Object.entries(vectorClock).map(([writer, count]) => [writer, Number(count)]));
}
