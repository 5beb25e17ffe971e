/**
 * How fast a node may send: `docs/wire.md`, "Pace".
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";

/** Datagrams a second at first. */
const START_RATE = 30_000;
/** What a loss leaves of the rate. */
const DECREASE = 0.7;
/** Losses within so many milliseconds of a decrease are the same: the slower rate has not had time to show. */
const DECREASE_EVERY_MS = 20;
/** Datagrams a second that an epoch without loss adds, at most. */
const INCREASE = 1000;
/** Or that part of the rate, if it is less: from a low one on it does not rise to many times as much within a round trip. */
const INCREASE_PART = 0.05;
/** Milliseconds. */
const EPOCH_MS = 10;
/** Longest that the rate is held for a loss, in milliseconds: a peer that is behind has asked for more by then. */
const MAX_HOLD_MS = 250;
/** What a peer has got is measured that well only: a rate that is not above it by more does not fall to it. */
const GRAIN = 0.9;
/** Datagrams that may leave at once: so many milliseconds' worth, as timers are that late, but a few at any rate. */
const DEPTH_MS = 2;
const MIN_DEPTH = 16;

/** What a {@linkcode Pacer} is made of. */
export interface PacerConfig {
  /** Lowest rate, in datagrams a second, above 0. */
  readonly min: number;
  /** Highest rate, in datagrams a second, at least `min`. */
  readonly max: number;
  readonly clock: Clock;
}

/**
 * A token bucket whose rate falls by a share when peers lose more of what is sent than they always do, and rises by steps
 * while they do not.
 */
export class Pacer {
  readonly #clock: Clock;
  readonly #min: number;
  readonly #max: number;
  #rate: number;
  #tokens: number;
  #filledAt: number;
  /** An epoch that is not looked at goes on for longer than its time, and still counts once. */
  #epochAt: number;
  #isHeldBack = false;
  #decreasedAt = -Infinity;

  constructor({ min, max, clock }: PacerConfig) {
    this.#clock = clock;
    this.#min = min;
    this.#max = max;
    this.#rate = this.#clamp(START_RATE);
    this.#tokens = this.#depth();
    this.#filledAt = this.#epochAt = clock.now();
  }

  /** Datagrams a second, from `min` to `max`. */
  get rate(): number {
    return this.#rate;
  }

  /**
   * Milliseconds until a datagram may leave, 0 for now. Ask before each one, and do not wait without asking: an answer
   * above 0 is what lets the rate rise.
   */
  wait(): number {
    this.#passTime(this.#clock.now());
    if (this.#tokens >= 1) return 0;
    this.#isHeldBack = true;
    // Whole microseconds: a shorter wait could be lost in the rounding of the time, and then never end.
    return Math.ceil(((1 - this.#tokens) * 1e6) / this.#rate) / 1000;
  }

  /**
   * A datagram waits though the rate would let it leave, as it is not full: a rate that has fallen rises while that is so, up to the
   * first one, as what is not tried says nothing of a higher one.
   */
  holdBack(): void {
    if (this.#rate < START_RATE) this.#isHeldBack = true;
  }

  /** A datagram has left. One that did not ask first is owed, up to as many as may leave at once. */
  spend(): void {
    this.#tokens = Math.max(-this.#depth(), this.#tokens - 1);
  }

  /** Whether less than half of the rate is not allowed. */
  get isSlow(): boolean {
    return this.#rate <= 2 * this.#min;
  }

  /**
   * More is lost than without congestion, or so many datagrams a second arrived when the rate was higher: it does not fall
   * below that. Returns whether the rate has fallen.
   */
  onLoss(carried = 0): boolean {
    const before = this.#rate;
    if (carried > GRAIN * before) return false;
    const now = this.#clock.now();
    this.#passTime(now);
    if (now - this.#decreasedAt >= DECREASE_EVERY_MS) {
      this.#rate = this.#clamp(Math.max(this.#rate * DECREASE, carried));
      this.#decreasedAt = now;
    }
    this.#beginEpoch(now);
    return this.#rate < before;
  }

  /** As much is lost as should not become more, of what was sent so long ago: the rate does not rise for as long. */
  hold(age = 0): void {
    const now = this.#clock.now();
    this.#passTime(now);
    this.#beginEpoch(now + Math.max(0, Math.min(age, MAX_HOLD_MS) - EPOCH_MS));
  }

  #depth(): number {
    return Math.max(MIN_DEPTH, (this.#rate * DEPTH_MS) / 1000);
  }

  #passTime(now: number): void {
    this.#tokens = Math.min(this.#depth(), this.#tokens + ((now - this.#filledAt) * this.#rate) / 1000);
    this.#filledAt = now;
    if (now - this.#epochAt < EPOCH_MS) return;
    if (this.#isHeldBack) this.#rate = this.#clamp(this.#rate + Math.min(INCREASE, this.#rate * INCREASE_PART));
    this.#beginEpoch(now);
  }

  /** One that has not begun yet, as the rate is held, does not begin earlier. */
  #beginEpoch(at: number): void {
    this.#epochAt = Math.max(this.#epochAt, at);
    this.#isHeldBack = false;
  }

  #clamp(rate: number): number {
    return Math.min(this.#max, Math.max(this.#min, rate));
  }
}
