/**
 * What others have asked a node to send again.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock, Timer } from "./clock.ts";

/** How long a number is held back for other askers, in milliseconds: one datagram to the group then serves all. */
const GATHER = 3;

/** Within this time the same repair is not sent again to the same asker, in milliseconds: the first may be under way. */
const HOLD = 4;

/** Repairs that are remembered, and most that may wait. */
const MAX_REMEMBERED = 4096;

/** How long a repair to the group is remembered, in milliseconds. Who asks again does not hear the group. */
const GROUP_MEMORY = 1000;

/** One datagram to be sent again, and where: to the group when `to` is absent. */
export interface Repair {
  readonly number: number;
  readonly to?: Endpoint;
}

interface Waiting extends Repair {
  readonly sent: Sent;
}

interface Sent {
  readonly askedAt: number;
  /** When it was sent; `Infinity` as long as it waits. */
  at: number;
  /** Askers that were sent it, by id. */
  readonly askers: Set<string>;
  readonly byGroup: boolean;
}

/** What {@linkcode Repairs} is made of. */
export interface RepairsConfig {
  readonly clock: Clock;
  /** Whether there is a group to send to. */
  readonly multicast: boolean;
  /** Called when {@linkcode Repairs.take} has something to give. */
  readonly onReady: () => void;
}

/** Requests are gathered for a moment, each number once, and answered in the order in which they came. */
export class Repairs {
  readonly #config: RepairsConfig;
  readonly #asked = new Map<number, Map<string, Endpoint>>();
  readonly #sent = new Map<number, Sent>();
  readonly #ready: Waiting[] = [];
  #timer: Timer | undefined;

  constructor(config: RepairsConfig) {
    this.#config = config;
  }

  /**
   * A peer asks for a number. With `alone`, nobody else can ask for it. False when it is not needed, as the last answer
   * is still on its way, or when too many wait already.
   */
  ask(number: number, id: string, endpoint: Endpoint, alone: boolean): boolean {
    const sent = this.#sent.get(number);
    const { clock } = this.#config;
    const isOnItsWay = sent !== undefined && clock.now() - sent.at < HOLD && (sent.byGroup || sent.askers.has(id));
    const askers = this.#asked.get(number);
    const isFull = this.#asked.size + this.#ready.length >= MAX_REMEMBERED;
    if (isOnItsWay || (askers === undefined && isFull)) return false;
    if (askers === undefined) this.#asked.set(number, new Map([[id, endpoint]]));
    else askers.set(id, endpoint);
    if (alone) this.#release();
    else this.#timer ??= clock.setTimer(() => this.#release(), GATHER);
    return true;
  }

  /** The next to be sent. */
  take(): Repair | undefined {
    const next = this.#ready.shift();
    if (next !== undefined) next.sent.at = this.#config.clock.now();
    return next;
  }

  /** Sends no more. */
  close(): void {
    this.#timer?.cancel();
    this.#asked.clear();
    this.#ready.length = 0;
  }

  #release(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const now = this.#config.clock.now();
    for (const [number, askers] of this.#asked) {
      const before = this.#sent.get(number);
      const isDeaf = before?.byGroup && now - before.at < GROUP_MEMORY;
      const byGroup = this.#config.multicast && askers.size > 1 && !isDeaf;
      const sent = { askedAt: now, at: Infinity, askers: new Set(askers.keys()), byGroup };
      if (byGroup) this.#ready.push({ number, sent });
      else for (const to of askers.values()) this.#ready.push({ number, to, sent });
      this.#remember(number, sent);
    }
    this.#asked.clear();
    if (this.#ready.length > 0) this.#config.onReady();
  }

  #remember(number: number, sent: Sent): void {
    this.#sent.delete(number);
    this.#sent.set(number, sent);
    for (const [oldest, { askedAt }] of this.#sent) {
      if (this.#sent.size <= MAX_REMEMBERED && sent.askedAt - askedAt < GROUP_MEMORY) break;
      this.#sent.delete(oldest);
    }
  }
}
