/**
 * How many datagrams a node may spend on keys not having to wait.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { Pacer } from "./pacer.ts";

/**
 * Datagrams a second, copies for several peers counted each. One with one key costs a receiver 29 µs of processor time while 16,500 a
 * second come, 44 µs while 4,800 do (Node 20 on a slow machine, where the bare socket takes 16 µs to send one): so half a core at most,
 * and a publisher of 20,000 keys a second still sends each at once.
 */
const RATE = 20_000;
/** The same as a share of what the pacer allows: losses shrink both. */
const SHARE = 2 / 3;
/** Datagrams that may leave at once after a pause: 3 ms worth, as timers are 1 ms late and event loops more. */
const BURST = 64;

/** What a {@linkcode SendBudget} is made of. */
export interface SendBudgetConfig {
  readonly clock: Clock;
  /** Absent when losses are not heard of. */
  readonly pacer?: Pacer | undefined;
}

/**
 * A token bucket. It holds nothing back: it says when a batch may leave that is not full, and counts all that leave. Beyond it keys
 * share datagrams.
 */
export class SendBudget {
  readonly #clock: Clock;
  readonly #pacer: Pacer | undefined;
  #tokens = BURST;
  #filledAt: number;

  constructor({ clock, pacer }: SendBudgetConfig) {
    this.#clock = clock;
    this.#pacer = pacer;
    this.#filledAt = clock.now();
  }

  /** Datagrams a second. */
  get rate(): number {
    return this.#pacer === undefined ? RATE : Math.min(RATE, this.#pacer.rate * SHARE);
  }

  /** Milliseconds until a datagram may leave that is not full, 0 for now, by the clock. */
  wait(now: number = this.#clock.now()): number {
    const { rate } = this;
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filledAt) * rate) / 1000);
    this.#filledAt = now;
    // After as long a wait as was said it is 1, but for rounding.
    if (this.#tokens > 1 - 1e-6) return 0;
    this.#pacer?.holdBack();
    // Whole microseconds, rounded up: a shorter wait could be lost in the rounding of the time, and then never end.
    return Math.ceil(((1 - this.#tokens) * 1e6) / rate) / 1000;
  }

  /** So many datagrams have left, full ones too. What is owed is no more than a burst, or than they are. */
  spend(count: number): void {
    this.#tokens = Math.max(-Math.max(BURST, count), this.#tokens - count);
  }
}
