/**
 * Random delays, so that nodes do not all act at once. Not for secrets.
 *
 * @module
 */

import type { RandomBytes } from "./host.ts";

/** A xorshift generator (Marsaglia 2003, 32 bits), as asking the system for each delay costs a microsecond. */
export class Jitter {
  /** Another one in each bus, 32 bits: for hashes. No secret either, as delays tell of the state that it is made of. */
  readonly seed: number;
  #state: number;

  /** `randomBytes` is asked once, for the seed. */
  constructor(randomBytes: RandomBytes) {
    const seed = new DataView(randomBytes(4).slice().buffer).getUint32(0);
    this.#state = seed === 0 ? 1 : seed;
    this.seed = Math.imul(seed ^ seed >>> 15, 0x2c1b3c6d) ^ 0x297a2d39;
  }

  /** A number from `min` to below `max`. */
  between(min: number, max: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return min + (max - min) * ((x >>> 0) / 2 ** 32);
  }
}
