/**
 * Probes: by them a node finds out, when it is asked to, which ways to others are open. Whoever gets one answers it, and
 * notes nobody for it.
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

/** Shortest probe, in bytes: no shorter than its answer. */
export const PROBE_LENGTH = 80;
/**
 * Answers in a burst and per second: to peers that are proven; to all others; of each, those that are long or go to the
 * group; and to probes that are for whoever gets them, as one to the group is answered by all, wherever it says it is
 * from. What strangers ask leaves peers theirs.
 */
const PER_SECOND = { validated: 1024, provenLarge: 256, others: 128, othersLarge: 16, anyone: 16 };

/** What is asked. */
export interface Probe {
  /** Whom it is for; all others are silent. */
  readonly node: Uint8Array;
  /** Bytes of the probe. */
  readonly size?: number;
  /** Bytes that the answer should have. */
  readonly answerSize?: number;
  /** Whether the answer is to go to the group. */
  readonly byGroup?: boolean;
}

/** What {@linkcode EchoProbes} are made of. The callbacks MUST NOT throw. */
export interface EchoProbesConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly peers: () => { get(id: string): PeerEntry | undefined };
  /** What the node answers of itself. */
  readonly report: () => Omit<Report, "asker">;
  readonly transmit: { sendControlPacket(packet: Uint8Array, to: Endpoint | "group"): void };
}

interface Open {
  readonly node: Uint8Array;
  readonly onAnswer: (report: Report | undefined, length: number) => void;
}

/** One per node. */
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

  /** A probe, and its nonce. `onAnswer` gets the length of the first answer, and what it says: nothing when the probe itself came back. */
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

  /** Answers to this probe come too late. */
  forget(nonce: number): void {
    this.#open.delete(nonce);
  }

  /** Answers a probe, or notes an answer. */
  onPacket(control: ControlPacket): void {
    const { type, nodeId, extension: { nonce = 0, report }, length } = control;
    if (type === TYPE_PROBE) return this.#answer(control);
    const open = this.#open.get(nonce);
    if (open === undefined || !equalBytes(open.node, nodeId)) return;
    this.#open.delete(nonce);
    open.onAnswer(report, length);
  }

  /** A probe of the node itself has come back to it. */
  heardOwn(nonce: number): void {
    const open = this.#open.get(nonce);
    if (open === undefined || !equalBytes(open.node, this.#config.nodeId)) return;
    this.#open.delete(nonce);
    open.onAnswer(undefined, 0);
  }

  /** Asks nothing any more. */
  close(): void {
    this.#open.clear();
  }

  #answer({ nodeId, extension, source, length }: ControlPacket): void {
    const { nodeId: ownId, peers, report, transmit } = this.#config;
    const { nonce = 0, stream, measure: { size, byGroup } = { size: 0, byGroup: false } } = extension;
    const asker = peers().get(formatNodeId(nodeId));
    const isThere = asker?.isOn(source.host) === true;
    const isValidated = isThere && asker.isValidated;
    // The group hears what one of it has asked for, from where that one is, and of one node alone.
    if (byGroup && (!isThere || stream === undefined)) return;
    const { anyone, others, othersLarge, validated, provenLarge } = this.#limits;
    if (!(stream === undefined ? anyone : isValidated ? validated : others).allow()) return;
    const packet = encodeControl(TYPE_PROBE_ACK, ownId, {
      stream: nodeId,
      nonce,
      report: { ...report(), asker: pathStateOf(asker) },
    });
    // Who has shown that it listens there may have more than it sent.
    const most = isValidated && asker.isAt(source) ? MAX_DATAGRAM : length;
    const answer = padded(packet, Math.min(size, most));
    if (answer.length > most) return;
    if ((byGroup || answer.length > length) && !(isValidated ? provenLarge : othersLarge).allow()) return;
    transmit.sendControlPacket(answer, byGroup ? "group" : source);
  }
}

function pathStateOf(asker: PeerEntry | undefined): number {
  if (asker === undefined) return REQUESTER_UNKNOWN;
  if (!asker.isValidated) return REQUESTER_HEARD;
  return asker.isAt(asker.wanted) ? REQUESTER_AT_ADDRESS : REQUESTER_VALIDATED;
}
