/**
 * Topology rules: publishes that replicas in several zones acknowledge.
 *
 * @module
 */

import { equal } from "./checks.ts";
import { keysOf } from "./kit.ts";
import { notSatisfied } from "./quorum_rules.ts";
import { type Ability, type Rule, rule } from "./rule.ts";

const NEEDS: readonly Ability[] = ["acknowledgements"];
/** Of the publisher, and of three others: one in the same zone, two in others. */
const ZONES = { needs: NEEDS, places: [{ zone: "a" }, { zone: "a" }, { zone: "b" }, { zone: "c" }] };

/** The rules of `publishAndAwaitTopology`. */
export const topologyRules: readonly Rule[] = [
  rule(
    "`publishAndAwaitTopology` with 0 is `publish`, and resolves with no acknowledgements.",
    {},
    async (kit, a, b) => {
      const heard = kit.listen(b, "k");
      const result = await kit.done(() => a.publishAndAwaitTopology("k", 0));
      await kit.arrived(a);
      equal([keysOf(heard), result.acknowledgements], [["k"], []], "the events and acknowledgements");
    },
  ),
  rule("With no other replica it rejects as `publishAndAwait` does.", { places: [{ zone: "a" }] }, async (kit, a) => {
    const heard = kit.listen(a, "k", { self: true });
    await kit.rejects(() => a.publishAndAwaitTopology("k", 1), "to await a zone alone", "QuorumUnsupportedError");
    await kit.step();
    equal(keysOf(heard), [], "the events");
  }),
  rule(
    "It resolves when replicas in as many distinct zones have acknowledged, and its result has their zones.",
    ZONES,
    async (
      kit,
      a,
      _,
      c,
      d,
    ) => {
      const heard = [kit.listen(c, "k"), kit.listen(d, "k")];
      const { acknowledgements } = await kit.done(() => a.publishAndAwaitTopology("k", 2));
      const zones = new Set(acknowledgements.map(({ zone }) => zone).filter((zone) => zone !== "a"));
      equal([...zones].sort(), ["b", "c"], "the zones that have acknowledged");
      equal(heard.map(keysOf), [["k"], ["k"]], "the events there");
    },
  ),
  rule(
    "The publisher's own zone counts only with `ownZone`, though others in it acknowledge.",
    ZONES,
    async (kit, a, b) => {
      const heard = kit.listen(b, "k");
      const { required } = await notSatisfied(kit, () => a.publishAndAwaitTopology("k", 3));
      equal(required, 3, "the number of zones that are required");
      await kit.arrived(a);
      equal(keysOf(heard), [], "the events of what is refused");
      await kit.done(() => a.publishAndAwaitTopology("k", 3, { ownZone: true }));
      await kit.arrived(a);
      equal(keysOf(heard), ["k"], "the events with `ownZone`");
      await notSatisfied(kit, () => a.publishAndAwaitTopology("k", 4, { ownZone: true }));
    },
  ),
  rule("Several replicas in one zone count once.", {
    needs: NEEDS,
    places: [{}, { zone: "a" }, { zone: "a" }],
  }, async (kit, a) => {
    await kit.done(() => a.publishAndAwaitTopology("k", 1));
    await notSatisfied(kit, () => a.publishAndAwaitTopology("k", 2));
  }),
  rule(
    "A replica without a zone counts for none.",
    { needs: NEEDS, places: [{ zone: "a" }, {}, { zone: "b" }] },
    async (
      kit,
      a,
    ) => {
      await kit.done(() => a.publishAndAwaitTopology("k", 1));
      await notSatisfied(kit, () => a.publishAndAwaitTopology("k", 2));
    },
  ),
  rule("A zone whose only replica fails does not count.", ZONES, async (kit, a, _, c) => {
    c.subscribe("k", () => {
      throw new Error("thrown by a callback, as a rule of conformance wants it");
    });
    const error = await notSatisfied(kit, () => a.publishAndAwaitTopology("k", 2));
    equal(error.missing.filter(({ reason }) => reason === "failed").map(({ zone }) => zone), ["b"], "the failed zones");
  }),
];
