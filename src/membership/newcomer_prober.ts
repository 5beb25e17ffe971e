/**
 * Nodes that are heard for the first times in a large mesh: a few of its nodes ask where they are.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import type { PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { ResponseSuppression } from "./response_suppression.ts";

/** What {@linkcode NewcomerProber} are made of. The callback MUST NOT throw. */
export interface NewcomerProberConfig {
  readonly clock: Clock;
  readonly suppression: ResponseSuppression;
  readonly peers: PeerTable;
  /** Nobody else was quicker. */
  readonly onTurn: (entry: PeerEntry) => void;
}

/** Those that this node asks when their time has come, unless they have asked or answered by then. */
export class NewcomerProber {
  readonly #config: NewcomerProberConfig;
  readonly #waiting = new Map<PeerEntry, Timer>();

  constructor(config: NewcomerProberConfig) {
    this.#config = config;
  }

  /** One was heard that was never asked, and so many times before. */
  hear(entry: PeerEntry, times: number): void {
    const { clock, suppression } = this.#config;
    if (this.#waiting.has(entry) || !suppression.isChosen(times)) return;
    this.#waiting.set(entry, clock.setTimer(() => this.#due(entry), suppression.delay()));
  }

  /** Asks nobody any more. */
  close(): void {
    for (const timer of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }

  #due(entry: PeerEntry): void {
    const { onTurn, peers } = this.#config;
    this.#waiting.delete(entry);
    if (peers.get(entry.id) === entry && !entry.isValidated && entry.validation.challengesSent === 0) onTurn(entry);
  }
}
