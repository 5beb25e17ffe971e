/**
 * Open path challenges: heartbeats with a nonce that were sent to one address each. They are kin to the PATH_CHALLENGE
 * frame of QUIC (RFC 9000, section 8.2): a node that repeats the nonce has received it, so it listens at that address.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import { readU32 } from "../wire/integers.ts";
import { NONCE_LENGTH } from "../wire/layout.ts";

/** Most that are remembered: the oldest give way. */
const CAPACITY = 4096;
/**
 * A response that takes longer, in milliseconds, is a late copy, or has waited to be read: it does not show where the
 * node is now.
 */
export const LONGEST_TRIP = 10_000;

/** A path challenge. */
export interface PathChallenge {
  readonly to: Endpoint;
  /** The id of the node that it was for; absent when it was for any node. */
  readonly id: string | undefined;
  /** When it was sent, by the node's clock. */
  readonly sentAt: number;
}

/** The path challenges that have no response. */
export class PathChallenges {
  readonly #clock: Clock;
  readonly #randomBytes: RandomBytes;
  readonly #open = new Map<number, PathChallenge>();

  constructor(clock: Clock, randomBytes: RandomBytes) {
    this.#clock = clock;
    this.#randomBytes = randomBytes;
  }

  /** The nonce of a new challenge, for the node `id`, or for any node at the address. */
  issue(to: Endpoint, id?: string): number {
    const nonce = readU32(this.#randomBytes(NONCE_LENGTH), 0);
    this.#open.set(nonce, { to, id, sentAt: this.#clock.now() });
    const [oldest] = this.#open.keys();
    if (this.#open.size > CAPACITY && oldest !== undefined) this.#open.delete(oldest);
    return nonce;
  }

  /**
   * The challenge to which `id` responds; `undefined` when it got none with this nonce, or too long ago, or has
   * responded.
   */
  redeem(nonce: number, id: string): PathChallenge | undefined {
    const challenge = this.#open.get(nonce);
    if (challenge === undefined || (challenge.id !== undefined && challenge.id !== id)) return undefined;
    this.#open.delete(nonce);
    return this.#clock.now() - challenge.sentAt <= LONGEST_TRIP ? challenge : undefined;
  }

  /** The challenges for any node that were sent since a time and have no response. */
  openSince(time: number): readonly PathChallenge[] {
    return [...this.#open.values()].filter(({ id, sentAt }) => id === undefined && sentAt >= time);
  }

  /** Keeps nothing. */
  clear(): void {
    this.#open.clear();
  }
}
