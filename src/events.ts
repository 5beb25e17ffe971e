/**
 * Events of a mesh, besides the keys that it carries.
 *
 * @module
 */

import type { CloseReport } from "./close_report.ts";

/** A node that is known to this one. */
export interface Peer {
  /** Its node id, a UUID in lower case. */
  readonly id: string;
  /** The `host:port` that it advertises, or the source of its heartbeats when it advertises no usable one. */
  readonly address: string;
}

/**
 * A topic to subscribe to: one key, or all keys that begin with `prefix` (`""` is every key). There are no wildcards:
 * `"user:*"` is the key of that name.
 */
export type Topic = string | {
  /** The beginning of the keys. */
  readonly prefix: string;
};

/** The part of a mesh in which something failed. */
export type Stage =
  /** A datagram could not be sent. The mesh goes on; the counter is `sendErrors`. */
  | "send"
  /** A socket could not receive. The mesh goes on unless it becomes unhealthy; the counter is `receiveErrors`. */
  | "receive"
  /** A callback of a subscription or of `mesh.events` threw or rejected; the counter is `callbackErrors`. */
  | "callback"
  /** A seed could not be looked up. It is tried again; the counter is `resolveErrors`. */
  | "resolve"
  /**
   * The group could not be joined on an interface, or a socket could not be bound there. It is tried again each second.
   */
  | "interface"
  /**
   * Another node has the same id as this one, which has changed its own too often of late: what either publishes may be
   * lost.
   */
  | "identity"
  /**
   * A topic or prefix ends in `*`, which is no wildcard: nearly always a mistake. The subscription is made, for the key
   * or the keys with exactly that text.
   */
  | "subscribe"
  /** The mesh could not be closed cleanly. */
  | "close";

/**
 * Why batches of a node cannot be had any more:
 *
 * - `overwritten`: the node no longer holds them. Too much was lost, or the path to it was cut, for too long.
 * - `lost`: the node was not heard for `peerTimeout`, and has not said that it leaves.
 * - `left`: the node has left before all was retransmitted.
 * - `late`: the node was heard for `maxRepairTime`, and something was missing all that time.
 * - `reused`: the node has given these numbers twice. Two nodes have one id, such as two clones of a machine, or a
 *   process was set back to an earlier state, such as by restoring an image of its machine; the second batches were
 *   taken for copies of the first. `node` may be an id that this node had itself.
 */
export type GapReason = "overwritten" | "lost" | "left" | "late" | "reused";

/** An event of a mesh. `type` says what happened. */
export type MeshEvent =
  /** The mesh is open. `adapter` is the runtime's own unless a `fallback` event says why not. */
  | {
    readonly type: "opened";
    readonly nodeId: string;
    readonly address: string;
    readonly adapter: string;
    readonly multicast: boolean;
  }
  /** The runtime's own socket cannot do what the options ask, so `adapter` is used. `reason` says what it cannot do. */
  | { readonly type: "fallback"; readonly adapter: string; readonly reason: string }
  /** This runtime cannot do what `option` asks. The mesh works without it. */
  | { readonly type: "unsupported"; readonly option: string; readonly adapter: string }
  /**
   * This host has no multicast on the interface in question: the mesh reaches only its seeds and the nodes that it
   * learns of through them.
   */
  | { readonly type: "multicastUnavailable"; readonly error: Error }
  /** An interface is missing and waited for: the one of this name or address, or, without a name, any interface. */
  | { readonly type: "interfaceMissing"; readonly name: string | undefined }
  /** The node takes part on an interface that was not there before, or had another address. */
  | { readonly type: "interfaceJoined"; readonly name: string | undefined; readonly address: string }
  /** An interface that the node used is gone, or has another address. */
  | { readonly type: "interfaceGone"; readonly name: string | undefined; readonly address: string }
  /** The node advertises another address than before, as that of its host has changed. */
  | { readonly type: "addressChanged"; readonly address: string }
  /**
   * The node has another id than before: another node had the same id, or this one was set back to an earlier state
   * itself, such as by restoring an image of its machine. Peers and the node's own subscriptions get a gap. At most
   * three times at once and three an hour; beyond that it is an `error` event.
   */
  | { readonly type: "identityChanged"; readonly from: string; readonly to: string }
  /**
   * A node has become a peer: it has responded to a path challenge for the first time, or again after it had departed.
   * A Go node, which responds to nothing, becomes one when it is heard.
   */
  | { readonly type: "peerJoined"; readonly peer: Peer }
  /** A peer advertises another address than before. At most 16 events a second. */
  | { readonly type: "peerMoved"; readonly peer: Peer }
  /**
   * A peer has departed. `expired`: it was not heard for `peerTimeout`. `left`: it has said that it leaves. `replaced`:
   * another node responds at its address, such as a process that was started again.
   */
  | { readonly type: "peerLeft"; readonly peer: Peer; readonly reason: "expired" | "left" | "replaced" }
  /**
   * Batches of the node with this id have not arrived and cannot be had any more: those with the numbers `from` to
   * `to`, or all from `from` on when the last number is unknown. Every subscription gets an event with the cause
   * `"gap"`.
   */
  | {
    readonly type: "gap";
    readonly node: string;
    readonly from: number;
    readonly to: number | undefined;
    readonly reason: GapReason;
  }
  /**
   * Datagrams longer than `size` bytes do not reach a peer, and smaller ones do: the path to it is narrower than usual,
   * such as through a tunnel, and drops them silently. Batches are limited to that size from now on. A single key that
   * is longer is still sent, and becomes a gap at that peer. With `size` 1,400, all datagrams arrive again.
   */
  | { readonly type: "pathLimited"; readonly peer: Peer; readonly size: number }
  /**
   * The event loop stalled for `duration` milliseconds, longer than a heartbeat and than 0.5 s, and the system may have
   * dropped what arrived meanwhile; or the machine was suspended for a second or more, by the wall clock. It is checked
   * four times a second, so up to 250 ms of `duration` may have passed before the stall. Every subscription gets an
   * event with the cause `"gap"`. Not with `wire: "go-warp"`.
   */
  | { readonly type: "stalled"; readonly duration: number }
  /**
   * A callback of a subscription to `topic` took `duration` milliseconds, more than 5. Nothing else of the process ran
   * meanwhile, and keys may wait. At most one event a second: `suppressed` is the number of slow calls that were not
   * reported since the last one. The counter is `slowCallbacks`.
   */
  | {
    readonly type: "slowCallback";
    readonly topic: Topic;
    readonly duration: number;
    readonly suppressed: number;
  }
  /**
   * A new node was refused as `maxPeers` are known already. At most one event a second; the counter is `peersRefused`.
   */
  | { readonly type: "peerRefused"; readonly peer: Peer }
  /**
   * Copies of batches to Go nodes exceed their rate limit, and `refused` of them were not sent since the last such
   * event. At most one event a second, so the first of a burst mostly says 1. Go nodes that were not heard for long
   * share 256 copies a second, the others 10,000. A Go node that hears the group has lost nothing by it. The counter is
   * `copiesRefused`.
   */
  | { readonly type: "copiesLimited"; readonly refused: number }
  /**
   * Something failed in the background. For each stage at most one event a second: `suppressed` is the number of
   * failures of this stage that were not reported since the last one. The counters in `metrics()` have them all, except
   * for the stages `"close"`, `"interface"` and `"subscribe"`.
   */
  | { readonly type: "error"; readonly stage: Stage; readonly error: Error; readonly suppressed: number }
  /** The mesh is closed. It is the last event. `report` is what `close` resolves to. */
  | { readonly type: "closed"; readonly report: CloseReport };
