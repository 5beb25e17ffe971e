// The send stream: a node's announcements of its own position, and its answers to requests.
import { describe, test } from "node:test";
import { assert, assertAlmostEquals, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { SeededRandom, VirtualClock } from "../../adapters/memory.ts";
import { Pacer } from "../../src/net/pacer.ts";
import type { FanoutScope } from "../../src/net/transmit_queue.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { RetransmitBuffer } from "../../src/reliability/retransmit_buffer.ts";
import { SendStream } from "../../src/reliability/send_stream.ts";
import type { Requester } from "../../src/reliability/validation_tokens.ts";
import { decodeExtension, encodeControl, encodeExtension, type Extension } from "../../src/wire/extension.ts";
import { MAX_NUMBER, TYPE_CATCH_UP, TYPE_LEAVE, TYPE_NAK, TYPE_STATE } from "../../src/wire/layout.ts";
import { decodePacket } from "../../src/wire/packet.ts";
import { settle, watch } from "../support/outcome.ts";

const NODE_ID = new Uint8Array(16).fill(1);
const START = 30_000;
/** The source of requests. */
const AT: Endpoint = { host: "10.0.9.9", port: 9 };
/** The times of the announcements after a batch: `docs/wire.md`, "Numbers". */
const ANNOUNCED = [20, 60, 120, 220, 450];

interface Posted {
  readonly at: number;
  readonly type: number;
  readonly extension: Extension;
  readonly to: Endpoint | FanoutScope;
  readonly length: number;
}

function requester(id: string, port = 7000): Requester {
  return { id, endpoint: { host: `10.0.0.${id.length}`, port } };
}

/** A stream of datagrams that hold their number, and what it has sent. */
function setUp({ peers = [requester("a")], multicast = true, maxBytes = 65_536, maxAge = 60_000 } = {}) {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const posted: Posted[] = [];
  const known = new Map(peers.map((peer) => [peer.id, peer]));
  const buffer = new RetransmitBuffer({ maxBytes, maxAge, clock });
  const pacer = new Pacer({ min: 1000, max: 200_000, clock });
  const ready = { count: 0, reused: 0 };
  const pending: { age: number | undefined } = { age: undefined };
  const loop = { suspended: 0 };
  const own = new SendStream({
    nodeId: NODE_ID,
    clock,
    randomBytes: (length) => Uint8Array.from({ length }, () => random.below(256)),
    buffer,
    pacer,
    multicast: () => multicast,
    peers: () => ({ get: (id) => known.get(id), extended: () => [...known.values()] }),
    transmit: {
      sendControlPacket: (packet, to) => {
        const { type, rest } = decodePacket(packet);
        posted.push({ at: clock.now(), type, extension: decodeExtension(rest) ?? {}, to, length: packet.length });
      },
      wake: () => ready.count++,
    },
    batches: {
      get pendingAge() {
        return pending.age;
      },
    },
    loop,
    identity: { numbersReused: () => ready.reused++ },
    pathMtu: undefined,
  });
  const send = (count: number, size = 40) => {
    for (let i = 0; i < count; i++) own.sent(new Uint8Array(size).fill(own.next % 251));
    if (count > 0) own.announce();
  };
  /** The retransmissions that are ready: which datagram, by the byte it is made of, and to where. */
  const retransmits = () => {
    const taken: [number | undefined, string][] = [];
    for (let next = own.takeRetransmit(); next !== undefined; next = own.takeRetransmit()) {
      taken.push([next.datagram[0], typeof next.to === "string" ? next.to : next.to.host]);
    }
    return taken;
  };
  return { own, clock, buffer, pacer, posted, known, ready, pending, loop, send, retransmits };
}

function range(from: number, to = from) {
  return { from, to };
}

describe("the position", () => {
  test("begins with nothing and follows what is sent", async () => {
    const { own, clock, send } = setUp();
    assertEquals([own.position, own.next], [{ last: 0, oldest: 1, age: Infinity }, 1]);
    send(3);
    await clock.advance(25);
    assertEquals([own.position, own.next], [{ last: 3, oldest: 1, age: 25 }, 4]);
    own.skip();
    assertEquals([own.position, own.next], [{ last: 4, oldest: 5, age: 0 }, 5]);
  });

  test("reports for how long keys are pending, with a suspension that the clock has not counted", () => {
    const { own, loop, pending } = setUp();
    assertEquals("pending" in own.positionRecords, false);
    pending.age = 5;
    assertEquals(own.positionRecords.pending, 5);
    loop.suspended = 60_000;
    assertEquals(own.positionRecords.pending, 60_005);
  });

  test("is announced 20, 60, 120, 220 and 450 ms after a batch, and then no more", async () => {
    const { clock, posted, send } = setUp();
    send(2);
    await clock.advance(10_000);
    assertEquals(posted.map(({ at }) => at), ANNOUNCED);
    for (const { type, to, extension: { position, ...rest }, at } of posted) {
      assertEquals([type, to, rest, position], [TYPE_STATE, "extended", {}, { last: 2, oldest: 1, age: at }]);
    }
    assertEquals(clock.pending, 0);
  });

  test("is not announced after a batch that is sent while the node closes", () => {
    const { own, clock } = setUp();
    own.sent(new Uint8Array(40));
    own.close();
    own.announce();
    assertEquals(clock.pending, 0);
  });

  test("is announced after the last of a burst, and from the beginning after each", async () => {
    const { clock, posted, send } = setUp();
    for (let i = 0; i < 50; i++) {
      send(1);
      await clock.advance(10);
    }
    assertEquals(posted.length, 0);
    await clock.advance(55);
    assertEquals(posted.map(({ at }) => at - 490), [20, 60]);
    await clock.advance(150);
    assertEquals(posted.map(({ at }) => at - 490), [20, 60, 120]);
    const now = clock.now();
    send(1);
    await clock.advance(1000);
    assertEquals(posted.slice(3).map(({ at }) => at - now), ANNOUNCED);
    assertEquals(clock.pending, 0);
  });

  for (const [interval, first] of [[5, 20], [20, 30], [100, 150], [160, 240]] as const) {
    test(`waits for the next batch, while one comes every ${interval} ms`, async () => {
      const { clock, posted, send } = setUp();
      for (let i = 0; i < 30; i++) {
        send(1);
        await clock.advance(interval);
      }
      posted.length = 0;
      for (let i = 0; i < 100; i++) {
        send(1);
        // Some come late.
        await clock.advance(interval * (i % 10 === 0 ? 1.2 : 1));
      }
      assertEquals(posted.length, 0);
      send(1);
      const now = clock.now();
      await clock.advance(10_000);
      const waits = posted.map(({ at }) => at - now);
      assertEquals(waits.length, ANNOUNCED.length);
      const late = (waits[0] ?? 0) - 20;
      assertAlmostEquals(waits[0] ?? 0, first, 0.05 * first);
      assertLessOrEqual(waits[0] ?? 0, 250);
      waits.forEach((wait, i) => assertAlmostEquals(wait, (ANNOUNCED[i] ?? 0) + late, 0.01));
      assertEquals(clock.pending, 0);
    });
  }

  test("waits for nothing when batches are too far apart, when there were few, or after a pause", async () => {
    for (const [interval, count] of [[210, 100], [100, 4], [1500, 20]] as const) {
      const { clock, posted, send } = setUp();
      for (let i = 0; i < count; i++) {
        await clock.advance(interval);
        send(1);
      }
      posted.length = 0;
      const now = clock.now();
      await clock.advance(10_000);
      assertEquals(posted.map(({ at }) => at - now), ANNOUNCED);
      send(1);
      await clock.advance(25);
      assertEquals(posted.length, ANNOUNCED.length + 1);
    }
  });
});

describe("an address-validation token", () => {
  test("is the same for a peer as long as its address is, and another for each", () => {
    const { own } = setUp({ peers: [requester("a"), requester("bb")] });
    const first = own.tokenFor(requester("a"));
    assertEquals([first.length, own.tokenFor(requester("a"))], [8, first]);
    const others = [own.tokenFor(requester("bb")), own.tokenFor(requester("a", 7001)), own.tokenFor(requester("a"))];
    assertEquals(new Set([first, ...others].map(String)).size, 4);
    own.forget("bb");
    assert(String(own.tokenFor(requester("bb"))) !== String(others[0]));
  });
});

describe("a NAK", () => {
  test("with the token is answered by the datagrams, once and in order", async () => {
    const { own, posted, send, retransmits, ready } = setUp();
    send(10);
    own.onNak("a", AT, { nonce: 1, token: own.tokenFor(requester("a")), ranges: [range(2, 4), range(7)] });
    assertEquals([retransmits(), posted.length, own.naksReceived, own.naksRefused], [
      [2, 3, 4, 7].map((number) => [number, "10.0.0.1"]),
      0,
      1,
      0,
    ]);
    assert(ready.count > 0);
    assertEquals(own.retransmitsSent, 4);
  });

  test("is answered by what was sent, but for the record that marks a retransmission", () => {
    const { own, send } = setUp();
    const sent = Uint8Array.of(1, 2, 3, 4, 5, ...encodeExtension({ number: 1 }));
    own.sent(sent);
    own.announce();
    send(1);
    for (let round = 0; round < 2; round++) {
      own.onNak(`unknown`, AT, { nonce: 1, ranges: [range(1)] });
      own.onNak("a", AT, { nonce: 1, token: own.tokenFor(requester("a")), ranges: [range(1)] });
      const retransmit = own.takeRetransmit();
      if (round > 0) assertEquals(retransmit, undefined);
      else assertEquals(retransmit?.datagram, Uint8Array.of(1, 2, 3, 4, 5, ...encodeExtension({ retransmit: 1 })));
    }
    assertEquals(decodeExtension(sent.subarray(5)), { number: 1 });
  });

  test("slows the node down when much was lost, unless that has no effect", () => {
    const { own, pacer, send, retransmits } = setUp();
    send(100);
    const token = own.tokenFor(requester("a"));
    for (
      const [id, request] of [
        ["a", { nonce: 1, ranges: [range(1)] }],
        ["a", { nonce: 1, token, ranges: [range(101, MAX_NUMBER)] }],
        ["a", { nonce: 1, token, ranges: [range(1)] }],
      ] as const
    ) own.onNak(id, AT, request);
    assertEquals([pacer.rate, retransmits()], [START, [[1, "10.0.0.1"]]]);
    own.onNak("a", AT, { nonce: 1, token, ranges: [range(81, 100)] });
    assertEquals(pacer.rate, 0.7 * START);
  });

  test("without the token, or with another's, is answered by one state with the token", async () => {
    const b = requester("bb");
    const { own, clock, posted, send, retransmits } = setUp({ peers: [requester("a"), b] });
    send(10);
    const theirs = own.tokenFor(b);
    const tokens = [undefined, theirs, new Uint8Array(8), new Uint8Array(7), new Uint8Array(0)];
    for (const [i, token] of tokens.entries()) {
      own.onNak("a", AT, { nonce: i, ...token && { token }, ranges: [range(1, 10)] });
    }
    const token = own.tokenFor(requester("a"));
    assertEquals(
      posted.map(({ type, to, extension }) => [type, to, extension]),
      tokens.map((_, nonce) => [
        TYPE_STATE,
        requester("a").endpoint,
        { position: { last: 10, oldest: 1, age: 0 }, token, nonce },
      ]),
    );
    assertEquals([own.naksReceived, own.naksRefused, retransmits()], [5, 5, []]);
    own.onNak("a", AT, { nonce: 9, token, ranges: [range(1)] });
    await clock.advance(3);
    assertEquals(retransmits().length, 1);
  });

  test("with a token for another address is not accepted", () => {
    const { own, known, send, retransmits, posted } = setUp();
    send(3);
    const token = own.tokenFor(requester("a"));
    known.set("a", requester("a", 9999));
    own.onNak("a", AT, { nonce: 5, token, ranges: [range(1)] });
    assertEquals([retransmits(), own.naksRefused, posted.length, posted[0]?.to], [
      [],
      1,
      1,
      requester("a", 9999).endpoint,
    ]);
    own.onNak("a", AT, { nonce: 6, token: own.tokenFor(requester("a", 9999)), ranges: [range(1)] });
    assertEquals(retransmits().length, 1);
  });

  test("of an unknown node is answered at its source, and accepted with the token that was sent there", () => {
    const { own, posted, send, retransmits } = setUp();
    send(3);
    own.onNak("unknown", AT, { nonce: 1, ranges: [range(1)] });
    assertEquals([posted.map(({ to }) => to), own.naksRefused, retransmits()], [[AT], 1, []]);
    const { token } = posted[0]?.extension ?? {};
    assert(token !== undefined);
    own.onNak("unknown", { ...AT, port: 10 }, { nonce: 2, token, ranges: [range(1)] });
    assertEquals([own.naksRefused, retransmits()], [2, []]);
    own.onNak("unknown", AT, { nonce: 3, token: posted[1]?.extension.token as Uint8Array, ranges: [range(1)] });
    assertEquals([own.naksRefused, retransmits()], [3, []]);
    own.onNak("unknown", AT, { nonce: 4, token: posted[2]?.extension.token as Uint8Array, ranges: [range(1)] });
    assertEquals([own.naksRefused, retransmits().map(([, to]) => to)], [3, [AT.host]]);
  });

  test("of an unknown node is not accepted any more when 1,024 others have been answered since", async () => {
    for (const [others, granted] of [[1023, 1], [1024, 0]] as const) {
      const { own, clock, posted, send, retransmits } = setUp();
      send(3);
      own.onNak("unknown", AT, { nonce: 1, ranges: [range(1)] });
      const token = posted[0]?.extension.token as Uint8Array;
      posted.length = 0;
      for (let i = 0; i < others; i++) {
        own.onCatchUp(`other ${i}`, AT, { nonce: i, since: 5 });
        await clock.advance(10);
      }
      assertEquals(posted.filter(({ extension }) => extension.base !== undefined).length, others);
      own.onNak("unknown", AT, { nonce: 1, token, ranges: [range(1)] });
      assertEquals(retransmits().length, granted);
    }
  });

  test("of 10,000 unknown nodes gets 128 answers, and peers lose none of theirs", () => {
    const { own, posted, send, retransmits } = setUp();
    send(3);
    const token = own.tokenFor(requester("a"));
    for (let i = 0; i < 10_000; i++) {
      own.onNak(`unknown ${i}`, AT, { nonce: i, token: new Uint8Array(8), ranges: [range(1)] });
    }
    assertEquals([posted.length, own.naksReceived, retransmits()], [128, 10_000, []]);
    own.onNak("a", AT, { nonce: 1, token, ranges: [range(1)] });
    own.onNak("a", AT, { nonce: 2, ranges: [range(1)] });
    assertEquals([retransmits().length, posted.length, posted.at(-1)?.extension.nonce], [1, 129, 2]);
    own.onNak("a", AT, { nonce: 3, token, ranges: [range(9)] });
    assertEquals([posted.length, posted.at(-1)?.extension.nonce], [130, 3]);
  });

  test("for numbers never used or no longer held is answered by a state, and by the rest", async () => {
    const { own, clock, posted, send, retransmits } = setUp({ maxAge: 100 });
    send(4);
    await clock.advance(101);
    send(4);
    const token = own.tokenFor(requester("a"));
    const request = (from: number, to: number) => {
      posted.length = 0;
      own.onNak("a", AT, { nonce: 77, token, ranges: [range(from, to)] });
      return [retransmits().map(([number]) => number), posted.map(({ extension }) => extension.position?.oldest)];
    };
    assertEquals(request(1, 4), [[], [5]]);
    assertEquals(request(9, MAX_NUMBER), [[], [5]]);
    assertEquals(request(3, 6), [[5, 6], [5]]);
    assertEquals(request(8, 9), [[8], [5]]);
    assertEquals(posted[0]?.extension, { position: { last: 8, oldest: 5, age: 0 }, nonce: 77, token });
    assertEquals(request(7, 7), [[7], []]);
  });

  test("is answered by 128 datagrams at most, whatever it requests", () => {
    const { own, send, retransmits } = setUp({ maxBytes: 2 ** 20 });
    send(1000);
    const token = own.tokenFor(requester("a"));
    const ranges = Array.from({ length: 64 }, (_, i) => range(10 * i + 1, 10 * i + 10));
    own.onNak("a", AT, { nonce: 1, token, ranges });
    assertEquals(retransmits().length, 128);
    own.onNak("a", AT, { nonce: 1, token, ranges: [range(300, MAX_NUMBER)] });
    assertEquals(retransmits().length, 128);
  });

  test("is answered by 128 of those that are held, however many it requests that are not", async () => {
    const { own, clock, send, retransmits } = setUp({ maxBytes: 2 ** 20, maxAge: 100 });
    send(200);
    await clock.advance(101);
    send(200);
    own.onNak("a", AT, { nonce: 1, token: own.tokenFor(requester("a")), ranges: [range(1, 400)] });
    assertEquals(retransmits().map(([first]) => first), Array.from({ length: 128 }, (_, i) => (201 + i) % 251));
  });

  test("for what a peer lost while it was suspended does not slow the sender down", async () => {
    const { own, clock, pacer, send, retransmits } = setUp({ maxBytes: 2 ** 20 });
    const token = own.tokenFor(requester("a"));
    send(1000);
    await clock.advance(18_000);
    send(2000);
    for (let from = 701; from < 3000; from += 100) {
      own.onNak("a", AT, { nonce: 1, token, ranges: [range(from, from + 99)] });
      if (from < 1000) assertEquals(retransmits().length, 100);
      if (from < 901) assertEquals(pacer.rate, START);
      if (from === 901) break;
    }
    // What is lost now still does.
    send(600);
    own.onNak("a", AT, { nonce: 1, token, ranges: [range(3501, 3600)] });
    assertEquals(pacer.rate, 0.7 * START);
  });

  test("for what is lost slows the sender down, but not when it is old and the rate has fallen since", async () => {
    const peers = [requester("a"), requester("bb")] as const;
    const { own, clock, pacer, send, retransmits } = setUp({ peers: [...peers], maxBytes: 2 ** 20 });
    const request = ({ id, endpoint }: Requester, from: number, to: number) => {
      own.onNak(id, AT, { nonce: 1, token: own.tokenFor({ id, endpoint }), ranges: [range(from, to)] });
      retransmits();
    };
    const [a, b] = peers;
    send(1000);
    request(a, 901, 960);
    assertEquals(pacer.rate, 0.7 * START);
    send(1000);
    await clock.advance(20);
    // Of the 512 up to 960, 402 are lost, and so many arrive at that rate.
    request(a, 489, 830);
    assertAlmostEquals(pacer.rate, 0.49 * START, 1);
    await clock.advance(1979);
    request(a, 831, 900);
    assertAlmostEquals(pacer.rate, 0.343 * START, 1);
    const before = pacer.rate;
    await clock.advance(20);
    request(b, 21, 200);
    assertEquals(pacer.rate, before);
    // It does not rise either, for a quarter of a second.
    const rise = async (time: number) => {
      await clock.advance(time);
      for (let i = 0; i < 1000; i++) if (pacer.wait() === 0) pacer.spend();
      await clock.advance(10);
      pacer.wait();
      return pacer.rate > before;
    };
    assertEquals([await rise(220), await rise(30)], [false, true]);
    // What is requested again of that says nothing.
    await clock.advance(1000);
    request(b, 21, 200);
    assertEquals(await rise(10), true);
    // The rate has not fallen since these were sent.
    send(1000);
    await clock.advance(3000);
    const { rate } = pacer;
    request(b, 2901, 3000);
    assertEquals(pacer.rate, 0.7 * rate);
  });

  test("without the token is counted as refused once, whether that is answered or beyond the rate", () => {
    const { own, posted, send } = setUp();
    send(1);
    for (let i = 0; i < 1000; i++) own.onNak("a", AT, { nonce: i, ranges: [range(1)] });
    assertEquals([posted.length, own.naksReceived, own.naksRefused], [256, 1000, 1000]);
  });

  test("for all of 2^48 numbers costs no more than for what is held", () => {
    const { own, send, posted } = setUp();
    send(10);
    const token = own.tokenFor(requester("a"));
    const ranges = [range(1, 2 ** 40), range(2 ** 41, 2 ** 47), range(2 ** 48 - 2, MAX_NUMBER)];
    for (let i = 0; i < 10_000; i++) own.onNak("a", AT, { nonce: i, token, ranges });
    // 2,000 answers at once to a validated address, and the retransmissions that were not taken yet, each once.
    assertEquals([posted.length, own.naksRefused], [2000, 8000]);
    let taken = 0;
    while (own.takeRetransmit() !== undefined) taken++;
    assertEquals(taken, 10);
  });

  test("of several peers at once for a number has it sent to the group; a second time to each", async () => {
    const peers = [requester("a"), requester("bb"), requester("ccc")];
    const { own, clock, send, retransmits } = setUp({ peers });
    send(5);
    const request = (ids: string[], number: number) => {
      for (const id of ids) {
        const peer = requester(id);
        own.onNak(id, AT, { nonce: 1, token: own.tokenFor(peer), ranges: [range(number)] });
      }
    };
    request(["a", "bb"], 2);
    request(["a"], 3);
    assertEquals(retransmits(), []);
    await clock.advance(3);
    assertEquals(retransmits(), [[2, "group"], [3, "10.0.0.1"]]);
    await clock.advance(20);
    request(["a", "bb"], 2);
    await clock.advance(3);
    assertEquals(retransmits(), [[2, "10.0.0.1"], [2, "10.0.0.2"]]);
  });

  test("whose datagram is overwritten before it is sent is skipped", async () => {
    const { own, clock, send, retransmits } = setUp({ maxAge: 100 });
    send(2);
    await clock.advance(50);
    send(1);
    own.onNak("a", AT, { nonce: 1, token: own.tokenFor(requester("a")), ranges: [range(1, 3)] });
    await clock.advance(51);
    assertEquals([retransmits(), own.retransmitsSent], [[[3, "10.0.0.1"]], 1]);
  });
});

describe("a catch-up request", () => {
  test("is answered with where the stream begins for that age", async () => {
    const { own, clock, posted, send } = setUp();
    for (let i = 0; i < 5; i++) {
      send(2);
      await clock.advance(100);
    }
    const baseFor = (since: number) => {
      posted.length = 0;
      own.onCatchUp("a", AT, { nonce: 3, since });
      return posted[0]?.extension.base;
    };
    assertEquals(baseFor(0), { first: 11, age: 100 });
    assertEquals(baseFor(99), { first: 11, age: 100 });
    assertEquals(baseFor(100), { first: 9, age: 200 });
    assertEquals(baseFor(450), { first: 3, age: 500 });
    assertEquals(baseFor(500), { first: 1, age: Infinity });
    assertEquals(baseFor(Infinity), { first: 1, age: Infinity });
    const token = own.tokenFor(requester("a"));
    assertEquals(posted.map(({ type, to, extension }) => [type, to, extension.nonce, extension.token]), [
      [TYPE_STATE, requester("a").endpoint, 3, token],
    ]);
    assertEquals([own.naksReceived, own.naksRefused], [6, 0]);
  });

  test("is answered from the oldest that is held, with the age of the one below it", async () => {
    const { own, clock, posted, send } = setUp({ maxAge: 150 });
    for (let i = 0; i < 4; i++) {
      send(1);
      await clock.advance(60);
    }
    own.onCatchUp("a", AT, { nonce: 1, since: Infinity });
    assertEquals(posted.at(-1)?.extension.base, { first: 3, age: 180 });
    await clock.advance(1000);
    own.onCatchUp("a", AT, { nonce: 1, since: Infinity });
    assertEquals(posted.at(-1)?.extension.base, { first: 5, age: 1060 });
  });

  test("of an unknown node is answered at its source", () => {
    const { own, posted } = setUp();
    own.onCatchUp("unknown", AT, { nonce: 1, since: 5 });
    assertEquals(posted.map(({ to, extension }) => [to, extension.base]), [[AT, { first: 1, age: Infinity }]]);
    assertEquals([own.naksReceived, own.naksRefused], [1, 0]);
  });
});

describe("answers", () => {
  test("are 256 at once and 256 a second, for all together, and the rest counts as refused", async () => {
    const peers = Array.from({ length: 100 }, (_, i) => requester("a".repeat(i + 1)));
    const { own, clock, posted } = setUp({ peers });
    const flood = () => {
      const before = posted.length;
      for (let i = 0; i < 2000; i++) {
        const id = peers[i % 100]?.id ?? "";
        if (i % 2 === 0) own.onCatchUp(id, AT, { nonce: i, since: 5 });
        else own.onNak(id, AT, { nonce: i, ranges: [range(1)] });
      }
      return posted.length - before;
    };
    const counts = [flood(), flood()];
    await clock.advance(500);
    counts.push(flood());
    await clock.advance(60_000);
    counts.push(flood());
    assertEquals(counts, [256, 0, 128, 256]);
  });

  test("are never longer than 1.5 times an unvalidated request, and go where the peer is", () => {
    const ranges = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 64 }).map((sizes) => {
      let next = 1;
      return sizes.map((size) => {
        const from = next;
        next += size + 1;
        return range(from, from + size - 1);
      });
    });
    const token = fc.option(fc.uint8Array({ minLength: 8, maxLength: 8 }), { nil: undefined });
    const request: fc.Arbitrary<[number, Extension]> = fc.oneof(
      fc.tuple(fc.nat(0xffffffff), token, ranges).map(([nonce, token, ranges]): [number, Extension] => [
        TYPE_NAK,
        { nonce, ...token && { token }, ranges },
      ]),
      fc.tuple(fc.nat(0xffffffff), fc.nat(100_000)).map(([nonce, since]): [number, Extension] => [
        TYPE_CATCH_UP,
        { nonce, since },
      ]),
    );
    fc.assert(
      fc.property(fc.array(request, { maxLength: 20 }), fc.nat(60), (requests, batches) => {
        const { own, posted, send, retransmits } = setUp();
        send(batches);
        let [bytesIn, bytesOut] = [0, 0];
        for (const [type, what] of requests) {
          const bytes = encodeControl(type, new Uint8Array(16), { stream: NODE_ID, ...what }).length;
          posted.length = 0;
          if (type === TYPE_NAK) own.onNak("a", AT, what);
          else own.onCatchUp("a", AT, what);
          assertLessOrEqual(posted.length, 1);
          for (const { length, to } of posted) {
            assertLessOrEqual(length, 1.5 * bytes);
            assertEquals(to, requester("a").endpoint);
            bytesOut += length;
          }
          bytesIn += bytes;
        }
        assertLessOrEqual(bytesOut, 1.5 * bytesIn);
        assertEquals(retransmits(), []);
      }),
    );
  });
});

describe("leaving", () => {
  test("is sent to all, again every 30 ms to peers that have not acknowledged, and ends with the last", async () => {
    const peers = [requester("a"), requester("bb")];
    const { own, clock, posted, send } = setUp({ peers });
    send(3);
    posted.length = 0;
    const left = watch(own.leave(peers, 1000));
    await clock.advance(35);
    const said = () =>
      posted.map((
        { at, type, to, extension },
      ) => [at, type, typeof to === "string" ? to : to.host, extension.position?.last]);
    assertEquals(said(), [
      [0, TYPE_LEAVE, "extended", 3],
      [30, TYPE_LEAVE, "10.0.0.1", 3],
      [30, TYPE_LEAVE, "10.0.0.2", 3],
    ]);
    own.onAck("a", AT, { settled: 2 });
    own.onAck("bb", AT, { settled: 3 });
    posted.length = 0;
    await clock.advance(30);
    assertEquals(said(), [[60, TYPE_LEAVE, "10.0.0.1", 3]]);
    own.onAck("a", AT, { settled: 4 });
    await settle();
    assertEquals([left.state, clock.pending], ["fulfilled", 0]);
  });

  test("does not wait for a peer that leaves too, or has departed", async () => {
    const peers = [requester("a"), requester("bb")];
    const { own, clock } = setUp({ peers });
    const left = watch(own.leave(peers, 1000));
    await clock.advance(10);
    own.forget("a");
    own.forget("bb");
    await settle();
    assertEquals([left.state, clock.pending], ["fulfilled", 0]);
  });

  test("ends after its time without acknowledgements", async () => {
    const { own, clock, posted } = setUp();
    const left = watch(own.leave([requester("a")], 100));
    await clock.advance(99.9);
    assertEquals(left.state, "waiting");
    await clock.advance(0.1);
    assertEquals([left.state, clock.pending], ["fulfilled", 0]);
    assertLessOrEqual(posted.length, 5);
  });

  test("ends at once, and is sent all the same, when there is no peer", async () => {
    const { own, clock, posted } = setUp({ peers: [] });
    const left = watch(own.leave([], 1000));
    await settle();
    assertEquals([left.state, posted.length, clock.pending], ["fulfilled", 1, 0]);
  });

  test("takes the place of announcements, while requests are still answered", async () => {
    const { own, clock, posted, send, retransmits } = setUp();
    send(2);
    await clock.advance(25);
    posted.length = 0;
    const left = watch(own.leave([requester("a")], 1000));
    send(1);
    await clock.advance(500);
    assertEquals(posted.filter(({ type }) => type !== TYPE_LEAVE), []);
    own.onNak("a", AT, { nonce: 1, token: own.tokenFor(requester("a")), ranges: [range(1, 2)] });
    own.onCatchUp("a", AT, { nonce: 1, since: 1 });
    assertEquals([retransmits().length, posted.at(-1)?.type], [2, TYPE_STATE]);
    own.onAck("a", AT, { settled: 3 });
    await settle();
    // A requester may request again.
    assertEquals(left.state, "waiting");
    await clock.advance(60);
    assertEquals([left.state, clock.pending], ["fulfilled", 0]);
  });

  test("is sent to a joining node that is heard meanwhile, once, and lasts a little for its requests", async () => {
    const { own, clock, posted, send } = setUp();
    send(1);
    const left = watch(own.leave([], 1000));
    await clock.advance(20);
    posted.length = 0;
    for (let i = 0; i < 3; i++) own.sendLeaveOnce("new", AT);
    assertEquals(posted.map(({ type, to }) => [type, to]), [[TYPE_LEAVE, AT]]);
    await clock.advance(29);
    assertEquals(left.state, "waiting");
    await clock.advance(31);
    assertEquals([left.state, posted.length, clock.pending], ["fulfilled", 1, 0]);
  });
});

test("a closed stream announces and retransmits nothing more, and has no timer", async () => {
  const { own, clock, posted, send, retransmits } = setUp({ peers: [requester("a"), requester("bb")] });
  send(5);
  own.onNak("a", AT, { nonce: 1, token: own.tokenFor(requester("a")), ranges: [range(1, 5)] });
  own.close();
  await clock.advance(10_000);
  assertEquals([posted, retransmits(), clock.pending], [[], [], 0]);
});

describe("a peer that received a number twice", () => {
  test("is believed when it brings the token, and no other is", () => {
    const { own, ready, send } = setUp();
    send(3);
    own.onAck("a", AT, { settled: 3 });
    own.onAck("a", AT, { settled: 3, token: new Uint8Array(8) });
    own.onAck("x", AT, { settled: 3, token: own.tokenFor(requester("a")) });
    assertEquals(ready.reused, 0);
    own.onAck("a", AT, { settled: 2, token: own.tokenFor(requester("a")) });
    assertEquals(ready.reused, 1);
  });

  test("makes the stream begin anew with a number that no node can have, which is announced", async () => {
    const { own, clock, posted, send, retransmits } = setUp();
    send(5);
    own.onNak("a", AT, { nonce: 1, token: own.tokenFor(requester("a")), ranges: [range(1, 3)] });
    posted.length = 0;
    own.restart();
    await clock.advance(1000);
    assertEquals([own.position.last, own.position.oldest, own.next, retransmits()], [1, 2, 2, []]);
    const states = posted.filter(({ type }) => type === TYPE_STATE);
    assertEquals(states.map(({ at }) => at), ANNOUNCED);
    assert(states.every(({ extension: { position } }) => position?.last === 1 && position.oldest === 2));
    send(1);
    own.onNak("a", AT, { nonce: 2, token: own.tokenFor(requester("a")), ranges: [range(2)] });
    await clock.advance(10);
    assertEquals(retransmits(), [[2, "10.0.0.1"]]);
  });
});

describe("a delivery acknowledgement", () => {
  const peer = { ...requester("a"), isValidated: true };

  test("with the token of the peer in whose name it comes is authentic, wherever it came from", () => {
    const { own, posted } = setUp({ peers: [peer] });
    const token = own.tokenFor(peer);
    assertEquals([own.isAuthentic("a", AT, { token }), own.isAuthentic("a", peer.endpoint, { token })], [true, true]);
    assertEquals([posted, own.acksRefused], [[], 0]);
  });

  test("without the token, or with another's, is refused, and the peer is sent its token at its own address", () => {
    const b = requester("bb");
    const { own, posted, pending } = setUp({ peers: [peer, b] });
    const tokens = [undefined, own.tokenFor(b), new Uint8Array(8)];
    pending.age = 5;
    for (const token of tokens) assertEquals(own.isAuthentic("a", AT, token === undefined ? {} : { token }), false);
    assertEquals(own.acksRefused, 3);
    const token = own.tokenFor(peer);
    for (const { type, to, extension } of posted) {
      assertEquals([type, to], [TYPE_STATE, peer.endpoint]);
      assertEquals(extension, { position: { last: 0, oldest: 1, age: Infinity }, pending: 5, token });
    }
    assertEquals([posted.length, own.isAuthentic("a", AT, { token })], [3, true]);
  });

  test("with a token for an address where the peer is no longer reached is refused", () => {
    const { own, known } = setUp({ peers: [peer] });
    const token = own.tokenFor(peer);
    known.set("a", { ...peer, endpoint: { ...peer.endpoint, port: 9999 } });
    assertEquals([own.isAuthentic("a", AT, { token }), own.acksRefused], [false, 1]);
  });

  test("of a peer without a validated path, or of an unknown node, is refused and not answered", () => {
    const { own, posted } = setUp({ peers: [requester("a")] });
    assertEquals([own.isAuthentic("a", AT, {}), own.isAuthentic("unknown", AT, {})], [false, false]);
    assertEquals([posted, own.acksRefused], [[], 2]);
  });

  test("that is forged is answered at a limited rate", async () => {
    const { own, clock, posted } = setUp({ peers: [peer] });
    for (let i = 0; i < 10_000; i++) own.isAuthentic("a", AT, {});
    const first = posted.length;
    assertLessOrEqual(first, 1000);
    await clock.advance(1000);
    for (let i = 0; i < 10_000; i++) own.isAuthentic("a", AT, {});
    assertEquals([posted.length, own.acksRefused], [2 * first, 20_000]);
  });
});

describe("a batch whose delivery was not acknowledged", () => {
  const three = [requester("a"), requester("bb"), requester("ccc")];

  test("is sent again to that peer alone, though there is a group", async () => {
    const { own, clock, send, retransmits } = setUp({ peers: three });
    send(5);
    for (const number of [3, 4]) own.retransmit(number, "bb");
    own.retransmit(5, "ccc");
    await clock.advance(20);
    assertEquals(retransmits(), [[3, "10.0.0.2"], [4, "10.0.0.2"], [5, "10.0.0.3"]]);
    assertEquals(own.retransmitsSent, 3);
  });

  test("is sent again once to the group when two have not acknowledged it, and then to each alone", async () => {
    const { own, clock, send, retransmits } = setUp({ peers: three });
    send(5);
    for (const expected of [[[3, "group"]], [[3, "10.0.0.2"], [3, "10.0.0.3"]]] as const) {
      await clock.advance(20);
      for (const id of ["bb", "ccc"]) own.retransmit(3, id);
      assertEquals(retransmits(), expected.map(([number, to]) => [number, to]));
    }
  });

  test("is sent again to each alone when there is no group", async () => {
    const { own, clock, send, retransmits } = setUp({ peers: three, multicast: false });
    send(5);
    for (const id of ["bb", "ccc"]) own.retransmit(3, id);
    await clock.advance(20);
    assertEquals(retransmits(), [[3, "10.0.0.2"], [3, "10.0.0.3"]]);
  });

  test("is not sent again when it is no longer held, or the peer is not known", async () => {
    const { own, clock, buffer, send, retransmits, ready } = setUp({ maxBytes: 400 });
    send(50);
    assertLessOrEqual(2, buffer.oldest);
    own.retransmit(buffer.oldest - 1, "a");
    own.retransmit(50, "nobody");
    await clock.advance(20);
    assertEquals([retransmits(), ready.count], [[], 0]);
    own.retransmit(50, "a");
    await clock.advance(20);
    assertEquals(retransmits(), [[50, "10.0.0.1"]]);
  });

  test("is marked as a retransmission, and as awaited all the same", async () => {
    const { own, clock } = setUp();
    own.sent(Uint8Array.of(1, 2, ...encodeExtension({ number: 1, isAwaited: true })));
    own.sent(Uint8Array.of(1, 2, ...encodeExtension({ prefixes: ["p"], more: 2, isAwaited: true })));
    own.announce();
    for (const number of [1, 2]) own.retransmit(number, "a");
    await clock.advance(20);
    const blocks: (Extension | undefined)[] = [];
    for (let next = own.takeRetransmit(); next !== undefined; next = own.takeRetransmit()) {
      blocks.push(decodeExtension(next.datagram.subarray(2)));
    }
    assertEquals(blocks, [
      { retransmit: 1, isAwaited: true },
      { prefixes: ["p"], retransmit: 2, isAwaited: true },
    ]);
  });
});
