// Keys as bytes, and how rarely a text is made of them.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { Receiver } from "../../src/net/receiver.ts";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { SyncEvent } from "../../src/pubsub/sync_bus.ts";
import { BatchWriter } from "../../src/wire/batch_writer.ts";
import { KeyBytes } from "../../src/wire/key_bytes.ts";
import { scanPacket, visitBatch } from "../../src/wire/packet.ts";
import { equalsUtf8 } from "../../src/wire/utf8.ts";
import { anyKey } from "../support/arbitraries.ts";
import { addKey } from "../support/batches.ts";
import { controlSink, keySink } from "../support/receiver_sinks.ts";

test("a datagram that comes while another is read does not affect that", () => {
  const heard: string[] = [];
  const receiver = new Receiver({
    nodeId: new Uint8Array(16).fill(1),
    extended: true,
    keys: keySink(({ text }) => {
      heard.push(text);
      if (text === "a") receiver.receive(batchOf(["inner", "é"]), "127.0.0.1", 9);
    }),
    streams: undefined,
    control: controlSink(),
  });
  receiver.receive(batchOf(["a", "b", "c"]), "127.0.0.1", 9);
  assertEquals([heard, receiver.invalidKeys], [["a", "inner", "é", "b", "c"], 0]);
});

test("the retained text of a key is its text, whatever its length and the bytes beside it", () => {
  for (let length = 0; length <= 120; length++) {
    const ascii = Array.from({ length }, (_, i) => String.fromCharCode(33 + (i % 90))).join("");
    for (const keys of [[ascii], ["first", ascii, "last"], [ascii, "é"], [ascii.slice(1) + "é"]]) {
      const bytes = batchOf(keys);
      const got: [string, string][] = [];
      visitBatch(bytes, scanPacket(bytes), new KeyBytes(), (key) => {
        // Each of them is read first once.
        if (length % 2 === 0) got.push([key.ownText, key.text]);
        else got.push([key.text, key.ownText].reverse() as [string, string]);
      });
      assertEquals(got, keys.map((key) => [key, key]));
    }
  }
});

function batchOf(keys: readonly string[]): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(16));
  for (const key of keys) addKey(writer, key);
  return writer.bytes().slice();
}

/** The number of texts that `action` makes of bytes. */
function countTexts(action: () => void): number {
  const { decode } = TextDecoder.prototype;
  let count = 0;
  TextDecoder.prototype.decode = function (...args) {
    count++;
    return decode.apply(this, args);
  };
  try {
    action();
  } finally {
    TextDecoder.prototype.decode = decode;
  }
  return count;
}

describe("the bytes of a key", () => {
  test("are equal to the text that they encode, and to no other", () => {
    const near = fc.constantFrom("", "a", "ab", "é", "Ã©", "\u00c3", "€", "😀", "aé", "éa", "a😀");
    const text = fc.oneof(near, anyKey);
    fc.assert(
      fc.property(text, text, (one, other) => {
        const { bytes, start, end } = new KeyBytes().encode(one);
        assertEquals(equalsUtf8(one, bytes, start, end), true);
        assertEquals(equalsUtf8(other, bytes, start, end), one === other);
      }),
      { numRuns: 2000 },
    );
  });

  test("give the texts of a batch, and retain nothing of it", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string({ maxLength: 10 }), anyKey), { maxLength: 20 }), (list) => {
        const keys = [...new Set(list)];
        const bytes = batchOf(keys);
        const key = new KeyBytes();
        const texts: string[] = [];
        visitBatch(bytes, scanPacket(bytes), key, ({ text }) => void texts.push(text));
        assertEquals([texts, key.bytes.length], [keys, 0]);
      }),
    );
  });
});

describe("texts of keys that arrive", () => {
  const keys = Array.from({ length: 60 }, (_, i) => `user:${i}`);
  const deliver = (subscriptions: Subscriptions, keys: readonly string[]) => {
    const bytes = batchOf(keys);
    return countTexts(() =>
      visitBatch(bytes, scanPacket(bytes), new KeyBytes(), (key) => void subscriptions.deliver(key))
    );
  };
  const unexpected = (error: unknown) => {
    throw error;
  };

  test("are not made for exact subscriptions, which have their own, nor when nothing is subscribed", () => {
    const subscriptions = new Subscriptions(unexpected);
    const events: SyncEvent[] = [];
    assertEquals(deliver(subscriptions, keys), 0);
    for (const key of keys.slice(0, 10)) subscriptions.add(key, (event) => events.push(event));
    const queue = subscriptions.add(keys[10] as string);
    assertEquals([deliver(subscriptions, keys), deliver(subscriptions, ["é", "😀"])], [0, 0]);
    assertEquals(events, keys.slice(0, 10).map((key) => ({ key, cause: "publish" })));
    queue.close();
    assertEquals(deliver(subscriptions, keys), 0);
  });

  test("are not made when no prefix fits, and once for all of an ASCII batch when one does", () => {
    const subscriptions = new Subscriptions(unexpected);
    const events: SyncEvent[] = [];
    for (const prefix of ["item:", "user:59", "é"]) subscriptions.add({ prefix }, (event) => events.push(event));
    assertEquals(deliver(subscriptions, keys.slice(0, 59)), 0);
    assertEquals(deliver(subscriptions, keys), 1);
    assertEquals(events.map(({ key }) => key), ["user:59"]);
    assertEquals(deliver(subscriptions, ["à", "é1", "user", "é"]), 2);
    assertEquals(events.slice(1).map(({ key }) => key), ["é1", "é"]);
  });
});
