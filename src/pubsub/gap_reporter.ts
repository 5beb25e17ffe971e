/**
 * Gap reporter: notifies subscriptions that datagrams were lost for good, at a bounded rate.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";

/**
 * Shortest time between two rounds of gap events, in milliseconds. A receiver that cannot keep up has many gaps a
 * second, and each round makes every subscription drop what it has cached.
 */
const SPACING = 100;

/**
 * Starts rounds of notifications: at once for the first gap. Gaps that follow within {@linkcode SPACING} share one
 * round at the end of it.
 */
export class GapReporter {
  /** Gaps reported. */
  count = 0;
  readonly #clock: Clock;
  readonly #notify: () => void;
  #notifiedAt = -Infinity;
  #timer: Timer | undefined;
  #closed = false;

  /** `notify` MUST NOT throw. */
  constructor(clock: Clock, notify: () => void) {
    this.#clock = clock;
    this.#notify = notify;
  }

  /** Whether a gap was reported and its notification is still to come. */
  get isDue(): boolean {
    return this.#timer !== undefined;
  }

  /** Counts a gap, and schedules its notification. */
  report(): void {
    this.count++;
    if (this.#timer !== undefined || this.#closed) return;
    const wait = this.#notifiedAt + SPACING - this.#clock.now();
    if (wait <= 0) this.#round();
    else this.#timer = this.#clock.setTimer(() => this.#round(), wait);
  }

  /** Notifies nothing more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #round(): void {
    this.#timer = undefined;
    this.#notifiedAt = this.#clock.now();
    this.#notify();
  }
}
