/**
 * Joining node prober: sends path challenges to joining nodes in a large mesh. A few nodes of the mesh send them, each
 * after a random delay ({@linkcode ResponseSuppression}).
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import type { PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { ResponseSuppression } from "./response_suppression.ts";

/** What a {@linkcode JoiningNodeProber} is made of. The callback MUST NOT throw. */
export interface JoiningNodeProberConfig {
  readonly clock: Clock;
  readonly suppression: ResponseSuppression;
  readonly peers: PeerTable;
  /** The delay is over, and the node was neither validated nor challenged meanwhile. */
  readonly onTurn: (entry: PeerEntry) => void;
}

/** The joining nodes that this node challenges after a delay, unless they have answered or been challenged by then. */
export class JoiningNodeProber {
  readonly #config: JoiningNodeProberConfig;
  readonly #chosen = new Map<PeerEntry, Timer>();

  constructor(config: JoiningNodeProberConfig) {
    this.#config = config;
  }

  /** A node was heard that was never challenged, and that was heard so many times before. */
  onHeartbeat(entry: PeerEntry, times: number): void {
    const { clock, suppression } = this.#config;
    if (this.#chosen.has(entry) || !suppression.isChosen(times)) return;
    this.#chosen.set(entry, clock.setTimer(() => this.#due(entry), suppression.delay()));
  }

  /** Challenges nobody any more. */
  close(): void {
    for (const timer of this.#chosen.values()) timer.cancel();
    this.#chosen.clear();
  }

  #due(entry: PeerEntry): void {
    const { onTurn, peers } = this.#config;
    this.#chosen.delete(entry);
    if (peers.get(entry.id) === entry && !entry.isValidated && entry.validation.challengesSent === 0) onTurn(entry);
  }
}
