// A quorum: which answers count, when it is satisfied, and when it can no longer be.
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import * as fc from "fast-check";
import type { Outcome } from "../../src/acknowledgement.ts";
import { QuorumNotSatisfiedError } from "../../src/errors.ts";
import { type AcknowledgingPeer, type AcknowledgingPeers, Quorum } from "../../src/pubsub/quorum.ts";
import type { AwaitedQuorum } from "../../src/pubsub/sync_bus.ts";
import { type Outcome as Settled, settle, watch } from "../support/outcome.ts";

type Wish = Partial<AwaitedQuorum>;

function tableOf(peers: readonly AcknowledgingPeer[]): AcknowledgingPeers {
  return { all: peers, ids: new Set(peers.map(({ id }) => id)) };
}

/** Peers by id and zone: `"a:z1"`, or `"a"` without a zone. */
function peersOf(text: string): AcknowledgingPeer[] {
  return text.split(" ").filter((each) => each !== "").map((each) => {
    const [id = "", zone] = each.split(":");
    return { id, zone };
  });
}

/** A quorum among peers that come and go, and what has become of it. */
function setUp(wish: Wish, text: string, zone?: string) {
  let now = peersOf(text);
  const settled: Quorum[] = [];
  const numbered: (readonly [number, number])[] = [];
  const quorum = new Quorum({ ownZone: false, timeout: 1000, ...wish }, tableOf(now), zone, {
    numbered: (quorum, number) => numbered.push([number, quorum.index]),
    settled: (quorum) => settled.push(quorum),
  });
  const outcome: Settled = watch(quorum.promise);
  const of = (id: string) => now.find((peer) => peer.id === id) as AcknowledgingPeer;
  return {
    quorum,
    settled,
    numbered,
    outcome,
    join: (text: string) => now = [...now, ...peersOf(text)],
    answer: (id: string, outcome: Outcome = "delivered") => quorum.answer(of(id), outcome, tableOf(now)),
    depart: (id: string, hasLeft: boolean) => {
      const peer = of(id);
      now = now.filter((other) => other !== peer);
      quorum.depart(peer, hasLeft);
      quorum.review(tableOf(now));
    },
    review: () => quorum.review(tableOf(now)),
    canBe: () => quorum.canBeSatisfied(tableOf(now)),
    shortage: () => quorum.shortage(tableOf(now)),
    state: async () => {
      await settle();
      return outcome.state;
    },
    error: () => outcome.reason as QuorumNotSatisfiedError,
  };
}

describe("a count of replicas", () => {
  test("is satisfied by as many that have delivered it or have no subscriber, with their answers", async () => {
    const { quorum, answer, state, settled } = setUp({ replicas: 2 }, "a:z1 b c");
    answer("a");
    assertEquals(await state(), "waiting");
    answer("b", "unsubscribed");
    assertEquals(await quorum.promise, {
      acknowledgements: [{ node: "a", zone: "z1", outcome: "delivered" }, { node: "b", outcome: "unsubscribed" }],
    });
    assertEquals(settled, [quorum]);
  });

  test("does not count an answer twice, nor one that failed, but reports it", async () => {
    const { quorum, answer, state } = setUp({ replicas: 2 }, "a b c");
    answer("a", "failed");
    answer("a");
    answer("b");
    answer("b");
    assertEquals(await state(), "waiting");
    answer("c");
    const { acknowledgements } = await quorum.promise;
    assertEquals(acknowledgements.map(({ outcome }) => outcome), ["failed", "delivered", "delivered"]);
  });

  test("is satisfied by a peer that has come since", async () => {
    const { answer, join, state } = setUp({ replicas: 2 }, "a b");
    join("c");
    answer("c");
    answer("b");
    assertEquals(await state(), "fulfilled");
  });

  for (const hasLeft of [true, false]) {
    test(`fails at once when too few are left, as one ${hasLeft ? "has left" : "is lost"}`, async () => {
      const { answer, depart, state, error } = setUp({ replicas: 2 }, "a b c");
      depart("a", hasLeft);
      answer("b");
      assertEquals(await state(), "waiting");
      depart("c", hasLeft);
      assertEquals(await state(), "rejected");
      assertEquals([error().required, error().acknowledged], [2, 1]);
      const lost = [{ node: "a", reason: "lost" }, { node: "c", reason: "lost" }];
      assertEquals([...error().missing], hasLeft ? [] : lost);
    });
  }

  test("fails at once when too many callbacks have failed", async () => {
    const { answer, state, error } = setUp({ replicas: 2 }, "a b c:z1");
    answer("a", "failed");
    answer("b");
    assertEquals(await state(), "waiting");
    answer("c", "failed");
    assertEquals(await state(), "rejected");
    assertEquals([...error().missing], [
      { node: "a", reason: "failed" },
      { node: "c", zone: "z1", reason: "failed" },
    ]);
    assertEquals(error().acknowledgements.length, 3);
    assertEquals(error().message, "Quorum not satisfied: 1 of 2 replicas have acknowledged (a failed, c failed)");
    assertEquals(error().published, true);
  });

  test("keeps an answer of a peer that departs afterwards", async () => {
    const { answer, depart, state } = setUp({ replicas: 2 }, "a b");
    answer("a");
    depart("a", false);
    assertEquals(await state(), "waiting");
    answer("b");
    assertEquals(await state(), "fulfilled");
  });

  test("that is too high cannot be satisfied from the beginning", () => {
    assertEquals([setUp({ replicas: 3 }, "a b").canBe(), setUp({ replicas: 2 }, "a b").canBe()], [false, true]);
  });
});

describe('"all" replicas', () => {
  test("are those of the beginning: later ones neither count nor are awaited", async () => {
    const { answer, join, state } = setUp({ replicas: "all" }, "a b");
    join("c");
    answer("a");
    answer("c");
    assertEquals(await state(), "waiting");
    answer("b");
    assertEquals(await state(), "fulfilled");
  });

  test("count without those that have left, also when all have", async () => {
    const some = setUp({ replicas: "all" }, "a b");
    some.answer("a");
    some.depart("b", true);
    assertEquals(await some.state(), "fulfilled");
    const none = setUp({ replicas: "all" }, "a");
    none.depart("a", true);
    assertEquals([await none.state(), await none.quorum.promise], ["fulfilled", { acknowledgements: [] }]);
  });

  test("fail at once when one is lost", async () => {
    const { answer, depart, state, error } = setUp({ replicas: "all" }, "a b:z1 c");
    answer("a");
    depart("b", false);
    assertEquals(await state(), "rejected");
    assertEquals([error().required, error().acknowledged], [3, 1]);
    assertEquals([...error().missing], [{ node: "b", zone: "z1", reason: "lost" }, { node: "c", reason: "pending" }]);
    assertEquals(error().message, "Quorum not satisfied: 1 of 3 replicas have acknowledged (b lost, c pending)");
  });

  test("fail at once when a callback of one fails, and not when one of a later node does", async () => {
    const { answer, join, state } = setUp({ replicas: "all" }, "a b");
    join("c");
    answer("c", "failed");
    assertEquals(await state(), "waiting");
    answer("b", "failed");
    assertEquals(await state(), "rejected");
  });

  test("do not fail when a later node is lost", async () => {
    const { answer, join, depart, state } = setUp({ replicas: "all" }, "a");
    join("c");
    depart("c", false);
    assertEquals(await state(), "waiting");
    answer("a");
    assertEquals(await state(), "fulfilled");
  });

  test("are not satisfied by a node that had left and has answered all the same", async () => {
    const { shortage, depart, join, answer, state } = setUp({ replicas: "all" }, "a b");
    depart("a", true);
    join("a");
    answer("a");
    assertEquals([await state(), shortage().acknowledgements.length], ["waiting", 1]);
    answer("b");
    assertEquals(await state(), "fulfilled");
  });
});

describe("zones", () => {
  test("count once each, and nodes without one do not", async () => {
    const { answer, state } = setUp({ zones: 2 }, "a:z1 b:z1 c d:z2");
    for (const id of ["a", "b", "c"]) answer(id);
    assertEquals(await state(), "waiting");
    answer("d", "unsubscribed");
    assertEquals(await state(), "fulfilled");
  });

  test("do not count that of the publisher, though others in it acknowledge", async () => {
    const { answer, state } = setUp({ zones: 2 }, "a:z0 b:z1 c:z2", "z0");
    answer("a");
    answer("b");
    assertEquals(await state(), "waiting");
    answer("c");
    assertEquals(await state(), "fulfilled");
  });

  test("count that of the publisher from the start with `ownZone`, and only once", async () => {
    const { answer, state } = setUp({ zones: 2, ownZone: true }, "a:z0 b:z1", "z0");
    answer("a");
    assertEquals(await state(), "waiting");
    answer("b");
    assertEquals(await state(), "fulfilled");
    const one = setUp({ zones: 1, ownZone: true }, "a", "z0");
    one.review();
    assertEquals(await one.state(), "fulfilled");
  });

  test("do not count that of the publisher when it has none", () => {
    assertEquals(setUp({ zones: 1, ownZone: true }, "a").canBe(), false);
  });

  test("fail at once when too few can be reached, and say how many there are", async () => {
    const { answer, depart, state, error } = setUp({ zones: 2 }, "a:z1 b:z2 c:z2 d");
    answer("a");
    depart("b", false);
    assertEquals(await state(), "waiting");
    answer("c", "failed");
    assertEquals(await state(), "rejected");
    assertEquals([error().required, error().acknowledged], [2, 1]);
    assertEquals(
      error().message,
      "Quorum not satisfied: 1 of 2 zones have acknowledged (c failed, b lost, d pending)",
    );
  });
});

describe("a quorum", () => {
  test("settles once: what comes later changes nothing", async () => {
    const { quorum, answer, depart, settled, state } = setUp({ replicas: 1 }, "a b");
    const calls = { cancelled: 0, detached: 0 };
    quorum.timer = { cancel: () => calls.cancelled++ };
    quorum.detach = () => calls.detached++;
    answer("a");
    answer("b", "failed");
    depart("b", false);
    quorum.fail(new Error("late"));
    assertEquals([await state(), settled.length, calls], ["fulfilled", 1, { cancelled: 1, detached: 1 }]);
    assertEquals(await quorum.promise, { acknowledgements: [{ node: "a", outcome: "delivered" }] });
  });

  test("rejects with the reason that it is given, once", async () => {
    const { quorum, answer, settled } = setUp({ replicas: 1 }, "a");
    const reason = new Error("aborted");
    quorum.fail(reason);
    quorum.fail(new Error("late"));
    answer("a");
    assertStrictEquals(await assertRejects(() => quorum.promise), reason);
    assertEquals(settled.length, 1);
  });

  test("is numbered when its batch is sent, unless it is settled already", () => {
    const { quorum, answer, numbered } = setUp({ replicas: 1 }, "a");
    quorum.place(false, 3);
    quorum.numbered(7, 20);
    assertEquals([numbered, quorum.number, quorum.index], [[[7, 3]], 7, 3]);
    answer("a");
    quorum.numbered(8, 20);
    assertEquals([numbered.length, quorum.number], [1, 7]);
    const other = setUp({ replicas: 1 }, "a");
    // Prefixes follow the keys.
    other.quorum.place(true, 3);
    other.quorum.numbered(7, 20);
    assertEquals(other.numbered, [[7, 23]]);
  });

  test("names four nodes in its message, and counts the others", () => {
    const { shortage } = setUp({ replicas: 6 }, "a b c d e f");
    const error = shortage();
    assert(error instanceof QuorumNotSatisfiedError);
    assertEquals(
      error.message,
      "Quorum not satisfied: 0 of 6 replicas have acknowledged (a pending, b pending, c pending, d pending, 2 more)",
    );
    assertEquals(error.missing.length, 6);
  });
});

describe("any course of answers and departures", () => {
  const ids = ["a:z1", "b:z1", "c:z2", "d", "e:z0"];
  const step = fc.record({
    id: fc.constantFrom("a", "b", "c", "d", "e"),
    what: fc.constantFrom(
      "delivered" as const,
      "unsubscribed" as const,
      "failed" as const,
      "left" as const,
      "lost" as const,
    ),
  });
  const wish = fc.oneof(
    fc.integer({ min: 1, max: 5 }).map((replicas): Wish => ({ replicas })),
    fc.constant<Wish>({ replicas: "all" }),
    fc.record({ zones: fc.integer({ min: 1, max: 3 }), ownZone: fc.boolean() }),
  );

  test("settles a quorum exactly when it is satisfied, or cannot be any more", async () => {
    await fc.assert(fc.asyncProperty(wish, fc.array(step, { maxLength: 12 }), async (wish, steps) => {
      const { quorum, answer, depart, state, canBe, review } = setUp(wish, ids.join(" "), "z0");
      // The model: what is known of each peer. The first answer counts, and a departure after it changes nothing.
      const known = new Map<string, string>();
      const gone = new Set<string>();
      if (!canBe()) return;
      review();
      let expected = verdict(wish, known);
      for (const { id, what } of steps) {
        if (gone.has(id)) continue;
        if (what === "left" || what === "lost") {
          gone.add(id);
          if (!known.has(id)) known.set(id, what);
          depart(id, what === "left");
        } else {
          if (!known.has(id)) known.set(id, what);
          answer(id, what);
        }
        if (expected === "waiting") expected = verdict(wish, known);
        assertEquals(await state(), expected, `${JSON.stringify([...known])}`);
      }
      quorum.fail(new Error("over"));
    }));
  });

  function verdict({ replicas, zones, ownZone }: Wish, known: ReadonlyMap<string, string>): Settled["state"] {
    const peers = peersOf(ids.join(" "));
    const isGood = (id: string) => ["delivered", "unsubscribed"].includes(known.get(id) ?? "");
    const good = peers.filter(({ id }) => isGood(id));
    const open = peers.filter(({ id }) => !known.has(id));
    if (replicas === "all") {
      if ([...known.values()].some((what) => what === "failed" || what === "lost")) return "rejected";
      return open.length === 0 ? "fulfilled" : "waiting";
    }
    const zonesOf = (peers: readonly AcknowledgingPeer[]) => {
      const others = peers.flatMap(({ zone }) => zone === undefined || zone === "z0" ? [] : [zone]);
      return new Set(ownZone ? [...others, "z0"] : others).size;
    };
    const [count, most, least] = zones === undefined
      ? [good.length, good.length + open.length, replicas ?? 0]
      : [zonesOf(good), zonesOf([...good, ...open]), zones];
    return count >= least ? "fulfilled" : most < least ? "rejected" : "waiting";
  }
});
