/**
 * Node ids: random UUIDs of version 4, the sender of each datagram.
 *
 * @module
 */

import { NODE_ID_LENGTH } from "./layout.ts";

const DIGITS: readonly number[] = [..."0123456789abcdef"].map((digit) => digit.charCodeAt(0));

/** Character codes of the text that is being made. */
const codes: number[] = Array<number>(36).fill("-".charCodeAt(0));

/**
 * Turns 16 random bytes into a UUID of version 4 (RFC 9562 section 5.4), as go-warp's ids are. Changes and returns
 * them.
 */
export function stampUuid(bytes: Uint8Array): Uint8Array {
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes;
}

/**
 * A node id as text: `ff6d1fbc-acf6-4561-aa25-e253760fd0ce`. It is made in one piece: a string that is concatenated of
 * 20 takes three times as long to be looked up in a map.
 */
export function formatNodeId(bytes: Uint8Array): string {
  for (let i = 0; i < NODE_ID_LENGTH; i++) {
    const byte = bytes[i] as number;
    // Dashes stand after 4, 6, 8 and 10 bytes.
    const place = 2 * i + Math.min(4, Math.max(0, (i >> 1) - 1));
    codes[place] = DIGITS[byte >> 4] as number;
    codes[place + 1] = DIGITS[byte & 15] as number;
  }
  return String.fromCharCode(...codes);
}
