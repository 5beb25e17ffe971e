/**
 * Random delays (jitter), so that nodes do not all act at once. Not for secrets.
 *
 * @module
 */

import type { RandomBytes } from "./host.ts";

/**
 * A xorshift generator (Marsaglia 2003, 32 bits). It is used as a random number of the system costs about a
 * microsecond.
 */
export class Jitter {
  /**
   * A seed for hashes, 32 bits, different in each bus. It is no secret either, as observed delays reveal the state that
   * it is derived from.
   */
  readonly seed: number;
  #state: number;

  /** `randomBytes` is called once, for the seed. */
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
