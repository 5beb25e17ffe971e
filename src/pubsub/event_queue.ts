/**
 * What a subscription holds for its reader.
 *
 * @module
 */

import { AsyncReaders } from "../platform/async_readers.ts";
import type { SyncEvent, Topic } from "./sync_bus.ts";

/**
 * What became of an event that was offered to a queue: kept, merged into one that is held and says as much, dropped with
 * the overflow event in its place, or dropped as the gap or overflow event that is still held covers it.
 */
export type Offered = "queued" | "merged" | "overflow" | "covered";

/**
 * Undelivered events by key, oldest first, and who waits for the next. Bounded: one event a key, `capacity` keys, and one
 * event besides, a gap or an overflow, that comes last and covers all that follows until it is delivered.
 */
export class EventQueue implements AsyncIterableIterator<SyncEvent> {
  readonly #capacity: number;
  readonly #topic: Topic;
  readonly #onAbandoned: () => void;
  readonly #events = new Map<string, SyncEvent>();
  readonly #readers = new AsyncReaders<SyncEvent>();
  #cover: SyncEvent | undefined;
  #ended = false;

  /** `topic` is what the events are of; `onAbandoned` is called when the reader leaves its loop. */
  constructor(capacity: number, topic: Topic, onAbandoned: () => void) {
    this.#capacity = capacity;
    this.#topic = topic;
    this.#onAbandoned = onAbandoned;
  }

  /** Hands an event to a reader that waits, or keeps it. */
  offer(event: SyncEvent): Offered {
    if (this.#readers.give(event)) return "queued";
    const exact = typeof this.#topic === "string";
    if (event.cause !== "publish") {
      // One key, one event: this one says all that the event which is held says, and comes after it.
      const merged = this.#cover !== undefined || exact && this.#events.delete(event.key);
      // A gap says more than an overflow: that others than this process have missed something.
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

  /** Ends the iteration after the events that are held. */
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

/** One event for two of the same key: the later one, with the higher count of each writer in the clocks. */
function merge(held: SyncEvent, event: SyncEvent): SyncEvent {
  if (held.vectorClock === undefined || event.vectorClock === undefined) return { ...held, ...event };
  // A map, as writers may have names that every object has, such as `constructor`.
  const counts = new Map(Object.entries(held.vectorClock));
  for (const [writer, count] of Object.entries(event.vectorClock)) {
    counts.set(writer, Math.max(counts.get(writer) ?? count, count));
  }
  return { ...held, ...event, vectorClock: Object.fromEntries(counts) };
}
