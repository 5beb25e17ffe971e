/**
 * The interface that every bus implements: code written against it runs on a mesh in production and on an in-process
 * bus in a test.
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

/** How far an event is meant to go. The original writes 0 for local and 1 for global. */
export type Scope = "local" | "global";

/** A count per writer, to order changes with. */
export type VectorClock = Readonly<Record<string, number>>;

/**
 * Why a subscriber gets an event:
 *
 * - `publish`: the key was published.
 * - `gap`: datagrams were lost and could not be repaired, or a peer crashed and nobody knows what else it published; any
 *   key may have changed, and `key` is the subscription's own key or prefix. A bus inside one process never sends it.
 * - `overflow`: events were dropped, as the iterated subscription was too slow, or on a mesh any callback of the process;
 *   `key` is the subscription's own prefix, or in the second case its key.
 *
 * A consumer that drops what `key` names, and everything that begins with it for a prefix subscription, is right in all
 * three cases. Only a `publish` carries what a publisher said.
 */
export type Cause = "publish" | "gap" | "overflow";

/** What a subscriber gets. */
export interface SyncEvent {
  /** The key that changed, or the subscription's own key or prefix when `cause` is not `"publish"`. */
  readonly key: string;
  /** Why the event was made. */
  readonly cause: Cause;
  /** Where the publisher is, when it said so and the bus carries it. The wire of the original does not. */
  readonly region?: string | undefined;
  /** The publisher's clock, when it gave one and the bus carries it. The wire of the original does not. */
  readonly vectorClock?: VectorClock | undefined;
  /** How far the event was meant to go, when the publisher said so and the bus carries it. The wire does not. */
  readonly scope?: Scope | undefined;
}

/** Options of `publish` and its variants. */
export interface PublishOptions {
  /** Where the publisher is. */
  readonly region?: string | undefined;
  /** The publisher's clock for this change. */
  readonly vectorClock?: VectorClock | undefined;
  /** How far the event is meant to go. */
  readonly scope?: Scope | undefined;
  /**
   * Whether the bus's own subscriptions hear of it too: `true` all that match, `false` none. Left out, those that were made
   * with `self: true`. It does not travel.
   */
  readonly self?: boolean | undefined;
  /** Ends the wait for room in the queue and withdraws the key: the promise rejects with the signal's reason. */
  readonly signal?: Signal | undefined;
}

/** Options of `subscribe`. */
export interface SubscribeOptions {
  /**
   * Most undelivered events that an iterated subscription holds, one per key: an integer from 1.
   *
   * A key whose event is still undelivered is merged into it, so a subscription to one key never holds more than one
   * event and loses nothing. A prefix subscription that is full gets one event with the cause `"overflow"` in place of
   * what comes until that is delivered. An event with the cause `"gap"` needs no room and is never dropped: it comes after
   * those that are held, in place of an overflow and of what comes until it is delivered.
   *
   * @default {32}
   */
  readonly capacity?: number | undefined;
  /**
   * Whether it also hears what its own bus publishes, unless that says otherwise: for two caches in one process. A callback
   * has been called when `publish` returns, unless others have to be called first: slow ones, or the one that publishes.
   *
   * @default {false}
   */
  readonly self?: boolean | undefined;
  /** Ends the subscription, like `unsubscribe`. */
  readonly signal?: Signal | undefined;
}

/**
 * Called with each event. What it throws, or rejects with, is counted and reported, and stops nothing else. It should
 * return within a millisecond, as nothing else of the process runs meanwhile.
 */
export type SyncCallback = (event: SyncEvent) => unknown;

/**
 * A subscription that is iterated: `for await (const event of subscription)`. The loop ends when the subscription is
 * closed, after the events that it still held. Leaving the loop closes it.
 */
export interface Subscription extends AsyncIterable<SyncEvent> {
  /** What it is subscribed to. */
  readonly topic: Topic;
  /** Whether it gets no further events. */
  readonly closed: boolean;
  /** Stops it, like `unsubscribe`. A second call does nothing. */
  close(): void;
  /** The next events. A subscription with a callback throws a `TypeError` here: it is one or the other. */
  [Symbol.asyncIterator](): AsyncIterableIterator<SyncEvent>;
}

/** Counts since the bus was opened. */
export interface Metrics {
  /** What was sent: on a mesh datagrams (as the original counts), on an in-process bus events. */
  readonly published: number;
  /** What has arrived: on a mesh datagrams of other nodes, on an in-process bus events taken by subscribers. */
  readonly delivered: number;
}

/** A bus that carries invalidations between the copies of a service. */
export interface SyncBus {
  /**
   * Tells the others that `key` has changed, and own subscriptions as `self` says. Resolves when the key is accepted; waits
   * while the queue is full. Network trouble never rejects it. Rejects with a `TypeError` when the key is no well-formed
   * string, with a `KeyTooLongError` when it is longer than 1,366 bytes of UTF-8, and with a `ClosedError` after `close`.
   */
  publish(key: string, options?: PublishOptions): Promise<void>;
  /**
   * Publishes, and resolves when `replicas` others have taken the event. With 0 it is `publish`. Rejects with a
   * `QuorumUnsupportedError` or a `QuorumNotSatisfiedError` when it cannot.
   */
  publishAndAwait(key: string, replicas: number, options?: PublishOptions): Promise<void>;
  /** Publishes, and resolves when replicas in `minZones` zones have taken the event; rejects like `publishAndAwait`. */
  publishAndAwaitTopology(key: string, minZones: number, options?: PublishOptions): Promise<void>;
  /**
   * Subscribes to be iterated. Throws a `ClosedError` after `close`, a `TypeError` or `KeyTooLongError` for what no key can be
   * or begin with, and a `TypeError` for an option that is unknown.
   */
  subscribe(topic: Topic, options?: SubscribeOptions): Subscription;
  /** Subscribes with a callback, which is called as an event arrives. Throws as the one to be iterated. */
  subscribe(topic: Topic, callback: SyncCallback, options?: SubscribeOptions): Subscription;
  /** Closes a subscription to `topic`. Nothing happens when it is another's or closed already. */
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
   * To be called before a slow load of what `key` names: the guard tells afterwards whether an invalidation has overtaken
   * the load, whose result must not be stored then. Nothing needs to be freed. After `close` no guard is fresh. Throws a
   * `TypeError` or `KeyTooLongError` when nobody can publish the key.
   */
  guard(key: string): LoadGuard;
  /** Whether the bus is open and its transport works. */
  isHealthy(): boolean;
  /** Counts since the bus was opened. */
  metrics(): Metrics;
  /** Addresses of the nodes that are known to be there, without the own one. */
  peers(): string[];
  /**
   * Sends what is pending, closes all subscriptions and frees everything. Resolves to what is known of who has what was
   * published. A second call returns the same promise.
   */
  close(): Promise<CloseReport>;
  /** The same as `close`, without the report. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * The key of a lease, as in the original.
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

/** @throws {TypeError} when an option of `publish` is unknown, or `self` no boolean */
export function checkPublish(options: PublishOptions | undefined): void {
  checkKnown("publish", options, PUBLISH_OPTIONS);
  const self = options?.self;
  if (self === undefined || typeof self === "boolean") return;
  throw misuse("publish", "`self` must be a boolean", self);
}
