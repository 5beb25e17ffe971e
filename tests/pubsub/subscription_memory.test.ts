// The memory of a subscription, on Node: other runtimes do not report it so exactly.
import { describe, test } from "node:test";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assertEquals, assertLess } from "@std/assert";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { Subscription } from "../../src/pubsub/sync_bus.ts";
import { BatchWriter } from "../../src/wire/batch_writer.ts";
import { KeyBytes } from "../../src/wire/key_bytes.ts";
import { scanPacket, visitBatch } from "../../src/wire/packet.ts";
import { addKey } from "../support/batches.ts";

const COUNT = 100_000;
/** Bytes of a subscription beside its key. */
const LIMIT = 250;

const isNode = process.versions["deno"] === undefined && process.versions["bun"] === undefined;

// Once: each of these contexts takes some 100 kB, and is not always freed when the next is made.
if (isNode) setFlagsFromString("--expose-gc");
const collect = isNode ? runInNewContext("gc") as () => void : () => {};

function used(): number {
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe("a subscription", { skip: isNode ? false : "measured on Node" }, () => {
  const keys = Array.from({ length: COUNT }, (_, i) => `user:${String(i).padStart(11, "0")}`);
  const nothing = () => {};
  const add = {
    callback: (subscriptions: Subscriptions, key: string) => subscriptions.add(key, nothing),
    iterated: (subscriptions: Subscriptions, key: string) => subscriptions.add(key),
  };

  for (const [how, subscribe] of Object.entries(add)) {
    test(`to a key takes at most ${LIMIT} bytes beside it: ${how}`, () => {
      const subscriptions = new Subscriptions(nothing);
      // Compiled code takes memory too.
      for (const key of keys.slice(0, 10_000)) subscribe(subscriptions, key).close();
      const held = new Array<Subscription | undefined>(COUNT).fill(undefined);
      const before = used();
      for (const [i, key] of keys.entries()) held[i] = subscribe(subscriptions, key);
      const each = (used() - before) / COUNT;
      assertLess(each, LIMIT);
      for (const subscription of held) subscription?.close();
      held.fill(undefined);
      // What is left is what a table has that never held anything, and compiled code.
      assertLess((used() - before) / COUNT, 5);
      assertEquals(subscriptions.count("user:00000000000"), 0);
    });
  }

  test("that is closed leaves nothing, though a new one to another key comes in its place", () => {
    const subscriptions = new Subscriptions(nothing);
    const held: Subscription[] = [];
    const churn = (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        held[i % 100]?.close();
        held[i % 100] = i % 2 === 0 ? subscriptions.add(`churn ${i}`, nothing) : subscriptions.add({ prefix: `p${i}` });
      }
    };
    churn(0, 10_000);
    const before = used();
    churn(10_000, 300_000);
    assertLess(used() - before, 100_000);
  });
});

describe("a key that is kept", { skip: isNode ? false : "measured on Node" }, () => {
  // The longest of each of the ways in which a text is made, and a datagram with that key alone.
  for (
    const [length, beside] of [[12, 60], [16, 60], [24, 40], [25, 40], [100, 12], [12, 0], [32, 0], [100, 0]] as const
  ) {
    test(`of ${length} characters retains nothing of a datagram with ${beside} others`, () => {
      const others = Array.from({ length: beside }, (_, i) => `other:${String(i).padStart(12, "0")}`);
      const kept: string[] = new Array(5_000).fill("");
      const key = new KeyBytes();
      const keep = (i: number) => {
        const writer = new BatchWriter(new Uint8Array(16));
        for (const text of [...others, String(i).padStart(length, "k")]) addKey(writer, text);
        const bytes = writer.bytes();
        visitBatch(bytes, scanPacket(bytes), key, (key) => {
          // Another text than the first of them is cut out of the datagram's.
          if (key.text.length === length) kept[i] = key.ownText;
        });
      };
      for (const i of kept.keys()) keep(i);
      kept.fill("");
      const before = used();
      for (const i of kept.keys()) keep(i);
      // As many as its characters take, and as many small pieces.
      assertLess((used() - before) / kept.length, 2 * length + 80);
      assertEquals(kept[17], "17".padStart(length, "k"));
    });
  }
});
