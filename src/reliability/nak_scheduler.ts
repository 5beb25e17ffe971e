/**
 * Asks other nodes for what is missing.
 *
 * @module
 */

import type { KnownPeer } from "../membership/peer.ts";
import type { ResponseSuppression } from "../membership/response_suppression.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import type { Jitter } from "../platform/jitter.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import { encodeControl, type Extension, type NumberRange } from "../wire/extension.ts";
import { readU32 } from "../wire/integers.ts";
import { MAX_RANGES, NONCE_LENGTH, TYPE_CATCH_UP, TYPE_NAK } from "../wire/layout.ts";
import { LEAVE_PATIENCE, MAX_UNANSWERED, type ReceiveStream, UNDER_WAY } from "./receive_stream.ts";
import { type Hole, isVain, VAIN_ATTEMPTS } from "./receive_window.ts";

/**
 * First and second wait for an answer, in milliseconds; two round trips if that is more. With 5 % loss one hole in a hundred
 * is asked for three times: these waits have that done within 30 ms.
 */
const RETRY = 6;
/** Longest wait for an answer, in milliseconds; two round trips if that is more. */
const MAX_RETRY = 250;
/** So often at most the wait is doubled as long as repairs come, and for how long after one, in milliseconds: to 48 ms. */
const MAX_DOUBLINGS = 3;
const RETRANSMITS_COME = 250;
/** Most of a wait that is added at random. */
const SPREAD = 0.25;
/** Shortest time between two packets of requests to a node, in milliseconds: holes of a burst share one. */
const SPACING = 2;
/** Most numbers in one packet of requests: as many as one is answered by. */
const MAX_REQUESTED = 128;
/**
 * More than the least is under way only after this node has stood still, or the other was silent, for so many milliseconds,
 * and as long as so many numbers in a row are missing. What a way that is too narrow loses looks otherwise, and more repairs
 * would flood it.
 */
const AFTER_OUTAGE = { numbers: 256, for: 10_000 };
/**
 * Most that were asked for and have not come, without those that were asked for in vain: what never comes is not asked for
 * beyond them.
 */
const MAX_ASKED = 512;
/** So many more of those that were found missing within so many milliseconds: they do not wait for what never comes. */
const MAX_NEW = 128;
const NEW_FOR = 250;
/**
 * Most numbers that were asked for in vain and are under way, which is for {@linkcode MAX_RETRY} each. As soon as one of
 * them has come, they are as good as all others.
 */
const MAX_VAIN = 32;
/**
 * The longest wait between two requests for one of them, in milliseconds, when there are more, or after so many requests:
 * with half lost each way that is one in 100,000.
 */
const MAX_VAIN_RETRY = 4000;
const MANY_ATTEMPTS = 40;
/** Requests a second, to all nodes together. */
const NAKS_PER_SECOND = 2000;
/**
 * Those to nodes that have not answered from where they are taken to be. Anybody can name any address: such a node gets
 * short questions only, this many a second in all, {@linkcode MAX_UNANSWERED} in a row, and then one now and then when it
 * is heard.
 */
const UNVALIDATED_PER_SECOND = 128;
/** When what was beyond a limit is tried again, in milliseconds. */
const LIMITED = 50;
/**
 * A timer that is so late, in milliseconds, runs ahead of what has come meanwhile and lies unread: what is missing by
 * multicast may have come by unicast, or the other way round, in the other socket. So what was not asked for yet waits for
 * so many turns of the event loop, of about a millisecond each; see `TURNS` in `failure_detector.ts`. A loop that lags in each of
 * them gets through a receive buffer by then.
 */
const LATE = 4;
const TURNS = 8;
/** Longest that this holds anything up, in milliseconds: a loop may lag for good. */
const MAX_HELD_UP = 250;
/** Requests whose answers are known: one may be sent every 2 ms, and the answer take 128. */
const MAX_OUTSTANDING = 64;

/** What {@linkcode NakScheduler} is made of. The callbacks MUST NOT throw. */
export interface NakSchedulerConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly jitter: Jitter;
  readonly randomBytes: RandomBytes;
  /** Where a peer is; `undefined` when no heartbeat of it was heard. */
  readonly endpointOf: (id: string) => Endpoint | undefined;
  /** How many could ask a stranger. Absent: nobody else. */
  readonly suppression?: ResponseSuppression;
  /** What is known of the node of a stream. */
  readonly peer?: (id: string) => Pick<KnownPeer, "extended" | "isValidated"> | undefined;
  readonly send: (packet: Uint8Array, to: Endpoint) => void;
  /** Something was missing of a node that leaves; it may have left by now. */
  readonly onLeaving: (stream: ReceiveStream) => void;
}

/** One timer for all streams; it runs only while something is missing. */
export class NakScheduler {
  /** Packets sent. */
  sent = 0;
  readonly #config: NakSchedulerConfig;
  readonly #all: TokenBucket;
  readonly #unvalidated: TokenBucket;
  /** The streams that want something, and when each asks next. */
  readonly #wanting = new Map<ReceiveStream, number>();
  /** When strangers may be asked again, all at the same moment: who comes between would go before those who wait. */
  #unvalidatedAt = -Infinity;
  #timer: Timer | undefined;
  #timerAt = Infinity;
  /** How many turns the event loop has still to make before what is new is asked for, and from when on it has waited. */
  #turns = 0;
  #heldUpAt = -Infinity;
  #closed = false;

  constructor(config: NakSchedulerConfig) {
    this.#config = config;
    this.#all = new TokenBucket(config.clock, NAKS_PER_SECOND / 10, NAKS_PER_SECOND);
    this.#unvalidated = new TokenBucket(config.clock, UNVALIDATED_PER_SECOND, UNVALIDATED_PER_SECOND);
  }

  /** A stream has something to be asked for, or less than before. When exactly is found out at the next tick. */
  schedule(stream: ReceiveStream): void {
    if (this.#closed) return;
    const at = this.#config.clock.now() + SPACING;
    if ((this.#wanting.get(stream) ?? Infinity) > at) this.#wanting.set(stream, at);
    this.#setTimer(at);
  }

  /** Asks how far a stream is: the answer to a request is the truth. */
  probe(stream: ReceiveStream): void {
    const { suppression } = this.#config;
    const isMine = !this.#isUnvalidated(stream) || suppression === undefined || suppression.isChosen(0);
    if (!this.#closed && isMine) this.#sendStreamProbe(stream);
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
    this.#takeTurn(now);
    this.#timerAt = Infinity;
    let next = this.#turns > 0 ? now : Infinity;
    for (const [stream, at] of this.#wanting) {
      if (!stream.isWanting) {
        this.#wanting.delete(stream);
        continue;
      }
      let nextAt = at;
      if (at <= now) {
        if (stream.leavingAt !== undefined) this.#config.onLeaving(stream);
        const { sent } = this;
        nextAt = this.#sendNaks(stream, now);
        // Who was asked goes behind those who wait for the same limits, and is met again below.
        if (this.sent > sent) this.#wanting.delete(stream);
        this.#wanting.set(stream, nextAt);
      }
      next = Math.min(next, nextAt);
    }
    this.#setTimer(next);
  }

  /** The timer has run out. When it is late, what has come meanwhile is read first. */
  #takeTurn(now: number): void {
    const isLate = now - this.#timerAt >= LATE;
    if (this.#turns > 0) {
      this.#turns = now - this.#heldUpAt < MAX_HELD_UP ? this.#turns - 1 : 0;
    } else if (isLate) {
      this.#turns = TURNS;
      this.#heldUpAt = now;
    }
  }

  /** Asks for what is due, and returns when it asks next. */
  #sendNaks(stream: ReceiveStream, now: number): number {
    const spaced = (stream.naks[0]?.sentAt ?? -Infinity) + SPACING;
    if (now < spaced) return spaced;
    const isValidated = this.#isValidated(stream);
    if (isValidated && stream.catchUp === undefined) return this.#nakHoles(stream, now);
    const question = stream.streamProbe;
    const isLot = this.#isUnvalidated(stream) && this.#config.suppression?.isSmall === false;
    if (question.due <= now && isLot) question.due = this.#drawLot(stream, now);
    if (question.due <= now) {
      if (!this.#sendStreamProbe(stream)) return this.#leavingBy(stream, this.#limitedUntil(stream, now), now);
      question.attempts++;
      question.askedAt = now;
      question.turnAt = undefined;
      const isInVain = isLot || (!isValidated && question.attempts >= MAX_UNANSWERED);
      question.due = isInVain ? Infinity : now + this.#retryAfter(stream, question.attempts);
    }
    return this.#leavingBy(stream, question.due, now);
  }

  /**
   * When a stranger is asked whom all nodes of a large mesh may have heard; Infinity when that is left to others. Whoever is
   * asked where it is will be proven soon. One that leaves after it was heard before is asked by all: there is no second
   * chance.
   */
  #drawLot({ id, leavingAt, onlyLeaves, streamProbe: question }: ReceiveStream, now: number): number {
    const { suppression, peer } = this.#config;
    const isLate = leavingAt !== undefined && !onlyLeaves;
    if (suppression === undefined || isLate || question.turnAt !== undefined) return question.turnAt ?? now;
    const isMine = peer?.(id)?.extended !== true && suppression.isChosen(question.lots++);
    if (!isMine) question.askedAt = now;
    else question.turnAt = now + suppression.delay();
    return question.turnAt ?? Infinity;
  }

  #sendStreamProbe(stream: ReceiveStream): boolean {
    if (!this.#mayAsk(stream)) return false;
    const since = stream.catchUp === undefined ? 0 : Math.ceil(stream.reach(this.#config.clock.now()));
    this.#send(stream, TYPE_CATCH_UP, { since }, stream.window.highest);
    return true;
  }

  #nakHoles(stream: ReceiveStream, now: number): number {
    const { window } = stream;
    const wait = Math.min(MAX_RETRY, this.#answerTime(stream));
    const isOpen = now - window.reachedAt < RETRANSMITS_COME;
    const isInVain = (hole: Hole) => !isOpen && isVain(hole, stream.heardAt);
    const isAfterOutage = now - stream.outageAt < AFTER_OUTAGE.for &&
      window.holes.some(({ from, to }) => to - from >= AFTER_OUTAGE.numbers);
    if (!isAfterOutage) stream.room = UNDER_WAY[0];
    const rest = { room: Math.floor(stream.room), vain: MAX_VAIN, asked: MAX_ASKED };
    let left = MAX_REQUESTED;
    let freeAt = Infinity;
    let vainFreeAt = Infinity;
    let vainCount = 0;
    for (const hole of window.holes) {
      const { attempts, lastAskedAt, from, to } = hole;
      if (attempts === 0) continue;
      const count = to - from + 1;
      const inVain = isInVain(hole);
      if (inVain) vainCount += count;
      if (!inVain) rest.asked -= count;
      else if (now - lastAskedAt < MAX_RETRY) {
        rest.vain -= count;
        vainFreeAt = Math.min(vainFreeAt, lastAskedAt + MAX_RETRY);
      }
      // Something of what never came has come: perhaps all of it can.
      if (isOpen && now - lastAskedAt >= MAX_RETRY) hole.due = Math.min(hole.due, now);
      if (now - lastAskedAt >= wait) continue;
      rest.room -= count;
      freeAt = Math.min(freeAt, lastAskedAt + wait);
    }
    let next = Infinity;
    const ranges: NumberRange[] = [];
    const ask = (oftenAsked: boolean): boolean => {
      // The list grows where a hole is split: what is split off comes next, and waits.
      for (const hole of window.holes) {
        if ((hole.attempts >= VAIN_ATTEMPTS) !== oftenAsked) continue;
        const inVain = oftenAsked && isInVain(hole);
        if (this.#turns > 0 && hole.attempts === 0) {
          next = Math.min(next, Math.max(now, hole.due));
          continue;
        }
        const most = mostOf(hole, inVain, rest, now);
        if (hole.due <= now && most > 0 && left > 0 && ranges.length < MAX_RANGES) {
          // Only who is proven is asked for holes.
          if (ranges.length === 0 && !this.#mayAsk(stream)) return false;
          if (hole.attempts > 0) stream.narrow(now, wait);
          window.split(hole, Math.min(most, left));
          const count = hole.to - hole.from + 1;
          rest.room -= count;
          left -= count;
          if (inVain) rest.vain -= count;
          else if (hole.attempts === 0) rest.asked -= count;
          const isSeldom = inVain && (vainCount > MAX_VAIN || hole.attempts >= MANY_ATTEMPTS);
          window.ask(hole, now, now + this.#retryAfter(stream, hole.attempts + 1, isSeldom));
          ranges.push({ from: hole.from, to: hole.to });
        }
        // What waits for room is looked at when something that was asked for has come, or must be lost.
        if (hole.due > now || most > 0) next = Math.min(next, hole.due);
        else if (inVain) next = Math.min(next, vainFreeAt);
      }
      return true;
    };
    // What was asked for often gives way to what was not.
    if (!ask(false) || !ask(true)) return this.#leavingBy(stream, now + LIMITED, now);
    ranges.sort((a, b) => a.from - b.from);
    const last = ranges.at(-1);
    if (last !== undefined) this.#send(stream, TYPE_NAK, { ranges }, last.to);
    if (rest.room <= 0) next = Math.min(next, freeAt, now + wait);
    return this.#leavingBy(stream, Math.max(next, now + SPACING), now);
  }

  /** Whether one more request is within the limits. Strangers that are refused use up nothing of what is for all. */
  #mayAsk(stream: ReceiveStream): boolean {
    if (this.#isValidated(stream)) return this.#all.allow();
    const now = this.#config.clock.now();
    if (now < this.#unvalidatedAt) return false;
    if (this.#unvalidated.allow() && this.#all.allow()) return true;
    this.#unvalidatedAt = now + LIMITED;
    return false;
  }

  #limitedUntil(stream: ReceiveStream, now: number): number {
    return this.#isValidated(stream) ? now + LIMITED : this.#unvalidatedAt;
  }

  #send(stream: ReceiveStream, type: number, what: Extension, upTo: number): void {
    const { nodeId, clock, randomBytes, send } = this.#config;
    const nonce = readU32(randomBytes(NONCE_LENGTH), 0);
    const to = this.#endpointOf(stream);
    stream.naks.unshift({ nonce, sentAt: clock.now(), upTo, settled: stream.window.settled, to });
    if (stream.naks.length > MAX_OUTSTANDING) stream.naks.pop();
    const token = stream.token === undefined ? {} : { token: stream.token };
    send(encodeControl(type, nodeId, { stream: stream.nodeId, nonce, ...token, ...what }), to);
    this.sent++;
  }

  #endpointOf(stream: ReceiveStream): Endpoint {
    return this.#config.endpointOf(stream.id) ?? stream.source;
  }

  #isValidated(stream: ReceiveStream): boolean {
    return stream.validatedAt !== undefined && isSameEndpoint(stream.validatedAt, this.#endpointOf(stream));
  }

  #isUnvalidated(stream: ReceiveStream): boolean {
    return !this.#isValidated(stream) && this.#config.peer?.(stream.id)?.isValidated !== true;
  }

  /** A node that leaves is looked at when it must have left, whether or not something is due. */
  #leavingBy(stream: ReceiveStream, next: number, now: number): number {
    return stream.leavingAt === undefined
      ? next
      : Math.min(next, Math.max(now + SPACING, stream.leavingAt + LEAVE_PATIENCE));
  }

  /** Longest time that an answer usually takes. */
  #answerTime({ roundTrip }: ReceiveStream): number {
    return Math.max(RETRY, 2 * roundTrip);
  }

  #retryAfter(stream: ReceiveStream, attempts: number, isSeldom = false): number {
    const isServed = !isSeldom && this.#config.clock.now() - stream.repairedAt < RETRANSMITS_COME;
    const most = isServed ? MAX_DOUBLINGS : Infinity;
    const first = this.#answerTime(stream);
    const longest = Math.max(isSeldom ? MAX_VAIN_RETRY : MAX_RETRY, first);
    const wait = Math.min(first * 2 ** Math.min(Math.max(0, attempts - 2), most), longest);
    return wait * (1 + this.#config.jitter.between(0, SPREAD));
  }
}

/** How many numbers may still be asked for. */
interface Allowance {
  /** In all. */
  room: number;
  /** Of those that were asked for in vain. */
  vain: number;
  /** Of those that were not asked for yet. */
  asked: number;
}

/** How many numbers of a hole may be asked for. */
function mostOf({ attempts, foundAt }: Hole, inVain: boolean, { room, vain, asked }: Allowance, now: number): number {
  if (inVain) return Math.min(room, vain);
  if (attempts > 0) return room;
  return Math.min(room, now - foundAt < NEW_FOR ? asked + MAX_NEW : asked);
}
