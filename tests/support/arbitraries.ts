// Arbitraries: the values that the property tests draw.
import * as fc from "fast-check";
import { fromHex } from "./hex.ts";

const SURROGATES = 0xdfff - 0xd800 + 1;

/**
 * One character, of each length in UTF-8. The unit "binary" of fast-check draws the same, but takes a second to start.
 */
const character: fc.Arbitrary<string> = fc.oneof(
  fc.nat(0x7f),
  fc.integer({ min: 0x80, max: 0x7ff }),
  fc.integer({ min: 0x800, max: 0xffff - SURROGATES }),
  fc.integer({ min: 0x10000, max: 0x10ffff }).map((point) => point - SURROGATES),
).map((point) => String.fromCodePoint(point < 0xd800 ? point : point + SURROGATES));

/** Text of any characters. */
const anyText: fc.Arbitrary<string> = fc.array(character).map((characters) => characters.join(""));

/** Random UTF-16 code units: surrogates in every wrong place, as well as whole pairs. */
export const anyString: fc.Arbitrary<string> = fc.oneof(
  anyText,
  fc.array(
    fc.oneof(
      fc.integer({ min: 0, max: 0xffff }),
      fc.integer({ min: 0xd7fe, max: 0xe001 }),
      fc.constantFrom(0x00, 0x7f, 0x80, 0x7ff, 0x800, 0xfeff, 0xffff),
    ),
  ).map((units) => String.fromCharCode(...units)),
);

/** Keys that UTF-8 can carry: plain ones, any code point, and names of properties that objects have. */
export const anyKey: fc.Arbitrary<string> = fc.oneof(
  fc.string(),
  anyText,
  fc.constantFrom("", "\ufeff", "__proto__", "constructor", "lease:1", "a\0b\n"),
);

const encoded: fc.Arbitrary<number[]> = character.map((text) => [...new TextEncoder().encode(text)]);

/** The first and the last byte of every range in Unicode 15 table 3-7, and their neighbours. */
const edges = fromHex("007f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff");

/** Bytes that are nearly UTF-8: whole characters, the beginnings and the ends of some, and the edges of every range. */
export const nearlyUtf8: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: encoded },
    {
      weight: 1,
      arbitrary: fc.tuple(encoded, fc.integer({ min: -3, max: 3 })).map(([bytes, at]) => bytes.slice(at)),
    },
    { weight: 1, arbitrary: fc.tuple(encoded, fc.nat(3)).map(([bytes, end]) => bytes.slice(0, end)) },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...edges), { maxLength: 4 }) },
  ),
  { maxLength: 6 },
).map((parts) => Uint8Array.from(parts.flat()));

/** A node id. */
export const nodeId: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc.uint8Array({ minLength: 16, maxLength: 16 });

/** A name of a region, a zone or a writer: 1 to 64 bytes of UTF-8. */
export const name: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom("eu-west-1", "é", "🙂", "__proto__", "constructor", "toString", "0", "w".repeat(64)),
  fc.array(character, { minLength: 1, maxLength: 16 }).map((characters) => characters.join("")),
);

/** A count of a vector clock, as it is read: a number up to 2^53 - 1, and a bigint above. */
const count: fc.Arbitrary<number | bigint> = fc.oneof(
  fc.maxSafeNat(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.constantFrom<number | bigint>(0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER, 2n ** 53n, 2n ** 64n - 1n),
);

/** A vector clock with at most six writers. */
export const vectorClock: fc.Arbitrary<Record<string, number | bigint>> = fc.array(fc.tuple(name, count), {
  maxLength: 6,
}).map((counts) => Object.fromEntries(counts));
