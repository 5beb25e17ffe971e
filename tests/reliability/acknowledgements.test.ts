// Acknowledgements: which leaves are acknowledged, and at which rate.
import { describe, test } from "node:test";
import { assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { SeededRandom, VirtualClock } from "../../adapters/memory.ts";
import { ResponseSuppression } from "../../src/membership/response_suppression.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { Jitter } from "../../src/platform/jitter.ts";
import { Acknowledgements } from "../../src/reliability/acknowledgements.ts";
import { ReceiveStream } from "../../src/reliability/receive_stream.ts";
import { decodeExtension, type Extension } from "../../src/wire/extension.ts";
import { TYPE_ACK } from "../../src/wire/layout.ts";
import { formatNodeId } from "../../src/wire/node_id.ts";
import { decodePacket } from "../../src/wire/packet.ts";

const NODE_ID = new Uint8Array(16).fill(1);
const OTHER = new Uint8Array(16).fill(2);
const AT: Endpoint = { host: "10.0.0.2", port: 5000 };
const TOKEN = new Uint8Array(8).fill(3);

/** Acknowledgements of a node with so many validated peers, of which the other node may be one. */
function setUp({ validated = 1, isPeer = true } = {}) {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const jitter = new Jitter((length) => Uint8Array.from({ length }, () => random.below(256)));
  const sent: { extension: Extension; to: Endpoint }[] = [];
  const acks = new Acknowledgements({
    nodeId: NODE_ID,
    clock,
    suppression: new ResponseSuppression({ jitter, multicast: () => true, validated: () => validated }),
    peers: () => ({ get: () => isPeer ? { isValidated: true } : undefined }),
    transmit: {
      sendControlPacket: (packet, to) => {
        const { type, nodeId, rest } = decodePacket(packet);
        assertEquals([type, nodeId], [TYPE_ACK, NODE_ID]);
        sent.push({ extension: decodeExtension(rest) ?? {}, to });
      },
    },
  });
  const counts = { trusted: 0, untrusted: 0, requested: 0, recovered: 0 };
  const stream = new ReceiveStream(OTHER, formatNodeId(OTHER), AT, 0, 0, counts);
  return { acks, clock, sent, stream };
}

describe("a leave", () => {
  test("of a peer is acknowledged at the source of the stream", () => {
    const { acks, sent, stream } = setUp({ validated: 1000 });
    acks.onSettled(stream, 7);
    assertEquals(sent, [{ extension: { stream: OTHER, settled: 7 }, to: AT }]);
  });

  test("of a node that has answered a request is acknowledged, though it is no peer", () => {
    const { acks, sent, stream } = setUp({ validated: 1_000_000, isPeer: false });
    stream.validate({ sentAt: 0, to: AT }, 1);
    for (let i = 0; i < 10; i++) acks.onSettled(stream, 7);
    assertEquals(sent.length, 10);
  });

  test("of an unknown node is acknowledged by a few nodes of a large mesh, and by all of a small one", () => {
    const large = setUp({ validated: 80, isPeer: false });
    const small = setUp({ validated: 8, isPeer: false });
    for (const { acks, stream } of [large, small]) {
      for (let i = 0; i < 100; i++) acks.onSettled(stream, 7);
    }
    assertEquals(small.sent.length, 100);
    // Eight of 80 on average.
    assertGreater(large.sent.length, 0);
    assertLessOrEqual(large.sent.length, 25);
  });

  test("is acknowledged 128 times a second at most, however many are forged", async () => {
    const { acks, clock, sent, stream } = setUp();
    for (let i = 0; i < 1000; i++) acks.onSettled(stream, 7);
    assertEquals(sent.length, 128);
    await clock.advance(500);
    for (let i = 0; i < 1000; i++) acks.confirm(OTHER, 7, AT);
    assertEquals(sent.length, 128 + 64);
  });
});

test("a number that was given twice is reported with the token, whatever was acknowledged", () => {
  const { acks, sent, stream } = setUp();
  for (let i = 0; i < 1000; i++) acks.onSettled(stream, 7);
  acks.onReused(stream, 5, TOKEN, { ...AT, port: 6000 });
  assertEquals(sent.at(-1), { extension: { stream: OTHER, settled: 5, token: TOKEN }, to: { ...AT, port: 6000 } });
});
