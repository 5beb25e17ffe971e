/**
 * Time queue: a priority queue of items by the time at which they are due.
 *
 * @module
 */

/** An item of the queue. */
export interface Timed {
  /** When it is due, in any unit. */
  readonly time: number;
  /** The order among items that are due at the same time: lower ones come first. No two may be equal. */
  readonly order: number;
}

/** A binary heap: the earliest item comes out first. */
export class TimeQueue<T extends Timed> {
  #heap: T[] = [];

  /** Number of items. */
  get size(): number {
    return this.#heap.length;
  }

  /** The item that {@linkcode TimeQueue.pop} would remove. */
  peek(): T | undefined {
    return this.#heap[0];
  }

  /** Adds an item. O(log n), O(1) when it is the last. */
  push(item: T): void {
    const heap = this.#heap;
    let at = heap.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as T;
      if (!isBefore(item, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = item;
  }

  /** Removes the earliest item. O(log n). */
  pop(): T | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as T, heap[child] as T)) child++;
      if (!isBefore(heap[child] as T, last)) break;
      heap[at] = heap[child] as T;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  /** Removes all items for which `keep` returns false. */
  filter(keep: (item: T) => boolean): void {
    // A sorted array is a heap.
    this.#heap = this.#heap.filter(keep).sort((a, b) => isBefore(a, b) ? -1 : 1);
  }
}

function isBefore(a: Timed, b: Timed): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
