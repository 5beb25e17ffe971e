// When a node asks for what is missing, whom, and for how much.
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
/** First wait for an answer, at least: `docs/wire.md`, "NAKs and retransmission". */
const RETRY = 6;

interface Asked {
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
  { seed = 1, known = true, onLeaving = (_stream: ReceiveStream): void => {}, onAsk = (_asked: Asked): void => {} } =
    {},
) {
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const randomBytes = (length: number) => Uint8Array.from({ length }, () => random.below(256));
  const asked: Asked[] = [];
  /** By how much timers are late, in milliseconds. */
  const loop = { lag: 0 };
  const requests = new NakScheduler({
    nodeId: NODE_ID,
    clock: {
      now: () => clock.now(),
      setTimer: (callback, delay) => clock.setTimer(callback, delay + loop.lag),
      setTurnEnd: (callback) => clock.setTurnEnd(callback),
    },
    jitter: new Jitter(randomBytes),
    randomBytes,
    endpointOf: () => known ? HOME : undefined,
    send: (packet, to) => {
      const { type, nodeId, rest } = decodePacket(packet);
      assertEquals(nodeId, NODE_ID);
      asked.push({ at: clock.now(), type, extension: decodeExtension(rest) ?? {}, to: to.host });
      onAsk(asked.at(-1) as Asked);
    },
    onLeaving,
  });
  return { requests, clock, asked, loop };
}

function rangesOf(asked: readonly Asked[]): [number, number][][] {
  return asked.map(({ extension }) => (extension.ranges ?? []).map(({ from, to }) => [from, to]));
}

describe("what is missing", () => {
  test("is asked for when it is due and not before, all holes in one packet", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    for (const number of [3, 5, 9]) stream.window.accept(number, 8, 8);
    requests.schedule(stream);
    await clock.advance(7.9);
    assertEquals(asked, []);
    await clock.advance(0.1);
    const [{ type, extension: { nonce, ...extension }, to }] = asked as [Asked];
    assertEquals([asked.length, type, to, typeof nonce], [1, TYPE_NAK, HOME.host, "number"]);
    const ranges = [{ from: 1, to: 2 }, { from: 4, to: 4 }, { from: 6, to: 8 }];
    assertEquals(extension, { stream: stream.nodeId, token: TOKEN, ranges });
    assertEquals(stream.naks.map(({ nonce, sentAt, upTo }) => [nonce, sentAt, upTo]), [[nonce, 8, 8]]);
    assertEquals(requests.sent, 1);
    assertEquals(stream.window.holes.map(({ nakSentAt, attempts }) => [nakSentAt, attempts]), Array(3).fill([8, 1]));
    await clock.advance(20);
    assert(stream.window.holes.every(({ nakSentAt, attempts }) => nakSentAt === 8 && attempts > 1));
  });

  test("waits for what lies unread while the event loop lags, but not for ever", async () => {
    for (const [lag, least, most] of [[3, 5, 12], [5, 45, 60], [20, 170, 200], [100, 250, 500]] as const) {
      const { requests, clock, asked, loop } = setUp();
      const stream = newStream();
      loop.lag = lag;
      for (const number of [3, 5]) stream.window.accept(number, 0, 5);
      requests.schedule(stream);
      await clock.advance(1000);
      assertGreaterOrEqual(asked[0]?.at ?? 0, least);
      assertLessOrEqual(asked[0]?.at ?? Infinity, most);
      assertEquals(rangesOf(asked)[0], [[1, 2], [4, 4]]);
    }
  });

  test("is asked for again without that, and what has been read meanwhile is not asked for", async () => {
    const { requests, clock, asked, loop } = setUp();
    const stream = newStream();
    stream.window.accept(3, 0, 5);
    requests.schedule(stream);
    await clock.advance(5);
    assertEquals(asked.length, 1);
    loop.lag = 15;
    stream.window.accept(10, 5, 5);
    requests.schedule(stream);
    await clock.advance(60);
    assert(asked.length > 1);
    assert(rangesOf(asked).flat().every(([from = 0]) => from <= 2));
    for (let number = 4; number < 10; number++) stream.window.accept(number, clock.now(), 0);
    await clock.advance(500);
    assert(rangesOf(asked).flat().every(([from = 0]) => from <= 2));
  });

  test("and comes unasked is not asked for", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    stream.window.accept(2, 8, 8);
    requests.schedule(stream);
    await clock.advance(7);
    stream.window.accept(1, 0, 0);
    await clock.advance(1000);
    assertEquals([asked, clock.pending], [[], 0]);
  });

  test("is asked for again: twice soon, then after twice the time each, up to 250 ms, by up to a quarter later", async () => {
    for (const roundTrip of [1, 50, 400]) {
      const { requests, clock, asked } = setUp({ seed: roundTrip + 1 });
      const stream = newStream({ roundTrip });
      stream.window.accept(2, 0, 0);
      requests.schedule(stream);
      await clock.advance(20_000);
      const waits = asked.slice(1).map(({ at }, i) => at - (asked[i]?.at ?? 0));
      const first = Math.max(RETRY, 2 * roundTrip);
      for (const [i, wait] of waits.entries()) {
        const least = Math.max(first, Math.min(250, first * 2 ** Math.max(0, i - 1)));
        assertGreaterOrEqual(wait, least - 0.01);
        // The clock may be late by a microsecond.
        assertLessOrEqual(wait, 1.25 * least + 0.01);
      }
      assertGreater(new Set(waits.map((wait) => wait.toFixed(2))).size, waits.length / 2);
      assert(waits.length >= 17, `${waits.length} waits`);
      assertEquals(new Set(asked.map(({ extension }) => extension.nonce)).size, asked.length);
    }
  });

  test("leaves 2 ms between two packets", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    for (let i = 1; i <= 40; i++) stream.window.accept(2 * i, i / 4, i / 4);
    requests.schedule(stream);
    await clock.advance(60);
    assertGreater(asked.length, 5);
    asked.slice(1).forEach(({ at }, i) => assertGreaterOrEqual(at - (asked[i]?.at ?? 0), 2));
  });

  test("is asked for by at most 64 ranges in a packet, and the rest follows", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    for (let i = 1; i <= 100; i++) stream.window.accept(2 * i, 0, 0);
    requests.schedule(stream);
    await clock.advance(5);
    assertEquals(rangesOf(asked).map(({ length }) => length), [64, 36]);
    assertEquals(rangesOf(asked).flat(), Array.from({ length: 100 }, (_, i) => [2 * i + 1, 2 * i + 1]));
  });

  test("is asked for by at most 128 numbers that are under way, and on as they come", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    stream.window.accept(1001, 0, 0);
    requests.schedule(stream);
    await clock.advance(4);
    assertEquals(rangesOf(asked), [[[1, 128]]]);
    for (let number = 1; number <= 40; number++) stream.window.accept(number, 0, 0);
    requests.schedule(stream);
    await clock.advance(3);
    assertEquals(rangesOf(asked), [[[1, 128]], [[129, 168]]]);
    assertEquals(stream.naks.map(({ upTo }) => upTo), [168, 128]);
  });

  test("after an outage is asked for by up to 512 numbers, as long as they come at once", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    stream.outageAt = 0;
    stream.window.accept(10_001, 0, 0);
    let next = 1;
    let most = 0;
    const numbersOf = (ranges: readonly (readonly number[])[]) =>
      ranges.reduce((sum, [from = 0, to = 0]) => sum + to - from + 1, 0);
    // What is asked for comes 4 ms later.
    while (stream.window.holes.length > 0 && clock.now() < 1000) {
      const before = asked.length;
      requests.schedule(stream);
      await clock.advance(4);
      const last = rangesOf(asked).flat().reduce((highest, [, to = 0]) => Math.max(highest, to), 0);
      most = Math.max(most, last - next + 1);
      for (const ranges of rangesOf(asked).slice(before)) assertLessOrEqual(numbersOf(ranges), 128);
      const held = last - 128;
      for (; next <= Math.max(held, Math.min(last, next + 127)); next++) {
        stream.window.accept(next, clock.now(), 0);
        stream.learn(true, clock.now());
      }
    }
    assertGreater(most, 200);
    assertLessOrEqual(most, 512);
    assertGreater(stream.room, 128);
    // Nothing that is asked for now comes.
    stream.window.accept(20_001, clock.now(), clock.now());
    requests.schedule(stream);
    await clock.advance(200);
    assertEquals(stream.room, 128);
  });

  test("is asked for on when answers do not come, by at most 512 numbers, and 128 more that are new", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    stream.window.accept(1001, 0, 0);
    requests.schedule(stream);
    await clock.advance(200);
    assertEquals(Math.max(...rangesOf(asked).flat().map(([, to = 0]) => to)), 640);
    const firsts = [1, 129, 257, 385].map((from) => asked.findIndex((_, i) => rangesOf(asked)[i]?.[0]?.[0] === from));
    const times = firsts.map((index) => asked[index]?.at ?? Infinity);
    for (const [i, time] of times.slice(1).entries()) assertGreaterOrEqual(time - (times[i] ?? 0), RETRY);
    for (let number = 1; number <= 100; number++) stream.window.accept(number, 0, 0);
    requests.schedule(stream);
    await clock.advance(200);
    assertEquals(Math.max(...rangesOf(asked).flat().map(([, to = 0]) => to)), 740);
    // What is left is new no more.
    for (let number = 101; number <= 300; number++) {
      stream.window.accept(number, 0, 0);
      requests.schedule(stream);
      await clock.advance(10);
      const most = number <= 228 ? 740 : 512 + number;
      assertEquals(Math.max(...rangesOf(asked).flat().map(([, to = 0]) => to)), most);
    }
  });

  test("is asked for every 60 ms at the latest as long as repairs come", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    stream.window.accept(2, 0, 0);
    requests.schedule(stream);
    for (let i = 0; i < 20; i++) {
      stream.learn(true, clock.now());
      await clock.advance(100);
    }
    const waits = asked.slice(1).map(({ at }, i) => at - (asked[i]?.at ?? 0));
    // 8 × 6 ms, and up to a quarter more.
    assertLessOrEqual(Math.max(...waits), 60.01);
    assertGreater(Math.max(...waits), 48);
    // The last repair came 100 ms ago, and 150 ms later no more are said to come.
    const before = asked.length;
    await clock.advance(3000);
    assertGreater(Math.max(...asked.slice(before).map(({ at }, i) => at - (asked[before + i - 1]?.at ?? 0))), 240);
  });

  test("is under way again when it was asked for again", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream({ roundTrip: 50 });
    stream.window.accept(129, 0, 0);
    requests.schedule(stream);
    // Asked twice: at 2 ms, and 100 to 125 ms later.
    await clock.advance(130);
    assertEquals(rangesOf(asked), [[[1, 128]], [[1, 128]]]);
    const second = asked[1]?.at ?? 0;
    stream.window.accept(257, 130, 130);
    requests.schedule(stream);
    await clock.advance(1000);
    const next = asked.find(({ at, extension }) => at > second && extension.ranges?.[0]?.from === 130);
    assertGreaterOrEqual((next?.at ?? 0) - second, 100);
    assertLessOrEqual((next?.at ?? Infinity) - second, 103);
  });

  test("and will never come is asked for as seldom, however much it is", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    stream.window.accept(MAX_NUMBER, 0, 0);
    requests.schedule(stream);
    await clock.advance(10_000);
    // Five parts, each four times a second.
    assertLessOrEqual(asked.length, 5 * (8 + 10 * 4));
    assert(asked.every(({ extension: { ranges = [] } }) => ranges.every(({ to }) => to <= 640)));
    assertLessOrEqual(stream.window.holes.length, 7);
  });

  test("and never comes though its node is there gives way: to all others, and ever more", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    stream.window.accept(2001, 0, 0);
    requests.schedule(stream);
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
      requests.schedule(stream);
      const isAsked = () => stream.window.holes.some(({ from, attempts }) => from === number && attempts > 1);
      for (let ms = 0; ms < 100; ms++) {
        await clock.advance(1);
        if (!isAsked()) continue;
        stream.window.accept(number, clock.now(), 0);
        stream.learn(true, clock.now());
        requests.schedule(stream);
        waits.push(clock.now() - start);
      }
    }
    assertEquals(waits.length, 400);
    assertLessOrEqual(Math.max(...waits), 100);
    // All of the old ones were asked for by and by, and then 32 in a quarter of a second.
    const old = (from: number, to: number) => {
      const ranges = rangesOf(asked.filter(({ at }) => at >= from && at < to)).flat();
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
    requests.schedule(stream);
    await clock.advance(240);
    assertGreater(old(start, clock.now()), 2000);
  });

  test("of a stream that was lost is not asked for", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream();
    stream.window.accept(2, 20, 20);
    requests.schedule(stream);
    stream.lostAt = 0;
    await clock.advance(1000);
    assertEquals([asked, clock.pending], [[], 0]);
  });

  test("of several streams is asked for each by itself, with one timer", async () => {
    const { requests, clock, asked } = setUp();
    const streams = [1, 2, 3].map((index) => newStream({ index }));
    for (const stream of streams) {
      stream.window.accept(2, 5, 5);
      requests.schedule(stream);
    }
    assertEquals(clock.pending, 1);
    await clock.advance(5);
    assertEquals(asked.map(({ extension: { stream } }) => toHex(stream ?? NODE_ID).slice(0, 2)), ["01", "02", "03"]);
    for (const stream of streams) stream.window.accept(1, 0, 0);
    await clock.advance(1000);
    assertEquals([asked.length, clock.pending], [3, 0]);
  });
});

describe("a node that has not answered from where it is taken to be", () => {
  test("gets short questions only: four, and one when it is heard after 0.1 s, twice as long and so on", async () => {
    for (const catchUp of [false, true]) {
      const { requests, clock, asked } = setUp();
      const stream = newStream({ roundTrip: 0, catchUp });
      stream.window.accept(2000, 0, 0);
      requests.schedule(stream);
      await clock.advance(60_000);
      assertEquals(
        asked.map(({ type, extension }) => [type, extension.ranges]),
        Array(4).fill([TYPE_CATCH_UP, undefined]),
      );
      assertEquals(stream.naks[0]?.upTo, 2000);
      const start = clock.now();
      for (let i = 0; i < 1600; i++) {
        stream.probeAgain(clock.now());
        requests.schedule(stream);
        await clock.advance(25);
      }
      // Heard every 25 ms, and asked 2 ms after that.
      const [, ...waits] = asked.slice(4).map(({ at }, i, all) =>
        25 * Math.floor((at - (all[i - 1]?.at ?? start)) / 25)
      );
      assertEquals(waits, [225, 425, 825, ...Array(24).fill(1025), 8025]);
      assertEquals(clock.pending, 0);
      stream.validate(stream.naks[0] as SentNak, clock.now());
      assertEquals(stream.streamProbe.attempts, 0);
    }
  });

  test("is asked for what is missing as soon as it has answered", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream({ roundTrip: 0 });
    stream.window.accept(9, 0, 0);
    requests.schedule(stream);
    await clock.advance(3);
    const [request] = stream.naks;
    assert(request !== undefined);
    stream.validate(request, clock.now());
    requests.schedule(stream);
    await clock.advance(3);
    assertEquals(asked.map(({ type }) => type), [TYPE_CATCH_UP, TYPE_NAK]);
  });

  test("has not proved another address by that", async () => {
    const { requests, clock, asked } = setUp();
    const stream = newStream({ roundTrip: 0 });
    stream.validate({ sentAt: 0, to: SOURCE }, 0);
    stream.window.accept(9, 0, 0);
    requests.schedule(stream);
    await clock.advance(1000);
    assertEquals(asked.map(({ type, to }) => [type, to]), Array(4).fill([TYPE_CATCH_UP, HOME.host]));
  });

  test("is asked where it was heard when its heartbeat was not; all together 128 times a second", async () => {
    const { requests, clock, asked } = setUp({ known: false });
    const streams = Array.from({ length: 200 }, (_, i) => newStream({ index: i + 1, roundTrip: 0 }));
    const wantAll = () =>
      streams.forEach((stream) => {
        stream.window.extend(2, 0, 0);
        stream.probeAgain(clock.now());
        requests.schedule(stream);
      });
    wantAll();
    await clock.advance(20);
    assertEquals(asked[0]?.to, SOURCE.host);
    assertLessOrEqual(asked.length, 128 + 3);
    for (let i = 0; i < 50; i++) {
      wantAll();
      await clock.advance(100);
    }
    assertLessOrEqual(asked.length, 128 + 5.02 * 128 + 1);
    assertGreater(asked.length, 4 * 128);
  });

  test("is asked in its turn, however many others are heard, and these take nothing from who has answered", async () => {
    const { requests, clock, asked } = setUp({ known: false });
    const suppression = Array.from({ length: 1000 }, (_, i) => newStream({ index: i % 200, roundTrip: 0 }));
    const want = (stream: ReceiveStream) => {
      stream.window.extend(2, 0, 0);
      stream.probeAgain(clock.now());
      requests.schedule(stream);
    };
    /** Each of the crowd is heard once a second. */
    const hear = async (ms: number) => {
      for (let i = 0; i < ms; i++) {
        want(suppression[i % 1000] as ReceiveStream);
        await clock.advance(1);
      }
    };
    for (const stream of suppression) want(stream);
    await hear(10_000);
    const [late, validated] = [newStream({ index: 254, roundTrip: 0 }), newStream({ index: 255, roundTrip: 0 })];
    validated.validate({ sentAt: 0, to: SOURCE }, clock.now());
    const start = clock.now();
    for (const stream of [late, validated]) want(stream);
    await hear(10_000);
    const waited = (stream: ReceiveStream) =>
      (asked.find((each) => each.extension.stream?.[0] === stream.nodeId[0])?.at ?? Infinity) - start;
    assertLessOrEqual(waited(validated), 3);
    // 1,001 at 128 a second, and 50 ms.
    assertLessOrEqual(waited(late), 7_900);
    assertGreater(waited(late), 1_000);
  });
});

test("a node that leaves is looked at when it must have left", async () => {
  const looked: number[] = [];
  const { requests, clock } = setUp({
    onLeaving: (stream) => {
      looked.push(clock.now());
      if (clock.now() >= 2000) stream.giveUp(clock.now());
    },
  });
  const stream = newStream();
  stream.window.extend(2, 0, 0);
  stream.leavingAt = 0;
  requests.schedule(stream);
  await clock.advance(10_000);
  assertEquals(looked.at(-1), 2000);
});

test("all nodes together are asked 2,000 times a second, and 200 times at once", async () => {
  const { requests, clock, asked } = setUp();
  const streams = Array.from({ length: 250 }, (_, i) => newStream({ index: i }));
  for (const stream of streams) {
    for (let i = 1; i <= 50; i++) stream.window.accept(2 * i, i * 4, i * 4);
    requests.schedule(stream);
  }
  await clock.advance(500);
  assertLessOrEqual(asked.length, 200 + 1000 + 1);
  assertGreater(asked.length, 900);
});

describe("a stream whose beginning is not known", () => {
  test("is asked for what this node can have missed, and again", async () => {
    const { requests, clock, asked } = setUp();
    await clock.advance(1000);
    const stream = newStream({ catchUp: true, now: 1000 });
    stream.window.extend(50, 0, 0);
    requests.schedule(stream);
    await clock.advance(3);
    const [{ type, extension, to, at }] = asked as [Asked];
    assertEquals([type, to, extension.stream, extension.token, extension.ranges], [
      TYPE_CATCH_UP,
      HOME.host,
      stream.nodeId,
      TOKEN,
      undefined,
    ]);
    // 1 ms and a hundredth for the clocks, and a margin for the way.
    assertGreaterOrEqual(extension.since ?? 0, at * 1.01 + 1);
    assertLessOrEqual(extension.since ?? Infinity, at * 1.01 + 60);
    assertEquals(stream.naks[0]?.upTo, 50);
    await clock.advance(5000);
    assert(asked.length > 15 && asked.length < 30, `${asked.length}`);
    assert(asked.every((each) => each.type === TYPE_CATCH_UP));
    assertGreater(asked.at(-1)?.extension.since ?? 0, 5000);
    stream.catchUp = undefined;
    stream.window.startAt(51);
    await clock.advance(2000);
    assertEquals(clock.pending, 0);
  });
});

describe("a node that contradicts itself", () => {
  test("is asked for the truth at once", () => {
    const { requests, asked, clock } = setUp();
    const stream = newStream();
    stream.window.extend(1000, 0, 0);
    stream.window.startAt(1001);
    requests.probe(stream);
    const [{ type, extension, to }] = asked as [Asked];
    assertEquals([type, extension.since, to, clock.pending], [TYPE_CATCH_UP, 0, HOME.host, 0]);
    assertEquals(stream.naks.map(({ nonce, upTo }) => [nonce, upTo]), [[extension.nonce, 1000]]);
  });
});

test("64 requests are remembered, the last first", async () => {
  const { requests, clock, asked } = setUp();
  const stream = newStream();
  stream.window.accept(2, 0, 0);
  requests.schedule(stream);
  await clock.advance(30_000);
  const nonces = asked.map(({ extension }) => extension.nonce as number).reverse();
  assertGreater(nonces.length, 64);
  assertEquals(stream.naks.map(({ nonce }) => nonce), nonces.slice(0, 64));
});

test("closed, it asks for nothing more, and has no timer", async () => {
  const { requests, clock, asked } = setUp();
  const stream = newStream();
  stream.window.accept(9, 0, 0);
  requests.schedule(stream);
  requests.close();
  requests.schedule(stream);
  requests.probe(stream);
  await clock.advance(1000);
  assertEquals([asked, clock.pending], [[], 0]);
});

test("whatever is lost, all that is missing is asked for until it has come, and little else", async () => {
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
      const gone = new Set(missing);
      const { requests, clock } = setUp({
        seed,
        onAsk: ({ extension: { ranges = [] } }) => {
          const numbers = ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
          assert(ranges.length <= 64 && numbers.length <= 128);
          for (const number of numbers) {
            assert(gone.has(number), `${number} was not missing`);
            if (random.next() < loss) continue;
            clock.setTimer(() => {
              stream.window.accept(number, 0, 0);
              requests.schedule(stream);
            }, delay);
          }
        },
      });
      for (let number = 1; number <= 401; number++) {
        if (!gone.has(number)) stream.window.accept(number, 2 + random.next() * 6, 2 + random.next() * 6);
      }
      requests.schedule(stream);
      await clock.runUntil(() => stream.window.missing === 0, 60_000);
      assertEquals(stream.window.missing, 0);
      await clock.advance(2000);
      assertEquals(clock.pending, 0);
    }),
    { numRuns: 25 },
  );
});
