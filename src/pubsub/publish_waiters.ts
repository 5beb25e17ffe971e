/**
 * Publish waiters: the `publish` calls that wait for room in the queue of keys, in first-come order.
 *
 * @module
 */

import type { Entry } from "./pending_entries.ts";

/** Largest number of removed entries, once they are more than half of all, before the list is compacted. */
const MAX_SPENT = 1024;

/** A `publish` call that waits. */
export interface Waiter {
  /** The key, or whatever else it publishes. */
  readonly key: string | Entry;
  /** The `self` option of the call: whether the bus's own subscriptions get the key. */
  readonly self: boolean | undefined;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  /** Removes its listener from the abort signal. */
  detach: (() => void) | undefined;
  /** Whether it no longer waits. */
  isOver: boolean;
}

/**
 * A list with lazy removal. A `Set` would search for its first entry past all removed ones: 10 s with a million of
 * them.
 */
export class PublishWaiters {
  /** Number of waiting calls. */
  size = 0;
  #places: Waiter[] = [];
  #head = 0;

  /** Appends a waiter. */
  add(waiter: Waiter): void {
    this.#places.push(waiter);
    this.size++;
  }

  /** The waiter that has waited for longest. */
  get first(): Waiter | undefined {
    while (this.#places[this.#head]?.isOver) this.#head++;
    return this.#places[this.#head];
  }

  /** Removes a waiter at any position. */
  remove(waiter: Waiter): void {
    if (waiter.isOver) return;
    waiter.isOver = true;
    waiter.detach?.();
    this.size--;
    if (this.size === 0) {
      this.#places = [];
      this.#head = 0;
    }
    const { length } = this.#places;
    if (length - this.size <= MAX_SPENT || this.size * 2 > length) return;
    this.#places = this.#places.filter(({ isOver }) => !isOver);
    this.#head = 0;
  }
}
