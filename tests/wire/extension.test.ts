// The extension block against its vectors, against itself, and against malformed bytes.
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { DecodeError } from "../../src/errors.ts";
import { Receiver } from "../../src/net/receiver.ts";
import {
  decodeExtension,
  encodeControl,
  encodeExtension,
  type Extension,
  isAwaited,
  MALFORMED,
  markRetransmit,
  NOT_PLAIN_NUMBER,
  numberingOf,
  readExtension,
  readNumber,
  writeBlockHeader,
  writeNumber,
} from "../../src/wire/extension.ts";
import { BATCH_EXTENSION_LENGTH, MAX_NUMBER } from "../../src/wire/layout.ts";
import { formatNodeId } from "../../src/wire/node_id.ts";
import type { DeliveredBatch } from "../../src/wire/outcomes.ts";
import { decodePacket, nodeIdOf, packetType, scanPacket } from "../../src/wire/packet.ts";
import { fromHex, toHex } from "../support/hex.ts";
import { controlSink, keySink, numberSink } from "../support/receiver_sinks.ts";

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly result: "read" | "ignored" | "malformed" | "lacking";
  readonly extension?: Readonly<Record<string, unknown>>;
  readonly canonical?: boolean;
  readonly why?: string;
}

const file = readFileSync(new URL("../vectors/extension.json", import.meta.url), "utf8");
const { vectors } = JSON.parse(file) as { readonly vectors: readonly Vector[] };
const BATCH = 3;
const HEARTBEAT = 2;
const STREAM = fromHex("ffeeddccbbaa49888766554433221100");
const HEADER = 3;
const NEVER = 2 ** 32 - 1;

/** An extension as the vectors write it. */
function view(extension: Extension): Record<string, unknown> {
  const { position, stream, token, ranges, since, base, heard, peers, delivered, ...rest } = extension;
  return {
    ...rest,
    ...position && { position: { ...position, age: ageView(position.age) } },
    ...stream && { stream: toHex(stream) },
    ...token && { token: toHex(token) },
    ...ranges && { ranges: ranges.map(({ from, to }) => [from, to]) },
    ...since !== undefined && { since: ageView(since) },
    ...base && { base: { ...base, age: ageView(base.age) } },
    ...heard && { heard: toHex(heard) },
    ...delivered && { delivered: delivered.map(outcomesView) },
    ...peers && { peers: peers.map((peer) => ({ ...peer, id: toHex(peer.id) })) },
  };
}

/** What is not known yet is null in JSON. */
function outcomesView({ number, outcomes }: DeliveredBatch): unknown {
  return { number, outcomes: typeof outcomes === "string" ? outcomes : outcomes.map((outcome) => outcome ?? null) };
}

function ageView(age: number): number | "never" {
  return age === Infinity ? "never" : age;
}

/** The datagram in the middle of a larger buffer, whose further bytes look like an extension. */
function within(bytes: Uint8Array): Uint8Array {
  const after = fromHex("572b01010006000000000007");
  const buffer = new Uint8Array(7 + bytes.length + after.length).fill(0xaa);
  buffer.set(bytes, 7);
  buffer.set(after, 7 + bytes.length);
  return buffer.subarray(7, 7 + bytes.length);
}

function restOf(hex: string): Uint8Array {
  return decodePacket(within(fromHex(hex))).rest;
}

/** The result of the readers of the mesh for a datagram: the number of a batch is looked for first. */
function readInPlace(bytes: Uint8Array): ReturnType<typeof readExtension> {
  const end = scanPacket(bytes);
  const number = packetType(bytes) === BATCH ? readNumber(bytes, end) : NOT_PLAIN_NUMBER;
  if (number === NOT_PLAIN_NUMBER) return readExtension(bytes, end);
  if (number === 0) return undefined;
  return { [numberingOf(bytes, end)]: number, ...isAwaited(bytes, end) && { isAwaited: true as const } };
}

/** A receiver with the node id of the streams in the vectors, and the calls that its datagrams have caused. */
function setUp({ extended = true, nodeId = STREAM } = {}) {
  const calls: unknown[] = [];
  const receiver = new Receiver({
    nodeId,
    extended,
    keys: keySink((key) => calls.push(key.text)),
    streams: numberSink((id, number, numbering, host, port) =>
      calls.push([numbering, toHex(id), number, host, port]) > 0
    ),
    control: controlSink({
      onHeartbeat: (id, advertised, { host, port }, extension) =>
        calls.push(["heartbeat", toHex(id), advertised, host, port, extension && view(extension)]),
      onControl: ({ type, nodeId, extension, source }) =>
        calls.push(["control", type, toHex(nodeId), view(extension), source.host, source.port]),
    }),
  });
  const receive = (bytes: Uint8Array) => {
    calls.length = 0;
    receiver.receive(bytes, "10.0.0.9", 5000);
    return [...calls];
  };
  return { receiver, receive };
}

describe("vectors of the extension", () => {
  test("exist for every kind", () => {
    const count = (result: Vector["result"]) => vectors.filter((vector) => vector.result === result).length;
    assertEquals([count("read"), count("ignored"), count("malformed"), count("lacking")], [61, 7, 71, 18]);
    const types = vectors.filter(({ result }) => result === "read").map(({ hex }) => packetType(fromHex(hex)));
    assertEquals([...new Set(types)].sort((a, b) => a - b), [2, 3, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]);
    assert(vectors.every(({ result, why }) => result === "read" || why !== undefined));
  });

  for (const { name, hex, result, extension = {}, canonical, why } of vectors) {
    if (result === "read") {
      test(`encode and decode: ${name}`, () => {
        const decoded = decodeExtension(restOf(hex));
        assert(decoded !== undefined);
        assertEquals(view(decoded), extension);
        const inPlace = readInPlace(within(fromHex(hex)));
        assert(inPlace !== undefined && inPlace !== MALFORMED);
        assertEquals(view(inPlace), extension);
        assertEquals(toHex(encodeExtension(decoded)) === toHex(restOf(hex)), canonical);
      });
    } else if (result === "ignored") {
      test(`are ignored: ${name}`, () => {
        assertEquals(decodeExtension(restOf(hex)), undefined, why);
        assertEquals(readInPlace(within(fromHex(hex))), undefined, why);
      });
    } else if (result === "malformed") {
      test(`are malformed: ${name}`, () => {
        const { message } = assertThrows(() => decodeExtension(restOf(hex)), DecodeError);
        assertEquals(message, "Cannot decode the datagram as its extension block is malformed");
        assertEquals(readInPlace(within(fromHex(hex))), MALFORMED, why);
      });
    } else {
      test(`are read, though the packet lacks something: ${name}`, () => {
        assert(readInPlace(within(fromHex(hex))) !== MALFORMED, why);
      });
    }
  }
});

describe("a receiver", () => {
  const keysOf = (bytes: Uint8Array) => {
    const packet = decodePacket(bytes);
    return "keys" in packet ? packet.keys.map((key) => new TextDecoder().decode(key)) : [];
  };

  for (const { name, hex, result, extension } of vectors) {
    test(`${result === "read" || result === "ignored" ? "accepts" : "drops and counts"} ${name}`, () => {
      const bytes = fromHex(hex);
      const [type, id] = [packetType(bytes), toHex(nodeIdOf(bytes))];
      const { receiver, receive } = setUp();
      const got = receive(within(bytes));
      const { delivered, malformedExtensions, decodeErrors, unknownTypes } = receiver;
      const isDropped = result === "malformed" || result === "lacking";
      assertEquals([delivered, malformedExtensions, decodeErrors, unknownTypes], [1, isDropped ? 1 : 0, 0, 0]);
      if (isDropped) {
        assertEquals(got, []);
      } else if (type === BATCH) {
        const noted = (["number", "more", "retransmit"] as const).flatMap((what) => {
          const number = extension?.[what];
          return number === undefined ? [] : [[what, id, number, "10.0.0.9", 5000]];
        });
        assertEquals(got, [...noted, ...keysOf(bytes)]);
      } else if (type === HEARTBEAT) {
        assertEquals(got, [["heartbeat", id, "10.0.0.1:7946", "10.0.0.9", 5000, extension]]);
      } else {
        assertEquals(got, [["control", type, id, extension, "10.0.0.9", 5000]]);
      }
    });
  }

  test("with go-warp's wire ignores extensions, also malformed ones, and knows no other types", () => {
    for (const { hex, name } of vectors) {
      const bytes = fromHex(hex);
      const type = packetType(bytes);
      const { receiver, receive } = setUp({ extended: false });
      const got = receive(bytes);
      const heartbeat = ["heartbeat", toHex(nodeIdOf(bytes)), "10.0.0.1:7946", "10.0.0.9", 5000, undefined];
      assertEquals(got, type === BATCH ? keysOf(bytes) : type === HEARTBEAT ? [heartbeat] : [], name);
      assertEquals([receiver.malformedExtensions, receiver.unknownTypes], [0, type < 0x10 ? 0 : 1], name);
    }
  });

  test("does not read the extension of its own datagrams", () => {
    for (const { hex, name } of vectors) {
      const bytes = fromHex(hex);
      const { receiver, receive } = setUp({ nodeId: nodeIdOf(bytes).slice() });
      assertEquals([receive(bytes), receiver.malformedExtensions, receiver.delivered], [[], 0, 0], name);
    }
  });

  test("ignores records about the stream of another node, and counts nothing", () => {
    const about = vectors.filter(({ result, extension }) => result === "read" && extension?.stream !== undefined);
    assertEquals(about.length, 14);
    for (const { hex, name } of about) {
      const { receiver, receive } = setUp({ nodeId: new Uint8Array(16).fill(1) });
      assertEquals([receive(fromHex(hex)), receiver.malformedExtensions, receiver.unknownTypes], [[], 0, 0], name);
    }
  });

  test("counts the reserved types as unknown", () => {
    const { receiver, receive } = setUp();
    for (const type of [0x18, 0x19, 0xff]) {
      const packet = encodeControl(type, new Uint8Array(16), { position: { last: 0, oldest: 1, age: Infinity } });
      assertEquals(receive(packet), []);
    }
    assertEquals([receiver.unknownTypes, receiver.malformedExtensions], [3, 0]);
  });

  test("delivers nothing of a batch whose number was received before", () => {
    const keys: string[] = [];
    const receiver = new Receiver({
      nodeId: STREAM,
      extended: true,
      keys: keySink((key) => keys.push(key.text)),
      streams: numberSink((_, number) => number !== 7),
      control: controlSink(),
    });
    const [seven] = vectors;
    assert(seven !== undefined);
    receiver.receive(fromHex(seven.hex), "10.0.0.9", 5000);
    assertEquals([keys, receiver.delivered, receiver.keys], [[], 1, 0]);
    receiver.receive(fromHex(`${seven.hex.slice(0, -2)}08`), "10.0.0.9", 5000);
    assertEquals(keys, ["user:1", "user:2", "lease:abc"]);
  });
});

/** Where a block may be cut so that the rest of it is whole, and how many records that leaves. */
function boundaries(block: Uint8Array): Map<number, number> {
  const ends = new Map([[HEADER, 0]]);
  for (let offset = HEADER; offset < block.length;) {
    offset += 3 + (block[offset + 1] as number) * 256 + (block[offset + 2] as number);
    ends.set(offset, ends.size);
  }
  return ends;
}

test("a block that is cut anywhere is malformed, or has the records before the cut", () => {
  let [whole, malformed] = [0, 0];
  for (const { hex, result, canonical, name } of vectors) {
    if (result !== "read" || !canonical) continue;
    const bytes = fromHex(hex);
    const start = bytes.length - decodePacket(bytes).rest.length;
    const all = readExtension(bytes, start);
    assert(all !== undefined && all !== MALFORMED);
    const ends = boundaries(bytes.subarray(start));
    for (let length = start; length < bytes.length; length++) {
      const cut = within(bytes.subarray(0, length));
      const read = readInPlace(cut);
      const { receiver, receive } = setUp();
      receive(cut);
      const records = ends.get(length - start);
      const where = `${name}, ${length} bytes`;
      if (length - start < 2) {
        assertEquals(read, undefined, where);
      } else if (records === undefined) {
        assertEquals([read, receiver.malformedExtensions], [MALFORMED, 1], where);
        malformed++;
      } else {
        assert(read !== undefined && read !== MALFORMED, where);
        assertEquals(Object.keys(read).length, records, where);
        for (const [tag, value] of Object.entries(read)) assertEquals(value, all[tag as keyof Extension], where);
        whole++;
      }
    }
  }
  assert(whole > 30 && malformed > 800, `${whole} and ${malformed}`);
});

const number = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.maxSafeNat().map((n) => 1 + (n % MAX_NUMBER)),
  fc.constantFrom(1, 255, 256, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, MAX_NUMBER - 1, MAX_NUMBER),
);
const age = fc.oneof(fc.nat(100_000), fc.integer({ min: 2 ** 31, max: NEVER - 1 }), fc.constant(Infinity));
const position = fc.tuple(fc.oneof(fc.constant(0), number), number, age).map(([last, below, age]) => {
  const oldest = Math.min(last + 1, below, MAX_NUMBER);
  return { last, oldest, age };
});
const ranges = fc.uniqueArray(number, { minLength: 1, maxLength: 128, size: "max" }).map((numbers) => {
  const edges = numbers.sort((a, b) => a - b);
  return Array.from({ length: Math.ceil(edges.length / 2) }, (_, i) => {
    const from = edges[2 * i] as number;
    return { from, to: edges[2 * i + 1] ?? from };
  });
});
const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
const port = fc.integer({ min: 1, max: 65_535 });
const hostOf = {
  4: fc.ipV4(),
  // As they are written: what is read is that text.
  6: fc.constantFrom("::", "::1", "fd00::1", "2001:db8:0:1::ff00", "fe80::a0b:c0d", "1:2:3:4:5:6:7:8"),
};
const peersOf = (family: 4 | 6) =>
  fc.array(fc.record({ id, host: hostOf[family], port }, { noNullPrototype: true }), { maxLength: 32 });
const reportOf = (family: 4 | 6) =>
  fc.record({
    port: fc.nat(0xffff),
    heartbeat: fc.nat(NEVER),
    requester: fc.nat(3),
    multicast: fc.boolean(),
    group: hostOf[family],
  }, { noNullPrototype: true });
const anyExtension: fc.Arbitrary<Extension> = fc.record({
  number,
  position,
  stream: id,
  nonce: fc.oneof(fc.nat(3), fc.integer({ min: 2 ** 31, max: NEVER })),
  token: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  ranges,
  since: age,
  base: fc.tuple(number, age).map(([first, age]) => ({ first, age })),
  settled: fc.oneof(fc.constant(0), number),
  retransmit: number,
  echo: fc.oneof(fc.nat(3), fc.integer({ min: 2 ** 31, max: NEVER })),
  path: fc.nat(2),
  heard: fc.array(fc.uint8Array({ minLength: 4, maxLength: 4 }), { maxLength: 256 }).map((ids) =>
    Uint8Array.from(ids.flatMap((id) => [...id]))
  ),
  peers: fc.oneof(peersOf(4), peersOf(6)),
  measure: fc.record({ size: fc.nat(0xffff), byGroup: fc.boolean() }, { noNullPrototype: true }),
  pending: age,
  more: number,
  report: fc.oneof(reportOf(4), reportOf(6)),
}, { requiredKeys: [], noNullPrototype: true });

function recordsOf(block: Uint8Array): Uint8Array[] {
  const ends = [...boundaries(block).keys()];
  return ends.slice(1).map((end, i) => block.subarray(ends[i], end));
}

describe("any extension", () => {
  test("is the same when it is decoded again, in the middle of a datagram too", () => {
    fc.assert(fc.property(anyExtension, fc.nat(50), (extension, start) => {
      const block = encodeExtension(extension);
      assertEquals(decodeExtension(block), extension);
      const bytes = new Uint8Array(start + block.length).fill(0x57);
      bytes.set(block, start);
      assertEquals(readExtension(bytes, start), extension);
    }));
  });

  test("may have its records in any order, with unknown ones between them", () => {
    const unknown = fc.tuple(fc.oneof(fc.constant(0), fc.integer({ min: 100, max: 255 })), fc.uint8Array()).map(
      ([tag, value]) => Uint8Array.of(tag, value.length >> 8, value.length & 0xff, ...value),
    );
    const shuffled = fc.tuple(anyExtension, fc.array(unknown, { maxLength: 5 })).chain(([extension, others]) => {
      const records = [...recordsOf(encodeExtension(extension)), ...others];
      return fc.tuple(
        fc.constant(extension),
        fc.shuffledSubarray(records, { minLength: records.length, maxLength: records.length }),
      );
    });
    fc.assert(fc.property(shuffled, ([extension, records]) => {
      const block = Uint8Array.from([0x57, 0x2b, 1, ...records.flatMap((record) => [...record])]);
      assertEquals(decodeExtension(block), extension);
    }));
  });

  test("with one of its records twice is malformed", () => {
    fc.assert(fc.property(anyExtension, fc.nat(), fc.nat(), (extension, which, where) => {
      const records = recordsOf(encodeExtension(extension));
      if (records.length === 0) return;
      const copy = records[which % records.length] as Uint8Array;
      records.splice(where % (records.length + 1), 0, copy);
      const block = Uint8Array.from([0x57, 0x2b, 1, ...records.flatMap((record) => [...record])]);
      assertEquals(readExtension(block, 0), MALFORMED);
    }));
  });

  test("with a length that is changed is never read as before", () => {
    fc.assert(fc.property(anyExtension, fc.nat(), fc.integer({ min: 1, max: 255 }), (extension, which, change) => {
      const block = encodeExtension(extension);
      const records = recordsOf(block);
      const record = records[which % Math.max(1, records.length)];
      if (record === undefined) return;
      record[2] = (record[2] as number) ^ change;
      const read = readExtension(block, 0);
      if (read !== MALFORMED) assert(JSON.stringify(read && view(read)) !== JSON.stringify(view(extension)));
    }));
  });

  test("returns node ids, tokens and the list of heard nodes as views into the datagram", () => {
    const peers = [{ id: STREAM, host: "10.0.0.1", port: 1 }];
    const block = encodeExtension({ stream: STREAM, token: new Uint8Array(8), heard: new Uint8Array(4), peers });
    const read = decodeExtension(block);
    for (const bytes of [read?.stream, read?.token, read?.heard, read?.peers?.[0]?.id]) {
      assertStrictEquals(bytes?.buffer, block.buffer);
    }
  });
});

describe("ages", () => {
  const finite: readonly [number, number][] = [[0, 0], [0.9, 0], [1.999, 1], [NEVER - 1, NEVER - 1], [
    NEVER - 0.5,
    NEVER - 1,
  ]];
  const endless = [NEVER, 2 ** 32, 1e300, Infinity].map((given) => [given, Infinity] as const);
  for (const [given, read] of [...finite, ...endless]) {
    test(`of ${given} ms are read as ${read}`, () => {
      const extension = { position: { last: 3, oldest: 1, age: given }, since: given, base: { first: 2, age: given } };
      const { position, since, base } = decodeExtension(encodeExtension(extension)) ?? {};
      assertEquals([position?.age, since, base?.age], [read, read, read]);
    });
  }
});

describe("the number of a batch", () => {
  test("is written and read without making an extension, with the same result", () => {
    fc.assert(fc.property(number, fc.nat(40), fc.boolean(), fc.boolean(), (number, offset, isMore, awaited) => {
      const bytes = new Uint8Array(offset + BATCH_EXTENSION_LENGTH).fill(0xee);
      assertEquals(writeNumber(bytes, writeBlockHeader(bytes, offset), number, isMore, awaited), bytes.length);
      const extension = { ...isMore ? { more: number } : { number }, ...awaited && { isAwaited: true as const } };
      assertEquals(bytes.subarray(offset), encodeExtension(extension));
      assertEquals([readNumber(bytes, offset), numberingOf(bytes, offset)], [number, isMore ? "more" : "number"]);
      assertEquals(isAwaited(bytes, offset), awaited);
    }));
  });

  test("becomes that of a retransmission in place, with nothing else changed", () => {
    fc.assert(fc.property(number, fc.uint8Array({ maxLength: 40 }), fc.boolean(), (number, body, awaited) => {
      const wish = awaited ? { isAwaited: true as const } : {};
      for (const numbering of ["number", "more"] as const) {
        const datagram = Uint8Array.of(...body, ...encodeExtension({ [numbering]: number, ...wish }));
        assertEquals(numberingOf(datagram, body.length), numbering);
        markRetransmit(datagram);
        assertEquals([numberingOf(datagram, body.length), readNumber(datagram, body.length)], ["retransmit", number]);
        assertEquals(datagram, Uint8Array.of(...body, ...encodeExtension({ retransmit: number, ...wish })));
      }
    }));
  });

  test("is left to the reader of extensions unless nothing else follows the body", () => {
    const nearly = fc.tuple(number, fc.nat(BATCH_EXTENSION_LENGTH - 1), fc.nat(255)).map(([number, at, byte]) => {
      const block = encodeExtension({ number });
      block[at] = byte;
      return block;
    });
    const rest = fc.oneof(nearly, hostileBlock, fc.uint8Array({ maxLength: 16 }), anyExtension.map(encodeExtension));
    fc.assert(
      fc.property(rest, fc.nat(20), (rest, start) => {
        const bytes = new Uint8Array(start + rest.length);
        bytes.set(rest, start);
        const quick = readNumber(bytes, start);
        const read = readExtension(bytes, start);
        if (quick === 0) assertEquals(rest.length, 0);
        else if (quick !== NOT_PLAIN_NUMBER) {
          const wish = isAwaited(bytes, start) ? { isAwaited: true as const } : {};
          assertEquals(read, { [numberingOf(bytes, start)]: quick, ...wish });
        } else {
          // What it leaves to the other reader is no plain number.
          const isPlain = read !== undefined && read !== MALFORMED &&
            ["number", "retransmit", "more"].includes(
              Object.keys(read).filter((name) => name !== "isAwaited").join(),
            ) &&
            rest.length === BATCH_EXTENSION_LENGTH;
          assertEquals(isPlain, false);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

/** A block of records that are nearly valid: known tags and their lengths, or lengths near them, and any bytes. */
const hostileBlock: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc.array(
  fc.tuple(
    fc.oneof(fc.integer({ min: 0, max: 26 }), fc.nat(255)),
    fc.oneof(fc.constantFrom(0, 1, 4, 6, 8, 10, 12, 16, 23, 24, 35, 45), fc.nat(50)),
    fc.oneof(fc.constantFrom(0, 4, 6, 255), fc.constant(undefined)),
    fc.uint8Array({ minLength: 50, maxLength: 50 }),
    fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, fc.integer({ min: -3, max: 3 })),
  ),
  { maxLength: 6 },
).map((records) =>
  Uint8Array.from([
    0x57,
    0x2b,
    1,
    ...records.flatMap(([tag, length, fill, random, lie]) => {
      const value = Array.from(random.subarray(0, length), (byte, i) => i < 6 && fill !== undefined ? fill : byte);
      return [tag, 0, Math.max(0, length + lie), ...value];
    }),
  ])
);

describe("hostile bytes", () => {
  test("are read without an exception, and the result can be encoded and read again", () => {
    let [readable, malformed] = [0, 0];
    fc.assert(
      fc.property(fc.oneof(hostileBlock, fc.uint8Array({ maxLength: 60 })), fc.nat(5), (block, start) => {
        const bytes = new Uint8Array(start + block.length);
        bytes.set(block, start);
        const read = readExtension(bytes, start);
        if (read === MALFORMED) malformed++;
        if (read === undefined || read === MALFORMED) return;
        readable++;
        // Metadata that this version cannot read is left out.
        const { isMetadataUnreadable: _, ...known } = read;
        assertEquals(decodeExtension(encodeExtension(known)), known);
      }),
      { numRuns: 3000 },
    );
    assert(readable > 100 && malformed > 100, `${readable} and ${malformed}`);
  });

  test("of any packet type make a receiver count, and never throw", () => {
    const { receiver, receive } = setUp();
    const type = fc.constantFrom(2, 3, 0x10, 0x11, 0x12, 0x13, 0x14, 0x17);
    const body = (type: number) => type === 2 ? "00000000000000000000" : type === 3 ? "000100016b" : "";
    let count = 0;
    fc.assert(
      fc.property(type, hostileBlock, (type, block) => {
        const head = fromHex(`57${type.toString(16).padStart(2, "0")}${"11".repeat(16)}${body(type)}`);
        receive(Uint8Array.of(...head, ...block));
        count++;
        assertEquals(receiver.delivered, count);
      }),
      { numRuns: 1000 },
    );
    assert(receiver.malformedExtensions > 100);
    assertEquals(receiver.decodeErrors, 0);
  });
});

describe("encodeExtension refuses", () => {
  const [nodeId, token] = [new Uint8Array(16), new Uint8Array(8)];
  const good = { last: 3, oldest: 1, age: 0 };
  const peer = { id: nodeId, host: "10.0.0.1", port: 1 };
  const peersOf = (count: number) => Array.from({ length: count }, () => peer);
  const range = (from: number, to: number) => ({ from, to });
  const cases: readonly [string, Extension, string][] = [
    ...[-1, 1.5, NaN, Infinity, 2 ** 48].map((number): [string, Extension, string] => [
      `the number ${number}`,
      { number },
      `numbers must be integers from 0 to 2^48 - 1: current value is ${number}`,
    ]),
    ["the number 0", { number: 0 }, "record 1 is out of its range"],
    ["the number 0 of what is sent again", { retransmit: 0 }, "record 10 is out of its range"],
    ["a position whose oldest is 0", { position: { ...good, oldest: 0 } }, "record 2 is out of its range"],
    ["a position whose oldest is above last + 1", { position: { ...good, oldest: 5 } }, "record 2 is out of its range"],
    ["a position whose last is no integer", { position: { ...good, last: 0.5 } }, "current value is 0.5"],
    [
      "a position whose oldest can not be written",
      { position: { ...good, last: MAX_NUMBER, oldest: 2 ** 48 } },
      "2^48",
    ],
    ["a negative age", { position: { ...good, age: -1 } }, "an age must be a number from 0 up: current value is -1"],
    ["an age that is no number", { since: NaN }, "an age must be a number from 0 up: current value is NaN"],
    ["a negative age of a base", { base: { first: 1, age: -0.1 } }, "current value is -0.1"],
    ["a stream of 15 bytes", { stream: nodeId.subarray(1) }, "record 3 is out of its range"],
    ["a stream of 17 bytes", { stream: new Uint8Array(17) }, "record 3 is out of its range"],
    ...[-1, 0.5, 2 ** 32, NaN].map((nonce): [string, Extension, string] => [
      `the nonce ${nonce}`,
      { nonce },
      `a nonce must be an integer from 0 to 2^32 - 1: current value is ${nonce}`,
    ]),
    ["a token of 7 bytes", { token: token.subarray(1) }, "record 5 is out of its range"],
    ["a token of 9 bytes", { token: new Uint8Array(9) }, "record 5 is out of its range"],
    ["no ranges", { ranges: [] }, "record 6 is out of its range"],
    [
      "65 ranges",
      { ranges: Array.from({ length: 65 }, (_, i) => range(i + 1, i + 1)) },
      "record 6 is out of its range",
    ],
    ["a range from 0", { ranges: [range(0, 1)] }, "record 6 is out of its range"],
    ["a range that descends", { ranges: [range(2, 1)] }, "record 6 is out of its range"],
    ["ranges that overlap", { ranges: [range(1, 2), range(2, 3)] }, "record 6 is out of its range"],
    ["ranges that descend", { ranges: [range(5, 6), range(1, 2)] }, "record 6 is out of its range"],
    ["a range beyond the numbers", { ranges: [range(1, 2 ** 48)] }, `current value is ${2 ** 48}`],
    ["a base from 0", { base: { first: 0, age: 1 } }, "record 8 is out of its range"],
    ["a base beyond the numbers", { base: { first: 2 ** 48, age: 1 } }, `current value is ${2 ** 48}`],
    ["settled beyond the numbers", { settled: 2 ** 48 }, `current value is ${2 ** 48}`],
    ["a negative settled", { settled: -1 }, "current value is -1"],
    ...[-1, 0.5, 65_536].map((size): [string, Extension, string] => [
      `the size ${size} of an answer`,
      { measure: { size, byGroup: false } },
      "a record of a probe is out of its range",
    ]),
    ...[{ port: 65_536 }, { heartbeat: 0.5 }, { heartbeat: 2 ** 32 }, { requester: 4 }, { group: "mesh" }, {
      group: "",
    }]
      .map(
        (wrong): [string, Extension, string] => [
          `a report with ${JSON.stringify(wrong)}`,
          { report: { port: 1, heartbeat: 1, requester: 0, multicast: true, group: "239.0.0.1", ...wrong } },
          "out of its range",
        ],
      ),
    ...[-1, 0.5, 2 ** 32, NaN].map((echo): [string, Extension, string] => [
      `the echo ${echo}`,
      { echo },
      `a nonce must be an integer from 0 to 2^32 - 1: current value is ${echo}`,
    ]),
    ["the path 3", { path: 3 }, "record 12 is out of its range"],
    ["half an id that is heard", { heard: new Uint8Array(6) }, "record 13 is out of its range"],
    ["257 that are heard", { heard: new Uint8Array(4 * 257) }, "record 13 is out of its range"],
    ["33 peers", { peers: peersOf(33) }, "at most 32"],
    ...[0, -1, 1.5, 65_537, NaN].map((port): [string, Extension, string] => [
      `a peer with the port ${port}`,
      { peers: [...peersOf(2), { ...peer, port }] },
      "a port from 1 to 65535 and an address as RFC 5952 writes it, all of one family and at most 32: current value is 10.0.0.1",
    ]),
    ...["", "name", "10.0.0.256", "10.0.0", "010.0.0.1", "fd00::1"].map((host): [string, Extension, string] => [
      `a peer at ${JSON.stringify(host)} after one of IPv4`,
      { peers: [peer, { ...peer, host }] },
      `current value is ${host} port 1`,
    ]),
    ...["FD00::1", "fd00:0::1", "fe80::1%eth0", "10.0.0.1", "::ffff:10.0.0.1"].map((
      host,
    ): [string, Extension, string] => [
      `a peer at ${host} after one of IPv6`,
      { peers: [{ ...peer, host: "fd00::2" }, { ...peer, host }] },
      `current value is ${host} port 1`,
    ]),
    ["a peer with an id of 15 bytes", { peers: [{ ...peer, id: nodeId.subarray(1) }, peer] }, "an id of 16 bytes"],
    ["a peer with an id of 17 bytes", { peers: [{ ...peer, id: new Uint8Array(17) }, peer] }, "an id of 16 bytes"],
  ];
  for (const [name, extension, text] of cases) {
    test(name, () => {
      const { message } = assertThrows(() => encodeExtension(extension), RangeError, text);
      assert(message.startsWith("Cannot encode as "), message);
      assertThrows(() => encodeExtension({ number: 1, ...extension }), RangeError);
    });
  }

  test("values that are all in range are encoded", () => {
    assertEquals(toHex(encodeExtension({})), "572b01");
    assertEquals(
      toHex(encodeExtension({ settled: 0, nonce: 0, number: undefined as unknown as number })).length,
      2 * 19,
    );
  });
});

test("however a heartbeat is truncated, no position is read without what is pending", () => {
  const nodeId = fromHex("00112233445546778899aabbccddeeff");
  const extension = { position: { last: 9, oldest: 1, age: 5 }, pending: 700, nonce: 1, path: 2, heard: STREAM };
  const whole = encodeControl(HEARTBEAT, nodeId, extension);
  let positions = 0;
  for (let length = whole.length; length >= 18; length--) {
    const read = readExtension(whole.subarray(0, length), 18);
    if (read === MALFORMED || read?.position === undefined) continue;
    positions++;
    assertEquals(read.pending, 700, `${length} bytes`);
  }
  assert(positions >= 3, `${positions}`);
});

test("a control packet is a header and a block", () => {
  const nodeId = fromHex("00112233445546778899aabbccddeeff");
  const extension = { stream: STREAM, settled: 5 };
  const packet = decodePacket(encodeControl(0x11, nodeId, extension));
  assertEquals([packet.type, formatNodeId(packet.nodeId)], [0x11, "00112233-4455-4677-8899-aabbccddeeff"]);
  assertEquals(decodeExtension(packet.rest), extension);
});
