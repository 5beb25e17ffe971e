/**
 * Delivery receipt: what becomes of the entries of one batch whose delivery is awaited.
 *
 * @module
 */

import type { Outcome } from "../acknowledgement.ts";
import type { Clock } from "../platform/clock.ts";

/** Most promises of callbacks that are waited for at a time. Beyond them the outcome is `failed`. */
const MAX_WAITS = 65_536;

/**
 * Collects the outcomes of the entries of one batch. It reports them when all subscribers have been called, and again
 * whenever a promise that was waited for has settled: one slow callback must not hold up the others.
 */
export class DeliveryReceipt {
  /** `undefined` for an entry whose outcome is not known yet. */
  readonly #outcomes: (Outcome | undefined)[] = [];
  readonly #onReport: (outcomes: readonly (Outcome | undefined)[]) => void;
  /** Entries whose subscribers have not all been called, and 1 while more entries may follow. */
  #open = 1;

  /** `onReport` MUST NOT throw, nor keep the array. */
  constructor(onReport: (outcomes: readonly (Outcome | undefined)[]) => void) {
    this.#onReport = onReport;
  }

  /** Begins the delivery of an entry. Entries that are skipped have no subscriber here. */
  entry(index: number): EntryReceipt {
    while (this.#outcomes.length < index) this.#outcomes.push("unsubscribed");
    this.#outcomes[index] = undefined;
    this.#open++;
    return new EntryReceipt((outcome, isLate) => {
      this.#outcomes[index] = outcome;
      if (!isLate) this.#end();
      else if (this.#open === 0) this.#onReport(this.#outcomes);
    });
  }

  /** All entries have been begun: there are `count`. */
  seal(count: number): void {
    while (this.#outcomes.length < count) this.#outcomes.push("unsubscribed");
    this.#end();
  }

  #end(): void {
    if (--this.#open === 0) this.#onReport(this.#outcomes);
  }
}

/** The delivery of one entry to its subscribers. */
export class EntryReceipt {
  readonly #onReport: (outcome: Outcome | undefined, isLate: boolean) => void;
  #isTaken = false;
  #hasFailed = false;
  #isEnded = false;
  /** Promises that have not settled. */
  #waits = 0;

  /**
   * `onReport` is called when all subscribers have been called, without an outcome while promises are waited for; then
   * once more, with `isLate`, when the last of those has settled.
   */
  constructor(onReport: (outcome: Outcome | undefined, isLate: boolean) => void) {
    this.#onReport = onReport;
  }

  /** A subscriber was called, or has the event in its queue; or an event for everything stands for this one. */
  take(): void {
    this.#isTaken = true;
  }

  /** A callback threw. */
  fail(): void {
    this.#hasFailed = true;
  }

  /** The promise of a callback is waited for, for `timeout` milliseconds. */
  wait(promise: PromiseLike<unknown>, timeout: number, waits: SettleWaits): void {
    this.#waits++;
    waits.add(promise, timeout, (isFulfilled) => {
      if (!isFulfilled) this.fail();
      this.#waits--;
      if (this.#isEnded && this.#waits === 0) this.#onReport(this.#outcome, true);
    });
  }

  /** All subscribers have been called. */
  end(): void {
    this.#isEnded = true;
    this.#onReport(this.#waits > 0 ? undefined : this.#outcome, false);
  }

  get #outcome(): Outcome {
    return this.#hasFailed ? "failed" : this.#isTaken ? "delivered" : "unsubscribed";
  }
}

/** The promises of callbacks that are waited for. */
export class SettleWaits {
  readonly #clock: Pick<Clock, "setTimer"> | undefined;
  readonly #ends = new Set<() => void>();
  #isClosed = false;

  /** Without a clock a promise is waited for without a limit in time. */
  constructor(clock?: Pick<Clock, "setTimer">) {
    this.#clock = clock;
  }

  /** Calls `onEnd` once: when the promise is settled, or with false after `timeout` milliseconds. */
  add(promise: PromiseLike<unknown>, timeout: number, onEnd: (isFulfilled: boolean) => void): void {
    if (this.#isClosed) return;
    if (this.#ends.size >= MAX_WAITS) return onEnd(false);
    const stop = () => {
      timer?.cancel();
      return this.#ends.delete(stop);
    };
    const end = (isFulfilled: boolean) => {
      if (stop()) onEnd(isFulfilled);
    };
    const timer = this.#clock?.setTimer(() => end(false), timeout);
    this.#ends.add(stop);
    promise.then(() => end(true), () => end(false));
  }

  /** Waits for nothing any more, and calls nobody. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#ends) stop();
  }
}
