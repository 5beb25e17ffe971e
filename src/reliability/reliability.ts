/**
 * Reliability of a node: wires its send stream, its receive streams, its NAK scheduler, its pacer and its event loop
 * monitor together.
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
import { Pacer } from "../net/pacer.ts";
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
  readonly minSendRate: number;
  readonly maxSendRate: number;
}

/** What a {@linkcode Reliability} is made of. The callbacks MUST NOT throw. */
export interface ReliabilityConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly settings: ReliabilitySettings;
  readonly ports: MeshPorts;
  readonly jitter: Jitter;
  readonly multicast: () => boolean;
  readonly peers: () => PeerTable;
  /** Sends a packet to one endpoint, or to a fan-out scope. */
  readonly sendControlPacket: (packet: Uint8Array, to: Endpoint | FanoutScope) => void;
  /** A retransmission is ready to be taken. */
  readonly onRetransmit: () => void;
  /** The age of the oldest accepted key that was not sent yet, in milliseconds; `undefined` when there is none. */
  readonly pendingAge: () => number | undefined;
  /** A datagram of so many bytes is retransmitted to one peer. */
  readonly onRetransmitted: (id: string, number: number, length: number) => void;
  readonly onGap: (node: string, from: number, to: number | undefined, reason: GapReason) => void;
  readonly onLeft: (id: string) => void;
  /** A peer has received a number of this node twice. */
  readonly onReused: () => void;
  /**
   * Keys that have arrived may have been outstanding since this time, by the clock, which is before what was known on
   * arrival.
   */
  readonly antedate: (since: number) => void;
  /**
   * The machine was suspended for so many milliseconds, which the clock has not counted: all that was before is longer
   * ago.
   */
  readonly onSleep: (time: number) => void;
  /** The event loop has stalled for a while, or the machine was suspended. */
  readonly onStall: (loopStall: LoopStall) => void;
}

/** Owns those parts, and passes packets and events between them. */
export class Reliability {
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
    const { nodeId, settings, ports, jitter, multicast, peers, sendControlPacket } = config;
    const { onRetransmit, onRetransmitted, onGap, onLeft, antedate } = config;
    const { clock, randomBytes } = ports;
    this.#config = config;
    this.#ackLimit = new TokenBucket(clock, ACKS_PER_SECOND, ACKS_PER_SECOND);
    this.retransmitBuffer = new RetransmitBuffer({ maxBytes: settings.repairBytes, maxAge: settings.repairAge, clock });
    this.pacer = new Pacer({ min: settings.minSendRate, max: settings.maxSendRate, clock });
    this.sendStream = new SendStream({
      nodeId,
      clock,
      randomBytes,
      ring: this.retransmitBuffer,
      pacer: this.pacer,
      multicast,
      peer: (id) => peers().get(id),
      peers: () => peers().extended(),
      sendControlPacket: (packet, to) => sendControlPacket(packet, to ?? "extended"),
      onRetransmit,
      onRetransmitted,
      onReused: config.onReused,
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
      send: sendControlPacket,
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
      onGap,
      onSettled: (stream, settled) => {
        if (this.#waitsForUs(stream)) this.#acknowledge(stream.nodeId, settled, stream.source);
      },
      onLeft,
      onReused: ({ nodeId: stream }, settled, token, to) =>
        sendControlPacket(encodeControl(TYPE_ACK, nodeId, { stream, settled, token }), to),
      antedate,
    });
    this.#loopMonitor = new EventLoopMonitor(clock, (loopStall) => {
      const { since, suspended } = loopStall;
      if (suspended > 0) config.onSleep(suspended);
      this.receiveStreams.stalled(since, suspended);
      config.onStall(loopStall);
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
    return this.#closingAt !== undefined || this.receiveStreams.hear(nodeId, source, extension, id);
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
    const age = this.#config.pendingAge();
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
      this.#config.sendControlPacket(encodeControl(TYPE_ACK, this.#config.nodeId, { stream, settled }), to);
    }
  }
}
