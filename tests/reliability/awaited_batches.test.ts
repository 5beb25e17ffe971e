// Awaited batches: who gets them again, and when they are forgotten.
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { VirtualClock } from "../../adapters/memory.ts";
import type { PublishResult, Unacknowledged } from "../../src/acknowledgement.ts";
import { ClosedError, QuorumNotSatisfiedError, QuorumUnsupportedError } from "../../src/errors.ts";
import type { AwaitedQuorum } from "../../src/pubsub/sync_bus.ts";
import { AwaitedBatches, type AwaitedPeer } from "../../src/reliability/awaited_batches.ts";

const TWO: AwaitedQuorum = { replicas: 2, ownZone: false, timeout: 60_000 };

function setUp(...named: string[]) {
  const clock = new VirtualClock();
  const again: string[] = [];
  const peers: AwaitedPeer[] = named.map((id) => ({ id, zone: undefined, roundTrip: 0 }));
  const batches = new AwaitedBatches({
    clock,
    zone: undefined,
    peers: () => ({ acknowledging: () => ({ all: [...peers], ids: new Set(peers.map(({ id }) => id)) }) }),
    stream: { retransmit: (number, id) => again.push(`${id}${number} ${clock.now()}`) },
  });
  const open = (wish: AwaitedQuorum = TWO, number = 1, index = 0) => {
    const quorum = batches.open(wish);
    quorum.place(false, index);
    quorum.numbered(number, index + 1);
    return quorum;
  };
  const ack = (id: string, number = 1) =>
    batches.acknowledge({ id, zone: undefined }, [{ number, outcomes: "delivered" }]);
  return { ack, again, batches, clock, open, peers };
}

describe("a batch that is awaited", () => {
  test("is sent again to who has not acknowledged it, ever less often, until nothing of it is awaited", async () => {
    const { ack, again, batches, clock, open } = setUp("a", "b");
    const quorum = open();
    ack("a");
    await clock.advance(4000);
    assertEquals(again, [10, 30, 70, 150, 310, 630, 1270, 2270, 3270].map((at) => `b1 ${at}`));
    ack("b");
    assertEquals((await quorum.promise).acknowledgements.length, 2);
    assertEquals([batches.size, clock.pending, batches.unawaited], [0, 0, 0]);
  });

  test("is sent again after two round trips at the soonest", async () => {
    const { again, clock, open, peers } = setUp("a", "b");
    peers[1] = { id: "b", zone: undefined, roundTrip: 100 };
    open();
    await clock.advance(450);
    assertEquals(again, ["a1 200", "b1 200", "a1 400", "b1 400"]);
  });

  test("is sent again after 200 ms, however long a blocked peer took to answer", async () => {
    const { again, clock, open, peers } = setUp("a");
    peers[0] = { id: "a", zone: undefined, roundTrip: 9000 };
    open({ ...TWO, replicas: 1 });
    await clock.advance(2000);
    assertEquals(again, [200, 400, 600, 800, 1000, 1320, 1960].map((at) => `a1 ${at}`));
  });

  test("may be awaited by several, which are settled each for itself", async () => {
    const { ack, batches, clock, open } = setUp("a", "b", "c");
    const [one, two] = [open({ ...TWO, replicas: 1 }), open()];
    ack("a");
    ack("a");
    assertEquals([(await one.promise).acknowledgements.length, batches.size, batches.unawaited], [1, 1, 1]);
    ack("b");
    await two.promise;
    ack("c");
    assertEquals([batches.size, clock.pending, batches.unawaited], [0, 0, 2]);
  });

  test("has an answer for each entry, and those that have not settled follow", async () => {
    const { again, batches, clock, open } = setUp("a");
    const [first, second] = [open({ ...TWO, replicas: 1 }, 1, 0), open({ ...TWO, replicas: 1 }, 1, 1)];
    const a = { id: "a", zone: "z" };
    batches.acknowledge(a, [{ number: 1, outcomes: [undefined, "unsubscribed"] }]);
    assertEquals((await second.promise).acknowledgements, [{ node: "a", zone: "z", outcome: "unsubscribed" }]);
    await clock.advance(10);
    assertEquals([batches.size, again], [1, ["a1 10"]]);
    batches.acknowledge(a, [{ number: 1, outcomes: ["failed", "unsubscribed"] }]);
    await assertRejects(() => first.promise, QuorumNotSatisfiedError);
    assertEquals(clock.pending, 0);
  });

  test("with too few outcomes answers nothing", () => {
    const { batches, open } = setUp("a");
    open({ ...TWO, replicas: 1 }, 1, 5);
    batches.acknowledge({ id: "a", zone: undefined }, [{ number: 1, outcomes: ["delivered"] }]);
    assertEquals(batches.size, 1);
  });
});

describe("an await", () => {
  test("is refused at once without a peer, and with too few", () => {
    const { batches } = setUp();
    assertThrows(() => batches.open(TWO), QuorumUnsupportedError);
    const { batches: few, clock } = setUp("a");
    const error = assertThrows(() => few.open(TWO), QuorumNotSatisfiedError);
    assertEquals([error.published, error.missing.length], [false, 1]);
    assertEquals([few.size, clock.pending], [0, 0]);
  });

  test("fails after its own time, whatever the times of others are", async () => {
    const { batches, clock, open } = setUp("a");
    const refused: [number, number][] = [];
    const begin = (timeout: number) => {
      const begun = clock.now();
      open({ ...TWO, replicas: 1, timeout }).promise.catch(() => refused.push([timeout, clock.now() - begun]));
    };
    for (const timeout of [100, 5000, 200, 300, 200]) begin(timeout);
    await clock.advance(150);
    for (const timeout of [1000, 10, 7000]) begin(timeout);
    await clock.advance(20_000);
    assertEquals(refused, [100, 10, 200, 200, 300, 1000, 5000, 7000].map((timeout) => [timeout, timeout]));
    assertEquals([batches.size, clock.pending], [0, 0]);
  });

  test("fails after its time, and is forgotten", async () => {
    const { batches, clock, open } = setUp("a", "b");
    const failed = assertRejects(() => open({ ...TWO, timeout: 100 }).promise, QuorumNotSatisfiedError);
    await clock.advance(100);
    assertEquals((await failed).missing.map(({ reason }) => reason), ["pending", "pending"]);
    assertEquals([batches.size, clock.pending], [0, 0]);
  });

  test("fails when its peers are gone, and when the node takes another id, if it was sent", async () => {
    const { batches, clock, open, peers } = setUp("a", "b");
    const lost = assertRejects(() => open().promise, QuorumNotSatisfiedError);
    const [gone] = peers.splice(0, 1);
    if (gone !== undefined) batches.depart(gone, "lost");
    assertEquals((await lost).missing.map(({ node, reason }) => `${node} ${reason}`), ["a lost", "b pending"]);
    const one = { ...TWO, replicas: 1 };
    const sent = assertRejects(() => open(one).promise, QuorumNotSatisfiedError);
    const unsent = batches.open(one);
    batches.restart();
    await sent;
    assertEquals(batches.size, 1);
    unsent.numbered(1, 0);
    batches.acknowledge({ id: "b", zone: undefined }, [{ number: 1, outcomes: "delivered" }]);
    await unsent.promise;
    assertEquals(clock.pending, 0);
  });

  test("awaits a peer in whose name a leave came, until it had the time to respond", async () => {
    const { ack, batches, clock, open, peers } = setUp("a", "b");
    const [a] = peers as [AwaitedPeer, AwaitedPeer];
    const all: AwaitedQuorum = { ...TWO, replicas: "all" };
    const state = (promise: Promise<PublishResult>) => {
      const seen: { ids?: readonly string[]; missing?: readonly string[] } = {};
      promise.then(
        ({ acknowledgements }) => seen.ids = acknowledgements.map(({ node }) => node),
        (error) => seen.missing = error.missing.map(({ node, reason }: Unacknowledged) => `${node} ${reason}`),
      );
      return seen;
    };
    const [before, two] = [state(open(all).promise), state(open(TWO).promise)];
    peers.splice(0, 1);
    batches.depart(a, "left");
    const after = state(open(all).promise);
    ack("b");
    await clock.advance(499);
    assertEquals([before, after, two], [{}, {}, {}]);
    // It is none to count on, and with no other peer there is nobody.
    assertThrows(() => open(TWO), QuorumNotSatisfiedError);
    const [b] = peers.splice(0, 1) as [AwaitedPeer];
    assertThrows(() => open(all), QuorumUnsupportedError);
    peers.push(b);
    await clock.advance(1);
    assertEquals([before, after, two], [{ ids: ["b"] }, { ids: ["b"] }, { missing: [] }]);
    assertEquals([batches.size, clock.pending], [0, 0]);
  });

  test("does not wait for the response of a peer that is lost after its leave", async () => {
    const { batches, clock, open, peers } = setUp("a", "b");
    const failed = assertRejects(() => open(TWO).promise, QuorumNotSatisfiedError);
    const [a] = peers.splice(0, 1) as [AwaitedPeer];
    batches.depart(a, "left");
    await clock.advance(100);
    batches.depart(a, "lost");
    assertEquals((await failed).missing.map(({ node, reason }) => `${node} ${reason}`), ["a lost", "b pending"]);
    assertEquals([batches.size, clock.pending], [0, 0]);
  });

  test("fails when a leave came that was not verified, and the peer has not responded", async () => {
    const { ack, batches, clock, open, peers } = setUp("a", "b");
    const [a] = peers.splice(0, 1) as [AwaitedPeer];
    peers.unshift(a);
    const failed = assertRejects(() => open({ ...TWO, replicas: "all" }).promise, QuorumNotSatisfiedError);
    ack("b");
    peers.splice(0, 1);
    batches.depart(a, "unverified");
    await clock.advance(499);
    assertEquals(batches.size, 1);
    await clock.advance(1);
    assertEquals((await failed).missing, [{ node: "a", reason: "lost" }]);
    assertEquals(clock.pending, 0);
  });

  test("awaits a peer that has responded to a forged leave, however often one comes", async () => {
    const { ack, batches, clock, open, peers, again } = setUp("a", "b");
    const [a, b] = peers as [AwaitedPeer, AwaitedPeer];
    const quorum = open({ ...TWO, replicas: "all" });
    ack("b");
    for (let i = 0; i < 20; i++) {
      peers.splice(0, 2, b);
      batches.depart(a, "left");
      await clock.advance(7 * i);
      peers.splice(0, 1, a, b);
    }
    await clock.advance(2000);
    assertEquals([batches.size, clock.pending], [1, 2]);
    assert(again.some((text) => text.startsWith("a1 ")));
    ack("a");
    assertEquals((await quorum.promise).acknowledgements.map(({ node }) => node), ["b", "a"]);
    peers.splice(0, 1);
    batches.depart(a, "left");
    batches.close();
    assertEquals(clock.pending, 0);
    batches.depart(b, "left");
    assertEquals(clock.pending, 0);
  });

  test("is rejected by close, and none begins after it", async () => {
    const { batches, clock, open } = setUp("a", "b");
    const closed = assertRejects(() => open().promise, ClosedError);
    batches.close();
    await closed;
    assertThrows(() => batches.open(TWO), ClosedError);
    assertEquals([batches.size, clock.pending], [0, 0]);
  });
});
