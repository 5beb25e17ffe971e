/**
 * Who stands for the peers that were lost: a mesh whose processes were started again elsewhere misses nobody.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";

/** Who leaves within so many milliseconds of its coming was a visitor, as a diagnosis is. */
const VISIT = 60_000;

/** What {@linkcode Replacements} are made of. */
export interface ReplacementsConfig {
  /** Most newcomers that stand for nobody and are remembered, and most of those that left soon. */
  readonly capacity: number;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
}

/** A node and where it is. */
export interface Located {
  readonly id: string;
  readonly endpoint: Endpoint;
}

/** A peer that goes. */
export interface Going extends Located {
  /** When it was last heard, by the clock. */
  readonly heardAt: number;
}

/** A peer that was not there before, and when it came. */
interface Newcomer extends Located {
  readonly at: number;
}

/** What a peer that was lost has left. */
interface Seat extends Going {
  readonly lostAt: number;
  /** The newcomer that stands for it, and whether that is where it was: then it is no more. */
  by: Newcomer | undefined;
  isTaken: boolean;
}

/** Each newcomer stands for one peer at most: what has crashed may be started again before anybody knows that it is lost. */
export class Replacements {
  readonly #config: ReplacementsConfig;
  readonly #seats = new Map<string, Seat>();
  /** Newcomers that stand for nobody. */
  readonly #spare = new Map<string, Newcomer>();
  /** Those that have left and did not stand for anybody any more; or of which somebody has said so. */
  readonly #visitors = new Map<string, Newcomer>();
  readonly #startedAt: number;

  constructor(config: ReplacementsConfig) {
    this.#config = config;
    this.#startedAt = config.clock.now();
  }

  /** Whether nobody stands for a peer that was lost. */
  isMissed(id: string): boolean {
    return this.#seats.get(id)?.by === undefined;
  }

  /** Whether another is where a lost peer was. */
  isTaken(id: string): boolean {
    return this.#seats.get(id)?.isTaken === true;
  }

  /** Whether the one that is where a lost peer was is no visitor. */
  isReplaced(id: string): boolean {
    const { by, isTaken } = this.#seats.get(id) ?? {};
    return isTaken === true && by !== undefined && this.#config.clock.now() - by.at >= VISIT;
  }

  /** A peer was lost. */
  lose(peer: Going): void {
    const { id, endpoint, heardAt } = peer;
    const lostAt = this.#config.clock.now();
    this.#seats.set(id, { id, endpoint, heardAt, lostAt, by: this.#takeSpare(peer), isTaken: false });
  }

  /** A peer has made room for a newcomer that stands for nobody else then. */
  replace(peer: Going): void {
    this.#takeSpare(peer);
  }

  /** A peer leaves. One that has come a short while ago did not stand for anybody. */
  leave(id: string): void {
    const visitor = this.#release(id, this.#config.clock.now() - VISIT);
    if (visitor === undefined) return;
    this.#visitors.set(id, visitor);
    shrink(this.#visitors, this.#config.capacity);
  }

  /** A peer is there again: who stood for it stands for another. One that had not left at all stands for somebody again. */
  back(id: string): void {
    const { by, isTaken } = this.#seats.get(id) ?? {};
    const visitor = this.#visitors.get(id);
    this.forget(id);
    if (by !== undefined && isTaken === false) this.#place(by);
    if (visitor !== undefined) this.#place(visitor);
  }

  /** A peer that is gone is remembered no longer. */
  forget(id: string): void {
    this.#seats.delete(id);
    this.#visitors.delete(id);
  }

  /**
   * A newcomer has answered. It stands for one that was lost: for the one that was at the same address, which is no more; else
   * for one of the same host, else for the one that has been gone for longest; or for one that will be lost, as it is silent.
   */
  came({ id, endpoint }: Located): void {
    if (!this.took({ id, endpoint })) this.#place({ id, endpoint, at: this.#config.clock.now() });
  }

  /** Another has answered where one was that was lost: that is no more. Whether it stands for it. */
  took({ id, endpoint }: Located): boolean {
    // One that comes back from a cut may have shared its port with the other, which was behind it as well.
    if (this.#seats.has(id)) return false;
    const taken = this.#longest((seat) => isSameEndpoint(seat.endpoint, endpoint) && !seat.isTaken);
    if (taken === undefined) return [...this.#seats.values()].some(({ by, isTaken }) => isTaken && by?.id === id);
    this.#visitors.delete(id);
    this.#release(id, -Infinity);
    const before = taken.by;
    taken.by = { id, endpoint, at: this.#config.clock.now() };
    taken.isTaken = true;
    if (before !== undefined && before.id !== id) this.#place(before);
    return true;
  }

  /** Keeps nothing. */
  clear(): void {
    this.#seats.clear();
    this.#spare.clear();
    this.#visitors.clear();
  }

  /** The newcomer with an id, unless it has stood for somebody since before a time: it stands for nobody now. */
  #release(id: string, since: number): Newcomer | undefined {
    let released = this.#spare.get(id);
    this.#spare.delete(id);
    for (const seat of this.#seats.values()) {
      if (seat.by?.id !== id || seat.by.at <= since) continue;
      released = seat.by;
      seat.isTaken = false;
      seat.by = this.#takeSpare(seat);
    }
    return released;
  }

  /** A newcomer stands for somebody, or is spare. Who is met first of all was there before this node. */
  #place(newcomer: Newcomer): void {
    const { id, endpoint: { host }, at } = newcomer;
    const isMeant = ({ by, heardAt }: Seat) => by === undefined && heardAt <= at;
    const seat = this.#longest((seat) => isMeant(seat) && seat.endpoint.host === host) ?? this.#longest(isMeant);
    if (seat !== undefined) seat.by = newcomer;
    else if (at - this.#startedAt >= this.#config.heartbeat) this.#spare.set(id, newcomer);
    shrink(this.#spare, this.#config.capacity);
  }

  /** The newcomer, if any, that has come since a peer was last heard, and stands for nobody: one of its host first. */
  #takeSpare({ id, endpoint: { host }, heardAt }: Going): Newcomer | undefined {
    let found: Newcomer | undefined;
    for (const spare of this.#spare.values()) {
      if (spare.id === id || spare.at < heardAt) continue;
      if (found === undefined || (found.endpoint.host !== host && spare.endpoint.host === host)) found = spare;
    }
    if (found !== undefined) this.#spare.delete(found.id);
    return found;
  }

  /** Of the seats of a kind, that of the peer that has been gone for longest. */
  #longest(isMeant: (seat: Seat) => boolean): Seat | undefined {
    let longest: Seat | undefined;
    for (const seat of this.#seats.values()) {
      if (isMeant(seat) && (longest === undefined || seat.lostAt < longest.lostAt)) longest = seat;
    }
    return longest;
  }
}

function shrink(map: Map<string, unknown>, size: number): void {
  const [oldest] = map.keys();
  if (map.size > size && oldest !== undefined) map.delete(oldest);
}
