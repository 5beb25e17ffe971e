// The packet codec against what go-warp encodes and decodes.
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertLess, assertStrictEquals, assertThrows } from "@std/assert";
import { DecodeError } from "../../src/errors.ts";
import { BatchWriter } from "../../src/wire/batch_writer.ts";
import { decodeExtension } from "../../src/wire/extension.ts";
import { MAX_DATAGRAM, MAX_KEY, MAX_PLAIN_KEY } from "../../src/wire/layout.ts";
import { formatNodeId, stampUuid } from "../../src/wire/node_id.ts";
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
import { ILL_FORMED, NO_ROOM } from "../../src/wire/utf8.ts";
import { addKey } from "../support/batches.ts";
import { fromHex, toHex } from "../support/hex.ts";

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly ok: boolean;
  readonly error?: string;
  readonly type: number;
  readonly nodeId: string;
  readonly keyHash?: string;
  readonly keyHex?: string;
  readonly keysHex?: readonly string[];
  readonly canonical: boolean;
}

const file = readFileSync(new URL("../vectors/go-warp.json", import.meta.url), "utf8");
const { vectors } = JSON.parse(file) as { readonly vectors: readonly Vector[] };
const accepted = vectors.filter(({ ok }) => ok);
const refused = vectors.filter(({ ok }) => !ok);
const NODE_ID = fromHex("00112233445566778899aabbccddeeff");

/** What a vector describes of its datagram, in the shape of what {@linkcode view} makes of a packet. */
function expected({ type, nodeId, keyHash, keyHex, keysHex }: Vector): Record<string, unknown> {
  if (type === 1 || type === 2) return { type, nodeId, keyHash, key: keyHex };
  // Go leaves an empty list out.
  return type === 3 ? { type, nodeId, keys: keysHex ?? [] } : { type, nodeId };
}

function view(packet: Packet): Record<string, unknown> {
  const { type } = packet;
  const nodeId = toHex(packet.nodeId);
  if ("key" in packet) {
    return { type, nodeId, keyHash: packet.keyHash.toString(16).padStart(16, "0"), key: toHex(packet.key) };
  }
  return "keys" in packet ? { type, nodeId, keys: packet.keys.map(toHex) } : { type, nodeId };
}

function batch(keys: readonly Uint8Array[]): Uint8Array {
  return encodePacket({ type: 3, nodeId: NODE_ID, keys });
}

/** The datagram in the middle of a larger buffer, as a receive buffer has it. */
function within(bytes: Uint8Array, before = 7, after = 5): Uint8Array {
  const buffer = new Uint8Array(before + bytes.length + after).fill(0xaa);
  buffer.set(bytes, before);
  return buffer.subarray(before, before + bytes.length);
}

/** The result of the readers of the mesh for a datagram: texts, and how many keys of a batch had none. */
function readInPlace(bytes: Uint8Array): unknown {
  const type = packetType(bytes);
  const nodeId = toHex(nodeIdOf(bytes));
  if (type === 1 || type === 2) return { type, nodeId, key: readKey(bytes) };
  return type === 3 ? { type, nodeId, ...readAll(bytes) } : { type, nodeId };
}

function expectedInPlace({ type, nodeId, keyHex, keysHex = [] }: Vector): unknown {
  if (type === 1 || type === 2) return { type, nodeId, key: strictText(keyHex ?? "") };
  if (type !== 3) return { type, nodeId };
  const texts = keysHex.map(strictText);
  const keys = texts.filter((key) => key !== undefined);
  return { type, nodeId, keys, invalid: texts.length - keys.length };
}

function strictText(hex: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(fromHex(hex));
  } catch {
    return undefined;
  }
}

function readAll(bytes: Uint8Array): { keys: string[]; invalid: number } {
  const keys: string[] = [];
  const end = scanPacket(bytes);
  assert(end >= 0);
  const invalid = readBatch(bytes, end, (key) => keys.push(key));
  return { keys, invalid };
}

describe("vectors of go-warp", () => {
  test("exist for every kind", () => {
    assertEquals([vectors.length, accepted.length, refused.length], [113, 51, 62]);
    assertEquals(new Set(accepted.map(({ type }) => Math.min(type, 4))), new Set([2, 1, 3, 4, 0]));
  });

  for (const vector of accepted) {
    test(`encode and decode: ${vector.name}`, () => {
      const bytes = fromHex(vector.hex);
      const packet = decodePacket(bytes);
      assertEquals(view(packet), expected(vector));
      assertEquals(view(decodePacket(within(bytes))), expected(vector));
      assertEquals(readInPlace(within(bytes)), expectedInPlace(vector));
      assertEquals(scanPacket(within(bytes)), bytes.length - packet.rest.length);
      if (!vector.canonical) return;
      assertEquals(packet.rest.length, 0);
      assertEquals(toHex(encodePacket(packet as KeyPacket | BatchPacket)), vector.hex);
    });
  }

  for (const vector of refused) {
    test(`are refused: ${vector.name}`, () => {
      const bytes = fromHex(vector.hex);
      const code = vector.error === "mesh: invalid magic byte" ? WRONG_MAGIC : TOO_SHORT;
      assertEquals([scanPacket(bytes), scanPacket(within(bytes))], [code, code]);
      assertThrows(() => decodePacket(bytes), DecodeError);
      assertThrows(() => decodePacket(within(bytes)), DecodeError);
    });
  }
});

describe("decodePacket", () => {
  const three = batch([fromHex("61"), fromHex("6262"), fromHex("")]);

  test("returns views, no copies", () => {
    const bytes = within(Uint8Array.of(...three, 1, 2, 3));
    const packet = decodePacket(bytes) as BatchPacket & Packet;
    for (const part of [packet.nodeId, packet.rest, ...packet.keys]) assertStrictEquals(part.buffer, bytes.buffer);
    assertEquals(packet.keys.map((key) => key.byteOffset - bytes.byteOffset), [22, 25, 29]);
    bytes[22] = 0x7a;
    assertEquals(packet.keys[0], fromHex("7a"));
  });

  test("returns what follows the body as `rest`", () => {
    for (const { hex } of accepted.filter(({ canonical }) => canonical)) {
      const packet = decodePacket(within(fromHex(`${hex}572b0109`)));
      assertEquals(toHex(packet.rest), "572b0109");
    }
    const unknown = decodePacket(fromHex(`5710${"00".repeat(16)}0102`));
    assertEquals([unknown.type, toHex(unknown.rest)], [0x10, "0102"]);
  });

  test("describes the error in its one exception", () => {
    const magic = assertThrows(() => decodePacket(Uint8Array.of(0x58, ...new Uint8Array(40))), DecodeError);
    assertEquals(magic.message, "Cannot decode the datagram as its first byte must be 0x57: current value is 88");
    const short = assertThrows(() => decodePacket(three.subarray(0, 23)), DecodeError);
    assertEquals(short.message, "Cannot decode the datagram as it is shorter than it claims: current length is 23");
    assertInstanceOf(short, Error);
    assertEquals(short.name, "DecodeError");
  });

  test("is bounded by the datagram, not by the count in it", () => {
    const bytes = fromHex(`5703${"00".repeat(16)}ffff${"0000".repeat(100)}`);
    let reads = 0;
    const counting = new Proxy(bytes, {
      get(target, name) {
        reads++;
        return Reflect.get(target, name, target);
      },
    });
    assertEquals(scanPacket(counting), TOO_SHORT);
    assertLess(reads, 10 * bytes.length);
    assertThrows(() => decodePacket(bytes), DecodeError);
  });

  test("takes as many empty keys as a count can hold", () => {
    const most = batch(new Array(0xffff).fill(new Uint8Array()));
    assertEquals(readAll(most).keys.length, 0xffff);
    assertEquals((decodePacket(most) as BatchPacket).keys.length, 0xffff);
  });
});

describe("readBatch", () => {
  test("leaves out a key that is not UTF-8, and counts it", () => {
    const keys = ["61", "ff", "c3a9", "62eda080", ""].map(fromHex);
    assertEquals(readAll(within(batch(keys))), { keys: ["a", "é", ""], invalid: 2 });
  });

  test("does not join two halves of a character in two keys", () => {
    assertEquals(readAll(batch([fromHex("c3"), fromHex("a9")])), { keys: [], invalid: 2 });
  });

  test("keeps a byte order mark", () => {
    assertEquals(readAll(batch([fromHex("efbbbf61"), fromHex("efbbbf")])).keys, ["\ufeffa", "\ufeff"]);
    const one = encodePacket({ type: 1, nodeId: NODE_ID, keyHash: 0n, key: fromHex("efbbbf61") });
    assertEquals(readKey(one), "\ufeffa");
  });

  test("cuts keys right when their lengths are ASCII too, or not", () => {
    // A length of 65 or 10 is an ASCII byte like those of keys; one of 200 is not, though all keys are ASCII.
    for (const lengths of [[65, 10, 0, 127], [200, 3], [128], [300, 255, 256]]) {
      const keys = lengths.map((length, i) => String.fromCharCode(97 + i).repeat(length));
      assertEquals(readAll(batch(keys.map((key) => new TextEncoder().encode(key)))), { keys, invalid: 0 });
    }
  });
});

describe("readKey", () => {
  test("is undefined when the key is not UTF-8", () => {
    assertEquals(readKey(encodePacket({ type: 2, nodeId: NODE_ID, keyHash: 0n, key: fromHex("61ff") })), undefined);
  });
});

describe("encodePacket", () => {
  test("refuses values without a form on the wire", () => {
    const nodeId = NODE_ID;
    const refusal = (packet: KeyPacket | BatchPacket) => assertThrows(() => encodePacket(packet), RangeError).message;
    assertEquals(
      refusal({ type: 3, nodeId: new Uint8Array(15), keys: [] }),
      "Cannot encode as `nodeId` must have 16 bytes: current length is 15",
    );
    const rule = "Cannot encode as counts and key lengths must be at most 65535: current value is";
    assertEquals(refusal({ type: 1, nodeId, keyHash: 0n, key: new Uint8Array(65_536) }), `${rule} 65536`);
    assertEquals(refusal({ type: 3, nodeId, keys: [new Uint8Array(65_536)] }), `${rule} 65536`);
    assertEquals(refusal({ type: 3, nodeId, keys: new Array(65_536).fill(new Uint8Array()) }), `${rule} 65536`);
    assertEquals(refusal({ type: 3, nodeId, keys: new Array(500_000).fill(new Uint8Array()) }), `${rule} 500000`);
    assertEquals(encodePacket({ type: 1, nodeId, keyHash: 0n, key: new Uint8Array(65_535) }).length, 28 + 65_535);
  });
});

describe("BatchWriter", () => {
  test("writes what encodePacket writes", () => {
    const writer = new BatchWriter(NODE_ID);
    const keys = ["user:42", "", "ключ🙂"];
    for (const round of [1, 2]) {
      assertEquals([writer.count, writer.bytes()], [0, batch([])], `round ${round}`);
      assertEquals(keys.map((key) => addKey(writer, key)), [0, 0, 0]);
      assertEquals([writer.count, writer.bytes()], [3, batch(keys.map((key) => new TextEncoder().encode(key)))]);
      writer.clear();
    }
  });

  test("is unchanged when a key does not fit", () => {
    const writer = new BatchWriter(NODE_ID);
    addKey(writer, "first");
    const before = toHex(writer.bytes());
    for (
      const [key, code] of [["x".repeat(MAX_PLAIN_KEY), NO_ROOM], ["a\ud800", ILL_FORMED], [
        "é".repeat(700),
        NO_ROOM,
      ]] as const
    ) {
      assertEquals([addKey(writer, key), writer.count, toHex(writer.bytes())], [code, 1, before]);
    }
  });

  test("fills a datagram to the last byte and no further", () => {
    const writer = new BatchWriter(NODE_ID);
    assertEquals([MAX_PLAIN_KEY, addKey(writer, "x".repeat(1379)), addKey(writer, "x".repeat(1378))], [
      1378,
      NO_ROOM,
      0,
    ]);
    assertEquals([writer.bytes().length, MAX_DATAGRAM], [1400, 1400]);
    assertEquals(addKey(writer, ""), NO_ROOM);
  });

  test("leaves room for a number, and writes it after the keys", () => {
    const writer = new BatchWriter(NODE_ID, true);
    assertEquals([MAX_KEY, addKey(writer, "x".repeat(1367)), addKey(writer, "x".repeat(1366))], [1366, NO_ROOM, 0]);
    assertEquals([writer.bytes(7).length, addKey(writer, "")], [1400, NO_ROOM]);
    const { rest } = decodePacket(writer.bytes(2 ** 48 - 1));
    assertEquals(decodeExtension(rest), { number: 2 ** 48 - 1 });
    writer.clear();
    addKey(writer, "a");
    assertEquals(toHex(writer.bytes(258)).slice(36), "0001" + "000161" + "572b01" + "010006" + "000000000102");
    assertEquals(toHex(writer.bytes()).slice(36), "0001" + "000161");
  });
});

describe("node ids", () => {
  test("are made as UUID version 4 and shown as one", () => {
    const ones = stampUuid(new Uint8Array(16).fill(0xff));
    assertEquals(formatNodeId(ones), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assertEquals(formatNodeId(stampUuid(new Uint8Array(16))), "00000000-0000-4000-8000-000000000000");
    const counting = Uint8Array.from({ length: 16 }, (_, i) => 0x11 * i);
    assertEquals(formatNodeId(stampUuid(counting)), "00112233-4455-4677-8899-aabbccddeeff");
    assertEquals(formatNodeId(NODE_ID), "00112233-4455-6677-8899-aabbccddeeff");
  });

  test("identify the sender of a datagram", () => {
    const bytes = within(batch([]));
    assert(isFrom(bytes, NODE_ID));
    for (let i = 0; i < 16; i++) {
      const other = NODE_ID.slice();
      other[i] = (other[i] as number) ^ 1;
      assert(!isFrom(bytes, other), `byte ${i}`);
    }
    assertStrictEquals(nodeIdOf(bytes).buffer, bytes.buffer);
  });
});
