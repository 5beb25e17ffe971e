/**
 * How far a cache that follows a mesh can be trusted right now.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import type { PeerStream } from "./peer_stream.ts";
import type { PeerStreams } from "./peer_streams.ts";
import type { PeerTable } from "./peer_table.ts";

/**
 * - `current`: everything that is known to exist has arrived.
 * - `repairing`: something is missing and has been asked for, or it is not known yet whether something is.
 * - `doubt`: nothing was heard for more than two heartbeats: something may be missing that nobody knows of.
 */
export type MeshState = "current" | "repairing" | "doubt";

/** What is known of one peer. */
export interface PeerStatus {
  /** Its node id. */
  readonly id: string;
  /** Its address, `host:port`; absent when no heartbeat of it was heard yet. */
  readonly address: string | undefined;
  /** As for the mesh; `plain` when it does not speak the extension, as Go nodes: nobody can know what it has lost. */
  readonly state: MeshState | "plain";
  /** How long it has been in this state, in milliseconds. */
  readonly stateFor: number;
  /** Everything up to the datagram with this number has arrived, or is a gap that is told of within 100 ms. */
  readonly position: number;
  /** How many datagrams are missing and may still come. */
  readonly missing: number;
  /** Milliseconds for which an invalidation of it could be outstanding by now; `Infinity` for a plain peer. */
  readonly staleness: number;
}

/** What is known of the mesh. */
export interface MeshStatus {
  /** The worst of the peers that speak the extension; `current` without any. */
  readonly state: MeshState;
  /** The longest of these peers, in milliseconds, 0 without any. See {@linkcode PeerStatus.staleness}. */
  readonly staleness: number;
  /** One for each peer that is there; when none is, those that were lost in the last hour. */
  readonly peers: readonly PeerStatus[];
}

/** What {@linkcode meshStatus} looks at. */
export interface StatusConfig {
  readonly clock: Clock;
  readonly heartbeat: number;
  readonly quietTimeout: number;
  /** Absent when the node speaks the original's wire only: then every peer is plain. */
  readonly streams: PeerStreams | undefined;
  /** When a plain newcomer was last turned away, by the clock. */
  readonly refusedAt: number;
  readonly peers: PeerTable;
}

/** Heartbeats of silence after which a peer is in doubt: one may be lost, and another be late. */
export const DOUBT_AFTER = 2;

const BY_WEIGHT: readonly MeshState[] = ["current", "repairing", "doubt"];

/** Works the status out, in a time that grows with the number of peers. */
export function meshStatus(config: StatusConfig): MeshStatus {
  const { clock, streams, peers, quietTimeout } = config;
  const now = clock.now();
  const list: PeerStatus[] = [];
  const lost: PeerStatus[] = [];
  for (const stream of streams?.all ?? []) {
    if (stream.leftAt === undefined) (stream.lostAt === undefined ? list : lost).push(statusOf(stream, now, config));
  }
  // Who has lost all others at once is more likely cut off than the last that lives.
  if (list.length === 0) list.push(...lost);
  for (const { id, address, extended, joinedAt } of peers.all()) {
    if (extended && streams !== undefined) continue;
    const stateFor = now - joinedAt;
    list.push({ id, address, state: "plain", stateFor, position: 0, missing: 0, staleness: Infinity });
  }
  let heaviest = 0;
  for (const { state } of list) heaviest = Math.max(heaviest, BY_WEIGHT.indexOf(state as MeshState));
  // A newcomer that there was no room for is followed by nobody.
  const refusedAt = Math.max(config.refusedAt, streams?.refusedAt ?? -Infinity);
  const unfollowed = now - refusedAt < quietTimeout ? Infinity : 0;
  return {
    state: BY_WEIGHT[heaviest] as MeshState,
    staleness: list.reduce((longest, { staleness }) => Math.max(longest, staleness), unfollowed),
    peers: list,
  };
}

function statusOf(stream: PeerStream, now: number, { heartbeat, peers }: StatusConfig): PeerStatus {
  const { id, window, heardAt, settledAt, changedAt, isSettled } = stream;
  const doubtAt = heardAt + DOUBT_AFTER * heartbeat;
  const isSilent = now > doubtAt;
  return {
    id,
    address: peers.get(id)?.address,
    state: isSilent ? "doubt" : isSettled ? "current" : "repairing",
    stateFor: now - (isSilent ? doubtAt : changedAt),
    position: window.settled,
    missing: window.missing,
    staleness: now - settledAt,
  };
}
