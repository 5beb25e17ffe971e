// Quorums: when an awaited publish is satisfied, when it can no longer be, and what it reports.
import { describe, test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import * as fc from "fast-check";
import type { Outcome } from "../../src/acknowledgement.ts";
import { QuorumNotSatisfiedError } from "../../src/errors.ts";
import { type AcknowledgingPeer, type AcknowledgingPeers, Quorum } from "../../src/pubsub/quorum.ts";
import type { AwaitedQuorum } from "../../src/pubsub/sync_bus.ts";
import { settle } from "../support/outcome.ts";

function peersOf(...named: string[]): AcknowledgingPeers {
  const all = named.map((name): AcknowledgingPeer => {
    const [id = "", zone] = name.split("@");
    return { id, zone };
  });
  return { all, ids: new Set(all.map(({ id }) => id)) };
}

function setUp(wish: Partial<AwaitedQuorum>, peers: AcknowledgingPeers, zone?: string) {
  const calls: string[] = [];
  const quorum = new Quorum({ ownZone: false, timeout: 1000, ...wish }, peers, zone, {
    numbered: (_, number, index) => calls.push(`${number}/${index}`),
    settled: () => calls.push("settled"),
  });
  let state = "open";
  quorum.promise.then(
    ({ acknowledgements }) => state = `done ${acknowledgements.map(({ node }) => node).join()}`,
    (error) => {
      state = `failed ${error.acknowledged} of ${error.required}`;
    },
  );
  const stateNow = async () => {
    await settle();
    return state;
  };
  const answer = (name: string, outcome: Outcome = "delivered", now = peers) => {
    const [peer] = peersOf(name).all;
    if (peer !== undefined) quorum.answer(peer, outcome, now);
  };
  const depart = (name: string, hasLeft: boolean, now: AcknowledgingPeers) => {
    const [peer] = peersOf(name).all;
    if (peer !== undefined) quorum.depart(peer, hasLeft);
    quorum.review(now);
  };
  return { quorum, calls, stateNow, answer, depart };
}

describe("a number of replicas", () => {
  test("is satisfied by as many distinct nodes, those without a subscriber included, and settles once", async () => {
    const { answer, calls, stateNow } = setUp({ replicas: 2 }, peersOf("a", "b", "c"));
    answer("a");
    answer("a");
    assertEquals(await stateNow(), "open");
    answer("b", "unsubscribed");
    answer("c", "failed");
    assertEquals([await stateNow(), calls], ["done a,b", ["settled"]]);
  });

  test("fails as soon as too few are left", async () => {
    const { answer, depart, quorum, stateNow } = setUp({ replicas: 2 }, peersOf("a", "b", "c"));
    answer("a", "failed");
    assertEquals(await stateNow(), "open");
    depart("b", false, peersOf("a", "c"));
    assertEquals(await stateNow(), "failed 0 of 2");
    const error = await assertRejects(() => quorum.promise, QuorumNotSatisfiedError);
    assertEquals(error.missing, [
      { node: "a", reason: "failed" },
      { node: "b", reason: "lost" },
      { node: "c", reason: "pending" },
    ]);
    assertEquals(error.acknowledgements, [{ node: "a", outcome: "failed" }]);
    assertEquals(
      error.message,
      "Quorum not satisfied: 0 of 2 replicas have acknowledged (a failed, b lost, c pending)",
    );
  });

  test("counts a node that joins later, and one that was lost and is back", async () => {
    const { answer, depart, stateNow } = setUp({ replicas: 2 }, peersOf("a", "b"));
    depart("b", false, peersOf("a", "c"));
    answer("c", "delivered", peersOf("a", "b", "c"));
    answer("b", "delivered", peersOf("a", "b", "c"));
    assertEquals(await stateNow(), "done c,b");
  });
});

describe("all", () => {
  test("are those of the beginning: others are not waited for, and do not count", async () => {
    const { answer, stateNow } = setUp({ replicas: "all" }, peersOf("a", "b"));
    answer("c", "failed", peersOf("a", "b", "c"));
    answer("a");
    answer("d", "delivered", peersOf("a", "b", "c", "d"));
    assertEquals(await stateNow(), "open");
    answer("b");
    assertEquals(await stateNow(), "done c,a,d,b");
  });

  test("one that leaves counts no longer", async () => {
    const { answer, depart, stateNow } = setUp({ replicas: "all" }, peersOf("a", "b", "c"));
    depart("c", true, peersOf("a", "b"));
    answer("a");
    assertEquals(await stateNow(), "open");
    depart("b", true, peersOf("a"));
    assertEquals(await stateNow(), "done a");
  });

  test("one that is lost or fails makes it fail at once, unless it has answered before", async () => {
    const lost = setUp({ replicas: "all" }, peersOf("a", "b"));
    lost.answer("a");
    lost.depart("a", false, peersOf("b"));
    assertEquals(await lost.stateNow(), "open");
    lost.depart("b", false, peersOf());
    const failed = setUp({ replicas: "all" }, peersOf("a", "b"));
    failed.answer("b", "failed");
    assertEquals([await lost.stateNow(), await failed.stateNow()], ["failed 1 of 2", "failed 0 of 2"]);
  });
});

describe("zones", () => {
  test("are distinct, and those of nodes that have acknowledged; no zone is none", async () => {
    const { answer, stateNow } = setUp({ zones: 2 }, peersOf("a@1", "b@1", "c@2", "d", "e@3"), "0");
    for (const name of ["a@1", "b@1", "d"]) answer(name);
    answer("e@3", "failed");
    assertEquals(await stateNow(), "open");
    answer("c@2", "unsubscribed");
    assertEquals(await stateNow(), "done a,b,d,e,c");
  });

  test("that of the publisher counts only when asked for", async () => {
    const unasked = setUp({ zones: 2 }, peersOf("a@0", "b@1", "c@2"), "0");
    for (const name of ["a@0", "b@1"]) unasked.answer(name);
    assertEquals(await unasked.stateNow(), "open");
    unasked.answer("c@2");
    const asked = setUp({ zones: 2, ownZone: true }, peersOf("b@1"), "0");
    asked.answer("b@1");
    assertEquals([await unasked.stateNow(), await asked.stateNow()], ["done a,b,c", "done b"]);
    const without = setUp({ zones: 1, ownZone: true }, peersOf("b"), undefined);
    assertEquals(without.quorum.canBeSatisfied(peersOf("b")), false);
  });

  test("fails when no node is left in so many", async () => {
    const { answer, depart, quorum, stateNow } = setUp({ zones: 2 }, peersOf("a@1", "b@2", "c@2"));
    answer("a@1");
    depart("b@2", true, peersOf("a@1", "c@2"));
    assertEquals(await stateNow(), "open");
    answer("c@2", "failed", peersOf("a@1", "c@2"));
    assertEquals(await stateNow(), "failed 1 of 2");
    await assertRejects(() => quorum.promise, QuorumNotSatisfiedError, "1 of 2 zones have acknowledged (c failed)");
  });
});

test("whatever happens, it settles once, and by what was answered", () => {
  const names = ["a@1", "b@1", "c@2", "d", "e@3"];
  const happening = fc.record({
    name: fc.constantFrom(...names),
    what: fc.constantFrom("delivered", "unsubscribed", "failed", "left", "lost"),
  });
  const wish = fc.oneof(
    fc.record({ replicas: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant("all" as const)) }),
    fc.record({ zones: fc.integer({ min: 1, max: 3 }), ownZone: fc.boolean() }),
  );
  return fc.assert(fc.asyncProperty(wish, fc.array(happening, { maxLength: 12 }), async (wish, happenings) => {
    const { answer, calls, depart, quorum, stateNow } = setUp(wish, peersOf(...names), "1");
    const there = new Set(names);
    const good = new Set<string>();
    const answered = new Set<string>();
    for (const { name, what } of happenings) {
      if (!there.has(name)) continue;
      if (what === "left" || what === "lost") {
        there.delete(name);
        depart(name, what === "left", peersOf(...there));
      } else {
        if (!answered.has(name) && what !== "failed" && calls.length === 0) good.add(name);
        if (calls.length === 0) answered.add(name);
        answer(name, what, peersOf(...there));
      }
    }
    const zones = new Set(
      [...good].map((name) => name.split("@")[1]).filter((zone) => zone !== undefined && zone !== "1"),
    );
    if ("zones" in wish && wish.ownZone) zones.add("1");
    const state = await stateNow();
    assertEquals(calls.length, state === "open" ? 0 : 1);
    if (state.startsWith("done")) {
      const enough = "zones" in wish ? zones.size >= wish.zones : wish.replicas === "all" || good.size >= wish.replicas;
      assertEquals(enough, true);
    }
    quorum.fail(new Error("later"));
    assertEquals(await stateNow(), state === "open" ? "failed undefined of undefined" : state);
  }));
});
