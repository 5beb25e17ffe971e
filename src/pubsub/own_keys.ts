/**
 * Own keys: which of a node's subscribers get the keys that the node publishes itself.
 *
 * @module
 */

import type { Dispatcher } from "./dispatcher.ts";
import type { LoadGuards } from "./load_guard.ts";
import type { Entry } from "./pending_entries.ts";
import type { Publication } from "./publication.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** What {@linkcode OwnKeys} is made of. */
export interface OwnKeysConfig {
  readonly guards: LoadGuards;
  readonly subscriptions: Subscriptions;
  readonly dispatcher: Dispatcher;
}

const RESOLVED: Promise<void> = Promise.resolve();

/** Delivers the keys that the node has published to its own subscriptions. */
export class OwnKeys {
  readonly #config: OwnKeysConfig;

  constructor(config: OwnKeysConfig) {
    this.#config = config;
  }

  /**
   * A key was accepted at once. `self` is the option of `publish`: true for all subscriptions, false for none,
   * undefined for those that were made with `self: true`.
   */
  accepted(key: string | Publication, self: boolean | undefined): void {
    const { dispatcher, subscriptions } = this.#config;
    if (!(self ?? subscriptions.selfish > 0)) return;
    if (typeof key === "string") return dispatcher.takeOwn(key, self === true);
    const { isPrefix, metadata, text } = key;
    dispatcher.takeOwn({ text, isPrefix, metadata, receipt: undefined }, self === true);
  }

  /** Guards of what is published are stale. */
  touch({ isPrefix, text }: Publication): void {
    const { guards } = this.#config;
    if (isPrefix) guards.touchPrefix(text);
    else guards.touch(text);
  }

  /** A key that had to wait for room was accepted. */
  acceptedLate(key: string | Entry, self: boolean | undefined): void {
    const { guards, subscriptions } = this.#config;
    if (typeof key === "string") guards.touch(key);
    else if (key.isForGo) return;
    else this.touch(key);
    // No callback may run while the transmit queue takes a batch. The publisher continues after the delivery.
    if (self ?? subscriptions.selfish > 0) void RESOLVED.then(() => this.accepted(key, self));
  }
}
