/**
 * Who waits for room in the queue of keys, first come first served.
 *
 * @module
 */

/** Places of those who wait no more that there may be, and be more than half of all, before the list is made anew. */
const MAX_SPENT = 1024;

/** One who waits. */
export interface Waiter {
  readonly key: string;
  /** What was said of own subscribers as it was published. */
  readonly self: boolean | undefined;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  /** Takes back that it is told of a signal. */
  detach: (() => void) | undefined;
  /** Whether it waits no more. */
  isOver: boolean;
}

/** A list of its own, as the first of a `Set` is looked for past all that were taken out before: with a million that is 10 s. */
export class PublishWaiters {
  /** How many wait. */
  size = 0;
  #places: Waiter[] = [];
  #head = 0;

  /** Goes to the end. */
  add(waiter: Waiter): void {
    this.#places.push(waiter);
    this.size++;
  }

  /** Who has waited for longest. */
  get first(): Waiter | undefined {
    while (this.#places[this.#head]?.isOver) this.#head++;
    return this.#places[this.#head];
  }

  /** Takes one out, wherever it is. */
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
