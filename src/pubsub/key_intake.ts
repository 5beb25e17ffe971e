/**
 * Key intake: passes the keys that arrive to the load guards first, then to the subscribers.
 *
 * @module
 */

import type { KeySink } from "../net/receiver.ts";
import type { KeyBytes } from "../wire/key_bytes.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { LoadGuards } from "./load_guard.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** What a {@linkcode KeyIntake} is made of. */
export interface KeyIntakeConfig {
  readonly guards: LoadGuards;
  readonly subscriptions: Subscriptions;
  readonly dispatcher: Dispatcher;
  /** Since when the keys of the last batch may have been outstanding. Absent when nothing is numbered. */
  readonly streams: { readonly outstandingSince: number } | undefined;
}

/**
 * Passes on the keys of each datagram. Methods of the dispatcher and the subscriptions that need nothing else are bound
 * once, which saves a call for each datagram.
 */
export class KeyIntake implements KeySink {
  readonly within: (read: () => void) => void;
  readonly look: () => void;
  readonly end: () => void;
  readonly #guards: LoadGuards;
  readonly #dispatcher: Dispatcher;
  readonly #streams: KeyIntakeConfig["streams"];
  #isClosed = false;

  constructor({ guards, dispatcher, subscriptions, streams }: KeyIntakeConfig) {
    this.#guards = guards;
    this.#dispatcher = dispatcher;
    this.#streams = streams;
    this.within = subscriptions.within.bind(subscriptions);
    this.look = dispatcher.look.bind(dispatcher);
    this.end = dispatcher.end.bind(dispatcher);
  }

  get isFull(): boolean {
    return this.#dispatcher.isFull;
  }

  begin(): void {
    this.#dispatcher.begin(this.#streams?.outstandingSince);
  }

  take(key: KeyBytes): void {
    // A callback may close the bus in the middle of a batch.
    if (this.#isClosed) return;
    if (!this.#guards.idle) this.#guards.touch(key.text);
    this.#dispatcher.take(key);
  }

  /** Nothing is delivered any more. */
  close(): void {
    this.#isClosed = true;
  }
}
