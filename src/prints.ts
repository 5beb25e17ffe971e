/**
 * What the last batches of a stream were, to tell a copy from another batch with the same number.
 *
 * @module
 */

/** How many are remembered: a node that was set back by more is noticed by its position. 1 kB for each stream. */
const REMEMBERED = 128;

/** A short print of each, by its number. */
export class Prints {
  /** Numbers may pass 32 bits: their low ones do. */
  readonly #numbers = new Uint32Array(REMEMBERED);
  readonly #prints = new Uint32Array(REMEMBERED);

  /** A batch has come with a number, from 1. */
  note(number: number, print: number): void {
    const slot = number % REMEMBERED;
    this.#numbers[slot] = number;
    this.#prints[slot] = print;
  }

  /** Whether another batch than this had that number. False when that is not known. */
  differs(number: number, print: number): boolean {
    const slot = number % REMEMBERED;
    return this.#numbers[slot] === number >>> 0 && this.#prints[slot] !== print >>> 0;
  }
}
