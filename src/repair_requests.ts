/**
 * Asks other nodes for what is missing.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock, Timer } from "./clock.ts";
import type { RandomBytes } from "./host.ts";
import type { Jitter } from "./jitter.ts";
import type { PeerStream } from "./peer_stream.ts";
import { RateLimit } from "./rate_limit.ts";
import type { Hole } from "./window.ts";
import { encodeControl, type Extension, type NumberRange } from "./wire/extension.ts";
import { readU32 } from "./wire/integers.ts";
import { MAX_RANGES, NONCE_LENGTH, TYPE_CATCH_UP, TYPE_NAK } from "./wire/layout.ts";

/**
 * First and second wait for an answer, in milliseconds; two round trips if that is more. With 5 % loss one hole in a hundred
 * is asked for three times: these waits have that done within 30 ms.
 */
const RETRY = 6;
/** Longest wait for an answer, in milliseconds. */
const MAX_RETRY = 1000;
/** Most of a wait that is added at random. */
const SPREAD = 0.25;
/** Shortest time between two packets of requests, in milliseconds: holes of a burst share one. */
const SPACING = 2;
/** Most numbers of one stream that are under way: 180 kB, less than the smallest receive buffer of a system. */
const MAX_UNDER_WAY = 128;
/** Requests a second to nodes whose heartbeat was not heard: a forged source must not be flooded. */
const STRANGERS_PER_SECOND = 32;
/** Every so many unanswered requests, the own heartbeat goes before: the other answers only nodes that it knows. */
const HELLO_EVERY = 4;

/** Requests whose answer is known when it comes late. */
const MAX_REQUESTS = 8;

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
  /** Sends the own heartbeat. */
  readonly hello: (to: Endpoint) => void;
  /** Called now and then as long as something is missing. */
  readonly onTick: () => void;
}

/** One timer for all streams; it runs only while something is missing. */
export class RepairRequests {
  /** Packets sent. */
  sent = 0;
  readonly #config: RepairRequestsConfig;
  readonly #strangers: RateLimit;
  readonly #wanting = new Set<PeerStream>();
  #timer: Timer | undefined;
  #timerAt = Infinity;
  #closed = false;

  constructor(config: RepairRequestsConfig) {
    this.#config = config;
    this.#strangers = new RateLimit(config.clock, STRANGERS_PER_SECOND, STRANGERS_PER_SECOND);
  }

  /** A stream has something to be asked for, or less than before. When exactly is found out at the next tick. */
  want(stream: PeerStream): void {
    if (this.#closed) return;
    this.#wanting.add(stream);
    this.#setTimer(this.#config.clock.now() + SPACING);
  }

  /** Asks how far a stream is. The answer to a request is the truth. */
  verify(stream: PeerStream): void {
    if (!this.#closed) this.#send(stream, TYPE_CATCH_UP, { since: 0 }, stream.window.highest, 0);
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
    this.#timerAt = Infinity;
    this.#config.onTick();
    for (const stream of this.#wanting) {
      if (!stream.isWanting) {
        this.#wanting.delete(stream);
        continue;
      }
      if (stream.catchUp !== undefined) this.#catchUp(stream);
      else this.#ask(stream);
      this.#setTimer(this.#nextAsk(stream));
    }
  }

  #catchUp(stream: PeerStream): void {
    const now = this.#config.clock.now();
    const { catchUp } = stream;
    if (catchUp === undefined || catchUp.due > now) return;
    catchUp.attempts++;
    catchUp.askedAt = now;
    catchUp.due = now + this.#retryAfter(stream, catchUp.attempts);
    this.#send(stream, TYPE_CATCH_UP, { since: Math.ceil(stream.reach(now)) }, 0, catchUp.attempts);
  }

  #ask(stream: PeerStream): void {
    const now = this.#config.clock.now();
    if (now < this.#spacedOut(stream)) return;
    let left = MAX_UNDER_WAY - underWay(stream, now);
    let attempts = 0;
    const ranges: NumberRange[] = [];
    // The list grows where a hole is split; what is split off waits.
    for (const hole of [...stream.window.holes]) {
      if (left <= 0 || ranges.length >= MAX_RANGES) break;
      if (hole.due > now) continue;
      stream.window.split(hole, left);
      left -= hole.to - hole.from + 1;
      hole.attempts++;
      if (hole.attempts === 1) hole.askedAt = now;
      hole.due = now + this.#retryAfter(stream, hole.attempts);
      attempts = Math.max(attempts, hole.attempts);
      ranges.push({ from: hole.from, to: hole.to });
    }
    const last = ranges.at(-1);
    if (last !== undefined) this.#send(stream, TYPE_NAK, { ranges }, last.to, attempts);
  }

  #send(stream: PeerStream, type: number, what: Extension, upTo: number, attempts: number): void {
    const { nodeId, clock, randomBytes, endpointOf, send, hello } = this.#config;
    const known = endpointOf(stream.id);
    if (known === undefined && !this.#strangers.allow()) return;
    const endpoint = known ?? stream.source;
    const nonce = readU32(randomBytes(NONCE_LENGTH), 0);
    stream.requests.unshift({ nonce, sentAt: clock.now(), upTo });
    if (stream.requests.length > MAX_REQUESTS) stream.requests.pop();
    const isUnknownThere = stream.token === undefined && attempts === 1;
    if (isUnknownThere || (attempts > 0 && attempts % HELLO_EVERY === 0)) hello(endpoint);
    const token = stream.token === undefined ? {} : { token: stream.token };
    send(encodeControl(type, nodeId, { stream: stream.nodeId, nonce, ...token, ...what }), endpoint);
    this.sent++;
  }

  #nextAsk(stream: PeerStream): number {
    if (stream.catchUp !== undefined) return stream.catchUp.due;
    const isFull = underWay(stream, this.#config.clock.now()) >= MAX_UNDER_WAY;
    let next = Infinity;
    for (const { due, attempts } of stream.window.holes) {
      if (due < next && (attempts > 0 || !isFull)) next = due;
    }
    return Math.max(next, this.#spacedOut(stream));
  }

  #spacedOut({ requests: [last] }: PeerStream): number {
    return last === undefined ? 0 : last.sentAt + SPACING;
  }

  #retryAfter({ roundTrip }: PeerStream, attempts: number): number {
    const wait = Math.min(MAX_RETRY, Math.max(RETRY, 2 * roundTrip) * 2 ** Math.min(Math.max(0, attempts - 2), 10));
    return wait * (1 + this.#config.jitter.between(0, SPREAD));
  }
}

/** How many numbers were asked for and may still come. */
function underWay({ window }: PeerStream, now: number): number {
  return window.holes.reduce(
    (sum, { attempts, due, from, to }: Hole) => attempts > 0 && due > now ? sum + to - from + 1 : sum,
    0,
  );
}
