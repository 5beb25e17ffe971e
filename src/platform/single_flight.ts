/**
 * Single flight of a repeated look-up: never more than one call is in progress.
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";
import type { ResolveOptions } from "./host.ts";

/**
 * Longest wait for an answer, in milliseconds: the C library queries three servers twice, for 5 s each
 * (resolv.conf(5)).
 */
export const PATIENCE = 30_000;

/** A call that may never settle, with a time limit on each wait for it. */
export class SingleFlight<T> {
  readonly #clock: Clock;
  readonly #call: (options: ResolveOptions) => Promise<T>;
  readonly #controller = new AbortController();
  #pending: Promise<T> | undefined;
  #isQueued = false;
  #timer: Timer | undefined;
  /** Ends the wait that is in progress. */
  #giveUp: (() => void) | undefined;

  constructor(clock: Clock, call: (options: ResolveOptions) => Promise<T>) {
    this.#clock = clock;
    this.#call = call;
  }

  /**
   * Makes the call, or waits for the one in progress. Rejects when the call fails, and when there is no answer for
   * {@linkcode PATIENCE}, not counting the time in a queue: the next `answer()` then waits for the same call. Must not
   * be called again before the promise has settled.
   */
  run(): Promise<T> {
    const pending = this.#pending ??= this.#start();
    return new Promise((resolve, reject) => {
      const giveUp = this.#giveUp = () => {
        this.#stopWaiting();
        reject(new Error(`there was no answer for ${PATIENCE / 1000} s`));
      };
      this.#setTimer();
      const settleBy = <V>(settle: (value: V) => void) => (value: V) => {
        if (this.#giveUp !== giveUp) return;
        this.#stopWaiting();
        this.#pending = undefined;
        settle(value);
      };
      pending.then(settleBy(resolve), settleBy(reject));
    });
  }

  /** Stops waiting and aborts the call. The promise of `answer()` then never settles. */
  close(): void {
    this.#stopWaiting();
    this.#controller.abort();
  }

  /** An async function, so that a synchronous throw rejects as well. */
  async #start(): Promise<T> {
    this.#isQueued = false;
    return await this.#call({
      signal: this.#controller.signal,
      onQueue: (isQueued) => {
        this.#isQueued = isQueued;
        this.#setTimer();
      },
    });
  }

  #setTimer(): void {
    this.#timer?.cancel();
    const isRunning = this.#giveUp !== undefined && !this.#isQueued;
    this.#timer = isRunning ? this.#clock.setTimer(() => this.#giveUp?.(), PATIENCE) : undefined;
  }

  #stopWaiting(): void {
    this.#giveUp = undefined;
    this.#setTimer();
  }
}
