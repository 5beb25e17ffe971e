/**
 * A loop of rounds with backoff: each round follows the one before after a pause.
 *
 * @module
 */

import type { Backoff } from "./backoff.ts";
import type { Clock, Timer } from "./clock.ts";

/** Runs rounds one after the other. The pauses between them grow while rounds fail. */
export class RetryLoop {
  readonly #clock: Clock;
  readonly #backOff: Backoff;
  readonly #round: () => Promise<void>;
  readonly #onError: (cause: unknown) => void;
  #timer: Timer | undefined;
  #isClosed = false;

  /** `onError` is called with what a round rejects with. */
  constructor(clock: Clock, backOff: Backoff, round: () => Promise<void>, onError: (cause: unknown) => void) {
    this.#clock = clock;
    this.#backOff = backOff;
    this.#round = round;
    this.#onError = onError;
  }

  /** Begins the first round, and returns at once. */
  start(): void {
    void this.#run();
  }

  /** Begins no further round, and ignores the result of the one in progress. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #run(): Promise<void> {
    let pause: number;
    try {
      await this.#round();
      pause = this.#backOff.afterSuccess();
    } catch (cause) {
      if (this.#isClosed) return;
      pause = this.#backOff.afterFailure();
      this.#onError(cause);
    }
    if (!this.#isClosed) this.#timer = this.#clock.setTimer(() => void this.#run(), pause);
  }
}
