/**
 * Which of many nodes act on what a stranger says to all of them.
 *
 * @module
 */

import type { Jitter } from "../platform/jitter.ts";

/** So many act, on average, and all when they are no more: each tells the stranger of 24 others. */
const EXPECTED_RESPONDERS = 8;
/** Longest delay, in milliseconds; one for each peer that is proven, up to that. */
const LONGEST_DELAY = 100;

/** What a {@linkcode ResponseSuppression} is made of. */
export interface ResponseSuppressionConfig {
  /** Whether there is a group: without, nobody can speak to all at once. */
  readonly multicast: () => boolean;
  /** How many peers are proven. */
  readonly validated: () => number;
  readonly jitter: Jitter;
}

/**
 * One datagram to the group reaches all nodes, and its source may be forged: if all answered, a mesh of a hundred would send
 * a hundred datagrams for each. So in a large mesh a few do, chosen by lot, each after a delay of its own, by which the first
 * may have done what there is to do.
 */
export class ResponseSuppression {
  readonly #config: ResponseSuppressionConfig;

  constructor(config: ResponseSuppressionConfig) {
    this.#config = config;
  }

  /** Whether everybody acts, at once. */
  get isSmall(): boolean {
    const { multicast, validated } = this.#config;
    return validated() <= EXPECTED_RESPONDERS || !multicast();
  }

  /** Whether this node acts on what a stranger says. It has said it so many times before: each doubles the chance. */
  isChosen(times: number): boolean {
    const { jitter, validated } = this.#config;
    return this.isSmall || jitter.between(0, validated()) < EXPECTED_RESPONDERS * 2 ** times;
  }

  /** After how long, in milliseconds. */
  delay(): number {
    const { jitter, validated } = this.#config;
    return this.isSmall ? 0 : jitter.between(0, Math.min(validated(), LONGEST_DELAY));
  }
}
