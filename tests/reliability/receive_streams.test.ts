// The receive streams: which numbers of other nodes have arrived, are missing, or are a gap.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { Jitter } from "../../src/platform/jitter.ts";
import type { ReceiveStream } from "../../src/reliability/receive_stream.ts";
import { ReceiveStreams } from "../../src/reliability/receive_streams.ts";
import type { Hole } from "../../src/reliability/receive_window.ts";
import type { Extension } from "../../src/wire/extension.ts";
import { MAX_NUMBER } from "../../src/wire/layout.ts";
import { formatNodeId } from "../../src/wire/node_id.ts";
import { idOf } from "../support/peers.ts";

const SOURCE: Endpoint = { host: "10.0.0.9", port: 5000 };
const QUIET_TIMEOUT = 10_000;
const PEER_TIMEOUT = 5000;
const READER_AFTER = 60_000;
const MAX_REPAIR_TIME = 4000;
/** The record that makes a packet a heartbeat. */
const BEAT: Extension = { path: 2 };
const HOUR = 3_600_000;

const A = idOf(1);
const TOKEN = new Uint8Array(8).fill(9);

type Gap = readonly [node: number, from: number, to: number | undefined, reason: string];

/** Streams on a virtual clock, and what they have reported. */
function setUp({ capacity = 10 } = {}) {
  const clock = new VirtualClock();
  const gaps: Gap[] = [];
  const wanted: string[] = [];
  const doubted: string[] = [];
  const settled: [number, number][] = [];
  const left: string[] = [];
  const reused: [number, Uint8Array, Endpoint][] = [];
  const antedated: number[] = [];
  /** Nodes whose heartbeats are heard: the membership decides when they are lost. */
  const peers = new Set<string>();
  const streams = new ReceiveStreams({
    progress: { isAwaited: false, changed() {} },
    clock,
    jitter: new Jitter(() => Uint8Array.of(1, 2, 3, 4)),
    doubtAfter: 2000,
    quietTimeout: QUIET_TIMEOUT,
    peerTimeout: PEER_TIMEOUT,
    maxRepairTime: MAX_REPAIR_TIME,
    readerAfter: READER_AFTER,
    capacity,
    peers: () => ({ get: (id) => peers.has(id) ? {} : undefined }),
    naks: { schedule: ({ id }) => wanted.push(id), probe: ({ id }) => doubted.push(id) },
    acks: {
      onSettled: ({ nodeId }, last) => settled.push([new DataView(nodeId.buffer).getUint32(0), last]),
      onReused: (_stream, number, token, to) => reused.push([number, token, to]),
    },
    losses: {
      gap: (node, from, to, reason) => gaps.push([Number.parseInt(node.slice(0, 8), 16), from, to, reason]),
    },
    backlog: { antedate: (since) => antedated.push(since) },
    membership: { leave: (id) => left.push(id) },
  });
  const accept = (number: number, id = A, isRetransmit = false, fingerprint = number) =>
    streams.accept(id, number, isRetransmit ? "retransmit" : "number", SOURCE.host, SOURCE.port, fingerprint);
  const position = (last: number, oldest = 1, age = 0, rest: Extension = {}, id = A) =>
    streams.onPosition(id, SOURCE, { position: { last, oldest, age }, ...rest });
  const stream = (id = A) => streams.get(formatNodeId(id)) as ReceiveStream;
  /** The answer to a request that the test pretends was made. */
  const answer = (
    last: number,
    rest: Extension & { oldest?: number; age?: number; upTo?: number; settledBefore?: number } = {},
    id = A,
  ) => {
    const { oldest = 1, age = 0, upTo = 0, settledBefore = 0, ...records } = rest;
    const nonce = 1000 + stream(id).naks.length;
    stream(id).naks.unshift({ nonce, sentAt: clock.now(), upTo, settled: settledBefore, to: SOURCE });
    position(last, oldest, age, { ...records, nonce }, id);
  };
  const holes = (id = A) => stream(id).window.holes.map(({ from, to }) => [from, to]);
  /** Requests all that is missing. */
  const request = () => {
    for (const hole of stream().window.holes) stream().window.nakSent(hole, clock.now(), Infinity);
  };
  return {
    streams,
    clock,
    gaps,
    wanted,
    doubted,
    settled,
    left,
    reused,
    antedated,
    peers,
    accept,
    position,
    answer,
    stream,
    holes,
    request,
  };
}

/** A stream whose beginning is known, with so many batches, and whose node has answered a request. */
function known(count = 0) {
  const rig = setUp();
  rig.position(0, 1, Infinity);
  rig.answer(0, { age: Infinity });
  for (let number = 1; number <= count; number++) rig.accept(number);
  rig.wanted.length = 0;
  return rig;
}

describe("first contact", () => {
  test("with a node that has published nothing leaves nothing to request", () => {
    const { position, stream, wanted, gaps } = setUp();
    position(0, 1, Infinity);
    assertEquals([stream().isSettled, stream().isWanting, stream().isCurrent, wanted, gaps], [
      true,
      false,
      true,
      [],
      [],
    ]);
  });

  test("with one that published last before this node was opened, by both clocks, leaves nothing either", async () => {
    for (const [age, isKnown] of [[1000, false], [1010.9, false], [1011, true], [5000, true]] as const) {
      const { position, answer, stream, clock, wanted, streams, holes } = setUp();
      await clock.advance(1000);
      position(50, 1, age);
      assertEquals([stream().isSettled, wanted.length], [false, 1], "an unsolicited position may be forged");
      answer(50, { age });
      assertEquals(stream().isSettled, isKnown, `age ${age}`);
      if (isKnown) assertEquals([holes(), stream().window.settled, streams.missing], [[], 50, 0]);
    }
  });

  test("delivers what comes, and counts nothing as missing before the beginning is known", () => {
    const { accept, streams, stream, wanted } = setUp();
    assertEquals([accept(7), accept(9), accept(7)], [true, true, false]);
    assertEquals([streams.missing, streams.duplicates, stream().catchUp === undefined], [0, 1, false]);
    assertGreater(wanted.length, 0);
  });

  test("by all of its batches, in any order, is complete, and nothing was missing or retransmitted", () => {
    const { accept, stream, streams } = setUp();
    for (const number of [3, 1, 2]) accept(number);
    assertEquals([stream().isSettled, streams.missing, streams.recovered], [true, 0, 0]);
  });

  test("by its first batch needs no request", () => {
    const { accept, stream, streams, holes } = setUp();
    accept(1);
    assertEquals([stream().isSettled, streams.missing], [true, 0]);
    accept(3);
    assertEquals([stream().catchUp, holes()], [undefined, [[2, 2]]]);
  });

  test("learns where the stream begins from the answer to its request", async () => {
    const { position, answer, stream, clock, streams, holes, gaps } = setUp();
    await clock.advance(1000);
    position(50, 1, 10);
    answer(50, { base: { first: 41, age: 1100 } });
    assertEquals([holes(), streams.missing, gaps, stream().catchUp], [[[41, 50]], 0, [], undefined]);
  });

  test("ignores positions, whatever they are, until the node has answered: no gap, no beginning", async () => {
    const { accept, position, stream, streams, clock, gaps } = setUp();
    await clock.advance(1000);
    for (let i = 0; i < 10; i++) {
      position(50 + i, 40, 10);
      accept(60 + i);
      stream().streamProbe.attempts = 1;
      await clock.advance(QUIET_TIMEOUT / 20);
    }
    assert(stream().catchUp !== undefined);
    await clock.advance(QUIET_TIMEOUT);
    streams.expire();
    assertEquals([gaps, stream().lostAt !== undefined, streams.missing], [[], true, 0]);
  });

  test("with one that answers heartbeats accepts its positions when requests were in vain for a second", async () => {
    const { accept, position, stream, streams, clock, holes, gaps } = setUp();
    await clock.advance(1000);
    position(50, 1, 10);
    streams.validate(formatNodeId(A), SOURCE, 1);
    accept(48);
    stream().streamProbe.attempts = 1;
    await clock.advance(999);
    position(50, 1, 10);
    assertEquals(stream().catchUp === undefined, false);
    await clock.advance(1);
    position(50, 1, 10);
    assertEquals([stream().catchUp, holes(), gaps], [undefined, [[1, 47], [49, 50]], []]);
  });

  test("that is never answered counts nothing as missing or retransmitted, as its node may be forged", () => {
    for (const isLocated of [true, false]) {
      const { accept, position, answer, streams, stream, request } = setUp();
      if (isLocated) position(0, 1, Infinity);
      accept(MAX_NUMBER - 1);
      accept(7);
      position(MAX_NUMBER);
      assertEquals([stream().window.missing, streams.missing, streams.recovered], [MAX_NUMBER - 2, 0, 0]);
      // What is above the answered position never existed.
      answer(9, { base: { first: 1, age: 0 }, upTo: MAX_NUMBER });
      assertEquals([stream().window.missing, streams.missing, streams.recovered], [8, 0, 0]);
      request();
      request();
      for (let number = 1; number <= 9; number++) accept(number, A, true);
      assertEquals([streams.missing, streams.recovered], [8, 8]);
    }
  });

  test("ignores an answer that was not requested", () => {
    const { position, stream } = setUp();
    position(50, 1, 0, { nonce: 77, base: { first: 51, age: Infinity } });
    position(50, 1, 0, { base: { first: 51, age: Infinity } });
    assert(stream().catchUp !== undefined);
    assertEquals(stream().window.missing, 50);
  });

  test("requests again with a larger margin when the answer does not reach far enough", async () => {
    const { position, answer, stream, clock } = setUp();
    await clock.advance(1000);
    position(50, 1, 10);
    const before = stream().reach(clock.now());
    answer(50, { base: { first: 45, age: 900 } });
    assert(stream().catchUp !== undefined);
    assertGreaterOrEqual(stream().reach(clock.now()), before + 50);
    answer(50, { base: { first: 41, age: 1011 } });
    assertEquals(stream().catchUp, undefined);
  });

  test("has a gap when what it needs is not held any more, and only then", async () => {
    for (
      const [first, oldest, age, expected] of [
        [11, 11, 500, [[1, 1, 10, "overwritten"]]],
        [11, 11, 2000, []],
        [1, 1, Infinity, []],
      ] as const
    ) {
      const { position, answer, clock, gaps, holes } = setUp();
      await clock.advance(1000);
      position(20, oldest, 10);
      answer(20, { oldest, base: { first, age } });
      assertEquals([gaps, holes()], [expected as unknown as Gap[], [[first, 20]]]);
    }
  });
});

describe("what is missing", () => {
  test("is what is below a number or a position, and is requested", () => {
    const { accept, position, streams, holes, wanted, stream, request } = known(3);
    accept(6);
    assertEquals([holes(), wanted.length > 0, stream().isCurrent], [[[4, 5]], true, false]);
    position(8);
    assertEquals(holes(), [[4, 5], [7, 8]]);
    request();
    for (const number of [8, 4, 7, 5]) assert(accept(number));
    assertEquals([holes(), streams.missing, streams.recovered, stream().isCurrent], [[], 4, 4, true]);
  });

  test("is requested 2 to 8 ms after it was detected", async () => {
    const dues: number[] = [];
    const { accept, answer, stream, clock } = known();
    answer(0);
    for (let i = 1; i <= 200; i++) {
      await clock.advance(1);
      accept(2 * i);
      const due = (stream().window.holes.at(-1)?.due ?? 0) - clock.now();
      assert(due >= 2 && due <= 8, `${due}`);
      dues.push(due);
    }
    assertGreater(Math.max(...dues) - Math.min(...dues), 4);
  });

  test("is requested later by as much as batches have come late, and that is forgotten with retransmissions", async () => {
    const { accept, stream, clock } = known();
    const wait = () => (stream().window.holes.at(-1)?.due ?? 0) - clock.now();
    accept(2);
    assert(wait() <= 8);
    await clock.advance(30);
    accept(1);
    accept(4);
    assert(wait() >= 32 && wait() <= 38, `${wait()}`);
    await clock.advance(500);
    accept(3);
    accept(6);
    assert(wait() >= 102 && wait() <= 108, `${wait()}`);
    for (let number = 8; number <= 200; number += 2) {
      accept(number - 3, A, true);
      accept(number);
    }
    assert(wait() >= 2 && wait() <= 9, `${wait()}`);
  });

  test("and was overwritten is a gap as soon as an answer says so, and once", () => {
    const { accept, position, answer, gaps, holes, streams } = known(3);
    accept(10);
    position(10, 7);
    answer(10, { oldest: 3 });
    assertEquals(gaps, []);
    answer(10, { oldest: 7 });
    answer(10, { oldest: 7 });
    answer(12, { oldest: 9 });
    assertEquals([gaps, holes()], [[[1, 4, 6, "overwritten"], [1, 7, 8, "overwritten"]], [[9, 9], [11, 12]]]);
    // What comes late all the same is no copy, but once.
    assertEquals([accept(5), accept(5), streams.duplicates], [true, false, 1]);
  });

  test("and was overwritten is a gap when requests were in vain for a second, as on a path that works in one direction", async () => {
    const { accept, position, gaps, stream, clock } = known(3);
    accept(10);
    for (const hole of stream().window.holes) Object.assign(hole, { nakSentAt: clock.now() + 1, attempts: 1 });
    await clock.advance(1000);
    position(10, 10);
    assertEquals(gaps, []);
    await clock.advance(1);
    position(10, 9);
    assertEquals(gaps, []);
    position(10, 10);
    assertEquals(gaps, [[1, 4, 9, "overwritten"]]);
  });

  test("for `maxRepairTime` is one gap, with all that is missing then", async () => {
    const { accept, clock, gaps, stream, streams } = known(3);
    accept(5);
    for (let number = 6; number <= 12; number++) {
      await clock.advance(499);
      accept(number < 8 ? number : Math.max(10, number));
    }
    assertEquals([gaps, stream().window.missing], [[], 3]);
    await clock.advance(507);
    accept(13);
    assertEquals([gaps, stream().isSettled, streams.get(stream().id)?.isCurrent], [[[1, 4, 9, "late"]], true, true]);
    assertEquals([accept(4), accept(9), accept(15)], [true, true, true]);
    // The next hole has its own time.
    await clock.advance(900);
    accept(16);
    assertEquals(gaps.length, 1);
  });

  test("is no gap while its node is silent, of which a second counts, nor when that has departed", async () => {
    const { accept, clock, gaps, streams, peers, stream, position, answer } = known(3);
    peers.add(stream().id);
    accept(5);
    // A hole that is the first only after that one was filled.
    await clock.advance(10);
    accept(7);
    await clock.advance(60_000);
    accept(8);
    accept(4);
    assertEquals(gaps, []);
    await clock.advance(2990);
    answer(8);
    assertEquals([gaps, stream().window.missing], [[], 1]);
    streams.lose(stream());
    await clock.advance(60_000);
    assertEquals(gaps, [[1, 6, undefined, "lost"]]);
    streams.validate(stream().id, SOURCE, 1);
    position(10);
    await clock.advance(60_000);
    position(10);
    assertEquals([gaps.length, stream().window.missing], [1, 2]);
    for (let i = 0; i < 3; i++) {
      await clock.advance(1000);
      assertEquals(gaps.length, 1);
      position(10);
    }
    assertEquals(gaps.slice(1), [[1, 9, 10, "late"]]);
  });

  test("is timed from when its node has answered, however long it was known before", async () => {
    const { position, accept, clock, gaps, answer } = setUp();
    for (let i = 0; i < 12; i++) {
      position(0, 1, Infinity);
      await clock.advance(5000);
    }
    accept(2);
    for (let i = 0; i < 2; i++) {
      await clock.advance(3000);
      position(2);
    }
    answer(2, { base: { first: 1, age: 0 } });
    for (let i = 0; i < 8; i++) {
      assertEquals(gaps, []);
      await clock.advance(500);
      position(2);
    }
    assertEquals(gaps, [[1, 1, 1, "late"]]);
  });

  test("of a node that has never answered is no gap, however long", async () => {
    const { position, accept, clock, gaps, stream, answer } = setUp();
    position(0, 1, Infinity);
    accept(2);
    for (let i = 0; i < 20; i++) {
      await clock.advance(500);
      position(2);
    }
    assertEquals([gaps, stream().window.missing], [[], 1]);
    // It is requested from now on.
    answer(2);
    assertEquals(gaps, []);
  });

  test("and was never published is forgotten without a gap when the position is answered", () => {
    const { accept, position, answer, gaps, holes, stream } = known(3);
    position(MAX_NUMBER - 1);
    assertEquals([holes(), stream().isSettled], [[[4, MAX_NUMBER - 1]], false]);
    position(5);
    position(5, 1, 0, { nonce: 99 });
    answer(5, { upTo: 5 });
    assertEquals(holes(), [[4, MAX_NUMBER - 1]]);
    answer(5, { upTo: 131 });
    assertEquals([holes(), gaps], [[[4, 5]], []]);
    assertEquals([accept(4), accept(5), accept(6), stream().isSettled], [true, true, true, true]);
  });

  test("is detected, and is a gap, when a forged number had gone ahead and was given up", async () => {
    const { accept, position, answer, gaps, clock, streams, doubted } = known(3);
    position(MAX_NUMBER - 1);
    await clock.advance(QUIET_TIMEOUT);
    streams.expire();
    assertEquals(gaps, [[1, 4, undefined, "lost"]]);
    // The node was there all the time, and what it published is taken for copies.
    assertEquals([accept(4), accept(5)], [false, false]);
    streams.validate(formatNodeId(A), SOURCE, 1);
    position(6);
    assertEquals(doubted.length > 0, true);
    answer(6, { upTo: MAX_NUMBER - 1 });
    assertEquals(gaps.slice(1), [[1, 4, 6, "overwritten"]]);
    assertEquals([accept(7), accept(9)], [true, true]);
  });

  test("is not settled by unsolicited positions", () => {
    for (
      const [last, oldest, age] of [[1000, 1001, 0], [MAX_NUMBER - 1, MAX_NUMBER, 0], [1000, 1, Infinity]] as const
    ) {
      const { accept, position, gaps } = known(3);
      position(last, oldest, age);
      assertEquals([gaps, accept(4), accept(5), accept(7)], [[], true, true, true]);
    }
  });

  test("comes again without being counted twice, and what comes late before it was requested was never missing", () => {
    const { accept, streams, request } = known(1);
    accept(4);
    assertEquals([accept(2), accept(2)], [true, false]);
    assertEquals([streams.missing, streams.recovered, streams.duplicates], [0, 0, 1]);
    request();
    request();
    assertEquals([accept(3), accept(3)], [true, false]);
    assertEquals([streams.missing, streams.recovered, streams.duplicates], [1, 1, 2]);
  });

  test("is requested later on a host that reads multicast late, when an answer reports it", async () => {
    const { accept, answer, position, stream, clock } = known(1);
    const B = idOf(2);
    position(0, 1, Infinity, {}, B);
    answer(0, { age: Infinity }, B);
    const waitOf = (id: Uint8Array) => (stream(id).window.holes.at(-1)?.due ?? 0) - clock.now();
    /** How long B waits for what an answer reports. The answer comes at once. */
    const wait = () => {
      const next = stream(B).window.highest + 1;
      answer(next, {}, B);
      const time = waitOf(B);
      accept(next, B);
      return time;
    };
    assertLessOrEqual(wait(), 8);
    // Retransmissions say nothing of that lag, nor do numbers that another batch had shown to be missing.
    answer(2);
    await clock.advance(400);
    accept(2, A, true);
    accept(4);
    await clock.advance(400);
    accept(3);
    assertLessOrEqual(wait(), 8);
    answer(5);
    await clock.advance(50);
    answer(5);
    await clock.advance(350);
    // It may have been retransmitted by now.
    accept(5, A, true);
    accept(5);
    assert(wait() >= 400 && wait() <= 408);
    // A number from the group itself is behind all that the group has brought.
    const { highest } = stream(B).window;
    accept(highest + 2, B);
    assertLessOrEqual(waitOf(B), 8);
    position(highest + 3, 1, 0, {}, B);
    assertLessOrEqual(waitOf(B), 8);
    answer(highest + 4, {}, B);
    assertGreater(waitOf(B), 300);
    // A later batch has come, and shows that another is missing.
    accept(highest + 6, B);
    for (const { due } of stream(B).window.holes) assertLessOrEqual(due - clock.now(), 8);
    // It is not hurried when the node is heard.
    answer(highest + 7, {}, B);
    position(highest + 7, 1, 0, {}, B);
    assertGreater(waitOf(B), 300);
    await clock.advance(20_000);
    assertLessOrEqual(wait(), 8);
  });

  test("that came from a node before it has answered may be older than was known", async () => {
    const { accept, position, stream, streams, clock, antedated } = setUp();
    await clock.advance(3000);
    position(0, 1, Infinity);
    accept(1);
    accept(2);
    assertEquals([streams.outstandingSince, antedated], [3000, []]);
    stream().naks.unshift({ nonce: 1, sentAt: clock.now(), upTo: 0, settled: 0, to: SOURCE });
    await clock.advance(800);
    position(2, 1, 0, { nonce: 1 });
    assertEquals(antedated.length, 1);
    assert((antedated[0] ?? Infinity) <= 2200, `${antedated}`);
    // So may what was read after this node had stalled.
    await clock.advance(5000);
    streams.stalled(8000);
    assertEquals(antedated.slice(1), [8000 - stream().path]);
  });

  test("is requested with the round trip in mind, which is measured and smoothed", async () => {
    const { position, stream, clock } = known(1);
    const measure = async (time: number) => {
      stream().naks.unshift({ nonce: time, sentAt: clock.now(), upTo: 0, settled: 0, to: SOURCE });
      await clock.advance(time);
      position(1, 1, 0, { nonce: time });
      return stream().roundTrip;
    };
    assertEquals([stream().roundTrip, await measure(8), await measure(16), await measure(9)], [0, 8, 9, 9]);
    // A late copy of an answer says nothing of the round trip.
    const { path } = stream();
    await measure(7_200_000);
    assertEquals([stream().roundTrip, stream().path], [9, path]);
  });

  test("that was forged is not counted any more when the position is answered", () => {
    const { position, answer, streams, request, stream } = known(3);
    position(50);
    request();
    position(70);
    assertEquals(streams.missing, 47);
    answer(5, { upTo: 70 });
    assertEquals([streams.missing, stream().window.missing], [2, 2]);
  });

  test("that has never been requested is a gap too, when requests for what is before it are in vain", async () => {
    const { accept, position, gaps, stream, clock } = known();
    await clock.advance(1);
    for (let number = 2; number <= 20; number += 2) accept(number);
    Object.assign(stream().window.holes[0] as Hole, { nakSentAt: clock.now(), attempts: 1 });
    await clock.advance(500);
    accept(22);
    await clock.advance(500);
    position(22, 23);
    assertEquals(gaps, [[1, 1, 19, "overwritten"]]);
    await clock.advance(500);
    position(22, 23);
    assertEquals(gaps.slice(1), []);
    Object.assign(stream().window.holes[0] as Hole, { nakSentAt: clock.now() - 1000, attempts: 1 });
    position(22, 23);
    assertEquals(gaps.slice(1), [[1, 21, 21, "overwritten"]]);
  });

  test("is requested with the first token that came, until an answer brings another", () => {
    const { position, answer, stream } = known();
    const [first, forged, next] = [1, 2, 3].map((byte) => new Uint8Array(8).fill(byte));
    assert(first && forged && next);
    position(0, 1, 0, { token: first });
    position(0, 1, 0, { token: forged });
    position(0, 1, 0, { token: forged, nonce: 1 });
    assertEquals(stream().token, first);
    answer(0, { token: next });
    assertEquals(stream().token, next);
  });

  test("shows a shorter round trip when it was requested once and retransmitted", async () => {
    const { accept, stream, clock } = known();
    await clock.advance(1);
    stream().measure(800, clock.now());
    accept(3);
    const [hole] = stream().window.holes;
    assert(hole !== undefined);
    Object.assign(hole, { attempts: 1, nakSentAt: clock.now(), lastNakSentAt: clock.now() });
    await clock.advance(80);
    accept(1, A, true);
    assertEquals(stream().roundTrip, 800 - 720 / 8);
    // Requested twice: it may be the answer to the first. Late, and not retransmitted: it is no answer.
    Object.assign(hole, { attempts: 2 });
    accept(2, A, true);
    accept(5);
    Object.assign(stream().window.holes[0] as Hole, {
      attempts: 1,
      nakSentAt: clock.now(),
      lastNakSentAt: clock.now(),
    });
    accept(4);
    assertEquals(stream().roundTrip, 710);
    // Longer than that it may have waited in the sender's queue.
    accept(7);
    Object.assign(stream().window.holes[0] as Hole, {
      attempts: 1,
      nakSentAt: clock.now(),
      lastNakSentAt: clock.now(),
    });
    await clock.advance(2000);
    accept(6, A, true);
    assertEquals(stream().roundTrip, 710);
  });

  test("does not measure a round trip in which this node stalled", async () => {
    const { streams, position, stream, clock } = known();
    stream().naks.unshift({ nonce: 7, sentAt: clock.now(), upTo: 0, settled: 0, to: SOURCE });
    await clock.advance(3000);
    streams.stalled(10);
    position(0, 1, 0, { nonce: 7 });
    assertEquals(stream().roundTrip, 0);
    stream().naks.unshift({ nonce: 8, sentAt: clock.now(), upTo: 0, settled: 0, to: SOURCE });
    await clock.advance(4);
    position(0, 1, 0, { nonce: 8 });
    assertEquals(stream().roundTrip, 4);
  });

  test("is requested where the node has answered from", () => {
    const { answer, position, stream } = setUp();
    position(1);
    assertEquals(stream().validatedAt, undefined);
    answer(1);
    assertEquals(stream().validatedAt, SOURCE);
  });
});

describe("a number that a node has used twice", () => {
  test("is no copy but a gap, and the node is notified with the token that it shows next", () => {
    const { accept, answer, gaps, reused, doubted, streams } = known(3);
    const before = doubted.length;
    assertEquals([accept(2), gaps], [false, []]);
    assertEquals([accept(3, A, false, 33), gaps], [false, [[1, 3, 3, "reused"]]]);
    assertEquals([doubted.length - before, reused], [1, []]);
    answer(3, { token: TOKEN });
    assertEquals(reused, [[3, TOKEN, SOURCE]]);
    // As long as it is heard, it has not heard that.
    for (let i = 0; i < 20; i++) answer(3, { token: TOKEN });
    assertEquals([reused.length, streams.duplicates, gaps.length], [8, 2, 1]);
  });

  test("is a gap when it is retransmitted, too, and none when it was never received, or so long ago that it is forgotten", () => {
    const { accept, position, answer, gaps } = known(3);
    accept(1, A, true, 11);
    assertEquals(gaps, [[1, 1, 1, "reused"]]);
    position(400, 300);
    answer(400, { oldest: 300 });
    gaps.length = 0;
    for (let number = 300; number <= 400; number++) accept(number);
    for (const number of [2, 3, 200]) assertEquals(accept(number, A, false, 5000 + number), false);
    assertEquals(gaps, []);
    accept(300, A, false, 5);
    assertEquals(gaps, [[1, 300, 300, "reused"]]);
  });

  test("of a node that has never answered is a gap when it answers, as it may be forged", () => {
    const { accept, answer, position, gaps } = setUp();
    accept(1);
    accept(1, A, false, 11);
    position(1);
    assertEquals(gaps, []);
    answer(1, { base: { first: 1, age: 0 }, token: TOKEN });
    assertEquals(gaps, [[1, 1, 1, "reused"]]);
  });

  test("is detected by its position when more had come of it before the request", () => {
    const { accept, answer, gaps, reused } = known(9);
    answer(4, { upTo: 9, settledBefore: 9, token: TOKEN });
    assertEquals([gaps, reused], [[[1, 1, undefined, "reused"]], [[1, TOKEN, SOURCE]]]);
    assertEquals([accept(5, A, false, 55), accept(6, A, false, 66), gaps.length], [true, true, 1]);
  });

  test("is none when what had come was so only later, or was given up", () => {
    const { answer, gaps, reused } = known(9);
    answer(4, { upTo: 9, settledBefore: 4, token: TOKEN });
    assertEquals([gaps, reused], [[], []]);
    const other = known(3);
    other.position(500, 400);
    other.answer(500, { oldest: 501 });
    assertEquals(other.gaps, [[1, 4, 500, "overwritten"]]);
    other.answer(3, { upTo: 500, settledBefore: 500, token: TOKEN });
    assertEquals([other.gaps.length, other.reused], [1, []]);
  });

  test("is verified at once and four times a second when a position is too low, whatever was requested before", async () => {
    const { answer, clock, doubted, gaps, position } = known(9);
    await clock.advance(5000);
    answer(9);
    const before = doubted.length;
    for (let i = 0; i < 50; i++) {
      position(4);
      await clock.advance(10);
    }
    assertEquals([doubted.length - before, gaps], [4, []]);
    await clock.advance(500);
    position(4);
    assertEquals(doubted.length - before, 5);
    answer(4, { upTo: 9, settledBefore: 9, token: TOKEN });
    assertEquals(gaps, [[1, 1, undefined, "reused"]]);
  });

  test("with another token than the one that is known is verified: the node may have forgotten that one", () => {
    const { answer, doubted, position, stream } = known(9);
    answer(9, { token: TOKEN });
    const before = doubted.length;
    position(9, 1, 0, { token: TOKEN.slice() });
    assertEquals(doubted.length, before);
    const other = new Uint8Array(8).fill(1);
    position(9, 1, 0, { token: other });
    assertEquals([doubted.length - before, stream().token], [1, TOKEN]);
    answer(9, { token: other });
    assertEquals(stream().token, other);
  });

  test("is a gap when it was set back to nothing, as it may have sent more before", () => {
    const { answer, gaps } = known(9);
    answer(0, { upTo: 9, settledBefore: 9, token: TOKEN });
    assertEquals(gaps, [[1, 1, undefined, "reused"]]);
  });

  test("is reported 32 times at once and once a second, and the rest later, as anybody can forge it", async () => {
    const { accept, clock, gaps, streams } = known(100);
    for (let number = 1; number <= 100; number++) accept(number, A, false, 1000 + number);
    assertEquals(gaps.length, 32);
    await clock.advance(1000);
    streams.expire();
    assertEquals(gaps.slice(32), [[1, 101, undefined, "lost"]]);
  });
});

describe("a stream that was silent for quietTimeout, and whose node is no peer,", () => {
  test("is lost: a gap from what is settled on, with no end, reported once", async () => {
    const { streams, accept, clock, gaps, stream, left } = known(3);
    accept(6);
    await clock.advance(QUIET_TIMEOUT - 1);
    streams.expire();
    assertEquals(gaps, []);
    await clock.advance(1);
    streams.expire();
    streams.expire();
    await clock.advance(QUIET_TIMEOUT);
    streams.expire();
    assertEquals([gaps, stream().isWanting, left], [[[1, 4, undefined, "lost"]], false, []]);
  });

  test("goes on where it was when its node answers again", async () => {
    const { streams, accept, position, answer, clock, gaps, holes, stream } = known(3);
    await clock.advance(QUIET_TIMEOUT);
    streams.expire();
    assertEquals(gaps, [[1, 4, undefined, "lost"]]);
    gaps.length = 0;
    position(20, 1, 500);
    assertEquals(
      [holes(), stream().isWanting, stream().lostAt !== undefined],
      [[], false, true],
      "it may be a late copy",
    );
    streams.validate(formatNodeId(A), SOURCE, 1);
    position(20, 1, 500);
    assertEquals([holes(), stream().isWanting, gaps], [[[4, 20]], true, []]);
    assertEquals([accept(3), accept(4)], [false, true]);
    answer(20, { oldest: 11 });
    assertEquals(gaps, [[1, 5, 10, "overwritten"]]);
  });

  test("is known as long as there is room: what it sent before is a late copy", async () => {
    const { streams, accept, position, clock, gaps, stream } = known(3);
    await clock.advance(QUIET_TIMEOUT);
    streams.expire();
    gaps.length = 0;
    await clock.advance(100 * HOUR);
    streams.expire();
    assertEquals([accept(3), accept(1), streams.duplicates], [false, false, 2]);
    position(3, 1, 0);
    await clock.advance(2 * PEER_TIMEOUT);
    streams.expire();
    assertEquals([gaps, stream().lostAt !== undefined], [[], true]);
  });
});

describe("a departed node that is heard with more than was known", () => {
  const more = [
    ["a batch", (rig: ReturnType<typeof known>) => void rig.accept(4)],
    ["a position", (rig: ReturnType<typeof known>) => rig.position(4)],
    ["keys that it has not sent", (rig: ReturnType<typeof known>) => rig.position(3, 1, 0, { pending: 5 })],
  ] as const;
  for (const [name, say] of more) {
    test(`by ${name}, is a gap again unless it answers within peerTimeout`, async () => {
      for (const answers of [false, true]) {
        const rig = known(3);
        rig.streams.lose(rig.stream());
        rig.gaps.length = 0;
        say(rig);
        await rig.clock.advance(PEER_TIMEOUT - 1);
        rig.streams.expire();
        assertEquals(rig.gaps, []);
        if (answers) rig.streams.validate(formatNodeId(A), SOURCE, 1);
        await rig.clock.advance(1);
        rig.streams.expire();
        rig.streams.expire();
        assertEquals(rig.gaps.map(([, , to, reason]) => [to, reason]), answers ? [] : [[undefined, "lost"]]);
      }
    });
  }

  test("is a gap four times at once and four times a minute, as anybody can forge it", async () => {
    const rig = known(3);
    const say = async (times: number) => {
      for (let i = 0; i < times; i++) {
        rig.accept(rig.stream().window.highest + 1);
        await rig.clock.advance(PEER_TIMEOUT);
        rig.streams.expire();
      }
    };
    rig.streams.lose(rig.stream());
    rig.gaps.length = 0;
    await say(4);
    assertEquals(rig.gaps.length, 4);
    await say(12);
    // It took 80 s in all.
    assertEquals(rig.gaps.length, 9);
  });

  test("is none when it has left, as it said how much there is", async () => {
    const rig = known(3);
    rig.streams.leave(A, SOURCE, { position: { last: 3, oldest: 1, age: 5 } });
    assertEquals(rig.accept(4), true);
    rig.position(MAX_NUMBER - 1);
    await rig.clock.advance(10 * PEER_TIMEOUT);
    rig.streams.expire();
    assertEquals([rig.gaps, rig.streams.missing], [[], 0]);
  });

  test("and leaves after it was lost is a gap if it had more than was known, and stays lost, as anybody can forge it", async () => {
    for (const last of [3, 5]) {
      const rig = known(3);
      rig.streams.lose(rig.stream());
      rig.gaps.length = 0;
      for (let i = 0; i < 3; i++) rig.streams.leave(A, SOURCE, { position: { last, oldest: 1, age: 5 } });
      assertEquals([rig.gaps, rig.left, rig.stream().lostAt !== undefined], [[], [], true]);
      await rig.clock.advance(PEER_TIMEOUT);
      rig.streams.expire();
      assertEquals([rig.gaps, rig.left], [last === 3 ? [] : [[1, 4, undefined, "lost"]], []]);
    }
  });

  test("is a gap once for each number that it seems to have used since: late copies say the same again", async () => {
    const rig = known(3);
    rig.streams.lose(rig.stream());
    rig.gaps.length = 0;
    const gapsAfter = async (say: () => void) => {
      for (let i = 0; i < 2; i++) {
        say();
        await rig.clock.advance(PEER_TIMEOUT);
        rig.streams.expire();
      }
      return rig.gaps.splice(0).length;
    };
    assertEquals(await gapsAfter(() => rig.accept(3)), 0);
    assertEquals(await gapsAfter(() => rig.position(3)), 0);
    assertEquals(await gapsAfter(() => rig.position(3, 1, 0, { pending: 100 })), 1);
    assertEquals(await gapsAfter(() => rig.position(4)), 1);
    await rig.clock.advance(60_000);
    assertEquals(await gapsAfter(() => rig.accept(7)), 1);
    assertEquals(await gapsAfter(() => rig.position(7)), 0);
  });

  test("is a gap in the end when many are heard again at once, and forged numbers do not hide others", async () => {
    const rig = setUp();
    const ids = Array.from({ length: 8 }, (_, i) => idOf(100 + i));
    for (const id of ids) {
      rig.accept(1, id);
      rig.answer(1, {}, id);
      rig.streams.lose(rig.stream(id));
    }
    rig.gaps.length = 0;
    // It sends something once, and says that for long.
    for (let time = 0; time < 180_000; time += 1000) {
      for (const id of ids) rig.position(2, 1, 0, {}, id);
      await rig.clock.advance(1000);
      rig.streams.expire();
    }
    assertEquals(rig.gaps.length, ids.length, "each is reported, though four are at once");
    const [id] = ids as [Uint8Array];
    for (const last of [2 ** 47, 3]) {
      rig.position(last, 1, 0, {}, id);
      await rig.clock.advance(60_000);
      rig.streams.expire();
    }
    assertEquals(rig.gaps.length, ids.length + 2);
  });

  test("is not shown to miss anything, and its holes take no room of those of peers", () => {
    const rig = known(3);
    rig.streams.lose(rig.stream());
    for (let number = 10; number < 5000; number += 2) rig.accept(number);
    assertLessOrEqual(rig.stream().window.holes.length, 512);
    assertEquals([rig.streams.missing, rig.wanted], [0, []]);
  });
});

describe("a node that falls silent before it has answered", () => {
  test("is a gap when it was heard before it had published anything, as it may have crashed with its first key", () => {
    const { streams, position, stream, gaps } = setUp();
    position(0, 1, Infinity, BEAT);
    streams.lose(stream());
    assertEquals(gaps, [[1, 1, undefined, "lost"]]);
  });

  test("is none when it was heard only later, and none beyond four at once and four a minute", async () => {
    const { streams, accept, position, stream, gaps, clock } = setUp({ capacity: 1000 });
    accept(1, idOf(500));
    position(7, 1, 0, BEAT, idOf(501));
    position(0, 1, Infinity, {}, idOf(502));
    for (const i of [500, 501, 502]) streams.lose(stream(idOf(i)));
    assertEquals(gaps, []);
    for (let i = 1; i <= 100; i++) {
      position(0, 1, Infinity, BEAT, idOf(i));
      streams.lose(stream(idOf(i)));
    }
    assertEquals(gaps.length, 4);
    // One gap is due for all others together, as each makes the user drop everything.
    for (const count of [4, 5, 5, 5]) {
      streams.expire();
      assertEquals(gaps.length, count);
      await clock.advance(15_000);
    }
    for (let i = 101; i <= 200; i++) {
      position(0, 1, Infinity, BEAT, idOf(i));
      streams.lose(stream(idOf(i)));
    }
    assertEquals(gaps.length, 8);
  });
});

describe("a node that has published nothing and is lost", () => {
  for (
    const [name, time, isGap] of [["of late is a gap", READER_AFTER - 1, true], [
      "for long is a reader",
      READER_AFTER,
      false,
    ]] as const
  ) {
    test(`${name}`, async () => {
      const { streams, position, stream, gaps, clock } = known();
      await clock.advance(time);
      position(0, 1, Infinity, BEAT);
      await clock.advance(HOUR);
      streams.lose(stream());
      assertEquals(gaps, isGap ? [[1, 1, undefined, "lost"]] : []);
    });
  }

  test("is a gap when it has accepted a key, or has begun to publish", async () => {
    for (const word of ["pending", "batch"] as const) {
      const { streams, accept, position, stream, gaps, clock } = known();
      await clock.advance(READER_AFTER);
      position(0, 1, Infinity, BEAT);
      if (word === "batch") accept(1);
      else position(0, 1, Infinity, { ...BEAT, pending: 1 });
      streams.lose(stream());
      assertEquals(gaps.length, 1, word);
    }
  });
});

describe("a stream whose node is a peer", () => {
  test("is not lost, however long it is silent, until the peer is", async () => {
    const { streams, peers, accept, clock, gaps, stream, left } = known(3);
    peers.add(formatNodeId(A));
    accept(6);
    await clock.advance(10 * QUIET_TIMEOUT);
    streams.expire();
    assertEquals(gaps, []);
    streams.lose(stream());
    streams.lose(stream());
    assertEquals([gaps, stream().isWanting, left], [[[1, 4, undefined, "lost"]], false, []]);
  });

  test("goes on where it was when it was lost and answers again", () => {
    const { streams, accept, gaps, stream, doubted } = known(3);
    streams.lose(stream());
    streams.validate(formatNodeId(A), SOURCE, 1);
    // What came meanwhile was ignored.
    assertEquals([accept(4), stream().lostAt, doubted.length], [true, undefined, 1]);
    streams.lose(stream());
    assertEquals(gaps, [[1, 4, undefined, "lost"], [1, 5, undefined, "lost"]]);
  });

  test("is not lost when it leaves, or has left", async () => {
    const leaving = known(3);
    leaving.streams.leave(A, SOURCE, { position: { last: 5, oldest: 1, age: 0 } });
    leaving.streams.lose(leaving.stream());
    assertEquals(leaving.gaps, []);
    await leaving.clock.advance(2000);
    leaving.streams.expire();
    assertEquals(leaving.gaps, [[1, 4, 5, "left"]]);
    leaving.streams.lose(leaving.stream());
    assertEquals(leaving.gaps.length, 1);
  });
});

describe("a node that answers a heartbeat", () => {
  const id = formatNodeId(A);
  const THERE: Endpoint = { host: "10.0.0.8", port: 6000 };

  test("gets requests there from then on, at once for what is missing", async () => {
    const { streams, accept, position, stream, wanted, clock } = setUp();
    position(0, 1, Infinity);
    accept(1);
    accept(4);
    assertEquals(stream().validatedAt, undefined);
    await clock.advance(1);
    assert(stream().window.holes.every(({ due }) => due > clock.now()));
    wanted.length = 0;
    streams.validate(id, THERE, 12);
    assertEquals([stream().validatedAt, wanted], [THERE, [id]]);
    assert(stream().window.holes.every(({ due }) => due <= clock.now()));
  });

  test("and has no known stream changes nothing", () => {
    const { streams, wanted } = setUp();
    streams.validate(id, THERE, 12);
    assertEquals([[...streams.all], wanted], [[], []]);
  });
});

describe("a node that leaves", () => {
  const leave = (rig: ReturnType<typeof known>, last: number, oldest = 1) =>
    rig.streams.leave(A, SOURCE, { position: { last, oldest, age: 5 } });

  test("and has nothing that is missing here is acknowledged and removed at once", async () => {
    const rig = known(3);
    leave(rig, 3);
    const id = formatNodeId(A);
    assertEquals([rig.settled, rig.left, rig.gaps, rig.stream().isDeparted], [[[1, 3]], [id], [], true]);
    leave(rig, 3);
    assertEquals([rig.settled.length, rig.left.length], [2, 1]);
    await rig.clock.advance(QUIET_TIMEOUT);
    rig.streams.expire();
    assertEquals(rig.gaps, []);
  });

  test("gets requests at once for what is missing, and is removed when that has come", () => {
    const rig = known(3);
    rig.accept(6);
    leave(rig, 8);
    assertEquals([rig.settled, rig.left, rig.holes()], [[], [], [[4, 5], [7, 8]]]);
    assert(rig.stream().window.holes.every(({ due }) => due <= rig.clock.now()));
    for (const number of [4, 5, 7]) rig.accept(number);
    assertEquals(rig.left, []);
    rig.accept(8);
    assertEquals([rig.settled, rig.left.length, rig.gaps], [[[1, 8]], 1, []]);
  });

  test("and does not retransmit within 2 s leaves a gap", async () => {
    const rig = known(3);
    rig.accept(6);
    leave(rig, 8);
    await rig.clock.advance(1999);
    rig.streams.expire();
    assertEquals([rig.gaps, rig.left], [[], []]);
    await rig.clock.advance(1);
    rig.streams.expire();
    rig.streams.expire();
    assertEquals([rig.gaps, rig.left.length, rig.stream().isWanting], [[[1, 4, 8, "left"]], 1, false]);
  });

  test("before the beginning of its stream is known leaves a gap if it has ever answered, and gets no more requests", async () => {
    for (const answers of [true, false]) {
      const rig = setUp();
      rig.streams.leave(A, SOURCE, { position: { last: 8, oldest: 1, age: 0 } });
      if (answers) rig.streams.validate(formatNodeId(A), SOURCE, 1);
      assertEquals(rig.left, []);
      await rig.clock.advance(2000);
      rig.streams.expire();
      assertEquals([rig.gaps, rig.left.length, rig.stream().isWanting], [answers ? [[1, 1, 8, "left"]] : [], 1, false]);
    }
  });

  test("and never answered, but was heard before it had published anything, leaves a gap: the path may be a long one", async () => {
    const rig = setUp();
    rig.position(0, 1, Infinity, BEAT);
    await rig.clock.advance(1000);
    rig.streams.leave(A, SOURCE, { position: { last: 8, oldest: 1, age: 0 } });
    await rig.clock.advance(2000);
    rig.streams.expire();
    assertEquals([rig.gaps, rig.left.length], [[[1, 1, 8, "left"]], 1]);
  });

  test("before anything was known of it leaves no gap when it says that it has long been silent", async () => {
    const rig = setUp();
    await rig.clock.advance(1000);
    rig.streams.leave(A, SOURCE, { position: { last: 8, oldest: 1, age: 5000 } });
    assertEquals(rig.left, []);
    await rig.clock.advance(2000);
    rig.streams.expire();
    assertEquals([rig.gaps, rig.left.length, rig.stream().isWanting], [[], 1, false]);
  });

  test("and could not send all leaves a gap as soon as an answer says so", () => {
    const rig = known(3);
    leave(rig, 5, 6);
    assertEquals([rig.gaps, rig.left], [[], []]);
    rig.answer(5, { oldest: 6 });
    assertEquals([rig.gaps, rig.left.length, rig.settled], [[[1, 4, 5, "overwritten"]], 1, [[1, 5]]]);
  });

  test("and sends more all the same has left until it answers: its leave was forged, or that is", async () => {
    for (const go of ["batch", "position"] as const) {
      const rig = known(3);
      leave(rig, 3);
      if (go === "batch") assertEquals(rig.accept(4), true);
      else rig.position(4);
      assertEquals([rig.stream().isDeparted, rig.gaps], [true, []], go);
      await rig.clock.advance(5000);
      rig.streams.validate(formatNodeId(A), SOURCE, 1);
      assertEquals([rig.stream().isDeparted, rig.stream().leavingAt], [false, undefined], go);
      rig.position(4);
      assertEquals([rig.holes(), rig.gaps], [go === "batch" ? [] : [[4, 4]], []]);
    }
  });
});

describe("the position of a node", () => {
  test("is known from what it sends, less the time since that left, or since the request", async () => {
    const { streams, position, answer, stream, clock } = known(3);
    await clock.advance(1000);
    position(3);
    assertEquals(stream().settledAt, clock.now());
    streams.validate(formatNodeId(A), SOURCE, 40);
    await clock.advance(1000);
    position(3);
    assertEquals(stream().settledAt, clock.now() - 40);
    stream().naks.unshift({ nonce: 5, sentAt: clock.now() - 30, upTo: 0, settled: 0, to: SOURCE });
    position(3, 1, 0, { nonce: 5 });
    assertEquals(stream().settledAt, clock.now() - 30);
    answer(3);
    assertEquals(stream().settledAt, clock.now());
  });

  test("is known less the time for which its oldest key waits to be sent, and is not current then", async () => {
    const { position, accept, stream, clock } = known(3);
    await clock.advance(10_000);
    position(3, 1, 0, { pending: 4000 });
    assertEquals([stream().settledAt, stream().pending], [clock.now() - 4000, 4000]);
    await clock.advance(10);
    accept(4);
    assertEquals([stream().settledAt, stream().pending], [clock.now(), 0]);
  });

  test("is not known from retransmissions, nor from what is sent while more is pending", async () => {
    const { streams, stream, clock } = known(3);
    const before = stream().settledAt;
    for (const [number, numbering] of [[4, "retransmit"], [5, "more"]] as const) {
      await clock.advance(100);
      assertEquals(streams.accept(A, number, numbering, SOURCE.host, SOURCE.port, 0), true);
      assertEquals(stream().settledAt, before);
    }
    streams.accept(A, 6, "number", SOURCE.host, SOURCE.port, 0);
    assertEquals(stream().settledAt, clock.now());
  });

  test("is as old as the request when it answers for the first time, whatever it sent before", async () => {
    const { streams, position, stream, clock } = setUp();
    await clock.advance(1000);
    position(0, 1, Infinity);
    streams.validate(formatNodeId(A), SOURCE, 600);
    assertEquals(stream().settledAt, clock.now() - 600);
  });

  test("is as old as the stall for a node that was first heard just after this one had stalled", async () => {
    const { streams, position, stream, clock } = setUp();
    await clock.advance(9000);
    streams.stalled(1000);
    await clock.advance(5);
    position(0, 1, Infinity);
    assertEquals(stream().settledAt, 1000, "it may have come as early as that");
    streams.validate(formatNodeId(A), SOURCE, 1);
    position(0, 1, Infinity);
    assertEquals(stream().settledAt, clock.now() - 1);
  });

  test("over a long path is measured again after 1, 2, 4 … s, up to a minute, as long as it is long", async () => {
    const { streams, position, stream, clock, doubted } = known(3);
    const id = formatNodeId(A);
    const requestedAt: number[] = [];
    streams.validate(id, SOURCE, 300);
    for (let second = 1; second <= 200; second++) {
      await clock.advance(1000);
      const before = doubted.length;
      position(3);
      if (doubted.length === before) continue;
      requestedAt.push(second);
      streams.validate(id, SOURCE, 300);
    }
    assertEquals(requestedAt, [1, 3, 7, 15, 31, 63, 123, 183]);
    assertEquals(stream().path, 300);
    for (let i = 0; i < 2; i++) streams.validate(id, SOURCE, 2);
    const before = doubted.length;
    await clock.advance(100_000);
    position(3);
    assertEquals([stream().path, doubted.length - before], [2, 0]);
  });

  test("is requested once a second as long as the path was never measured, however many nodes there are", async () => {
    const { streams, position, clock, doubted } = setUp({ capacity: 100 });
    const ids = Array.from({ length: 60 }, (_, i) => idOf(1 + i));
    for (const id of ids) {
      position(0, 1, Infinity, {}, id);
      // What takes so long says nothing of the path.
      streams.validate(formatNodeId(id), SOURCE, 20_000);
    }
    for (let second = 0; second < 5; second++) {
      await clock.advance(1000);
      doubted.length = 0;
      for (let i = 0; i < 10; i++) for (const id of ids) position(0, 1, Infinity, {}, id);
      assertEquals(doubted.length, 60);
    }
  });

  test("over paths that are all long, and never as long as before, is measured 32 times at once and twice a second", async () => {
    const { streams, position, clock, doubted } = setUp({ capacity: 100 });
    const ids = Array.from({ length: 60 }, (_, i) => idOf(1 + i));
    for (const id of ids) {
      position(0, 1, Infinity, {}, id);
      streams.validate(formatNodeId(id), SOURCE, 500);
    }
    doubted.length = 0;
    for (let second = 0; second < 60; second++) {
      await clock.advance(1000);
      // Heard ten times while an answer is under way.
      for (let i = 0; i < 10; i++) for (const id of ids) position(0, 1, Infinity, {}, id);
      for (const id of ids) streams.validate(formatNodeId(id), SOURCE, second % 2 === 0 ? 2000 : 500);
    }
    assert(doubted.length > 60, `${doubted.length}`);
    assertLessOrEqual(doubted.length, 32 + 2 * 60);
  });
});

describe("a node that has stalled", () => {
  test("requests the positions of all peers, and is as stale as it was until one answers that", async () => {
    const { streams, position, answer, stream, clock, doubted } = known(3);
    position(0, 1, Infinity, {}, idOf(2));
    streams.leave(idOf(2), SOURCE, { position: { last: 0, oldest: 1, age: Infinity } });
    await clock.advance(5000);
    const sentBefore = { nonce: 5, sentAt: clock.now() - 1, upTo: 0, settled: 0, to: SOURCE };
    streams.stalled(1000);
    assertEquals([doubted, stream().settledAt], [[formatNodeId(A)], 0]);
    await clock.advance(10);
    // What was under way before the stall may be read now.
    stream().naks.unshift(sentBefore);
    position(3, 1, 0, { nonce: 5 });
    position(3);
    assertEquals(stream().settledAt, 1000);
    answer(3);
    assertEquals(stream().settledAt, clock.now());
  });

  test("accepts unsolicited positions a second later", async () => {
    const { streams, position, stream, clock } = known(3);
    await clock.advance(5000);
    position(3);
    streams.stalled(4000);
    assertEquals(stream().settledAt, 4000);
    await clock.advance(999);
    position(3);
    assertEquals(stream().settledAt, 4000);
    await clock.advance(1);
    position(3);
    assertEquals(stream().settledAt, clock.now());
  });
});

describe("more holes than are kept apart", () => {
  test("of one stream leave the others less room", () => {
    const { accept, answer, stream } = setUp({ capacity: 20 });
    for (let index = 1; index <= 18; index++) {
      accept(1, idOf(index));
      answer(1, {}, idOf(index));
      for (let number = 3; number <= 5000; number += 2) accept(number, idOf(index));
    }
    const counts = Array.from({ length: 18 }, (_, i) => stream(idOf(i + 1)).window.holes.length);
    assertEquals(counts, [...Array(16).fill(2048), 64, 64]);
  });

  test("count as missing what lies between holes that are merged, as it is requested again", () => {
    const { accept, answer, position, streams, stream, request } = known();
    position(0);
    answer(0);
    for (let number = 2; number <= 4096; number += 2) accept(number);
    request();
    assertEquals([stream().window.holes.length, streams.missing], [2048, 2048]);
    // 4096 lies between the last two.
    position(4099);
    // 4095 was requested, and is requested again with those.
    assertEquals([stream().window.holes.length, streams.missing], [2048, 2047]);
    request();
    assertEquals([stream().window.missing, streams.missing], [2052, 2052]);
    // In the middle of the last: there is no room for two, so it counts as missing again.
    accept(4098);
    assertEquals([stream().window.holes.length, streams.missing, streams.recovered], [2048, 2053, 1]);
    for (let number = 1; number <= 4099; number++) accept(number, A, true);
    assertEquals([streams.missing, streams.recovered, stream().window.missing], [2053, 2053, 0]);
  });
});

describe("room", () => {
  test("is there for twice as many streams as peers, and departed ones are evicted, the first one first", async () => {
    const { streams, accept, clock, stream, position, answer } = setUp({ capacity: 5 });
    for (let i = 1; i <= 10; i++) {
      accept(1, idOf(i));
      answer(1, {}, idOf(i));
    }
    assertEquals([[...streams.all].length, accept(1, idOf(11)), accept(1, idOf(11))], [10, true, true]);
    assertEquals([[...streams.all].length, streams.duplicates], [10, 0]);
    await clock.advance(100);
    for (const i of [4, 7]) {
      streams.leave(idOf(i), SOURCE, { position: { last: 1, oldest: 1, age: 0 } });
      await clock.advance(1);
    }
    assertEquals([accept(1, idOf(12)), accept(1, idOf(12)), stream(idOf(4))], [true, false, undefined]);
    // One that has never answered is evicted before one that has departed.
    position(1, 1, 0, {}, idOf(13));
    assertEquals([stream(idOf(12)), stream(idOf(13)) !== undefined, stream(idOf(7)) !== undefined], [
      undefined,
      true,
      true,
    ]);
    answer(1, {}, idOf(13));
    accept(1, idOf(14));
    assertEquals([stream(idOf(7)), stream(idOf(14)) !== undefined, [...streams.all].length], [undefined, true, 10]);
  });

  test("is freed by nodes that never answered, and they get no more requests", () => {
    const { streams, accept, stream } = setUp({ capacity: 1 });
    accept(7, idOf(1));
    const forgotten = stream(idOf(1));
    assert(forgotten.isWanting);
    for (const i of [2, 3]) accept(7, idOf(i));
    assertEquals([[...streams.all].length, forgotten.isWanting], [2, false]);
  });

  test("is bounded whatever is forged", () => {
    const { streams } = setUp({ capacity: 16 });
    for (let i = 0; i < 20_000; i++) {
      streams.accept(idOf(i), MAX_NUMBER - (i % 7), "number", "10.0.0.66", i % 65_536, 0);
    }
    assertLessOrEqual([...streams.all].length, 32);
  });
});

test("a view of the node id is copied", () => {
  const { streams, accept } = setUp();
  const view = idOf(5);
  accept(1, view);
  view.fill(9);
  assert(streams.get(formatNodeId(idOf(5))) !== undefined);
  assertEquals([accept(1, idOf(5)), accept(1, view)], [false, true]);
});

test("however batches arrive, each is delivered once, and what is missing is what has not come", async () => {
  const event = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("arrive" as const), which: fc.nat(60) }) },
    { weight: 3, arbitrary: fc.constant({ do: "publish" as const }) },
    { weight: 1, arbitrary: fc.constant({ do: "position" as const }) },
    { weight: 1, arbitrary: fc.constant({ do: "answer" as const }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("forge" as const), ahead: fc.integer({ min: 1, max: 50 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 80, size: "max" }), async (events) => {
      const rig = known();
      const delivered = new Set<number>();
      let published = 0;
      let isForged = false;
      for (const event of events) {
        await rig.clock.advance(1);
        if (event.do === "publish") published++;
        else if (event.do === "position") rig.position(published);
        else if (event.do === "forge") {
          rig.position(published + event.ahead);
          isForged = true;
        } else if (event.do === "answer") {
          rig.answer(published, { upTo: published + 60 });
          isForged = false;
        } else if (published > 0) {
          const number = 1 + (event.which % published);
          assertEquals(rig.accept(number), !delivered.has(number));
          delivered.add(number);
        }
        const numbers = rig.holes().flatMap(([from = 0, to = 0]) =>
          Array.from({ length: to - from + 1 }, (_, i) => from + i)
        );
        for (const number of numbers) assert(!delivered.has(number));
        if (!isForged) assert(numbers.every((number) => number <= published));
        assertEquals(rig.stream().isSettled, numbers.length === 0);
      }
      rig.answer(published, { upTo: published + 60 });
      for (let number = 1; number <= published; number++) {
        assertEquals(rig.accept(number), !delivered.has(number));
      }
      assertEquals([rig.stream().isSettled, rig.gaps, rig.stream().window.settled], [true, [], published]);
    }),
    { numRuns: 150 },
  );
});
