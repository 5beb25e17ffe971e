/**
 * Iteration rules: order, capacity and end of a subscription that is iterated.
 *
 * @module
 */

import type { Subscription, SyncEvent } from "../src/pubsub/sync_bus.ts";
import { equal, throws } from "./checks.ts";
import { type Kit, watch } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

/** The rules of subscriptions without a callback. */
export const iterationRules: readonly Rule[] = [
  rule("An iterated subscription gives events in the order in which they came.", {}, async (kit, a, b) => {
    const order: string[] = [];
    b.subscribe({ prefix: "k" }, ({ key }) => void order.push(key));
    const subscription = b.subscribe({ prefix: "k" });
    for (const key of ["k2", "k1", "k3"]) await kit.publish(a, key);
    equal(await rest(kit, subscription), order.map((key) => `${key} publish`), "the events");
  }),
  rule("An event is merged with an undelivered one of its key, so a subscription to a key never overflows.", {}, async (
    kit,
    a,
    b,
  ) => {
    const [one, prefix] = [b.subscribe("k1", { capacity: 1 }), b.subscribe({ prefix: "k" }, { capacity: 2 })];
    for (const key of ["k1", "k2", "k1", "k1"]) await kit.publish(a, key);
    equal(await rest(kit, one), ["k1 publish"], "the events of the key");
    equal(await rest(kit, prefix), ["k1 publish", "k2 publish"], "the events of the prefix");
  }),
  rule(
    "A prefix subscription that is full gets one overflow event for its own prefix, after the held events.",
    {},
    async (
      kit,
      a,
      b,
    ) => {
      const subscription = b.subscribe({ prefix: "k" }, { capacity: 2 });
      const iterator = subscription[Symbol.asyncIterator]();
      for (const key of ["k1", "k2", "k3", "k4"]) await kit.publish(a, key);
      const events: string[] = [];
      for (let i = 0; i < 3; i++) events.push(textOf((await kit.done(() => iterator.next(), "an event comes")).value));
      equal(events, ["k1 publish", "k2 publish", "k overflow"], "the events");
      await kit.publish(a, "k5");
      equal(await rest(kit, subscription), ["k5 publish"], "the events after the overflow was delivered");
    },
  ),
  rule("Without `capacity` it holds 32 events.", {}, async (kit, a, b) => {
    const subscription = b.subscribe({ prefix: "k" });
    for (let i = 0; i < 33; i++) await kit.done(() => a.publish(`k${i}`));
    await kit.arrived(a);
    const events = await rest(kit, subscription);
    equal([events.length, events.at(-1)], [33, "k overflow"], "the number of events, and the last");
  }),
  rule("Closing a subscription ends its loop after the events that it held, and what waits for an event.", {}, async (
    kit,
    a,
    b,
  ) => {
    const [held, waiting] = [b.subscribe("k"), b.subscribe("other")];
    const next = watch(waiting[Symbol.asyncIterator]().next());
    await kit.publish(a, "k");
    equal(next.state, "pending", "the state of what waits");
    waiting.close();
    await kit.until(() => next.state !== "pending", "what waits ends");
    equal([next.value?.done, await rest(kit, held)], [true, ["k publish"]], "the end of what waits, and the events");
  }),
  rule("Leaving the loop closes the subscription.", {}, async (kit, a, b) => {
    const subscription = b.subscribe("k");
    await kit.publish(a, "k");
    await kit.done(async () => {
      for await (const _ of subscription) break;
    }, "the loop ends");
    equal(subscription.closed, true, "closed after the loop was left");
  }),
  rule("To iterate a subscription with a callback is a `TypeError`.", {}, async (_, a) => {
    const subscription = a.subscribe("k", () => {});
    throws(() => subscription[Symbol.asyncIterator](), "to iterate it", "TypeError");
  }),
];

/** Closes a subscription and gives the events that it held. */
async function rest(kit: Kit, subscription: Subscription): Promise<string[]> {
  subscription.close();
  const events: string[] = [];
  await kit.done(async () => {
    for await (const event of subscription) events.push(textOf(event));
  }, "the loop ends");
  return events;
}

function textOf({ cause, key }: SyncEvent): string {
  return `${key} ${cause}`;
}
