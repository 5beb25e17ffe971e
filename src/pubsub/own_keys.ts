/**
 * Own keys: which of a node's subscribers get the keys that the node publishes itself.
 *
 * @module
 */

import type { Dispatcher } from "./dispatcher.ts";
import type { LoadGuards } from "./load_guard.ts";
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
  accepted(key: string, self: boolean | undefined): void {
    const { dispatcher, subscriptions } = this.#config;
    if (self ?? subscriptions.selfish > 0) dispatcher.takeOwn(key, self === true);
  }

  /** A key that had to wait for room was accepted. */
  acceptedLate(key: string, self: boolean | undefined): void {
    const { guards, subscriptions } = this.#config;
    guards.touch(key);
    // No callback may run while the transmit queue takes a batch. The publisher continues after the delivery.
    if (self ?? subscriptions.selfish > 0) void RESOLVED.then(() => this.accepted(key, self));
  }
}
