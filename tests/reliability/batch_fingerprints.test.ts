// Batch fingerprints: which batches they distinguish.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLess } from "@std/assert";
import { SeededRandom } from "../../adapters/memory.ts";
import { BatchFingerprints } from "../../src/reliability/batch_fingerprints.ts";
import { BatchWriter } from "../../src/wire/batch_writer.ts";
import { fingerprintOf, scanPacket } from "../../src/wire/packet.ts";
import { addKey } from "../support/batches.ts";

const NODE_ID = new Uint8Array(16).fill(1);

function batch(keys: readonly string[], number?: number): Uint8Array {
  const writer = new BatchWriter(NODE_ID, true);
  for (const key of keys) assertEquals(addKey(writer, key), 0);
  return writer.bytes(number).slice();
}

function fingerprint(keys: readonly string[], number?: number): number {
  const bytes = batch(keys, number);
  return fingerprintOf(bytes, scanPacket(bytes));
}

describe("the fingerprint of a batch", () => {
  test("is that of its keys alone: the same when it is retransmitted", () => {
    for (const keys of [["a"], ["user:1", "user:2"], Array.from({ length: 60 }, (_, i) => `session:${i}`)]) {
      assertEquals(fingerprint(keys, 1), fingerprint(keys, 99));
      assertEquals(fingerprint(keys, 1), fingerprint(keys));
    }
  });

  test("distinguishes short batches that differ in a byte, and long ones", () => {
    const short = new Set(Array.from({ length: 1000 }, (_, i) => fingerprint([`user:${i}`])));
    assertEquals(short.size, 1000);
    const random = new SeededRandom(3);
    const long = () => Array.from({ length: 60 }, () => `user:${random.below(100_000)}`);
    let same = 0;
    for (let i = 0; i < 1000; i++) if (fingerprint(long()) === fingerprint(long())) same++;
    assertLess(same, 2);
  });
});

describe("the fingerprint of a batch whose keys are of one length", () => {
  for (const suffix of ["", ":v", ":profile"]) {
    test(`differs when the keys do, with "${suffix}" behind, however long and many they are`, () => {
      for (let length = 5; length <= 40; length += 3) {
        for (let count = 1; count * (length + suffix.length + 2) <= 1366; count++) {
          const fingerprints = new Set<number>();
          for (let i = 0; i < 8; i++) {
            const key = (j: number) => `${(i * 7919 + j * 10_473) % 100_000}`.padStart(length, "0") + suffix;
            fingerprints.add(fingerprint(Array.from({ length: count }, (_, j) => key(j))));
          }
          assertEquals(fingerprints.size, 8, `${count} keys of ${length} and "${suffix}"`);
        }
      }
    });
  }

  test("differs when any one of 60 keys does", () => {
    const keys = Array.from({ length: 60 }, (_, i) => `user:${100_000 + i}:profile`);
    const fingerprints = new Set([fingerprint(keys)]);
    for (let i = 0; i < 60; i++) {
      fingerprints.add(fingerprint(keys.map((key, j) => i === j ? `user:${200_000 + i}:profile` : key)));
    }
    assertEquals(fingerprints.size, 61);
  });
});

describe("fingerprints", () => {
  test("cover the last 128 numbers, and say nothing of others", () => {
    const fingerprints = new BatchFingerprints();
    for (let number = 1; number <= 200; number++) fingerprints.note(number, (number + 0x8000_0000) | 0);
    assertEquals([1, 72, 201].map((number) => fingerprints.differs(number, 5)), [false, false, false]);
    for (const number of [73, 128, 200]) {
      assert(fingerprints.differs(number, 5));
      assert(!fingerprints.differs(number, (number + 0x8000_0000) | 0));
    }
  });

  test("keep the newer of two, forget numbers that were taken back, and work with numbers beyond 32 bits", () => {
    const fingerprints = new BatchFingerprints();
    for (const number of [300, 172]) fingerprints.note(number, number);
    assertEquals([fingerprints.knows(300), fingerprints.knows(172)], [true, false]);
    fingerprints.endAt(299);
    fingerprints.note(172, 5);
    assertEquals([fingerprints.knows(300), fingerprints.knows(172)], [false, true]);
    fingerprints.note(2 ** 40 + 5, 1);
    assertEquals([
      fingerprints.differs(2 ** 40 + 5, 1),
      fingerprints.differs(2 ** 40 + 5, 2),
      fingerprints.differs(2 ** 40 + 6, 2),
    ], [
      false,
      true,
      false,
    ]);
  });
});
