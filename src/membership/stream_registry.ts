/**
 * Streams of peers, as membership sees them: what it asks of them, and what it tells them of peers.
 *
 * @module
 */

import type { Endpoint } from "../platform/endpoint.ts";
import type { KnownPeer } from "./peer.ts";

/** The streams of the peers. None of it may throw. */
export interface StreamRegistry {
  /** The token for a peer that has answered; absent when there are none. */
  tokenFor(peer: KnownPeer): Uint8Array | undefined;
  /** When anything else than a heartbeat was last heard of a node. */
  heardAt(id: string): number;
  /** Whether the batches of a node are followed. */
  isFollowed(id: string): boolean;
  /** Called with each round of heartbeats. */
  expire(): void;
  /** A peer has answered from where it is reached, so many milliseconds after it was asked. */
  validate(id: string, to: Endpoint, time: number): void;
  /** A node is not there any more: it is lost, unless it had to make room for another. */
  forget(id: string, isLost: boolean): void;
}

/** Those of a node that speaks the original's wire only: it follows none. */
export const NO_STREAMS: StreamRegistry = {
  tokenFor: () => undefined,
  heardAt: () => -Infinity,
  isFollowed: () => false,
  expire() {},
  validate() {},
  forget() {},
};
