/**
 * Delivery receipt: what becomes of the entries of one batch whose delivery is awaited.
 *
 * @module
 */

import type { Outcome } from "../acknowledgement.ts";
import type { Clock } from "../platform/clock.ts";

/** Most promises of callbacks that are waited for at a time. Beyond them the outcome is `failed`. */
const MAX_WAITS = 65_536;

/** Collects the outcomes of the entries of one batch, and reports them when the last is known. */
export class DeliveryReceipt {
  readonly #outcomes: Outcome[] = [];
  readonly #onDone: (outcomes: readonly Outcome[]) => void;
  /** Entries whose outcome is not known, and 1 while more may follow. */
  #open = 1;

  /** `onDone` is called once. It MUST NOT throw. */
  constructor(onDone: (outcomes: readonly Outcome[]) => void) {
    this.#onDone = onDone;
  }

  /** Begins the delivery of an entry. Entries that are skipped have no subscriber here. */
  entry(index: number): EntryReceipt {
    while (this.#outcomes.length <= index) this.#outcomes.push("unsubscribed");
    this.#open++;
    return new EntryReceipt((outcome) => {
      this.#outcomes[index] = outcome;
      this.#end();
    });
  }

  /** All entries have been begun: there are `count`. */
  seal(count: number): void {
    while (this.#outcomes.length < count) this.#outcomes.push("unsubscribed");
    this.#end();
  }

  #end(): void {
    if (--this.#open === 0) this.#onDone(this.#outcomes);
  }
}

/** The delivery of one entry to its subscribers. */
export class EntryReceipt {
  readonly #onDone: (outcome: Outcome) => void;
  #isTaken = false;
  #hasFailed = false;
  /** Promises that have not settled, and 1 until all subscribers have been called. */
  #open = 1;

  constructor(onDone: (outcome: Outcome) => void) {
    this.#onDone = onDone;
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
    this.#open++;
    waits.add(promise, timeout, (isFulfilled) => {
      if (!isFulfilled) this.fail();
      this.end();
    });
  }

  /** All subscribers have been called. */
  end(): void {
    if (--this.#open > 0) return;
    this.#onDone(this.#hasFailed ? "failed" : this.#isTaken ? "delivered" : "unsubscribed");
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
