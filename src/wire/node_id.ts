/**
 * Node ids: who sent a datagram.
 *
 * @module
 */

import { NODE_ID_LENGTH } from "./layout.ts";

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Makes 16 random bytes a UUID version 4 (RFC 9562 section 5.4), as the original's ids are. Changes and returns them. */
export function stampUuid(bytes: Uint8Array): Uint8Array {
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes;
}

/** A node id as text: `ff6d1fbc-acf6-4561-aa25-e253760fd0ce`. */
export function formatNodeId(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < NODE_ID_LENGTH; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
    text += HEX[bytes[i] as number];
  }
  return text;
}
