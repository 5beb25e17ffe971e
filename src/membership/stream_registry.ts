/**
 * Stream registry: what membership needs of the streams of its peers, and what it reports to them. `Reliability`
 * implements it.
 *
 * @module
 */

import type { Endpoint } from "../platform/endpoint.ts";
import type { KnownPeer } from "./peer.ts";

/**
 * How a peer has departed: `left` when a leave came and it was challenged, as that may be forged, and `unverified` when
 * too many came for a challenge; `lost` when it was silent; `evicted` when it had to make room for another.
 */
export type Departure = "left" | "unverified" | "lost" | "evicted";

/** The streams of the peers. Its methods MUST NOT throw. */
export interface StreamRegistry {
  /** The token for a peer that has answered; absent when there are none. */
  tokenFor(peer: KnownPeer): Uint8Array | undefined;
  /** When anything else than a heartbeat was last heard of a node. */
  heardAt(id: string): number;
  /** Whether the batches of a node are followed. */
  isFollowed(id: string): boolean;
  /** Called with each round of heartbeats. */
  expire(): void;
  /** A peer has answered from where it is reached, `time` milliseconds after the path challenge was sent. */
  validate(id: string, to: Endpoint, time: number): void;
  /** A peer is no longer there. */
  forget(peer: KnownPeer, departure: Departure): void;
}

/** The streams of a node that speaks go-warp's wire only: it follows none. */
export const NO_STREAMS: StreamRegistry = {
  tokenFor: () => undefined,
  heardAt: () => -Infinity,
  isFollowed: () => false,
  expire() {},
  validate() {},
  forget() {},
};
