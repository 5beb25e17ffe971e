/**
 * What makes sure that nothing is lost silently: the node's own stream, the streams of the others, and what they ask each
 * other. Absent in a node that speaks the original's wire only.
 *
 * @module
 */

import type { GapReason } from "../events.ts";
import { DOUBT_AFTER } from "../membership/failure_detector.ts";
import type { KnownPeer } from "../membership/peer.ts";
import type { PeerTable } from "../membership/peer_table.ts";
import { Crowd } from "../membership/response_suppression.ts";
import { Pacer } from "../net/pacer.ts";
import type { Control } from "../net/receiver.ts";
import type { Circle } from "../net/transmit_queue.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Jitter } from "../platform/jitter.ts";
import type { MeshPorts } from "../platform/ports.ts";
import { RateLimit } from "../platform/token_bucket.ts";
import { encodeControl, type Numbering } from "../wire/extension.ts";
import { TYPE_ACK, TYPE_CATCH_UP, TYPE_LEAVE, TYPE_NAK, TYPE_STATE } from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { StallWatch, type Standstill } from "./event_loop_monitor.ts";
import { RepairRequests } from "./nak_scheduler.ts";
import type { PeerStream } from "./receive_stream.ts";
import { PeerStreams } from "./receive_streams.ts";
import { SentRing } from "./retransmit_buffer.ts";
import { OwnStream } from "./send_stream.ts";

/** Acknowledgements a second, in a burst and in the long run: whoever sends forged leaves gets no more answers. */
const ACKS_PER_SECOND = 128;

/** For how long a peer has to be known with nothing published to be taken for a reader: in milliseconds, and in `peerTimeout`s. */
const READER_AFTER = { least: 60_000, timeouts: 4 };

/** Heartbeats of silence after which a node that leaves does not wait for a peer. */
const ABSENT_AFTER = 2.5;

/** The options that say how much is kept and for how long. */
export interface ReliabilitySettings {
  readonly heartbeat: number;
  readonly peerTimeout: number;
  /** The same for peers that cannot be asked. */
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
  /** Sends a packet to one endpoint, or to the group and a circle. */
  readonly post: (packet: Uint8Array, to: Endpoint | Circle) => void;
  /** A repair is ready to be taken. */
  readonly onRepair: () => void;
  /** For how long the oldest key that was accepted waits to be sent, in milliseconds; `undefined` when none does. */
  readonly pendingAge: () => number | undefined;
  /** A datagram of so many bytes is sent again to one peer. */
  readonly onRepaired: (id: string, number: number, length: number) => void;
  readonly onGap: (node: string, from: number, to: number | undefined, reason: GapReason) => void;
  readonly onLeft: (id: string) => void;
  /** A peer has had numbers of this node twice. */
  readonly onReused: () => void;
  /** What has come may have been outstanding since a time, by the clock, that is before what was known when it came. */
  readonly antedate: (since: number) => void;
  /** The machine was suspended for so many milliseconds, which the clock has not counted: what was before is longer ago. */
  readonly onSleep: (time: number) => void;
  /** The event loop, or the whole machine, has stood still for a while. */
  readonly onStall: (standstill: Standstill) => void;
}

/** Wires those parts together. */
export class Reliability {
  readonly own: OwnStream;
  readonly streams: PeerStreams;
  readonly requests: RepairRequests;
  readonly ring: SentRing;
  readonly pacer: Pacer;
  readonly #config: ReliabilityConfig;
  readonly #acks: RateLimit;
  readonly #crowd: Crowd;
  readonly #stallWatch: StallWatch;
  /** When it began to close; from then on peers are not heard any more. */
  #closingAt: number | undefined;
  /** Peers that have said since then that they leave. */
  readonly #leavers = new Set<string>();

  constructor(config: ReliabilityConfig) {
    const { nodeId, settings, ports, jitter, multicast, peers, post } = config;
    const { onRepair, onRepaired, onGap, onLeft, antedate } = config;
    const { clock, randomBytes } = ports;
    this.#config = config;
    this.#acks = new RateLimit(clock, ACKS_PER_SECOND, ACKS_PER_SECOND);
    this.ring = new SentRing({ maxBytes: settings.repairBytes, maxAge: settings.repairAge, clock });
    this.pacer = new Pacer({ min: settings.minSendRate, max: settings.maxSendRate, clock });
    this.own = new OwnStream({
      nodeId,
      clock,
      randomBytes,
      ring: this.ring,
      pacer: this.pacer,
      multicast,
      peer: (id) => peers().get(id),
      peers: () => peers().extended(),
      post: (packet, to) => post(packet, to ?? "extended"),
      onRepair,
      onRepaired,
      onReused: config.onReused,
      pendingAge: () => this.#pendingAge(),
    });
    const crowd = this.#crowd = new Crowd({ jitter, multicast, proven: () => peers().proven });
    this.requests = new RepairRequests({
      nodeId,
      clock,
      jitter,
      randomBytes,
      endpointOf: (id) => peers().get(id)?.endpoint,
      crowd,
      peer: (id) => peers().get(id),
      send: post,
      onLeaving: (stream) => this.streams.expireOne(stream),
    });
    this.streams = new PeerStreams({
      clock,
      jitter,
      doubtAfter: DOUBT_AFTER * settings.heartbeat,
      quietTimeout: settings.quietTimeout,
      peerTimeout: settings.peerTimeout,
      maxRepairTime: settings.maxRepairTime,
      readerAfter: Math.max(READER_AFTER.least, READER_AFTER.timeouts * settings.peerTimeout),
      isPeer: (id) => peers().get(id) !== undefined,
      capacity: settings.maxPeers,
      onWanting: (stream) => this.requests.want(stream),
      onDoubt: (stream) => this.requests.verify(stream),
      onGap,
      onSettled: (stream, settled) => {
        if (this.#waitsForUs(stream)) this.#acknowledge(stream.nodeId, settled, stream.source);
      },
      onLeft,
      onReused: ({ nodeId: stream }, settled, token, to) =>
        post(encodeControl(TYPE_ACK, nodeId, { stream, settled, token }), to),
      antedate,
    });
    this.#stallWatch = new StallWatch(clock, (standstill) => {
      const { since, suspended } = standstill;
      if (suspended > 0) config.onSleep(suspended);
      this.streams.stalled(since, suspended);
      config.onStall(standstill);
    });
  }

  /** Begins to watch the event loop. */
  start(): void {
    this.#stallWatch.start();
  }

  /** When a batch or a state of a node was last heard. */
  heardAt(id: string): number {
    return this.streams.get(id)?.heardAt ?? -Infinity;
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
    return this.#closingAt === undefined && this.streams.accept(nodeId, number, numbering, host, port, print);
  }

  /**
   * Notes the heartbeat of a node, before its place in the peer table is. False when its node is gone. `id` is the text of its
   * id, where that is known.
   */
  hear({ nodeId, source, extension }: Pick<Control, "nodeId" | "extension" | "source">, id?: string): boolean {
    this.#stallWatch.look();
    return this.#closingAt !== undefined || this.streams.hear(nodeId, source, extension, id);
  }

  /** What has stood still, as long as nothing was done about it. */
  get standstill(): Standstill | undefined {
    return this.#stallWatch.standstill;
  }

  /** For how long the machine was suspended, in milliseconds, as long as nothing was done about it; else 0. */
  get suspended(): number {
    return this.#stallWatch.suspended;
  }

  /** A peer is gone: lost, unless it had to make room for another. */
  forget(id: string, isLost: boolean): void {
    this.own.forget(id);
    const stream = this.streams.get(id);
    if (isLost && stream !== undefined) this.streams.lose(stream);
  }

  /** Heeds a packet of a type from 0x10. */
  heed(control: Control): void {
    const { type, nodeId, extension, source } = control;
    switch (type) {
      case TYPE_STATE:
        this.hear(control);
        break;
      case TYPE_NAK:
        this.own.repair(formatNodeId(nodeId), source, extension);
        break;
      case TYPE_CATCH_UP:
        this.own.catchUp(formatNodeId(nodeId), source, extension);
        break;
      case TYPE_ACK:
        this.own.acknowledge(formatNodeId(nodeId), source, extension);
        break;
      case TYPE_LEAVE:
        this.#stallWatch.look();
        // Who leaves as well waits for nothing, and is not waited for.
        this.own.forget(formatNodeId(nodeId));
        if (this.#closingAt === undefined) this.streams.leave(nodeId, source, extension);
        else {
          this.#noteLeaver(formatNodeId(nodeId));
          this.#acknowledge(nodeId, extension.position?.last ?? 0, source);
        }
    }
  }

  /** From now on only others are helped. */
  beginClose(): void {
    this.#closingAt ??= this.#config.ports.clock.now();
    this.requests.close();
    this.#stallWatch.close();
  }

  /** Whether a peer has left while this node leaves. */
  hasLeft(id: string): boolean {
    return this.#leavers.has(id);
  }

  /** Says that the node leaves until all peers that are there have everything, for at most `patience` milliseconds. */
  async leave(patience: number): Promise<void> {
    const { peers, ports: { clock }, settings: { heartbeat } } = this.#config;
    const from = this.#closingAt ?? clock.now();
    const isThere = ({ id, heardAt, isProven }: KnownPeer) =>
      isProven && !this.#leavers.has(id) && from - heardAt < ABSENT_AFTER * heartbeat;
    await this.own.leave(peers().extended().filter(isThere), patience);
  }

  /** Frees all timers. */
  close(): void {
    this.beginClose();
    this.own.close();
    this.ring.clear();
  }

  /** What is pending since before the machine was suspended has been for longer than the clock says. */
  #pendingAge(): number | undefined {
    const age = this.#config.pendingAge();
    return age === undefined ? undefined : age + this.#stallWatch.suspended;
  }

  /** Whether a node that leaves may wait for an acknowledgement: of those who know it, and of few others if they are many. */
  #waitsForUs({ id, provenAt }: PeerStream): boolean {
    const isKnown = provenAt !== undefined || this.#config.peers().get(id)?.isProven === true;
    return isKnown || this.#crowd.isChosen(0);
  }

  #noteLeaver(id: string): void {
    if (this.#config.peers().get(id) !== undefined) this.#leavers.add(id);
  }

  #acknowledge(stream: Uint8Array, settled: number, to: Endpoint): void {
    if (this.#acks.allow()) this.#config.post(encodeControl(TYPE_ACK, this.#config.nodeId, { stream, settled }), to);
  }
}
