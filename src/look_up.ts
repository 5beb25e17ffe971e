/**
 * One look-up, made again and again, of which never more than one is under way.
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";

/** Longest wait for an answer, in milliseconds: the C library asks three servers twice, for 5 s each (resolv.conf(5)). */
export const PATIENCE = 30_000;

/** A question to somebody who may never answer. */
export class LookUp<T> {
  readonly #clock: Clock;
  readonly #ask: () => Promise<T>;
  #pending: Promise<T> | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, ask: () => Promise<T>) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /**
   * Asks. Rejects when that fails, and when there is no answer for {@linkcode PATIENCE}: the next call then waits for the
   * same one. Not to be called again before it has settled.
   */
  answer(): Promise<T> {
    const pending = this.#pending ??= this.#start();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(() => {
        this.#timer = undefined;
        reject(new Error(`there was no answer for ${PATIENCE / 1000} s`));
      }, PATIENCE);
      this.#timer = timer;
      const take = <V>(settle: (value: V) => void) => (value: V) => {
        if (this.#timer !== timer) return;
        this.#timer = undefined;
        timer.cancel();
        this.#pending = undefined;
        settle(value);
      };
      pending.then(take(resolve), take(reject));
    });
  }

  /** Stops waiting: what was promised never settles. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** What is thrown at once rejects as well. */
  async #start(): Promise<T> {
    return await this.#ask();
  }
}
