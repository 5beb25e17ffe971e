/**
 * IP addresses as bytes, in both families.
 *
 * @module
 */

import { formatIpv6, groupsOf } from "../platform/endpoint.ts";
import { readU16, writeU16 } from "./integers.ts";

/** Length of an address of each family, in bytes. */
export const IP_LENGTH: Readonly<Record<4 | 6, number>> = { 4: 4, 6: 16 };

/** Reads an address: an IPv4 literal from 4 bytes, an IPv6 literal in the form of RFC 5952 from 16. */
export function readIp(bytes: Uint8Array, offset: number, family: 4 | 6): string {
  return family === 4 ? bytes.subarray(offset, offset + 4).join(".") : readIpv6(bytes, offset);
}

/** Writes a literal of `family`, which must have no zone. */
export function writeIp(bytes: Uint8Array, offset: number, literal: string, family: 4 | 6): void {
  if (family === 6) groupsOf(literal)?.forEach((group, i) => writeU16(bytes, offset + 2 * i, group));
  else literal.split(".").forEach((byte, i) => bytes[offset + i] = Number(byte));
}

function readIpv6(bytes: Uint8Array, offset: number): string {
  return formatIpv6(Array.from({ length: 8 }, (_, i) => readU16(bytes, offset + 2 * i)));
}
