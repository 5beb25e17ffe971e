/**
 * Pacer: the rate at which a node may send, by additive increase and multiplicative decrease (AIMD: Chiu and Jain 1989;
 * RFC 5681). `docs/wire.md`, "Pacing".
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";

/** The initial rate, in datagrams a second. */
const START_RATE = 30_000;
/** The factor by which congestion multiplies the rate. */
const DECREASE = 0.7;
/**
 * Losses within so many milliseconds of a decrease belong to it: the slower rate has not taken effect at the peers yet.
 */
const DECREASE_EVERY_MS = 20;
/** The additive increase after an epoch without loss, in datagrams a second, at most. */
const INCREASE = 1000;
/** The increase as a part of the rate, if that is less: a low rate then does not multiply within a round trip. */
const INCREASE_PART = 0.05;
/** Length of an epoch, in milliseconds. */
const EPOCH_MS = 10;
/**
 * Longest time for which a loss keeps the rate from rising, in milliseconds: a peer that is behind has sent its next
 * NAK by then.
 */
const MAX_HOLD_MS = 250;
/**
 * The precision of the measured rate of arrival: the rate does not fall to it unless it is below this part of the
 * present rate.
 */
const CARRIED_PRECISION = 0.9;
/**
 * The burst that may leave at once: so many milliseconds of the rate, as timers are that late, but at least a few
 * datagrams.
 */
const BURST_MS = 2;
const MIN_BURST = 16;

/** The limits and the clock of a {@linkcode Pacer}. */
export interface PacerConfig {
  /** Lowest rate, in datagrams a second, above 0. */
  readonly min: number;
  /** Highest rate, in datagrams a second, at least `min`. */
  readonly max: number;
  readonly clock: Clock;
}

/**
 * A token bucket with an AIMD rate. The rate falls by a factor when peers lose more of what is sent than they always
 * do, and rises by steps while they do not.
 */
export class Pacer {
  readonly #clock: Clock;
  readonly #min: number;
  readonly #max: number;
  #rate: number;
  #tokens: number;
  #filledAt: number;
  /** Start of the epoch. An epoch that is not looked at lasts longer than its length, and still counts once. */
  #epochAt: number;
  #isHeldBack = false;
  #decreasedAt = -Infinity;

  constructor({ min, max, clock }: PacerConfig) {
    this.#clock = clock;
    this.#min = min;
    this.#max = max;
    this.#rate = this.#clamp(START_RATE);
    this.#tokens = this.#burst();
    this.#filledAt = this.#epochAt = clock.now();
  }

  /** Datagrams a second, from `min` to `max`. */
  get rate(): number {
    return this.#rate;
  }

  /**
   * Milliseconds until a datagram may leave, 0 for now. Call it before each datagram, and do not wait without calling
   * it: only an answer above 0 lets the rate rise.
   */
  wait(): number {
    this.#passTime(this.#clock.now());
    if (this.#tokens >= 1) return 0;
    this.#isHeldBack = true;
    // Whole microseconds: a shorter wait could be lost in the rounding of the time, and then never end.
    return Math.ceil(((1 - this.#tokens) * 1e6) / this.#rate) / 1000;
  }

  /**
   * A batch that is not full waits although the rate would let it leave. A rate that has fallen rises meanwhile, up to
   * the initial rate: without such sends, nothing would show that a higher rate is possible.
   */
  holdBack(): void {
    if (this.#rate < START_RATE) this.#isHeldBack = true;
  }

  /** A datagram has left. One that left before {@linkcode Pacer.wait} allowed it becomes a debt, up to a burst. */
  spend(): void {
    this.#tokens = Math.max(-this.#burst(), this.#tokens - 1);
  }

  /** Whether the rate is at most twice the lowest. */
  get isSlow(): boolean {
    return this.#rate <= 2 * this.#min;
  }

  /**
   * Reports congestion: more is lost than without it, or `carried` datagrams a second arrived when the rate was higher.
   * The rate does not fall below `carried`. Returns whether it has fallen.
   */
  onLoss(carried = 0): boolean {
    const before = this.#rate;
    if (carried > CARRIED_PRECISION * before) return false;
    const now = this.#clock.now();
    this.#passTime(now);
    if (now - this.#decreasedAt >= DECREASE_EVERY_MS) {
      this.#rate = this.#clamp(Math.max(this.#rate * DECREASE, carried));
      this.#decreasedAt = now;
    }
    this.#beginEpoch(now);
    return this.#rate < before;
  }

  /**
   * Reports that as much is lost as must not become more, of what was sent `age` milliseconds ago: the rate does not
   * rise for as long.
   */
  hold(age = 0): void {
    const now = this.#clock.now();
    this.#passTime(now);
    this.#beginEpoch(now + Math.max(0, Math.min(age, MAX_HOLD_MS) - EPOCH_MS));
  }

  #burst(): number {
    return Math.max(MIN_BURST, (this.#rate * BURST_MS) / 1000);
  }

  #passTime(now: number): void {
    this.#tokens = Math.min(this.#burst(), this.#tokens + ((now - this.#filledAt) * this.#rate) / 1000);
    this.#filledAt = now;
    if (now - this.#epochAt < EPOCH_MS) return;
    if (this.#isHeldBack) this.#rate = this.#clamp(this.#rate + Math.min(INCREASE, this.#rate * INCREASE_PART));
    this.#beginEpoch(now);
  }

  /** An epoch that has not begun yet, as the rate is held, does not begin earlier. */
  #beginEpoch(at: number): void {
    this.#epochAt = Math.max(this.#epochAt, at);
    this.#isHeldBack = false;
  }

  #clamp(rate: number): number {
    return Math.min(this.#max, Math.max(this.#min, rate));
  }
}
