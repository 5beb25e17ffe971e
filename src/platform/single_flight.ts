/**
 * One look-up, made again and again, of which never more than one is under way.
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";
import type { ResolveOptions } from "./host.ts";

/** Longest wait for an answer, in milliseconds: the C library asks three servers twice, for 5 s each (resolv.conf(5)). */
export const PATIENCE = 30_000;

/** A question to somebody who may never answer. */
export class SingleFlight<T> {
  readonly #clock: Clock;
  readonly #ask: (options: ResolveOptions) => Promise<T>;
  readonly #controller = new AbortController();
  #pending: Promise<T> | undefined;
  #isQueued = false;
  #timer: Timer | undefined;
  /** Ends the wait that is under way. */
  #giveUp: (() => void) | undefined;

  constructor(clock: Clock, ask: (options: ResolveOptions) => Promise<T>) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /**
   * Asks. Rejects when that fails, and when there is no answer for {@linkcode PATIENCE}, the time in a queue left out: the
   * next call then waits for the same one. Not to be called again before it has settled.
   */
  answer(): Promise<T> {
    const pending = this.#pending ??= this.#start();
    return new Promise((resolve, reject) => {
      const giveUp = this.#giveUp = () => {
        this.#stopWaiting();
        reject(new Error(`there was no answer for ${PATIENCE / 1000} s`));
      };
      this.#setTimer();
      const take = <V>(settle: (value: V) => void) => (value: V) => {
        if (this.#giveUp !== giveUp) return;
        this.#stopWaiting();
        this.#pending = undefined;
        settle(value);
      };
      pending.then(take(resolve), take(reject));
    });
  }

  /** Stops waiting, and calls the question off: what was promised never settles. */
  close(): void {
    this.#stopWaiting();
    this.#controller.abort();
  }

  /** What is thrown at once rejects as well. */
  async #start(): Promise<T> {
    this.#isQueued = false;
    return await this.#ask({
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
