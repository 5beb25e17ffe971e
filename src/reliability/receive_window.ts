/**
 * Receive window: which numbers of a stream have arrived, and which are missing.
 *
 * @module
 */

/** A hole: numbers that have not arrived, from `from` to `to`, and when they are requested. */
export interface Hole {
  from: number;
  to: number;
  /** When to request them next, by the node's clock. */
  due: number;
  /** When they were found missing. */
  readonly foundAt: number;
  /** How often they were requested. */
  attempts: number;
  /** When they were requested first; 0 before that. */
  nakSentAt: number;
  /** When they were requested last; 0 before that. */
  lastNakSentAt: number;
}

/** Numbers that were given up, and how many of those between `from` and `to` they are. */
export interface Forgotten {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** What the arrival of a number meant: `recovered` when it was missing. */
export type Arrival = "new" | "recovered" | "duplicate";

/**
 * Most holes of a stream: what 25 % loss leaves of the 8,000 datagrams that come in the first quarter of a second, in
 * which the sender gets the NAKs and slows down.
 */
const MAX_HOLES = 2048;
/** The same before the node has answered: ids are easily forged. */
const MAX_UNTRUSTED_HOLES = 512;
/** Most holes of all windows of either kind together; each window may have {@linkcode MIN_HOLES} all the same. */
const MAX_SHARED_HOLES = 32_768;
const MAX_SHARED_UNTRUSTED_HOLES = 8192;
const MIN_HOLES = 64;

/**
 * A hole that was requested so often was requested in vain, when its node was heard so many milliseconds after the
 * first NAK or later: what is lost by chance has arrived by then. With 25 % loss in each direction, one in 150 is
 * requested so often.
 */
export const VAIN_ATTEMPTS = 6;
const VAIN_AFTER = 1000;

/** Whether a hole was requested in vain, when its node was last heard at `heardAt`. */
export function isVain({ attempts, nakSentAt }: Hole, heardAt: number): boolean {
  return attempts >= VAIN_ATTEMPTS && heardAt - nakSentAt >= VAIN_AFTER;
}

/** Counts of all windows that share this object. */
export interface HoleCount {
  /** Holes of nodes that have answered. */
  trusted: number;
  /** Holes of the other nodes. */
  untrusted: number;
  /** Numbers that were requested, since the beginning. */
  requested: number;
  /** Those of them that have arrived. */
  recovered: number;
}

/**
 * Notes which numbers are missing. Every number up to `highest` has arrived, or was given up, or is in a hole. Memory
 * is bounded by the number of holes, however far a number jumps. A number that comes in order costs two comparisons.
 */
export class ReceiveWindow {
  /** When the number that was recovered last had been found missing. */
  foundAt = 0;
  /** When it had been requested, if that was once; else 0. */
  requestedOnceAt = 0;
  /** When a number last arrived that had been requested in vain. */
  reachedAt: number = -Infinity;
  readonly #holes: Hole[] = [];
  readonly #shared: HoleCount;
  #isTrusted = false;
  #highest = 0;
  #missing = 0;
  /** The range that was settled last without having arrived. */
  #skipped = { from: 0, to: 0 };

  constructor(shared: HoleCount = { trusted: 0, untrusted: 0, requested: 0, recovered: 0 }) {
    this.#shared = shared;
  }

  /** Whether the node has answered and has not departed: the stream may have more holes then. */
  trust(isTrusted: boolean): void {
    this.#count(-this.#holes.length);
    this.#isTrusted = isTrusted;
    this.#count(this.#holes.length);
  }

  /** The highest number that is known to exist. */
  get highest(): number {
    return this.#highest;
  }

  /** How many numbers are missing. */
  get missing(): number {
    return this.#missing;
  }

  /** The holes, ascending. */
  get holes(): readonly Hole[] {
    return this.#holes;
  }

  /** All numbers up to this one have arrived or were given up. */
  get settled(): number {
    const [first] = this.#holes;
    return first === undefined ? this.#highest : first.from - 1;
  }

  /** A batch has arrived. A hole that it shows, found at `now`, is requested from `due` on. */
  accept(number: number, now: number, due: number): Arrival {
    if (number === this.#highest + 1) {
      this.#highest = number;
      return "new";
    }
    if (number > this.#highest) {
      this.extend(number - 1, now, due);
      this.#highest = number;
      return "new";
    }
    const index = this.#indexOf(number);
    const hole = this.#holes[index];
    if (hole === undefined || hole.from > number) return "duplicate";
    this.#missing--;
    this.foundAt = hole.foundAt;
    this.requestedOnceAt = hole.attempts === 1 ? hole.lastNakSentAt : 0;
    if (hole.attempts > 0) this.#shared.recovered++;
    if (isVain(hole, now)) this.reachedAt = now;
    if (hole.from === hole.to) this.#remove(index);
    else if (hole.from === number) hole.from++;
    else if (hole.to === number) hole.to--;
    else {
      this.#insert(index, { ...hole, to: number - 1 });
      hole.from = number + 1;
      this.#merge();
    }
    return "recovered";
  }

  /** All numbers up to `last` exist. */
  extend(last: number, now: number, due: number): void {
    const count = last - this.#highest;
    if (count <= 0) return;
    const hole: Hole = {
      from: this.#highest + 1,
      to: last,
      foundAt: now,
      due,
      attempts: 0,
      nakSentAt: 0,
      lastNakSentAt: 0,
    };
    this.#insert(this.#holes.length, hole);
    this.#highest = last;
    this.#missing += count;
    this.#merge();
  }

  /** A hole is requested now, and again at `due`. */
  nakSent(hole: Hole, now: number, due: number): void {
    if (hole.attempts === 0) {
      this.#shared.requested += hole.to - hole.from + 1;
      hole.nakSentAt = now;
    }
    hole.attempts++;
    hole.lastNakSentAt = now;
    hole.due = due;
  }

  /** Splits a hole so that it has `count` numbers; a hole with the rest follows it. */
  split(hole: Hole, count: number): void {
    if (hole.to - hole.from < count) return;
    const to = hole.from + count - 1;
    this.#insert(this.#holes.indexOf(hole) + 1, { ...hole, from: to + 1 });
    hole.to = to;
  }

  /** Gives up all numbers below `first`. Returns those that were missing. */
  startAt(first: number): Forgotten | undefined {
    if (first - 1 > this.settled) this.#skipped = { from: this.settled + 1, to: first - 1 };
    let from = 0;
    let to = 0;
    let count = 0;
    while (true) {
      const [hole] = this.#holes;
      if (hole === undefined || hole.from >= first) break;
      if (from === 0) from = hole.from;
      to = Math.min(hole.to, first - 1);
      count += to - hole.from + 1;
      if (hole.to < first) this.#remove(0);
      else hole.from = first;
    }
    this.#missing -= count;
    this.#highest = Math.max(this.#highest, first - 1);
    return count === 0 ? undefined : { from, to, count };
  }

  /**
   * No number above `last` exists: what has arrived with one was forged, or will come again. Returns the numbers up to
   * `last` that were settled by mistake, because of a forged higher number: what came with them was taken for copies.
   */
  endAt(last: number): { from: number; to: number } | undefined {
    if (last >= this.#highest) return undefined;
    const { from, to } = this.#skipped;
    if (to > last) this.#skipped = { from: 0, to: 0 };
    while (true) {
      const hole = this.#holes.at(-1);
      if (hole === undefined || hole.to <= last) break;
      const count = hole.to - Math.max(hole.from, last + 1) + 1;
      this.#missing -= count;
      if (hole.attempts > 0) this.#shared.requested -= count;
      if (hole.from > last) this.#remove(this.#holes.length - 1);
      else hole.to = last;
    }
    this.#highest = last;
    return to > last && from <= last ? { from, to: last } : undefined;
  }

  /** The last holes below a number that were not requested yet are requested from `due` on at the latest. */
  nakSoon(number: number, due: number): void {
    for (let index = this.#indexOf(number) - 1; index >= 0; index--) {
      const hole = this.#holes[index] as Hole;
      if (hole.attempts > 0 || hole.due <= due) return;
      hole.due = due;
    }
  }

  /** Index of the first hole that ends at `number` or after it. */
  #indexOf(number: number): number {
    let low = 0;
    let high = this.#holes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#holes[middle] as Hole).to < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(index: number, hole: Hole): void {
    this.#holes.splice(index, 0, hole);
    this.#count(1);
  }

  #remove(index: number): void {
    this.#holes.splice(index, 1);
    this.#count(-1);
  }

  #count(change: number): void {
    if (this.#isTrusted) this.#shared.trusted += change;
    else this.#shared.untrusted += change;
  }

  #room(): number {
    const { trusted, untrusted } = this.#shared;
    if (this.#isTrusted) return trusted <= MAX_SHARED_HOLES ? MAX_HOLES : MIN_HOLES;
    return untrusted <= MAX_SHARED_UNTRUSTED_HOLES ? MAX_UNTRUSTED_HOLES : MIN_HOLES;
  }

  /**
   * When there are too many holes, the last two become one: what lies between is requested and delivered once more. The
   * first holes are those that retransmissions are on the way for.
   */
  #merge(): void {
    const last = this.#holes.at(-1);
    const before = this.#holes.at(-2);
    if (this.#holes.length <= this.#room() || before === undefined || last === undefined) return;
    this.#missing += last.from - before.to - 1;
    // The new hole counts as not requested when a part of it was not.
    if (Math.min(before.attempts, last.attempts) > 0) this.#shared.requested += last.from - before.to - 1;
    else for (const { from, to, attempts } of [before, last]) if (attempts > 0) this.#shared.requested -= to - from + 1;
    before.to = last.to;
    if (last.attempts < before.attempts) {
      before.attempts = last.attempts;
      before.nakSentAt = last.nakSentAt;
      before.lastNakSentAt = last.lastNakSentAt;
    }
    before.due = Math.min(before.due, last.due);
    this.#remove(this.#holes.length - 1);
  }
}
