/**
 * Leaving peers: the peers in whose name a leave came a short while ago.
 *
 * Anybody can forge a leave, so the peer was challenged. One that is still there responds, and is a peer again.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import type { AcknowledgingPeer, AcknowledgingPeers } from "../pubsub/quorum.ts";

/**
 * How long a peer that has left is awaited, in milliseconds: it may respond meanwhile. A round trip takes less, and an
 * event loop is rarely blocked for so long.
 */
const RESPONSE_TIME = 500;

/** Counts a peer that leaves among those that acknowledge, until it can be said to have left. */
export class LeavingPeers<P extends AcknowledgingPeer> {
  readonly #clock: Clock;
  readonly #leaving = new Map<string, { readonly peer: P; readonly timer: Timer }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A leave came. `onSilent` is called when the peer had the time to respond. */
  add(peer: P, onSilent: () => void): void {
    const { id } = peer;
    this.delete(id);
    const timer = this.#clock.setTimer(() => {
      this.#leaving.delete(id);
      onSilent();
    }, RESPONSE_TIME);
    this.#leaving.set(id, { peer, timer });
  }

  /** It is lost: nobody waits for its response. */
  delete(id: string): void {
    this.#leaving.get(id)?.timer.cancel();
    this.#leaving.delete(id);
  }

  /** `peers`, and those that are leaving. */
  with(peers: AcknowledgingPeers<P>): AcknowledgingPeers<P> {
    if (this.#leaving.size === 0) return peers;
    const all = [...peers.all];
    for (const [id, { peer }] of this.#leaving) if (!peers.ids.has(id)) all.push(peer);
    return { all, ids: new Set(all.map(({ id }) => id)) };
  }

  /** Nobody is waited for any more. */
  close(): void {
    for (const { timer } of this.#leaving.values()) timer.cancel();
    this.#leaving.clear();
  }
}
