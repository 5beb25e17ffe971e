// UTF-8 in place against the runtime's own encoder and decoder.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { ILL_FORMED, isAscii, isUtf8, NO_ROOM, readUtf8, utf8Length, writeUtf8 } from "../../src/wire/utf8.ts";
import { anyString, nearlyUtf8 } from "../support/arbitraries.ts";
import { fromHex } from "../support/hex.ts";

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What the runtime decodes; `undefined` when the bytes are not UTF-8. */
function decode(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

function isWellFormed(text: string): boolean {
  return !/[\ud800-\udfff]/u.test(text);
}

describe("isUtf8", () => {
  // Unicode 15, table 3-7: the first and the last of each row, and their neighbours.
  const valid = ["00", "7f", "c280", "dfbf", "e0a080", "e0bfbf", "e18080", "ecbfbf", "ed8080", "ed9fbf", "ee8080"];
  const validLonger = ["efbfbf", "f0908080", "f0bfbfbf", "f1808080", "f3bfbfbf", "f4808080", "f48fbfbf", "efbbbf", ""];
  const invalid = {
    "a continuation alone": ["80", "bf", "6180"],
    "longer than need be": ["c080", "c1bf", "e08080", "e09fbf", "f0808080", "f08fbfbf"],
    "a surrogate": ["eda080", "edafbf", "edb080", "edbfbf"],
    "beyond U+10FFFF": ["f4908080", "f5808080", "f7bfbfbf", "f8888080", "fe", "ff"],
    "cut short": ["c2", "e0a0", "e1", "f09080", "f0", "61c3"],
    "a lead without its continuation": ["c241", "c2c2", "e0a041", "e1c280", "f0908041", "f09041", "f4808fff"],
  };

  test("accepts the limits of every range", () => {
    for (const hex of [...valid, ...validLonger]) assertEquals(isUtf8(fromHex(hex), 0, hex.length / 2), true, hex);
  });

  for (const [reason, texts] of Object.entries(invalid)) {
    test(`refuses ${reason}`, () => {
      for (const hex of texts) assertEquals(isUtf8(fromHex(hex), 0, hex.length / 2), false, hex);
    });
  }

  test("does not read the bytes after the end", () => {
    for (const hex of ["c3a9", "e697a5", "f09f9982"]) {
      const bytes = fromHex(hex);
      for (let end = 1; end < bytes.length; end++) assertEquals(isUtf8(bytes, 0, end), false, `${end} of ${hex}`);
    }
  });

  test("agrees with a fatal TextDecoder on every two bytes that are not ASCII", () => {
    const bytes = new Uint8Array(2);
    const differing: string[] = [];
    for (let pair = 0x7f00; pair < 0x10000; pair++) {
      bytes[0] = pair >> 8;
      bytes[1] = pair & 0xff;
      if (isUtf8(bytes, 0, 2) !== (decode(bytes) !== undefined)) differing.push(pair.toString(16));
    }
    assertEquals(differing, []);
  });

  test("agrees with a fatal TextDecoder on every lead with every second byte", () => {
    const differing: string[] = [];
    for (const tail of [[0x80, 0x80], [0xbf]]) {
      const bytes = Uint8Array.of(0, 0, ...tail);
      for (let pair = 0xc000; pair < 0x10000; pair++) {
        bytes[0] = pair >> 8;
        bytes[1] = pair & 0xff;
        if (isUtf8(bytes, 0, bytes.length) !== (decode(bytes) !== undefined)) differing.push(pair.toString(16));
      }
    }
    assertEquals(differing, []);
  });

  test("agrees with a fatal TextDecoder on random bytes, and reads none beside them", () => {
    fc.assert(
      fc.property(fc.oneof(nearlyUtf8, fc.uint8Array()), nearlyUtf8, nearlyUtf8, (bytes, before, after) => {
        const buffer = Uint8Array.of(...before, ...bytes, ...after);
        const [start, end] = [before.length, before.length + bytes.length];
        const text = decode(bytes);
        assertEquals(isUtf8(buffer, start, end), text !== undefined);
        assertEquals(isAscii(buffer, start, end), bytes.every((byte) => byte < 0x80));
        if (text !== undefined) assertEquals(readUtf8(buffer, start, end), text);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("isAscii", () => {
  test("is true up to 0x7f, of the bytes in the range", () => {
    const bytes = Uint8Array.of(0x80, 0x7f, 0x00, 0x80);
    assertEquals([isAscii(bytes, 1, 3), isAscii(bytes, 0, 1), isAscii(bytes, 2, 4), isAscii(bytes, 1, 1)], [
      true,
      false,
      false,
      true,
    ]);
  });
});

describe("readUtf8", () => {
  test("keeps byte order marks", () => {
    assertEquals(readUtf8(fromHex("efbbbf61efbbbf"), 0, 7), "\ufeffa\ufeff");
    assertEquals(readUtf8(fromHex("efbbbf"), 0, 3), "\ufeff");
  });

  test("keeps no state between calls", () => {
    readUtf8(fromHex("c3"), 0, 1);
    assertEquals(readUtf8(fromHex("61"), 0, 1), "a");
  });
});

describe("writeUtf8", () => {
  test("writes each code point as TextEncoder does", () => {
    const bytes = new Uint8Array(4);
    const differing: string[] = [];
    for (let point = 0; point <= 0x10ffff; point += point < 0x11000 ? 1 : 0x101) {
      if (point >= 0xd800 && point <= 0xdfff) continue;
      const text = String.fromCodePoint(point);
      const end = writeUtf8(text, bytes, 0);
      const expected = encoder.encode(text);
      const same = expected.every((byte, i) => byte === bytes[i]);
      if (end !== expected.length || !same || utf8Length(text) !== end) differing.push(point.toString(16));
    }
    assertEquals(differing, []);
  });

  test("writes, measures or refuses any text as TextEncoder would, at any offset", () => {
    fc.assert(
      fc.property(anyString, fc.nat(9), fc.nat(9), (text, offset, spare) => {
        const expected = encoder.encode(text);
        const buffer = new Uint8Array(offset + expected.length + spare).fill(0xaa);
        const end = writeUtf8(text, buffer, offset);
        if (!isWellFormed(text)) {
          assertEquals([end, utf8Length(text)], [ILL_FORMED, ILL_FORMED]);
          return;
        }
        assertEquals([end - offset, utf8Length(text)], [expected.length, expected.length]);
        assertEquals(buffer.slice(offset, end), expected);
        assertEquals([...buffer.slice(0, offset), ...buffer.slice(end)], new Array(offset + spare).fill(0xaa));
      }),
      { numRuns: 1000 },
    );
  });

  test("writes nothing outside of its room", () => {
    fc.assert(fc.property(anyString.filter(isWellFormed), fc.nat(9), (text, offset) => {
      const length = encoder.encode(text).length;
      for (let room = 0; room <= length; room++) {
        const end = writeUtf8(text, new Uint8Array(offset + room), offset);
        assertEquals(end, room < length ? NO_ROOM : offset + length, `${room} bytes of room`);
      }
    }));
  });

  test("refuses the first half of a pair at the end, though it is cut off a text that has the other, repeatedly", () => {
    const bytes = new Uint8Array(128);
    let wrong = 0;
    for (let round = 0; round < 20_000; round++) {
      const text = `${"aé\u0800".repeat(round % 12)}\u{1f642}${round}`;
      const cut = text.substring(0, 3 * (round % 12) + 1);
      if (utf8Length(cut) !== ILL_FORMED || writeUtf8(cut, bytes, 0) !== ILL_FORMED) wrong++;
      if (utf8Length(text) !== writeUtf8(text, bytes, 0)) wrong++;
    }
    assertEquals(wrong, 0);
  });

  test("refuses half a surrogate pair at any position", () => {
    for (const text of ["\ud800", "\udfff", "a\ud83d", "\ud83da", "\ude42\ud83d", "é\udc00é", "\ud83d\ud83d\ude42"]) {
      assertEquals([writeUtf8(text, new Uint8Array(32), 0), utf8Length(text)], [ILL_FORMED, ILL_FORMED]);
    }
  });
});
