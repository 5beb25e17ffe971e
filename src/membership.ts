/**
 * Heartbeats: the node's own, and those of its peers.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock, Timer } from "./clock.ts";
import type { MeshEvent } from "./events.ts";
import { type KnownPeer, PeerTable } from "./peer_table.ts";
import { RateLimit } from "./rate_limit.ts";

/**
 * Newcomers answered at once, in a burst and per second. Forged ids cannot make the node send more than that; a newcomer
 * beyond it hears of the node by the next heartbeat.
 */
const ANSWERS_PER_SECOND = 128;

/** Moves reported, in a burst and per second: a node id can be forged, and a move with each datagram. */
const MOVES_PER_SECOND = 16;

/** What a {@linkcode Membership} is made of. */
export interface MembershipConfig {
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly peerTimeout: number;
  readonly maxPeers: number;
  readonly clock: Clock;
  /** Whether a node heard from `source` may be at `endpoint`. */
  readonly mayBeAt: (endpoint: Endpoint, source: Endpoint) => boolean;
  /** Sends the node's heartbeat to one peer, or to everybody. */
  readonly announce: (to?: KnownPeer) => void;
  /** Called with each heartbeat that is sent to everybody: at intervals. */
  readonly onBeat: () => void;
  /** A peer is not there any more. */
  readonly onGone: (id: string) => void;
  readonly emit: (event: MeshEvent) => void;
}

/** Announces the node at intervals, answers newcomers at once, and forgets the silent. */
export class Membership {
  /** Heartbeats that were turned away: of newcomers to a full table, or with nowhere to reach the sender. */
  refused = 0;
  /** When a node that does not speak the extension was last turned away, by the node's clock. */
  refusedAt: number = -Infinity;
  readonly #config: MembershipConfig;
  readonly #peers: PeerTable;
  readonly #answers: RateLimit;
  readonly #refusals: RateLimit;
  readonly #moves: RateLimit;
  #timer: Timer | undefined;

  constructor(config: MembershipConfig) {
    const { clock, maxPeers, peerTimeout, mayBeAt, emit, onGone } = config;
    this.#config = config;
    this.#answers = new RateLimit(clock, ANSWERS_PER_SECOND, ANSWERS_PER_SECOND);
    this.#refusals = new RateLimit(clock, 1, 1);
    this.#moves = new RateLimit(clock, MOVES_PER_SECOND, MOVES_PER_SECOND);
    this.#peers = new PeerTable({
      capacity: maxPeers,
      timeout: peerTimeout,
      clock,
      mayBeAt,
      onExpired: (peer) => {
        onGone(peer.id);
        emit({ type: "peerLeft", peer, reason: "expired" });
      },
    });
  }

  /** Who is there. */
  get peers(): PeerTable {
    return this.#peers;
  }

  /** Sends the first heartbeat, and the others at intervals. */
  start(): void {
    const { announce, clock, heartbeat, onBeat } = this.#config;
    onBeat();
    announce();
    this.#timer = clock.setTimer(() => this.start(), heartbeat);
  }

  /** Notes the heartbeat of another node; `extended` when it speaks the extension. */
  hear(id: string, advertised: string, source: Endpoint, extended = false): void {
    const { announce, emit } = this.#config;
    const heard = this.#peers.hear(id, advertised, source, extended);
    if (heard === "refused") {
      this.refused++;
      if (!extended) this.refusedAt = this.#config.clock.now();
      if (this.#refusals.allow()) {
        emit({ type: "peerRefused", peer: { id, address: this.#peers.locate(advertised, source).address } });
      }
      return;
    }
    const peer = this.#peers.get(id);
    if (heard === "known" || peer === undefined) return;
    const shown = { id, address: peer.address };
    if (heard === "joined") {
      if (this.#answers.allow()) announce(peer);
      emit({ type: "peerJoined", peer: shown });
    } else if (this.#moves.allow()) emit({ type: "peerMoved", peer: shown });
  }

  /** A peer has said that it leaves. */
  leave(id: string): void {
    const { emit, onGone } = this.#config;
    const peer = this.#peers.remove(id);
    if (peer === undefined) return;
    onGone(id);
    emit({ type: "peerLeft", peer: { id, address: peer.address }, reason: "left" });
  }

  /** Sends no more heartbeats. */
  stop(): void {
    this.#timer?.cancel();
  }

  /** Sends no more heartbeats and forgets everybody. */
  close(): void {
    this.stop();
    this.#peers.clear();
  }
}
