/**
 * Send budget: how many datagrams a node may send that are not full, so that keys need not wait for others.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { Pacer } from "./pacer.ts";

/**
 * Datagrams a second, copies for several peers counted each. A datagram with one key costs a receiver 29 µs of
 * processor time at 16,500 a second, and 44 µs at 4,800 (Node 20 on a slow machine, where the bare socket takes 16 µs
 * to send one). So this is half a core at most, and a publisher of 20,000 keys a second still sends each at once.
 */
const RATE = 20_000;
/** The same as a share of the pacer's rate: losses reduce both. */
const SHARE = 2 / 3;
/** Datagrams that may leave at once after a pause: 3 ms of them, as timers are 1 ms late and event loops more. */
const BURST = 64;

/** The parts of a {@linkcode SendBudget}. */
export interface SendBudgetConfig {
  readonly clock: Clock;
  /** Absent when losses are not reported. */
  readonly pacer?: Pacer | undefined;
}

/**
 * A token bucket for batches that are not full. It delays nothing itself: it says when such a batch may leave, and
 * counts all batches that leave. Beyond the budget, keys share datagrams.
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

  /** Milliseconds until a batch that is not full may leave, 0 for now. `now` is the time by the clock. */
  wait(now: number = this.#clock.now()): number {
    const { rate } = this;
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filledAt) * rate) / 1000);
    this.#filledAt = now;
    // After the announced wait the bucket holds 1 token, but for rounding.
    if (this.#tokens > 1 - 1e-6) return 0;
    this.#pacer?.holdBack();
    // Whole microseconds, rounded up: a shorter wait could be lost in the rounding of the time, and then never end.
    return Math.ceil(((1 - this.#tokens) * 1e6) / rate) / 1000;
  }

  /** Counts datagrams that have left, full ones too. The debt is at most a burst, or `count` if that is more. */
  spend(count: number): void {
    this.#tokens = Math.max(-Math.max(BURST, count), this.#tokens - count);
  }
}
