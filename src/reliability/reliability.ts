/**
 * Reliability of a node: wires its send stream, its receive streams, its NAK scheduler and its event loop monitor
 * together.
 *
 * Absent in a node that speaks go-warp's wire only. Kin to NORM (RFC 5740) and PGM (RFC 3208): negative
 * acknowledgements and retransmission, instead of an acknowledgement of each datagram.
 *
 * @module
 */

import type { GapReason } from "../events.ts";
import { DOUBT_AFTER } from "../membership/failure_detector.ts";
import type { KnownPeer } from "../membership/peer.ts";
import type { PeerTable } from "../membership/peer_table.ts";
import { ResponseSuppression } from "../membership/response_suppression.ts";
import type { StreamRegistry } from "../membership/stream_registry.ts";
import type { Pacer } from "../net/pacer.ts";
import type { ControlPacket } from "../net/receiver.ts";
import type { FanoutScope } from "../net/transmit_queue.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Jitter } from "../platform/jitter.ts";
import type { MeshPorts } from "../platform/ports.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import { encodeControl, type Numbering } from "../wire/extension.ts";
import { TYPE_ACK, TYPE_CATCH_UP, TYPE_LEAVE, TYPE_NAK, TYPE_STATE } from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { EventLoopMonitor, type LoopStall } from "./event_loop_monitor.ts";
import { NakScheduler } from "./nak_scheduler.ts";
import type { ReceiveStream } from "./receive_stream.ts";
import { ReceiveStreams } from "./receive_streams.ts";
import { RetransmitBuffer } from "./retransmit_buffer.ts";
import { SendStream } from "./send_stream.ts";

/** Acknowledgements a second, and at once: forged leaves get no more than that. */
const ACKS_PER_SECOND = 128;

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
}

/** What of this node may have missed something, and is told so. */
export interface LossListener {
  /** What a node has published in these numbers can not be had; `to` is absent when nobody knows the end. */
  gap(node: string, from: number, to: number | undefined, reason: GapReason): void;
  /** The machine was suspended. */
  slept(): void;
  /** The event loop, or the whole machine, has stood still for a while. */
  stalled(loopStall: LoopStall): void;
}

/** What has come and waits for its subscribers. */
export interface Backlog {
  /** It may have been outstanding since a time, by the clock, that is before what was known when it came. */
  antedate(since: number): void;
  /** The clock has stood still for so many milliseconds: what is there has been for longer. */
  sleep(time: number): void;
}

/** What is published here and waits to be sent. */
export interface PendingBatches {
  /** For how long the oldest key that was accepted waits, in milliseconds; `undefined` when none does. */
  readonly pendingAge: number | undefined;
  /** The clock has stood still for so many milliseconds: what is pending has been for longer. */
  sleep(time: number): void;
}

/** Sends what the streams have to say. */
export interface StreamTransmit {
  /** Sends a packet to one endpoint, or to the group and a fan-out scope. */
  sendControlPacket(packet: Uint8Array, to: Endpoint | FanoutScope): void;
  /** A retransmission is ready to be taken. */
  wake(): void;
}

/** What a {@linkcode Reliability} is made of. What it calls MUST NOT throw. */
export interface ReliabilityConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly settings: ReliabilitySettings;
  readonly ports: MeshPorts;
  readonly jitter: Jitter;
  readonly multicast: () => boolean;
  readonly pacer: Pacer;
  readonly peers: () => PeerTable;
  readonly membership: {
    /** Called when a node has sent its leave packet. */
    leave(id: string): void;
  };
  readonly transmit: StreamTransmit;
  readonly batches: PendingBatches;
  readonly backlog: Backlog;
  readonly losses: LossListener;
  readonly pathMtu: {
    /** A datagram of so many bytes is retransmitted to one peer. */
    retransmitted(id: string, number: number, length: number): void;
  } | undefined;
  readonly identity: {
    /** A peer has received a number of this node twice. */
    numbersReused(): void;
  };
}

/** Owns those parts, and passes packets and events between them. */
export class Reliability implements StreamRegistry {
  readonly sendStream: SendStream;
  readonly receiveStreams: ReceiveStreams;
  readonly naks: NakScheduler;
  readonly retransmitBuffer: RetransmitBuffer;
  readonly pacer: Pacer;
  readonly #config: ReliabilityConfig;
  readonly #ackLimit: TokenBucket;
  readonly #suppression: ResponseSuppression;
  readonly #loopMonitor: EventLoopMonitor;
  /** When the node began to close; from then on it delivers nothing. */
  #closingAt: number | undefined;
  /** Peers that have sent a leave since then. */
  readonly #leavers = new Set<string>();

  constructor(config: ReliabilityConfig) {
    const { nodeId, settings, ports, jitter, multicast, pacer, peers } = config;
    const { backlog, batches, identity, losses, membership, pathMtu, transmit } = config;
    const { clock, randomBytes } = ports;
    this.#config = config;
    this.#ackLimit = new TokenBucket(clock, ACKS_PER_SECOND, ACKS_PER_SECOND);
    this.retransmitBuffer = new RetransmitBuffer({ maxBytes: settings.repairBytes, maxAge: settings.repairAge, clock });
    this.pacer = pacer;
    this.sendStream = new SendStream({
      nodeId,
      clock,
      randomBytes,
      ring: this.retransmitBuffer,
      pacer,
      multicast,
      peer: (id) => peers().get(id),
      peers: () => peers().extended(),
      sendControlPacket: (packet, to) => transmit.sendControlPacket(packet, to ?? "extended"),
      onRetransmit: () => transmit.wake(),
      onRetransmitted: (id, number, length) => pathMtu?.retransmitted(id, number, length),
      onReused: () => identity.numbersReused(),
      pendingAge: () => this.#pendingAge(),
    });
    const suppression = this.#suppression = new ResponseSuppression({
      jitter,
      multicast,
      validated: () => peers().validated,
    });
    this.naks = new NakScheduler({
      nodeId,
      clock,
      jitter,
      randomBytes,
      endpointOf: (id) => peers().get(id)?.endpoint,
      suppression,
      peer: (id) => peers().get(id),
      send: (packet, to) => transmit.sendControlPacket(packet, to),
      onLeaving: (stream) => this.receiveStreams.expireOne(stream),
    });
    this.receiveStreams = new ReceiveStreams({
      clock,
      jitter,
      doubtAfter: DOUBT_AFTER * settings.heartbeat,
      quietTimeout: settings.quietTimeout,
      peerTimeout: settings.peerTimeout,
      maxRepairTime: settings.maxRepairTime,
      readerAfter: Math.max(READER_AFTER.least, READER_AFTER.timeouts * settings.peerTimeout),
      isPeer: (id) => peers().get(id) !== undefined,
      capacity: settings.maxPeers,
      onWanting: (stream) => this.naks.schedule(stream),
      onDoubt: (stream) => this.naks.probe(stream),
      onGap: (node, from, to, reason) => losses.gap(node, from, to, reason),
      onSettled: (stream, settled) => {
        if (this.#waitsForUs(stream)) this.#acknowledge(stream.nodeId, settled, stream.source);
      },
      onLeft: (id) => membership.leave(id),
      onReused: ({ nodeId: stream }, settled, token, to) =>
        transmit.sendControlPacket(encodeControl(TYPE_ACK, nodeId, { stream, settled, token }), to),
      antedate: (since) => backlog.antedate(since),
    });
    this.#loopMonitor = new EventLoopMonitor(clock, (loopStall) => {
      const { since, suspended } = loopStall;
      if (suspended > 0) {
        losses.slept();
        batches.sleep(suspended);
        backlog.sleep(suspended);
      }
      this.receiveStreams.stalled(since, suspended);
      losses.stalled(loopStall);
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

  /** A round of heartbeats leaves: a time to forget streams. */
  expire(): void {
    this.receiveStreams.expire();
  }

  /** A peer has answered from where it is reached, so many milliseconds after it was asked. */
  validate(id: string, to: Endpoint, time: number): void {
    this.receiveStreams.validate(id, to, time);
  }

  /** Notes a batch with a number. False when it had arrived before. */
  accept(
    nodeId: Uint8Array,
    number: number,
    numbering: Numbering,
    host: string,
    port: number,
    print: number,
  ): boolean {
    return this.#closingAt === undefined && this.receiveStreams.accept(nodeId, number, numbering, host, port, print);
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

  /** A peer has departed. `isLost` is false when it had to make room for another. */
  forget(id: string, isLost: boolean): void {
    this.sendStream.forget(id);
    const stream = this.receiveStreams.get(id);
    if (isLost && stream !== undefined) this.receiveStreams.lose(stream);
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
          this.#acknowledge(nodeId, extension.position?.last ?? 0, source);
        }
    }
  }

  /** From now on the node asks for nothing, and only answers others. */
  beginClose(): void {
    this.#closingAt ??= this.#config.ports.clock.now();
    this.naks.close();
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

  /** Keys that were pending when the machine was suspended have been so for longer than the clock says. */
  #pendingAge(): number | undefined {
    const age = this.#config.batches.pendingAge;
    return age === undefined ? undefined : age + this.#loopMonitor.suspended;
  }

  /**
   * Whether a node that leaves may wait for this node's acknowledgement: a node that knows this one does. To an unknown
   * node only a few nodes of a large mesh send one.
   */
  #waitsForUs({ id, validatedAt }: ReceiveStream): boolean {
    const isKnown = validatedAt !== undefined || this.#config.peers().get(id)?.isValidated === true;
    return isKnown || this.#suppression.isChosen(0);
  }

  #noteLeaver(id: string): void {
    if (this.#config.peers().get(id) !== undefined) this.#leavers.add(id);
  }

  #acknowledge(stream: Uint8Array, settled: number, to: Endpoint): void {
    if (this.#ackLimit.allow()) {
      this.#config.transmit.sendControlPacket(encodeControl(TYPE_ACK, this.#config.nodeId, { stream, settled }), to);
    }
  }
}
