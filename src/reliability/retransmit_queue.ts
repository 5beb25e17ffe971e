/**
 * What others have asked a node to send again.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, formatAddress } from "../platform/endpoint.ts";

/** How long a number is held back for other askers, in milliseconds: one datagram to the group then serves all. */
const GATHER = 3;

/** Within this time the same repair is not sent again to the same asker, in milliseconds: the first may be under way. */
const HOLD = 4;

/** Most repairs that may wait, each asker of a number counted, and most numbers that are remembered. */
const MAX_WAITING = 8192;
/** Most that may wait for one address, whatever ids ask there: what an honest node has under way. */
const MAX_WAITING_EACH = 512;

/** How long a repair to the group is remembered, in milliseconds. Who asks again does not hear the group. */
const GROUP_MEMORY = 1000;

/** One datagram to be sent again, and to whom and where: to the group when `to` is absent. */
export interface Retransmit {
  readonly number: number;
  readonly id?: string;
  readonly to?: Endpoint;
}

/** A number that was asked for. */
interface Entry {
  /** Who waits for it. */
  readonly waiting: Map<string, Endpoint>;
  /** Who was sent it of late, each by itself, and when. */
  readonly served: Map<string, number>;
  /** When the last of them was. */
  servedAt: number;
  /** When it was sent to the group last. */
  groupAt: number;
}

/** What {@linkcode RetransmitQueue} is made of. */
export interface RetransmitQueueConfig {
  readonly clock: Clock;
  /** Whether there is a group to send to. */
  readonly multicast: () => boolean;
  /** Called when {@linkcode RetransmitQueue.take} has something to give. */
  readonly onReady: () => void;
}

/** Requests are gathered for a moment, each number once, and answered in the order in which they came. */
export class RetransmitQueue {
  readonly #config: RetransmitQueueConfig;
  readonly #entries = new Map<number, Entry>();
  /** Numbers that somebody waits for: still gathered, and to be sent. */
  readonly #gathered: number[] = [];
  readonly #ready: number[] = [];
  #waiting = 0;
  /** By address. */
  readonly #waitingEach = new Map<string, number>();
  #timer: Timer | undefined;

  constructor(config: RetransmitQueueConfig) {
    this.#config = config;
  }

  /**
   * A peer asks for a number. With `alone`, nobody else can ask for it. False when it is not needed, as it waits for it
   * already or the last answer is still on its way, or when too many wait.
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
    // In the order in which they were asked for last.
    this.#entries.delete(number);
    this.#entries.set(number, entry);
    waiting.set(id, endpoint);
    this.#count(endpoint, 1);
    if (waiting.size === 1) this.#gathered.push(number);
    if (alone) this.#release();
    else this.#timer ??= clock.setTimer(() => this.#release(), GATHER);
    return true;
  }

  /** Whether one is to be sent. */
  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** The next to be sent. When several wait for it by now, it goes to the group; who does not hear that, asks again. */
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

  /** Sends nothing of what was asked for until now. */
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

  /** Those that nobody waits for give way, once they are old or too many. */
  #newEntry(now: number): Entry {
    for (const [oldest, { waiting, servedAt, groupAt }] of this.#entries) {
      const isOld = now - Math.max(servedAt, groupAt) >= GROUP_MEMORY;
      if (waiting.size > 0 || (!isOld && this.#entries.size < 2 * MAX_WAITING)) break;
      this.#entries.delete(oldest);
    }
    return { waiting: new Map(), served: new Map(), servedAt: -Infinity, groupAt: -Infinity };
  }
}
