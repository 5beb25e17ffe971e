/**
 * A node that leaves: who still needs something of it.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Asker } from "./validation_tokens.ts";

/** How often it says so, and how long it stays for a question, in milliseconds. */
export const LEAVE_EVERY = 30;

/** Most nodes that are told of the leave besides by the group. */
const MAX_EXCHANGED = 65_536;

/** A node that leaves, and the peers that it waits for. */
export class GracefulLeave {
  /** The peers that have not acknowledged it, and where they are. */
  readonly waiting: Map<string, Endpoint>;
  /** Those that have. */
  readonly confirmed: Set<string> = new Set();
  /** Whether nobody is told any more. */
  isOver = false;
  readonly #peers: readonly Asker[];
  readonly #told: Set<string>;
  readonly #clock: Clock;
  readonly #say: (to: Endpoint) => void;
  #lingerUntil = -Infinity;
  #wake: () => void = () => {};

  /** It waits for `peers`; `say` tells one that the node leaves. */
  constructor(peers: readonly Asker[], clock: Clock, say: (to: Endpoint) => void) {
    this.#peers = peers;
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
    if (this.#told.has(id) || this.#told.size >= MAX_EXCHANGED) return;
    this.#told.add(id);
    this.#say(endpoint);
    this.linger();
  }

  /** What all have acknowledged was not everything. */
  renew(): void {
    this.confirmed.clear();
    for (const { id, endpoint } of this.#peers) this.waiting.set(id, endpoint);
    this.linger();
    for (const endpoint of this.waiting.values()) this.#say(endpoint);
  }

  /** A peer has everything. */
  confirm(id: string): void {
    this.confirmed.add(id);
    this.settle(id);
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
