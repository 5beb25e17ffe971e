/**
 * How much later a node reads what is sent to the group than what is sent to it alone.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/** What is less than that, in milliseconds, is a matter of each path: datagrams overtake each other. */
const LEAST = 100;
/** Longest that is taken for it, in milliseconds. */
const MOST = 1000;
/** In so many milliseconds without news it is taken to be half of what it was. */
const HALF_LIFE = 1000;

/**
 * On a busy host what is sent to the group waits in a socket of its own behind thousands of others, and radio networks hold it
 * back for stations that sleep; an answer by unicast overtakes it and tells of batches that seem to be lost.
 */
export class GroupLag {
  readonly #clock: Clock;
  #lag = 0;
  #at = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** In milliseconds, 0 for none. */
  get value(): number {
    if (this.#lag === 0) return 0;
    const lag = this.#lag * 2 ** ((this.#at - this.#clock.now()) / HALF_LIFE);
    return lag < 1 ? this.#lag = 0 : lag;
  }

  /** What an answer by unicast has told of has come so much later, and nobody had sent it again. */
  note(late: number): void {
    if (late < LEAST || late < this.value) return;
    this.#lag = Math.min(late, MOST);
    this.#at = this.#clock.now();
  }
}
