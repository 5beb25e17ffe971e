/**
 * The events of a mesh, to listen to or to iterate.
 *
 * @module
 */

import type { MeshEvent } from "./events.ts";
import { isThenable } from "./thenable.ts";

/** Events kept for a reader that has not come yet or is slow. The oldest give way. */
const HISTORY = 256;

/**
 * Called with each event. What it throws, or rejects with, is counted and becomes an `error` event with the stage
 * `"callback"`.
 */
export type MeshEventListener = (event: MeshEvent) => unknown;

/**
 * What happens to a mesh. Listen with `mesh.events.listen(callback)`, or iterate with `for await (const event of
 * mesh.events)`; the loop ends when the mesh is closed.
 *
 * What happens while nobody listens, as when the mesh opens, is kept for the listener or loop that comes next. It, and a
 * loop that lags behind, lose the oldest beyond 256.
 */
export interface MeshEvents extends AsyncIterable<MeshEvent> {
  /** Calls `listener` with each event until the mesh is closed or the returned function is called. */
  listen(listener: MeshEventListener): () => void;
}

/** The sending side of {@linkcode MeshEvents}. */
export class EventStream implements MeshEvents {
  readonly #listeners = new Set<MeshEventListener>();
  readonly #onListenerError: (error: unknown) => void;
  #early: MeshEvent[] = [];
  #ended = false;

  /** `onListenerError` gets what a listener threw or rejected with. An event about it calls it again: few may follow. */
  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  /** Hands an event to all listeners. */
  emit(event: MeshEvent): void {
    if (this.#ended) return;
    if (this.#listeners.size === 0) {
      this.#early.push(event);
      if (this.#early.length > HISTORY) this.#early.shift();
    }
    // A copy: a listener may add others, which get the next event first.
    for (const listener of [...this.#listeners]) {
      if (this.#listeners.has(listener)) this.#call(listener, event);
    }
  }

  /** Emits the last event and lets all loops end. */
  end(event: MeshEvent): void {
    this.emit(event);
    this.#ended = true;
    this.#listeners.clear();
  }

  listen(listener: MeshEventListener): () => void {
    if (typeof listener !== "function") {
      throw new TypeError(`Cannot listen as the listener must be a function: current value is ${String(listener)}`);
    }
    const early = this.#early;
    this.#early = [];
    if (!this.#ended) this.#listeners.add(listener);
    for (const event of early) this.#call(listener, event);
    return () => void this.#listeners.delete(listener);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<MeshEvent, void, void> {
    const events: MeshEvent[] = [];
    let wake: (() => void) | undefined;
    const stop = this.listen((event) => {
      events.push(event);
      if (events.length > HISTORY) events.shift();
      wake?.();
    });
    try {
      while (true) {
        const event = events.shift();
        if (event !== undefined) {
          yield event;
          if (event.type === "closed") return;
        } else if (this.#ended) return;
        else await new Promise<void>((resolve) => wake = resolve);
      }
    } finally {
      stop();
    }
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
