/**
 * A bus inside one process.
 *
 * @module
 */

import { type CloseReport, NOTHING_PUBLISHED } from "./close_report.ts";
import { ClosedError, QuorumNotSatisfiedError, show } from "./errors.ts";
import { type LoadGuard, LoadGuards } from "./load_guard.ts";
import { Subscriptions } from "./subscriptions.ts";
import {
  leaseKey,
  type Metrics,
  type PublishOptions,
  type SubscribeOptions,
  type Subscription,
  type SyncBus,
  type SyncCallback,
  type Topic,
} from "./sync_bus.ts";
import { ILL_FORMED, utf8Length } from "./wire/utf8.ts";

/** How an {@linkcode InProcessBus} is made. */
export interface InProcessBusOptions {
  /** Gets what a callback of a subscription threw or rejected with. The default drops it. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/**
 * A {@linkcode SyncBus} whose subscribers are all in this process: for tests, and for a service that runs once. The
 * original's `InMemoryBus`.
 *
 * `publish` delivers to the bus's own subscribers before it resolves, with region, vector clock and scope. A quorum
 * counts the subscribers of the key.
 *
 * @example Two parts of one process
 * ```ts
 * import { InProcessBus } from "@warp-mesh/bus";
 *
 * const bus = new InProcessBus();
 * const cache = new Map([["user:42", "Ada"]]);
 * bus.subscribe({ prefix: "user:" }, (event) => cache.delete(event.key));
 *
 * await bus.publishAndAwait("user:42", 1);
 * console.log(cache.size); // 0
 * await bus.close();
 * ```
 */
export class InProcessBus implements SyncBus {
  readonly #subscriptions: Subscriptions;
  // Without a clock, as no timer may keep a process alive: what guards hold is bounded by their number.
  readonly #guards = new LoadGuards();
  readonly #onError: (error: unknown) => void;
  #published = 0;
  #delivered = 0;
  #closing: Promise<CloseReport> | undefined;

  /** Opens it. */
  constructor(options: InProcessBusOptions = {}) {
    this.#onError = options.onError ?? (() => {});
    this.#subscriptions = new Subscriptions((error) => this.#onError(error));
  }

  /** Delivers to the subscribers of `key`. Rejects with a `ClosedError` after `close`. */
  async publish(key: string, options?: PublishOptions): Promise<void> {
    this.#check(key, options);
    this.#deliver(key, options);
  }

  /**
   * Delivers to the subscribers of `key` if there are at least `replicas`; rejects with a `QuorumNotSatisfiedError`
   * when there are fewer, or when so many were too slow that fewer have taken the event.
   */
  async publishAndAwait(key: string, replicas: number, options?: PublishOptions): Promise<void> {
    this.#check(key, options);
    if (!Number.isInteger(replicas) || replicas < 0) {
      throw new RangeError(
        `Cannot publish as the quorum must be an integer from 0: current value is ${show(replicas)}`,
      );
    }
    const subscribers = this.#subscriptions.count(key);
    if (subscribers < replicas) throw new QuorumNotSatisfiedError(replicas, subscribers);
    const taken = this.#deliver(key, options);
    if (taken < replicas) throw new QuorumNotSatisfiedError(replicas, taken);
  }

  /** The same as `publishAndAwait`: each subscriber counts as a zone. */
  publishAndAwaitTopology(key: string, minZones: number, options?: PublishOptions): Promise<void> {
    return this.publishAndAwait(key, minZones, options);
  }

  subscribe(topic: Topic, options?: SubscribeOptions): Subscription;
  subscribe(topic: Topic, callback: SyncCallback, options?: SubscribeOptions): Subscription;
  subscribe(topic: Topic, first?: SyncCallback | SubscribeOptions, second?: SubscribeOptions): Subscription {
    if (this.#closing !== undefined) throw new ClosedError("subscribe");
    return this.#subscriptions.add(topic, first, second);
  }

  unsubscribe(topic: Topic, subscription: Subscription): void {
    this.#subscriptions.remove(topic, subscription);
  }

  async revokeLease(id: string, options?: PublishOptions): Promise<void> {
    await this.publish(leaseKey(id), options);
  }

  subscribeLease(id: string, options?: SubscribeOptions): Subscription;
  subscribeLease(id: string, callback: SyncCallback, options?: SubscribeOptions): Subscription;
  subscribeLease(id: string, first?: SyncCallback | SubscribeOptions, second?: SubscribeOptions): Subscription {
    if (this.#closing !== undefined) throw new ClosedError("subscribe");
    return this.#subscriptions.add(leaseKey(id), first, second);
  }

  unsubscribeLease(id: string, subscription: Subscription): void {
    this.unsubscribe(leaseKey(id), subscription);
  }

  /**
   * Taken before a slow load of what `key` names: fresh until the key is published or the bus closed. A guard is good for
   * the next 65,536 keys that are guarded, however long the load takes.
   */
  guard(key: string): LoadGuard {
    return this.#guards.guard(key);
  }

  /** Whether it is open. */
  isHealthy(): boolean {
    return this.#closing === undefined;
  }

  /** `published` counts keys, `delivered` the events that subscribers took. */
  metrics(): Metrics {
    return { published: this.#published, delivered: this.#delivered };
  }

  /** None: there are no others. */
  peers(): string[] {
    return [];
  }

  /** There is nothing to confirm: whoever subscribed has been called. */
  close(): Promise<CloseReport> {
    this.#closing ??= Promise.resolve(NOTHING_PUBLISHED);
    this.#guards.close();
    this.#subscriptions.closeAll();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #check(key: string, options: PublishOptions | undefined): void {
    if (this.#closing !== undefined) throw new ClosedError("publish");
    if (typeof key !== "string" || utf8Length(key) === ILL_FORMED) {
      throw new TypeError(`Cannot publish as the key must be a well-formed string: current value is ${show(key)}`);
    }
    options?.signal?.throwIfAborted();
  }

  #deliver(key: string, options: PublishOptions = {}): number {
    // First: a callback may ask a guard, or take one for the load that it begins.
    if (!this.#guards.idle) this.#guards.touch(key);
    const { region, vectorClock, scope } = options;
    const taken = this.#subscriptions.deliver(key, {
      ...(region !== undefined && { region }),
      // A copy: publishers count on in the same object, while events wait to be read.
      ...(vectorClock !== undefined && { vectorClock: { ...vectorClock } }),
      ...(scope !== undefined && { scope }),
    });
    this.#published++;
    this.#delivered += taken;
    return taken;
  }
}
