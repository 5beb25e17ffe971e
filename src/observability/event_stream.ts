/**
 * Event stream: the events of a mesh, for listeners and async iteration.
 *
 * @module
 */

import { misuse } from "../errors.ts";
import type { MeshEvent } from "../events.ts";
import { AsyncReaders } from "../platform/async_readers.ts";
import type { Contexts } from "../platform/contexts.ts";
import { isThenable } from "../platform/thenable.ts";

/** Events kept while nobody listens, and for a loop that lags behind. The oldest are dropped first. */
const HISTORY = 256;

/**
 * Called with each event. An error that it throws, or rejects with, is counted and becomes an `error` event with the
 * stage `"callback"`.
 */
export type MeshEventListener = (event: MeshEvent) => unknown;

/**
 * The events of a mesh. Listen with `mesh.events.listen(callback)`, or iterate with `for await (const event of
 * mesh.events)`; the loop ends when the mesh is closed.
 *
 * Events while nobody listens, as during opening, are kept for the next listener or loop. At most 256 are kept, there
 * and for a loop that lags behind; the oldest are dropped.
 */
export interface MeshEvents extends AsyncIterable<MeshEvent> {
  /**
   * Calls `listener` with each event until the mesh is closed or the returned function is called. Kept events are
   * delivered before this returns.
   */
  listen(listener: MeshEventListener): () => void;
}

/** The sending side of {@linkcode MeshEvents}. */
export class EventStream implements MeshEvents {
  /** The listeners as given, and bound to their async contexts. */
  readonly #listeners = new Map<MeshEventListener, MeshEventListener>();
  readonly #onListenerError: (error: unknown) => void;
  readonly #contexts: Contexts | undefined;
  #early: MeshEvent[] = [];
  #ended = false;

  /**
   * `onListenerError` gets what a listener threw or rejected with. An event about that error calls the listener again,
   * so few such events may follow.
   */
  constructor(onListenerError: (error: unknown) => void, contexts?: Contexts) {
    this.#onListenerError = onListenerError;
    this.#contexts = contexts;
  }

  /** Whether the last event was emitted. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Delivers an event to all listeners. */
  emit(event: MeshEvent): void {
    if (this.#ended) return;
    if (this.#listeners.size === 0) {
      this.#early.push(event);
      if (this.#early.length > HISTORY) this.#early.shift();
    }
    // A copy: a listener may add others, which get the next event first.
    for (const [listener, bound] of [...this.#listeners]) {
      if (this.#listeners.has(listener)) this.#call(bound, event);
    }
  }

  /** Emits the last event and ends all loops. */
  end(event: MeshEvent): void {
    this.emit(event);
    this.#ended = true;
    this.#listeners.clear();
  }

  listen(listener: MeshEventListener): () => void {
    if (typeof listener !== "function") {
      throw misuse("listen", "the listener must be a function", listener);
    }
    const enter = this.#contexts?.capture();
    const bound: MeshEventListener = enter === undefined ? listener : (event) => enter(() => listener(event));
    const early = this.#early;
    this.#early = [];
    if (!this.#ended && !this.#listeners.has(listener)) this.#listeners.set(listener, bound);
    for (const event of early) this.#call(bound, event);
    return () => void this.#listeners.delete(listener);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<MeshEvent> {
    return new EventLoop(this);
  }

  #call(listener: MeshEventListener, event: MeshEvent): void {
    try {
      const result: unknown = listener(event);
      if (isThenable(result)) result.then(undefined, this.#onListenerError);
    } catch (error) {
      this.#onListenerError(error);
    }
  }
}

/** One loop over the events. It listens from its first step on, so nothing is kept for a loop that never begins. */
class EventLoop implements AsyncIterableIterator<MeshEvent> {
  readonly #stream: EventStream;
  readonly #events: MeshEvent[] = [];
  readonly #readers = new AsyncReaders<MeshEvent>();
  #stop: (() => void) | undefined;
  #done = false;

  constructor(stream: EventStream) {
    this.#stream = stream;
  }

  next(): Promise<IteratorResult<MeshEvent>> {
    if (!this.#done) this.#stop ??= this.#stream.listen((event) => this.#take(event));
    return this.#readers.step(this.#events.shift(), this.#done || this.#stream.ended);
  }

  return(): Promise<IteratorResult<MeshEvent>> {
    this.#done = true;
    this.#stop?.();
    this.#events.length = 0;
    this.#readers.end();
    return this.#readers.step(undefined, true);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(event: MeshEvent): void {
    if (this.#readers.give(event)) {
      if (event.type === "closed") this.#readers.end();
      return;
    }
    this.#events.push(event);
    if (this.#events.length > HISTORY) this.#events.shift();
  }
}
