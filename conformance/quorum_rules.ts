/**
 * Quorum rules: publishes that other replicas acknowledge.
 *
 * @module
 */

import type { Outcome, PublishResult, SubscribeOptions, SyncBus } from "../src/pubsub/sync_bus.ts";
import type { QuorumNotSatisfiedError } from "../src/errors.ts";
import { equal, isTrue } from "./checks.ts";
import { keysOf, type Kit, watch, type Watched } from "./kit.ts";
import { type Ability, type Rule, rule } from "./rule.ts";

const NEEDS: readonly Ability[] = ["acknowledgements"];
const TWO = { needs: NEEDS };
const THREE = { needs: NEEDS, places: [{}, {}, {}] };

/** The rules of `publishAndAwait`. */
export const quorumRules: readonly Rule[] = [
  rule("`publishAndAwait` with 0 is `publish`, and resolves with no acknowledgements.", {}, async (kit, a, b) => {
    const heard = [kit.listen(b, "k"), kit.listen(a, "k")];
    const result = await kit.done(() => a.publishAndAwait("k", 0, { self: true }));
    await kit.arrived(a);
    equal([heard.map(keysOf), result.acknowledgements], [[["k"], ["k"]], []], "the events and acknowledgements");
  }),
  rule(
    "With no other replica it rejects with a `QuorumUnsupportedError`, and publishes nothing.",
    { places: [{}] },
    async (
      kit,
      a,
    ) => {
      const heard = kit.listen(a, "k", { self: true });
      for (const replicas of [1, 5, "all"] as const) {
        await kit.rejects(
          () => a.publishAndAwait("k", replicas),
          `to await ${replicas} alone`,
          "QuorumUnsupportedError",
        );
      }
      await kit.step();
      equal(keysOf(heard), [], "the events");
    },
  ),
  rule("It resolves when as many other replicas have handed the event to their subscribers, not before.", TWO, async (
    kit,
    a,
    b,
  ) => {
    let called = 0;
    b.subscribe("k", () => void called++);
    for (let i = 1; i <= 3; i++) {
      let calledBy = 0;
      await kit.done(() => a.publishAndAwait("k", 1).then(() => calledBy = called));
      equal(calledBy, i, "the number of calls of the subscriber when it resolves");
    }
  }),
  rule(
    "Its result has an answer of each replica, once: `delivered`, or `unsubscribed` for one that holds nothing.",
    THREE,
    async (
      kit,
      a,
      b,
    ) => {
      b.subscribe("k", () => {});
      a.subscribe("k", () => {}, { self: true });
      const { acknowledgements } = await kit.done(() => a.publishAndAwait("k", 2));
      equal(outcomesOf({ acknowledgements }), ["delivered", "unsubscribed"], "the outcomes");
      equal(new Set(acknowledgements.map(({ node }) => node)).size, 2, "the number of nodes");
    },
  ),
  rule('`"all"` awaits all replicas that are there.', THREE, async (kit, a, b, c) => {
    for (const bus of [b, c]) bus.subscribe("k", () => {});
    const result = await kit.done(() => a.publishAndAwait("k", "all"));
    equal(outcomesOf(result), ["delivered", "delivered"], "the outcomes");
  }),
  rule("With more than there are it rejects with a `QuorumNotSatisfiedError`, and publishes nothing.", TWO, async (
    kit,
    a,
    b,
  ) => {
    const heard = [kit.listen(b, "k"), kit.listen(a, "k", { self: true })];
    const error = await notSatisfied(kit, () => a.publishAndAwait("k", 2));
    equal(fieldsOf(error), { required: 2, acknowledged: 0, outcomes: [], missing: ["pending"] }, "the error");
    await kit.arrived(a);
    equal(heard.map(keysOf), [[], []], "the events");
  }),
  rule("A replica whose callback throws has the outcome `failed` and does not count; the error lists it.", TWO, async (
    kit,
    a,
    b,
  ) => {
    fail(b);
    const heard = kit.listen(b, "k");
    for (const replicas of [1, "all"] as const) {
      const error = await notSatisfied(kit, () => a.publishAndAwait("k", replicas));
      equal(fieldsOf(error), { required: 1, acknowledged: 0, outcomes: ["failed"], missing: ["failed"] }, "the error");
      isTrue(error.missing[0]?.node === error.acknowledgements[0]?.node, "both lists name the same node");
    }
    equal(keysOf(heard), ["k", "k"], "the events of another subscriber there");
  }),
  rule("One that fails takes nothing from the others: as many may still acknowledge.", THREE, async (kit, a, b, c) => {
    fail(b);
    const heard = kit.listen(c, "k");
    const { acknowledgements } = await kit.done(() => a.publishAndAwait("k", 1));
    const counted = acknowledgements.filter(({ outcome }) => outcome !== "failed").map(({ outcome }) => outcome);
    equal([counted, keysOf(heard)], [["delivered"], ["k"]], "the outcomes that count, and the events");
  }),
  rule(
    "A callback counts when it has returned; what becomes of its promise does not matter.",
    TWO,
    async (kit, a, b) => {
      b.subscribe("k", () => new Promise(() => {}));
      b.subscribe("k", () => Promise.reject(new Error("rejected, as a rule of conformance wants it")), {
        deliveredWhen: "returned",
      });
      b.subscribe("k");
      equal(outcomesOf(await kit.done(() => a.publishAndAwait("k", 1))), ["delivered"], "the outcomes");
    },
  ),
  rule('With `deliveredWhen: "settled"` it counts when its promise is fulfilled.', TWO, async (kit, a, b) => {
    const held = hold(b);
    const awaited = await begin(kit, a, held, 1);
    equal(awaited.state, "pending", "the state before the promise is fulfilled");
    held.resolve();
    await kit.until(() => awaited.state !== "pending", "it resolves");
    equal(awaited.value && outcomesOf(awaited.value), ["delivered"], "the outcomes");
  }),
  rule('With `deliveredWhen: "settled"` a promise that rejects is the outcome `failed`.', TWO, async (kit, a, b) => {
    const held = hold(b);
    const awaited = await begin(kit, a, held, 1);
    held.reject(new Error("rejected, as a rule of conformance wants it"));
    await kit.until(() => awaited.state !== "pending", "it rejects");
    equal(fieldsOf(awaited.reason).missing, ["failed"], "the reasons of the error");
  }),
  rule("A promise that is not settled within `settleTimeout` is the outcome `failed`.", {
    needs: [...NEEDS, "timeouts"],
  }, async (kit, a, b) => {
    const held = hold(b, { settleTimeout: 60 });
    const awaited = await begin(kit, a, held, 1);
    await kit.until(() => awaited.state !== "pending", "it rejects");
    equal(fieldsOf(awaited.reason).missing, ["failed"], "the reasons of the error");
  }),
  rule("After `timeout` it rejects with a `QuorumNotSatisfiedError` that says who has not answered.", {
    ...THREE,
    needs: [...NEEDS, "timeouts"],
  }, async (kit, a, b) => {
    hold(b);
    const error = await notSatisfied(kit, () => a.publishAndAwait("k", 2, { timeout: 1000 }));
    const expected = { required: 2, acknowledged: 1, outcomes: ["unsubscribed"], missing: ["pending"] };
    equal(fieldsOf(error), expected, "the error");
  }),
  rule('With `"all"`, a replica that closes while it is awaited counts no longer.', THREE, async (kit, a, b, c) => {
    const held = hold(c);
    const awaited = await begin(kit, a, held, "all");
    equal(awaited.state, "pending", "the state before the replica closes");
    await kit.done(() => c.close());
    await kit.until(() => awaited.state !== "pending", "it settles");
    equal(
      [awaited.state, awaited.value?.acknowledgements.length],
      ["fulfilled", 1],
      "the state, and the acknowledgements",
    );
    equal(b.isHealthy(), true, "whether the other is there");
  }),
  rule("With a number, it rejects as soon as too few replicas are left.", THREE, async (kit, a, _, c) => {
    const held = hold(c);
    const awaited = await begin(kit, a, held, 2);
    await kit.done(() => c.close());
    await kit.until(() => awaited.state !== "pending", "it settles");
    const { acknowledged, required } = fieldsOf(awaited.reason);
    equal([acknowledged, required], [1, 2], "how many have acknowledged, and how many are required");
  }),
  rule("When `signal` aborts it rejects with the reason, and what was published stays published.", TWO, async (
    kit,
    a,
    b,
  ) => {
    const held = hold(b);
    const controller = new AbortController();
    const reason = new Error("enough");
    const awaited = watch(a.publishAndAwait("k", 1, { signal: controller.signal }));
    await kit.until(() => held.calls() > 0, "the subscriber is called");
    controller.abort(reason);
    await kit.until(() => awaited.state !== "pending", "it rejects");
    isTrue(awaited.reason === reason, "it rejects with the reason of the signal");
  }),
  rule("When the bus closes it rejects with a `ClosedError`.", TWO, async (kit, a, b) => {
    const held = hold(b);
    const awaited = await begin(kit, a, held, 1);
    await kit.done(() => a.close());
    await kit.until(() => awaited.state !== "pending", "it rejects");
    isTrue(awaited.reason instanceof Error && awaited.reason.name === "ClosedError", "it rejects with a ClosedError");
  }),
  rule("A published prefix is awaited as a key is.", { needs: [...NEEDS, "prefixes"] }, async (kit, a, b) => {
    const heard = kit.listen(b, "user:42");
    const some = await kit.done(() => a.publishAndAwait({ prefix: "user:" }, 1));
    const none = await kit.done(() => a.publishAndAwait({ prefix: "order:" }, 1));
    equal([some, none].map(outcomesOf), [["delivered"], ["unsubscribed"]], "the outcomes of two prefixes");
    equal(keysOf(heard), ["user:42"], "the events");
  }),
  rule("A replica that an event does not go to, as it stays in a region, acknowledges that it holds nothing.", {
    needs: [...NEEDS, "metadata"],
    places: [{ region: "eu" }, { region: "us" }],
  }, async (kit, a, b) => {
    const heard = kit.listen(b, "k");
    const result = await kit.done(() => a.publishAndAwait("k", 1, { scope: "local" }));
    equal([outcomesOf(result), keysOf(heard)], [["unsubscribed"], []], "the outcomes and the events");
  }),
];

/** The outcomes of acknowledgements, in alphabetical order. */
export function outcomesOf({ acknowledgements }: PublishResult): Outcome[] {
  return acknowledgements.map(({ outcome }) => outcome).sort();
}

/** Resolves with the `QuorumNotSatisfiedError` that it rejects with. */
export async function notSatisfied(kit: Kit, call: () => Promise<unknown>): Promise<QuorumNotSatisfiedError> {
  return await kit.rejects(call, "to await too much", "QuorumNotSatisfiedError") as QuorumNotSatisfiedError;
}

/** What a `QuorumNotSatisfiedError` says. */
function fieldsOf(reason: unknown) {
  const name = reason instanceof Error ? reason.name : String(reason);
  equal(name, "QuorumNotSatisfiedError", "the name of the error");
  const { acknowledged, acknowledgements, missing, required } = reason as QuorumNotSatisfiedError;
  const reasons = missing.map((each) => each.reason);
  return { required, acknowledged, outcomes: outcomesOf({ acknowledgements }), missing: reasons };
}

/** Subscribes with a callback that throws. */
function fail(bus: SyncBus): void {
  bus.subscribe("k", () => {
    throw new Error("thrown by a callback, as a rule of conformance wants it");
  });
}

/** Subscribes with a callback whose promise is settled by the rule. */
function hold(bus: SyncBus, options?: SubscribeOptions) {
  let [calls, resolve, reject] = [0, () => {}, (_: Error) => {}];
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  bus.subscribe("k", () => {
    calls++;
    return promise;
  }, { deliveredWhen: "settled", settleTimeout: 600_000, ...options });
  return { calls: () => calls, resolve, reject };
}

/** Publishes, and lets time pass until the held callback is called and all others have answered. */
async function begin(
  kit: Kit,
  bus: SyncBus,
  held: ReturnType<typeof hold>,
  replicas: number | "all",
): Promise<Watched<PublishResult>> {
  const awaited = watch(bus.publishAndAwait("k", replicas, { timeout: 86_400_000 }));
  await kit.until(() => held.calls() > 0, "the subscriber is called");
  await kit.arrived(bus);
  return awaited;
}
