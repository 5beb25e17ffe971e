/**
 * SyncBus: the interface that every bus implements. Code written against it runs on a mesh in production and on an
 * in-process bus in tests.
 *
 * @module
 */

import type { PublishResult } from "../acknowledgement.ts";
import type { CloseReport } from "../close_report.ts";
import { misuse } from "../errors.ts";
import type { Topic } from "../events.ts";
import type { Signal } from "../platform/abort_signal.ts";
import { checkKnown, type KnownOptions, knownOptions } from "../platform/known_options.ts";
import type { Scope, VectorClock } from "../wire/metadata.ts";
import type { LoadGuard } from "./load_guard.ts";

export type { Acknowledgement, Outcome, PublishResult, Unacknowledged } from "../acknowledgement.ts";
export type { Topic } from "../events.ts";

export type { Scope, VectorClock } from "../wire/metadata.ts";

/**
 * Why a subscriber gets an event:
 *
 * - `publish`: the key was published, or a prefix was that has keys with the subscription in common.
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
  /**
   * What changed: the key that was published. When a prefix was published, it is the subscription's own key or prefix,
   * or the published prefix if that is longer. When `cause` is not `"publish"`, it is the subscription's own key or
   * prefix.
   */
  readonly key: string;
  /** Why the subscriber gets the event. */
  readonly cause: Cause;
  /** The prefix that was published; absent when a key was, and when `cause` is not `"publish"`. */
  readonly prefix?: string | undefined;
  /** Where the publisher is, if it said so. The wire format of go-warp does not carry it. */
  readonly region?: string | undefined;
  /**
   * The publisher's vector clock, if it gave one. Events that were merged have the highest count of each writer. The
   * wire format of go-warp does not carry it.
   */
  readonly vectorClock?: VectorClock | undefined;
  /** How far the event was meant to go, if the publisher said so. The wire format of go-warp does not carry it. */
  readonly scope?: Scope | undefined;
}

/** Options of `publish` and its variants. */
export interface PublishOptions {
  /** Where the publisher is: 1 to 64 bytes of UTF-8. */
  readonly region?: string | undefined;
  /**
   * The publisher's vector clock for this change: at most 64 writers, with names of 1 to 64 bytes of UTF-8 and counts
   * that are integers from 0 to 2^53 - 1, or bigints up to 2^64 - 1. While a key is pending, the clocks of later
   * publishes of it are merged into its own. All metadata of a key takes at most 1,024 bytes.
   */
  readonly vectorClock?: VectorClock | undefined;
  /**
   * How far the event is meant to go. `"local"`: nodes of another region than `region` do not deliver it. The region is
   * that of the option `region` of the mesh when it is left out here; a node that has none delivers everything.
   *
   * @default {"global"}
   */
  readonly scope?: Scope | undefined;
  /**
   * Keys that Go nodes get in place of a published prefix, which they cannot read: at most 65,536. Other nodes ignore
   * them.
   */
  readonly goKeys?: readonly string[] | undefined;
  /**
   * Whether the bus's own subscriptions get the key too: `true` for all that match, `false` for none. Left out, those
   * that were made with `self: true` get it. The option is not sent to other nodes.
   */
  readonly self?: boolean | undefined;
  /** Ends the wait for room in the queue and withdraws the key: the promise rejects with the signal's reason. */
  readonly signal?: Signal | undefined;
}

/** Options of `publishAndAwait`. */
export interface AwaitOptions extends PublishOptions {
  /**
   * Longest wait for acknowledgements, in milliseconds: 1 to 86,400,000. Then the promise rejects with a
   * `QuorumNotSatisfiedError`. The default is that of RSVP in JGroups.
   *
   * @default {10000}
   */
  readonly timeout?: number | undefined;
}

/** Options of `publishAndAwaitTopology`. */
export interface TopologyOptions extends AwaitOptions {
  /**
   * Whether the zone of the publisher counts: it does from the start. Otherwise it does not, though other nodes in it
   * acknowledge.
   *
   * @default {false}
   */
  readonly ownZone?: boolean | undefined;
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
  /**
   * When an event counts as delivered, for publishers that await that. `"returned"`: when the callback has returned, or
   * the event is in the queue of the iterated subscription. `"settled"`: when the promise that the callback returned is
   * settled; a rejection is the outcome `"failed"`. It is for callbacks.
   *
   * @default {"returned"}
   */
  readonly deliveredWhen?: "returned" | "settled" | undefined;
  /**
   * Longest wait for a promise with `deliveredWhen: "settled"`, in milliseconds: 1 to 600,000. Then the outcome is
   * `"failed"`.
   *
   * @default {5000}
   */
  readonly settleTimeout?: number | undefined;
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
   * Tells the other replicas that a key has changed, or with `{ prefix }` all keys that begin with it (`""`: all), and
   * own subscriptions as `self` says. Resolves when it is accepted, and waits while the queue is full. Network trouble
   * never rejects it. Rejects with a `TypeError` when it is no well-formed string, with a `KeyTooLongError` when it is
   * longer than 1,366 bytes of UTF-8 (1,363 for a prefix; less with metadata), with a `TypeError` or `RangeError` for
   * options out of range, and with a `ClosedError` after `close`.
   */
  publish(topic: Topic, options?: PublishOptions): Promise<void>;
  /**
   * Publishes, and resolves when as many other replicas as `replicas` says have acknowledged that they have handed the
   * event to their subscribers, with their answers. A replica without a subscriber for it counts, as it holds nothing;
   * one whose callback failed does not. `"all"`: all replicas that are there now; one that leaves meanwhile counts no
   * longer. With 0 it is `publish`.
   *
   * Rejects at once, and publishes nothing, with a `QuorumUnsupportedError` when there is no other replica that can
   * acknowledge, and with a `QuorumNotSatisfiedError` when there are fewer than `replicas`. Rejects with a
   * `QuorumNotSatisfiedError` also when so many are lost, leave or fail that it cannot be satisfied any more, and after
   * `timeout`; with the reason of `signal` when it aborts; and with a `ClosedError` when the bus closes. What was
   * published stays published.
   */
  publishAndAwait(topic: Topic, replicas: number | "all", options?: AwaitOptions): Promise<PublishResult>;
  /**
   * The same for zones: resolves when replicas in at least `minZones` distinct zones have acknowledged. The zone of the
   * publisher counts only with `ownZone`, and a replica without a zone counts for none. With 0 it is `publish`.
   */
  publishAndAwaitTopology(topic: Topic, minZones: number, options?: TopologyOptions): Promise<PublishResult>;
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
  goKeys: true,
  self: true,
  signal: true,
});
const AWAIT_OPTIONS = knownOptions<Pick<AwaitOptions, "timeout">>({ timeout: true }, PUBLISH_OPTIONS);
const TOPOLOGY_OPTIONS = knownOptions<Pick<TopologyOptions, "ownZone">>({ ownZone: true }, AWAIT_OPTIONS);

/** Most keys in `goKeys`. */
const MAX_GO_KEYS = 65_536;
/** Default of `timeout`: that of RSVP in JGroups. Both in milliseconds. */
const DEFAULT_TIMEOUT = 10_000;
const MAX_TIMEOUT = 86_400_000;

/** Whether the options attach metadata to what is published. */
export function hasMetadata(options: PublishOptions): boolean {
  const { region, scope, vectorClock }: PublishOptions = options ?? {};
  return region !== undefined || scope !== undefined || vectorClock !== undefined;
}

/**
 * Checks the options of `publish`, except metadata.
 *
 * @throws {TypeError} when one is unknown or of another type
 */
export function checkPublish(options: PublishOptions | undefined, known: KnownOptions = PUBLISH_OPTIONS): void {
  checkKnown("publish", options, known);
  if (options === undefined || options === null) return;
  const { goKeys, self } = options;
  if (self !== undefined && typeof self !== "boolean") throw misuse("publish", "`self` must be a boolean", self);
  if (goKeys === undefined) return;
  if (!Array.isArray(goKeys)) throw misuse("publish", "`goKeys` must be an array of keys", goKeys);
  if (goKeys.length <= MAX_GO_KEYS) return;
  throw misuse("publish", `\`goKeys\` must have at most ${MAX_GO_KEYS} keys`, goKeys.length, true);
}

/** What is awaited, and for how long in milliseconds. */
export interface AwaitedQuorum {
  /** How many replicas, or all of them; absent when zones count. */
  readonly replicas?: number | "all";
  /** How many zones; absent when replicas count. */
  readonly zones?: number;
  /** Whether the zone of the publisher counts. */
  readonly ownZone: boolean;
  readonly timeout: number;
}

/**
 * Checks the arguments of `publishAndAwait`.
 *
 * @throws {TypeError} when one is of another type or an option is unknown
 * @throws {RangeError} when one is out of range
 */
export function checkAwait(replicas: number | "all", options: AwaitOptions | undefined): AwaitedQuorum {
  checkPublish(options, AWAIT_OPTIONS);
  if (replicas !== "all") checkCount('`replicas` must be an integer from 0, or "all"', replicas);
  return { replicas, ownZone: false, timeout: checkTimeout("publish", options?.timeout, DEFAULT_TIMEOUT) };
}

/** The same for `publishAndAwaitTopology`. */
export function checkTopology(zones: number, options: TopologyOptions | undefined): AwaitedQuorum {
  checkPublish(options, TOPOLOGY_OPTIONS);
  checkCount("`minZones` must be an integer from 0", zones);
  const ownZone: unknown = options?.ownZone ?? false;
  if (typeof ownZone !== "boolean") throw misuse("publish", "`ownZone` must be a boolean", ownZone);
  return { zones, ownZone, timeout: checkTimeout("publish", options?.timeout, DEFAULT_TIMEOUT) };
}

/** @throws {RangeError} when `timeout` is no number from 1 to 86,400,000 */
export function checkTimeout(action: string, timeout: number | undefined, byDefault: number): number {
  const value = timeout ?? byDefault;
  if (typeof value === "number" && value >= 1 && value <= MAX_TIMEOUT) return value;
  throw misuse(action, `\`timeout\` must be a number of milliseconds from 1 to ${MAX_TIMEOUT}`, value, true);
}

function checkCount(rule: string, count: number): void {
  if (!Number.isInteger(count) || count < 0) throw misuse("publish", rule, count, true);
}
