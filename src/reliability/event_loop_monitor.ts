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
export interface LoopStall {
  /** The time at which all was well last: by the node's clock, less what that stood still for. */
  readonly since: number;
  /** For how long the node's clock stood still, in milliseconds; 0 when it did not. */
  readonly suspended: number;
}

/** A timer that is late tells, and a clock of the wall that has gone on by itself. */
export class EventLoopMonitor {
  readonly #clock: Clock;
  readonly #onStall: (loopStall: LoopStall) => void;
  #lookedAt = 0;
  #wallAt = 0;
  #timer: Timer | undefined;

  /** `onStall` MUST NOT throw. */
  constructor(clock: Clock, onStall: (loopStall: LoopStall) => void) {
    this.#clock = clock;
    this.#onStall = onStall;
  }

  /** What stood still, or read what had come meanwhile, without having been noticed yet. */
  get loopStall(): LoopStall | undefined {
    if (this.#timer === undefined) return undefined;
    const passed = this.#clock.now() - this.#lookedAt;
    const ahead = this.#wallPassed() - passed;
    const suspended = ahead >= SUSPENDED && ahead < Infinity ? ahead : 0;
    return passed + suspended >= 2 * LOOK_EVERY ? { since: this.#lookedAt - suspended, suspended } : undefined;
  }

  /** For how long the machine was suspended without that having been noticed yet, in milliseconds; 0 when it was not. */
  get suspended(): number {
    // One clock is enough for the usual answer.
    return this.#wallPassed() >= SUSPENDED ? this.loopStall?.suspended ?? 0 : 0;
  }

  /** Begins to look. */
  start(): void {
    this.#mark();
    this.#timer = this.#clock.setTimer(() => {
      const { loopStall } = this;
      if (loopStall === undefined) this.start();
      else this.#tell(loopStall);
    }, LOOK_EVERY);
  }

  /** Looks at once whether the machine was suspended: what comes after waking is not to be judged by a clock that stood still. */
  look(): void {
    if (this.suspended === 0) return;
    const { loopStall } = this;
    if (loopStall !== undefined) this.#tell(loopStall);
  }

  /** Looks no more. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tell(loopStall: LoopStall): void {
    this.#timer?.cancel();
    // Who looks or asks meanwhile is not told of it again.
    this.#mark();
    this.#onStall(loopStall);
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
