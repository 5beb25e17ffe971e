// What the property tests draw from.
import * as fc from "fast-check";

/** UTF-16 code units at random: surrogates in every wrong place, as well as whole pairs. */
export const anyString: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(
    fc.oneof(
      fc.integer({ min: 0, max: 0xffff }),
      fc.integer({ min: 0xd7fe, max: 0xe001 }),
      fc.constantFrom(0x00, 0x7f, 0x80, 0x7ff, 0x800, 0xfeff, 0xffff),
    ),
  ).map((units) => String.fromCharCode(...units)),
);

/** Keys that UTF-8 can carry: plain ones, any code point, and names that objects have already. */
export const anyKey: fc.Arbitrary<string> = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "\ufeff", "__proto__", "constructor", "lease:1", "a\0b\n"),
);

const character: fc.Arbitrary<number[]> = fc.string({ unit: "binary", minLength: 1, maxLength: 1 })
  .map((text) => [...new TextEncoder().encode(text)]);
/** The first and the last byte of every range in Unicode 15 table 3-7, and their neighbours. */
const edges = [
  0x00,
  0x7f,
  0x80,
  0x8f,
  0x90,
  0x9f,
  0xa0,
  0xbf,
  0xc0,
  0xc1,
  0xc2,
  0xdf,
  0xe0,
  0xe1,
  0xec,
  0xed,
  0xee,
  0xef,
]
  .concat([0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff]);

/** Bytes that are nearly UTF-8: whole characters, the beginnings and the ends of some, and the edges of every range. */
export const nearlyUtf8: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: character },
    {
      weight: 1,
      arbitrary: fc.tuple(character, fc.integer({ min: -3, max: 3 })).map(([bytes, at]) => bytes.slice(at)),
    },
    { weight: 1, arbitrary: fc.tuple(character, fc.nat(3)).map(([bytes, end]) => bytes.slice(0, end)) },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...edges), { maxLength: 4 }) },
  ),
  { maxLength: 6 },
).map((parts) => Uint8Array.from(parts.flat()));

/** A node id. */
export const nodeId: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc.uint8Array({ minLength: 16, maxLength: 16 });
