/**
 * Event queue: the undelivered events of one iterated subscription, bounded and merged by key.
 *
 * @module
 */

import { AsyncReaders } from "../platform/async_readers.ts";
import { mergeClocks } from "../wire/metadata.ts";
import type { SyncEvent, Topic } from "./sync_bus.ts";

/**
 * What became of an event that was offered to a queue:
 *
 * - `queued`: it is held, or a waiting reader got it.
 * - `merged`: it was merged with a held event that says the same.
 * - `overflow`: the queue was full, and an overflow event replaces it.
 * - `covered`: it was dropped, as a gap or overflow event that is still held covers it.
 */
export type Offered = "queued" | "merged" | "overflow" | "covered";

/**
 * Undelivered events by key, oldest first, and the readers that wait for the next one. It holds one event a key, at
 * most `capacity` keys, and one gap or overflow event besides. That one comes last and covers all later events until it
 * is delivered.
 */
export class EventQueue implements AsyncIterableIterator<SyncEvent> {
  readonly #capacity: number;
  readonly #topic: Topic;
  readonly #onAbandoned: () => void;
  readonly #events = new Map<string, SyncEvent>();
  readonly #readers = new AsyncReaders<SyncEvent>();
  #cover: SyncEvent | undefined;
  #ended = false;

  /** `topic` is what the subscription subscribes to. `onAbandoned` is called when the reader leaves its loop. */
  constructor(capacity: number, topic: Topic, onAbandoned: () => void) {
    this.#capacity = capacity;
    this.#topic = topic;
    this.#onAbandoned = onAbandoned;
  }

  /** Gives an event to a waiting reader, or holds it. */
  offer(event: SyncEvent): Offered {
    if (this.#readers.give(event)) return "queued";
    const exact = typeof this.#topic === "string";
    if (event.cause !== "publish") {
      // A held event of the only key is covered by this one, which comes after it.
      const merged = this.#cover !== undefined || exact && this.#events.delete(event.key);
      // A gap event replaces an overflow: it means that other processes may have missed something too.
      if (this.#cover?.cause !== "gap") this.#cover = event;
      return merged ? "merged" : "queued";
    }
    if (this.#cover !== undefined) return exact ? "merged" : "covered";
    const held = this.#events.get(event.key);
    if (held === undefined && this.#events.size >= this.#capacity) {
      this.#cover = { key: exact ? this.#topic : this.#topic.prefix, cause: "overflow" };
      return "overflow";
    }
    this.#events.set(event.key, held === undefined ? event : merge(held, event));
    return held === undefined ? "queued" : "merged";
  }

  /** Ends the iteration after the held events. */
  end(): void {
    this.#ended = true;
    this.#readers.end();
  }

  next(): Promise<IteratorResult<SyncEvent>> {
    return this.#readers.step(this.#shift(), this.#ended);
  }

  return(): Promise<IteratorResult<SyncEvent>> {
    this.#events.clear();
    this.#cover = undefined;
    this.#onAbandoned();
    this.end();
    return this.#readers.step(undefined, true);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #shift(): SyncEvent | undefined {
    for (const [key, event] of this.#events) {
      this.#events.delete(key);
      return event;
    }
    const cover = this.#cover;
    this.#cover = undefined;
    return cover;
  }
}

/** Merges two events that name the same: the later one, with the higher count of each writer in the vector clocks. */
function merge(held: SyncEvent, event: SyncEvent): SyncEvent {
  const vectorClock = mergeClocks(held.vectorClock, event.vectorClock);
  return vectorClock === undefined ? { ...held, ...event } : { ...held, ...event, vectorClock };
}
