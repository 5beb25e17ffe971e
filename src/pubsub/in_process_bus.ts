/**
 * In-process bus: the {@linkcode SyncBus} interface without a network, for tests and for services that run as one
 * process.
 *
 * @module
 */

import { type CloseReport, NOTHING_PUBLISHED } from "../close_report.ts";
import { ClosedError, KeyTooLongError, misuse, QuorumNotSatisfiedError } from "../errors.ts";
import { checkSignal } from "../platform/abort_signal.ts";
import type { Contexts } from "../platform/contexts.ts";
import { checkKnown, knownOptions } from "../platform/known_options.ts";
import { MAX_KEY } from "../wire/layout.ts";
import { ILL_FORMED, utf8Length } from "../wire/utf8.ts";
import { type LoadGuard, LoadGuards } from "./load_guard.ts";
import { type EventMetadata, Subscriptions } from "./subscriptions.ts";
import {
  checkPublish,
  leaseKey,
  type Metrics,
  type PublishOptions,
  type SubscribeOptions,
  type Subscription,
  type SyncBus,
  type SyncCallback,
  type Topic,
} from "./sync_bus.ts";

/** Options of an {@linkcode InProcessBus}. */
export interface InProcessBusOptions {
  /**
   * Gets what a callback of a subscription threw or rejected with. Also gets an error for each subscription whose topic
   * ends in `*`, which is no wildcard. @default {drops it}
   */
  readonly onError?: ((error: unknown) => void) | undefined;
  /**
   * With those of `systemPorts` (`@warp-mesh/bus/auto`) callbacks run in the `AsyncLocalStorage` context of the caller
   * of `subscribe`, as on a mesh of `openMesh`. @default {in the context of the publisher, like an `EventEmitter`}
   */
  readonly contexts?: Contexts | undefined;
}

const OPTIONS = knownOptions<InProcessBusOptions>({ onError: true, contexts: true });

/**
 * A {@linkcode SyncBus} with no network: for tests, and for a service that runs as one process. It is the `InMemoryBus`
 * of go-warp.
 *
 * {@linkcode InProcessBus.replica} makes another bus that stands for another replica of the service. Each replica gets
 * what the others publish, with region, vector clock and scope, before `publish` resolves. As on a mesh, a bus's own
 * subscriptions get it only with `self: true`, and keys have at most 1,366 bytes of UTF-8.
 *
 * @example Two replicas of a service
 * ```ts
 * import { InProcessBus } from "@warp-mesh/bus";
 *
 * const bus = new InProcessBus();
 * const other = bus.replica();
 * const cache = new Map([["user:42", "Ada"]]);
 * bus.subscribe({ prefix: "user:" }, (event) => cache.delete(event.key));
 *
 * await other.publishAndAwait("user:42", 1);
 * console.log(cache.size); // 0
 * await Promise.all([bus.close(), other.close()]);
 * ```
 */
export class InProcessBus implements SyncBus {
  readonly #subscriptions: Subscriptions;
  // Without a clock, as no timer may keep the process alive. The number of guards bounds them instead.
  readonly #guards = new LoadGuards();
  readonly #onError: (error: unknown) => void;
  readonly #contexts: Contexts | undefined;
  /** The connected replicas, including this one, in the order in which they were made. */
  #replicas: Replicas = { open: new Set([this]), made: 1 };
  #address = "in-process:1";
  #published = 0;
  #delivered = 0;
  #closing: Promise<CloseReport> | undefined;

  /**
   * Both options may be left out. Throws a `TypeError` for an unknown option, and for an `onError` that is no function.
   */
  constructor(options: InProcessBusOptions = {}) {
    checkKnown("make the bus", options, OPTIONS);
    const { onError = () => {}, contexts } = options;
    if (typeof onError !== "function") {
      throw misuse("make the bus", "`onError` must be a function", onError);
    }
    const enter = contexts?.capture();
    this.#onError = enter === undefined ? onError : (error) => enter(() => onError(error));
    this.#contexts = contexts;
    this.#subscriptions = new Subscriptions(this.#onError, contexts, MAX_KEY, this.#onError);
  }

  /**
   * Makes another bus that stands for another replica of the service: what one publishes, the others get. It has the
   * same options, and its own subscriptions and guards. Closing one leaves the others open. Throws a `ClosedError`
   * after `close`.
   */
  replica(): InProcessBus {
    if (this.#closing !== undefined) throw new ClosedError("make a replica");
    const replica = new InProcessBus({ onError: this.#onError, contexts: this.#contexts });
    replica.#replicas = this.#replicas;
    replica.#address = `in-process:${++this.#replicas.made}`;
    this.#replicas.open.add(replica);
    return replica;
  }

  /** Delivers to the subscribers of `key` at all replicas. Rejects with a `ClosedError` after `close`. */
  async publish(key: string, options?: PublishOptions): Promise<void> {
    this.#check(key, options);
    this.#deliver(key, options);
  }

  /**
   * Delivers to the subscribers of `key` if there are at least `replicas` of them: those of other replicas, and this
   * bus's own as `self` says. Rejects with a `QuorumNotSatisfiedError` when there are fewer, or when fewer have taken
   * the event as the queues of the others were full.
   */
  async publishAndAwait(key: string, replicas: number, options?: PublishOptions): Promise<void> {
    this.#check(key, options);
    if (!Number.isInteger(replicas) || replicas < 0) {
      throw misuse("publish", "the quorum must be an integer from 0", replicas, true);
    }
    const subscribers = this.#count(key, options?.self);
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
   * To be taken before a slow load of the value of `key`. It is fresh until any replica publishes the key, or the bus
   * is closed. A guard lasts for the next 65,536 guarded keys, however long the load takes.
   */
  guard(key: string): LoadGuard {
    return this.#guards.guard(key);
  }

  /** Whether the bus is open. */
  isHealthy(): boolean {
    return this.#closing === undefined;
  }

  /** `published` counts keys that this bus published, `delivered` the events that its subscribers took. */
  metrics(): Metrics {
    return { published: this.#published, delivered: this.#delivered };
  }

  /** A name for each other open replica, such as `in-process:2`. */
  peers(): string[] {
    return this.#others().map((replica) => replica.#address);
  }

  /** The report has nothing to confirm: all subscribers have been called. */
  close(): Promise<CloseReport> {
    this.#closing ??= Promise.resolve(NOTHING_PUBLISHED);
    this.#replicas.open.delete(this);
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
      throw misuse("publish", "the key must be a well-formed string", key);
    }
    const bytes = utf8Length(key);
    if (bytes > MAX_KEY) throw new KeyTooLongError(key, bytes, MAX_KEY);
    checkPublish(options);
    const signal = options?.signal;
    if (signal === undefined) return;
    checkSignal("publish", signal);
    signal.throwIfAborted();
  }

  #others(): InProcessBus[] {
    return [...this.#replicas.open].filter((replica) => replica !== this);
  }

  #count(key: string, self: boolean | undefined): number {
    const own = self === true
      ? this.#subscriptions.count(key)
      : self === false
      ? 0
      : this.#subscriptions.countSelfish(key);
    return this.#others().reduce((count, other) => count + other.#subscriptions.count(key), own);
  }

  #deliver(key: string, options: PublishOptions | undefined): number {
    const { region, vectorClock, scope, self } = options ?? {};
    const metadata = {
      ...(region !== undefined && { region }),
      // A copy: the publisher may count on in the same object while events wait to be read.
      ...(vectorClock !== undefined && { vectorClock: { ...vectorClock } }),
      ...(scope !== undefined && { scope }),
    };
    // Callbacks may make replicas and subscriptions: those made after the key was published do not get it.
    const replicas = Array.from(this.#replicas.open, (bus) => ({ bus, newest: bus.#subscriptions.newest }));
    // Guards come first: a callback may check a guard, or take one for a load that it begins.
    for (const { bus } of replicas) bus.#guards.touch(key);
    this.#published++;
    let taken = 0;
    for (const { bus, newest } of replicas) {
      if (bus !== this) taken += bus.#take(key, metadata, newest, false);
      else if (self ?? this.#subscriptions.selfish > 0) taken += this.#take(key, metadata, newest, self !== true);
    }
    return taken;
  }

  #take(key: string, metadata: EventMetadata, newest: number, isOwn: boolean): number {
    const taken = this.#subscriptions.deliver(key, metadata, newest, isOwn);
    this.#delivered += taken;
    return taken;
  }
}

/** Connected buses. */
interface Replicas {
  readonly open: Set<InProcessBus>;
  /** How many were made in all. */
  made: number;
}
