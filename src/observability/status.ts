/**
 * How far a cache that follows a mesh can be trusted right now.
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
 * - `current`: everything that is known to exist has arrived, and subscribers have been called with it.
 * - `partial`: so it has, but peers were lost that have neither come back nor been replaced. They have crashed,
 *   or the network is cut, and what they publish does not come. Of the mesh only.
 * - `repairing`: something is missing and has been asked for, or it is not known yet whether something is.
 * - `doubt`: nothing was heard for more than two heartbeats, or since the machine was suspended: something may be missing that
 *   nobody knows of.
 */
export type MeshState = "current" | "partial" | "repairing" | "doubt";

/** What is known of one peer. */
export interface PeerStatus {
  /** Its node id. */
  readonly id: string;
  /** Its address, `host:port`; absent when no heartbeat of it was heard yet, or it was lost and replaced. */
  readonly address: string | undefined;
  /** As for the mesh; `plain` when it does not speak the extension, as Go nodes: nobody can know what it has lost. */
  readonly state: Exclude<MeshState, "partial"> | "plain";
  /** How long it has been in this state, in milliseconds. */
  readonly stateFor: number;
  /** Everything up to the datagram with this number has arrived, or is a gap that is told of within 100 ms. */
  readonly position: number;
  /** How many datagrams are missing and may still come. */
  readonly missing: number;
  /**
   * Milliseconds for which an invalidation of it could be outstanding by now; `Infinity` for a plain peer, which JSON has as
   * 9007199254740991.
   */
  readonly staleness: number;
}

/** What is known of the mesh. */
export interface MeshStatus {
  /** The worst of the peers that speak the extension and have answered; `current` without any, and when none was lost. */
  readonly state: MeshState;
  /**
   * The longest of these peers, in milliseconds, 0 without any. See {@linkcode PeerStatus.staleness}. `Infinity` with
   * `wire: "go-warp"`, after `close`, and for `peerTimeout` after a node that has answered was turned away, as `maxPeers` were
   * known.
   *
   * JSON has no `Infinity`, and a null is above no limit: `JSON.stringify` of a status, and of each of its peers, writes the
   * number 9007199254740991 (`Number.MAX_SAFE_INTEGER`) instead, 285,000 years. A copy (`{ ...status }`) does not.
   */
  readonly staleness: number;
  /** One for each peer that is there; when none is, those that were lost. */
  readonly peers: readonly PeerStatus[];
  /** Peers that were lost, and have not come back, and that no newcomer has replaced. They are asked again and again. */
  readonly lost: readonly LostPeer[];
  /** How many peers speak the original's wire only. What is lost on the way from them nobody can know: it is in no `staleness`. */
  readonly plain: number;
}

/** What {@linkcode meshStatus} looks at. */
export interface StatusConfig {
  readonly clock: Clock;
  readonly heartbeat: number;
  readonly peerTimeout: number;
  /** Absent when the node speaks the original's wire only: then every peer is plain. */
  readonly streams: ReceiveStreams | undefined;
  /** When a node that has answered was last turned away, by the clock. */
  readonly refusedAt: number;
  readonly peers: PeerTable;
  readonly lost: readonly LostPeer[];
  /** For how long the oldest key that has arrived waits for its callback, in milliseconds; `undefined` for none. */
  readonly waiting: number | undefined;
  /** What has stood still, and was not noticed yet: what was heard since then may have come at any time. */
  readonly loopStall: LoopStall | undefined;
}

/** What a peer holds back for no longer than that is on its way, in milliseconds: shorter stalls are not noticed either. */
const HELD_BACK = 500;

const BY_WEIGHT: readonly MeshState[] = ["current", "partial", "repairing", "doubt"];

/** Works the status out, in a time that grows with the number of peers. */
export function meshStatus(config: StatusConfig): MeshStatus {
  const { clock, streams, peers, lost, peerTimeout, refusedAt, waiting } = config;
  const now = clock.now();
  const list: PeerStatus[] = [];
  for (const stream of streams?.all ?? []) {
    if (stream.isValidated && !stream.isGone) list.push(statusOf(stream, now, config));
  }
  // Who has lost all others at once is more likely cut off than the last that lives.
  if (list.length === 0) {
    for (const { id } of lost) {
      const stream = streams?.get(id);
      if (stream !== undefined) list.push(statusOf(stream, now, config));
    }
  }
  let heaviest = lost.length > 0 ? BY_WEIGHT.indexOf("partial") : 0;
  // A newcomer that there was no room for is followed by nobody.
  let staleness = streams === undefined || now - refusedAt < peerTimeout ? Infinity : waiting ?? 0;
  // What waits for its callback may be of a node that has left.
  if (waiting !== undefined) heaviest = BY_WEIGHT.indexOf("repairing");
  for (const peer of list) {
    heaviest = Math.max(heaviest, BY_WEIGHT.indexOf(peer.state as MeshState));
    staleness = Math.max(staleness, peer.staleness);
  }
  let plain = 0;
  for (const { id, address, extended, joinedAt, isJoined } of peers.all()) {
    if (!isJoined || (extended && streams !== undefined)) continue;
    const stateFor = now - joinedAt;
    list.push(withJson({ id, address, state: "plain", stateFor, position: 0, missing: 0, staleness: Infinity }));
    plain++;
  }
  const status = { state: BY_WEIGHT[heaviest] as MeshState, staleness, peers: list, lost, plain };
  return staleness === Infinity ? withJson(status) : status;
}

/** Of a node that hears nothing. */
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
  // What has come and waits for its callback is not there yet for whom it is for.
  const isSettled = stream.isSettled && pending <= HELD_BACK && waiting === undefined;
  const isUnheard = suspended > 0 || stall?.isDoubt === true;
  const doubtAt = Math.min(heardAt + DOUBT_AFTER * heartbeat, isUnheard ? stall?.from ?? since : Infinity);
  const isSilent = now > doubtAt;
  return {
    id,
    address: (peers.get(id) ?? lost.find((peer) => peer.id === id))?.address,
    state: isSilent ? "doubt" : isSettled ? "current" : "repairing",
    stateFor: now - (isSilent ? doubtAt : changedAt),
    position: window.settled,
    missing: stream.isGone ? 0 : window.missing,
    staleness: Math.max(now - Math.min(settledAt - suspended, since), waiting ?? 0),
  };
}
