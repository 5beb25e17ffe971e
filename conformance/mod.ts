/**
 * Conformance suite: the semantics of `SyncBus` as rules, each a sentence with a check, for whoever writes another bus.
 * It needs no test framework, and runs on Node, Deno and Bun.
 *
 * @example With `node:test`, on a bus of your own
 * ```ts no-run
 * import { test } from "node:test";
 * import { InProcessBus } from "@warp-mesh/bus";
 * import { rulesFor } from "@warp-mesh/bus/conformance";
 *
 * const rules = rulesFor({
 *   lacks: ["timeouts"],
 *   open: async ([first, ...others]) => {
 *     const bus = new InProcessBus({ ...first }); // your own bus here
 *     return { buses: [bus, ...others.map((place) => bus.replica(place))] };
 *   },
 * });
 * for (const { name, run } of rules) test(name, run);
 * ```
 *
 * @module
 */

import { argumentRules } from "./argument_rules.ts";
import { guardRules } from "./guard_rules.ts";
import { iterationRules } from "./iteration_rules.ts";
import { leaseRules } from "./lease_rules.ts";
import { lifecycleRules } from "./lifecycle_rules.ts";
import { metadataRules } from "./metadata_rules.ts";
import { ownRules } from "./own_rules.ts";
import { prefixRules } from "./prefix_rules.ts";
import { publishRules } from "./publish_rules.ts";
import { quorumRules } from "./quorum_rules.ts";
import type { BusUnderTest, Rule } from "./rule.ts";
import { subscriptionRules } from "./subscription_rules.ts";
import { topologyRules } from "./topology_rules.ts";

export type { SyncBus } from "../src/pubsub/sync_bus.ts";
export type { Ability, BusUnderTest, OpenedBuses, Place, Rule } from "./rule.ts";

/** All rules by what they are about, as the document lists them. */
export const conformance: Readonly<Record<string, readonly Rule[]>> = {
  "Publishing a key": publishRules,
  "Own subscriptions": ownRules,
  "Publishing a prefix": prefixRules,
  "Metadata": metadataRules,
  "Arguments": argumentRules,
  "Callbacks and ends of subscriptions": subscriptionRules,
  "Iterated subscriptions": iterationRules,
  "Leases": leaseRules,
  "Load guards": guardRules,
  "Acknowledgements": quorumRules,
  "Zones": topologyRules,
  "State and end of a bus": lifecycleRules,
};

/** A rule that applies to a bus. */
export interface BoundRule {
  /** The rule in words. */
  readonly name: string;
  /** Checks the rule on the bus. Rejects with an `Error` that names the rule and the value when it is broken. */
  readonly run: () => Promise<void>;
}

/** The rules that apply to a bus: those that need nothing that it lacks. Each opens replicas of its own. */
export function rulesFor(bus: BusUnderTest): readonly BoundRule[] {
  const { lacks = [] } = bus;
  return Object.values(conformance).flat().filter(({ needs }) => !needs.some((ability) => lacks.includes(ability)))
    .map(({ name, run }) => ({ name, run: () => run(bus) }));
}
