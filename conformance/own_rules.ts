/**
 * Own rules: which of its own subscriptions get what a bus publishes.
 *
 * @module
 */

import type { SyncBus } from "../src/pubsub/sync_bus.ts";
import { equal } from "./checks.ts";
import { keysOf, type Kit } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

/** The rules of `self`. */
export const ownRules: readonly Rule[] = [
  rule("A subscription does not get what its own bus publishes.", {}, async (kit, a, b) => {
    const own = [kit.listen(a, "k"), kit.listen(a, { prefix: "" }), kit.listen(a, "k", { self: false })];
    const other = kit.listen(b, "k");
    await kit.publish(a, "k");
    equal([...own, other].map(keysOf), [[], [], [], ["k"]], "the events at three own subscriptions and another's");
  }),
  rule("With `self: true` of `subscribe` it does, whether it has a callback or is iterated.", {}, async (kit, a, b) => {
    const own = [kit.listen(a, "k", { self: true }), kit.listen(a, { prefix: "" }, { self: true })];
    const other = kit.listen(b, "k");
    const iterator = a.subscribe("k", { self: true })[Symbol.asyncIterator]();
    await kit.publish(a, "k");
    const { value } = await kit.done(() => iterator.next(), "an iterated subscription gets its own bus's key");
    equal([...own, other].map(keysOf), [["k"], ["k"], ["k"]], "the events at two own subscriptions and another's");
    equal(value?.key, "k", "the key of an iterated own event");
    await kit.publish(b, "k");
    equal(own.map((events) => events.length), [2, 2], "the number of events after another replica's publish");
  }),
  rule(
    "`self: true` of `publish` reaches all own subscriptions that match, and `self: false` none of them.",
    {},
    async (
      kit,
      a,
      b,
    ) => {
      const heard = listenAll(kit, a, b);
      await kit.publish(a, "k", { self: true });
      equal(heard.map(keysOf), [["k"], ["k"], ["k"], []], "the events with self: true");
      await kit.publish(a, "k", { self: false });
      equal(heard.map(keysOf), [["k"], ["k"], ["k", "k"], []], "the events with self: false");
    },
  ),
  rule("`self` of `publish` changes nothing for the subscriptions of other replicas.", {}, async (kit, a, b) => {
    const heard = [kit.listen(b, "k"), kit.listen(b, "k", { self: true }), kit.listen(b, "k", { self: false })];
    for (const self of [true, false, undefined]) await kit.publish(a, "k", { self });
    equal(heard.map((events) => events.length), [3, 3, 3], "the number of events of three publishes");
  }),
];

/** At `own` a subscription as it is by default, one with `self: true`; one at `other`; and one to another key. */
function listenAll(kit: Kit, own: SyncBus, other: SyncBus) {
  return [
    kit.listen(own, "k"),
    kit.listen(own, { prefix: "k" }, { self: true }),
    kit.listen(other, "k"),
    kit.listen(own, "other", { self: true }),
  ];
}
