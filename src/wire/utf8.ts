/**
 * UTF-8 in place: written into a datagram and checked inside one, without a copy and without an exception.
 * `TextEncoder.encodeInto` needs a view for each key, 40 ns; a fatal `TextDecoder` an exception for each bad key, 5 µs,
 * which hostile input would choose.
 *
 * @module
 */

/** Result of {@linkcode writeUtf8} for a text that does not fit. */
export const NO_ROOM = -1;
/** Result of {@linkcode writeUtf8} for a text with half of a surrogate pair, which UTF-8 cannot carry. */
export const ILL_FORMED = -2;

/** Writes `text` at `offset` and returns where it ends, or {@linkcode NO_ROOM} or {@linkcode ILL_FORMED}. */
export function writeUtf8(text: string, bytes: Uint8Array, offset: number): number {
  const length = text.length;
  const limit = bytes.length;
  if (offset + length > limit) return NO_ROOM;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return writeWideUtf8(text, i, bytes, offset);
    bytes[offset++] = unit;
  }
  return offset;
}

function writeWideUtf8(text: string, from: number, bytes: Uint8Array, offset: number): number {
  const limit = bytes.length;
  for (let i = from; i < text.length; i++) {
    const point = pointAt(text, i);
    const size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    if (point < 0) return ILL_FORMED;
    if (offset + size > limit) return NO_ROOM;
    if (size === 1) {
      bytes[offset++] = point;
      continue;
    }
    const lead = size === 2 ? 0xc0 : size === 3 ? 0xe0 : 0xf0;
    let shift = 6 * (size - 1);
    bytes[offset++] = lead | (point >> shift);
    while (shift > 0) {
      shift -= 6;
      bytes[offset++] = 0x80 | ((point >> shift) & 0x3f);
    }
    if (size === 4) i++;
  }
  return offset;
}

/** Length of `text` in UTF-8, in bytes, or {@linkcode ILL_FORMED}. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) < 0x80) {
      bytes++;
      continue;
    }
    const point = pointAt(text, i);
    if (point < 0) return ILL_FORMED;
    if (point >= 0x10000) i++;
    bytes += point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/**
 * The code point at `i`, or {@linkcode ILL_FORMED}. `codePointAt` reads beyond the end of a text that is a piece of a
 * longer one of which V8 has made no copy, once its middle compiler has run: Node 24 and 26, Deno 2.9.
 */
function pointAt(text: string, i: number): number {
  const point = text.codePointAt(i) as number;
  return (point >= 0xd800 && point <= 0xdfff) || (point > 0xffff && i + 1 === text.length) ? ILL_FORMED : point;
}

/** Whether all bytes from `start` to before `end` are ASCII. */
export function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  let seen = 0;
  for (let i = start; i < end; i++) seen |= bytes[i] as number;
  return seen < 0x80;
}

/**
 * Whether the bytes from `start` to before `end` are UTF-8 as in Unicode 15 table 3-7: shortest form, no surrogates.
 */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let i = start;
  while (i < end) {
    const lead = bytes[i++] as number;
    if (lead < 0x80) continue;
    const size = lead >= 0xc2 && lead <= 0xdf
      ? 1
      : lead >= 0xe0 && lead <= 0xef
      ? 2
      : lead >= 0xf0 && lead <= 0xf4
      ? 3
      : 0;
    if (size === 0 || i + size > end) return false;
    const second = bytes[i] as number;
    if (lead === 0xe0 && second < 0xa0) return false;
    if (lead === 0xed && second > 0x9f) return false;
    if (lead === 0xf0 && second < 0x90) return false;
    if (lead === 0xf4 && second > 0x8f) return false;
    for (let k = 0; k < size; k++) {
      if (((bytes[i++] as number) & 0xc0) !== 0x80) return false;
    }
  }
  return true;
}

/** Whether the bytes from `start` to before `end`, which must be UTF-8, are those of `text`. */
export function equalsUtf8(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  const { length } = text;
  let at = start;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return readUtf8(bytes, at, end) === text.substring(i);
    if (at >= end || bytes[at++] !== unit) return false;
  }
  return at === end;
}

// A byte order mark is part of a key like any other character: without `ignoreBOM` it would be dropped.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Text of the bytes from `start` to before `end`, which must be UTF-8. */
export function readUtf8(bytes: Uint8Array, start: number, end: number): string {
  return decoder.decode(bytes.subarray(start, end));
}

/**
 * Text of the bytes from `start` to before `end`, which must be ASCII and few, as each becomes an argument of a call.
 */
export function readAscii(bytes: Uint8Array, start: number, end: number): string {
  return Reflect.apply(String.fromCharCode, undefined, bytes.subarray(start, end));
}
