/**
 * Lease rules: leases are keys that begin with `lease:`.
 *
 * @module
 */

import { equal } from "./checks.ts";
import { keysOf } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

/** The rules of leases. */
export const leaseRules: readonly Rule[] = [
  rule('`revokeLease` publishes the key `"lease:" + id`, with its options.', {}, async (kit, a, b) => {
    const [other, own] = [kit.listen(b, "lease:7"), kit.listen(a, "lease:7")];
    await kit.done(() => a.revokeLease("7", { self: true }));
    await kit.arrived(a);
    equal([other, own].map(keysOf), [["lease:7"], ["lease:7"]], "the events, also the own ones");
  }),
  rule("`subscribeLease` subscribes to that key, with a callback or to be iterated, with its options.", {}, async (
    kit,
    a,
    b,
  ) => {
    const [called, own]: [string[], string[]] = [[], []];
    b.subscribeLease("7", ({ key }) => void called.push(key));
    a.subscribeLease("7", ({ key }) => void own.push(key), { self: true });
    b.subscribeLease("8", ({ key }) => void called.push(key));
    const subscription = b.subscribeLease("7", { capacity: 1 });
    equal(subscription.topic, "lease:7", "the topic");
    await kit.publish(a, "lease:7");
    const { value } = await kit.done(() => subscription[Symbol.asyncIterator]().next(), "an event of the lease comes");
    equal([called, own, value?.key], [["lease:7"], ["lease:7"], "lease:7"], "the events");
  }),
  rule(
    "`unsubscribeLease` closes a subscription to that key, and does nothing for another lease.",
    {},
    async (_, a) => {
      const [lease, key] = [a.subscribeLease("7"), a.subscribe("7")];
      a.unsubscribeLease("8", lease);
      a.unsubscribeLease("7", key);
      equal([lease.closed, key.closed], [false, false], "closed after unsubscribeLease of another lease");
      a.unsubscribeLease("7", lease);
      equal([lease.closed, key.closed], [true, false], "closed after unsubscribeLease");
    },
  ),
];
