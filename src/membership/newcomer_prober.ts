/**
 * Nodes that are heard for the first times in a large mesh: a few of its nodes ask where they are.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import type { PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { Crowd } from "./response_suppression.ts";

/** What {@linkcode Newcomers} are made of. The callback MUST NOT throw. */
export interface NewcomersConfig {
  readonly clock: Clock;
  readonly crowd: Crowd;
  readonly peers: PeerTable;
  /** Nobody else was quicker. */
  readonly onTurn: (entry: PeerEntry) => void;
}

/** Those that this node asks when their time has come, unless they have asked or answered by then. */
export class Newcomers {
  readonly #config: NewcomersConfig;
  readonly #waiting = new Map<PeerEntry, Timer>();

  constructor(config: NewcomersConfig) {
    this.#config = config;
  }

  /** One was heard that was never asked. */
  hear(entry: PeerEntry): void {
    const { clock, crowd } = this.#config;
    const times = entry.calls++;
    if (this.#waiting.has(entry) || !crowd.isChosen(times)) return;
    this.#waiting.set(entry, clock.setTimer(() => this.#due(entry), crowd.delay()));
  }

  /** Asks nobody any more. */
  close(): void {
    for (const timer of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }

  #due(entry: PeerEntry): void {
    const { onTurn, peers } = this.#config;
    this.#waiting.delete(entry);
    if (peers.get(entry.id) === entry && !entry.isProven && entry.hellos === 0) onTurn(entry);
  }
}
