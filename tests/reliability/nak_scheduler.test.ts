// The NAK scheduler: when a node requests what is missing, from where, and how much of it.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { SeededRandom, VirtualClock } from "../../adapters/memory.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { Jitter } from "../../src/platform/jitter.ts";
import { NakScheduler } from "../../src/reliability/nak_scheduler.ts";
import { ReceiveStream, type SentNak } from "../../src/reliability/receive_stream.ts";
import { decodeExtension, type Extension } from "../../src/wire/extension.ts";
import { MAX_NUMBER, TYPE_CATCH_UP, TYPE_NAK } from "../../src/wire/layout.ts";
import { formatNodeId } from "../../src/wire/node_id.ts";
import { decodePacket } from "../../src/wire/packet.ts";
import { toHex } from "../support/hex.ts";

const NODE_ID = new Uint8Array(16).fill(0xaa);
const HOME: Endpoint = { host: "10.0.0.1", port: 7946 };
const SOURCE: Endpoint = { host: "10.0.0.9", port: 5000 };
const TOKEN = new Uint8Array(8).fill(5);
/** The shortest wait for an answer: `docs/wire.md`, "NAKs and retransmission". */
const RETRY = 6;

interface WireNak {
  readonly at: number;
  readonly type: number;
  readonly extension: Extension;
  readonly to: string;
}

/** A stream whose beginning is known and of which nothing has come, but for an answer within a millisecond. */
function newStream(
  { index = 1, token = true, catchUp = false, opened = 0, now = 0, roundTrip = 1 } = {},
): ReceiveStream {
  const nodeId = new Uint8Array(16).fill(index);
  const stream = new ReceiveStream(nodeId, formatNodeId(nodeId), SOURCE, opened, now, {
    trusted: 0,
    untrusted: 0,
    requested: 0,
    recovered: 0,
  });
  if (!catchUp) stream.catchUp = undefined;
  if (token) stream.token = TOKEN;
  if (roundTrip > 0) {
    stream.measure(roundTrip, now);
    stream.validate({ sentAt: 0, to: HOME }, now);
  }
  return stream;
}

function setUp(
  { seed = 1, known = true, onLeaving = (_stream: ReceiveStream): void => {}, onNak = (_nak: WireNak): void => {} } =
    {},
) {
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const randomBytes = (length: number) => Uint8Array.from({ length }, () => random.below(256));
  const naks: WireNak[] = [];
  /** The delay of timers, in milliseconds. */
  const loop = { lag: 0 };
  const scheduler = new NakScheduler({
    nodeId: NODE_ID,
    clock: {
      now: () => clock.now(),
      setTimer: (callback, delay) => clock.setTimer(callback, delay + loop.lag),
      setTurnEnd: (callback) => clock.setTurnEnd(callback),
    },
    jitter: new Jitter(randomBytes),
    randomBytes,
    peers: () => ({ get: () => known ? { endpoint: HOME, extended: false, isValidated: false } : undefined }),
    transmit: {
      sendControlPacket: (packet, to) => {
        const { type, nodeId, rest } = decodePacket(packet);
        assertEquals(nodeId, NODE_ID);
        naks.push({ at: clock.now(), type, extension: decodeExtension(rest) ?? {}, to: to.host });
        onNak(naks.at(-1) as WireNak);
      },
    },
    onLeaving,
  });
  return { scheduler, clock, naks, loop };
}

function rangesOf(naks: readonly WireNak[]): [number, number][][] {
  return naks.map(({ extension }) => (extension.ranges ?? []).map(({ from, to }) => [from, to]));
}

describe("what is missing", () => {
  test("is requested when it is due and not before, all holes in one packet", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    for (const number of [3, 5, 9]) stream.window.accept(number, 8, 8);
    scheduler.schedule(stream);
    await clock.advance(7.9);
    assertEquals(naks, []);
    await clock.advance(0.1);
    const [{ type, extension: { nonce, ...extension }, to }] = naks as [WireNak];
    assertEquals([naks.length, type, to, typeof nonce], [1, TYPE_NAK, HOME.host, "number"]);
    const ranges = [{ from: 1, to: 2 }, { from: 4, to: 4 }, { from: 6, to: 8 }];
    assertEquals(extension, { stream: stream.nodeId, token: TOKEN, ranges });
    assertEquals(stream.naks.map(({ nonce, sentAt, upTo }) => [nonce, sentAt, upTo]), [[nonce, 8, 8]]);
    assertEquals(scheduler.sent, 1);
    assertEquals(stream.window.holes.map(({ nakSentAt, attempts }) => [nakSentAt, attempts]), Array(3).fill([8, 1]));
    await clock.advance(20);
    assert(stream.window.holes.every(({ nakSentAt, attempts }) => nakSentAt === 8 && attempts > 1));
  });

  test("waits for unread datagrams while the event loop lags, up to a limit", async () => {
    for (const [lag, least, most] of [[3, 5, 12], [5, 45, 60], [20, 170, 200], [100, 250, 500]] as const) {
      const { scheduler, clock, naks, loop } = setUp();
      const stream = newStream();
      loop.lag = lag;
      for (const number of [3, 5]) stream.window.accept(number, 0, 5);
      scheduler.schedule(stream);
      await clock.advance(1000);
      assertGreaterOrEqual(naks[0]?.at ?? 0, least);
      assertLessOrEqual(naks[0]?.at ?? Infinity, most);
      assertEquals(rangesOf(naks)[0], [[1, 2], [4, 4]]);
    }
  });

  test("is requested again without that wait, but for what was read meanwhile", async () => {
    const { scheduler, clock, naks, loop } = setUp();
    const stream = newStream();
    stream.window.accept(3, 0, 5);
    scheduler.schedule(stream);
    await clock.advance(5);
    assertEquals(naks.length, 1);
    loop.lag = 15;
    stream.window.accept(10, 5, 5);
    scheduler.schedule(stream);
    await clock.advance(60);
    assert(naks.length > 1);
    assert(rangesOf(naks).flat().every(([from = 0]) => from <= 2));
    for (let number = 4; number < 10; number++) stream.window.accept(number, clock.now(), 0);
    await clock.advance(500);
    assert(rangesOf(naks).flat().every(([from = 0]) => from <= 2));
  });

  test("is not requested when it comes before that", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    stream.window.accept(2, 8, 8);
    scheduler.schedule(stream);
    await clock.advance(7);
    stream.window.accept(1, 0, 0);
    await clock.advance(1000);
    assertEquals([naks, clock.pending], [[], 0]);
  });

  test("is requested again: twice soon, then after twice the time each, up to 250 ms, by up to a quarter later", async () => {
    for (const roundTrip of [1, 50, 400]) {
      const { scheduler, clock, naks } = setUp({ seed: roundTrip + 1 });
      const stream = newStream({ roundTrip });
      stream.window.accept(2, 0, 0);
      scheduler.schedule(stream);
      await clock.advance(20_000);
      const waits = naks.slice(1).map(({ at }, i) => at - (naks[i]?.at ?? 0));
      const first = Math.max(RETRY, 2 * roundTrip);
      for (const [i, wait] of waits.entries()) {
        const least = Math.max(first, Math.min(250, first * 2 ** Math.max(0, i - 1)));
        assertGreaterOrEqual(wait, least - 0.01);
        // The clock may be late by a microsecond.
        assertLessOrEqual(wait, 1.25 * least + 0.01);
      }
      assertGreater(new Set(waits.map((wait) => wait.toFixed(2))).size, waits.length / 2);
      assert(waits.length >= 17, `${waits.length} waits`);
      assertEquals(new Set(naks.map(({ extension }) => extension.nonce)).size, naks.length);
    }
  });

  test("leaves 2 ms between two packets", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    for (let i = 1; i <= 40; i++) stream.window.accept(2 * i, i / 4, i / 4);
    scheduler.schedule(stream);
    await clock.advance(60);
    assertGreater(naks.length, 5);
    naks.slice(1).forEach(({ at }, i) => assertGreaterOrEqual(at - (naks[i]?.at ?? 0), 2));
  });

  test("is requested by at most 64 ranges in a packet, and the rest follows", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    for (let i = 1; i <= 100; i++) stream.window.accept(2 * i, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(5);
    assertEquals(rangesOf(naks).map(({ length }) => length), [64, 36]);
    assertEquals(rangesOf(naks).flat(), Array.from({ length: 100 }, (_, i) => [2 * i + 1, 2 * i + 1]));
  });

  test("is requested up to 128 numbers that are pending, and further as they come", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    stream.window.accept(1001, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(4);
    assertEquals(rangesOf(naks), [[[1, 128]]]);
    for (let number = 1; number <= 40; number++) stream.window.accept(number, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(3);
    assertEquals(rangesOf(naks), [[[1, 128]], [[129, 168]]]);
    assertEquals(stream.naks.map(({ upTo }) => upTo), [168, 128]);
  });

  test("after an outage is requested up to 512 numbers, as long as they come at once", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    stream.outageAt = 0;
    stream.window.accept(10_001, 0, 0);
    let next = 1;
    let most = 0;
    const numbersOf = (ranges: readonly (readonly number[])[]) =>
      ranges.reduce((sum, [from = 0, to = 0]) => sum + to - from + 1, 0);
    // What is requested comes 4 ms later.
    while (stream.window.holes.length > 0 && clock.now() < 1000) {
      const before = naks.length;
      scheduler.schedule(stream);
      await clock.advance(4);
      const last = rangesOf(naks).flat().reduce((highest, [, to = 0]) => Math.max(highest, to), 0);
      most = Math.max(most, last - next + 1);
      for (const ranges of rangesOf(naks).slice(before)) assertLessOrEqual(numbersOf(ranges), 128);
      const held = last - 128;
      for (; next <= Math.max(held, Math.min(last, next + 127)); next++) {
        stream.window.accept(next, clock.now(), 0);
        stream.learn(true, clock.now());
      }
    }
    assertGreater(most, 200);
    assertLessOrEqual(most, 512);
    assertGreater(stream.room, 128);
    // Nothing that is requested now comes.
    stream.window.accept(20_001, clock.now(), clock.now());
    scheduler.schedule(stream);
    await clock.advance(200);
    assertEquals(stream.room, 128);
  });

  test("is requested further when answers do not come, up to 512 numbers, and 128 more that are new", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    stream.window.accept(1001, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(200);
    assertEquals(Math.max(...rangesOf(naks).flat().map(([, to = 0]) => to)), 640);
    const firsts = [1, 129, 257, 385].map((from) => naks.findIndex((_, i) => rangesOf(naks)[i]?.[0]?.[0] === from));
    const times = firsts.map((index) => naks[index]?.at ?? Infinity);
    for (const [i, time] of times.slice(1).entries()) assertGreaterOrEqual(time - (times[i] ?? 0), RETRY);
    for (let number = 1; number <= 100; number++) stream.window.accept(number, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(200);
    assertEquals(Math.max(...rangesOf(naks).flat().map(([, to = 0]) => to)), 740);
    // What is left is not new any more.
    for (let number = 101; number <= 300; number++) {
      stream.window.accept(number, 0, 0);
      scheduler.schedule(stream);
      await clock.advance(10);
      const most = number <= 228 ? 740 : 512 + number;
      assertEquals(Math.max(...rangesOf(naks).flat().map(([, to = 0]) => to)), most);
    }
  });

  test("is requested every 60 ms at the latest as long as retransmissions come", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    stream.window.accept(2, 0, 0);
    scheduler.schedule(stream);
    for (let i = 0; i < 20; i++) {
      stream.learn(true, clock.now());
      await clock.advance(100);
    }
    const waits = naks.slice(1).map(({ at }, i) => at - (naks[i]?.at ?? 0));
    // 8 × 6 ms, and up to a quarter more.
    assertLessOrEqual(Math.max(...waits), 60.01);
    assertGreater(Math.max(...waits), 48);
    // The last retransmission came 100 ms ago, and after 150 ms more they count as over.
    const before = naks.length;
    await clock.advance(3000);
    assertGreater(Math.max(...naks.slice(before).map(({ at }, i) => at - (naks[before + i - 1]?.at ?? 0))), 240);
  });

  test("is pending again after it was requested again", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream({ roundTrip: 50 });
    stream.window.accept(129, 0, 0);
    scheduler.schedule(stream);
    // Requested twice: at 2 ms, and 100 to 125 ms later.
    await clock.advance(130);
    assertEquals(rangesOf(naks), [[[1, 128]], [[1, 128]]]);
    const second = naks[1]?.at ?? 0;
    stream.window.accept(257, 130, 130);
    scheduler.schedule(stream);
    await clock.advance(1000);
    const next = naks.find(({ at, extension }) => at > second && extension.ranges?.[0]?.from === 130);
    assertGreaterOrEqual((next?.at ?? 0) - second, 100);
    assertLessOrEqual((next?.at ?? Infinity) - second, 103);
  });

  test("that never comes is requested at the lowest rate, however much it is", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    stream.window.accept(MAX_NUMBER, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(10_000);
    // Five parts, each four times a second.
    assertLessOrEqual(naks.length, 5 * (8 + 10 * 4));
    assert(naks.every(({ extension: { ranges = [] } }) => ranges.every(({ to }) => to <= 640)));
    assertLessOrEqual(stream.window.holes.length, 7);
  });

  test("that never comes though its node is heard is requested after all other holes, and ever less often", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    stream.window.accept(2001, 0, 0);
    scheduler.schedule(stream);
    for (let i = 0; i < 15; i++) {
      await clock.advance(100);
      stream.heardAt = clock.now();
    }
    /** Its node is heard, and what is new and missing comes at the second request. */
    const waits: number[] = [];
    for (let i = 0; i < 400; i++) {
      const start = clock.now();
      stream.heardAt = start;
      const number = stream.window.highest + 1;
      stream.window.accept(number + 1, start, start + 2);
      scheduler.schedule(stream);
      const isRequested = () => stream.window.holes.some(({ from, attempts }) => from === number && attempts > 1);
      for (let ms = 0; ms < 100; ms++) {
        await clock.advance(1);
        if (!isRequested()) continue;
        stream.window.accept(number, clock.now(), 0);
        stream.learn(true, clock.now());
        scheduler.schedule(stream);
        waits.push(clock.now() - start);
      }
    }
    assertEquals(waits.length, 400);
    assertLessOrEqual(Math.max(...waits), 100);
    // All of the old ones were requested in turn, and then 32 in a quarter of a second.
    const old = (from: number, to: number) => {
      const ranges = rangesOf(naks.filter(({ at }) => at >= from && at < to)).flat();
      return ranges.filter(([from = 0]) => from <= 2000).reduce((sum, [from = 0, to = 0]) => sum + to - from + 1, 0);
    };
    assert(stream.window.holes.every(({ attempts }) => attempts >= 6));
    for (let second = 30; second < 40; second++) {
      assertLessOrEqual(old(1000 * second, 1000 * (second + 1)), 4 * 32 + 32);
      assertGreater(old(1000 * second, 1000 * (second + 1)), 32);
    }
    // One of them comes: so may all.
    const [first] = stream.window.holes;
    stream.window.accept(first?.from ?? 0, clock.now(), 0);
    const start = clock.now();
    scheduler.schedule(stream);
    await clock.advance(240);
    assertGreater(old(start, clock.now()), 2000);
  });

  test("of a stream that was lost is not requested", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream();
    stream.window.accept(2, 20, 20);
    scheduler.schedule(stream);
    stream.lostAt = 0;
    await clock.advance(1000);
    assertEquals([naks, clock.pending], [[], 0]);
  });

  test("of several streams is requested for each separately, with one timer", async () => {
    const { scheduler, clock, naks } = setUp();
    const streams = [1, 2, 3].map((index) => newStream({ index }));
    for (const stream of streams) {
      stream.window.accept(2, 5, 5);
      scheduler.schedule(stream);
    }
    assertEquals(clock.pending, 1);
    await clock.advance(5);
    assertEquals(naks.map(({ extension: { stream } }) => toHex(stream ?? NODE_ID).slice(0, 2)), ["01", "02", "03"]);
    for (const stream of streams) stream.window.accept(1, 0, 0);
    await clock.advance(1000);
    assertEquals([naks.length, clock.pending], [3, 0]);
  });
});

describe("a node whose path is not validated", () => {
  test("gets catch-up requests only: four, and one when it is heard after 0.1 s, twice as long and so on", async () => {
    for (const catchUp of [false, true]) {
      const { scheduler, clock, naks } = setUp();
      const stream = newStream({ roundTrip: 0, catchUp });
      stream.window.accept(2000, 0, 0);
      scheduler.schedule(stream);
      await clock.advance(60_000);
      assertEquals(
        naks.map(({ type, extension }) => [type, extension.ranges]),
        Array(4).fill([TYPE_CATCH_UP, undefined]),
      );
      assertEquals(stream.naks[0]?.upTo, 2000);
      const start = clock.now();
      for (let i = 0; i < 1600; i++) {
        stream.probeAgain(clock.now());
        scheduler.schedule(stream);
        await clock.advance(25);
      }
      // Heard every 25 ms, and sent a request 2 ms after that.
      const [, ...waits] = naks.slice(4).map(({ at }, i, all) =>
        25 * Math.floor((at - (all[i - 1]?.at ?? start)) / 25)
      );
      assertEquals(waits, [225, 425, 825, ...Array(24).fill(1025), 8025]);
      assertEquals(clock.pending, 0);
      stream.validate(stream.naks[0] as SentNak, clock.now());
      assertEquals(stream.streamProbe.attempts, 0);
    }
  });

  test("gets NAKs for what is missing as soon as it has answered", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream({ roundTrip: 0 });
    stream.window.accept(9, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(3);
    const [request] = stream.naks;
    assert(request !== undefined);
    stream.validate(request, clock.now());
    scheduler.schedule(stream);
    await clock.advance(3);
    assertEquals(naks.map(({ type }) => type), [TYPE_CATCH_UP, TYPE_NAK]);
  });

  test("has not validated another address by that", async () => {
    const { scheduler, clock, naks } = setUp();
    const stream = newStream({ roundTrip: 0 });
    stream.validate({ sentAt: 0, to: SOURCE }, 0);
    stream.window.accept(9, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(1000);
    assertEquals(naks.map(({ type, to }) => [type, to]), Array(4).fill([TYPE_CATCH_UP, HOME.host]));
  });

  test("gets requests at the source when its heartbeat was not heard; all together 128 a second", async () => {
    const { scheduler, clock, naks } = setUp({ known: false });
    const streams = Array.from({ length: 200 }, (_, i) => newStream({ index: i + 1, roundTrip: 0 }));
    const wantAll = () =>
      streams.forEach((stream) => {
        stream.window.extend(2, 0, 0);
        stream.probeAgain(clock.now());
        scheduler.schedule(stream);
      });
    wantAll();
    await clock.advance(20);
    assertEquals(naks[0]?.to, SOURCE.host);
    assertLessOrEqual(naks.length, 128 + 3);
    for (let i = 0; i < 50; i++) {
      wantAll();
      await clock.advance(100);
    }
    assertLessOrEqual(naks.length, 128 + 5.02 * 128 + 1);
    assertGreater(naks.length, 4 * 128);
  });

  test("gets requests in its turn, however many others are heard, and these delay none to validated nodes", async () => {
    const { scheduler, clock, naks } = setUp({ known: false });
    const crowd = Array.from({ length: 1000 }, (_, i) => newStream({ index: i % 200, roundTrip: 0 }));
    const want = (stream: ReceiveStream) => {
      stream.window.extend(2, 0, 0);
      stream.probeAgain(clock.now());
      scheduler.schedule(stream);
    };
    /** Each of the others is heard once a second. */
    const hear = async (ms: number) => {
      for (let i = 0; i < ms; i++) {
        want(crowd[i % 1000] as ReceiveStream);
        await clock.advance(1);
      }
    };
    for (const stream of crowd) want(stream);
    await hear(10_000);
    const [late, validated] = [newStream({ index: 254, roundTrip: 0 }), newStream({ index: 255, roundTrip: 0 })];
    validated.validate({ sentAt: 0, to: SOURCE }, clock.now());
    const start = clock.now();
    for (const stream of [late, validated]) want(stream);
    await hear(10_000);
    const waited = (stream: ReceiveStream) =>
      (naks.find((each) => each.extension.stream?.[0] === stream.nodeId[0])?.at ?? Infinity) - start;
    assertLessOrEqual(waited(validated), 3);
    // 1,001 at 128 a second, and 50 ms.
    assertLessOrEqual(waited(late), 7_900);
    assertGreater(waited(late), 1_000);
  });
});

test("a node that leaves is checked when its time to leave is over", async () => {
  const looked: number[] = [];
  const { scheduler, clock } = setUp({
    onLeaving: (stream) => {
      looked.push(clock.now());
      if (clock.now() >= 2000) stream.giveUp(clock.now());
    },
  });
  const stream = newStream();
  stream.window.extend(2, 0, 0);
  stream.leavingAt = 0;
  scheduler.schedule(stream);
  await clock.advance(10_000);
  assertEquals(looked.at(-1), 2000);
});

test("all nodes together get 2,000 requests a second, and 200 at once", async () => {
  const { scheduler, clock, naks } = setUp();
  const streams = Array.from({ length: 250 }, (_, i) => newStream({ index: i }));
  for (const stream of streams) {
    for (let i = 1; i <= 50; i++) stream.window.accept(2 * i, i * 4, i * 4);
    scheduler.schedule(stream);
  }
  await clock.advance(500);
  assertLessOrEqual(naks.length, 200 + 1000 + 1);
  assertGreater(naks.length, 900);
});

describe("a stream whose beginning is not known", () => {
  test("gets a request for what this node can have missed, and another", async () => {
    const { scheduler, clock, naks } = setUp();
    await clock.advance(1000);
    const stream = newStream({ catchUp: true, now: 1000 });
    stream.window.extend(50, 0, 0);
    scheduler.schedule(stream);
    await clock.advance(3);
    const [{ type, extension, to, at }] = naks as [WireNak];
    assertEquals([type, to, extension.stream, extension.token, extension.ranges], [
      TYPE_CATCH_UP,
      HOME.host,
      stream.nodeId,
      TOKEN,
      undefined,
    ]);
    // 1 ms and a hundredth for the clocks, and a margin for the path.
    assertGreaterOrEqual(extension.since ?? 0, at * 1.01 + 1);
    assertLessOrEqual(extension.since ?? Infinity, at * 1.01 + 60);
    assertEquals(stream.naks[0]?.upTo, 50);
    await clock.advance(5000);
    assert(naks.length > 15 && naks.length < 30, `${naks.length}`);
    assert(naks.every((each) => each.type === TYPE_CATCH_UP));
    assertGreater(naks.at(-1)?.extension.since ?? 0, 5000);
    stream.catchUp = undefined;
    stream.window.startAt(51);
    await clock.advance(2000);
    assertEquals(clock.pending, 0);
  });
});

describe("a node whose positions contradict each other", () => {
  test("gets a request for its position at once", () => {
    const { scheduler, naks, clock } = setUp();
    const stream = newStream();
    stream.window.extend(1000, 0, 0);
    stream.window.startAt(1001);
    scheduler.probe(stream);
    const [{ type, extension, to }] = naks as [WireNak];
    assertEquals([type, extension.since, to, clock.pending], [TYPE_CATCH_UP, 0, HOME.host, 0]);
    assertEquals(stream.naks.map(({ nonce, upTo }) => [nonce, upTo]), [[extension.nonce, 1000]]);
  });
});

test("64 requests are remembered, the last first", async () => {
  const { scheduler, clock, naks } = setUp();
  const stream = newStream();
  stream.window.accept(2, 0, 0);
  scheduler.schedule(stream);
  await clock.advance(30_000);
  const nonces = naks.map(({ extension }) => extension.nonce as number).reverse();
  assertGreater(nonces.length, 64);
  assertEquals(stream.naks.map(({ nonce }) => nonce), nonces.slice(0, 64));
});

test("a closed scheduler requests nothing more, and has no timer", async () => {
  const { scheduler, clock, naks } = setUp();
  const stream = newStream();
  stream.window.accept(9, 0, 0);
  scheduler.schedule(stream);
  scheduler.close();
  scheduler.schedule(stream);
  scheduler.probe(stream);
  await clock.advance(1000);
  assertEquals([naks, clock.pending], [[], 0]);
});

test("whatever is lost, all that is missing is requested until it has come, and little else", async () => {
  const world = fc.record({
    seed: fc.nat(1_000_000),
    missing: fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 200, size: "max" }),
    loss: fc.constantFrom(0, 0.2, 0.6),
    delay: fc.constantFrom(0.5, 5, 40),
  });
  await fc.assert(
    fc.asyncProperty(world, async ({ seed, missing, loss, delay }) => {
      const random = new SeededRandom(seed + 1);
      const stream = newStream();
      const lost = new Set(missing);
      const { scheduler, clock } = setUp({
        seed,
        onNak: ({ extension: { ranges = [] } }) => {
          const numbers = ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
          assert(ranges.length <= 64 && numbers.length <= 128);
          for (const number of numbers) {
            assert(lost.has(number), `${number} was not missing`);
            if (random.next() < loss) continue;
            clock.setTimer(() => {
              stream.window.accept(number, 0, 0);
              scheduler.schedule(stream);
            }, delay);
          }
        },
      });
      for (let number = 1; number <= 401; number++) {
        if (!lost.has(number)) stream.window.accept(number, 2 + random.next() * 6, 2 + random.next() * 6);
      }
      scheduler.schedule(stream);
      await clock.runUntil(() => stream.window.missing === 0, 60_000);
      assertEquals(stream.window.missing, 0);
      await clock.advance(2000);
      assertEquals(clock.pending, 0);
    }),
    { numRuns: 25 },
  );
});
