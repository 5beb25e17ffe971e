// Records of acknowledged delivery and of published prefixes: outcomes, nodes, prefixes.
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import type { Outcome } from "../../src/acknowledgement.ts";
import { readNode, writeNode } from "../../src/wire/node_record.ts";
import {
  type DeliveredBatch,
  deliveredLength,
  isComplete,
  outcomeOf,
  readDelivered,
  writeDelivered,
} from "../../src/wire/outcomes.ts";
import { readPrefixes, writePrefix } from "../../src/wire/prefixes.ts";
import { utf8Length } from "../../src/wire/utf8.ts";

const outcome = fc.constantFrom<Outcome>("unsubscribed", "delivered", "failed");
const outcomes = fc.oneof(outcome, fc.array(fc.option(outcome, { nil: undefined }), { maxLength: 40 }));
const batch: fc.Arbitrary<DeliveredBatch> = fc.record({
  number: fc.integer({ min: 1, max: 2 ** 31 }),
  outcomes,
}, { noNullPrototype: true });

describe("delivered batches", () => {
  test("have as many bytes as they say, and are read as they were written", () => {
    fc.assert(fc.property(fc.array(batch, { minLength: 1, maxLength: 64 }), (batches) => {
      const bytes = writeDelivered(batches);
      assertEquals(bytes.length, batches.reduce((sum, each) => sum + deliveredLength(each), 0));
      assertEquals(readDelivered(bytes), batches);
    }));
  });

  test("that were cut or changed are read without an exception", () => {
    fc.assert(fc.property(fc.array(batch, { minLength: 1, maxLength: 4 }), fc.nat(), fc.nat(255), (batches, at, to) => {
      const bytes = writeDelivered(batches);
      assert((readDelivered(bytes.subarray(0, at % bytes.length))?.length ?? 0) < batches.length);
      bytes[at % bytes.length] = to;
      readDelivered(bytes);
    }));
  });

  test("are 64 at most", () => {
    const batches = Array.from({ length: 65 }, (_, i): DeliveredBatch => ({ number: i + 1, outcomes: "delivered" }));
    assertEquals(readDelivered(writeDelivered(batches)), undefined);
    assertEquals(readDelivered(writeDelivered(batches.slice(1)))?.length, 64);
  });

  test("have an outcome for each entry, or one for all", () => {
    assertEquals([outcomeOf("delivered", 400), outcomeOf(["failed", undefined], 0)], ["delivered", "failed"]);
    assertEquals([outcomeOf(["failed", undefined], 1), outcomeOf(["failed"], 1)], [undefined, undefined]);
    assertEquals([isComplete("failed"), isComplete(["failed"]), isComplete(["failed", undefined])], [
      true,
      true,
      false,
    ]);
  });
});

describe("a node", () => {
  test("is read as it was written", () => {
    for (const zone of [undefined, "eu-1a", "é".repeat(32)]) {
      for (const acknowledges of [true, false]) {
        const node = { acknowledges, ...zone !== undefined && { zone } };
        assertEquals(readNode(writeNode(node)), node);
      }
    }
  });
});

describe("prefixes", () => {
  test("are read as they were written, the empty one too", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    fc.assert(fc.property(fc.array(text, { minLength: 1, maxLength: 10 }), (prefixes) => {
      const bytes = new Uint8Array(prefixes.reduce((sum, each) => sum + 2 + utf8Length(each), 0));
      let end = 0;
      for (const each of prefixes) end = writePrefix(bytes, end, each);
      assertEquals(readPrefixes(bytes), prefixes);
      assertEquals(readPrefixes(bytes.subarray(0, -1)), undefined);
    }));
  });
});
