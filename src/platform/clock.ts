/**
 * PORT: the clock and its timers. `adapters/system.ts` has the real one, `adapters/memory.ts` a virtual one that tests
 * move by hand.
 *
 * @module
 */

/** A monotonic clock, and the timers that run on it. */
export interface Clock {
  /** Milliseconds since some fixed moment, monotonic, with fractions. */
  now(): number;
  /**
   * Milliseconds since some fixed moment by the wall clock. It goes on while the machine is suspended, and may be set
   * to any time. The mesh uses it only to detect a suspension of the machine. Absent or `NaN`: a suspension cannot be
   * detected.
   */
  wall?(): number;
  /** Calls `callback` once, `delay` milliseconds from now or as soon after as the event loop can. */
  setTimer(callback: () => void, delay: number): Timer;
  /**
   * Calls `callback` once, at the end of the current turn of the event loop: after everything that is ready to run now.
   */
  setTurnEnd(callback: () => void): Timer;
  /**
   * Announces work that no timer of this clock ends, such as loading code. A clock that a test moves by hand holds its
   * time until `work` has settled, so that `diagnose` can load its code. A clock that runs by itself leaves this out.
   * MUST NOT throw.
   */
  holdWhile?(work: PromiseLike<unknown>): void;
}

/** A call that is scheduled. */
export interface Timer {
  /** Cancels the call. Does nothing when the call was made already. */
  cancel(): void;
}
