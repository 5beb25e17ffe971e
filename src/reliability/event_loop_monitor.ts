/**
 * Event loop monitor: detects stalls of the event loop (a long computation, a stopped container) and suspensions of the
 * machine.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";

/**
 * Interval of the checks, in milliseconds. A stall that is shorter than two intervals is shorter than the time for
 * which a position is announced after a burst.
 */
const LOOK_EVERY = 250;

/**
 * By how much more the wall clock has to advance than the node's clock, in milliseconds, to mean that the machine was
 * suspended: the monotonic clocks of all runtimes stop meanwhile. Time daemons step the wall clock by less. Only a wall
 * clock that is set forward looks the same.
 */
const SUSPENDED = 1000;

/** A stall of the event loop, or a suspension of the machine. */
export interface LoopStall {
  /**
   * The time of the last check before it, by the node's clock, less the time of the suspension, which that clock has
   * not counted.
   */
  readonly since: number;
  /** For how long the machine was suspended, in milliseconds; 0 for a stall. */
  readonly suspended: number;
}

/**
 * Reports stalls and suspensions. A timer that fires late shows a stall. A wall clock that has advanced by more than
 * the node's clock shows a suspension.
 */
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

  /** The stall or suspension that is under way or has just ended, as long as `onStall` was not called for it. */
  get loopStall(): LoopStall | undefined {
    if (this.#timer === undefined) return undefined;
    const passed = this.#clock.now() - this.#lookedAt;
    const ahead = this.#wallPassed() - passed;
    const suspended = ahead >= SUSPENDED && ahead < Infinity ? ahead : 0;
    return passed + suspended >= 2 * LOOK_EVERY ? { since: this.#lookedAt - suspended, suspended } : undefined;
  }

  /** For how long the machine was suspended, in milliseconds, as long as `onStall` was not called for it; else 0. */
  get suspended(): number {
    // Nearly always the wall clock alone shows that there was no suspension.
    return this.#wallPassed() >= SUSPENDED ? this.loopStall?.suspended ?? 0 : 0;
  }

  /** Starts the checks. */
  start(): void {
    this.#mark();
    this.#timer = this.#clock.setTimer(() => {
      const { loopStall } = this;
      if (loopStall === undefined) this.start();
      else this.#report(loopStall);
    }, LOOK_EVERY);
  }

  /**
   * Checks at once whether the machine was suspended: what arrives after the machine has woken must not be judged by a
   * clock that has stopped meanwhile.
   */
  look(): void {
    if (this.suspended === 0) return;
    const { loopStall } = this;
    if (loopStall !== undefined) this.#report(loopStall);
  }

  /** Stops the checks. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #report(loopStall: LoopStall): void {
    this.#timer?.cancel();
    // A call of `look` or `loopStall` within the callback must not report the same stall again.
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
