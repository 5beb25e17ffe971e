/**
 * What happens to a mesh, besides the events that it carries.
 *
 * @module
 */

import type { CloseReport } from "./close_report.ts";

/** A node that was heard. */
export interface Peer {
  /** Its node id, as a UUID in lower case. */
  readonly id: string;
  /** `host:port` that it advertises, or where it was heard when it advertises no usable one. */
  readonly address: string;
}

/**
 * What to subscribe to: one key, or all keys that begin with `prefix` (`""` is everything). There are no wildcards: `"user:*"`
 * is the key of that name.
 */
export type Topic = string | {
  /** How the keys begin. */
  readonly prefix: string;
};

/** Where something failed. */
export type Stage =
  /** A datagram could not be sent. The mesh goes on; the counter is `sendErrors`. */
  | "send"
  /** A socket could not receive. The mesh goes on unless it becomes unhealthy; the counter is `receiveErrors`. */
  | "receive"
  /** A callback of a subscription or of `mesh.events` threw or rejected; the counter is `callbackErrors`. */
  | "callback"
  /** A seed could not be looked up. It is tried again. The counter is `resolveErrors`. */
  | "resolve"
  /** The group could not be joined on an interface, or a socket not be bound there. It is tried again each second. */
  | "interface"
  /** Another node has the id of this one, which has taken too many others of late: what either publishes may be lost. */
  | "identity"
  /**
   * A topic or prefix ends in `*`, which is no wildcard: nearly always a mistake. The subscription is there, for the key that
   * ends so, or the keys that begin so.
   */
  | "subscribe"
  /** The mesh could not be closed cleanly. */
  | "close";

/**
 * Why what a node published can not be had:
 *
 * - `overwritten`: it does not hold it any more: too much was lost, or the way to it was cut, for too long.
 * - `lost`: nothing was heard of it for `peerTimeout`, and it has not said that it leaves.
 * - `left`: it has left before all was repaired.
 * - `late`: it was heard for `maxRepairTime`, and something was missing all that time.
 * - `reused`: it has given these numbers twice. Two nodes have one id, as two clones of a machine, or a process was set back to
 *   what it was before, as a machine that is restored from an image: what came second was taken for copies. `node` may be the
 *   id that this node had itself.
 */
export type GapReason = "overwritten" | "lost" | "left" | "late" | "reused";

/** What happened, told apart by `type`. */
export type MeshEvent =
  /** The mesh is open. `adapter` is the runtime's own unless a `fallback` event says why not. */
  | {
    readonly type: "opened";
    readonly nodeId: string;
    readonly address: string;
    readonly adapter: string;
    readonly multicast: boolean;
  }
  /** The runtime's own socket cannot do what the options ask, so `adapter` is used; `reason` says what it cannot. */
  | { readonly type: "fallback"; readonly adapter: string; readonly reason: string }
  /** This runtime cannot do what `option` asks, and the mesh works without it. */
  | { readonly type: "unsupported"; readonly option: string; readonly adapter: string }
  /** This host has no multicast on the interface in question: the mesh reaches its seeds and their answers only. */
  | { readonly type: "multicastUnavailable"; readonly error: Error }
  /** An interface is not there yet and waited for: the one of this name or address, or, without a name, any. */
  | { readonly type: "interfaceMissing"; readonly name: string | undefined }
  /** The node takes part on an interface that was not there before, or not with this address. */
  | { readonly type: "interfaceJoined"; readonly name: string | undefined; readonly address: string }
  /** An interface that the node used is gone, or has another address. */
  | { readonly type: "interfaceGone"; readonly name: string | undefined; readonly address: string }
  /** The node advertises another address than before, as that of its host has changed. */
  | { readonly type: "addressChanged"; readonly address: string }
  /**
   * The node has another id than before: another node had the same, or it was set back itself, as by restoring an image of its
   * machine. Peers and own subscriptions get a gap. At most three times at once and an hour; then it is an `error` event.
   */
  | { readonly type: "identityChanged"; readonly from: string; readonly to: string }
  /** A node has answered for the first time, or again after it was gone; or one was heard that answers nothing, as Go nodes. */
  | { readonly type: "peerJoined"; readonly peer: Peer }
  /** A peer advertises another address than before. At most 16 events a second. */
  | { readonly type: "peerMoved"; readonly peer: Peer }
  /**
   * A peer is no longer there: nothing was heard of it for `peerTimeout`, it has said that it leaves, or another node
   * answers from its address, as of a process that was started again.
   */
  | { readonly type: "peerLeft"; readonly peer: Peer; readonly reason: "expired" | "left" | "replaced" }
  /**
   * Datagrams of the node with this id have not arrived and can not be had: those with the numbers `from` to `to`, or all
   * from `from` on when nobody knows the end. Every subscription gets an event with the cause `"gap"`.
   */
  | {
    readonly type: "gap";
    readonly node: string;
    readonly from: number;
    readonly to: number | undefined;
    readonly reason: GapReason;
  }
  /**
   * Datagrams longer than `size` bytes do not reach a peer, and smaller ones do: the path to it is narrower than usual, as
   * through a tunnel, and nobody says so. Batches are cut at that size from now on; a single key that is longer still goes
   * as it is, and becomes a gap there. With `size` 1,400 all arrive again.
   */
  | { readonly type: "pathLimited"; readonly peer: Peer; readonly size: number }
  /**
   * The event loop stood still for `duration` milliseconds, longer than a heartbeat and than 0.5 s, and the system may have
   * dropped what came meanwhile; or the machine was suspended for a second or more, by the clock of the wall. Looked for four
   * times a second: up to 250 ms of `duration` may have been before it. Every subscription gets an event with the cause
   * `"gap"`. Not with `wire: "go-warp"`.
   */
  | { readonly type: "stalled"; readonly duration: number }
  /**
   * A callback of a subscription to `topic` took `duration` milliseconds, more than 5. Nothing else of the process ran
   * meanwhile, and keys may wait. At most one event a second: `suppressed` is how many slow calls were not reported since
   * the last one. The counter is `slowCallbacks`.
   */
  | {
    readonly type: "slowCallback";
    readonly topic: Topic;
    readonly duration: number;
    readonly suppressed: number;
  }
  /** A newcomer was turned away as `maxPeers` are known already. At most one event a second; the counter is `peersRefused`. */
  | { readonly type: "peerRefused"; readonly peer: Peer }
  /**
   * Copies of batches to Go nodes are beyond their share, and `refused` of them were not sent since the last such event: at
   * most one a second, so the first of a burst says 1 mostly. Those of nodes that were not heard for long share 256 a second,
   * those of others 10,000. A Go node that hears the group has lost nothing by it. `copiesRefused` counts them all.
   */
  | { readonly type: "copiesLimited"; readonly refused: number }
  /**
   * Something failed that nobody waits for. For each stage at most one event a second: `suppressed` is how many failures
   * of this stage were not reported since the last one. The counters in `metrics()` have them all, but for the stages
   * `"close"`, `"interface"` and `"subscribe"`.
   */
  | { readonly type: "error"; readonly stage: Stage; readonly error: Error; readonly suppressed: number }
  /** The mesh is closed: the last event. `report` is what `close` resolves to. */
  | { readonly type: "closed"; readonly report: CloseReport };
