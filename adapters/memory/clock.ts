/**
 * Virtual clock: time that stands still until a test moves it.
 *
 * @module
 */

import type { Clock, Timer } from "../../src/platform/clock.ts";
import { TimeQueue } from "./queue.ts";
import { nextTurn } from "./turn.ts";

/** The clock counts whole microseconds, so that 0.1 + 0.2 ms is the same moment as 0.3 ms. */
const TICKS_PER_MS = 1000;

/** Calls at one moment after which the code counts as endless: timers that set each other without delay. */
const MAX_CALLS = 250_000;

/**
 * Time that a turn costs code that takes turns without end, in ticks: such code must not stop the clock. A turn is 16
 * datagrams, so 32 µs mean half a million datagrams a second, as much as a real socket takes.
 */
const TURN = 32;

/** Ticks available for turns that take no time. They are refilled as time passes. */
const MAX_CREDIT = 64 * TURN;

/**
 * A clock that starts at 0 and advances only when it is told to. What takes a minute in the simulation takes
 * milliseconds in a test, and has the same result each time. Timers run in the order of their times, those of one time
 * in the order in which they were set. Before the next timer, all promises that the last one has resolved are followed
 * to their end.
 *
 * It waits only for promises that lead to promises: not for real timers, files, sockets or `crypto.subtle`, unless
 * {@linkcode VirtualClock.holdWhile} is told of them.
 *
 * Time has a resolution of 1 µs; a delay above 0 lasts at least that long.
 */
export class VirtualClock implements Clock {
  readonly #timers = new TimeQueue<Call>();
  readonly #turnEnds = new TimeQueue<Call>();
  readonly #cancelled = { count: 0 };
  readonly #holds = new Set<Promise<void>>();
  #ticks = 0;
  #order = 0;
  #moving = false;
  #waiting: Array<() => void> = [];
  #credit = MAX_CREDIT;

  /** Number of calls still to come: 0 when nothing more will ever happen. */
  get pending(): number {
    return this.#timers.size + this.#turnEnds.size - this.#cancelled.count;
  }

  /** Milliseconds since the clock was made, in steps of 0.001. */
  now(): number {
    return this.#ticks / TICKS_PER_MS;
  }

  /**
   * Calls `callback` once, `delay` milliseconds from now. A delay of 0 or less means now, after what is due already.
   *
   * @throws {RangeError} when `delay` is not a finite number
   */
  setTimer(callback: () => void, delay: number): Timer {
    if (!Number.isFinite(delay)) {
      throw new RangeError(`Cannot set a timer as its delay must be a finite number: current value is ${delay}`);
    }
    if (this.#cancelled.count > 64 && this.#cancelled.count > this.#timers.size / 2) this.#sweep();
    return this.#add(this.#timers, callback, this.#ticks + toTicks(delay));
  }

  /** Calls `callback` once, now, after every timer that is due now. */
  setTurnEnd(callback: () => void): Timer {
    return this.#add(this.#turnEnds, callback, this.#ticks);
  }

  /**
   * Advances time by `ms` milliseconds, and runs all that becomes due on the way. When it resolves, everything that was
   * due has run, and so have the promises that it led to. `advance(0)` runs what is due now.
   *
   * @throws {RangeError} when `ms` is not a finite number from 0 up
   * @throws {Error} when the clock is being advanced already, or when 250,000 calls at one moment do not end
   * @throws what a callback throws: time then stays at that moment, the rest is still to come, and the next call goes
   * on
   */
  async advance(ms: number): Promise<void> {
    await this.#move(ms, () => false);
  }

  /**
   * Advances time until `condition` returns true. It is checked first of all and after each call. Resolves with the
   * milliseconds that passed.
   *
   * @throws {Error} when it is not true after `limit` milliseconds; else as {@linkcode VirtualClock.advance}
   */
  async runUntil(condition: () => boolean, limit: number): Promise<number> {
    const start = this.#ticks;
    if (await this.#move(limit, condition)) return (this.#ticks - start) / TICKS_PER_MS;
    throw new Error(
      `Cannot go on as the condition must hold within ${limit} ms: ` +
        `current time is ${this.now()} ms, with ${this.pending} timers still to come`,
    );
  }

  /**
   * Advances time until `promise` settles, and settles the same way.
   *
   * @example
   * ```ts
   * import { MemoryNetwork } from "@warp-mesh/bus/memory";
   *
   * const { clock } = new MemoryNetwork();
   * const value = await clock.run(new Promise((resolve) => clock.setTimer(() => resolve(1), 5000)), 10_000);
   * ```
   *
   * @throws {Error} when it has not settled after `limit` milliseconds; else as {@linkcode VirtualClock.advance}
   */
  async run<T>(promise: PromiseLike<T>, limit: number): Promise<T> {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    promise.then(settle, settle);
    await this.runUntil(() => settled, limit);
    return await promise;
  }

  /**
   * Resolves when everything that is ready now has run. Time does not pass meanwhile, unless code takes one turn after
   * another while the clock is being advanced: 64 turns are free, and later ones take 32 µs each.
   */
  nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#letWaitingGo();
    });
  }

  /** Time does not pass, nor is a timer called, until `work` has settled: files, or code that is being loaded. */
  holdWhile(work: PromiseLike<unknown>): void {
    const hold: Promise<void> = Promise.resolve(work).then(() => {}, () => {}).finally(() => this.#holds.delete(hold));
    this.#holds.add(hold);
  }

  #add(queue: TimeQueue<Call>, callback: () => void, time: number): Timer {
    const call = new Call(time, this.#order++, callback, this.#cancelled);
    queue.push(call);
    return call;
  }

  async #move(ms: number, isDone: () => boolean): Promise<boolean> {
    if (!Number.isFinite(ms) || ms < 0) {
      throw new RangeError(
        `Cannot move the clock as the time must be a finite number of milliseconds from 0 up: current value is ${ms}`,
      );
    }
    if (this.#moving) {
      throw new Error("Cannot move the clock as it is being moved already: await the call before this one");
    }
    this.#moving = true;
    try {
      return await this.#moveTo(this.#ticks + Math.round(ms * TICKS_PER_MS), isDone);
    } finally {
      this.#moving = false;
      this.#letWaitingGo();
    }
  }

  async #moveTo(limit: number, isDone: () => boolean): Promise<boolean> {
    let calls = 0;
    // Code that the caller has just started sets its timers before time advances.
    await nextTurn();
    while (!isDone()) {
      if (this.#holds.size > 0) {
        await Promise.all(this.#holds);
        await nextTurn();
        continue;
      }
      const call = this.#takeDue();
      if (call !== undefined) {
        call.make();
        await nextTurn();
        if (++calls > MAX_CALLS) {
          throw new Error(
            `Cannot move the clock as at most ${MAX_CALLS} calls may run at one moment: current time is ${this.now()} ms`,
          );
        }
      } else if (this.#waiting.length > 0 && this.#credit >= TURN) {
        this.#credit -= TURN;
        this.#endTurn();
        await nextTurn();
      } else if (this.#passTime(limit)) {
        calls = 0;
      } else {
        return false;
      }
    }
    return true;
  }

  #takeDue(): Call | undefined {
    const timer = this.#peek(this.#timers);
    if (timer !== undefined && timer.time <= this.#ticks) return this.#timers.pop();
    return this.#peek(this.#turnEnds) && this.#turnEnds.pop();
  }

  /**
   * Advances to the next moment at which something happens. Returns false when the limit comes first, and advances to
   * that.
   */
  #passTime(limit: number): boolean {
    const timer = this.#peek(this.#timers)?.time ?? Infinity;
    const turn = this.#waiting.length > 0 ? this.#ticks + TURN - this.#credit : Infinity;
    const next = Math.min(timer, turn);
    const ticks = Math.min(next, limit);
    this.#credit = Math.min(MAX_CREDIT, this.#credit + ticks - this.#ticks);
    this.#ticks = ticks;
    return next <= limit;
  }

  /** While the clock is not being advanced, turns end by themselves. */
  #letWaitingGo(): void {
    if (this.#moving || this.#waiting.length === 0) return;
    void nextTurn().then(() => {
      if (!this.#moving) this.#endTurn();
    });
  }

  #endTurn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #peek(queue: TimeQueue<Call>): Call | undefined {
    let call = queue.peek();
    while (call?.isCancelled) {
      queue.pop();
      this.#cancelled.count--;
      call = queue.peek();
    }
    return call;
  }

  #sweep(): void {
    for (const queue of [this.#timers, this.#turnEnds]) queue.filter((call) => !call.isCancelled);
    this.#cancelled.count = 0;
  }
}

class Call implements Timer {
  readonly time: number;
  readonly order: number;
  readonly #cancelled: { count: number };
  #callback: (() => void) | undefined;

  constructor(time: number, order: number, callback: () => void, cancelled: { count: number }) {
    this.time = time;
    this.order = order;
    this.#callback = callback;
    this.#cancelled = cancelled;
  }

  get isCancelled(): boolean {
    return this.#callback === undefined;
  }

  make(): void {
    const callback = this.#callback;
    this.#callback = undefined;
    callback?.();
  }

  cancel(): void {
    if (this.#callback === undefined) return;
    this.#callback = undefined;
    this.#cancelled.count++;
  }
}

/** Rounds up, as a timer must not be early, except for the error of binary fractions: 300.00000000000006 is 300. */
function toTicks(delay: number): number {
  return delay > 0 ? Math.max(1, Math.ceil(delay * TICKS_PER_MS - 1e-6)) : 0;
}
