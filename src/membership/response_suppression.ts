/**
 * Response suppression: which of many nodes respond to what an unknown node sends to the group. It is kin to the random
 * suppression of SRM (Floyd et al. 1997) and NORM (RFC 5740): a random delay, and no response once another has done
 * what there is to do. As the responses are unicast, which other nodes do not hear, a lot limits their number as well.
 *
 * @module
 */

import type { Jitter } from "../platform/jitter.ts";

/** So many nodes respond, on average, and all when they are no more: each lists 24 others to the unknown node. */
const EXPECTED_RESPONDERS = 8;
/** Longest delay, in milliseconds. It is one for each validated peer, up to this. */
const LONGEST_DELAY = 100;

/** What a {@linkcode ResponseSuppression} is made of. */
export interface ResponseSuppressionConfig {
  /** Whether there is a group: without one, no datagram reaches all nodes at once. */
  readonly multicast: () => boolean;
  /** How many peers are validated. */
  readonly validated: () => number;
  readonly jitter: Jitter;
}

/**
 * One datagram to the group reaches all nodes, and its source may be forged: if all responded, a mesh of a hundred
 * would send a hundred datagrams for each. So in a large mesh a few do, chosen by lot, each after a random delay, in
 * which the first may have done what there is to do.
 */
export class ResponseSuppression {
  readonly #config: ResponseSuppressionConfig;

  constructor(config: ResponseSuppressionConfig) {
    this.#config = config;
  }

  /** Whether all nodes respond, at once. */
  get isSmall(): boolean {
    const { multicast, validated } = this.#config;
    return validated() <= EXPECTED_RESPONDERS || !multicast();
  }

  /**
   * Whether this node responds. The unknown node has sent the same so many times before: each time doubles the chance.
   */
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
