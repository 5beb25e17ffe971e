/**
 * Guard rules: when a load guard is stale.
 *
 * @module
 */

import type { LoadGuard } from "../src/pubsub/load_guard.ts";
import { equal } from "./checks.ts";
import { type Rule, rule } from "./rule.ts";

/** The rules of load guards. */
export const guardRules: readonly Rule[] = [
  rule("A guard has its key, and is fresh until another replica publishes the key.", {}, async (kit, a, b) => {
    const guard = a.guard("k");
    equal([guard.key, guard.isFresh()], ["k", true], "the key, and whether it is fresh");
    await kit.publish(b, "k");
    equal([guard.isFresh(), a.guard("k").isFresh()], [false, true], "whether it, and a later one, is fresh");
  }),
  rule("A guard is stale when its own bus publishes the key.", {}, async (kit, a) => {
    const guard = a.guard("k");
    await kit.publish(a, "k", { self: false });
    equal(guard.isFresh(), false, "whether it is fresh");
  }),
  rule("A guard stays fresh when another key is published.", {}, async (kit, a, b) => {
    const guard = a.guard("user:42");
    for (const key of ["user:4", "user:421", "user:", ""]) await kit.publish(b, key);
    await kit.publish(a, "other");
    equal(guard.isFresh(), true, "whether it is fresh");
  }),
  rule(
    "A guard is stale when any replica publishes a prefix of the key.",
    { needs: ["prefixes"] },
    async (kit, a, b) => {
      for (const prefix of ["", "user:", "user:42"]) {
        for (const publisher of [a, b]) {
          const guard = a.guard("user:42");
          await kit.publish(publisher, { prefix });
          equal(guard.isFresh(), false, `whether it is fresh after the prefix ${prefix}`);
        }
      }
    },
  ),
  rule("A guard stays fresh when another prefix is published.", { needs: ["prefixes"] }, async (kit, a, b) => {
    const guard = a.guard("user:42");
    for (const prefix of ["user:421", "order:", "ser:"]) await kit.publish(b, { prefix });
    equal(guard.isFresh(), true, "whether it is fresh");
  }),
  rule("A guard is stale before the callbacks of the key are called, and one that they take is fresh.", {}, async (
    kit,
    a,
    b,
  ) => {
    const guard = a.guard("k");
    const fresh: boolean[] = [];
    const taken: LoadGuard[] = [];
    a.subscribe("k", () => {
      fresh.push(guard.isFresh());
      taken.push(a.guard("k"));
    });
    await kit.publish(b, "k");
    equal(
      [fresh, taken.map((each) => each.isFresh())],
      [[false], [true]],
      "whether it, and one that is taken, is fresh",
    );
  }),
  rule("After `close` no guard is fresh.", {}, async (kit, a) => {
    const guard = a.guard("k");
    await kit.done(() => a.close());
    equal([guard.isFresh(), a.guard("k").isFresh()], [false, false], "whether it, and a later one, is fresh");
  }),
];
