/**
 * Which batches of a stream have come of late, to tell a copy from another batch with the same number.
 *
 * @module
 */

/** How many are remembered: a node that was set back by more is noticed by its position. 1.5 kB for each stream. */
export const REMEMBERED = 128;

/** A short print of each, by its number. */
export class BatchFingerprints {
  readonly #numbers = new Float64Array(REMEMBERED);
  readonly #fingerprints = new Int32Array(REMEMBERED);

  /** A batch has come with a number, from 1. */
  note(number: number, print: number): void {
    const slot = number % REMEMBERED;
    if ((this.#numbers[slot] as number) > number) return;
    this.#numbers[slot] = number;
    this.#fingerprints[slot] = print;
  }

  /** Whether a batch with this number has come. */
  knows(number: number): boolean {
    return this.#numbers[number % REMEMBERED] === number;
  }

  /** Whether another batch than this had that number. False when that is not known. */
  differs(number: number, print: number): boolean {
    return this.knows(number) && this.#fingerprints[number % REMEMBERED] !== print;
  }

  /** Whether a batch has come with a number above `last`, up to `settled`. */
  knowsBetween(last: number, settled: number): boolean {
    return this.#numbers.some((number) => number > last && number <= settled);
  }

  /** Numbers above `last` are given anew. */
  endAt(last: number): void {
    this.#numbers.forEach((number, slot) => {
      if (number > last) this.#numbers[slot] = 0;
    });
  }
}
