/**
 * The node's own stream: numbers what it sends, keeps it for repair, says where it is, and answers requests.
 *
 * @module
 */

import type { Pacer } from "../net/pacer.ts";
import type { Transmit } from "../net/transmit_queue.ts";
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
import { GracefulLeave, LEAVE_EVERY } from "./graceful_leave.ts";
import { LossClassifier } from "./loss_classifier.ts";
import type { RetransmitBuffer } from "./retransmit_buffer.ts";
import { RetransmitQueue } from "./retransmit_queue.ts";
import { type Asker, type KnownAsker, ValidationTokens } from "./validation_tokens.ts";

/** When the position is announced after a batch, in milliseconds. The next batch stands for what is still to come. */
const ANNOUNCE_AFTER: readonly number[] = [20, 60, 120, 220, 450];

/**
 * While batches flow, the first announcement waits for so many times as long as they are apart: the next one stands for it,
 * also when it is a little late.
 */
const FLOW_PATIENCE = 1.5;
/** Longest that it waits then, in milliseconds: the loss of the last batch is noticed by then. */
const MAX_FLOW_PATIENCE = 250;
/** Batches that are further apart than this are no flow, in milliseconds: few would come in time. */
const MAX_FLOW_INTERVAL = 200;
/** So many in a row are none yet: a key or two are waited for by nobody. */
const MIN_FLOW = 4;
/** By which part the time between two batches is smoothed. */
const FLOW_GAIN = 1 / 4;

/** Most repairs for one request. */
const MAX_REPAIRS = 128;

/**
 * Losses of batches that were sent so long ago, in milliseconds, and before the rate has fallen, make it fall no more: a
 * receiver with very many holes asks for some that have arrived.
 */
const STALE = 2000;
/**
 * Longest that the first news of a loss takes on the longest queues, in milliseconds. What is older was sent to a peer that
 * stood still, as a process that was stopped, and says nothing of the rate.
 */
const MAX_NEWS_AGE = 5000;

/** What an {@linkcode SendStream} is made of. The callbacks MUST NOT throw. */
export interface SendStreamConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly ring: RetransmitBuffer;
  readonly pacer: Pacer;
  readonly multicast: () => boolean;
  /** A peer, when a heartbeat of it was heard. */
  readonly peer: (id: string) => (Asker & { readonly isValidated?: boolean }) | undefined;
  /** The peers that speak the extension. */
  readonly peers: () => readonly Asker[];
  /** Sends a packet to one endpoint, or to the group, all peers that speak the extension, and seeds that may. */
  readonly sendControlPacket: (packet: Uint8Array, to?: Endpoint) => void;
  /** {@linkcode SendStream.takeRepair} has something to give. */
  readonly onRetransmit: () => void;
  /** For how long the oldest key that was accepted waits to be sent, in milliseconds; `undefined` when none does. */
  readonly pendingAge: () => number | undefined;
  /** A peer has had numbers of this node twice: there is another with its id, or it was set back. */
  readonly onReused: () => void;
  /** A datagram of so many bytes is sent again to one peer. */
  readonly onRetransmitted?: (id: string, number: number, length: number) => void;
}

/** One per node. */
export class SendStream {
  /** Requests that have come. */
  naksReceived = 0;
  /** Requests not granted: without the token, or beyond the rate. */
  naksRefused = 0;
  /** Datagrams sent again. */
  retransmitsSent = 0;
  readonly #config: SendStreamConfig;
  readonly #retransmits: RetransmitQueue;
  readonly #validationTokens: ValidationTokens;
  /** How long it took to be told of congestion at the present rate, the last time, in milliseconds: queues are long. */
  #newsAge = 0;
  #losses = new LossClassifier();
  #timer: Timer | undefined;
  /** Which announcement the timer is for. */
  #round = 0;
  #lastAt = -Infinity;
  /** Time between batches, smoothed, in milliseconds. */
  #interval = 0;
  /** Batches in a row that were no further apart than those of a flow. */
  #flow = 0;
  /** By how much all announcements after this batch are later, in milliseconds. */
  #patience = 0;
  #leaving: GracefulLeave | undefined;
  #isClosed = false;

  constructor(config: SendStreamConfig) {
    const { clock, randomBytes, multicast, peer, onRetransmit } = config;
    this.#config = config;
    this.#retransmits = new RetransmitQueue({ clock, multicast, onReady: onRetransmit });
    this.#validationTokens = new ValidationTokens({ clock, randomBytes, peer });
  }

  /** Where the stream is. */
  get position(): Position {
    const { last, oldest, age } = this.#config.ring;
    return { last, oldest, age };
  }

  /** The same as records, with what was accepted and has no number yet. */
  get news(): Pick<Extension, "position" | "pending"> {
    const pending = this.#config.pendingAge();
    return pending === undefined ? { position: this.position } : { position: this.position, pending };
  }

  /** The number of the next batch. */
  get next(): number {
    return this.#config.ring.last + 1;
  }

  /** Notes a batch that is about to be sent with the number {@linkcode SendStream.next}; {@linkcode SendStream.announce} has to follow. */
  sent(datagram: Uint8Array): void {
    const { ring, clock } = this.#config;
    ring.append(datagram);
    const now = clock.now();
    const interval = now - this.#lastAt;
    if (interval > MAX_FLOW_INTERVAL) this.#flow = 0;
    else this.#interval += (interval - this.#interval) * (this.#flow++ === 0 ? 1 : FLOW_GAIN);
    this.#lastAt = now;
  }

  /** What was noted has been sent. It costs a timer, for which nothing has to wait then. */
  announce(): void {
    if (this.#timer !== undefined && this.#round === 0) return;
    this.#timer?.cancel();
    this.#announceFrom(0);
  }

  /** Whether a repair waits. */
  get hasRetransmit(): boolean {
    return this.#retransmits.isReady;
  }

  /** The next repair. The datagram holds until the next batch is noted. */
  takeRetransmit(): Transmit | undefined {
    while (true) {
      const repair = this.#retransmits.take();
      if (repair === undefined) return undefined;
      const datagram = this.#config.ring.get(repair.number);
      // It has given way meanwhile. Who asked will ask again, and be told.
      if (datagram === undefined) continue;
      this.retransmitsSent++;
      markRetransmit(datagram);
      if (repair.id !== undefined) this.#config.onRetransmitted?.(repair.id, repair.number, datagram.length);
      return { datagram, to: repair.to ?? "group" };
    }
  }

  /** What the heartbeat for one peer says besides the position: the token that shows that the peer has got it. */
  tokenFor(peer: Asker): Uint8Array {
    return this.#validationTokens.tokenFor(peer);
  }

  /** A peer is gone. */
  forget(id: string): void {
    this.#validationTokens.forget(id);
    this.#losses.forget(id);
    this.#leaving?.settle(id);
  }

  /** Answers a negative acknowledgement. */
  onNak(id: string, source: Endpoint, request: Extension): void {
    const asker = this.#note(id, source, request);
    const isValidated = asker.standing === "validated";
    if (isValidated && this.#enqueue(request.ranges ?? [], asker)) return;
    if (this.#answer(asker, request) && !isValidated) this.naksRefused++;
  }

  /** Answers a catch-up request. */
  onCatchUp(id: string, source: Endpoint, request: Extension): void {
    const { ring } = this.#config;
    const first = ring.firstSince(request.since ?? Infinity);
    this.#answer(this.#note(id, source, request), request, { first, age: ring.ageOf(first - 1) });
  }

  /** A peer has everything up to `settled`; with the token, it says that it has had a number twice. */
  onAck(id: string, source: Endpoint, { settled = 0, token }: Extension): void {
    if (token === undefined) {
      if (settled >= this.#config.ring.last) this.#leaving?.confirm(id);
    } else if (this.#validationTokens.identify(id, source, token).standing === "validated") {
      this.#config.onReused();
    }
  }

  /**
   * The node has another id from now on. Its stream begins anew, after one number that nobody can have: what has become of those
   * of the old id is not known, so that is a gap to all peers.
   */
  restart(): void {
    const { clock, ring } = this.#config;
    this.#retransmits.close();
    this.#losses = new LossClassifier();
    this.#flow = 0;
    ring.restart();
    this.#lastAt = clock.now();
    this.#timer?.cancel();
    this.#announceFrom(0);
  }

  /** A heartbeat has come while the node leaves: perhaps of a newcomer that knows nothing of it. */
  greet(id: string, source: Endpoint): void {
    this.#leaving?.greet(id, source);
  }

  /** Batches that were accepted and can not be sent any more: they become a gap. */
  skip(): void {
    this.#config.ring.skip();
  }

  /** Whether it says now that the node leaves. */
  get isLeaving(): boolean {
    return this.#leaving?.isOver === false;
  }

  /** The peers that have everything, when the node leaves. */
  get confirmed(): ReadonlySet<string> {
    return this.#leaving?.confirmed ?? new Set();
  }

  /** The leave was said, and something was refused after it: that is a gap to the peers. */
  retract(): void {
    this.#config.ring.skip();
    this.#leaving?.renew();
  }

  /** Says that the node leaves until all of `peers` have everything, for at most `patience` milliseconds. */
  async leave(peers: readonly Asker[], patience: number): Promise<void> {
    const { clock, nodeId, sendControlPacket } = this.#config;
    this.#timer?.cancel();
    const say = (to?: Endpoint) =>
      sendControlPacket(encodeControl(TYPE_LEAVE, nodeId, { position: this.position }), to);
    const leaving = this.#leaving = new GracefulLeave(peers, clock, say);
    const until = clock.now() + patience;
    say();
    // Who has just come hears of what was published for the first time, and may have a question.
    if (this.next > 1) leaving.linger();
    while (leaving.goesOn && clock.now() < until) {
      await leaving.settledWithin(Math.min(LEAVE_EVERY, until - clock.now()));
      for (const endpoint of leaving.waiting.values()) say(endpoint);
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

  /** One timer for a whole burst: it is not set again with each batch, as that would cost more than the rest here. */
  #announceFrom(round: number): void {
    const after = ANNOUNCE_AFTER[round];
    if (after === undefined || this.#leaving !== undefined || this.#isClosed) {
      this.#timer = undefined;
      return;
    }
    const { clock, nodeId, sendControlPacket } = this.#config;
    if (round === 0) this.#patience = this.#flowPatience();
    this.#timer = clock.setTimer(() => {
      if (round === 0) this.#patience = this.#flowPatience();
      const isDue = this.#lastAt + this.#patience + after <= clock.now() + 1;
      if (isDue) sendControlPacket(encodeControl(TYPE_STATE, nodeId, this.news));
      this.#announceFrom(isDue ? round + 1 : 0);
    }, this.#lastAt + this.#patience + after - clock.now());
    this.#round = round;
  }

  #flowPatience(): number {
    const first = ANNOUNCE_AFTER[0] ?? 0;
    if (this.#flow < MIN_FLOW) return 0;
    return Math.max(0, Math.min(this.#interval * FLOW_PATIENCE, MAX_FLOW_PATIENCE) - first);
  }

  /** False when some of it can not be had. */
  #enqueue(ranges: readonly NumberRange[], { id, endpoint }: Asker): boolean {
    const { ring, peers } = this.#config;
    const { oldest, last } = ring;
    const alone = peers().length < 2;
    let left = MAX_REPAIRS;
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
    const { ring, pacer } = this.#config;
    const { last } = ring;
    const { rate } = pacer;
    const { loss, carried, isAgain } = this.#losses.note(id, ranges, last, pacer.isSlow);
    if (loss === "usual") return;
    const age = ring.ageOf(ranges.at(-1)?.to ?? 0);
    const isOld = carried !== undefined || isAgain === true;
    if (!isOld && age > MAX_NEWS_AGE) return pacer.hold(age);
    if (!isOld && loss === "congestion") this.#newsAge = age;
    const isStale = isOld && age >= STALE + this.#newsAge;
    // What never arrives, as it is too long for the path, is asked for again and again.
    if (isStale && isAgain === true) return;
    // What is lost at the lowest rates tells of the path, and takes long enough to measure.
    const hasFallen = loss === "congestion" && !isStale && pacer.onLoss(carried);
    if (hasFallen && !pacer.isSlow) this.#losses.restart(last, rate);
    if (loss === "high" && carried === undefined) pacer.hold();
    // What becomes of what has been sent since will be known as late.
    else if (isStale || carried === undefined || carried <= pacer.rate) pacer.hold(age);
  }

  #note(id: string, source: Endpoint, { token }: Extension): KnownAsker {
    this.naksReceived++;
    const asker = this.#validationTokens.identify(id, source, token);
    // A node that leaves waits for who needs something of it.
    if (asker.isValidated) this.#leaving?.waiting.set(id, asker.endpoint);
    this.#leaving?.linger();
    return asker;
  }

  /** False when that would be beyond the rate: the request is refused. */
  #answer(asker: KnownAsker, { nonce = 0 }: Extension, base?: Base): boolean {
    if (!this.#validationTokens.mayAnswer(asker)) {
      this.naksRefused++;
      return false;
    }
    const { nodeId, sendControlPacket } = this.#config;
    const answer = { ...this.news, token: this.#validationTokens.tokenFor(asker), nonce, ...(base && { base }) };
    sendControlPacket(encodeControl(TYPE_STATE, nodeId, answer), asker.endpoint);
    return true;
  }
}
