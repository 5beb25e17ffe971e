/**
 * SyncBus: the interface that every bus implements. Code written against it runs on a mesh in production and on an
 * in-process bus in tests.
 *
 * @module
 */

import type { CloseReport } from "../close_report.ts";
import { misuse } from "../errors.ts";
import type { Topic } from "../events.ts";
import type { Signal } from "../platform/abort_signal.ts";
import { checkKnown, knownOptions } from "../platform/known_options.ts";
import type { LoadGuard } from "./load_guard.ts";

export type { Topic } from "../events.ts";

/** How far an event is meant to go. go-warp writes 0 for local and 1 for global. */
export type Scope = "local" | "global";

/** A count per writer, used to order changes. */
export type VectorClock = Readonly<Record<string, number>>;

/**
 * Why a subscriber gets an event:
 *
 * - `publish`: the key was published.
 * - `gap`: datagrams were lost and could not be recovered, or a peer crashed and nobody knows what else it published.
 *   Any key may have changed, and `key` is the subscription's own key or prefix. An in-process bus never sends it.
 * - `overflow`: events were dropped, as the iterated subscription was too slow, or on a mesh any callback of the
 *   process. `key` is the subscription's own prefix, or in the second case its key or prefix.
 *
 * A consumer that drops what `key` names, and for a prefix subscription everything that begins with it, is correct in
 * all three cases. Only a `publish` carries a publisher's metadata.
 */
export type Cause = "publish" | "gap" | "overflow";

/** An event that a subscriber gets. */
export interface SyncEvent {
  /** The key that changed, or the subscription's own key or prefix when `cause` is not `"publish"`. */
  readonly key: string;
  /** Why the subscriber gets the event. */
  readonly cause: Cause;
  /** Where the publisher is, if it said so and the bus carries it. The wire format of go-warp does not. */
  readonly region?: string | undefined;
  /** The publisher's vector clock, if it gave one and the bus carries it. The wire format of go-warp does not. */
  readonly vectorClock?: VectorClock | undefined;
  /** How far the event was meant to go, if the publisher said so and the bus carries it. The wire format does not. */
  readonly scope?: Scope | undefined;
}

/** Options of `publish` and its variants. */
export interface PublishOptions {
  /** Where the publisher is. */
  readonly region?: string | undefined;
  /** The publisher's vector clock for this change. */
  readonly vectorClock?: VectorClock | undefined;
  /** How far the event is meant to go. */
  readonly scope?: Scope | undefined;
  /**
   * Whether the bus's own subscriptions get the key too: `true` for all that match, `false` for none. Left out, those
   * that were made with `self: true` get it. The option is not sent to other nodes.
   */
  readonly self?: boolean | undefined;
  /** Ends the wait for room in the queue and withdraws the key: the promise rejects with the signal's reason. */
  readonly signal?: Signal | undefined;
}

/** Options of `subscribe`. */
export interface SubscribeOptions {
  /**
   * Largest number of undelivered events that an iterated subscription holds, one per key: an integer from 1.
   *
   * A key whose event is still undelivered is merged into it, so a subscription to one key never holds more than one
   * event and loses nothing. A prefix subscription that is full gets one event with the cause `"overflow"` in place of
   * all that comes until that event is delivered. An event with the cause `"gap"` needs no room and is never dropped.
   * It comes after the held events and replaces an overflow event, and all that comes until it is delivered.
   *
   * @default {32}
   */
  readonly capacity?: number | undefined;
  /**
   * Whether the subscription also gets what its own bus publishes, unless `publish` says otherwise: for two caches in
   * one process. Its callback has been called when `publish` returns, unless others have to be called first: slow ones,
   * or the one that publishes.
   *
   * @default {false}
   */
  readonly self?: boolean | undefined;
  /** Closes the subscription when it aborts, like `unsubscribe`. */
  readonly signal?: Signal | undefined;
}

/**
 * Called with each event. An error that it throws, or rejects with, is counted and reported, and stops nothing else. It
 * should return within a millisecond, as nothing else in the process runs meanwhile.
 */
export type SyncCallback = (event: SyncEvent) => unknown;

/**
 * A subscription that can be iterated: `for await (const event of subscription)`. The loop ends when the subscription
 * is closed, after the events that it still held. Leaving the loop closes the subscription.
 */
export interface Subscription extends AsyncIterable<SyncEvent> {
  /** The key or prefix that it subscribes to. */
  readonly topic: Topic;
  /** Whether it is closed: it gets no further events. */
  readonly closed: boolean;
  /** Closes it, like `unsubscribe`. A second call does nothing. */
  close(): void;
  /** Iterates over the next events. Throws a `TypeError` for a subscription with a callback: it is one or the other. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SyncEvent>;
}

/** Counts since the bus was opened. */
export interface Metrics {
  /** Messages sent: on a mesh datagrams (as go-warp counts), on an in-process bus events. */
  readonly published: number;
  /** Messages received: on a mesh datagrams of other nodes, on an in-process bus events taken by subscribers. */
  readonly delivered: number;
}

/** A bus that carries cache invalidations between the replicas of a service. */
export interface SyncBus {
  /**
   * Tells the other replicas that `key` has changed, and own subscriptions as `self` says. Resolves when the key is
   * accepted, and waits while the queue is full. Network trouble never rejects it. Rejects with a `TypeError` when the
   * key is no well-formed string, with a `KeyTooLongError` when it is longer than 1,366 bytes of UTF-8, and with a
   * `ClosedError` after `close`.
   */
  publish(key: string, options?: PublishOptions): Promise<void>;
  /**
   * Publishes, and resolves when `replicas` other replicas have taken the event. With 0 it is `publish`. Rejects with a
   * `QuorumUnsupportedError` or a `QuorumNotSatisfiedError` when it cannot.
   */
  publishAndAwait(key: string, replicas: number, options?: PublishOptions): Promise<void>;
  /** Publishes, and resolves when replicas in `minZones` zones have taken the event; rejects like `publishAndAwait`. */
  publishAndAwaitTopology(key: string, minZones: number, options?: PublishOptions): Promise<void>;
  /**
   * Subscribes; the result is iterated. Throws a `ClosedError` after `close`, a `TypeError` or `KeyTooLongError` for a
   * topic that no key can equal or begin with, and a `TypeError` for an unknown option.
   */
  subscribe(topic: Topic, options?: SubscribeOptions): Subscription;
  /** Subscribes with a callback, which is called as each event arrives. Throws like the iterated form. */
  subscribe(topic: Topic, callback: SyncCallback, options?: SubscribeOptions): Subscription;
  /** Closes a subscription to `topic`. Does nothing when it subscribes to another topic or is closed already. */
  unsubscribe(topic: Topic, subscription: Subscription): void;
  /** Publishes the key `"lease:" + id`. */
  revokeLease(id: string, options?: PublishOptions): Promise<void>;
  /** Subscribes to the key `"lease:" + id`. */
  subscribeLease(id: string, options?: SubscribeOptions): Subscription;
  /** Subscribes to the key `"lease:" + id` with a callback. */
  subscribeLease(id: string, callback: SyncCallback, options?: SubscribeOptions): Subscription;
  /** Closes a subscription to the key `"lease:" + id`. */
  unsubscribeLease(id: string, subscription: Subscription): void;
  /**
   * To be called before a slow load of the value of `key`. The guard tells afterwards whether an invalidation has
   * overtaken the load, whose result must not be stored then. A guard need not be released. After `close` no guard is
   * fresh. Throws a `TypeError` or `KeyTooLongError` when nobody can publish the key.
   */
  guard(key: string): LoadGuard;
  /** Whether the bus is open and its transport works. */
  isHealthy(): boolean;
  /** Counts since the bus was opened. */
  metrics(): Metrics;
  /** Addresses of the known peers, without this node. */
  peers(): string[];
  /**
   * Sends what is pending, closes all subscriptions and frees all resources. Resolves with a report of which peers are
   * known to have received what was published. A second call returns the same promise.
   */
  close(): Promise<CloseReport>;
  /** The same as `close`, without the report. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * The key of a lease, as in go-warp.
 *
 * @throws {TypeError} when `id` is no string
 */
export function leaseKey(id: string): string {
  if (typeof id === "string") return `lease:${id}`;
  throw misuse("use a lease", "its id must be a string", id);
}

const PUBLISH_OPTIONS = knownOptions<PublishOptions>({
  region: true,
  vectorClock: true,
  scope: true,
  self: true,
  signal: true,
});

/** @throws {TypeError} when an option of `publish` is unknown, or `self` is no boolean */
export function checkPublish(options: PublishOptions | undefined): void {
  checkKnown("publish", options, PUBLISH_OPTIONS);
  const self = options?.self;
  if (self === undefined || typeof self === "boolean") return;
  throw misuse("publish", "`self` must be a boolean", self);
}
