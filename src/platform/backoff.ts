/**
 * How long to wait before something is tried again.
 *
 * @module
 */

import type { Jitter } from "./jitter.ts";

/** First pause after a failure, in milliseconds: 1, 2, 4 … s. */
export const FIRST_RETRY = 1_000;

/** Pauses, each less up to a tenth at random, so that the copies of a service do not all ask a server at once. */
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
    return this.#less(this.#interval);
  }

  /** The pause after a failure: twice the one before, if that was one too. */
  afterFailure(): number {
    const pause = this.#retry;
    this.#retry = Math.min(2 * pause, this.#interval);
    return this.#less(pause);
  }

  /** Lets the next failure be the first. */
  reset(): void {
    this.#retry = Math.min(FIRST_RETRY, this.#interval);
  }

  #less(pause: number): number {
    return pause * this.#jitter.between(0.9, 1);
  }
}
