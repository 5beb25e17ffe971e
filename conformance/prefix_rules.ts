/**
 * Prefix rules: which subscriptions a published prefix reaches, and with what.
 *
 * @module
 */

import { equal } from "./checks.ts";
import { keysOf, said } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

const NEEDS = { needs: ["prefixes"] } as const;

/** The rules of `publish` with a prefix. */
export const prefixRules: readonly Rule[] = [
  rule(
    "A published prefix reaches each subscription that has keys with it in common, with exactly one event.",
    NEEDS,
    async (kit, a, b) => {
      const topics = [
        "user:",
        "user:42",
        { prefix: "" },
        { prefix: "us" },
        { prefix: "user:" },
        { prefix: "user:4" },
      ] as const;
      const heard = topics.map((topic) => kit.listen(b, topic));
      await kit.publish(a, { prefix: "user:" });
      equal(heard.map((events) => events.length), topics.map(() => 1), "the number of events of each subscription");
    },
  ),
  rule("It reaches no other subscription.", NEEDS, async (kit, a, b) => {
    const topics = ["", "user", "order:42", { prefix: "users" }, { prefix: "order:" }, { prefix: "ser:" }] as const;
    const heard = topics.map((topic) => kit.listen(b, topic));
    await kit.publish(a, { prefix: "user:" });
    equal(heard.map(keysOf), topics.map(() => []), "the events of each subscription");
  }),
  rule(
    "Its event has it as `prefix`, and as `key` the subscription's own key or prefix, or the published prefix if " +
      "that is longer.",
    NEEDS,
    async (kit, a, b) => {
      const expected = [
        ["user:42", "user:42"],
        [{ prefix: "" }, "user:"],
        [{ prefix: "us" }, "user:"],
        [{ prefix: "user:" }, "user:"],
        [{ prefix: "user:4" }, "user:4"],
      ] as const;
      const heard = expected.map(([topic]) => kit.listen(b, topic));
      await kit.publish(a, { prefix: "user:" });
      const events = expected.map(([, key]) => [{ key, cause: "publish", prefix: "user:" }]);
      equal(heard.map((events) => events.map(said)), events, "the events of each subscription");
    },
  ),
  rule('The prefix `""` reaches every subscription.', NEEDS, async (kit, a, b) => {
    const topics = ["", "k", { prefix: "" }, { prefix: "k" }] as const;
    const heard = topics.map((topic) => kit.listen(b, topic));
    await kit.publish(a, { prefix: "" });
    const events = ["", "k", "", "k"].map((key) => [{ key, cause: "publish", prefix: "" }]);
    equal(heard.map((events) => events.map(said)), events, "the events of each subscription");
  }),
  rule("The event of a published key has no `prefix`.", {}, async (kit, a, b) => {
    const heard = [kit.listen(b, "k"), kit.listen(b, { prefix: "k" })];
    await kit.publish(a, "k");
    equal(heard.map((events) => events.map(({ prefix }) => prefix)), [[undefined], [undefined]], "the prefixes");
  }),
  rule("Own subscriptions get a published prefix as `self` says, as they get a key.", NEEDS, async (kit, a, b) => {
    const heard = [kit.listen(a, "k1"), kit.listen(a, { prefix: "" }, { self: true }), kit.listen(b, "k1")];
    for (const self of [undefined, true, false]) await kit.publish(a, { prefix: "k" }, { self });
    equal(heard.map((events) => events.length), [1, 2, 3], "the number of events of each subscription");
    equal(heard[0]?.map(said), [{ key: "k1", cause: "publish", prefix: "k" }], "the own event");
  }),
];
