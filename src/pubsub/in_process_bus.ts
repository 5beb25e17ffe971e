/**
 * In-process bus: the {@linkcode SyncBus} interface without a network, for tests and for services that run as one
 * process.
 *
 * @module
 */

import { type CloseReport, NOTHING_PUBLISHED } from "../close_report.ts";
import { ClosedError, misuse, QuorumUnsupportedError } from "../errors.ts";
import { checkSignal, onAbort } from "../platform/abort_signal.ts";
import type { Clock } from "../platform/clock.ts";
import type { Contexts } from "../platform/contexts.ts";
import { checkKnown, knownOptions } from "../platform/known_options.ts";
import { MAX_KEY, MAX_REGION, MAX_ZONE } from "../wire/layout.ts";
import { checkName } from "../wire/metadata.ts";
import { EntryReceipt } from "./delivery_receipt.ts";
import { type LoadGuard, LoadGuards } from "./load_guard.ts";
import { checkGoKey, checkPublication, type Publication } from "./publication.ts";
import { type AcknowledgingPeer, type AcknowledgingPeers, Quorum } from "./quorum.ts";
import { Subscriptions } from "./subscriptions.ts";
import {
  type AwaitedQuorum,
  type AwaitOptions,
  checkAwait,
  checkPublish,
  checkTopology,
  leaseKey,
  type Metrics,
  type PublishOptions,
  type PublishResult,
  type SubscribeOptions,
  type Subscription,
  type SyncBus,
  type SyncCallback,
  type Topic,
  type TopologyOptions,
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
  /** The zone that this replica is in, for `publishAndAwaitTopology`: 1 to 64 bytes of UTF-8. */
  readonly zone?: string | undefined;
  /**
   * The region that this replica is in: 1 to 64 bytes of UTF-8. What others publish with the scope `"local"` in another
   * region is not delivered here.
   */
  readonly region?: string | undefined;
  /**
   * With that of `systemPorts`, or a virtual one in a test, `timeout` and `settleTimeout` are in force.
   *
   * @default {none: what awaits a callback waits for as long as that takes}
   */
  readonly clock?: Pick<Clock, "setTimer"> | undefined;
}

const OPTIONS = knownOptions<InProcessBusOptions>({
  onError: true,
  contexts: true,
  zone: true,
  region: true,
  clock: true,
});
const REPLICA_OPTIONS = knownOptions<ReplicaOptions>({ zone: true, region: true });

/** Options of {@linkcode InProcessBus.replica}. The others are those of the bus. */
export type ReplicaOptions = Pick<InProcessBusOptions, "zone" | "region">;

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
  readonly #clock: InProcessBusOptions["clock"];
  readonly #zone: string | undefined;
  readonly #region: string | undefined;
  /** The connected replicas, including this one, in the order in which they were made. */
  #replicas: Replicas = { open: new Set([this]), made: 1, quorums: new Map() };
  #address = "in-process:1";
  #published = 0;
  #delivered = 0;
  #closing: Promise<CloseReport> | undefined;

  /**
   * All options may be left out. Throws a `TypeError` for an unknown option or one of another type, and a `RangeError`
   * for a zone or region that is empty or too long.
   */
  constructor(options: InProcessBusOptions = {}) {
    checkKnown("make the bus", options, OPTIONS);
    const { onError = () => {}, contexts, clock, zone, region } = options;
    if (typeof onError !== "function") {
      throw misuse("make the bus", "`onError` must be a function", onError);
    }
    if (zone !== undefined) checkName("make the bus", "zone", zone, MAX_ZONE);
    if (region !== undefined) checkName("make the bus", "region", region, MAX_REGION);
    const enter = contexts?.capture();
    this.#onError = enter === undefined ? onError : (error) => enter(() => onError(error));
    this.#contexts = contexts;
    this.#clock = clock;
    this.#zone = zone;
    this.#region = region;
    this.#subscriptions = new Subscriptions(this.#onError, contexts, MAX_KEY, this.#onError, 0, clock);
  }

  /**
   * Makes another bus that stands for another replica of the service: what one publishes, the others get. It has the
   * same options, except a zone and region of its own, and its own subscriptions and guards. Closing one leaves the
   * others open. Throws a `ClosedError` after `close`.
   */
  replica(options: ReplicaOptions = {}): InProcessBus {
    if (this.#closing !== undefined) throw new ClosedError("make a replica");
    checkKnown("make a replica", options, REPLICA_OPTIONS);
    const { zone, region } = options;
    const replica = new InProcessBus({
      onError: this.#onError,
      contexts: this.#contexts,
      clock: this.#clock,
      zone,
      region,
    });
    replica.#replicas = this.#replicas;
    replica.#address = `in-process:${++this.#replicas.made}`;
    this.#replicas.open.add(replica);
    return replica;
  }

  /** Delivers to the subscribers at all replicas. Rejects with a `ClosedError` after `close`. */
  async publish(topic: Topic, options?: PublishOptions): Promise<void> {
    checkPublish(options);
    this.#deliver(this.#check(topic, options), options);
  }

  /** As on every bus. The acknowledging nodes have names such as `in-process:2`. */
  async publishAndAwait(topic: Topic, replicas: number | "all", options?: AwaitOptions): Promise<PublishResult> {
    return await this.#publishAwaited(topic, checkAwait(replicas, options), options);
  }

  /** As on every bus. The zones are those of the option `zone` of the replicas. */
  async publishAndAwaitTopology(topic: Topic, minZones: number, options?: TopologyOptions): Promise<PublishResult> {
    return await this.#publishAwaited(topic, checkTopology(minZones, options), options);
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
    for (const [quorum, publisher] of [...this.#replicas.quorums]) {
      if (publisher === this) quorum.fail(new ClosedError("await acknowledgements"));
      quorum.depart(this.#asPeer, true);
      quorum.review(publisher.#peers());
    }
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #check(topic: Topic, options: PublishOptions | undefined): Publication {
    if (this.#closing !== undefined) throw new ClosedError("publish");
    const { goKeys = [], region, scope, vectorClock } = options ?? {};
    const own = scope === "local" ? this.#region : undefined;
    const publication = checkPublication(topic, { region: region ?? own, scope, vectorClock });
    for (const key of goKeys) checkGoKey(key);
    if (!publication.isPrefix && goKeys.length > 0) {
      throw misuse("publish", "`goKeys` stand for a prefix, and a key was given", topic);
    }
    const signal = options?.signal;
    if (signal !== undefined) {
      checkSignal("publish", signal);
      signal.throwIfAborted();
    }
    return publication;
  }

  #others(): InProcessBus[] {
    return [...this.#replicas.open].filter((replica) => replica !== this);
  }

  #publishAwaited(topic: Topic, wish: AwaitedQuorum, options: AwaitOptions | undefined): Promise<PublishResult> {
    const publication = this.#check(topic, options);
    const { replicas, zones, timeout } = wish;
    if ((replicas ?? zones) === 0) {
      this.#deliver(publication, options);
      return Promise.resolve({ acknowledgements: [] });
    }
    const peers = this.#peers();
    if (peers.all.length === 0) throw new QuorumUnsupportedError();
    const { quorums } = this.#replicas;
    const quorum = new Quorum(wish, peers, this.#zone, {
      numbered() {},
      settled: () => quorums.delete(quorum),
    });
    if (!quorum.canBeSatisfied(peers)) throw quorum.shortage(peers, false);
    quorums.set(quorum, this);
    const { signal } = options ?? {};
    quorum.timer = this.#clock?.setTimer(() => quorum.fail(quorum.shortage(this.#peers())), timeout);
    quorum.detach = signal && onAbort(signal, () => quorum.fail(signal.reason));
    this.#deliver(publication, options, quorum);
    quorum.review(this.#peers());
    return quorum.promise;
  }

  get #asPeer(): AcknowledgingPeer {
    return { id: this.#address, zone: this.#zone };
  }

  #peers(): AcknowledgingPeers {
    const all = this.#others().map((replica) => replica.#asPeer);
    return { all, ids: new Set(all.map(({ id }) => id)) };
  }

  #deliver(publication: Publication, options: PublishOptions | undefined, quorum?: Quorum): void {
    const self = options?.self;
    // Callbacks may make replicas and subscriptions: those made after the key was published do not get it.
    const replicas = Array.from(this.#replicas.open, (bus) => ({ bus, newest: bus.#subscriptions.newest }));
    // Guards come first: a callback may check a guard, or take one for a load that it begins.
    for (const { bus } of replicas) if (bus.#hears(publication)) bus.#touch(publication);
    this.#published++;
    for (const { bus, newest } of replicas) {
      if (bus === this) {
        if (self ?? this.#subscriptions.selfish > 0) this.#take(publication, newest, self !== true);
        continue;
      }
      const receipt = quorum && new EntryReceipt((outcome) => {
        if (outcome !== undefined) quorum.answer(bus.#asPeer, outcome, this.#peers());
      });
      if (bus.#hears(publication)) bus.#take(publication, newest, false, receipt);
      receipt?.end();
    }
  }

  /** Whether an event is for this replica: one with the scope `local` stays in its region. */
  #hears({ metadata }: Publication): boolean {
    const region = metadata?.scope === "local" ? metadata.region : undefined;
    return region === undefined || this.#region === undefined || region === this.#region;
  }

  #touch({ isPrefix, text }: Publication): void {
    if (isPrefix) this.#guards.touchPrefix(text);
    else this.#guards.touch(text);
  }

  #take({ isPrefix, metadata, text }: Publication, newest: number, isOwn: boolean, receipt?: EntryReceipt): void {
    this.#delivered += isPrefix
      ? this.#subscriptions.deliverPrefix(text, metadata, newest, isOwn, receipt)
      : this.#subscriptions.deliver(text, metadata, newest, isOwn, receipt);
  }
}

/** Connected buses. */
interface Replicas {
  readonly open: Set<InProcessBus>;
  /** How many were made in all. */
  made: number;
  /** The publishes that are awaited, and who has published. */
  readonly quorums: Map<Quorum, InProcessBus>;
}
