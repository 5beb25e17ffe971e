/**
 * Big-endian unsigned integers of 16, 32, 48 and 64 bits.
 *
 * @module
 */

export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value & 0xff;
}

export function readU16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
}

export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  writeU16(bytes, offset, value >>> 16);
  writeU16(bytes, offset + 2, value & 0xffff);
}

export function readU32(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset) * 0x10000 + readU16(bytes, offset + 2);
}

export function writeU48(bytes: Uint8Array, offset: number, value: number): void {
  writeU16(bytes, offset, Math.floor(value / 2 ** 32));
  writeU32(bytes, offset + 2, value >>> 0);
}

export function readU48(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset) * 2 ** 32 + readU32(bytes, offset + 2);
}

export function writeU64(bytes: Uint8Array, offset: number, value: number | bigint): void {
  const isSmall = typeof value === "number";
  writeU32(bytes, offset, isSmall ? Math.floor(value / 2 ** 32) : Number(value >> 32n));
  writeU32(bytes, offset + 4, isSmall ? value >>> 0 : Number(value & 0xffffffffn));
}

/** A number when that is exact, else a `bigint`. */
export function readU64(bytes: Uint8Array, offset: number): number | bigint {
  const high = readU32(bytes, offset);
  const low = readU32(bytes, offset + 4);
  return high < 2 ** 21 ? high * 2 ** 32 + low : (BigInt(high) << 32n) | BigInt(low);
}
