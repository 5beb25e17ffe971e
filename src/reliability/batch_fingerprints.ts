/**
 * Batch fingerprints: they distinguish a copy of a batch from another batch with the same number.
 *
 * @module
 */

/**
 * Batches that are remembered. A node that was set back by more is noticed by its position. The memory is 1.5 kB a
 * stream.
 */
export const REMEMBERED = 128;

/** Keeps the fingerprints of the latest batches, by their numbers. */
export class BatchFingerprints {
  readonly #numbers = new Float64Array(REMEMBERED);
  readonly #fingerprints = new Int32Array(REMEMBERED);

  /** A batch has arrived with a number, from 1. */
  note(number: number, fingerprint: number): void {
    const slot = number % REMEMBERED;
    if ((this.#numbers[slot] as number) > number) return;
    this.#numbers[slot] = number;
    this.#fingerprints[slot] = fingerprint;
  }

  /** Whether a batch with this number has arrived. */
  knows(number: number): boolean {
    return this.#numbers[number % REMEMBERED] === number;
  }

  /** Whether a batch with another fingerprint has arrived with that number. False when that is not known. */
  differs(number: number, fingerprint: number): boolean {
    return this.knows(number) && this.#fingerprints[number % REMEMBERED] !== fingerprint;
  }

  /** Whether a batch has arrived with a number above `last`, up to `settled`. */
  knowsBetween(last: number, settled: number): boolean {
    return this.#numbers.some((number) => number > last && number <= settled);
  }

  /** The sender will give the numbers above `last` again. */
  endAt(last: number): void {
    this.#numbers.forEach((number, slot) => {
      if (number > last) this.#numbers[slot] = 0;
    });
  }
}
