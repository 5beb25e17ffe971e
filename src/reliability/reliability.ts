/**
 * Reliability: connects the send stream of a node, its receive streams, its NAK scheduler and its event loop monitor.
 *
 * Absent in a node that speaks go-warp's wire only. Kin to NORM (RFC 5740) and PGM (RFC 3208): negative
 * acknowledgements and retransmission, instead of an acknowledgement of each datagram.
 *
 * @module
 */

import { DOUBT_AFTER } from "../membership/failure_detector.ts";
import type { KnownPeer } from "../membership/peer.ts";
import type { PeerTable } from "../membership/peer_table.ts";
import { ResponseSuppression } from "../membership/response_suppression.ts";
import type { Departure, StreamRegistry } from "../membership/stream_registry.ts";
import type { Pacer } from "../net/pacer.ts";
import type { ControlPacket } from "../net/receiver.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Jitter } from "../platform/jitter.ts";
import type { MeshPorts } from "../platform/ports.ts";
import type { Numbering } from "../wire/extension.ts";
import { TYPE_ACK, TYPE_CATCH_UP, TYPE_DELIVERED, TYPE_LEAVE, TYPE_NAK, TYPE_STATE } from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { ConsistencyTokens, type ConsistencyTokensConfig } from "./consistency_tokens.ts";
import { AwaitedBatches } from "./awaited_batches.ts";
import { DeliveryAcks } from "./delivery_acks.ts";
import { EventLoopMonitor, type LoopStall } from "./event_loop_monitor.ts";
import { NakScheduler } from "./nak_scheduler.ts";
import { type ArrivedKeys, type GapListener, type LeaveListener, ReceiveStreams } from "./receive_streams.ts";
import { RetransmitBuffer } from "./retransmit_buffer.ts";
import { SendStream, type SendStreamConfig, type StreamTransmit } from "./send_stream.ts";

/**
 * How long a peer has to be known with nothing published to count as a reader: at least so many milliseconds, and so
 * many times `peerTimeout`.
 */
const READER_AFTER = { least: 60_000, timeouts: 4 };

/** Heartbeats of silence after which a node that leaves does not wait for a peer. */
const ABSENT_AFTER = 2.5;

/** The options that reliability depends on. */
export interface ReliabilitySettings {
  readonly heartbeat: number;
  readonly peerTimeout: number;
  /** The same for peers that cannot be probed. */
  readonly quietTimeout: number;
  readonly maxPeers: number;
  readonly repairBytes: number;
  readonly repairAge: number;
  readonly maxRepairTime: number;
  readonly zone: string | undefined;
}

/** Is notified of what this node may have missed. */
export interface LossListener extends GapListener {
  /** Calls back when everything that has arrived by now, and every gap known by now, was delivered. */
  whenDelivered(done: () => void): void;
  /** The machine was suspended. */
  slept(): void;
  /** The event loop has stalled, or the machine was suspended. */
  stalled(loopStall: LoopStall): void;
}

/** The queue of keys that have arrived and wait for their subscribers. */
export interface Backlog extends ArrivedKeys {
  /** The clock stopped for so many milliseconds, so the keys have waited for as much longer. */
  sleep(time: number): void;
}

/** The batches of keys that were published here and wait to be sent. */
export interface PendingBatches {
  /** For how long the oldest key that was accepted waits, in milliseconds; `undefined` when none does. */
  readonly pendingAge: number | undefined;
  readonly pendingBatches: number;
  /** The clock stopped for so many milliseconds, so the keys have been pending for as much longer. */
  sleep(time: number): void;
}

/** What a {@linkcode Reliability} is made of. What it calls MUST NOT throw. */
export interface ReliabilityConfig {
  /** The node's own id, 16 bytes, and its text. */
  readonly ownId: ConsistencyTokensConfig["identity"];
  readonly settings: ReliabilitySettings;
  readonly ports: MeshPorts;
  readonly jitter: Jitter;
  readonly multicast: () => boolean;
  readonly pacer: Pacer;
  readonly peers: () => PeerTable;
  readonly membership: LeaveListener;
  readonly transmit: StreamTransmit;
  readonly batches: PendingBatches;
  readonly backlog: Backlog;
  readonly losses: LossListener;
  readonly pathMtu: SendStreamConfig["pathMtu"];
  readonly identity: SendStreamConfig["identity"];
}

/** Owns these parts, and passes packets and events between them. */
export class Reliability implements StreamRegistry {
  readonly sendStream: SendStream;
  readonly receiveStreams: ReceiveStreams;
  readonly naks: NakScheduler;
  readonly retransmitBuffer: RetransmitBuffer;
  readonly pacer: Pacer;
  readonly awaitedBatches: AwaitedBatches;
  readonly deliveryAcks: DeliveryAcks;
  readonly tokens: ConsistencyTokens;
  /** Delivery acknowledgements that have come. */
  acksReceived = 0;
  readonly #config: ReliabilityConfig;
  readonly #acks: Acknowledgements;
  readonly #loopMonitor: EventLoopMonitor;
  /** When the node began to close; from then on it delivers nothing. */
  #closingAt: number | undefined;
  /** Peers that have sent a leave since then. */
  readonly #leavers = new Set<string>();

  constructor(config: ReliabilityConfig) {
    const { ownId, settings, ports, jitter, multicast, pacer, peers } = config;
    const { bytes: nodeId } = ownId;
    const { backlog, batches, identity, losses, membership, pathMtu, transmit } = config;
    const { clock, randomBytes } = ports;
    this.#config = config;
    this.#loopMonitor = new EventLoopMonitor(clock, (loopStall) => this.#onStall(loopStall));
    this.retransmitBuffer = new RetransmitBuffer({ maxBytes: settings.repairBytes, maxAge: settings.repairAge, clock });
    this.pacer = pacer;
    this.sendStream = new SendStream({
      nodeId,
      clock,
      randomBytes,
      buffer: this.retransmitBuffer,
      pacer,
      multicast,
      peers,
      transmit,
      batches,
      loop: this.#loopMonitor,
      identity,
      pathMtu,
    });
    this.awaitedBatches = new AwaitedBatches({ clock, zone: settings.zone, peers, stream: this.sendStream });
    this.deliveryAcks = new DeliveryAcks({
      nodeId,
      clock,
      peers,
      transmit,
      // The receive streams are made after this part.
      streams: { verify: (stream) => this.receiveStreams.verify(stream) },
    });
    const suppression = new ResponseSuppression({ jitter, multicast, validated: () => peers().validated });
    this.#acks = new Acknowledgements({ nodeId, clock, suppression, peers, transmit });
    this.naks = new NakScheduler({
      nodeId,
      clock,
      jitter,
      randomBytes,
      peers,
      suppression,
      transmit,
      // The receive streams are made after this part, which they call.
      onLeaving: (stream) => this.receiveStreams.expireOne(stream),
    });
    this.tokens = new ConsistencyTokens({
      identity: ownId,
      clock,
      stream: this.sendStream,
      batches,
      // The receive streams call this part, too.
      streams: () => this.receiveStreams,
      deliveries: losses,
    });
    this.receiveStreams = new ReceiveStreams({
      clock,
      jitter,
      doubtAfter: DOUBT_AFTER * settings.heartbeat,
      quietTimeout: settings.quietTimeout,
      peerTimeout: settings.peerTimeout,
      maxRepairTime: settings.maxRepairTime,
      readerAfter: Math.max(READER_AFTER.least, READER_AFTER.timeouts * settings.peerTimeout),
      capacity: settings.maxPeers,
      peers,
      naks: this.naks,
      acks: this.#acks,
      losses,
      backlog,
      membership,
      progress: this.tokens,
    });
  }

  /** Begins to watch the event loop. */
  start(): void {
    this.#loopMonitor.start();
  }

  /** When a batch or a state of a node was last heard. */
  heardAt(id: string): number {
    return this.receiveStreams.get(id)?.heardAt ?? -Infinity;
  }

  /** Whether the batches of a node are followed. */
  isFollowed(id: string): boolean {
    return this.receiveStreams.get(id) !== undefined;
  }

  /** The token for a peer that has answered. */
  tokenFor(peer: KnownPeer): Uint8Array {
    return this.sendStream.tokenFor(peer);
  }

  /** Called with each round of heartbeats: gives up the streams that were silent for too long. */
  expire(): void {
    this.receiveStreams.expire();
  }

  /** A peer has answered from `to`, `time` milliseconds after it was probed. */
  validate(id: string, to: Endpoint, time: number): void {
    this.receiveStreams.validate(id, to, time);
  }

  /** Notes a batch with a number. False when it is not to be delivered, as when it had arrived before. */
  accept(
    nodeId: Uint8Array,
    number: number,
    numbering: Numbering,
    host: string,
    port: number,
    fingerprint: number,
    isAwaited: boolean,
  ): boolean {
    if (this.#closingAt !== undefined) return false;
    const isNew = this.receiveStreams.accept(nodeId, number, numbering, host, port, fingerprint);
    if (!isAwaited) return isNew;
    const stream = this.receiveStreams.find(nodeId);
    return this.deliveryAcks.begin(stream, number, fingerprint, isNew, numbering === "retransmit");
  }

  /**
   * Notes the heartbeat of a node, before the peer table has its address. False when its node has departed. `id` is the
   * text of its id, where that is known.
   */
  onHeartbeat(
    { nodeId, source, extension }: Pick<ControlPacket, "nodeId" | "extension" | "source">,
    id?: string,
  ): boolean {
    this.#loopMonitor.look();
    return this.#closingAt !== undefined || this.receiveStreams.onPosition(nodeId, source, extension, id);
  }

  /** A stall or suspension that was not handled yet. */
  get loopStall(): LoopStall | undefined {
    return this.#loopMonitor.loopStall;
  }

  /** For how long the machine was suspended, in milliseconds, as long as that was not handled; else 0. */
  get suspended(): number {
    return this.#loopMonitor.suspended;
  }

  forget(peer: KnownPeer, departure: Departure): void {
    const { acknowledges, id, isValidated } = peer;
    this.sendStream.forget(id);
    // Anybody can invent a node that was never validated: it is awaited neither before nor after its leave.
    if (isValidated && acknowledges) this.awaitedBatches.depart(peer, departure);
    const stream = this.receiveStreams.get(id);
    if (departure !== "evicted" && stream !== undefined) this.receiveStreams.lose(stream);
  }

  /** Handles a packet of a type from 0x10. */
  onControlPacket(control: ControlPacket): void {
    const { type, nodeId, extension, source } = control;
    switch (type) {
      case TYPE_STATE:
        this.onHeartbeat(control);
        break;
      case TYPE_NAK:
        this.sendStream.onNak(formatNodeId(nodeId), source, extension);
        break;
      case TYPE_CATCH_UP:
        this.sendStream.onCatchUp(formatNodeId(nodeId), source, extension);
        break;
      case TYPE_DELIVERED:
        this.#onDelivered(control);
        break;
      case TYPE_ACK:
        this.sendStream.onAck(formatNodeId(nodeId), source, extension);
        break;
      case TYPE_LEAVE:
        this.#loopMonitor.look();
        // A node that leaves as well waits for nothing, and is not waited for.
        this.sendStream.forget(formatNodeId(nodeId));
        if (this.#closingAt === undefined) this.receiveStreams.leave(nodeId, source, extension);
        else {
          this.#noteLeaver(formatNodeId(nodeId));
          this.#acks.confirm(nodeId, extension.position?.last ?? 0, source);
        }
    }
  }

  /** The number of the next batch. */
  get next(): number {
    return this.sendStream.next;
  }

  /** The node has another id from now on. */
  restart(): void {
    this.sendStream.restart();
    this.awaitedBatches.restart();
  }

  /** From now on the node requests nothing, and only answers others. */
  beginClose(): void {
    this.#closingAt ??= this.#config.ports.clock.now();
    this.naks.close();
    this.awaitedBatches.close();
    this.deliveryAcks.close();
    this.tokens.close();
    this.#loopMonitor.close();
  }

  /** Whether a peer has left while this node leaves. */
  hasLeft(id: string): boolean {
    return this.#leavers.has(id);
  }

  /**
   * Sends leave packets until all peers that were heard of late have everything, for at most `patience` milliseconds.
   */
  async leave(patience: number): Promise<void> {
    const { peers, ports: { clock }, settings: { heartbeat } } = this.#config;
    const from = this.#closingAt ?? clock.now();
    const isThere = ({ id, heardAt, isValidated }: KnownPeer) =>
      isValidated && !this.#leavers.has(id) && from - heardAt < ABSENT_AFTER * heartbeat;
    await this.sendStream.leave(peers().extended().filter(isThere), patience);
  }

  /** Frees all timers. */
  close(): void {
    this.beginClose();
    this.sendStream.close();
    this.retransmitBuffer.clear();
  }

  #onDelivered({ nodeId, extension, source }: ControlPacket): void {
    const id = formatNodeId(nodeId);
    this.acksReceived++;
    if (!this.sendStream.isAuthentic(id, source, extension)) return;
    const peer = this.#config.peers().get(id);
    // Any node can get a token of its own. Only those that count as peers are awaited.
    if (peer?.isValidated === true) this.awaitedBatches.acknowledge(peer, extension.delivered ?? []);
    else this.sendStream.acksRefused++;
  }

  #onStall(loopStall: LoopStall): void {
    const { backlog, batches, losses } = this.#config;
    const { since, suspended } = loopStall;
    if (suspended > 0) {
      losses.slept();
      batches.sleep(suspended);
      backlog.sleep(suspended);
    }
    this.receiveStreams.stalled(since, suspended);
    losses.stalled(loopStall);
  }

  #noteLeaver(id: string): void {
    if (this.#config.peers().get(id) !== undefined) this.#leavers.add(id);
  }
}
