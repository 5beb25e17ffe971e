/**
 * Subscription rules: callbacks, and the ends of subscriptions.
 *
 * @module
 */

import { equal } from "./checks.ts";
import { keysOf } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

/** The rules of subscriptions with a callback. */
export const subscriptionRules: readonly Rule[] = [
  rule("A callback that throws, or rejects, harms no other callback and no publisher.", {}, async (kit, a, b) => {
    let thrown = 0;
    const before = kit.listen(b, "k");
    b.subscribe("k", () => {
      thrown++;
      throw new Error("thrown by a callback, as a rule of conformance wants it");
    });
    b.subscribe({ prefix: "k" }, () => {
      thrown++;
      return Promise.reject(new Error("rejected by a callback, as a rule of conformance wants it"));
    });
    const after = [kit.listen(b, "k"), kit.listen(b, { prefix: "" })];
    for (let i = 0; i < 2; i++) await kit.publish(a, "k");
    equal([before, ...after].map(keysOf), [["k", "k"], ["k", "k"], ["k", "k"]], "the events of the other callbacks");
    equal([thrown, b.isHealthy()], [4, true], "the failures, and whether the bus is healthy");
  }),
  rule("A subscription has its topic, and is not closed until somebody closes it.", {}, async (_, a) => {
    const topics = ["k", { prefix: "k" }] as const;
    const subscriptions = topics.flatMap((topic) => [a.subscribe(topic), a.subscribe(topic, () => {})]);
    equal(subscriptions.map(({ topic }) => topic), ["k", "k", { prefix: "k" }, { prefix: "k" }], "the topics");
    equal(subscriptions.map(({ closed }) => closed), [false, false, false, false], "closed");
    for (const subscription of subscriptions) for (let i = 0; i < 2; i++) subscription.close();
    equal(subscriptions.map(({ closed }) => closed), [true, true, true, true], "closed after close, called twice");
  }),
  rule("A closed subscription gets no further events, and others to its topic go on.", {}, async (kit, a, b) => {
    const events: string[] = [];
    const subscription = b.subscribe("k", ({ key }) => void events.push(key));
    const other = kit.listen(b, "k");
    await kit.publish(a, "k");
    subscription.close();
    await kit.publish(a, "k");
    equal([events, keysOf(other)], [["k"], ["k", "k"]], "the events of the closed one and of another");
  }),
  rule(
    "`unsubscribe` closes a subscription to its topic, and does nothing for another topic.",
    {},
    async (kit, a, b) => {
      const heard: string[] = [];
      const byKey = b.subscribe("k", () => void heard.push("key"));
      const byPrefix = b.subscribe({ prefix: "k" }, () => void heard.push("prefix"));
      b.unsubscribe("x", byKey);
      b.unsubscribe({ prefix: "k" }, byKey);
      b.unsubscribe("k", byPrefix);
      equal([byKey.closed, byPrefix.closed], [false, false], "closed after unsubscribe of another topic");
      await kit.publish(a, "k");
      for (let i = 0; i < 2; i++) {
        b.unsubscribe("k", byKey);
        b.unsubscribe({ prefix: "k" }, byPrefix);
      }
      equal([byKey.closed, byPrefix.closed], [true, true], "closed after unsubscribe");
      await kit.publish(a, "k");
      equal(heard.sort(), ["key", "prefix"], "the events");
    },
  ),
  rule(
    "A signal that aborts closes a subscription, and one that has aborted makes a closed one.",
    {},
    async (kit, a, b) => {
      const controller = new AbortController();
      const { signal } = controller;
      const heard = kit.listen(b, "k", { signal });
      const subscription = b.subscribe("k", { signal });
      await kit.publish(a, "k");
      controller.abort();
      const late = b.subscribe("k", { signal });
      await kit.publish(a, "k");
      equal([keysOf(heard), subscription.closed, late.closed], [["k"], true, true], "the events, and what is closed");
    },
  ),
];
