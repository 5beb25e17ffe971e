/**
 * What makes sure that nothing is lost silently: the node's own stream, the streams of the others, and what they ask each
 * other. Absent in a node that speaks the original's wire only.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { GapReason } from "./events.ts";
import type { Jitter } from "./jitter.ts";
import type { Settings } from "./options.ts";
import type { Circle } from "./outbox.ts";
import { DOUBT_AFTER } from "./mesh_status.ts";
import { OwnStream } from "./own_stream.ts";
import { Pacer } from "./pacer.ts";
import { PeerStreams } from "./peer_streams.ts";
import type { KnownPeer } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { MeshPorts } from "./ports.ts";
import { RateLimit } from "./rate_limit.ts";
import type { Control } from "./receiver.ts";
import { RepairRequests } from "./repair_requests.ts";
import { SentRing } from "./sent_ring.ts";
import { StallWatch } from "./stall_watch.ts";
import { encodeControl } from "./wire/extension.ts";
import { TYPE_ACK, TYPE_CATCH_UP, TYPE_LEAVE, TYPE_NAK, TYPE_STATE } from "./wire/layout.ts";
import { formatNodeId } from "./wire/node_id.ts";

/** Acknowledgements a second, in a burst and in the long run: whoever sends forged leaves gets no more answers. */
const ACKS_PER_SECOND = 128;

/** Heartbeats of silence after which a node that leaves does not wait for a peer. */
const ABSENT_AFTER = 2.5;

/** What a {@linkcode Reliability} is made of. The callbacks MUST NOT throw. */
export interface ReliabilityConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly settings: Settings;
  readonly ports: MeshPorts;
  readonly jitter: Jitter;
  readonly multicast: () => boolean;
  readonly peers: () => PeerTable;
  /** Sends a packet to one endpoint, or to the group and a circle. */
  readonly post: (packet: Uint8Array, to: Endpoint | Circle) => void;
  /** A repair is ready to be taken. */
  readonly onRepair: () => void;
  readonly onGap: (node: string, from: number, to: number | undefined, reason: GapReason) => void;
  readonly onLeft: (id: string) => void;
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
  readonly #stallWatch: StallWatch;
  #closing = false;

  constructor(config: ReliabilityConfig) {
    const { nodeId, settings, ports, jitter, multicast, peers, post, onRepair, onGap, onLeft } = config;
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
    });
    this.requests = new RepairRequests({
      nodeId,
      clock,
      jitter,
      randomBytes,
      endpointOf: (id) => peers().get(id)?.endpoint,
      send: post,
      onLeaving: (stream) => this.streams.expireOne(stream),
    });
    this.streams = new PeerStreams({
      clock,
      jitter,
      doubtAfter: DOUBT_AFTER * settings.heartbeat,
      quietTimeout: settings.quietTimeout,
      isPeer: (id) => peers().get(id) !== undefined,
      capacity: settings.maxPeers,
      onWanting: (stream) => this.requests.want(stream),
      onDoubt: (stream) => this.requests.verify(stream),
      onGap,
      onSettled: ({ nodeId: stream, source }, settled) => this.#acknowledge(stream, settled, source),
      onLeft,
    });
    this.#stallWatch = new StallWatch(clock, (since) => this.streams.stalled(since));
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
  accept(nodeId: Uint8Array, number: number, isRepair: boolean, host: string, port: number): boolean {
    return !this.#closing && this.streams.accept(nodeId, number, isRepair, host, port);
  }

  /** Notes the heartbeat of a node, before its place in the peer table is. */
  hear(control: Pick<Control, "nodeId" | "extension" | "source">): void {
    if (!this.#closing) this.streams.hear(control.nodeId, control.source, control.extension);
  }

  /** A peer is gone. */
  forget(id: string): void {
    this.own.forget(id);
    const stream = this.streams.get(id);
    if (stream !== undefined) this.streams.lose(stream);
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
        this.own.acknowledge(formatNodeId(nodeId), extension.settled ?? 0);
        break;
      case TYPE_LEAVE:
        // Who leaves as well waits for nothing, and is not waited for.
        this.own.forget(formatNodeId(nodeId));
        if (this.#closing) this.#acknowledge(nodeId, extension.position?.last ?? 0, source);
        else this.streams.leave(nodeId, source, extension);
    }
  }

  /** From now on only others are helped. */
  beginClose(): void {
    this.#closing = true;
    this.requests.close();
    this.#stallWatch.close();
  }

  /** Says that the node leaves until all peers that are there have everything, for at most `patience` milliseconds. */
  async leave(patience: number): Promise<void> {
    const { peers, ports: { clock }, settings: { heartbeat } } = this.#config;
    const isThere = ({ heardAt, isProven }: KnownPeer) => isProven && clock.now() - heardAt < ABSENT_AFTER * heartbeat;
    await this.own.leave(peers().extended().filter(isThere), patience);
  }

  /** Frees all timers. */
  close(): void {
    this.beginClose();
    this.own.close();
    this.ring.clear();
  }

  #acknowledge(stream: Uint8Array, settled: number, to: Endpoint): void {
    if (this.#acks.allow()) this.#config.post(encodeControl(TYPE_ACK, this.#config.nodeId, { stream, settled }), to);
  }
}
