/**
 * Multicast lag: how much later a node reads what comes by the group than what comes by unicast.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";

/** A difference that is less than this, in milliseconds, is ordinary reordering on one path. */
const LEAST = 100;
/** Longest lag that is taken for one, in milliseconds. */
const MOST = 1000;
/** Time after which the lag counts as half of what was measured, in milliseconds. */
const HALF_LIFE = 1000;
/** Most ranges that are awaited, and how long each is, in milliseconds. */
const MAX_AWAITED = 64;
const AWAITED_FOR = 10_000;

/** Numbers of a stream that an answer has made known, and when. */
interface AwaitedRange {
  readonly stream: object;
  from: number;
  readonly to: number;
  readonly at: number;
}

/**
 * Measures the lag. On a busy host, multicast waits in a socket of its own behind thousands of other datagrams, and
 * radio networks hold it back for stations that sleep. A state packet by unicast overtakes it, and makes numbers known
 * that then seem to be lost.
 */
export class MulticastLag {
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #awaited: AwaitedRange[] = [];
  #lag = 0;
  #at = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The lag in milliseconds, 0 for none. */
  get value(): number {
    if (this.#lag === 0) return 0;
    const lag = this.#lag * 2 ** ((this.#at - this.#clock.now()) / HALF_LIFE);
    if (lag >= 1) return lag;
    this.#lag = 0;
    return 0;
  }

  /** An answer has made numbers of a stream known. */
  onPosition(stream: object, from: number, to: number): void {
    if (from > to) return;
    this.#awaited.push({ stream, from, to, at: this.#clock.now() });
    if (this.#awaited.length > MAX_AWAITED) this.#awaited.shift();
  }

  /** A batch has come that is no retransmission. Returns whether there is a lag. */
  onMulticast(stream: object, number: number): boolean {
    if (this.#awaited.length > 0) this.#look(stream, number, this.#clock.now());
    return this.value > 0;
  }

  #look(stream: object, number: number, now: number): void {
    while (this.#awaited[0] !== undefined && now - this.#awaited[0].at >= AWAITED_FOR) this.#awaited.shift();
    const index = this.#awaited.findIndex((range) =>
      range.stream === stream && number >= range.from && number <= range.to
    );
    const range = this.#awaited[index];
    if (range === undefined) return;
    const late = now - range.at;
    if (late >= LEAST && late >= this.value) [this.#lag, this.#at] = [Math.min(late, MOST), now];
    // Each number of the range comes once, and in order.
    range.from = number + 1;
    if (range.from > range.to) this.#awaited.splice(index, 1);
  }
}
