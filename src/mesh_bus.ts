/**
 * The bus: what a node can do, and in which state. Its parts are made and connected in `node_parts.ts`.
 *
 * @module
 */

import type { CloseReport } from "./close_report.ts";
import { ClosedError, misuse, QuorumUnsupportedError, TokenError } from "./errors.ts";
import type { WaitForPeersOptions } from "./membership/peer_waiters.ts";
import { InterfaceSockets } from "./net/interface_sockets.ts";
import { NodeParts } from "./node_parts.ts";
import type { DiagnoseOptions, Diagnosis } from "./observability/diagnosis/diagnosis.ts";
import type { MeshEvents } from "./observability/event_stream.ts";
import { collectMetrics, type MeshMetrics } from "./observability/metrics.ts";
import { openingEvents } from "./observability/opening_events.ts";
import { deafStatus, type MeshStatus, meshStatus } from "./observability/status.ts";
import { checkOptions, checkPorts, type MeshOptions, type Settings } from "./options.ts";
import { checkSignal, onAbort, type Signal } from "./platform/abort_signal.ts";
import type { DatagramHandlers } from "./platform/datagram_socket.ts";
import type { MeshPorts } from "./platform/ports.ts";
import type { Batcher } from "./pubsub/batcher.ts";
import type { LoadGuard, LoadGuards } from "./pubsub/load_guard.ts";
import type { OwnKeys } from "./pubsub/own_keys.ts";
import type { Subscriptions } from "./pubsub/subscriptions.ts";
import type { DeliveryAwaiter, Entry } from "./pubsub/pending_entries.ts";
import { checkGoKey, checkKey, checkPublication, type Publication } from "./pubsub/publication.ts";
import {
  type AwaitedQuorum,
  type AwaitOptions,
  checkAwait,
  checkPublish,
  checkTopology,
  hasMetadata,
  leaseKey,
  type PublishOptions,
  type PublishResult,
  type SubscribeOptions,
  type Subscription,
  type SyncBus,
  type SyncCallback,
  type Topic,
  type TopologyOptions,
} from "./pubsub/sync_bus.ts";

import type { ConsistencyTokens, ReachedOptions } from "./reliability/consistency_tokens.ts";

/** What an accepted key gets: one promise for all, as `publish` is called most often for keys that are pending. */
const ACCEPTED: Promise<void> = Promise.resolve();

/**
 * A node of a mesh. Open one with `openMesh`, or with {@linkcode MeshBus.open} on ports of your own.
 *
 * It is in one of three states, one after the other:
 *
 * - **open** from when `open` resolves: everything works.
 * - **closing** from when `close` is called, or `signal` aborts. Nothing is delivered any more, and `subscribe` and
 *   `waitForPeers` fail with a `ClosedError`. `publish` works until the node sends its leave packets; from then on it
 *   fails with a `ClosedError`. What is pending is sent, and peers that miss some of it still get retransmissions.
 * - **closed** from when the promise of `close` resolves: subscriptions and events have ended, sockets and timers are
 *   free. A `publish` that fails opens the sockets for a moment, to report a gap to the peers.
 *
 * `unsubscribe` and what reads (`peers`, `metrics`, `status`, `isHealthy`, `diagnose`, `guard`) work in each. From
 * `close` on the node is not healthy, its status is in doubt, and no guard is fresh.
 */
export class MeshBus implements SyncBus {
  /** UDP port of the mesh: the option `port`, or what the system chose for 0. */
  readonly port: number;
  readonly #parts: NodeParts;
  /** Of the parts, those that `publish` and `subscribe` use. */
  readonly #batcher: Batcher;
  readonly #guards: LoadGuards;
  readonly #ownKeys: OwnKeys;
  readonly #subscriptions: Subscriptions;
  #detach: (() => void) | undefined;
  /** Prefixes that were published while Go nodes were there, without keys for them. */
  #prefixesUnheard = 0;
  /** Whether a socket has failed for good: the node stays open, and receives nothing. */
  #isBroken = false;
  /** There from when the node closes on. */
  #closing: Promise<CloseReport> | undefined;

  /**
   * Opens a node on the given ports and resolves when it is bound and its first heartbeat is on its way.
   *
   * Rejects with a `TypeError` or `RangeError` when an option is out of range, with a `MeshOpenError` when this host
   * cannot give what one asks, and with the reason of `signal` when it aborts.
   */
  static async open(config: MeshOptions & MeshPorts): Promise<MeshBus> {
    const settings = checkOptions(config);
    checkPorts(config);
    const open = () => MeshBus.#open(config, settings);
    // Sockets and timers would keep the context of the request that happened to open the mesh.
    return await (config.contexts === undefined ? open() : config.contexts.leave(open));
  }

  static async #open(config: MeshOptions & MeshPorts, settings: Settings): Promise<MeshBus> {
    settings.signal?.throwIfAborted();
    let handlers: DatagramHandlers = { message() {}, error() {} };
    const links = await InterfaceSockets.open(settings, config, {
      message: (data, host, port) => handlers.message(data, host, port),
      error: (error, fatal) => handlers.error(error, fatal),
    });
    if (settings.signal?.aborted) {
      await links.close();
      settings.signal.throwIfAborted();
    }
    try {
      const mesh = new MeshBus(settings, config, links);
      handlers = mesh.#handlers;
      mesh.#start();
      return mesh;
    } catch (error) {
      await links.close();
      throw error;
    }
  }

  private constructor(settings: Settings, ports: MeshPorts, links: InterfaceSockets) {
    const parts = this.#parts = new NodeParts(this, settings, ports, links);
    this.port = links.mesh.port;
    this.#batcher = parts.batcher;
    this.#guards = parts.guards;
    this.#ownKeys = parts.ownKeys;
    this.#subscriptions = parts.subscriptions;
  }

  /**
   * This node's id in the mesh, a UUID, new for each `open`. It changes when another node has the same:
   * `identityChanged`.
   */
  get nodeId(): string {
    return this.#parts.identity.text;
  }

  /** The address that this node advertises, `host:port`. It changes when the host's address does. */
  get address(): string {
    return this.#parts.localNode.address;
  }

  /** What happens to this node besides the events that it carries. */
  get events(): MeshEvents {
    return this.#parts.events;
  }

  publish(topic: Topic, options?: PublishOptions): Promise<void> {
    try {
      if (options !== undefined) {
        checkPublish(options);
        const signal = options?.signal;
        if (signal !== undefined) {
          checkSignal("publish", signal);
          signal.throwIfAborted();
        }
        if (hasMetadata(options) || options?.goKeys !== undefined) return this.#publishNoted(topic, options);
      }
      if (typeof topic !== "string") return this.#publishNoted(topic, options);
      if (!this.#guards.idle) this.#guards.touch(topic);
      if (!this.#batcher.tryAdd(topic)) return this.#batcher.wait(topic, options?.signal, options?.self);
      if (options !== undefined || this.#subscriptions.selfish > 0) this.#ownKeys.accepted(topic, options?.self);
      return ACCEPTED;
    } catch (error) {
      return error instanceof ClosedError ? this.#refuse() : Promise.reject(error);
    }
  }

  /**
   * As on every bus. A mesh also rejects at once with a `QuorumUnsupportedError` when only Go nodes are there, which
   * cannot acknowledge, and with `wire: "go-warp"`.
   */
  publishAndAwait(topic: Topic, replicas: number | "all", options?: AwaitOptions): Promise<PublishResult> {
    try {
      return this.#publishAwaited(topic, checkAwait(replicas, options), options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As on every bus. The zones are those of the option `zone` of the nodes. */
  publishAndAwaitTopology(topic: Topic, minZones: number, options?: TopologyOptions): Promise<PublishResult> {
    try {
      return this.#publishAwaited(topic, checkTopology(minZones, options), options);
    } catch (error) {
      return Promise.reject(error);
    }
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

  guard(key: string): LoadGuard {
    return this.#guards.guard(key);
  }

  /**
   * How far a cache that follows this mesh can be trusted now: for each peer whether everything has arrived, and how
   * old an invalidation may be that has not. Costs about a microsecond a peer. In doubt for ever after `close`, and
   * when the sockets are broken.
   */
  status(): MeshStatus {
    if (!this.isHealthy()) return deafStatus();
    const { dispatcher, membership, ports: { clock }, reliability, settings: { heartbeat, peerTimeout } } = this.#parts;
    const streams = reliability?.receiveStreams;
    const { peers, lost, refusedAt } = membership;
    // What has arrived and waits for its callback is outstanding too.
    const { age } = dispatcher;
    const loopStall = reliability?.loopStall;
    const waiting = age === undefined ? undefined : age + (loopStall?.suspended ?? 0);
    return meshStatus({ clock, heartbeat, peerTimeout, streams, peers, lost, refusedAt, waiting, loopStall });
  }

  /**
   * Diagnoses the node. Probes at most 32 peers, by unicast and by multicast, with small and large datagrams, and sends
   * multicast that must come back to this node. Harmless: a peer gets about ten datagrams, and at most 150 when many of
   * them are lost. Ends when every probe was acknowledged, or after `timeout`; without a peer it waits as long for the
   * first. Concurrent calls share one diagnosis. A closed node gets a diagnosis with the finding `closed`.
   *
   * The first call loads the code of diagnosis by `import()`, in addition to `timeout`.
   *
   * Never rejects for network trouble. Rejects with a `TypeError` or `RangeError` for options out of range, with the
   * reason of `signal` when it aborts, and as `import()` does when the code cannot be loaded.
   */
  async diagnose(options?: DiagnoseOptions): Promise<Diagnosis> {
    return await this.#parts.diagnoser.diagnose(options);
  }

  /**
   * A short text, of 2 to 236 characters that fit a cookie, a header and a URL, which stands for everything that this
   * node has accepted so far. {@linkcode MeshBus.reached} waits for it on another node, so that a user whose next
   * request lands on another replica reads what was written here. With `earlier`, a token that the user brought, it
   * stands for that as well, of up to 8 nodes in all: those of the nodes that wrote first are left out.
   *
   * Throws a `TypeError` when `earlier` is no string, and a `TokenError` when it is malformed or the node has `wire:
   * "go-warp"`.
   */
  token(earlier?: string): string {
    return this.#tokens().token(earlier);
  }

  /**
   * Resolves when everything that `token` stands for was delivered to the subscribers here, or is covered by a gap that
   * was: at once when it was already. Sends nothing, unless something has not come for 20 ms: then a catch-up request,
   * at most one in a second to a node.
   *
   * Rejects with a `TokenError`, whose `reason` says why that cannot be said: what is read now may be older than the
   * token. Rejects with the reason of `signal` when it aborts, with a `ClosedError` when the mesh closes, and with a
   * `TypeError` or `RangeError` for arguments out of range.
   */
  async reached(token: string, options?: ReachedOptions): Promise<void> {
    await this.#tokens().reached(token, options);
  }

  /** Whether the node is open and its sockets can receive. */
  isHealthy(): boolean {
    return this.#closing === undefined && !this.#isBroken;
  }

  metrics(): MeshMetrics {
    return collectMetrics(this.#parts, this.#prefixesUnheard);
  }

  /**
   * Addresses of the peers, `host:port` as they advertise them, as many as there are peers: two may advertise the same.
   */
  peers(): string[] {
    return this.#parts.membership.peers.addresses();
  }

  /**
   * Resolves when at least `count` peers are there: an integer from 0. It is for programs that open a mesh, publish at
   * once, and need peers to receive it.
   *
   * Rejects with a `PeersTimeoutError` after `timeout`, 10 s unless it is given, with the reason of `signal` when it
   * aborts, with a `ClosedError` when the mesh closes, and with a `TypeError` or `RangeError` for arguments out of
   * range.
   */
  waitForPeers(count: number, options?: WaitForPeersOptions): Promise<void> {
    return this.#parts.waiters.wait(count, options);
  }

  /**
   * Sends what is pending, for at most a second, then frees everything. Never rejects.
   *
   * Keys are accepted until the node sends its leave packets. What could not be sent by then is a gap to the peers, and
   * so is what is refused later. When something was published it also waits for seeds that were looked up or challenged
   * a short while ago. Resolves to a report of which peers have everything that was published.
   */
  close(): Promise<CloseReport> {
    if (this.#closing === undefined) {
      this.#closing = this.#close();
      this.#parts.shutdown.leftWith(this.#closing);
    }
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #handlers: DatagramHandlers = {
    message: (data, host, port) => this.#parts.receiver.receive(data, host, port),
    error: (error, fatal) => {
      if (fatal) this.#isBroken = true;
      this.#parts.errorReporter.report("receive", error);
    },
  };

  #start(): void {
    const { events, links, localNode, membership, reliability, seeds, settings } = this.#parts;
    for (const event of openingEvents(this, links, settings)) events.emit(event);
    membership.start();
    localNode.start();
    reliability?.start();
    seeds.start();
    this.#detach = settings.signal && onAbort(settings.signal, () => void this.close());
  }

  #tokens(): ConsistencyTokens {
    const tokens = this.#parts.reliability?.tokens;
    if (tokens === undefined) throw new TokenError("unsupported");
    return tokens;
  }

  /** Publishes something else than a plain key. */
  async #publishNoted(topic: Topic, options: PublishOptions | undefined): Promise<void> {
    try {
      await this.#acceptAll(this.#publication(topic, options), options, undefined);
    } catch (error) {
      if (error instanceof ClosedError) await this.#refuse();
      throw error;
    }
  }

  /** Accepts all at once, with `undefined`, or returns the promise that it is accepted. */
  #acceptAll(
    publication: Publication,
    options: PublishOptions | undefined,
    awaiter: DeliveryAwaiter | undefined,
  ): Promise<void> | undefined {
    const { goKeys = [], self, signal } = options ?? {};
    const { extended } = this.#parts.settings;
    if (goKeys.length === 0 && !publication.isPrefix && extended) {
      return this.#accept({ ...publication, isForGo: false, awaiter }, signal, self);
    }
    const forGo = goKeys.map((key) => ({ ...checkGoKey(key), isForGo: true, awaiter: undefined }));
    if (!publication.isPrefix && forGo.length > 0) {
      throw misuse("publish", "`goKeys` stand for a prefix, and a key was given", publication.text);
    }
    if (publication.isPrefix && forGo.length === 0) {
      if (!extended) {
        throw misuse("publish", "Go nodes hear no prefix: `goKeys` must be given", { prefix: publication.text });
      }
      if (this.#parts.membership.peers.hasPlain) this.#prefixesUnheard++;
    }
    return this.#acceptInTurn(publication, forGo, options, awaiter);
  }

  /** Keys for Go nodes come first: the prefix does not cover them. */
  async #acceptInTurn(
    publication: Publication,
    forGo: readonly Entry[],
    options: PublishOptions | undefined,
    awaiter: DeliveryAwaiter | undefined,
  ): Promise<void> {
    const { self, signal } = options ?? {};
    const { extended } = this.#parts.settings;
    for (const entry of forGo) await this.#accept(extended ? entry : entry.text, signal, false);
    if (extended) await this.#accept({ ...publication, isForGo: false, awaiter }, signal, self);
    else if (!publication.isPrefix) await this.#accept(publication.text, signal, self);
    else this.#ownKeys.accepted(publication, self);
  }

  /** Accepts an entry, or returns the promise that there is room. */
  #accept(entry: Entry | string, signal: Signal | undefined, self: boolean | undefined): Promise<void> | undefined {
    const isKey = typeof entry === "string";
    if (isKey) this.#guards.touch(entry);
    else if (!entry.isForGo) this.#ownKeys.touch(entry);
    const isAccepted = isKey ? this.#batcher.tryAdd(entry) : this.#batcher.tryAddEntry(entry);
    if (!isAccepted) return this.#batcher.wait(entry, signal, self);
    if (isKey || !entry.isForGo) this.#ownKeys.accepted(entry, self);
    return undefined;
  }

  /** The same for a plain key whose delivery is awaited. */
  #acceptAwaited(key: string, awaiter: DeliveryAwaiter): Promise<void> | undefined {
    if (!this.#guards.idle) this.#guards.touch(key);
    if (!this.#batcher.tryAddAwaited(key, awaiter)) {
      return this.#batcher.wait({ text: key, isPrefix: false, metadata: undefined, isForGo: false, awaiter });
    }
    if (this.#subscriptions.selfish > 0) this.#ownKeys.accepted(key, undefined);
    return undefined;
  }

  /** What is published; a node fills in its region for what is to stay there. */
  #publication(topic: Topic, options: PublishOptions | undefined): Publication {
    const { region, scope, vectorClock } = options ?? {};
    const own = scope === "local" ? this.#parts.settings.region : undefined;
    return checkPublication(topic, { region: region ?? own, scope, vectorClock });
  }

  #publishAwaited(topic: Topic, wish: AwaitedQuorum, options: AwaitOptions | undefined): Promise<PublishResult> {
    const signal = options?.signal;
    if (signal !== undefined) {
      checkSignal("publish", signal);
      signal.throwIfAborted();
    }
    // Most awaited publishes are of a key, with nothing else: no object is made for it.
    const isPlain = typeof topic === "string" && options === undefined;
    const publication = isPlain ? checkKey(topic) : this.#publication(topic, options);
    if ((wish.replicas ?? wish.zones) === 0) {
      const { ownZone: _ownZone, timeout: _timeout, ...rest }: TopologyOptions = options ?? {};
      return this.publish(topic, rest).then(() => ({ acknowledgements: [] }));
    }
    if (this.#closing !== undefined) return this.#refuse();
    const quorum = this.#parts.reliability?.awaitedBatches.open(wish);
    if (quorum === undefined) throw new QuorumUnsupportedError();
    if (signal !== undefined) quorum.detach = onAbort(signal, () => quorum.fail(signal.reason));
    try {
      const isAccepted = typeof publication === "string"
        ? this.#acceptAwaited(publication, quorum)
        : this.#acceptAll(publication, options, quorum);
      isAccepted?.catch((error) => quorum.fail(error));
    } catch (error) {
      quorum.fail(error);
    }
    return quorum.promise;
  }

  /** Rejects once the leave is repeated, so that the peers get a gap. */
  async #refuse(): Promise<never> {
    throw new ClosedError("publish", await this.#parts.shutdown.refused());
  }

  async #close(): Promise<CloseReport> {
    const parts = this.#parts;
    this.#detach?.();
    parts.subscriptions.stop();
    parts.guards.close();
    parts.keyIntake.close();
    parts.losses.close();
    parts.dispatcher.close();
    parts.identityRenewal.close();
    parts.waiters.close();
    parts.localNode.close();
    parts.diagnoser.close();
    parts.pathMtu?.close();
    parts.probes?.close();
    parts.reliability?.beginClose();
    const report = await parts.shutdown.run();
    parts.receiver.isDeaf = true;
    parts.reliability?.close();
    parts.membership.close();
    parts.subscriptions.closeAll();
    try {
      await parts.links.close();
    } catch (error) {
      parts.errorReporter.report("close", error);
    }
    parts.events.end({ type: "closed", report });
    return report;
  }
}
