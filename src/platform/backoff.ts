/**
 * Exponential backoff with jitter: the pause before something is tried again.
 *
 * @module
 */

import type { Jitter } from "./jitter.ts";

/** The first pause after a failure, in milliseconds. The pauses after it double: 1, 2, 4 … s. */
export const FIRST_RETRY = 1_000;

/**
 * The pauses between attempts. Each is shortened by up to a tenth at random, so that the copies of a service do not all
 * query a server at the same moment.
 */
export class Backoff {
  readonly #interval: number;
  readonly #jitter: Jitter;
  #retry: number;

  /** `interval` is the pause after a success, and the longest after a failure, in milliseconds. */
  constructor(interval: number, jitter: Jitter) {
    this.#interval = interval;
    this.#jitter = jitter;
    this.#retry = Math.min(FIRST_RETRY, interval);
  }

  /** The pause after a success. */
  afterSuccess(): number {
    this.reset();
    return this.#jittered(this.#interval);
  }

  /** The pause after a failure. It is twice the one before when the last attempt failed as well. */
  afterFailure(): number {
    const pause = this.#retry;
    this.#retry = Math.min(2 * pause, this.#interval);
    return this.#jittered(pause);
  }

  /** Resets the pauses: the next failure counts as the first. */
  reset(): void {
    this.#retry = Math.min(FIRST_RETRY, this.#interval);
  }

  #jittered(pause: number): number {
    return pause * this.#jitter.between(0.9, 1);
  }
}
