/**
 * Send stream: numbers the node's own batches, announces the position, and answers NAKs and catch-up requests.
 *
 * Kin to NORM (RFC 5740) and PGM (RFC 3208): receivers send NAKs, and the sender retransmits from a bounded buffer.
 * The announcements find the loss of the last batch, as the tail loss probes of QUIC do (RFC 9002, section 6.2).
 *
 * @module
 */

import type { Pacer } from "../net/pacer.ts";
import type { FanoutScope, Transmit } from "../net/transmit_queue.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import {
  type Base,
  encodeControl,
  type Extension,
  markRetransmit,
  type NumberRange,
  type Position,
} from "../wire/extension.ts";
import { TYPE_LEAVE, TYPE_STATE } from "../wire/layout.ts";
import { CongestionDetector } from "./congestion_detector.ts";
import { GracefulLeave, LEAVE_EVERY } from "./graceful_leave.ts";
import type { RetransmitBuffer } from "./retransmit_buffer.ts";
import { RetransmitQueue } from "./retransmit_queue.ts";
import { type KnownRequester, type Requester, type RequesterLookup, ValidationTokens } from "./validation_tokens.ts";

/**
 * When the position is announced after a batch, in milliseconds. The next batch takes the place of those still to come.
 */
const ANNOUNCE_AFTER: readonly number[] = [20, 60, 120, 220, 450];

/**
 * While batches flow, the first announcement waits for so many times the interval between them: the next batch takes
 * its place, even when it is a little late.
 */
const FLOW_PATIENCE = 1.5;
/** Longest that the first announcement waits then, in milliseconds: the loss of the last batch is found by then. */
const MAX_FLOW_PATIENCE = 250;
/** Batches with a longer interval than this, in milliseconds, are no flow: few would come before the announcement. */
const MAX_FLOW_INTERVAL = 200;
/** Fewer intervals in a row are no flow: after a key or two no next batch is expected. */
const MIN_FLOW = 4;
/** Gain by which the interval between batches is smoothed. */
const FLOW_GAIN = 1 / 4;

/** Most retransmissions for one NAK. */
const MAX_RETRANSMITS = 128;

/**
 * When batches were sent so long ago, in milliseconds, and before the rate fell, their losses do not make it fall
 * again: a receiver with very many holes requests some batches that have arrived.
 */
const STALE = 2000;
/**
 * Longest time after which the first NAK for a loss comes with the longest queues, in milliseconds. What is older was
 * sent to a peer that had stalled, as a process that was stopped, and does not count for the rate.
 */
const MAX_NAK_AGE = 5000;

/** The peers, as a {@linkcode SendStream} needs them. */
export interface RequesterTable extends RequesterLookup {
  /** The peers that speak the extension. */
  extended(): readonly Requester[];
}

/** Sends what the streams have to send. */
export interface StreamTransmit {
  /** Sends a packet to one endpoint, or to the group and a fan-out scope. */
  sendControlPacket(packet: Uint8Array, to: Endpoint | FanoutScope): void;
  /** A retransmission is ready to be taken. */
  wake(): void;
}

/** What a {@linkcode SendStream} is made of. What it calls MUST NOT throw. */
export interface SendStreamConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly buffer: RetransmitBuffer;
  readonly pacer: Pacer;
  readonly multicast: () => boolean;
  readonly peers: () => RequesterTable;
  readonly transmit: StreamTransmit;
  readonly batches: {
    /** The age of the oldest accepted key that was not sent yet, in milliseconds; `undefined` when there is none. */
    readonly pendingAge: number | undefined;
  };
  readonly loop: {
    /** For how long the machine was suspended, in milliseconds, as long as that was not handled; else 0. */
    readonly suspended: number;
  };
  readonly identity: {
    /** A peer has received a number of this node twice: another node has the same id, or this node was set back. */
    numbersReused(): void;
  };
  readonly pathMtu: {
    /** A datagram of so many bytes is retransmitted to one peer. */
    retransmitted(id: string, number: number, length: number): void;
  } | undefined;
}

/** Numbers the batches of this node, announces their position, and answers the requests of other nodes. */
export class SendStream {
  /** NAKs and catch-up requests that have come. */
  naksReceived = 0;
  /** Requests that were refused: without the token, or beyond the limit. */
  naksRefused = 0;
  /** Datagrams that were retransmitted. */
  retransmitsSent = 0;
  /** Delivery acknowledgements that were refused: without the token, or of nodes that are no validated peers. */
  acksRefused = 0;
  readonly #config: SendStreamConfig;
  readonly #retransmits: RetransmitQueue;
  readonly #validationTokens: ValidationTokens;
  /**
   * How old the batches of the last congestion at the present rate were when their NAK came, in milliseconds: queues
   * may be long.
   */
  #congestionAge = 0;
  #losses = new CongestionDetector();
  #timer: Timer | undefined;
  /** Which announcement the timer is for. */
  #round = 0;
  #lastAt = -Infinity;
  /** Smoothed interval between batches, in milliseconds. */
  #interval = 0;
  /** Intervals in a row that were short enough for a flow. */
  #flow = 0;
  /** How much later all announcements after this batch are, in milliseconds. */
  #patience = 0;
  #leaving: GracefulLeave | undefined;
  #isClosed = false;

  constructor(config: SendStreamConfig) {
    const { clock, randomBytes, multicast, peers, transmit } = config;
    this.#config = config;
    this.#retransmits = new RetransmitQueue({ clock, multicast, onReady: () => transmit.wake() });
    this.#validationTokens = new ValidationTokens({ clock, randomBytes, peers });
  }

  /** The position of the stream. */
  get position(): Position {
    const { last, oldest, age } = this.#config.buffer;
    return { last, oldest, age };
  }

  /** The position as a record, with the age of the oldest key that was accepted and has no number yet. */
  get positionRecords(): Pick<Extension, "position" | "pending"> {
    const { batches, loop } = this.#config;
    const pending = batches.pendingAge;
    // The clock does not count a suspension.
    return pending === undefined
      ? { position: this.position }
      : { position: this.position, pending: pending + loop.suspended };
  }

  /** The number of the next batch. */
  get next(): number {
    return this.#config.buffer.last + 1;
  }

  /**
   * Numbers a batch that is about to be sent with {@linkcode SendStream.next}; {@linkcode SendStream.announce} has to
   * follow.
   */
  sent(datagram: Uint8Array): void {
    const { buffer, clock } = this.#config;
    buffer.append(datagram);
    const now = clock.now();
    const interval = now - this.#lastAt;
    if (interval > MAX_FLOW_INTERVAL) this.#flow = 0;
    else this.#interval += (interval - this.#interval) * (this.#flow++ === 0 ? 1 : FLOW_GAIN);
    this.#lastAt = now;
  }

  /** What was numbered has been sent. Setting the timer takes time, for which no datagram has to wait here. */
  announce(): void {
    if (this.#timer !== undefined && this.#round === 0) return;
    this.#timer?.cancel();
    this.#announceFrom(0);
  }

  /** Whether a retransmission waits. */
  get hasRetransmit(): boolean {
    return this.#retransmits.isReady;
  }

  /** The next retransmission. Its datagram is valid until the next batch is numbered. */
  takeRetransmit(): Transmit | undefined {
    while (true) {
      const retransmit = this.#retransmits.take();
      if (retransmit === undefined) return undefined;
      const datagram = this.#config.buffer.get(retransmit.number);
      // It is no longer in the buffer. The answer to the next NAK of the requester says so.
      if (datagram === undefined) continue;
      this.retransmitsSent++;
      markRetransmit(datagram);
      if (retransmit.id !== undefined) {
        this.#config.pathMtu?.retransmitted(retransmit.id, retransmit.number, datagram.length);
      }
      return { datagram, to: retransmit.to ?? "group" };
    }
  }

  /** The token for a heartbeat to one peer: a peer that repeats it has received that heartbeat. */
  tokenFor(peer: Requester): Uint8Array {
    return this.#validationTokens.tokenFor(peer);
  }

  /** A peer has departed. */
  forget(id: string): void {
    this.#validationTokens.forget(id);
    this.#losses.forget(id);
    this.#leaving?.settle(id);
  }

  /** Answers a NAK. */
  onNak(id: string, source: Endpoint, request: Extension): void {
    const requester = this.#note(id, source, request);
    const isValidated = requester.state === "validated";
    if (isValidated && this.#enqueue(request.ranges ?? [], requester)) return;
    if (this.#answer(requester, request) && !isValidated) this.naksRefused++;
  }

  /** Answers a catch-up request. */
  onCatchUp(id: string, source: Endpoint, request: Extension): void {
    const { buffer } = this.#config;
    const first = buffer.firstSince(request.since ?? Infinity);
    this.#answer(this.#note(id, source, request), request, { first, age: buffer.ageOf(first - 1) });
  }

  /** A peer has everything up to `settled`. With the token, it says that it has received a number twice. */
  onAck(id: string, source: Endpoint, { settled = 0, token }: Extension): void {
    if (token === undefined) {
      if (settled >= this.#config.buffer.last) this.#leaving?.confirm(id);
    } else if (this.#validationTokens.identify(id, source, token).state === "validated") {
      this.#config.identity.numbersReused();
    }
  }

  /** Sends a batch again to one peer, if it is still held. */
  retransmit(number: number, id: string): void {
    const { buffer, peers } = this.#config;
    const peer = peers().get(id);
    if (peer !== undefined && number >= buffer.oldest) this.#retransmits.add(number, id, peer.endpoint, true);
  }

  /**
   * A delivery acknowledgement has come. Returns whether it has the token, so that it is of the peer in whose name it
   * comes. A peer that has none yet, or an old one, is sent it.
   */
  isAuthentic(id: string, source: Endpoint, { token }: Extension): boolean {
    const requester = this.#validationTokens.identify(id, source, token);
    if (requester.state === "validated") return true;
    this.acksRefused++;
    if (!requester.isValidated || !this.#validationTokens.mayRespond(requester)) return false;
    const { nodeId, transmit } = this.#config;
    const answer = { ...this.positionRecords, token: this.#validationTokens.tokenFor(requester) };
    transmit.sendControlPacket(encodeControl(TYPE_STATE, nodeId, answer), requester.endpoint);
    return false;
  }

  /**
   * The node has another id from now on. Its stream begins anew, after one number that no peer can have: what became of
   * the numbers of the old id is not known, so that number is a gap to all peers.
   */
  restart(): void {
    const { clock, buffer } = this.#config;
    this.#retransmits.close();
    this.#losses = new CongestionDetector();
    this.#flow = 0;
    buffer.restart();
    this.#lastAt = clock.now();
    this.#timer?.cancel();
    this.#announceFrom(0);
  }

  /** Sends a leave packet, once, to a node whose heartbeat has come while this node leaves: it may be joining. */
  sendLeaveOnce(id: string, source: Endpoint): void {
    this.#leaving?.onHeartbeat(id, source);
  }

  /** Keys were accepted and can no longer be sent: one number that is never held makes them a gap to the peers. */
  skip(): void {
    this.#config.buffer.skip();
  }

  /** Whether the node is sending leave packets now. */
  get isLeaving(): boolean {
    return this.#leaving?.isOver === false;
  }

  /** The peers that have acknowledged the leave. */
  get confirmed(): ReadonlySet<string> {
    return this.#leaving?.confirmed ?? new Set();
  }

  /** Keys were refused after the leave: one more number, which is never held, makes that a gap to the peers. */
  retract(): void {
    this.#config.buffer.skip();
    this.#leaving?.renew();
  }

  /** Sends leave packets until all of `peers` have everything, for at most `patience` milliseconds. */
  async leave(peers: readonly Requester[], patience: number): Promise<void> {
    const { clock, nodeId, transmit } = this.#config;
    this.#timer?.cancel();
    const sendLeave = (to: Endpoint | FanoutScope) =>
      transmit.sendControlPacket(encodeControl(TYPE_LEAVE, nodeId, { position: this.position }), to);
    const leaving = this.#leaving = new GracefulLeave(peers, clock, sendLeave);
    const until = clock.now() + patience;
    sendLeave("extended");
    // A node that has just joined learns of the batches only now, and may request them.
    if (this.next > 1) leaving.linger();
    while (leaving.goesOn && clock.now() < until) {
      await leaving.settledWithin(Math.min(LEAVE_EVERY, until - clock.now()));
      for (const endpoint of leaving.waiting.values()) sendLeave(endpoint);
    }
    leaving.isOver = true;
  }

  /** Announces and answers nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#retransmits.close();
    this.#validationTokens.close();
  }

  /**
   * Sets the timer of an announcement, one for a whole burst: to set it again with each batch would cost more than all
   * else here.
   */
  #announceFrom(round: number): void {
    const after = ANNOUNCE_AFTER[round];
    if (after === undefined || this.#leaving !== undefined || this.#isClosed) {
      this.#timer = undefined;
      return;
    }
    const { clock, nodeId, transmit } = this.#config;
    if (round === 0) this.#patience = this.#flowPatience();
    this.#timer = clock.setTimer(() => {
      if (round === 0) this.#patience = this.#flowPatience();
      const isDue = this.#lastAt + this.#patience + after <= clock.now() + 1;
      if (isDue) transmit.sendControlPacket(encodeControl(TYPE_STATE, nodeId, this.positionRecords), "extended");
      this.#announceFrom(isDue ? round + 1 : 0);
    }, this.#lastAt + this.#patience + after - clock.now());
    this.#round = round;
  }

  #flowPatience(): number {
    const first = ANNOUNCE_AFTER[0] ?? 0;
    if (this.#flow < MIN_FLOW) return 0;
    return Math.max(0, Math.min(this.#interval * FLOW_PATIENCE, MAX_FLOW_PATIENCE) - first);
  }

  /** False when some of the numbers are not held or were never given. */
  #enqueue(ranges: readonly NumberRange[], { id, endpoint }: Requester): boolean {
    const { buffer, peers } = this.#config;
    const { oldest, last } = buffer;
    const alone = peers().extended().length < 2;
    let left = MAX_RETRANSMITS;
    let isNeeded = false;
    for (const { from, to } of ranges) {
      for (let number = Math.max(from, oldest); number <= Math.min(to, last) && left > 0; number++, left--) {
        if (this.#retransmits.add(number, id, endpoint, alone)) isNeeded = true;
      }
    }
    if (isNeeded) this.#heedLoss(id, ranges);
    return ranges.every(({ from, to }) => from >= oldest && to <= last);
  }

  #heedLoss(id: string, ranges: readonly NumberRange[]): void {
    const { buffer, pacer } = this.#config;
    const { last } = buffer;
    const { rate } = pacer;
    const { loss, carried, isAgain } = this.#losses.note(id, ranges, last, pacer.isSlow);
    if (loss === "usual") return;
    const age = buffer.ageOf(ranges.at(-1)?.to ?? 0);
    const isOld = carried !== undefined || isAgain === true;
    if (!isOld && age > MAX_NAK_AGE) return pacer.hold(age);
    if (!isOld && loss === "congestion") this.#congestionAge = age;
    const isStale = isOld && age >= STALE + this.#congestionAge;
    // What is too long for the path never arrives, and is requested again and again.
    if (isStale && isAgain === true) return;
    // What is lost at the lowest rates is a property of the path, and takes long enough to measure.
    const hasFallen = loss === "congestion" && !isStale && pacer.onLoss(carried);
    if (hasFallen && !pacer.isSlow) this.#losses.restart(last, rate);
    if (loss === "high" && carried === undefined) pacer.hold();
    // What became of the batches sent since is known as late as that.
    else if (isStale || carried === undefined || carried <= pacer.rate) pacer.hold(age);
  }

  #note(id: string, source: Endpoint, { token }: Extension): KnownRequester {
    this.naksReceived++;
    const requester = this.#validationTokens.identify(id, source, token);
    // A node that leaves waits for each validated node that still requests something.
    if (requester.isValidated) this.#leaving?.waiting.set(id, requester.endpoint);
    this.#leaving?.linger();
    return requester;
  }

  /** False when that would be beyond the limit: the request is refused. */
  #answer(requester: KnownRequester, { nonce = 0 }: Extension, base?: Base): boolean {
    if (!this.#validationTokens.mayRespond(requester)) {
      this.naksRefused++;
      return false;
    }
    const { nodeId, transmit } = this.#config;
    const answer = {
      ...this.positionRecords,
      token: this.#validationTokens.tokenFor(requester),
      nonce,
      ...(base && { base }),
    };
    transmit.sendControlPacket(encodeControl(TYPE_STATE, nodeId, answer), requester.endpoint);
    return true;
  }
}
