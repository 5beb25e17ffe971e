/**
 * The bus: wires the parts together and owns their life.
 *
 * @module
 */

import type { CloseReport } from "./close_report.ts";
import { Seeds } from "./discovery/seeds.ts";
import { ClosedError, misuse, QuorumUnsupportedError } from "./errors.ts";
import type { GapReason } from "./events.ts";
import { CopyBudget } from "./membership/copy_budget.ts";
import { EchoProbes } from "./membership/echo_probes.ts";
import { Identity } from "./membership/identity.ts";
import { LocalNode } from "./membership/local_node.ts";
import { Membership } from "./membership/membership.ts";
import { PathMtu } from "./membership/path_mtu.ts";
import type { HeartbeatPayload } from "./membership/path_validation.ts";
import { PeerWaiters, type WaitForPeersOptions } from "./membership/peer_waiters.ts";
import { Fanout } from "./net/fanout.ts";
import { InterfaceSockets } from "./net/interface_sockets.ts";
import { Receiver } from "./net/receiver.ts";
import { sendAll } from "./net/send_all.ts";
import { SendBudget } from "./net/send_budget.ts";
import { TransmitQueue } from "./net/transmit_queue.ts";
import { Diagnoser } from "./observability/diagnosis/diagnose.ts";
import type { DiagnoseOptions, Diagnosis } from "./observability/diagnosis/diagnosis.ts";
import { ErrorReporter } from "./observability/error_reporter.ts";
import { EventStream, type MeshEvents } from "./observability/event_stream.ts";
import { collectMetrics, type MeshMetrics } from "./observability/metrics.ts";
import { SlowCallbacks } from "./observability/slow_callbacks.ts";
import { deafStatus, type MeshStatus, meshStatus } from "./observability/status.ts";
import { checkOptions, checkPorts, type MeshOptions, type Settings } from "./options.ts";
import { checkSignal, onAbort, type Signal } from "./platform/abort_signal.ts";
import type { DatagramHandlers } from "./platform/datagram_socket.ts";
import { Jitter } from "./platform/jitter.ts";
import type { MeshPorts } from "./platform/ports.ts";
import { TokenBucket } from "./platform/token_bucket.ts";
import { Batcher } from "./pubsub/batcher.ts";
import { Dispatcher } from "./pubsub/dispatcher.ts";
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
import type { LoopStall } from "./reliability/event_loop_monitor.ts";
import { Reliability } from "./reliability/reliability.ts";
import { Shutdown } from "./reliability/shutdown.ts";
import { encodeExtension } from "./wire/extension.ts";
import { MAX_KEY, MAX_PLAIN_KEY, TYPE_PROBE, TYPE_PROBE_ACK } from "./wire/layout.ts";
import { formatNodeId } from "./wire/node_id.ts";

/**
 * How long a key waits for slow callbacks at least, in milliseconds, before everybody is told of an overflow: else a heartbeat
 * as short as one garbage collection would do it.
 */
const MIN_PATIENCE = 100;

/** Gaps of a node that can take no other id, at once and a second: who can read what it sends can bring them about. */
const DUPLICATE_ID_GAPS = { burst: 32, perSecond: 1 };

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
  readonly #duplicateIdGaps: TokenBucket;
  readonly #ports: MeshPorts;
  readonly #signal: Signal | undefined;
  readonly #links: InterfaceSockets;
  readonly #localNode: LocalNode;
  readonly #events: EventStream;
  readonly #errorReporter: ErrorReporter;
  readonly #batcher: Batcher;
  readonly #transmitQueue: TransmitQueue;
  readonly #membership: Membership;
  readonly #seeds: Seeds;
  readonly #fanout: Fanout;
  readonly #copies: CopyBudget;
  readonly #subscriptions: Subscriptions;
  readonly #slowCallbacks: SlowCallbacks;
  readonly #dispatcher: Dispatcher;
  readonly #receiver: Receiver;
  readonly #reliability: Reliability | undefined;
  readonly #probes: EchoProbes | undefined;
  readonly #pathMtu: PathMtu | undefined;
  readonly #diagnoser: Diagnoser;
  readonly #guards: LoadGuards;
  readonly #gaps: GapReporter;
  readonly #overflows: GapReporter;
  readonly #settings: Settings;
  readonly #waiters: PeerWaiters;
  readonly #shutdown: Shutdown;
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
      mesh.#start(settings);
      return mesh;
    } catch (error) {
      await links.close();
      throw error;
    }
  }

  private constructor(settings: Settings, ports: MeshPorts, links: InterfaceSockets) {
    const { clock, contexts, randomBytes } = ports;
    const identity = this.#identity = new Identity(clock, randomBytes);
    const { bytes: nodeId } = identity;
    this.#duplicateIdGaps = new TokenBucket(clock, DUPLICATE_ID_GAPS.burst, DUPLICATE_ID_GAPS.perSecond);
    this.port = links.mesh.port;
    this.#ports = ports;
    this.#settings = settings;
    this.#signal = settings.signal;
    this.#links = links;
    const onThrow = (error: unknown) => this.#errorReporter.report("callback", error);
    this.#events = new EventStream(onThrow, contexts);
    const emit = this.#events.emit.bind(this.#events);
    this.#errorReporter = new ErrorReporter(clock, emit);
    const longest = settings.extended ? MAX_KEY : MAX_PLAIN_KEY;
    const onPattern = (error: Error) => this.#errorReporter.report("subscribe", error);
    const jitter = new Jitter(randomBytes);
    this.#subscriptions = new Subscriptions(onThrow, contexts, longest, onPattern, jitter.seed);
    this.#guards = new LoadGuards(clock, longest, () => (this.#reliability?.suspended ?? 0) > 0);
    this.#gaps = new GapReporter(clock, () => this.#tellAll("gap"));
    this.#overflows = new GapReporter(clock, () => this.#tellAll("overflow"));
    this.#slowCallbacks = new SlowCallbacks(clock, emit);
    this.#dispatcher = new Dispatcher({
      clock,
      subscriptions: this.#subscriptions,
      patience: Math.max(MIN_PATIENCE, settings.heartbeat),
      onSlow: this.#slowCallbacks.report.bind(this.#slowCallbacks),
      onDropped: () => this.#overflows.report(),
    });
    const multicast = () => links.hasMulticast;
    const localNode = this.#localNode = new LocalNode({
      nodeId,
      links,
      ports,
      onJoined: () => this.#membership.appear(),
      onError: (error) => this.#errorReporter.report("interface", error),
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
      rules: { family: settings.family, mayBeAt: localNode.mayBeAt.bind(localNode) },
      seeds: () => this.#seeds.few(),
      isOwn: localNode.isOwn.bind(localNode),
      isElsewhere: localNode.isElsewhere.bind(localNode),
      onDuplicateId: () => this.#takeNewId(true),
      port: this.port,
      encode: (saying) => this.#newHeartbeat(saying),
      sendControlPacket: (heartbeat, to) => this.#transmitQueue.sendControlPacket(heartbeat, to),
      tokenFor: (peer) => this.#reliability?.sendStream.tokenFor(peer),
      heardAt: (id) => this.#reliability?.heardAt(id) ?? -Infinity,
      onBeat: () => this.#reliability?.receiveStreams.expire(),
      onValidated: ({ id }, to, time) => this.#reliability?.receiveStreams.validate(id, to, time),
      isFollowed: (id) => this.#reliability?.receiveStreams.get(id) !== undefined,
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
        sendControlPacket: (packet, to) => this.#transmitQueue.sendControlPacket(packet, to),
        onRetransmit: () => this.#transmitQueue.wake(),
        pendingAge: () => this.#batcher.pendingAge,
        onRetransmitted: (id, number, length) => this.#pathMtu?.recovered(id, number, length),
        onGap: (node, from, to, reason) => this.#gap(node, from, to, reason),
        onLeft: (id) => this.#membership.leave(id),
        onReused: () => this.#takeNewId(false),
        antedate: (since) => this.#dispatcher.antedate(since),
        onSleep: (time) => {
          this.#guards.touchAll();
          this.#batcher.sleep(time);
          this.#dispatcher.sleep(time);
        },
        onStall: (loopStall) => this.#stalled(loopStall),
      })
      : undefined;
    const { group, heartbeat } = settings;
    this.#probes = settings.extended
      ? new EchoProbes({
        nodeId,
        clock,
        randomBytes,
        peer: (id) => this.#membership.peers.get(id),
        report: () => ({ port: this.port, group, heartbeat: Math.floor(heartbeat), multicast: links.hasMulticast }),
        sendControlPacket: (packet, to) => this.#transmitQueue.sendControlPacket(packet, to),
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
        this.#dispatcher.take(key);
      },
      onKeysBegin: () => this.#dispatcher.begin(this.#reliability?.receiveStreams.outstandingSince),
      onBatch: this.#subscriptions.within.bind(this.#subscriptions),
      isFull: () => this.#dispatcher.isFull,
      onManyKeys: this.#dispatcher.look.bind(this.#dispatcher),
      onKeysEnd: this.#dispatcher.end.bind(this.#dispatcher),
      onNumber: (id, number, numbering, host, port, print) =>
        this.#reliability?.accept(id, number, numbering, host, port, print) ?? true,
      onHeartbeat: (nodeId, advertised, source, extension) => {
        const id = formatNodeId(nodeId);
        if (this.#closing !== undefined && !this.#shutdown.isMeeting) {
          if (extension !== undefined) this.#reliability?.sendStream.greet(id, source);
          return;
        }
        const hear = () =>
          extension === undefined || this.#reliability?.onHeartbeat({ nodeId, extension, source }, id) !== false;
        const isHeeded = hear();
        this.#membership.onHeartbeat({ nodeId, id, advertised, source, extension });
        // The answer by which it has come back says where its stream is as well.
        if (!isHeeded) hear();
      },
      onControl: (control) => {
        const isProbe = control.type === TYPE_PROBE || control.type === TYPE_PROBE_ACK;
        if (!isProbe) this.#reliability?.onControlPacket(control);
        else if (this.#closing === undefined) this.#probes?.onPacket(control);
      },
      onOwnHeartbeat: this.#membership.onOwnHeartbeat.bind(this.#membership),
      onOwnProbe: (nonce) => this.#probes?.heardOwn(nonce),
    });
    this.#seeds = new Seeds({
      settings,
      ports,
      port: this.port,
      onNamed: (endpoints) => this.#membership.probeSeeds(endpoints),
      onError: (error) => this.#errorReporter.report("resolve", error),
    });
    this.#diagnoser = new Diagnoser({
      nodeId,
      id: () => identity.text,
      isHealthy: () => this.isHealthy(),
      settings,
      ports,
      links,
      localNode,
      membership: this.#membership,
      seeds: this.#seeds,
      probes: this.#probes,
      errorReporter: this.#errorReporter,
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
      onReady: () => this.#transmitQueue.wake(),
      onLate: (key, self) => {
        this.#guards.touch(key);
        // The outbox is at work. Its publisher goes on after that.
        if (self ?? this.#subscriptions.selfish > 0) void ACCEPTED.then(() => this.#deliverOwn(key, self));
      },
    });
    this.#fanout = new Fanout(() => this.#membership.peers, () => this.#membership.openSeeds());
    this.#copies = new CopyBudget({
      clock,
      // To a node that speaks the original's wire only all others are plain, and it sends what the original sends.
      plain: () => settings.extended ? this.#membership.peers.plainCopies() : [],
      seeds: () => this.#seeds.few(),
      emit,
    });
    this.#transmitQueue = new TransmitQueue({
      send: (datagrams, { host, port }) => sendAll(links.own, datagrams, host, port),
      sendToGroup: links.sendToGroup.bind(links),
      hasGroup: multicast,
      extendedTo: () => this.#fanout.extended,
      batchTo: () => this.#copies.allowed(this.#fanout.batch),
      isSteady: () => this.#copies.isIdle,
      take: () => this.#takeBatch(),
      release: () => {
        this.#batcher.release();
        this.#reliability?.sendStream.announce();
      },
      budget,
      isReady: (what) =>
        what === "batch" ? this.#batcher.isReady : this.#reliability?.sendStream.hasRetransmit === true,
      clock,
      ...this.#reliability && {
        takeRetransmit: this.#reliability.sendStream.takeRetransmit.bind(this.#reliability.sendStream),
        pacer: this.#reliability.pacer,
      },
      onError: (error) => this.#errorReporter.report("send", error),
    });
    this.#waiters = new PeerWaiters(clock, () => this.#membership.peers.joined().length);
    this.#shutdown = new Shutdown({
      clock,
      batcher: this.#batcher,
      transmitQueue: this.#transmitQueue,
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
    return this.#localNode.address;
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
    const streams = this.#reliability?.receiveStreams;
    const { peers, lost, refusedAt } = this.#membership;
    // What has arrived and waits for its callback is outstanding too.
    const { age } = this.#dispatcher;
    const loopStall = this.#reliability?.loopStall;
    const waiting = age === undefined ? undefined : age + (loopStall?.suspended ?? 0);
    const { clock } = this.#ports;
    return meshStatus({ clock, heartbeat, peerTimeout, streams, peers, lost, refusedAt, waiting, loopStall });
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
    return collectMetrics({
      subscriptions: this.#subscriptions,
      transmitQueue: this.#transmitQueue,
      receiver: this.#receiver,
      batcher: this.#batcher,
      errorReporter: this.#errorReporter,
      seeds: this.#seeds,
      membership: this.#membership,
      copies: this.#copies,
      gaps: this.#gaps,
      dispatcher: this.#dispatcher,
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
      this.#shutdown.leftWith(this.#closing);
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
    this.#localNode.start();
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
      this.#errorReporter.report("receive", error);
    },
  };

  #deliverOwn(key: string, self: boolean | undefined): void {
    if (self ?? this.#subscriptions.selfish > 0) this.#dispatcher.takeOwn(key, self === true);
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
    throw new ClosedError("publish", await this.#shutdown.refused());
  }

  async #close(): Promise<CloseReport> {
    this.#detach?.();
    this.#subscriptions.stop();
    this.#guards.close();
    this.#gaps.close();
    this.#overflows.close();
    this.#dispatcher.close();
    this.#waiters.close();
    this.#localNode.close();
    this.#diagnoser.close();
    this.#pathMtu?.close();
    this.#probes?.close();
    this.#reliability?.beginClose();
    const report = await this.#shutdown.run();
    this.#isDeaf = true;
    this.#reliability?.close();
    this.#membership.close();
    this.#subscriptions.closeAll();
    try {
      await this.#links.close();
    } catch (error) {
      this.#errorReporter.report("close", error);
    }
    this.#events.end({ type: "closed", report });
    return report;
  }

  #newHeartbeat(saying: HeartbeatPayload): Uint8Array {
    const news = this.#reliability?.sendStream.news;
    return this.#localNode.heartbeat(news && encodeExtension({ ...news, ...saying }));
  }

  #takeBatch(): Uint8Array | undefined {
    const own = this.#reliability?.sendStream;
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
    const last = this.#reliability?.retransmitBuffer.last ?? 0;
    if (!this.#identity.renew()) {
      const rule = "a node takes at most three other ids an hour";
      this.#errorReporter.report(
        "identity",
        new Error(`Cannot take another id as ${rule}: another node has ${from}`),
      );
      // What a node that was met publishes is taken for its own here. It is met again with each of its heartbeats.
      if (isMet && this.#duplicateIdGaps.allow()) this.#gap(from, last + 1, undefined, "reused");
      return;
    }
    this.#localNode.rename();
    this.#batcher.rename();
    this.#reliability?.sendStream.restart();
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

  #stalled({ since, suspended }: LoopStall): void {
    const { clock } = this.#ports;
    const { heartbeat } = this.#settings;
    const now = clock.now();
    // While a machine is suspended a node may come, publish and leave, and nothing of that waits in its sockets.
    if (this.#closing !== undefined || (suspended === 0 && now - since <= heartbeat)) return;
    this.#events.emit({ type: "stalled", duration: now - since });
    // Callbacks that take so long while they are told would be told of that, and so on for ever. They suspend no machine.
    if (suspended > 0 || now - this.#dispatcher.toldAt > Math.max(MIN_PATIENCE, heartbeat)) this.#tellAll("gap");
  }

  #tellAll(cause: "gap" | "overflow"): void {
    // Guards taken since it happened too: their subscribers hear of it only now.
    this.#guards.touchAll();
    this.#dispatcher.tellAll(cause);
  }
}
