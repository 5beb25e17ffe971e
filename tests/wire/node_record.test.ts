// The node record: whether the sender of a heartbeat acknowledges deliveries, and its zone.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { readNode, writeNode } from "../../src/wire/node_record.ts";
import { name } from "../support/arbitraries.ts";
import { fromHex, toHex } from "../support/hex.ts";

describe("a node record", () => {
  test("is the same when it is read again", () => {
    fc.assert(fc.property(fc.boolean(), fc.option(name, { nil: undefined }), (acknowledges, zone) => {
      const record = zone === undefined ? { acknowledges } : { acknowledges, zone };
      assertEquals(readNode(writeNode(record)), record);
    }));
  });

  test("is a byte of flags, and the zone until its end", () => {
    assertEquals([toHex(writeNode({ acknowledges: true })), toHex(writeNode({ acknowledges: false }))], ["01", "00"]);
    assertEquals(toHex(writeNode({ acknowledges: true, zone: "é1" })), "01c3a931");
    assertEquals(readNode(fromHex("ff61")), { acknowledges: true, zone: "a" });
    assertEquals(readNode(fromHex("fe")), { acknowledges: false });
  });

  test("is read with a zone of 64 bytes, and not with one of 65", () => {
    assertEquals(readNode(fromHex(`01${"61".repeat(64)}`))?.zone?.length, 64);
    assertEquals(readNode(fromHex(`01${"61".repeat(65)}`)), undefined);
  });

  test("is not read when it is empty, or its zone is no UTF-8", () => {
    assertEquals([readNode(new Uint8Array(0)), readNode(fromHex("01ff")), readNode(fromHex("01c3"))], [
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("of any bytes is read as it would be written, apart from unknown flags", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), (value) => {
      const read = readNode(value);
      if (read === undefined) return;
      const known = Uint8Array.from(value, (byte, i) => i === 0 ? byte & 1 : byte);
      assertEquals(writeNode(read), known);
    }));
  });
});
