/**
 * Notices that the event loop stood still: a long computation, a stopped container, a laptop that slept.
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";

/** How often it looks, in milliseconds. A shorter stall is shorter than the announcements after a burst go on. */
const LOOK_EVERY = 250;

/** A timer that is late tells. */
export class StallWatch {
  readonly #clock: Clock;
  readonly #onStall: (since: number) => void;
  #lookedAt = 0;
  #timer: Timer | undefined;

  /** `onStall` gets the time, by the node's clock, at which all was well last. */
  constructor(clock: Clock, onStall: (since: number) => void) {
    this.#clock = clock;
    this.#onStall = onStall;
  }

  /** Since when the event loop has stood still, or read what had come meanwhile, without having been noticed yet. */
  get since(): number | undefined {
    return this.#timer !== undefined && this.#clock.now() - this.#lookedAt >= 2 * LOOK_EVERY
      ? this.#lookedAt
      : undefined;
  }

  /** Begins to look. */
  start(): void {
    this.#lookedAt = this.#clock.now();
    this.#timer = this.#clock.setTimer(() => {
      const since = this.#lookedAt;
      if (this.#clock.now() - since >= 2 * LOOK_EVERY) this.#onStall(since);
      this.start();
    }, LOOK_EVERY);
  }

  /** Looks no more. */
  close(): void {
    this.#timer?.cancel();
  }
}
