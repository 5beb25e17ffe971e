/**
 * How much later a node reads what is sent to the group than what is sent to it alone.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";

/** What is less than that, in milliseconds, is a matter of each path: datagrams overtake each other. */
const LEAST = 100;
/** Longest that is taken for it, in milliseconds. */
const MOST = 1000;
/** In so many milliseconds without news it is taken to be half of what it was. */
const HALF_LIFE = 1000;
/** Answers of which what they told is waited for, at most, and for how long, in milliseconds. */
const MAX_AWAITED = 64;
const AWAITED_FOR = 10_000;

/** Numbers of a stream that an answer has told of, and when. */
interface Told {
  readonly stream: object;
  from: number;
  readonly to: number;
  readonly at: number;
}

/**
 * On a busy host what is sent to the group waits in a socket of its own behind thousands of others, and radio networks hold it
 * back for stations that sleep; an answer by unicast overtakes it, and tells of batches that then seem to be lost.
 */
export class MulticastLag {
  readonly #clock: Clock;
  /** From the oldest on. */
  readonly #awaited: Told[] = [];
  #lag = 0;
  #at = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** In milliseconds, 0 for none. */
  get value(): number {
    if (this.#lag === 0) return 0;
    const lag = this.#lag * 2 ** ((this.#at - this.#clock.now()) / HALF_LIFE);
    if (lag >= 1) return lag;
    this.#lag = 0;
    return 0;
  }

  /** An answer tells of numbers of a stream that were not known. */
  told(stream: object, from: number, to: number): void {
    if (from > to) return;
    this.#awaited.push({ stream, from, to, at: this.#clock.now() });
    if (this.#awaited.length > MAX_AWAITED) this.#awaited.shift();
  }

  /** A batch has come that nobody had asked for. Whether there is a lag. */
  heard(stream: object, number: number): boolean {
    if (this.#awaited.length > 0) this.#look(stream, number, this.#clock.now());
    return this.value > 0;
  }

  #look(stream: object, number: number, now: number): void {
    while (this.#awaited[0] !== undefined && now - this.#awaited[0].at >= AWAITED_FOR) this.#awaited.shift();
    const index = this.#awaited.findIndex((told) => told.stream === stream && number >= told.from && number <= told.to);
    const told = this.#awaited[index];
    if (told === undefined) return;
    const late = now - told.at;
    if (late >= LEAST && late >= this.value) [this.#lag, this.#at] = [Math.min(late, MOST), now];
    // It comes once, and in order.
    told.from = number + 1;
    if (told.from > told.to) this.#awaited.splice(index, 1);
  }
}
