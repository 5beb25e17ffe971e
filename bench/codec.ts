/**
 * Codec benchmark: the cost of a key in the codec, compared with the runtime's own encoder and decoder.
 *
 * @module
 */

import process from "node:process";
import { BatchWriter } from "../src/wire/batch_writer.ts";
import { TYPE_INVALIDATE } from "../src/wire/layout.ts";
import { encodePacket, readBatch, scanPacket } from "../src/wire/packet.ts";
import { print } from "./figures.ts";
import { asciiKeys, KEYS_PER_DATAGRAM, wideKeys } from "./keys.ts";
import { measure, type Row } from "./microbenchmark.ts";

const nodeId = new Uint8Array(16).fill(7);
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const DATAGRAMS = 16;
const KEYS = DATAGRAMS * KEYS_PER_DATAGRAM;

// Holds the last result, so that no compiler drops the work.
let sink: unknown;

const invalidate = encoder.encode("user:00000000042");
print(
  await measure([
    ...keyRows("ascii", asciiKeys(KEYS)),
    ...keyRows("wide", wideKeys(KEYS)),
    {
      name: "codec.packet",
      unit: "ns/call",
      times: KEYS,
      block() {
        for (let i = 0; i < KEYS; i++) {
          sink = encodePacket({ type: TYPE_INVALIDATE, nodeId, keyHash: 0n, key: invalidate });
        }
      },
      control: "codec.packet.control",
    },
    {
      // A datagram of that size, with the node id and the key in it.
      name: "codec.packet.control",
      unit: "ns/call",
      times: KEYS,
      block() {
        for (let i = 0; i < KEYS; i++) {
          const bytes = new Uint8Array(28 + invalidate.length);
          bytes.set(nodeId, 2);
          bytes.set(invalidate, 28);
          sink = bytes;
        }
      },
    },
  ], process.argv.includes("--quick")),
);
if (sink === undefined) throw new Error("Nothing was measured");

function keyRows(kind: string, keys: readonly string[]): Row[] {
  const writers = Array.from({ length: DATAGRAMS }, () => new BatchWriter(nodeId));
  const fill = () => {
    writers.forEach((writer, i) => {
      writer.clear();
      for (let k = 0; k < KEYS_PER_DATAGRAM; k++) writer.commit(writer.put(keys[i * KEYS_PER_DATAGRAM + k] as string));
    });
    sink = writers;
  };
  fill();
  const datagrams = writers.map((writer) => writer.bytes().slice());
  const end = scanPacket(datagrams[0] as Uint8Array);
  if (end !== 20 + 18 * KEYS_PER_DATAGRAM) throw new Error(`A full batch ends at ${end}`);
  const buffer = new Uint8Array(1400);
  const encoded = keys.map((key) => encoder.encode(key));
  const keep = (key: string) => sink = key;
  return [
    { name: `codec.encode.${kind}`, unit: "ns/key", times: KEYS, block: fill, control: `codec.encode.${kind}.control` },
    {
      name: `codec.encode.${kind}.control`,
      unit: "ns/key",
      times: KEYS,
      block() {
        let written = 0;
        keys.forEach((key, i) => written += encoder.encodeInto(key, buffer.subarray((i % 64) * 18)).written);
        sink = written;
      },
    },
    {
      name: `codec.decode.${kind}`,
      unit: "ns/key",
      times: KEYS,
      block() {
        for (const datagram of datagrams) readBatch(datagram, scanPacket(datagram), keep);
      },
      control: `codec.decode.${kind}.control`,
    },
    {
      name: `codec.decode.${kind}.control`,
      unit: "ns/key",
      times: KEYS,
      block() {
        for (const bytes of encoded) keep(decoder.decode(bytes));
      },
    },
  ];
}
