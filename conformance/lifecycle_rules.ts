/**
 * Lifecycle rules: what a bus says of itself, and how it closes.
 *
 * @module
 */

import type { SyncBus, Topic } from "../src/pubsub/sync_bus.ts";
import { equal, isTrue, throws } from "./checks.ts";
import { keysOf, watch } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

/** The rules of peers, health, metrics and closing. */
export const lifecycleRules: readonly Rule[] = [
  rule(
    "`peers` has an address for each other replica that is there.",
    { places: [{}, {}, {}] },
    async (kit, a, b, c) => {
      equal([a, b, c].map((bus) => new Set(bus.peers()).size), [2, 2, 2], "the number of addresses at each replica");
      isTrue(
        a.peers().some((address) => b.peers().includes(address)),
        "two replicas list the third by the same address",
      );
      await kit.done(() => c.close());
      await kit.until(
        () => a.peers().length === 1 && b.peers().length === 1,
        "the others no longer list it",
        () => a.peers(),
      );
      await kit.done(() => b.close());
      await kit.until(() => a.peers().length === 0, "the last is alone", () => a.peers());
    },
  ),
  rule("`isHealthy` is true from the start until `close` is called.", {}, async (kit, a, b) => {
    equal([a.isHealthy(), b.isHealthy()], [true, true], "healthy");
    const closing = a.close();
    equal([a.isHealthy(), b.isHealthy()], [false, true], "healthy while one closes");
    await kit.done(() => closing);
    equal([a.isHealthy(), b.isHealthy()], [false, true], "healthy after one has closed");
  }),
  rule("`metrics` counts messages sent and received, and no count ever falls.", {}, async (kit, a, b) => {
    b.subscribe({ prefix: "" }, () => {});
    const seen = [[a.metrics(), b.metrics()] as const];
    for (const key of ["k1", "k2", "k3"]) {
      await kit.publish(a, key);
      seen.push([a.metrics(), b.metrics()]);
    }
    await kit.done(() => a.close());
    seen.push([a.metrics(), b.metrics()]);
    for (const [i, [atA, atB]] of seen.entries()) {
      const [beforeA, beforeB] = seen[i - 1] ?? [atA, atB];
      const falls = atA.published < beforeA.published || atA.delivered < beforeA.delivered ||
        atB.published < beforeB.published || atB.delivered < beforeB.delivered;
      isTrue(!falls, "no count falls");
    }
    const [first, last] = [seen[0], seen.at(-1)];
    isTrue((last?.[0].published ?? 0) > (first?.[0].published ?? 0), "`published` of the publisher has grown");
    isTrue((last?.[1].delivered ?? 0) > (first?.[1].delivered ?? 0), "`delivered` of the subscriber has grown");
  }),
  rule("What was published before `close` arrives.", {}, async (kit, a, b) => {
    const heard = kit.listen(b, { prefix: "k" });
    const published = watch(Promise.all([a.publish("k1"), a.publish("k2")]));
    await kit.done(() => a.close());
    await kit.until(() => published.state !== "pending" && heard.length === 2, "both keys arrive", () => heard);
    equal([published.state, keysOf(heard).sort()], ["fulfilled", ["k1", "k2"]], "the state, and the keys");
  }),
  rule("`close` closes all subscriptions and ends their loops.", {}, async (kit, a) => {
    const subscriptions = [a.subscribe("k"), a.subscribe({ prefix: "" }), a.subscribe("k", () => {})];
    const next = watch((subscriptions[0] as AsyncIterable<unknown>)[Symbol.asyncIterator]().next());
    await kit.done(() => a.close());
    equal(subscriptions.map(({ closed }) => closed), [true, true, true], "closed");
    await kit.until(() => next.state !== "pending", "what waits for an event ends");
    equal(next.value?.done, true, "the end of what waits");
  }),
  rule("A second `close` returns the same promise.", {}, async (kit, a) => {
    const closing = a.close();
    isTrue(a.close() === closing, "a second call returns the same promise");
    await kit.done(() => closing);
    isTrue(a.close() === closing, "a call after the end returns the same promise");
  }),
  rule("After `close`, publishing rejects with a `ClosedError`, and subscribing throws one.", {}, async (kit, a) => {
    await kit.done(() => a.close());
    const publishes: Readonly<Record<string, () => Promise<unknown>>> = {
      publish: () => a.publish("k"),
      publishAndAwait: () => a.publishAndAwait("k", 1),
      "publishAndAwait of none": () => a.publishAndAwait("k", 0),
      publishAndAwaitTopology: () => a.publishAndAwaitTopology("k", 1),
      revokeLease: () => a.revokeLease("k"),
    };
    for (const [name, call] of Object.entries(publishes)) await kit.rejects(call, name, "ClosedError");
    for (const topic of ["k", { prefix: "k" }] satisfies Topic[]) {
      throws(() => a.subscribe(topic), "subscribe", "ClosedError");
      throws(() => a.subscribe(topic, () => {}), "subscribe with a callback", "ClosedError");
    }
    throws(() => a.subscribeLease("k"), "subscribeLease", "ClosedError");
  }),
  rule("After `close`, `unsubscribe` and what reads still work.", {}, async (kit, a) => {
    const [key, lease] = [a.subscribe("k"), a.subscribeLease("k")];
    await kit.done(() => a.close());
    a.unsubscribe("k", key);
    a.unsubscribeLease("k", lease);
    key.close();
    const { published } = a.metrics();
    equal([typeof published, Array.isArray(a.peers()), a.guard("k").key], ["number", true, "k"], "what is read");
  }),
  rule("Closing one replica leaves the others open.", { places: [{}, {}, {}] }, async (kit, a, b, c) => {
    const heard = kit.listen(b, "k");
    await kit.done(() => c.close());
    await kit.publish(a, "k");
    equal(keysOf(heard), ["k"], "the events");
  }),
  rule("A closed bus delivers nothing more.", {}, async (kit, a, b) => {
    const heard = [kit.listen(b, "k")];
    const closing = b.close();
    await kit.publish(a, "k");
    await kit.done(() => closing);
    equal(heard.map(keysOf), [[]], "the events");
  }),
  rule("`Symbol.asyncDispose` closes the bus.", {}, async (kit, a) => {
    const subscription = a.subscribe("k");
    await kit.done(() => dispose(a));
    equal([a.isHealthy(), subscription.closed], [false, true], "healthy, and closed");
    await kit.rejects(() => a.publish("k"), "publish", "ClosedError");
  }),
];

async function dispose(bus: SyncBus): Promise<void> {
  await bus[Symbol.asyncDispose]();
}
