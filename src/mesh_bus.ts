/**
 * The bus: wires the parts together and owns their life.
 *
 * @module
 */

import type { CloseReport } from "./close_report.ts";
import { Seeds } from "./discovery/seeds.ts";
import { ClosedError, misuse, QuorumUnsupportedError } from "./errors.ts";
import type { GapReason } from "./events.ts";
import { CopyLimit } from "./membership/copy_budget.ts";
import { Probes } from "./membership/echo_probes.ts";
import { Identity } from "./membership/identity.ts";
import { Presence } from "./membership/local_node.ts";
import { Membership } from "./membership/membership.ts";
import { PathMtu } from "./membership/path_mtu.ts";
import type { Saying } from "./membership/path_validation.ts";
import { PeerWaiters, type WaitForPeersOptions } from "./membership/peer_waiters.ts";
import { Destinations } from "./net/fanout.ts";
import { Links } from "./net/interface_sockets.ts";
import { Receiver } from "./net/receiver.ts";
import { sendAll } from "./net/send_all.ts";
import { SendBudget } from "./net/send_budget.ts";
import { Outbox } from "./net/transmit_queue.ts";
import { Diagnoser } from "./observability/diagnosis/diagnose.ts";
import type { DiagnoseOptions, Diagnosis } from "./observability/diagnosis/diagnosis.ts";
import { Failures } from "./observability/error_reporter.ts";
import { EventStream, type MeshEvents } from "./observability/event_stream.ts";
import { type MeshMetrics, meshMetrics } from "./observability/metrics.ts";
import { SlowCallbacks } from "./observability/slow_callbacks.ts";
import { deafStatus, type MeshStatus, meshStatus } from "./observability/status.ts";
import { checkOptions, checkPorts, type MeshOptions, type Settings } from "./options.ts";
import { checkSignal, onAbort, type Signal } from "./platform/abort_signal.ts";
import type { DatagramHandlers } from "./platform/datagram_socket.ts";
import { Jitter } from "./platform/jitter.ts";
import type { MeshPorts } from "./platform/ports.ts";
import { RateLimit } from "./platform/token_bucket.ts";
import { Batcher } from "./pubsub/batcher.ts";
import { Deliveries } from "./pubsub/dispatcher.ts";
import { GapReporter } from "./pubsub/gap_reporter.ts";
import { type LoadGuard, LoadGuards } from "./pubsub/load_guard.ts";
import { Subscriptions } from "./pubsub/subscriptions.ts";
import {
  checkPublish,
  leaseKey,
  type PublishOptions,
  type SubscribeOptions,
  type Subscription,
  type SyncBus,
  type SyncCallback,
  type Topic,
} from "./pubsub/sync_bus.ts";
import type { Standstill } from "./reliability/event_loop_monitor.ts";
import { Reliability } from "./reliability/reliability.ts";
import { Farewell } from "./reliability/shutdown.ts";
import { encodeExtension } from "./wire/extension.ts";
import { MAX_KEY, MAX_PLAIN_KEY, TYPE_ANSWER, TYPE_PROBE } from "./wire/layout.ts";
import { formatNodeId } from "./wire/node_id.ts";

/**
 * How long a key waits for slow callbacks at least, in milliseconds, before everybody is told of an overflow: else a heartbeat
 * as short as one garbage collection would do it.
 */
const MIN_PATIENCE = 100;

/** Gaps of a node that can take no other id, at once and a second: who can read what it sends can bring them about. */
const NAMESAKE_GAPS = { burst: 32, perSecond: 1 };

/** What an accepted key gets: one promise for all, as `publish` is called most often for keys that are pending. */
const ACCEPTED: Promise<void> = Promise.resolve();

/**
 * A node of a mesh. Open one with `openMesh`, or with {@linkcode MeshBus.open} on ports of your own.
 *
 * Life: it is open from when `open` resolves until `close` is called. From then on nothing is delivered, `publish` and
 * `subscribe` fail with a `ClosedError`, `unsubscribe` and the reading methods still work. `close` sends what is pending,
 * then ends subscriptions and events, and frees sockets and timers.
 */
export class MeshBus implements SyncBus {
  /** UDP port of the mesh: the option `port`, or what the system chose for 0. */
  readonly port: number;
  readonly #identity: Identity;
  readonly #namesakeGaps: RateLimit;
  readonly #ports: MeshPorts;
  readonly #signal: Signal | undefined;
  readonly #links: Links;
  readonly #presence: Presence;
  readonly #events: EventStream;
  readonly #failures: Failures;
  readonly #batcher: Batcher;
  readonly #outbox: Outbox;
  readonly #membership: Membership;
  readonly #seeds: Seeds;
  readonly #destinations: Destinations;
  readonly #copies: CopyLimit;
  readonly #subscriptions: Subscriptions;
  readonly #slowCallbacks: SlowCallbacks;
  readonly #deliveries: Deliveries;
  readonly #receiver: Receiver;
  readonly #reliability: Reliability | undefined;
  readonly #probes: Probes | undefined;
  readonly #pathMtu: PathMtu | undefined;
  readonly #diagnoser: Diagnoser;
  readonly #guards: LoadGuards;
  readonly #gaps: GapReporter;
  readonly #overflows: GapReporter;
  readonly #settings: Settings;
  readonly #waiters: PeerWaiters;
  readonly #farewell: Farewell;
  #detach: (() => void) | undefined;
  #broken = false;
  #closing: Promise<CloseReport> | undefined;
  /** Whether nothing is received any more. */
  #isDeaf = false;

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
    const links = await Links.open(settings, config, {
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
      mesh.#start(settings);
      return mesh;
    } catch (error) {
      await links.close();
      throw error;
    }
  }

  private constructor(settings: Settings, ports: MeshPorts, links: Links) {
    const { clock, contexts, randomBytes } = ports;
    const identity = this.#identity = new Identity(clock, randomBytes);
    const { bytes: nodeId } = identity;
    this.#namesakeGaps = new RateLimit(clock, NAMESAKE_GAPS.burst, NAMESAKE_GAPS.perSecond);
    this.port = links.mesh.port;
    this.#ports = ports;
    this.#settings = settings;
    this.#signal = settings.signal;
    this.#links = links;
    const onThrow = (error: unknown) => this.#failures.report("callback", error);
    this.#events = new EventStream(onThrow, contexts);
    const emit = this.#events.emit.bind(this.#events);
    this.#failures = new Failures(clock, emit);
    const longest = settings.extended ? MAX_KEY : MAX_PLAIN_KEY;
    const onPattern = (error: Error) => this.#failures.report("subscribe", error);
    const jitter = new Jitter(randomBytes);
    this.#subscriptions = new Subscriptions(onThrow, contexts, longest, onPattern, jitter.seed);
    this.#guards = new LoadGuards(clock, longest, () => (this.#reliability?.suspended ?? 0) > 0);
    this.#gaps = new GapReporter(clock, () => this.#tellAll("gap"));
    this.#overflows = new GapReporter(clock, () => this.#tellAll("overflow"));
    this.#slowCallbacks = new SlowCallbacks(clock, emit);
    this.#deliveries = new Deliveries({
      clock,
      subscriptions: this.#subscriptions,
      patience: Math.max(MIN_PATIENCE, settings.heartbeat),
      onSlow: this.#slowCallbacks.report.bind(this.#slowCallbacks),
      onDropped: () => this.#overflows.report(),
    });
    const multicast = () => links.hasMulticast;
    const presence = this.#presence = new Presence({
      nodeId,
      links,
      ports,
      onJoined: () => this.#membership.appear(),
      onError: (error) => this.#failures.report("interface", error),
      emit,
    });
    this.#membership = new Membership({
      nodeId,
      heartbeat: settings.heartbeat,
      peerTimeout: settings.peerTimeout,
      quietTimeout: settings.quietTimeout,
      maxPeers: settings.maxPeers,
      isPlain: !settings.extended,
      multicast,
      clock,
      jitter,
      randomBytes,
      rules: { family: settings.family, mayBeAt: presence.mayBeAt.bind(presence) },
      seeds: () => this.#seeds.few(),
      isOwn: presence.isOwn.bind(presence),
      isElsewhere: presence.isElsewhere.bind(presence),
      onNamesake: () => this.#takeNewId(true),
      port: this.port,
      encode: (saying) => this.#newHeartbeat(saying),
      post: (heartbeat, to) => this.#outbox.post(heartbeat, to),
      tokenFor: (peer) => this.#reliability?.own.tokenFor(peer),
      heardAt: (id) => this.#reliability?.heardAt(id) ?? -Infinity,
      onBeat: () => this.#reliability?.streams.expire(),
      onProven: ({ id }, to, time) => this.#reliability?.streams.prove(id, to, time),
      isFollowed: (id) => this.#reliability?.streams.get(id) !== undefined,
      onGone: (id, isLost) => {
        this.#reliability?.forget(id, isLost);
        this.#pathMtu?.forget(id);
      },
      emit: (event) => {
        if (event.type === "peerJoined") this.#diagnoser.met();
        emit(event);
        if (event.type === "peerJoined") this.#waiters.joined();
      },
    });
    this.#reliability = settings.extended
      ? new Reliability({
        nodeId,
        settings,
        ports,
        jitter,
        multicast,
        peers: () => this.#membership.peers,
        post: (packet, to) => this.#outbox.post(packet, to),
        onRepair: () => this.#outbox.wake(),
        pendingAge: () => this.#batcher.pendingAge,
        onRepaired: (id, number, length) => this.#pathMtu?.repaired(id, number, length),
        onGap: (node, from, to, reason) => this.#gap(node, from, to, reason),
        onLeft: (id) => this.#membership.leave(id),
        onReused: () => this.#takeNewId(false),
        antedate: (since) => this.#deliveries.antedate(since),
        onSleep: (time) => {
          this.#guards.touchAll();
          this.#batcher.sleep(time);
          this.#deliveries.sleep(time);
        },
        onStall: (standstill) => this.#stalled(standstill),
      })
      : undefined;
    const { group, heartbeat } = settings;
    this.#probes = settings.extended
      ? new Probes({
        nodeId,
        clock,
        randomBytes,
        peer: (id) => this.#membership.peers.get(id),
        report: () => ({ port: this.port, group, heartbeat: Math.floor(heartbeat), multicast: links.hasMulticast }),
        post: (packet, to) => this.#outbox.post(packet, to),
      })
      : undefined;
    this.#pathMtu = this.#probes && new PathMtu({
      clock,
      probes: this.#probes,
      peer: (id) => this.#membership.peers.get(id),
      onLimit: (limit) => this.#batcher.limit = limit,
      onPath: (peer, size) => emit({ type: "pathLimited", peer, size }),
    });
    this.#receiver = new Receiver({
      nodeId,
      extended: settings.extended,
      onKey: (key) => {
        // A callback may close the bus in the middle of a batch.
        if (this.#closing !== undefined) return;
        if (!this.#guards.idle) this.#guards.touch(key.text);
        this.#deliveries.take(key);
      },
      onKeysBegin: () => this.#deliveries.begin(this.#reliability?.streams.outstandingSince),
      onBatch: this.#subscriptions.within.bind(this.#subscriptions),
      isFull: () => this.#deliveries.isFull,
      onManyKeys: this.#deliveries.look.bind(this.#deliveries),
      onKeysEnd: this.#deliveries.end.bind(this.#deliveries),
      onNumber: (id, number, numbering, host, port, print) =>
        this.#reliability?.accept(id, number, numbering, host, port, print) ?? true,
      onHeartbeat: (nodeId, advertised, source, extension) => {
        const id = formatNodeId(nodeId);
        if (this.#closing !== undefined && !this.#farewell.isMeeting) {
          if (extension !== undefined) this.#reliability?.own.greet(id, source);
          return;
        }
        const hear = () =>
          extension === undefined || this.#reliability?.hear({ nodeId, extension, source }, id) !== false;
        const isHeeded = hear();
        this.#membership.hear({ nodeId, id, advertised, source, extension });
        // The answer by which it has come back says where its stream is as well.
        if (!isHeeded) hear();
      },
      onControl: (control) => {
        const isProbe = control.type === TYPE_PROBE || control.type === TYPE_ANSWER;
        if (!isProbe) this.#reliability?.heed(control);
        else if (this.#closing === undefined) this.#probes?.heed(control);
      },
      onOwnHeartbeat: this.#membership.hearOwn.bind(this.#membership),
      onOwnProbe: (nonce) => this.#probes?.heardOwn(nonce),
    });
    this.#seeds = new Seeds({
      settings,
      ports,
      port: this.port,
      onNamed: (endpoints) => this.#membership.greet(endpoints),
      onError: (error) => this.#failures.report("resolve", error),
    });
    this.#diagnoser = new Diagnoser({
      nodeId,
      id: () => identity.text,
      isHealthy: () => this.isHealthy(),
      settings,
      ports,
      links,
      presence,
      membership: this.#membership,
      seeds: this.#seeds,
      probes: this.#probes,
      failures: this.#failures,
      status: () => this.status(),
    });
    const budget = new SendBudget({ clock, pacer: this.#reliability?.pacer });
    this.#batcher = new Batcher({
      nodeId,
      numbered: settings.extended,
      batchInterval: settings.batchInterval,
      batchSize: settings.batchSize,
      queueSize: settings.queueSize,
      clock,
      budget,
      onReady: () => this.#outbox.wake(),
      onLate: (key, self) => {
        this.#guards.touch(key);
        // The outbox is at work. Its publisher goes on after that.
        if (self ?? this.#subscriptions.selfish > 0) void ACCEPTED.then(() => this.#deliverOwn(key, self));
      },
    });
    this.#destinations = new Destinations(() => this.#membership.peers, () => this.#membership.openSeeds());
    this.#copies = new CopyLimit({
      clock,
      // To a node that speaks the original's wire only all others are plain, and it sends what the original sends.
      plain: () => settings.extended ? this.#membership.peers.plainCopies() : [],
      seeds: () => this.#seeds.few(),
      emit,
    });
    this.#outbox = new Outbox({
      send: (datagrams, { host, port }) => sendAll(links.own, datagrams, host, port),
      sendToGroup: links.sendToGroup.bind(links),
      hasGroup: multicast,
      extendedTo: () => this.#destinations.extended,
      batchTo: () => this.#copies.allowed(this.#destinations.batch),
      isSteady: () => this.#copies.isIdle,
      take: () => this.#takeBatch(),
      release: () => {
        this.#batcher.release();
        this.#reliability?.own.announce();
      },
      budget,
      isReady: (what) => what === "batch" ? this.#batcher.isReady : this.#reliability?.own.hasRepair === true,
      clock,
      ...this.#reliability && {
        takeRepair: this.#reliability.own.takeRepair.bind(this.#reliability.own),
        pacer: this.#reliability.pacer,
      },
      onError: (error) => this.#failures.report("send", error),
    });
    this.#waiters = new PeerWaiters(clock, () => this.#membership.peers.joined().length);
    this.#farewell = new Farewell({
      clock,
      batcher: this.#batcher,
      outbox: this.#outbox,
      links,
      membership: this.#membership,
      seeds: this.#seeds,
      reliability: this.#reliability,
      onReopened: (isOpen) => this.#isDeaf = !isOpen,
    });
  }

  /** This node's id in the mesh, a UUID, new for each `open`. It changes when another node has the same: `identityChanged`. */
  get nodeId(): string {
    return this.#identity.text;
  }

  /** Where others reach this node, `host:port`: what its heartbeats say. It changes when the host's address does. */
  get address(): string {
    return this.#presence.address;
  }

  /** What happens to this node besides the events that it carries. */
  get events(): MeshEvents {
    return this.#events;
  }

  publish(key: string, options?: PublishOptions): Promise<void> {
    try {
      if (options !== undefined) {
        checkPublish(options);
        const signal = options?.signal;
        if (signal !== undefined) {
          checkSignal("publish", signal);
          signal.throwIfAborted();
        }
      }
      if (!this.#guards.idle) this.#guards.touch(key);
      if (!this.#batcher.tryAdd(key)) return this.#batcher.wait(key, options?.signal, options?.self);
      if (options !== undefined || this.#subscriptions.selfish > 0) this.#deliverOwn(key, options?.self);
      return ACCEPTED;
    } catch (error) {
      return error instanceof ClosedError ? this.#refuse() : Promise.reject(error);
    }
  }

  /** With `replicas` above 0 it rejects with a `QuorumUnsupportedError`: the wire of the original has no acknowledgement. */
  async publishAndAwait(key: string, replicas: number, options?: PublishOptions): Promise<void> {
    if (replicas === 0) return await this.publish(key, options);
    throw this.#noQuorum("replicas", replicas, options);
  }

  /** Rejects with a `QuorumUnsupportedError`: the wire of the original has neither zones nor acknowledgements. */
  async publishAndAwaitTopology(_key: string, minZones: number, options?: PublishOptions): Promise<void> {
    throw this.#noQuorum("minZones", minZones, options);
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
   * How far a cache that follows this mesh can be trusted now: for each peer whether everything has arrived, and how old
   * an invalidation may be that has not. Costs about a microsecond a peer. In doubt for ever after `close`, and when the
   * sockets are broken.
   */
  status(): MeshStatus {
    if (!this.isHealthy()) return deafStatus();
    const { heartbeat, peerTimeout } = this.#settings;
    const streams = this.#reliability?.streams;
    const { peers, lost, refusedAt } = this.#membership;
    // What has arrived and waits for its callback is outstanding too.
    const { age } = this.#deliveries;
    const standstill = this.#reliability?.standstill;
    const waiting = age === undefined ? undefined : age + (standstill?.suspended ?? 0);
    const { clock } = this.#ports;
    return meshStatus({ clock, heartbeat, peerTimeout, streams, peers, lost, refusedAt, waiting, standstill });
  }

  /**
   * Looks for what is wrong: asks the peers, at most 32 of them, by each way, with small and large datagrams, and sends
   * what must come back to this node itself. Harmless: a peer gets about ten datagrams, and at most 150 when much of
   * that is lost. Ends when everything was answered, or after `timeout`; without any peer it waits as long for the first.
   * Who asks meanwhile gets the same diagnosis. Of a closed node it says so.
   *
   * Never rejects for what the network does: with a `TypeError` or `RangeError` for options out of range, and with the
   * reason of `signal` when it aborts.
   */
  async diagnose(options?: DiagnoseOptions): Promise<Diagnosis> {
    return await this.#diagnoser.diagnose(options);
  }

  /** Whether the node is open and its sockets can receive. */
  isHealthy(): boolean {
    return this.#closing === undefined && !this.#broken;
  }

  metrics(): MeshMetrics {
    return meshMetrics({
      subscriptions: this.#subscriptions,
      outbox: this.#outbox,
      receiver: this.#receiver,
      batcher: this.#batcher,
      failures: this.#failures,
      seeds: this.#seeds,
      membership: this.#membership,
      copies: this.#copies,
      gaps: this.#gaps,
      deliveries: this.#deliveries,
      slowCallbacks: this.#slowCallbacks,
      reliability: this.#reliability,
    });
  }

  /** Addresses of the peers, `host:port` as they advertise them, as many as there are peers: two may advertise the same. */
  peers(): string[] {
    return this.#membership.peers.addresses();
  }

  /**
   * Resolves when at least `count` peers are there: an integer from 0. For who opens a mesh to publish something at once, and
   * wants to be sure that it is heard.
   *
   * Rejects with a `PeersTimeoutError` after `timeout`, 10 s unless it is given, with the reason of `signal` when it aborts,
   * with a `ClosedError` when the mesh closes, and with a `TypeError` or `RangeError` for arguments out of range.
   */
  waitForPeers(count: number, options?: WaitForPeersOptions): Promise<void> {
    return this.#waiters.wait(count, options);
  }

  /**
   * Sends what is pending, for at most a second, then frees everything. Never rejects.
   *
   * Keys are taken until peers are told that the node leaves. What could not be sent by then is a gap to them, and so is what
   * is refused later. When something was published it also waits for seeds that were looked up or greeted a short while ago.
   * Resolves to what is known of who has it.
   */
  close(): Promise<CloseReport> {
    if (this.#closing === undefined) {
      this.#closing = this.#close();
      this.#farewell.leftWith(this.#closing);
    }
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #start(settings: Settings): void {
    const { own, mesh, multicastError, hasMulticast } = this.#links;
    const { adapter } = own;
    const fallbacks = new Set([mesh.fallback, own.fallback].filter((reason) => reason !== undefined));
    for (const reason of fallbacks) this.#events.emit({ type: "fallback", adapter, reason });
    for (const option of new Set([...mesh.unmet, ...own.unmet])) {
      if (option === "receiveBuffer" && !settings.receiveBufferRequired) continue;
      this.#events.emit({ type: "unsupported", option, adapter });
    }
    for (const name of this.#links.missing) this.#events.emit({ type: "interfaceMissing", name });
    if (multicastError !== undefined) this.#events.emit({ type: "multicastUnavailable", error: multicastError });
    const { nodeId, address } = this;
    this.#events.emit({ type: "opened", nodeId, address, adapter, multicast: hasMulticast });
    this.#membership.start();
    this.#presence.start();
    this.#reliability?.start();
    this.#seeds.start();
    this.#detach = this.#signal && onAbort(this.#signal, () => void this.close());
  }

  readonly #handlers: DatagramHandlers = {
    // A node that closes still answers those who miss something of it.
    message: (data, host, port) => {
      if (!this.#isDeaf) this.#receiver.receive(data, host, port);
    },
    error: (error, fatal) => {
      if (fatal) this.#broken = true;
      this.#failures.report("receive", error);
    },
  };

  #deliverOwn(key: string, self: boolean | undefined): void {
    if (self ?? this.#subscriptions.selfish > 0) this.#deliveries.takeOwn(key, self === true);
  }

  #noQuorum(name: string, count: number, options: PublishOptions | undefined): Error {
    if (!Number.isInteger(count) || count < 0) {
      return misuse("publish", `\`${name}\` must be an integer from 0`, count, true);
    }
    checkPublish(options);
    return this.#closing === undefined ? new QuorumUnsupportedError() : new ClosedError("publish");
  }

  /** Rejects when the peers have been told. */
  async #refuse(): Promise<never> {
    throw new ClosedError("publish", await this.#farewell.refused());
  }

  async #close(): Promise<CloseReport> {
    this.#detach?.();
    this.#subscriptions.stop();
    this.#guards.close();
    this.#gaps.close();
    this.#overflows.close();
    this.#deliveries.close();
    this.#waiters.close();
    this.#presence.close();
    this.#diagnoser.close();
    this.#pathMtu?.close();
    this.#probes?.close();
    this.#reliability?.beginClose();
    const report = await this.#farewell.say();
    this.#isDeaf = true;
    this.#reliability?.close();
    this.#membership.close();
    this.#subscriptions.closeAll();
    try {
      await this.#links.close();
    } catch (error) {
      this.#failures.report("close", error);
    }
    this.#events.end({ type: "closed", report });
    return report;
  }

  #newHeartbeat(saying: Saying): Uint8Array {
    const news = this.#reliability?.own.news;
    return this.#presence.heartbeat(news && encodeExtension({ ...news, ...saying }));
  }

  #takeBatch(): Uint8Array | undefined {
    const own = this.#reliability?.own;
    const batch = this.#batcher.take(own?.next);
    if (batch !== undefined) own?.sent(batch);
    return batch;
  }

  /**
   * Another node has the same id, as a clone of this machine, or this one was set back, as one that is restored from an image.
   * What it published may have been taken for copies of what the other did; and the other's, here, for its own.
   */
  #takeNewId(isMet: boolean): void {
    if (this.#closing !== undefined) return;
    const { nodeId: from } = this;
    const last = this.#reliability?.ring.last ?? 0;
    if (!this.#identity.renew()) {
      const rule = "a node takes at most three other ids an hour";
      this.#failures.report(
        "identity",
        new Error(`Cannot take another id as ${rule}: another node has ${from}`),
      );
      // What a node that was met publishes is taken for its own here. It is met again with each of its heartbeats.
      if (isMet && this.#namesakeGaps.allow()) this.#gap(from, last + 1, undefined, "reused");
      return;
    }
    this.#presence.rename();
    this.#batcher.rename();
    this.#reliability?.own.restart();
    this.#events.emit({ type: "identityChanged", from, to: this.nodeId });
    this.#gap(from, last + 1, undefined, "reused");
    this.#membership.beat();
  }

  #gap(node: string, from: number, to: number | undefined, reason: GapReason): void {
    if (this.#closing !== undefined) return;
    // Guards at once: a round of events may wait.
    this.#guards.touchAll();
    this.#events.emit({ type: "gap", node, from, to, reason });
    this.#gaps.report();
  }

  #stalled({ since, suspended }: Standstill): void {
    const { clock } = this.#ports;
    const { heartbeat } = this.#settings;
    const now = clock.now();
    // While a machine is suspended a node may come, publish and leave, and nothing of that waits in its sockets.
    if (this.#closing !== undefined || (suspended === 0 && now - since <= heartbeat)) return;
    this.#events.emit({ type: "stalled", duration: now - since });
    // Callbacks that take so long while they are told would be told of that, and so on for ever. They suspend no machine.
    if (suspended > 0 || now - this.#deliveries.toldAt > Math.max(MIN_PATIENCE, heartbeat)) this.#tellAll("gap");
  }

  #tellAll(cause: "gap" | "overflow"): void {
    // Guards taken since it happened too: their subscribers hear of it only now.
    this.#guards.touchAll();
    this.#deliveries.tellAll(cause);
  }
}
