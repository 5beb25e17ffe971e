// Properties of the codec for every datagram, whole, truncated, changed or random.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { DecodeError } from "../../src/errors.ts";
import {
  type BatchPacket,
  decodePacket,
  encodePacket,
  isFrom,
  type KeyPacket,
  nodeIdOf,
  type Packet,
  packetType,
  readBatch,
  readKey,
  scanPacket,
  TOO_SHORT,
  WRONG_MAGIC,
} from "../../src/wire/packet.ts";
import { isUtf8, readUtf8 } from "../../src/wire/utf8.ts";
import { anyKey, nearlyUtf8, nodeId } from "../support/arbitraries.ts";

const key = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  nearlyUtf8,
  anyKey.map((text) => new TextEncoder().encode(text)),
);
const keyPacket: fc.Arbitrary<KeyPacket> = fc.record({
  type: fc.constantFrom(1, 2),
  nodeId,
  keyHash: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  key,
}, { noNullPrototype: true });
const batchPacket: fc.Arbitrary<BatchPacket> = fc.record({
  type: fc.constant(3),
  nodeId,
  keys: fc.array(key, { maxLength: 30, size: "max" }),
}, { noNullPrototype: true });
const packet = fc.oneof(keyPacket, batchPacket);
const datagram = packet.map(encodePacket);
const rest = fc.uint8Array({ maxLength: 8 });

/** A valid datagram, changed in a few bytes: mostly in its lengths. */
const mutated = fc.tuple(
  datagram,
  fc.array(fc.tuple(fc.oneof(fc.nat(30), fc.nat(2000)), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 255)))),
).map(([bytes, changes]) => {
  for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
  return bytes;
});

/** A valid header, and anything after it. */
const headed = fc.tuple(fc.constantFrom(0, 1, 2, 3, 4, 0x10, 255), fc.uint8Array({ maxLength: 80 }))
  .map(([type, bytes]) => Uint8Array.of(0x57, type, ...bytes));

const hostile = fc.oneof(mutated, headed, fc.uint8Array({ maxLength: 80 }));

/** Checks that the scanner, the readers and the decoder agree about a datagram. Returns whether they accept it. */
function agree(bytes: Uint8Array): boolean {
  const end = scanPacket(bytes);
  if (end < 0) {
    assert(end === TOO_SHORT || end === WRONG_MAGIC);
    let error: unknown;
    try {
      decodePacket(bytes);
    } catch (thrown) {
      error = thrown;
    }
    assert(error instanceof DecodeError);
    return false;
  }
  assertGreaterOrEqual(end, 18);
  assertLessOrEqual(end, bytes.length);
  const decoded = decodePacket(bytes);
  assertEquals([decoded.type, decoded.rest.length], [packetType(bytes), bytes.length - end]);
  assertEquals(decoded.nodeId, nodeIdOf(bytes));
  assert(isFrom(bytes, decoded.nodeId));
  if ("key" in decoded) assertEquals(readKey(bytes), textOf(decoded.key));
  if ("keys" in decoded) {
    const texts = decoded.keys.map(textOf);
    const valid = texts.filter((text) => text !== undefined);
    const read: string[] = [];
    assertEquals(readBatch(bytes, end, (text) => read.push(text)), texts.length - valid.length);
    assertEquals(read, valid);
  }
  return true;
}

function textOf(bytes: Uint8Array): string | undefined {
  return isUtf8(bytes, 0, bytes.length) ? readUtf8(bytes, 0, bytes.length) : undefined;
}

function withoutRest({ rest: _, ...others }: Packet): unknown {
  return others;
}

describe("the codec", () => {
  test("decodes what it has encoded, whatever follows", () => {
    fc.assert(fc.property(packet, rest, fc.nat(20), (packet, rest, before) => {
      const encoded = encodePacket(packet);
      const buffer = new Uint8Array(before + encoded.length + rest.length);
      buffer.set(encoded, before);
      buffer.set(rest, before + encoded.length);
      const decoded = decodePacket(buffer.subarray(before));
      assertEquals(decoded.rest, rest);
      assertEquals(withoutRest(decoded), { ...packet });
      assert(agree(buffer.subarray(before)));
    }));
  });

  test("encodes what it has decoded to the same bytes", () => {
    fc.assert(fc.property(hostile, (bytes) => {
      const end = scanPacket(bytes);
      if (end < 0) return;
      const { type, ...decoded } = decodePacket(bytes);
      if (type < 1 || type > 3) return;
      const packet = { type, ...decoded } as KeyPacket | BatchPacket;
      assertEquals(encodePacket(packet), bytes.slice(0, end));
    }));
  });

  test("refuses every datagram that was truncated within its body", () => {
    fc.assert(
      fc.property(datagram, (bytes) => {
        for (let length = 0; length < bytes.length; length++) assertEquals(agree(bytes.subarray(0, length)), false);
      }),
      { numRuns: 40 },
    );
  });

  test("agrees about changed and random datagrams, and throws nothing but DecodeError", () => {
    fc.assert(fc.property(hostile, (bytes) => void agree(bytes)), { numRuns: 1000 });
  });
});
