/**
 * Heartbeats: the node's own, and those of its peers.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock, Timer } from "./clock.ts";
import type { MeshEvent } from "./events.ts";
import { locate, PeerTable } from "./peer_table.ts";
import { RateLimit } from "./rate_limit.ts";

/**
 * Newcomers answered at once, in a burst and per second. Forged ids cannot make the node send more than that; a newcomer
 * beyond it hears of the node by the next heartbeat.
 */
const ANSWERS_PER_SECOND = 128;

/** What a {@linkcode Membership} is made of. */
export interface MembershipConfig {
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly peerTimeout: number;
  readonly maxPeers: number;
  readonly clock: Clock;
  /** Sends the node's heartbeat to one endpoint, or to everybody. */
  readonly announce: (to?: Endpoint) => void;
  readonly emit: (event: MeshEvent) => void;
}

/** Announces the node at intervals, answers newcomers at once, and forgets the silent. */
export class Membership {
  /** Newcomers that were turned away as the table was full. */
  refused = 0;
  readonly #config: MembershipConfig;
  readonly #peers: PeerTable;
  readonly #answers: RateLimit;
  readonly #refusals: RateLimit;
  #timer: Timer | undefined;

  constructor(config: MembershipConfig) {
    const { clock, maxPeers, peerTimeout, emit } = config;
    this.#config = config;
    this.#answers = new RateLimit(clock, ANSWERS_PER_SECOND, ANSWERS_PER_SECOND);
    this.#refusals = new RateLimit(clock, 1, 1);
    this.#peers = new PeerTable({
      capacity: maxPeers,
      timeout: peerTimeout,
      clock,
      onExpired: (peer) => emit({ type: "peerLeft", peer, reason: "expired" }),
    });
  }

  /** Who is there. */
  get peers(): PeerTable {
    return this.#peers;
  }

  /** Sends the first heartbeat, and the others at intervals. */
  start(): void {
    const { announce, clock, heartbeat } = this.#config;
    announce();
    this.#timer = clock.setTimer(() => this.start(), heartbeat);
  }

  /** Notes the heartbeat of another node. */
  hear(id: string, advertised: string, source: Endpoint): void {
    const { announce, emit } = this.#config;
    const heard = this.#peers.hear(id, advertised, source);
    if (heard === "refused") {
      this.refused++;
      if (this.#refusals.allow()) {
        emit({ type: "peerRefused", peer: { id, address: locate(advertised, source).address } });
      }
      return;
    }
    const peer = this.#peers.get(id);
    if (heard === "known" || peer === undefined) return;
    if (heard === "joined" && this.#answers.allow()) announce(peer.endpoint);
    emit({ type: heard === "joined" ? "peerJoined" : "peerMoved", peer: { id, address: peer.address } });
  }

  /** Sends no more heartbeats and forgets everybody. */
  close(): void {
    this.#timer?.cancel();
    this.#peers.clear();
  }
}
