// Delivery acknowledgements: what is sent of awaited batches, when, and to whom.
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { VirtualClock } from "../../adapters/memory.ts";
import type { Outcome } from "../../src/acknowledgement.ts";
import { DeliveryAcks } from "../../src/reliability/delivery_acks.ts";
import { ReceiveStream } from "../../src/reliability/receive_stream.ts";
import { decodeExtension } from "../../src/wire/extension.ts";
import type { DeliveredBatch } from "../../src/wire/outcomes.ts";
import { decodePacket } from "../../src/wire/packet.ts";
import { idOf, nameOf, placeOf } from "../support/peers.ts";

function setUp({ isValidated = true } = {}) {
  const clock = new VirtualClock();
  const sent: (readonly DeliveredBatch[])[] = [];
  const tokens: unknown[] = [];
  const sizes: number[] = [];
  let verified = 0;
  const peer = { endpoint: placeOf(1), isValidated };
  const acks = new DeliveryAcks({
    nodeId: idOf(0),
    clock,
    peers: () => ({ get: (id) => id === nameOf(1) ? peer : undefined }),
    transmit: {
      sendControlPacket(packet, to) {
        assertEquals([packet[1], to], [0x16, placeOf(1)]);
        const extension = decodeExtension(decodePacket(packet).rest);
        assertEquals(extension?.stream, idOf(1));
        sent.push(extension?.delivered ?? []);
        tokens.push(extension?.token);
        sizes.push(packet.length);
      },
    },
    streams: { verify: () => verified++ },
  });
  const stream = streamOf(1, clock);
  /** A batch with one entry comes. Returns whether it is delivered; by default that ends at once. */
  const come = (
    number: number,
    wish: { isNew?: boolean; isAgain?: boolean; fingerprint?: number; of?: ReceiveStream } = {},
  ) => {
    const { isNew = true, isAgain = false, fingerprint = number, of = stream } = wish;
    return acks.begin(of, number, fingerprint, isNew, isAgain);
  };
  const deliver = (outcome: Outcome = "delivered", count = 1) => {
    for (let i = 0; i < count; i++) {
      const entry = acks.receipt?.entry(i);
      if (outcome !== "unsubscribed") entry?.take();
      if (outcome === "failed" && i === 0) entry?.fail();
      entry?.end();
    }
    acks.receipt?.seal(count);
  };
  return { acks, clock, come, deliver, peer, sent, sizes, stream, tokens, verified: () => verified };
}

function streamOf(index: number, clock: VirtualClock): ReceiveStream {
  const counts = { trusted: 0, untrusted: 0, requested: 0, recovered: 0 };
  return new ReceiveStream(idOf(index), nameOf(index), placeOf(index), 0, clock.now(), counts);
}

describe("an awaited batch", () => {
  test("is acknowledged as soon as it is delivered, with the token of the publisher", () => {
    const { come, deliver, sent, stream, tokens } = setUp();
    assert(come(7));
    assertEquals(sent, []);
    deliver();
    stream.token = new Uint8Array(8).fill(5);
    assertEquals([sent, tokens], [[[{ number: 7, outcomes: "delivered" }]], [undefined]]);
  });

  test("shares a packet with those of the same turn that come within a millisecond", async () => {
    const { clock, come, deliver, sent, stream, tokens } = setUp();
    stream.token = new Uint8Array(8).fill(5);
    for (let number = 1; number <= 4; number++) {
      come(number);
      deliver(number === 3 ? "unsubscribed" : "delivered");
    }
    assertEquals(sent.length, 1);
    await clock.advance(0);
    assertEquals(sent[1]?.map(({ number, outcomes }) => `${number} ${outcomes}`), [
      "2 delivered",
      "3 unsubscribed",
      "4 delivered",
    ]);
    assertEquals(tokens[1], new Uint8Array(8).fill(5));
    await clock.advance(1);
    come(5);
    deliver();
    assertEquals([sent.length, clock.pending], [3, 0]);
  });

  test("is acknowledged in packets of 64 batches and 1,400 bytes at most", async () => {
    const { clock, come, deliver, sent, sizes } = setUp();
    for (let number = 1; number <= 201; number++) {
      come(number);
      deliver(number > 131 ? "failed" : "delivered", number > 131 ? 400 : 1);
    }
    await clock.advance(0);
    assertEquals(sent.flat().length, 201);
    assert(sent.every((batches) => batches.length <= 64) && sizes.every((size) => size <= 1400));
    assert(sent.length < 15, `${sent.length} packets`);
    assertEquals(sent.flat().find(({ number }) => number === 132)?.outcomes.slice(0, 2), ["failed", "delivered"]);
  });

  test("is not delivered twice, and acknowledged again when the request is repeated", async () => {
    const { acks, clock, come, sent, verified } = setUp();
    come(1);
    const { receipt } = acks;
    assertEquals(come(1, { isNew: false, isAgain: true }), false);
    assertEquals([sent.length, verified()], [0, 0]);
    receipt?.seal(1);
    await clock.advance(5);
    assertEquals(come(1, { isNew: false }), false);
    assertEquals([sent.length, verified()], [1, 0]);
    assertEquals(come(1, { isNew: false, isAgain: true }), false);
    assertEquals([sent.length, sent[1], verified()], [2, [{ number: 1, outcomes: "unsubscribed" }], 1]);
  });

  test("of a node that has departed is not delivered twice either", () => {
    const { come } = setUp();
    assertEquals([come(1), come(1, { isNew: true, isAgain: true })], [true, false]);
  });

  test("is not acknowledged in place of another with the same number", async () => {
    const { clock, come, deliver, sent } = setUp();
    come(1);
    deliver();
    await clock.advance(5);
    assertEquals(come(1, { isNew: false, isAgain: true, fingerprint: 99 }), false);
    assertEquals(come(1, { isNew: true, fingerprint: 99 }), true);
    deliver();
    assertEquals(sent.length, 1);
  });

  test("of a node whose path is not validated is acknowledged when it is repeated later", async () => {
    const { clock, come, deliver, peer, sent } = setUp({ isValidated: false });
    come(1);
    deliver();
    assertEquals(sent, []);
    peer.isValidated = true;
    await clock.advance(5);
    come(1, { isNew: false, isAgain: true });
    assertEquals(sent, [[{ number: 1, outcomes: "delivered" }]]);
  });

  test("of an unknown node, or of one that is not followed, is delivered and not acknowledged", () => {
    const { acks, clock, come, deliver, sent } = setUp();
    assert(come(1, { of: streamOf(2, clock) }));
    deliver();
    assertEquals([acks.begin(undefined, 1, 1, true, false), acks.begin(undefined, 1, 1, false, true)], [true, false]);
    assertEquals(sent, []);
  });

  test("that is no longer remembered is neither delivered again nor acknowledged", async () => {
    const { clock, come, deliver, sent, stream } = setUp();
    stream.validate({ to: placeOf(1), sentAt: 0 }, 0);
    for (let number = 1; number <= 513; number++) {
      come(number);
      deliver();
    }
    await clock.advance(5);
    const before = sent.length;
    assertEquals(come(1, { isNew: false, isAgain: true }), false);
    assertEquals(sent.length, before);
    come(2, { isNew: false, isAgain: true });
    assertEquals(sent.length, before + 1);
  });

  test("of a node that has never answered is remembered with 63 others", async () => {
    const { clock, come, deliver, sent } = setUp();
    for (let number = 1; number <= 65; number++) {
      come(number);
      deliver();
    }
    await clock.advance(5);
    const before = sent.length;
    come(1, { isNew: false, isAgain: true });
    assertEquals(sent.length, before);
    come(2, { isNew: false, isAgain: true });
    assertEquals(sent.length, before + 1);
  });

  test("is not acknowledged once it is closed, and no timer is left", async () => {
    const { acks, clock, come, deliver, sent } = setUp();
    for (const number of [1, 2]) {
      come(number);
      deliver();
    }
    acks.close();
    come(3);
    deliver();
    assertEquals([sent.length, clock.pending], [1, 0]);
    await clock.advance(10);
    assertEquals(sent.length, 1);
  });
});
