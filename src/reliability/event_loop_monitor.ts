/**
 * Notices that the event loop stood still: a long computation, a stopped container, a machine that was suspended.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";

/** How often it looks, in milliseconds. A shorter stall is shorter than the announcements after a burst go on. */
const LOOK_EVERY = 250;

/**
 * By how much more the wall's clock has to go on than the node's, in milliseconds, to say that the machine was suspended: the
 * clocks of all runtimes stand still then. Time daemons step it by less, and only a clock that is set forward looks the same.
 */
const SUSPENDED = 1000;

/** What stood still. */
export interface Standstill {
  /** The time at which all was well last: by the node's clock, less what that stood still for. */
  readonly since: number;
  /** For how long the node's clock stood still, in milliseconds; 0 when it did not. */
  readonly suspended: number;
}

/** A timer that is late tells, and a clock of the wall that has gone on by itself. */
export class StallWatch {
  readonly #clock: Clock;
  readonly #onStall: (standstill: Standstill) => void;
  #lookedAt = 0;
  #wallAt = 0;
  #timer: Timer | undefined;

  /** `onStall` MUST NOT throw. */
  constructor(clock: Clock, onStall: (standstill: Standstill) => void) {
    this.#clock = clock;
    this.#onStall = onStall;
  }

  /** What stood still, or read what had come meanwhile, without having been noticed yet. */
  get standstill(): Standstill | undefined {
    if (this.#timer === undefined) return undefined;
    const passed = this.#clock.now() - this.#lookedAt;
    const ahead = this.#wallPassed() - passed;
    const suspended = ahead >= SUSPENDED && ahead < Infinity ? ahead : 0;
    return passed + suspended >= 2 * LOOK_EVERY ? { since: this.#lookedAt - suspended, suspended } : undefined;
  }

  /** For how long the machine was suspended without that having been noticed yet, in milliseconds; 0 when it was not. */
  get suspended(): number {
    // One clock is enough for the usual answer.
    return this.#wallPassed() >= SUSPENDED ? this.standstill?.suspended ?? 0 : 0;
  }

  /** Begins to look. */
  start(): void {
    this.#mark();
    this.#timer = this.#clock.setTimer(() => {
      const { standstill } = this;
      if (standstill === undefined) this.start();
      else this.#tell(standstill);
    }, LOOK_EVERY);
  }

  /** Looks at once whether the machine was suspended: what comes after waking is not to be judged by a clock that stood still. */
  look(): void {
    if (this.suspended === 0) return;
    const { standstill } = this;
    if (standstill !== undefined) this.#tell(standstill);
  }

  /** Looks no more. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tell(standstill: Standstill): void {
    this.#timer?.cancel();
    // Who looks or asks meanwhile is not told of it again.
    this.#mark();
    this.#onStall(standstill);
    if (this.#timer !== undefined) this.start();
  }

  #mark(): void {
    this.#lookedAt = this.#clock.now();
    this.#wallAt = this.#clock.wall?.() ?? 0;
  }

  #wallPassed(): number {
    return (this.#clock.wall?.() ?? 0) - this.#wallAt;
  }
}
