/**
 * Wiring of a node: makes its parts, and connects those that call each other.
 *
 * @module
 */

import { Seeds } from "./discovery/seeds.ts";
import type { MeshEvent } from "./events.ts";
import { LazyDiagnoser } from "./lazy_diagnoser.ts";
import { EchoProbes } from "./membership/echo_probes.ts";
import { HeartbeatSender } from "./membership/heartbeat_sender.ts";
import { Identity } from "./membership/identity.ts";
import { IdentityRenewal } from "./membership/identity_renewal.ts";
import { LocalNode } from "./membership/local_node.ts";
import { Membership } from "./membership/membership.ts";
import { PathMtu } from "./membership/path_mtu.ts";
import { PeerWaiters } from "./membership/peer_waiters.ts";
import { NO_STREAMS } from "./membership/stream_registry.ts";
import { UnicastCopyBudget } from "./membership/unicast_copy_budget.ts";
import { Fanout } from "./net/fanout.ts";
import type { InterfaceSockets } from "./net/interface_sockets.ts";
import { Pacer } from "./net/pacer.ts";
import { Receiver } from "./net/receiver.ts";
import { SendBudget } from "./net/send_budget.ts";
import { TransmitQueue } from "./net/transmit_queue.ts";
import type { DiagnosedNode } from "./observability/diagnosis/snapshot.ts";
import { ErrorReporter } from "./observability/error_reporter.ts";
import { EventStream } from "./observability/event_stream.ts";
import { SlowCallbacks } from "./observability/slow_callbacks.ts";
import type { Settings } from "./options.ts";
import type { Endpoint } from "./platform/endpoint.ts";
import { Jitter } from "./platform/jitter.ts";
import type { MeshPorts } from "./platform/ports.ts";
import { Batcher } from "./pubsub/batcher.ts";
import { Dispatcher } from "./pubsub/dispatcher.ts";
import { KeyIntake } from "./pubsub/key_intake.ts";
import { LoadGuards } from "./pubsub/load_guard.ts";
import { LossNotifier, MIN_PATIENCE } from "./pubsub/loss_notifier.ts";
import { OwnKeys } from "./pubsub/own_keys.ts";
import { Subscriptions } from "./pubsub/subscriptions.ts";
import { ControlRouter } from "./reliability/control_router.ts";
import { NumberedBatches } from "./reliability/numbered_batches.ts";
import { Reliability } from "./reliability/reliability.ts";
import { Shutdown } from "./reliability/shutdown.ts";
import { MAX_KEY, MAX_PLAIN_KEY } from "./wire/layout.ts";

/**
 * Makes the parts and connects them. A part gets those that it calls as arguments, so they are made first:
 *
 * ```text
 * reports      events, errors
 * subscribers  subscriptions, guards, dispatcher, losses
 * sending      transmit queue ◀─ batcher, reliability, heartbeats, probes
 * peers        local node, seeds, path MTU, reliability ◀─ membership
 * receiving    receiver ─▶ key intake, reliability, control router ─▶ membership, reliability, probes
 * ```
 *
 * There are two cycles. The transmit queue takes datagrams from parts that wake it: it is made before them, and
 * connected to them at the end. Membership calls parts that look up its peers: they are made before it, and reach it,
 * and a few other parts that are made later, through the functions of `late`. Nothing calls these before the node
 * starts.
 */
export class NodeParts {
  readonly settings: Settings;
  readonly ports: MeshPorts;
  readonly links: InterfaceSockets;
  readonly events: EventStream;
  readonly errorReporter: ErrorReporter;
  readonly slowCallbacks: SlowCallbacks;
  readonly identity: Identity;
  readonly identityRenewal: IdentityRenewal;
  readonly subscriptions: Subscriptions;
  readonly guards: LoadGuards;
  readonly dispatcher: Dispatcher;
  readonly losses: LossNotifier;
  readonly ownKeys: OwnKeys;
  readonly keyIntake: KeyIntake;
  readonly transmitQueue: TransmitQueue;
  readonly batcher: Batcher;
  readonly copies: UnicastCopyBudget;
  readonly localNode: LocalNode;
  readonly seeds: Seeds;
  /** The next three are absent when the node speaks go-warp's wire only. */
  readonly probes: EchoProbes | undefined;
  readonly pathMtu: PathMtu | undefined;
  readonly reliability: Reliability | undefined;
  readonly membership: Membership;
  readonly waiters: PeerWaiters;
  readonly diagnoser: LazyDiagnoser;
  readonly shutdown: Shutdown;
  readonly receiver: Receiver;

  constructor(node: DiagnosedNode, settings: Settings, ports: MeshPorts, links: InterfaceSockets) {
    this.settings = settings;
    this.ports = ports;
    this.links = links;
    const { clock, contexts, randomBytes } = ports;
    const { extended, family, group, heartbeat, maxPeers, peerTimeout, quietTimeout } = settings;
    const { port } = links.mesh;
    const identity = this.identity = new Identity(clock, randomBytes);
    const { bytes: nodeId } = identity;
    const jitter = new Jitter(randomBytes);
    const multicast = () => links.hasMulticast;

    const peers = () => this.membership.peers;
    const late = {
      peers,
      plain: {
        get hasPlain(): boolean {
          return peers().hasPlain;
        },
      },
      appear: () => this.membership.becomeReachable(),
      probeSeeds: (endpoints: readonly Endpoint[]) => this.membership.probeSeeds(endpoints),
      membership: { leave: (id: string) => this.membership.leave(id) },
      identity: {
        duplicateMet: () => this.identityRenewal.duplicateMet(),
        numbersReused: () => this.identityRenewal.numbersReused(),
      },
      hasSlept: () => (this.reliability?.suspended ?? 0) > 0,
      overflow: () => this.losses.overflow(),
      receiver: () => this.receiver,
    };

    // Reports.
    const onThrow = (error: unknown) => this.errorReporter.report("callback", error);
    const events = this.events = new EventStream(onThrow, contexts);
    const emit = events.emit.bind(events);
    const errors = this.errorReporter = new ErrorReporter(clock, emit);
    const slowCallbacks = this.slowCallbacks = new SlowCallbacks(clock, emit);

    // Subscribers.
    const longest = extended ? MAX_KEY : MAX_PLAIN_KEY;
    const onPattern = (error: Error) => errors.report("subscribe", error);
    const subscriptions = this.subscriptions = new Subscriptions(
      onThrow,
      contexts,
      longest,
      onPattern,
      jitter.seed,
      clock,
    );
    const guards = this.guards = new LoadGuards(clock, longest, late.hasSlept);
    const dispatcher = this.dispatcher = new Dispatcher({
      clock,
      subscriptions,
      patience: Math.max(MIN_PATIENCE, heartbeat),
      onSlow: slowCallbacks.report.bind(slowCallbacks),
      onDropped: late.overflow,
    });
    const losses = this.losses = new LossNotifier({ clock, heartbeat, guards, dispatcher, emit });
    const ownKeys = this.ownKeys = new OwnKeys({ guards, subscriptions, dispatcher });

    // Sending.
    const pacer = extended ? new Pacer({ min: settings.minSendRate, max: settings.maxSendRate, clock }) : undefined;
    const budget = new SendBudget({ clock, pacer });
    const transmit = this.transmitQueue = new TransmitQueue({
      sockets: links,
      pacer,
      budget,
      clock,
      onError: (error) => errors.report("send", error),
    });
    const batcher = this.batcher = new Batcher({
      nodeId,
      numbered: extended,
      batchInterval: settings.batchInterval,
      batchSize: settings.batchSize,
      queueSize: settings.queueSize,
      clock,
      budget,
      transmit,
      ownKeys,
      peers: late.plain,
    });

    // Peers.
    const localNode = this.localNode = new LocalNode({
      nodeId,
      links,
      ports,
      onJoined: late.appear,
      onError: (error) => errors.report("interface", error),
      emit,
    });
    const seeds = this.seeds = new Seeds({
      settings,
      ports,
      port,
      onNamed: late.probeSeeds,
      onError: (error) => errors.report("resolve", error),
    });
    const probes = this.probes = extended
      ? new EchoProbes({
        nodeId,
        clock,
        randomBytes,
        peers: late.peers,
        report: () => ({ port, group, heartbeat: Math.floor(heartbeat), multicast: links.hasMulticast }),
        transmit,
      })
      : undefined;
    const pathMtu = this.pathMtu = probes && new PathMtu({
      clock,
      probes,
      peers: late.peers,
      batcher,
      onPath: (peer, size) => emit({ type: "pathLimited", peer, size }),
    });
    const reliability = this.reliability = pacer && new Reliability({
      ownId: identity,
      settings,
      ports,
      jitter,
      multicast,
      pacer,
      peers: late.peers,
      membership: late.membership,
      transmit,
      batches: batcher,
      backlog: dispatcher,
      losses,
      pathMtu,
      identity: late.identity,
    });
    const stream = reliability?.sendStream;
    const membership = this.membership = new Membership({
      nodeId,
      heartbeat,
      peerTimeout,
      quietTimeout,
      maxPeers,
      isPlain: !extended,
      multicast,
      clock,
      jitter,
      randomBytes,
      family,
      local: localNode,
      port,
      seeds,
      heartbeats: new HeartbeatSender({
        localNode,
        stream,
        node: { acknowledges: true, zone: settings.zone },
        transmit,
      }),
      streams: reliability ?? NO_STREAMS,
      pathMtu,
      identity: late.identity,
      events: { emit: (event) => this.#onPeerEvent(event) },
    });
    this.identityRenewal = new IdentityRenewal({
      clock,
      identity,
      carriers: [localNode, batcher],
      stream: reliability,
      membership,
      losses,
      emit,
      onError: (error) => errors.report("identity", error),
    });
    this.waiters = new PeerWaiters(clock, () => membership.peers.joined().length);
    this.diagnoser = new LazyDiagnoser({
      nodeId,
      node,
      settings,
      ports,
      links,
      localNode,
      membership,
      seeds,
      probes,
      errorReporter: errors,
    });

    // What the transmit queue takes, and where it sends that.
    const fanout = new Fanout(late.peers, () => membership.openSeeds());
    const copies = this.copies = new UnicastCopyBudget({
      clock,
      // With `wire: "go-warp"` every peer counts as a plain node, and gets what go-warp would send.
      plain: () => extended ? membership.peers.plainCopies() : [],
      seeds: () => seeds.few(),
      emit,
    });
    transmit.connect({
      batches: new NumberedBatches(batcher, stream),
      retransmits: stream,
      scopes: {
        extended: () => fanout.extended,
        batch: () => copies.allowed(fanout.batch),
        isSteady: () => copies.isIdle,
      },
    });

    // The end.
    const shutdown = this.shutdown = new Shutdown({
      clock,
      batcher,
      transmitQueue: transmit,
      links,
      membership,
      seeds,
      reliability,
      receiver: late.receiver,
    });

    // Receiving.
    const streams = reliability?.receiveStreams;
    this.keyIntake = new KeyIntake({
      guards,
      subscriptions,
      dispatcher,
      streams,
      receipts: reliability?.deliveryAcks,
      region: settings.region,
    });
    this.receiver = new Receiver({
      nodeId,
      extended,
      keys: this.keyIntake,
      streams: reliability,
      control: new ControlRouter({ membership, reliability, probes, shutdown }),
    });
  }

  /** Passes on an event of membership. `waitForPeers` resolves after the listeners were called. */
  #onPeerEvent(event: MeshEvent): void {
    if (event.type === "peerJoined") this.diagnoser.met();
    this.events.emit(event);
    if (event.type === "peerJoined") this.waiters.joined();
  }
}
