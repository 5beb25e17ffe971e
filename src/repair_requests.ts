/**
 * Asks other nodes for what is missing.
 *
 * @module
 */

import { type Endpoint, isSameEndpoint } from "./address.ts";
import type { Clock, Timer } from "./clock.ts";
import type { RandomBytes } from "./host.ts";
import type { Jitter } from "./jitter.ts";
import { LEAVE_PATIENCE, MAX_UNANSWERED, type PeerStream } from "./peer_stream.ts";
import { RateLimit } from "./rate_limit.ts";
import { encodeControl, type Extension, type NumberRange } from "./wire/extension.ts";
import { readU32 } from "./wire/integers.ts";
import { MAX_RANGES, NONCE_LENGTH, TYPE_CATCH_UP, TYPE_NAK } from "./wire/layout.ts";

/**
 * First and second wait for an answer, in milliseconds; two round trips if that is more. With 5 % loss one hole in a hundred
 * is asked for three times: these waits have that done within 30 ms.
 */
const RETRY = 6;
/** Longest wait for an answer, in milliseconds; two round trips if that is more. */
const MAX_RETRY = 250;
/** So often at most the wait is doubled as long as repairs come, and for how long after one, in milliseconds: to 48 ms. */
const MAX_DOUBLINGS = 3;
const REPAIRS_COME = 250;
/** Most of a wait that is added at random. */
const SPREAD = 0.25;
/** Shortest time between two packets of requests to a node, in milliseconds: holes of a burst share one. */
const SPACING = 2;
/** Most numbers of one stream that are under way: 180 kB, less than the smallest receive buffer of a system. */
const MAX_UNDER_WAY = 128;
/** Most that were asked for and have not come: what never comes is not asked for beyond them. */
const MAX_ASKED = 512;
/** Requests a second, to all nodes together. */
const REQUESTS_PER_SECOND = 2000;
/**
 * Those to nodes that have not answered from where they are taken to be. Anybody can name any address: such a node gets
 * short questions only, this many a second in all, {@linkcode MAX_UNANSWERED} in a row, and then one now and then when it
 * is heard.
 */
const STRANGERS_PER_SECOND = 128;
/** When what was beyond a limit is tried again, in milliseconds. */
const LIMITED = 50;
/** Requests whose answers are known: one may be sent every 2 ms, and the answer take 128. */
const MAX_REQUESTS = 64;

/** What {@linkcode RepairRequests} is made of. The callbacks MUST NOT throw. */
export interface RepairRequestsConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly jitter: Jitter;
  readonly randomBytes: RandomBytes;
  /** Where a peer is; `undefined` when no heartbeat of it was heard. */
  readonly endpointOf: (id: string) => Endpoint | undefined;
  readonly send: (packet: Uint8Array, to: Endpoint) => void;
  /** Something was missing of a node that leaves; it may have left by now. */
  readonly onLeaving: (stream: PeerStream) => void;
}

/** One timer for all streams; it runs only while something is missing. */
export class RepairRequests {
  /** Packets sent. */
  sent = 0;
  readonly #config: RepairRequestsConfig;
  readonly #all: RateLimit;
  readonly #strangers: RateLimit;
  /** The streams that want something, and when each asks next. */
  readonly #wanting = new Map<PeerStream, number>();
  /** When strangers may be asked again, all at the same moment: who comes between would go before those who wait. */
  #strangersAt = -Infinity;
  #timer: Timer | undefined;
  #timerAt = Infinity;
  #closed = false;

  constructor(config: RepairRequestsConfig) {
    this.#config = config;
    this.#all = new RateLimit(config.clock, REQUESTS_PER_SECOND / 10, REQUESTS_PER_SECOND);
    this.#strangers = new RateLimit(config.clock, STRANGERS_PER_SECOND, STRANGERS_PER_SECOND);
  }

  /** A stream has something to be asked for, or less than before. When exactly is found out at the next tick. */
  want(stream: PeerStream): void {
    if (this.#closed) return;
    const at = this.#config.clock.now() + SPACING;
    if ((this.#wanting.get(stream) ?? Infinity) > at) this.#wanting.set(stream, at);
    this.#setTimer(at);
  }

  /** Asks how far a stream is: the answer to a request is the truth. */
  verify(stream: PeerStream): void {
    if (!this.#closed) this.#inquire(stream);
  }

  /** Asks for nothing more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#wanting.clear();
  }

  #setTimer(at: number): void {
    if (at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = this.#config.clock.setTimer(() => this.#tick(), Math.max(0, at - this.#config.clock.now()));
  }

  #tick(): void {
    const now = this.#config.clock.now();
    this.#timerAt = Infinity;
    let next = Infinity;
    for (const [stream, at] of this.#wanting) {
      if (!stream.isWanting) {
        this.#wanting.delete(stream);
        continue;
      }
      let nextAt = at;
      if (at <= now) {
        if (stream.leavingAt !== undefined) this.#config.onLeaving(stream);
        const { sent } = this;
        nextAt = this.#ask(stream, now);
        // Who was asked goes behind those who wait for the same limits, and is met again below.
        if (this.sent > sent) this.#wanting.delete(stream);
        this.#wanting.set(stream, nextAt);
      }
      next = Math.min(next, nextAt);
    }
    this.#setTimer(next);
  }

  /** Asks for what is due, and returns when it asks next. */
  #ask(stream: PeerStream, now: number): number {
    const spaced = (stream.requests[0]?.sentAt ?? -Infinity) + SPACING;
    if (now < spaced) return spaced;
    const isProven = this.#isProven(stream);
    if (isProven && stream.catchUp === undefined) return this.#askForHoles(stream, now);
    const question = stream.question;
    if (question.due <= now) {
      if (!this.#inquire(stream)) return this.#leavingBy(stream, this.#limitedUntil(stream, now), now);
      question.attempts++;
      question.askedAt = now;
      const isInVain = !isProven && question.attempts >= MAX_UNANSWERED;
      question.due = isInVain ? Infinity : now + this.#retryAfter(stream, question.attempts);
    }
    return this.#leavingBy(stream, question.due, now);
  }

  #inquire(stream: PeerStream): boolean {
    if (!this.#mayAsk(stream)) return false;
    const since = stream.catchUp === undefined ? 0 : Math.ceil(stream.reach(this.#config.clock.now()));
    this.#send(stream, TYPE_CATCH_UP, { since }, stream.window.highest);
    return true;
  }

  #askForHoles(stream: PeerStream, now: number): number {
    const { window } = stream;
    const wait = Math.min(MAX_RETRY, this.#answerTime(stream));
    let room = MAX_UNDER_WAY;
    let fresh = MAX_ASKED;
    let freeAt = Infinity;
    for (const { attempts, lastAskedAt, from, to } of window.holes) {
      if (attempts === 0) continue;
      fresh -= to - from + 1;
      if (now - lastAskedAt >= wait) continue;
      room -= to - from + 1;
      freeAt = Math.min(freeAt, lastAskedAt + wait);
    }
    let next = Infinity;
    const ranges: NumberRange[] = [];
    // The list grows where a hole is split: what is split off comes next, and waits.
    for (const hole of window.holes) {
      const most = hole.attempts === 0 ? Math.min(room, fresh) : room;
      if (hole.due <= now && most > 0 && ranges.length < MAX_RANGES) {
        // Only who is proven is asked for holes.
        if (ranges.length === 0 && !this.#mayAsk(stream)) return this.#leavingBy(stream, now + LIMITED, now);
        window.split(hole, most);
        const count = hole.to - hole.from + 1;
        room -= count;
        if (hole.attempts === 0) {
          fresh -= count;
          hole.askedAt = now;
        }
        hole.attempts++;
        hole.lastAskedAt = now;
        hole.due = now + this.#retryAfter(stream, hole.attempts);
        ranges.push({ from: hole.from, to: hole.to });
      }
      // What waits for room is looked at when something that was asked for has come, or must be lost.
      if (hole.due > now || most > 0) next = Math.min(next, hole.due);
    }
    const last = ranges.at(-1);
    if (last !== undefined) this.#send(stream, TYPE_NAK, { ranges }, last.to);
    if (room <= 0) next = Math.min(next, freeAt, now + wait);
    return this.#leavingBy(stream, Math.max(next, now + SPACING), now);
  }

  /** Whether one more request is within the limits. Strangers that are refused use up nothing of what is for all. */
  #mayAsk(stream: PeerStream): boolean {
    if (this.#isProven(stream)) return this.#all.allow();
    const now = this.#config.clock.now();
    if (now < this.#strangersAt) return false;
    if (this.#strangers.allow() && this.#all.allow()) return true;
    this.#strangersAt = now + LIMITED;
    return false;
  }

  #limitedUntil(stream: PeerStream, now: number): number {
    return this.#isProven(stream) ? now + LIMITED : this.#strangersAt;
  }

  #send(stream: PeerStream, type: number, what: Extension, upTo: number): void {
    const { nodeId, clock, randomBytes, send } = this.#config;
    const nonce = readU32(randomBytes(NONCE_LENGTH), 0);
    const to = this.#endpointOf(stream);
    stream.requests.unshift({ nonce, sentAt: clock.now(), upTo, to });
    if (stream.requests.length > MAX_REQUESTS) stream.requests.pop();
    const token = stream.token === undefined ? {} : { token: stream.token };
    send(encodeControl(type, nodeId, { stream: stream.nodeId, nonce, ...token, ...what }), to);
    this.sent++;
  }

  #endpointOf(stream: PeerStream): Endpoint {
    return this.#config.endpointOf(stream.id) ?? stream.source;
  }

  #isProven(stream: PeerStream): boolean {
    return stream.provenAt !== undefined && isSameEndpoint(stream.provenAt, this.#endpointOf(stream));
  }

  /** A node that leaves is looked at when it must have left, whether or not something is due. */
  #leavingBy(stream: PeerStream, next: number, now: number): number {
    return stream.leavingAt === undefined
      ? next
      : Math.min(next, Math.max(now + SPACING, stream.leavingAt + LEAVE_PATIENCE));
  }

  /** Longest time that an answer usually takes. */
  #answerTime({ roundTrip }: PeerStream): number {
    return Math.max(RETRY, 2 * roundTrip);
  }

  #retryAfter(stream: PeerStream, attempts: number): number {
    const most = this.#config.clock.now() - stream.repairedAt < REPAIRS_COME ? MAX_DOUBLINGS : Infinity;
    const first = this.#answerTime(stream);
    const wait = Math.min(first * 2 ** Math.min(Math.max(0, attempts - 2), most), Math.max(MAX_RETRY, first));
    return wait * (1 + this.#config.jitter.between(0, SPREAD));
  }
}
