/**
 * Publish rules: which subscriptions a published key reaches.
 *
 * @module
 */

import type { SyncEvent } from "../src/pubsub/sync_bus.ts";
import { equal } from "./checks.ts";
import { keysOf, said } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

/** The rules of `publish` with a key. */
export const publishRules: readonly Rule[] = [
  rule(
    "A key that is published reaches each subscription of another replica to it, or to a prefix of it, exactly once.",
    {},
    async (kit, a, b) => {
      const topics = ["user:42", "user:42", { prefix: "user:" }, { prefix: "user:42" }, { prefix: "" }] as const;
      const heard = topics.map((topic) => kit.listen(b, topic));
      await kit.publish(a, "user:42");
      const event: SyncEvent = { key: "user:42", cause: "publish" };
      equal(heard.map((events) => events.map(said)), topics.map(() => [event]), "the events of each subscription");
    },
  ),
  rule("A subscription to another key, or to a prefix that the key does not begin with, gets no event.", {}, async (
    kit,
    a,
    b,
  ) => {
    const topics = ["user:4", "user:421", "", { prefix: "user:421" }, { prefix: "order:" }, { prefix: "ser" }] as const;
    const heard = topics.map((topic) => kit.listen(b, topic));
    await kit.publish(a, "user:42");
    equal(heard.map(keysOf), topics.map(() => []), "the events of each subscription");
  }),
  rule(
    "There are no wildcards: `*` is a character like any other, in keys and in prefixes.",
    {},
    async (kit, a, b) => {
      const [pattern, prefix, all] = [kit.listen(b, "u*"), kit.listen(b, { prefix: "u*" }), kit.listen(b, "*")];
      await kit.publish(a, "user");
      equal([pattern, prefix, all].map(keysOf), [[], [], []], "the events of patterns for another key");
      for (const key of ["u*", "*"]) await kit.publish(a, key);
      equal([pattern, prefix, all].map(keysOf), [["u*"], ["u*"], ["*"]], "the events of patterns for the same key");
    },
  ),
  rule("Any well-formed key is carried as it is, from the empty one to the longest.", {}, async (kit, a, b) => {
    const longest = "x".repeat(kit.longestKey);
    const even = "é".repeat(Math.floor(kit.longestKey / 2));
    const keys = ["", " ", "a", "ключ", "日本", "😀", "\uFEFFbom", "__proto__", "a\u0000b\n", longest, even];
    const heard = kit.listen(b, { prefix: "" });
    for (const key of keys) await kit.publish(a, key);
    equal(keysOf(heard).map(lengthAndText), keys.map(lengthAndText), "the keys that arrive");
  }),
  rule("Each replica gets what each other replica publishes.", { places: [{}, {}, {}] }, async (kit, ...buses) => {
    const heard = buses.map((bus) => kit.listen(bus, { prefix: "of " }));
    for (const [i, bus] of buses.entries()) await kit.publish(bus, `of ${i}`);
    const expected = [["of 1", "of 2"], ["of 0", "of 2"], ["of 0", "of 1"]];
    equal(heard.map((events) => keysOf(events).sort()), expected, "the keys that each replica gets");
  }),
  rule("`publish` resolves to nothing, though there is no subscriber and no other replica.", { places: [{}] }, async (
    kit,
    a,
  ) => {
    equal(await kit.done(() => a.publish("nobody's")), undefined, "the value of publish");
  }),
];

function lengthAndText(key: string): string {
  return `${key.length}: ${key}`;
}
