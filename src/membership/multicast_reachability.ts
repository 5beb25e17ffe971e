/**
 * Multicast reachability: which peers this node hears by multicast, and which of them hear this node.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { Extension } from "../wire/extension.ts";
import { MAX_HEARD, PATH_DEAF, PATH_GROUP, PATH_HEARD, SHORT_ID_LENGTH } from "../wire/layout.ts";
import { listsNode } from "../wire/peer_exchange.ts";
import type { MulticastState, PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";

/** Heartbeats for which a peer counts as heard by multicast after one came that way. They come every 0.85 to 1. */
const HEARD_FOR = 1.5;
/**
 * Heartbeats for which a peer counts as hearing this node after its last report, for each heartbeat that its list takes.
 */
const HEARS_FOR = 1.75;
/** Heartbeats that a list takes at least when one of them is full: the peer may hear more nodes than are known here. */
const MIN_LIST_HEARTBEATS = 2;

/** What {@linkcode MulticastReachability} are made of. */
export interface MulticastReachabilityConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
  readonly peers: PeerTable;
}

/**
 * Tracks the multicast paths. A peer that reports that it hears this node's multicast gets no copies by unicast. It has
 * to repeat that report: a peer that does not hear this node any more may not notice.
 */
export class MulticastReachability {
  readonly #config: MulticastReachabilityConfig;

  constructor(config: MulticastReachabilityConfig) {
    this.#config = config;
  }

  /** Notes what a heartbeat of a peer shows of the multicast paths, and what it reports of them. */
  note(entry: PeerEntry, { path, heard }: Extension): void {
    const { clock, nodeId } = this.#config;
    const now = clock.now();
    const multicast: MulticastState = entry.multicast;
    if (path === PATH_GROUP) this.#hear(entry, now);
    else if (path !== undefined) multicast.unicastAt = now;
    if (heard !== undefined) multicast.listsInTurn = heard.length >= MAX_HEARD * SHORT_ID_LENGTH;
    if (path === PATH_HEARD || (heard !== undefined && listsNode(heard, nodeId))) {
      multicast.hearsUsAt = now;
      this.#set(entry, true);
    } else if (path === PATH_DEAF) this.#set(entry, false);
  }

  /**
   * A heartbeat in the name of a peer came from a host that is not known to be its own. The system may send multicast
   * from another address, as from the link-local one with IPv6. It counts once the peer has answered from there.
   */
  noteAlternate(entry: PeerEntry, { path }: Extension, host: string): void {
    if (path !== PATH_GROUP) return;
    const multicast: MulticastState = entry.multicast;
    multicast.alternate = { host, at: this.#config.clock.now() };
  }

  /** A peer has answered a path challenge, from a host that may not have been known to be its own. */
  onAnswer(entry: PeerEntry): void {
    const multicast: MulticastState = entry.multicast;
    const { alternate } = multicast;
    if (alternate === undefined || !entry.isOn(alternate.host)) return;
    multicast.alternate = undefined;
    if (this.#config.clock.now() - alternate.at <= this.#config.heartbeat) this.#hear(entry, alternate.at);
  }

  /** A peer has answered a path challenge. The challenge told it whether its multicast is heard. */
  acknowledged({ multicast }: PeerEntry): void {
    const state: MulticastState = multicast;
    state.isLossUntold = false;
  }

  /** The path that a heartbeat for one peer carries: whether its multicast is heard. */
  pathTo(entry: PeerEntry | undefined): number {
    return entry !== undefined && isHeard(entry) ? PATH_HEARD : PATH_DEAF;
  }

  /** The peers whose multicast is heard. */
  heard(): readonly PeerEntry[] {
    return [...this.#config.peers.all()].filter(isHeard);
  }

  /**
   * Those of them that the next heartbeat lists. When they are too many for one heartbeat they take turns, the
   * validated ones first: the others learn it by path challenges, and may be forged.
   */
  list(): readonly PeerEntry[] {
    const heard = this.heard();
    if (heard.length <= MAX_HEARD) return heard;
    const order = (a: PeerEntry, b: PeerEntry) =>
      Number(b.isValidated) - Number(a.isValidated) || a.multicast.listedAt - b.multicast.listedAt;
    const listed = [...heard].sort(order).slice(0, MAX_HEARD);
    for (const { multicast } of listed) {
      const state: MulticastState = multicast;
      state.listedAt = this.#config.clock.now();
    }
    return listed;
  }

  /**
   * Ends what has not been renewed in time. To be called once the datagrams that have arrived are read. Returns the
   * peers that have to learn that their multicast is not heard any more.
   */
  expire(): readonly PeerEntry[] {
    const { clock, heartbeat, peers } = this.#config;
    const now = clock.now();
    const silent: PeerEntry[] = [];
    for (const entry of peers.all()) {
      const multicast: MulticastState = entry.multicast;
      const heartbeats = multicast.listsInTurn ? Math.max(MIN_LIST_HEARTBEATS, Math.ceil(peers.size / MAX_HEARD)) : 1;
      if (multicast.hearsUs && now - multicast.hearsUsAt > HEARS_FOR * heartbeats * heartbeat) this.#set(entry, false);
      if (isHeard(entry) && now - multicast.groupAt > HEARD_FOR * heartbeat) {
        multicast.groupAt = -Infinity;
        multicast.isLossUntold = entry.isValidated;
      }
      // A suspect learns it by the probes that it gets.
      if (multicast.isLossUntold && entry.liveness.probes === 0) silent.push(entry);
    }
    return silent;
  }

  #hear({ multicast }: PeerEntry, at: number): void {
    const state: MulticastState = multicast;
    state.groupAt = Math.max(state.groupAt, at);
    state.isLossUntold = false;
  }

  #set({ multicast }: PeerEntry, hearsUs: boolean): void {
    const state: MulticastState = multicast;
    if (state.hearsUs === hearsUs) return;
    state.hearsUs = hearsUs;
    this.#config.peers.changed();
  }
}

/**
 * Holds until {@linkcode MulticastReachability.expire} ends it, and not for a time: after a stall, this node has yet to
 * read what arrived meanwhile.
 */
function isHeard({ multicast }: PeerEntry): boolean {
  return multicast.groupAt > -Infinity;
}
