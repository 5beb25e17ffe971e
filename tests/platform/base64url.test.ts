// Base64url: against the runtime's own, and texts that it never makes.
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { fromBase64url, toBase64url } from "../../src/platform/base64url.ts";

test("is what others make of the same bytes, and is read again", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    const text = toBase64url(bytes);
    assertEquals(text, Buffer.from(bytes).toString("base64url"));
    assertEquals(fromBase64url(text), Uint8Array.from(bytes));
  }));
});

test("refuses every text that it does not make", () => {
  for (const text of ["A", "AAAAA", "AB", "AAB", "AA=", "AA==", "A A", "+A", "/A", "é", "A\n"]) {
    assertEquals(fromBase64url(text), undefined, JSON.stringify(text));
  }
  fc.assert(fc.property(fc.string({ maxLength: 12 }), (text) => {
    const bytes = fromBase64url(text);
    if (bytes !== undefined) assertEquals(toBase64url(bytes), text);
  }));
});
