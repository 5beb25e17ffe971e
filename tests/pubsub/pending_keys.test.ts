// The pending keys: which keys are pending while batches come and go.
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { hashOf } from "../../src/pubsub/key_hash.ts";
import { PendingKeys } from "../../src/pubsub/pending_keys.ts";
import { anyKey } from "../support/arbitraries.ts";

/** A table with batches as the batcher has them: a length of two bytes before each key. */
function makeTable(hash: typeof hashOf = hashOf, first = 0) {
  const batches = new Map<number, number[]>();
  const keys = new PendingKeys((serial) => Uint8Array.from(batches.get(serial) ?? []));
  let newest = first;
  let pending = 0;
  keys.first = first;
  batches.set(newest, []);
  const has = (text: string) => {
    // Somewhere in the middle, as in a datagram.
    const bytes = Uint8Array.of(1, 2, 3, ...new TextEncoder().encode(text), 4);
    return keys.find(hash(bytes, 3, bytes.length - 1), bytes, 3, bytes.length - 1) >= 0;
  };
  const add = (text: string) => {
    assert(!has(text));
    const bytes = new TextEncoder().encode(text);
    const batch = batches.get(newest) as number[];
    keys.add(hash(bytes, 0, bytes.length), newest, batch.length, ++pending);
    batch.push(bytes.length >> 8, bytes.length & 0xff, ...bytes);
  };
  const cut = () => {
    newest++;
    batches.set(newest, []);
  };
  /** The oldest batch is removed, and its memory is used for something else. */
  const take = (count: number) => {
    batches.delete(keys.first);
    pending -= count;
    keys.take(pending);
  };
  return { keys, has, add, cut, take };
}

describe("PendingKeys", () => {
  test("finds keys in batches that were not taken, as a model does", () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.oneof(anyKey, fc.nat(40).map((i) => `key:${i}`)) },
      { weight: 1, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.constant(1) },
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 600, size: "max" }), fc.boolean(), (steps, collides) => {
      const table = makeTable(collides ? () => 7 : undefined);
      const model: Set<string>[] = [new Set()];
      for (const step of steps) {
        if (step === 0) {
          table.cut();
          model.push(new Set());
        } else if (step === 1) {
          if (model.length === 1) continue;
          table.take(model.shift()?.size ?? 0);
        } else {
          const key = String(step);
          const isPending = model.some((batch) => batch.has(key));
          // With one hash for all, only so many are compared.
          if (!collides) assertEquals(table.has(key), isPending, key);
          else assert(isPending || !table.has(key), key);
          if (isPending) continue;
          table.add(key);
          model.at(-1)?.add(key);
        }
      }
    }));
  });

  test("never reports a key as pending when it is not, though all hashes are the same", () => {
    const { has, add, cut, take } = makeTable(() => -1);
    for (let i = 0; i < 2000; i++) {
      add(`key:${i}`);
      cut();
      if (i % 2 === 0) take(1);
      assertEquals([has(`other:${i}`), has("key:0")], [false, false]);
    }
  });

  test("finds no text of a batch that was taken, however many have been since", () => {
    const { keys } = makeTable();
    keys.addText("rare", 0);
    assertEquals(keys.hasText("rare"), true);
    keys.addText("newer", 2 ** 41);
    for (const first of [1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40]) {
      keys.first = first;
      assertEquals(keys.hasText("rare"), false, `${first}`);
    }
    keys.addText("rare", 2 ** 40 + 1);
    assertEquals([keys.hasText("rare"), keys.hasText("newer"), keys.hasText("other")], [true, true, false]);
  });

  test("works when serials pass the largest integer of 32 bits, and positions wrap around", () => {
    for (const first of [2 ** 20 - 4, 2 ** 21 - 4, 2 ** 31 - 4, 2 ** 32 - 4]) goOn(first);
  });

  function goOn(first: number): void {
    const { has, add, cut, take } = makeTable(hashOf, first);
    for (let i = 0; i < 10; i++) {
      add(`key:${i}`);
      cut();
      add(`next:${i}`);
      assertEquals([has(`key:${i}`), has(`next:${i}`)], [true, true]);
      take(1);
      assertEquals([has(`key:${i}`), has(`next:${i}`)], [false, true]);
    }
  }

  test("hashes every byte and the length", () => {
    const bytes = new TextEncoder().encode("user:0000000042");
    const hash = hashOf(bytes, 0, bytes.length);
    const others = new Set<number>();
    for (let i = 0; i < bytes.length; i++) {
      const other = bytes.slice();
      other[i] = (other[i] as number) ^ 1;
      others.add(hashOf(other, 0, other.length));
      others.add(hashOf(bytes, 0, i));
    }
    assertEquals([others.has(hash), others.size], [false, 2 * bytes.length]);
  });
});
