/**
 * Retransmit queue: the numbers that peers have requested by NAKs, gathered and ready to be retransmitted.
 *
 * Kin to the aggregation of NAKs at a NORM sender (RFC 5740): one retransmission to the group serves all requesters.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, formatAddress } from "../platform/endpoint.ts";

/**
 * For how long a number is held back for other requesters, in milliseconds: one retransmission to the group then serves
 * all.
 */
const GATHER = 3;

/**
 * For how long a number is not retransmitted to the same requester again, in milliseconds: the first retransmission may
 * be on its way.
 */
const HOLD = 4;

/**
 * Most retransmissions that may wait, counted for each requester of a number. Twice as many numbers are
 * remembered.
 */
const MAX_WAITING = 8192;
/** Most retransmissions that may wait for one address, of all ids there: what an honest node has under way. */
const MAX_WAITING_EACH = 512;

/**
 * For how long a retransmission to the group is remembered, in milliseconds. A requester that repeats its NAK does not
 * hear the group.
 */
const GROUP_MEMORY = 1000;

/** One datagram to be retransmitted: to the requester `id` at `to`, or to the group when `to` is absent. */
export interface Retransmit {
  readonly number: number;
  readonly id?: string;
  readonly to?: Endpoint;
}

/** A number that was requested. */
interface Entry {
  /** The requesters that wait for it. */
  readonly waiting: Map<string, Endpoint>;
  /** The requesters to which it was retransmitted by unicast of late, and when. */
  readonly served: Map<string, number>;
  /** When it was last retransmitted by unicast. */
  servedAt: number;
  /** When it was last retransmitted to the group. */
  groupAt: number;
}

/** What a {@linkcode RetransmitQueue} is made of. */
export interface RetransmitQueueConfig {
  readonly clock: Clock;
  /** Whether there is a group to send to. */
  readonly multicast: () => boolean;
  /** Called when {@linkcode RetransmitQueue.take} has something to give. */
  readonly onReady: () => void;
}

/** Gathers NAKs for a moment, each number once, and gives the numbers in the order in which they were requested. */
export class RetransmitQueue {
  readonly #config: RetransmitQueueConfig;
  readonly #entries = new Map<number, Entry>();
  /** Numbers that a requester waits for: those still gathered, and those ready to be sent. */
  readonly #gathered: number[] = [];
  readonly #ready: number[] = [];
  #waiting = 0;
  /** Waiting retransmissions by address. */
  readonly #waitingEach = new Map<string, number>();
  #timer: Timer | undefined;

  constructor(config: RetransmitQueueConfig) {
    this.#config = config;
  }

  /**
   * A peer requests a number. `alone` says that no other peer can request it. False when there is nothing to do, as the
   * peer waits for it already or the last retransmission is on its way, or when too many wait.
   */
  add(number: number, id: string, endpoint: Endpoint, alone: boolean): boolean {
    if (
      this.#waiting >= MAX_WAITING ||
      (this.#waitingEach.get(formatAddress(endpoint.host, endpoint.port)) ?? 0) >= MAX_WAITING_EACH
    ) {
      return false;
    }
    const { clock } = this.#config;
    const now = clock.now();
    const entry = this.#entries.get(number) ?? this.#newEntry(now);
    const { waiting, served, groupAt } = entry;
    const isOnItsWay = now - Math.max(groupAt, served.get(id) ?? -Infinity) < HOLD;
    if (isOnItsWay || waiting.has(id)) return false;
    // The map is in the order in which the numbers were last requested.
    this.#entries.delete(number);
    this.#entries.set(number, entry);
    waiting.set(id, endpoint);
    this.#count(endpoint, 1);
    if (waiting.size === 1) this.#gathered.push(number);
    if (alone) this.#release();
    else this.#timer ??= clock.setTimer(() => this.#release(), GATHER);
    return true;
  }

  /** Whether a retransmission is ready. */
  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  /**
   * The next retransmission. When several requesters wait for its number by now, it goes to the group; a requester that
   * does not hear the group repeats its NAK.
   */
  take(): Retransmit | undefined {
    const number = this.#ready[0];
    const entry = number === undefined ? undefined : this.#entries.get(number);
    if (number === undefined || entry === undefined) return undefined;
    const { waiting } = entry;
    const now = this.#config.clock.now();
    if (this.#config.multicast() && waiting.size > 1 && now - entry.groupAt >= GROUP_MEMORY) {
      entry.groupAt = now;
      for (const endpoint of waiting.values()) this.#count(endpoint, -1);
      waiting.clear();
      this.#ready.shift();
      return { number };
    }
    const [first] = waiting;
    if (first === undefined) return undefined;
    const [id, to] = first;
    if (now - entry.servedAt >= HOLD) entry.served.clear();
    entry.served.set(id, now);
    entry.servedAt = now;
    waiting.delete(id);
    this.#count(to, -1);
    if (waiting.size === 0) this.#ready.shift();
    return { number, id, to };
  }

  /** Drops what was requested until now. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#entries.clear();
    this.#waitingEach.clear();
    this.#waiting = this.#gathered.length = this.#ready.length = 0;
  }

  #count(endpoint: Endpoint, change: 1 | -1): void {
    this.#waiting += change;
    const name = formatAddress(endpoint.host, endpoint.port);
    const count = (this.#waitingEach.get(name) ?? 0) + change;
    if (count === 0) this.#waitingEach.delete(name);
    else this.#waitingEach.set(name, count);
  }

  #release(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#ready.push(...this.#gathered.splice(0));
    if (this.#ready.length > 0) this.#config.onReady();
  }

  /** Makes an entry, and drops the oldest ones without a waiting requester when they are old or too many. */
  #newEntry(now: number): Entry {
    for (const [oldest, { waiting, servedAt, groupAt }] of this.#entries) {
      const isOld = now - Math.max(servedAt, groupAt) >= GROUP_MEMORY;
      if (waiting.size > 0 || (!isOld && this.#entries.size < 2 * MAX_WAITING)) break;
      this.#entries.delete(oldest);
    }
    return { waiting: new Map(), served: new Map(), servedAt: -Infinity, groupAt: -Infinity };
  }
}
