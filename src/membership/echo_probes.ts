/**
 * Echo probes: they show which paths to other nodes are open, and for datagrams of which length. A diagnosis and the
 * path MTU discovery send them. They are kin to ICMP echo: a node that gets one answers it, and keeps no state of the
 * sender.
 *
 * @module
 */

import type { ControlPacket } from "../net/receiver.ts";
import type { Clock } from "../platform/clock.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import { encodeControl } from "../wire/extension.ts";
import { readU32 } from "../wire/integers.ts";
import {
  MAX_DATAGRAM,
  NONCE_LENGTH,
  REQUESTER_AT_ADDRESS,
  REQUESTER_HEARD,
  REQUESTER_UNKNOWN,
  REQUESTER_VALIDATED,
  TYPE_PROBE,
  TYPE_PROBE_ACK,
} from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { equalBytes } from "../wire/packet.ts";
import { padded, type Report } from "../wire/probe_records.ts";
import type { PeerEntry } from "./peer.ts";

/** Shortest probe, in bytes: no shorter than its ack, so that nobody can amplify traffic by a forged source. */
export const PROBE_LENGTH = 80;
/**
 * Acks in a burst and per second: to validated peers; to all others; of each, those that are longer than the probe or
 * go to the group; and to probes without an addressee, as one of those to the group is answered by all nodes, whatever
 * source it has. The limits are apart, so that unknown nodes do not use up what peers need.
 */
const PER_SECOND = { validated: 1024, validatedLarge: 256, others: 128, othersLarge: 16, anyone: 16 };

/** What a probe requests. */
export interface Probe {
  /** The id of its addressee; other nodes do not answer. */
  readonly node: Uint8Array;
  /** Bytes of the probe. */
  readonly size?: number;
  /** Bytes that the ack should have. */
  readonly answerSize?: number;
  /** Whether the ack should go to the group. */
  readonly byGroup?: boolean;
}

/** What {@linkcode EchoProbes} are made of. The callbacks MUST NOT throw. */
export interface EchoProbesConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly peers: () => { get(id: string): PeerEntry | undefined };
  /** The settings of this node that an ack reports. */
  readonly report: () => Omit<Report, "requester">;
  readonly transmit: { sendControlPacket(packet: Uint8Array, to: Endpoint | "group"): void };
}

/** A probe without an ack so far. */
interface Open {
  readonly node: Uint8Array;
  readonly onAnswer: (report: Report | undefined, length: number) => void;
}

/** Sends probes and passes their acks to the callers. Answers the probes of other nodes, within limits. */
export class EchoProbes {
  readonly #config: EchoProbesConfig;
  readonly #open = new Map<number, Open>();
  readonly #limits: Readonly<Record<keyof typeof PER_SECOND, TokenBucket>>;

  constructor(config: EchoProbesConfig) {
    const { clock } = config;
    this.#config = config;
    const limits = Object.entries(PER_SECOND).map(([name, most]) => [name, new TokenBucket(clock, most, most)]);
    this.#limits = Object.fromEntries(limits);
  }

  /**
   * Makes a probe. `onAnswer` gets the report of the first ack, and its length; no report when the probe came back to
   * this node itself.
   */
  make(probe: Probe, onAnswer: Open["onAnswer"]): { readonly nonce: number; readonly packet: Uint8Array } {
    const { node, size = PROBE_LENGTH, answerSize = 0, byGroup = false } = probe;
    const nonce = readU32(this.#config.randomBytes(NONCE_LENGTH), 0);
    this.#open.set(nonce, { node, onAnswer });
    const measure = { size: answerSize, byGroup };
    const packet = encodeControl(TYPE_PROBE, this.#config.nodeId, { stream: node, nonce, measure });
    return { nonce, packet: padded(packet, size) };
  }

  /** Makes a probe and sends it. Returns its nonce. */
  send(probe: Probe, to: Endpoint | "group", onAnswer: Open["onAnswer"]): number {
    const { nonce, packet } = this.make(probe, onAnswer);
    this.#config.transmit.sendControlPacket(packet, to);
    return nonce;
  }

  /** Ignores acks of a probe from now on. */
  forget(nonce: number): void {
    this.#open.delete(nonce);
  }

  /** Answers a probe, or takes an ack. */
  onPacket(control: ControlPacket): void {
    const { type, nodeId, extension: { nonce = 0, report }, length } = control;
    if (type === TYPE_PROBE) return this.#answer(control);
    const open = this.#open.get(nonce);
    if (open === undefined || !equalBytes(open.node, nodeId)) return;
    this.#open.delete(nonce);
    open.onAnswer(report, length);
  }

  /** A probe of this node has come back to it. */
  heardOwn(nonce: number): void {
    const open = this.#open.get(nonce);
    if (open === undefined || !equalBytes(open.node, this.#config.nodeId)) return;
    this.#open.delete(nonce);
    open.onAnswer(undefined, 0);
  }

  /** Takes no acks any more. */
  close(): void {
    this.#open.clear();
  }

  #answer({ nodeId, extension, source, length }: ControlPacket): void {
    const { nodeId: ownId, peers, report, transmit } = this.#config;
    const { nonce = 0, stream, measure: { size, byGroup } = { size: 0, byGroup: false } } = extension;
    const requester = peers().get(formatNodeId(nodeId));
    const isThere = requester?.isOn(source.host) === true;
    const isValidated = isThere && requester.isValidated;
    // An ack goes to the group only for a peer, from a host of that peer, and from one addressee alone.
    if (byGroup && (!isThere || stream === undefined)) return;
    const { anyone, others, othersLarge, validated, validatedLarge } = this.#limits;
    if (!(stream === undefined ? anyone : isValidated ? validated : others).allow()) return;
    const packet = encodeControl(TYPE_PROBE_ACK, ownId, {
      stream: nodeId,
      nonce,
      report: { ...report(), requester: pathStateOf(requester) },
    });
    // An ack is longer than the probe only where the path is validated (RFC 9000, section 8.1).
    const most = isValidated && requester.isAt(source) ? MAX_DATAGRAM : length;
    const answer = padded(packet, Math.min(size, most));
    if (answer.length > most) return;
    if ((byGroup || answer.length > length) && !(isValidated ? validatedLarge : othersLarge).allow()) return;
    transmit.sendControlPacket(answer, byGroup ? "group" : source);
  }
}

/** The state of the path to the requester, as the wire encodes it. */
function pathStateOf(requester: PeerEntry | undefined): number {
  if (requester === undefined) return REQUESTER_UNKNOWN;
  if (!requester.isValidated) return REQUESTER_HEARD;
  return requester.isAt(requester.advertised.endpoint) ? REQUESTER_AT_ADDRESS : REQUESTER_VALIDATED;
}
