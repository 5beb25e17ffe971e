/**
 * Seeded random numbers: a generator that repeats its numbers for the same seed.
 *
 * @module
 */

/**
 * A random source that gives the same numbers for the same seed on every runtime: Chris Doty-Humphrey's sfc32, which
 * passes PractRand and has a period of at least 2^32. Not secure.
 */
export class SeededRandom {
  /** The seed that it was made with. */
  readonly seed: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * Starts the generator with a seed.
   *
   * @param seed an integer from 0 to 2^53 - 1
   * @throws {RangeError} when it is another number
   */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(
        `Cannot make a random source as \`seed\` must be an integer from 0 to 2^53 - 1: current value is ${seed}`,
      );
    }
    this.seed = seed;
    this.#a = seed | 0;
    this.#b = (seed / 2 ** 32) | 0;
    this.#c = 0;
    // 15 rounds mix the seed in: seeds that differ in one bit then give different numbers from the first on.
    for (let i = 0; i < 15; i++) this.#next32();
  }

  /** A number from 0 up to but not including 1, in steps of 2^-32. */
  next(): number {
    return this.#next32() / 2 ** 32;
  }

  /** An integer from 0 up to but not including `limit`, which is an integer from 1 to 2^32. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** A number from `min` up to but not including `max`; `min` when they are equal, and then no number is drawn. */
  between(min: number, max: number): number {
    return max > min ? min + this.next() * (max - min) : min;
  }

  /** True with the given probability. For 0 and 1 no number is drawn. */
  chance(probability: number): boolean {
    return probability > 0 && (probability >= 1 || this.next() < probability);
  }

  /** Random bytes. */
  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#next32() >>> 24;
    return bytes;
  }

  #next32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }
}
