/**
 * Graceful leave: which peers still need something of a node that leaves, and until when it waits for them.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Requester } from "./validation_tokens.ts";

/** Time between two leave packets to a peer, in milliseconds; also how long the node lingers for another request. */
export const LEAVE_EVERY = 30;

/** Most nodes that get a leave packet of their own, besides the one to the group. */
const MAX_INFORMED = 65_536;

/** Keeps the state of one leave, and the peers that it waits for. */
export class GracefulLeave {
  /** The peers that have not acknowledged the leave, and their endpoints. */
  readonly waiting: Map<string, Endpoint>;
  /** The peers that have acknowledged it. */
  readonly confirmed: Set<string> = new Set();
  /** Whether no more leave packets are sent. */
  isOver = false;
  readonly #peers: readonly Requester[];
  readonly #informed: Set<string>;
  readonly #clock: Clock;
  readonly #send: (to: Endpoint) => void;
  #lingerUntil = -Infinity;
  #wake: () => void = () => {};

  /** It waits for `peers`. `send` sends a leave packet to one endpoint. */
  constructor(peers: readonly Requester[], clock: Clock, send: (to: Endpoint) => void) {
    this.#peers = peers;
    this.waiting = new Map(peers.map(({ id, endpoint }) => [id, endpoint]));
    this.#informed = new Set(this.waiting.keys());
    this.#clock = clock;
    this.#send = send;
  }

  /** Whether a peer may still need something. */
  get goesOn(): boolean {
    return this.waiting.size > 0 || this.#clock.now() < this.#lingerUntil;
  }

  /** The node stays for one more interval between leave packets: another request may come. */
  linger(): void {
    this.#lingerUntil = this.#clock.now() + LEAVE_EVERY;
  }

  /** Sends a leave packet to a joining node, once. */
  onHeartbeat(id: string, endpoint: Endpoint): void {
    if (this.#informed.has(id) || this.#informed.size >= MAX_INFORMED) return;
    this.#informed.add(id);
    this.#send(endpoint);
    this.linger();
  }

  /** The last number has become higher, so what the peers have acknowledged was not everything. */
  renew(): void {
    this.confirmed.clear();
    for (const { id, endpoint } of this.#peers) this.waiting.set(id, endpoint);
    this.linger();
    for (const endpoint of this.waiting.values()) this.#send(endpoint);
  }

  /** A peer has acknowledged the leave: it has everything. */
  confirm(id: string): void {
    this.confirmed.add(id);
    this.settle(id);
  }

  /** A peer needs nothing more: the node does not wait for it. */
  settle(id: string): void {
    if (this.waiting.delete(id) && !this.goesOn) this.#wake();
  }

  /** Resolves when no peer is waited for, or after `time` milliseconds. */
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
