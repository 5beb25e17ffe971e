/**
 * What a node knows of the batches of another.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import { type Forgotten, Window } from "./window.ts";
import type { Base, Position } from "./wire/extension.ts";

/** A request that was sent, to tell its answer by. */
export interface Request {
  readonly nonce: number;
  readonly sentAt: number;
  /** The highest number that was asked for, 0 for none. */
  readonly upTo: number;
}

/** What is asked for when it is not known from where on. */
export interface CatchUp {
  due: number;
  attempts: number;
  /** When it was asked for last. */
  askedAt: number;
  /** Added to the age that is asked for: what the way there and back may take, in milliseconds. */
  margin: number;
}

/** Added to ages, in milliseconds: they travel as whole ones. */
const AGE_GRAIN = 1;
/** Part by which the clocks of two hosts may differ in speed: ten times what a bad one does. */
const DRIFT = 0.001;
/** Waits up to this long are left alone when a node is heard again, in milliseconds: answers may be on their way. */
const IMPATIENT = 30;
/** First margin of a catch-up request, in milliseconds. */
const FIRST_MARGIN = 50;

/**
 * One stream: which of its numbers have arrived, and from where on they matter. It acts on nothing by itself; time comes
 * in from outside.
 */
export class PeerStream {
  /** The other node, as text. */
  readonly id: string;
  /** The other node, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly window: Window = new Window();
  /** Where it was heard. */
  source: Endpoint;
  heardAt: number;
  /** When all that was known to exist had last arrived. What was published after it may be outstanding. */
  settledAt: number;
  /** When it was last asked how far it is, as what it said was less than what was known. */
  verifiedAt: number = -Infinity;
  /** Whether nothing was missing when it was heard last. */
  isCurrent = false;
  /** When that was last otherwise. */
  changedAt: number;
  /** Token that it has sent to this node's address. */
  token: Uint8Array | undefined;
  /** Time from a request to its answer, in milliseconds; 0 when none was measured. */
  roundTrip = 0;
  /** Present while it is not known where the stream begins for this node. */
  catchUp: CatchUp | undefined;
  /** The last that were sent, the newest first. */
  readonly requests: Request[] = [];
  /** When it has announced that it leaves. */
  leavingAt: number | undefined;
  /** When it had left, with nothing missing or nothing to be had. */
  leftAt: number | undefined;
  /** When it was given up. */
  lostAt: number | undefined;
  /** From when on nothing must be missed, until the beginning of the stream is known. */
  readonly #since: number;

  constructor(nodeId: Uint8Array, id: string, source: Endpoint, since: number, now: number) {
    this.nodeId = nodeId.slice();
    this.id = id;
    this.source = source;
    this.heardAt = now;
    this.settledAt = since;
    this.changedAt = now;
    this.#since = since;
    this.catchUp = { due: now, attempts: 0, askedAt: now, margin: FIRST_MARGIN };
  }

  /** Whether everything that is known to exist has arrived or was given up. */
  get isSettled(): boolean {
    return this.catchUp === undefined && this.window.missing === 0;
  }

  /** Whether requests have to be sent. */
  get isWanting(): boolean {
    return this.lostAt === undefined && !this.isSettled;
  }

  /** How far back a catch-up request has to reach, in milliseconds. */
  reach(now: number): number {
    return this.#covered(now) + (this.catchUp?.margin ?? 0);
  }

  /**
   * A position tells where the stream begins for this node, if it can: when nothing was published since this node has
   * been open; and so does the answer to a catch-up request, with its base. Returns what can not be had.
   */
  locate({ last, oldest, age }: Position, base: Base | undefined, now: number): Forgotten | undefined {
    if (this.catchUp === undefined) return undefined;
    if (age >= this.#covered(now)) {
      this.#begin(last + 1);
    } else if (base === undefined) {
      return undefined;
    } else if (base.age >= this.#covered(now)) {
      this.#begin(base.first);
    } else if (base.first <= oldest) {
      this.#begin(1);
      return this.window.startAt(oldest);
    } else {
      this.catchUp.margin = 2 * this.catchUp.margin + (now - this.catchUp.askedAt);
    }
    return undefined;
  }

  /**
   * The node was heard: what is asked for seldom by now, as it was not answered, is asked for at once. With `all`,
   * everything is.
   */
  hurry(now: number, all: boolean): void {
    const soon = all ? now : now + IMPATIENT;
    for (const hole of this.window.holes) {
      if (hole.due > soon) hole.due = now;
    }
    if (this.catchUp !== undefined && this.catchUp.due > soon) this.catchUp.due = now;
  }

  /** A request is answered `time` milliseconds after it was sent first. The figure falls at once and rises slowly. */
  measure(time: number): void {
    const isFirst = this.roundTrip === 0;
    this.roundTrip = isFirst ? time : Math.min(time, this.roundTrip + (time - this.roundTrip) / 16);
  }

  /** Gives up all that is missing. Numbers that are not known yet count when they are heard of. Returns the first. */
  giveUp(now: number): number {
    const from = this.window.settled + 1;
    this.#begin(this.window.highest + 1);
    this.settledAt = now;
    return from;
  }

  #begin(first: number): void {
    this.catchUp = undefined;
    this.window.startAt(first);
  }

  #covered(now: number): number {
    return (now - this.#since) * (1 + DRIFT) + AGE_GRAIN;
  }
}
