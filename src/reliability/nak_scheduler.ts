/**
 * NAK scheduler: decides when missing batches are requested, how many at a time, and from which endpoint.
 *
 * Kin to NORM (RFC 5740) and PGM (RFC 3208): NAKs after a random back-off, repeated with growing pauses until the batch
 * arrives or is a gap.
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
 * First and second wait for an answer, in milliseconds; two round trips if that is more. With 5 % loss, one hole in a
 * hundred is requested three times: these waits have that done within 30 ms.
 */
const RETRY = 6;
/** Longest wait for an answer, in milliseconds; two round trips if that is more. */
const MAX_RETRY = 250;
/**
 * How often the wait is doubled at most while retransmissions arrive, which makes 48 ms, and for how many milliseconds
 * after one that holds.
 */
const MAX_DOUBLINGS = 3;
const RETRANSMITS_COME = 250;
/** Largest part of a wait that is added at random. */
const SPREAD = 0.25;
/** Shortest time between two requests to a node, in milliseconds: the holes of a burst share one. */
const SPACING = 2;
/** Most numbers in one NAK: the other node retransmits no more for one. */
const MAX_REQUESTED = 128;
/**
 * More numbers than the least may be under way only for so many milliseconds after this node has stalled, or the other
 * was silent, and as long as so many numbers in a row are missing. The losses of a path that is too narrow look
 * otherwise, and more retransmissions would flood it.
 */
const AFTER_OUTAGE = { numbers: 256, for: 10_000 };
/**
 * Most numbers that were requested and have not arrived. Those requested in vain do not count: they must not keep
 * others from being requested.
 */
const MAX_AWAITED = 512;
/**
 * So many more numbers that were found missing within so many milliseconds may be requested: they do not wait for what
 * never arrives.
 */
const MAX_NEW = 128;
const NEW_FOR = 250;
/**
 * Most numbers requested in vain that are under way, each for {@linkcode MAX_RETRY}. As soon as one of them arrives,
 * they count as all others.
 */
const MAX_VAIN = 32;
/**
 * Longest wait between two NAKs for a number requested in vain, in milliseconds, when there are more of them, or after
 * so many NAKs: with half lost in each direction one in 100,000 gets there by chance.
 */
const MAX_VAIN_RETRY = 4000;
const MANY_ATTEMPTS = 40;
/** Requests a second, to all nodes together. */
const NAKS_PER_SECOND = 2000;
/**
 * Requests a second to nodes whose path to their present endpoint is not validated, all together. Anybody can name any
 * address: such a node gets catch-up requests only, {@linkcode MAX_UNANSWERED} in a row, and later single ones when it
 * is heard.
 */
const UNVALIDATED_PER_SECOND = 128;
/** When a request beyond a limit is tried again, in milliseconds. */
const LIMITED = 50;
/**
 * A timer that fires so late, in milliseconds, runs before the datagrams are read that have come meanwhile: what is
 * missing by multicast may have come by unicast, or the other way round, in the other socket. So holes that were not
 * requested yet wait for so many turns of the event loop, of about a millisecond each; see `TURNS` in
 * `failure_detector.ts`. A loop that lags in each of them gets through a receive buffer by then.
 */
const LATE = 4;
const TURNS = 8;
/** Longest time that a NAK waits for these turns, in milliseconds: an event loop may lag all the time. */
const MAX_HELD_UP = 250;
/** Requests whose answers are recognised: one may be sent every 2 ms, and its answer may take 128 ms. */
const MAX_OUTSTANDING = 64;

/** What {@linkcode NakScheduler} is made of. What it calls MUST NOT throw. */
export interface NakSchedulerConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly jitter: Jitter;
  readonly randomBytes: RandomBytes;
  readonly peers: () => {
    /** A peer; `undefined` when no heartbeat of it was heard. */
    get(id: string): Pick<KnownPeer, "endpoint" | "extended" | "isValidated"> | undefined;
  };
  /** Limits how many nodes of a large mesh send a request to an unknown node. Absent: this one always does. */
  readonly suppression?: ResponseSuppression;
  readonly transmit: { sendControlPacket(packet: Uint8Array, to: Endpoint): void };
  /** Something is missing of a node that leaves. By now the node may have left. */
  readonly onLeaving: (stream: ReceiveStream) => void;
}

/** Sends the NAKs and catch-up requests of all streams, by one timer. It runs only while something is missing. */
export class NakScheduler {
  /** Requests sent. */
  sent = 0;
  readonly #config: NakSchedulerConfig;
  readonly #all: TokenBucket;
  readonly #unvalidated: TokenBucket;
  /** The streams that have something to request, and when each does next. */
  readonly #wanting = new Map<ReceiveStream, number>();
  /**
   * When unvalidated nodes may be sent requests again, all at the same moment: one that came in between would overtake
   * those that wait.
   */
  #unvalidatedAt = -Infinity;
  #timer: Timer | undefined;
  #timerAt = Infinity;
  /** How many turns the event loop still has to make before new holes are requested, and since when they wait. */
  #turns = 0;
  #heldUpAt = -Infinity;
  #closed = false;

  constructor(config: NakSchedulerConfig) {
    this.#config = config;
    this.#all = new TokenBucket(config.clock, NAKS_PER_SECOND / 10, NAKS_PER_SECOND);
    this.#unvalidated = new TokenBucket(config.clock, UNVALIDATED_PER_SECOND, UNVALIDATED_PER_SECOND);
  }

  /** A stream has holes to request, or fewer than before. The next tick finds out when exactly. */
  schedule(stream: ReceiveStream): void {
    if (this.#closed) return;
    const at = this.#config.clock.now() + SPACING;
    if ((this.#wanting.get(stream) ?? Infinity) > at) this.#wanting.set(stream, at);
    this.#setTimer(at);
  }

  /** Requests the position of a stream: only the answer to a request is authoritative. */
  probe(stream: ReceiveStream): void {
    const { suppression } = this.#config;
    const isChosen = !this.#isUnvalidated(stream) || suppression === undefined || suppression.isChosen(0);
    if (!this.#closed && isChosen) this.#sendStreamProbe(stream);
  }

  /** Requests nothing more. */
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
        // A stream that was just served goes behind those that wait for the same limits; the loop visits it once more.
        if (this.sent > sent) this.#wanting.delete(stream);
        this.#wanting.set(stream, nextAt);
      }
      next = Math.min(next, nextAt);
    }
    this.#setTimer(next);
  }

  /** The timer has fired. When it is late, the datagrams that came meanwhile are read first. */
  #takeTurn(now: number): void {
    const isLate = now - this.#timerAt >= LATE;
    if (this.#turns > 0) {
      this.#turns = now - this.#heldUpAt < MAX_HELD_UP ? this.#turns - 1 : 0;
    } else if (isLate) {
      this.#turns = TURNS;
      this.#heldUpAt = now;
    }
  }

  /** Requests what is due, and returns when the next request of the stream is due. */
  #sendNaks(stream: ReceiveStream, now: number): number {
    const spaced = (stream.naks[0]?.sentAt ?? -Infinity) + SPACING;
    if (now < spaced) return spaced;
    const isValidated = this.#isValidated(stream);
    if (isValidated && stream.catchUp === undefined) return this.#nakHoles(stream, now);
    const { streamProbe } = stream;
    const isSuppressible = this.#isUnvalidated(stream) && this.#config.suppression?.isSmall === false;
    if (streamProbe.due <= now && isSuppressible) streamProbe.due = this.#drawTurn(stream, now);
    if (streamProbe.due <= now) {
      if (!this.#sendStreamProbe(stream)) return this.#leavingBy(stream, this.#limitedUntil(stream, now), now);
      streamProbe.attempts++;
      streamProbe.sentAt = now;
      streamProbe.turnAt = undefined;
      const isInVain = isSuppressible || (!isValidated && streamProbe.attempts >= MAX_UNANSWERED);
      streamProbe.due = isInVain ? Infinity : now + this.#retryAfter(stream, streamProbe.attempts);
    }
    return this.#leavingBy(stream, streamProbe.due, now);
  }

  /**
   * When this node sends a catch-up request to an unvalidated node, which all nodes of a large mesh may have heard;
   * Infinity when others do. A node that speaks the extension needs none: path validation finds out the same. All nodes
   * send one to a node that was heard before and leaves now, as there is no second chance.
   */
  #drawTurn({ id, leavingAt, onlyLeaves, streamProbe }: ReceiveStream, now: number): number {
    const { suppression, peers } = this.#config;
    const isLate = leavingAt !== undefined && !onlyLeaves;
    if (suppression === undefined || isLate || streamProbe.turnAt !== undefined) return streamProbe.turnAt ?? now;
    const isChosen = peers().get(id)?.extended !== true && suppression.isChosen(streamProbe.turns++);
    if (!isChosen) streamProbe.sentAt = now;
    else streamProbe.turnAt = now + suppression.delay();
    return streamProbe.turnAt ?? Infinity;
  }

  #sendStreamProbe(stream: ReceiveStream): boolean {
    if (!this.#maySend(stream)) return false;
    const since = stream.catchUp === undefined ? 0 : Math.ceil(stream.reach(this.#config.clock.now()));
    this.#send(stream, TYPE_CATCH_UP, { since }, stream.window.highest);
    return true;
  }

  #nakHoles(stream: ReceiveStream, now: number): number {
    const { window } = stream;
    const wait = Math.min(MAX_RETRY, this.#responseTime(stream));
    const isOpen = now - window.reachedAt < RETRANSMITS_COME;
    const isInVain = (hole: Hole) => !isOpen && isVain(hole, stream.heardAt);
    const isAfterOutage = now - stream.outageAt < AFTER_OUTAGE.for &&
      window.holes.some(({ from, to }) => to - from >= AFTER_OUTAGE.numbers);
    if (!isAfterOutage) stream.room = UNDER_WAY[0];
    const rest = { room: Math.floor(stream.room), vain: MAX_VAIN, fresh: MAX_AWAITED };
    let left = MAX_REQUESTED;
    let freeAt = Infinity;
    let vainFreeAt = Infinity;
    let vainCount = 0;
    for (const hole of window.holes) {
      const { attempts, lastNakSentAt, from, to } = hole;
      if (attempts === 0) continue;
      const count = to - from + 1;
      const inVain = isInVain(hole);
      if (inVain) vainCount += count;
      if (!inVain) rest.fresh -= count;
      else if (now - lastNakSentAt < MAX_RETRY) {
        rest.vain -= count;
        vainFreeAt = Math.min(vainFreeAt, lastNakSentAt + MAX_RETRY);
      }
      // A number that was requested in vain has arrived, so perhaps all of them can.
      if (isOpen && now - lastNakSentAt >= MAX_RETRY) hole.due = Math.min(hole.due, now);
      if (now - lastNakSentAt >= wait) continue;
      rest.room -= count;
      freeAt = Math.min(freeAt, lastNakSentAt + wait);
    }
    let next = Infinity;
    const ranges: NumberRange[] = [];
    const request = (isOften: boolean): boolean => {
      // The list grows where a hole is split: the second part comes next, and waits.
      for (const hole of window.holes) {
        if ((hole.attempts >= VAIN_ATTEMPTS) !== isOften) continue;
        const inVain = isOften && isInVain(hole);
        if (this.#turns > 0 && hole.attempts === 0) {
          next = Math.min(next, Math.max(now, hole.due));
          continue;
        }
        const most = mostOf(hole, inVain, rest, now);
        if (hole.due <= now && most > 0 && left > 0 && ranges.length < MAX_RANGES) {
          // Holes are requested on validated paths only.
          if (ranges.length === 0 && !this.#maySend(stream)) return false;
          if (hole.attempts > 0) stream.narrow(now, wait);
          window.split(hole, Math.min(most, left));
          const count = hole.to - hole.from + 1;
          rest.room -= count;
          left -= count;
          if (inVain) rest.vain -= count;
          else if (hole.attempts === 0) rest.fresh -= count;
          const isSeldom = inVain && (vainCount > MAX_VAIN || hole.attempts >= MANY_ATTEMPTS);
          window.nakSent(hole, now, now + this.#retryAfter(stream, hole.attempts + 1, isSeldom));
          ranges.push({ from: hole.from, to: hole.to });
        }
        // What waits for room is due when a requested number has arrived, or counts as lost.
        if (hole.due > now || most > 0) next = Math.min(next, hole.due);
        else if (inVain) next = Math.min(next, vainFreeAt);
      }
      return true;
    };
    // Holes that were requested often give way to the others.
    if (!request(false) || !request(true)) return this.#leavingBy(stream, now + LIMITED, now);
    ranges.sort((a, b) => a.from - b.from);
    const last = ranges.at(-1);
    if (last !== undefined) this.#send(stream, TYPE_NAK, { ranges }, last.to);
    if (rest.room <= 0) next = Math.min(next, freeAt, now + wait);
    return this.#leavingBy(stream, Math.max(next, now + SPACING), now);
  }

  /**
   * Whether one more request is within the limits. Requests to unvalidated nodes that are refused use up nothing of the
   * limit for all.
   */
  #maySend(stream: ReceiveStream): boolean {
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
    const { nodeId, clock, randomBytes, transmit } = this.#config;
    const nonce = readU32(randomBytes(NONCE_LENGTH), 0);
    const to = this.#endpointOf(stream);
    stream.naks.unshift({ nonce, sentAt: clock.now(), upTo, settled: stream.window.settled, to });
    if (stream.naks.length > MAX_OUTSTANDING) stream.naks.pop();
    const token = stream.token === undefined ? {} : { token: stream.token };
    transmit.sendControlPacket(encodeControl(type, nodeId, { stream: stream.nodeId, nonce, ...token, ...what }), to);
    this.sent++;
  }

  #endpointOf(stream: ReceiveStream): Endpoint {
    return this.#config.peers().get(stream.id)?.endpoint ?? stream.source;
  }

  #isValidated(stream: ReceiveStream): boolean {
    return stream.validatedAt !== undefined && isSameEndpoint(stream.validatedAt, this.#endpointOf(stream));
  }

  #isUnvalidated(stream: ReceiveStream): boolean {
    return !this.#isValidated(stream) && this.#config.peers().get(stream.id)?.isValidated !== true;
  }

  /** A stream whose node leaves is looked at when the node must have left, whether or not something is due. */
  #leavingBy(stream: ReceiveStream, next: number, now: number): number {
    return stream.leavingAt === undefined
      ? next
      : Math.min(next, Math.max(now + SPACING, stream.leavingAt + LEAVE_PATIENCE));
  }

  /** Longest time that an answer usually takes. */
  #responseTime({ roundTrip }: ReceiveStream): number {
    return Math.max(RETRY, 2 * roundTrip);
  }

  #retryAfter(stream: ReceiveStream, attempts: number, isSeldom = false): number {
    const isServed = !isSeldom && this.#config.clock.now() - stream.retransmitAt < RETRANSMITS_COME;
    const most = isServed ? MAX_DOUBLINGS : Infinity;
    const first = this.#responseTime(stream);
    const longest = Math.max(isSeldom ? MAX_VAIN_RETRY : MAX_RETRY, first);
    const wait = Math.min(first * 2 ** Math.min(Math.max(0, attempts - 2), most), longest);
    return wait * (1 + this.#config.jitter.between(0, SPREAD));
  }
}

/** How many numbers may still be requested. */
interface Allowance {
  /** In all. */
  room: number;
  /** Of those that were requested in vain. */
  vain: number;
  /** Of those that were not requested yet. */
  fresh: number;
}

/** How many numbers of a hole may be requested. */
function mostOf({ attempts, foundAt }: Hole, inVain: boolean, { room, vain, fresh }: Allowance, now: number): number {
  if (inVain) return Math.min(room, vain);
  if (attempts > 0) return room;
  return Math.min(room, now - foundAt < NEW_FOR ? fresh + MAX_NEW : fresh);
}
