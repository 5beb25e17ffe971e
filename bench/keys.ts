/**
 * Keys of known size for the benchmarks.
 *
 * @module
 */

/** `count` different keys of 16 ASCII characters. */
export function asciiKeys(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `user:${String(i).padStart(11, "0")}`);
}

/** `count` different keys of 16 bytes that are not all ASCII: 13 characters, of which one takes 2 bytes and one 3. */
export function wideKeys(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `é:${String(i).padStart(10, "0")}€`);
}

/** Keys of 16 bytes in a full batch: 20 bytes of header, then 18 a key, up to 1,400. */
export const KEYS_PER_DATAGRAM = 76;

/** `count` different keys of `length` ASCII characters, 8 or more. */
export function keysOfLength(length: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `user:${String(i).padStart(length - 5, "0")}`);
}
