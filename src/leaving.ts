/**
 * A node that leaves: who still needs something of it.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Asker } from "./askers.ts";
import type { Clock } from "./clock.ts";

/** How often it says so, and how long it stays for a question, in milliseconds. */
export const LEAVE_EVERY = 30;

/** Most nodes that are told of the leave besides by the group. */
const MAX_TOLD = 65_536;

/** A node that leaves, and the peers that it waits for. */
export class Leaving {
  /** The peers that have not acknowledged it, and where they are. */
  readonly waiting: Map<string, Endpoint>;
  readonly #told: Set<string>;
  readonly #clock: Clock;
  readonly #say: (to: Endpoint) => void;
  #lingerUntil = -Infinity;
  #wake: () => void = () => {};

  /** It waits for `peers`; `say` tells one that the node leaves. */
  constructor(peers: readonly Asker[], clock: Clock, say: (to: Endpoint) => void) {
    this.waiting = new Map(peers.map(({ id, endpoint }) => [id, endpoint]));
    this.#told = new Set(this.waiting.keys());
    this.#clock = clock;
    this.#say = say;
  }

  /** Whether somebody may still need something. */
  get goesOn(): boolean {
    return this.waiting.size > 0 || this.#clock.now() < this.#lingerUntil;
  }

  /** Stays for the time of another round. */
  linger(): void {
    this.#lingerUntil = this.#clock.now() + LEAVE_EVERY;
  }

  /** Tells a newcomer once. */
  greet(id: string, endpoint: Endpoint): void {
    if (this.#told.has(id) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(id);
    this.#say(endpoint);
    this.linger();
  }

  /** A peer needs nothing more. */
  settle(id: string): void {
    if (this.waiting.delete(id) && !this.goesOn) this.#wake();
  }

  /** Resolves when nobody is waited for, or after `time` milliseconds. */
  async settledWithin(time: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(resolve, time);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
