/**
 * IP addresses as bytes.
 *
 * @module
 */

import { readU16, writeU16 } from "./integers.ts";

/** Bytes of an address of each family. */
export const IP_LENGTH: Readonly<Record<4 | 6, number>> = { 4: 4, 6: 16 };

/** An IPv4 literal of 4 bytes, or an IPv6 literal as RFC 5952 wants it of 16. */
export function readIp(bytes: Uint8Array, offset: number, family: 4 | 6): string {
  return family === 4 ? bytes.subarray(offset, offset + 4).join(".") : readIpv6(bytes, offset);
}

/** Writes a literal of `family` that has no zone. */
export function writeIp(bytes: Uint8Array, offset: number, literal: string, family: 4 | 6): void {
  if (family === 6) return writeIpv6(bytes, offset, literal);
  literal.split(".").forEach((byte, i) => bytes[offset + i] = Number(byte));
}

function readIpv6(bytes: Uint8Array, offset: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => readU16(bytes, offset + 2 * i));
  // The longest run of at least two zeros gives way, the first of several.
  let [start, length] = [0, 1];
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
    if (end > i) i = end;
  }
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  return length === 1 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

function writeIpv6(bytes: Uint8Array, offset: number, literal: string): void {
  const [head = "", tail] = literal.split("::");
  const [before, after] = [groupsOf(head), groupsOf(tail ?? "")];
  bytes.fill(0, offset, offset + IP_LENGTH[6]);
  before.forEach((group, i) => writeU16(bytes, offset + 2 * i, group));
  after.forEach((group, i) => writeU16(bytes, offset + IP_LENGTH[6] - 2 * (after.length - i), group));
}

/** `::ffff:1.2.3.4` ends in a dotted part. */
function groupsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (!part.includes(".")) return [parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}
