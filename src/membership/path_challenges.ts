/**
 * Questions whose answers show that a node is where it is taken to be.
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
/** An answer that takes longer, in milliseconds, is a late copy, or has lain here: it says nothing of now. */
export const LONGEST_TRIP = 10_000;

/** A question that was sent to one address alone. */
export interface PathChallenge {
  readonly to: Endpoint;
  /** Whom it was for; absent when it is not known who is there. */
  readonly id: string | undefined;
  readonly sentAt: number;
}

/** Whoever repeats the nonce of a question has got it: it listens where the question was sent. */
export class PathChallenges {
  readonly #clock: Clock;
  readonly #randomBytes: RandomBytes;
  readonly #open = new Map<number, PathChallenge>();

  constructor(clock: Clock, randomBytes: RandomBytes) {
    this.#clock = clock;
    this.#randomBytes = randomBytes;
  }

  /** The nonce of a new question, for the node `id` or for whoever is there. */
  issue(to: Endpoint, id?: string): number {
    const nonce = readU32(this.#randomBytes(NONCE_LENGTH), 0);
    this.#open.set(nonce, { to, id, sentAt: this.#clock.now() });
    const [oldest] = this.#open.keys();
    if (this.#open.size > CAPACITY && oldest !== undefined) this.#open.delete(oldest);
    return nonce;
  }

  /** The question that `id` answers; `undefined` when it was not asked that, or too long ago, or has answered. */
  redeem(nonce: number, id: string): PathChallenge | undefined {
    const challenge = this.#open.get(nonce);
    if (challenge === undefined || (challenge.id !== undefined && challenge.id !== id)) return undefined;
    this.#open.delete(nonce);
    return this.#clock.now() - challenge.sentAt <= LONGEST_TRIP ? challenge : undefined;
  }

  /** The questions to whoever is at an address that were sent since a time and have no answer. */
  openSince(time: number): readonly PathChallenge[] {
    return [...this.#open.values()].filter(({ id, sentAt }) => id === undefined && sentAt >= time);
  }

  /** Keeps nothing. */
  clear(): void {
    this.#open.clear();
  }
}
