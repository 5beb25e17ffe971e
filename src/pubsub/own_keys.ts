/**
 * Keys that a node publishes itself: which of its own subscribers hear of them.
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

/** One per node. */
export class OwnKeys {
  readonly #config: OwnKeysConfig;

  constructor(config: OwnKeysConfig) {
    this.#config = config;
  }

  /**
   * A key was accepted at once. `self` is the option of `publish`: true for all subscribers, false for none, and undefined for those
   * who asked to hear what their own bus publishes.
   */
  accepted(key: string, self: boolean | undefined): void {
    const { dispatcher, subscriptions } = this.#config;
    if (self ?? subscriptions.selfish > 0) dispatcher.takeOwn(key, self === true);
  }

  /** A key that had to wait for room was accepted. */
  acceptedLate(key: string, self: boolean | undefined): void {
    const { guards, subscriptions } = this.#config;
    guards.touch(key);
    // The transmit queue is at work. Its publisher goes on after that.
    if (self ?? subscriptions.selfish > 0) void RESOLVED.then(() => this.accepted(key, self));
  }
}
