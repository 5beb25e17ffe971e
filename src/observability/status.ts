/**
 * Status: how complete and how fresh the data that this node has received from its peers is right now.
 *
 * @module
 */

import type { LostPeer } from "../membership/departed_peers.ts";
import { DOUBT_AFTER } from "../membership/failure_detector.ts";
import type { PeerTable } from "../membership/peer_table.ts";
import type { Clock } from "../platform/clock.ts";
import { withJson } from "../platform/json_numbers.ts";
import type { LoopStall } from "../reliability/event_loop_monitor.ts";
import type { ReceiveStream } from "../reliability/receive_stream.ts";
import type { ReceiveStreams } from "../reliability/receive_streams.ts";

/**
 * How far a cache that follows the mesh can be trusted:
 *
 * - `current`: everything that is known to have been published has arrived, and subscribers have been called with it.
 * - `partial`: the same, but some peers were lost and have neither returned nor been replaced. They have crashed, or
 *   the network is partitioned, and what they publish does not arrive. Only for the mesh as a whole.
 * - `repairing`: something is missing and a NAK asks for it, or it is not known yet whether something is missing.
 * - `doubt`: nothing was heard for more than two heartbeats, or since the machine was suspended. Something may be
 *   missing that nobody knows of.
 */
export type MeshState = "current" | "partial" | "repairing" | "doubt";

/** What is known of one peer. */
export interface PeerStatus {
  /** The peer's node id. */
  readonly id: string;
  /** The peer's address, `host:port`; absent before its first heartbeat, and after it was lost and replaced. */
  readonly address: string | undefined;
  /**
   * The same states as for the mesh; `plain` when the peer does not speak the extension, as Go nodes: nobody can know
   * which of its datagrams were lost.
   */
  readonly state: Exclude<MeshState, "partial"> | "plain";
  /** How long the peer has been in this state, in milliseconds. */
  readonly stateFor: number;
  /** Sequence number up to which every datagram has arrived, or is part of a gap that is reported within 100 ms. */
  readonly position: number;
  /** Number of datagrams that are missing and may still be retransmitted. */
  readonly missing: number;
  /**
   * Longest time, in milliseconds, for which an invalidation of this peer may have been outstanding by now. `Infinity`
   * for a plain peer, which JSON has as 9007199254740991.
   */
  readonly staleness: number;
}

/** What is known of the mesh. */
export interface MeshStatus {
  /**
   * The worst state of the peers that speak the extension and have a validated path; `partial` when peers were lost and
   * no state is worse; `current` without any.
   */
  readonly state: MeshState;
  /**
   * The largest {@linkcode PeerStatus.staleness} of these peers, in milliseconds; 0 without any. It is `Infinity` with
   * `wire: "go-warp"`, after `close`, and for `peerTimeout` after a node with a validated path was refused because
   * `maxPeers` were known.
   *
   * JSON has no `Infinity`, and a null exceeds no limit. So `JSON.stringify` of a status, and of each of its peers,
   * writes the number 9007199254740991 (`Number.MAX_SAFE_INTEGER`) instead, which is 285,000 years. A
   * copy (`{ ...status }`) does not.
   */
  readonly staleness: number;
  /** One entry for each present peer; when there is none, for those that were lost. */
  readonly peers: readonly PeerStatus[];
  /**
   * Peers that were lost and have neither returned nor been replaced by a new node. They are probed again and again.
   */
  readonly lost: readonly LostPeer[];
  /**
   * Number of peers that speak go-warp's wire format only. Nobody can know what is lost on the way from them, so it is
   * part of no `staleness`.
   */
  readonly plain: number;
}

/** What {@linkcode meshStatus} reads. */
export interface StatusConfig {
  readonly clock: Clock;
  readonly heartbeat: number;
  readonly peerTimeout: number;
  /** Absent when the node speaks go-warp's wire format only: every peer is plain then. */
  readonly streams: ReceiveStreams | undefined;
  /** When a node with a validated path was last refused, by the clock. */
  readonly refusedAt: number;
  readonly peers: PeerTable;
  readonly lost: readonly LostPeer[];
  /** How long the oldest received key has waited for its callback, in milliseconds; `undefined` when none waits. */
  readonly waiting: number | undefined;
  /**
   * A stall of the event loop or suspension of the machine that the node has not handled yet: datagrams heard since
   * then may have come at any time.
   */
  readonly loopStall: LoopStall | undefined;
}

/**
 * Time, in milliseconds, for which datagrams that a peer holds back count as being on their way. Shorter stalls are not
 * noticed either.
 */
const MAX_UNNOTICED_STALL = 500;

const BY_SEVERITY: readonly MeshState[] = ["current", "partial", "repairing", "doubt"];

/** Computes the status in time proportional to the number of peers. */
export function meshStatus(config: StatusConfig): MeshStatus {
  const { clock, streams, peers, lost, peerTimeout, refusedAt, waiting } = config;
  const now = clock.now();
  const list: PeerStatus[] = [];
  for (const stream of streams?.all ?? []) {
    if (stream.isValidated && !stream.isDeparted) list.push(statusOf(stream, now, config));
  }
  // A node that has lost all peers at once is more likely cut off than the only one alive.
  if (list.length === 0) {
    for (const { id } of lost) {
      const stream = streams?.get(id);
      if (stream !== undefined) list.push(statusOf(stream, now, config));
    }
  }
  let worst = lost.length > 0 ? BY_SEVERITY.indexOf("partial") : 0;
  // Nobody follows the stream of a node that was refused for lack of room.
  let staleness = streams === undefined || now - refusedAt < peerTimeout ? Infinity : waiting ?? 0;
  // Keys that wait for their callbacks may be of a node that has left.
  if (waiting !== undefined) worst = BY_SEVERITY.indexOf("repairing");
  for (const peer of list) {
    worst = Math.max(worst, BY_SEVERITY.indexOf(peer.state as MeshState));
    staleness = Math.max(staleness, peer.staleness);
  }
  let plain = 0;
  for (const { id, address, extended, joinedAt, isJoined } of peers.all()) {
    if (!isJoined || (extended && streams !== undefined)) continue;
    const stateFor = now - joinedAt;
    list.push(withJson({ id, address, state: "plain", stateFor, position: 0, missing: 0, staleness: Infinity }));
    plain++;
  }
  const status = { state: BY_SEVERITY[worst] as MeshState, staleness, peers: list, lost, plain };
  return staleness === Infinity ? withJson(status) : status;
}

/** The status of a node that receives nothing. */
export function deafStatus(): MeshStatus {
  return withJson({ state: "doubt", staleness: Infinity, peers: [], lost: [], plain: 0 });
}

function statusOf(
  stream: ReceiveStream,
  now: number,
  { heartbeat, peers, lost, waiting, loopStall }: StatusConfig,
): PeerStatus {
  const { id, window, heardAt, settledAt, changedAt, pending, stall } = stream;
  const { since = Infinity, suspended = 0 } = loopStall ?? {};
  // A key that waits for its callback has not reached its subscriber yet.
  const isSettled = stream.isSettled && pending <= MAX_UNNOTICED_STALL && waiting === undefined;
  const isUnheard = suspended > 0 || stall?.isDoubt === true;
  const doubtAt = Math.min(heardAt + DOUBT_AFTER * heartbeat, isUnheard ? stall?.from ?? since : Infinity);
  const isSilent = now > doubtAt;
  return {
    id,
    address: (peers.get(id) ?? lost.find((peer) => peer.id === id))?.address,
    state: isSilent ? "doubt" : isSettled ? "current" : "repairing",
    stateFor: now - (isSilent ? doubtAt : changedAt),
    position: window.settled,
    missing: stream.isDeparted ? 0 : window.missing,
    staleness: Math.max(now - Math.min(settledAt - suspended, since), waiting ?? 0),
  };
}
