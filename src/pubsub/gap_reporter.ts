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

/** The first gap is notified at once. Those that follow within {@linkcode SPACING} share one round at the end of it. */
export class GapReporter {
  /** Gaps reported. */
  count = 0;
  readonly #clock: Clock;
  readonly #tell: () => void;
  #toldAt = -Infinity;
  #timer: Timer | undefined;
  #closed = false;

  /** `tell` MUST NOT throw. */
  constructor(clock: Clock, tell: () => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Counts a gap, and schedules its notification. */
  report(): void {
    this.count++;
    if (this.#timer !== undefined || this.#closed) return;
    const wait = this.#toldAt + SPACING - this.#clock.now();
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
    this.#toldAt = this.#clock.now();
    this.#tell();
  }
}
