/**
 * A node that was heard.
 *
 * @module
 */

import type { Peer } from "../events.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";
import type { AdvertisedAddress } from "./advertised_address.ts";

/** A {@linkcode Peer}, and how to reach it. */
export interface KnownPeer extends Peer {
  /** Its node id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Where datagrams for it go. */
  readonly endpoint: Endpoint;
  /** Whether it has answered from there. One that does not speak the extension answers nothing. */
  readonly isValidated: boolean;
  /** Whether it speaks the extension. */
  readonly extended: boolean;
  /** Whether it hears this node's multicast, so that it needs no copies. */
  readonly hearsUs: boolean;
  /** When its first and its last heartbeat came, by the node's clock. */
  readonly joinedAt: number;
  readonly heardAt: number;
}

/** Most hosts that are remembered of a peer besides the one at which it is reached: the oldest gives way. */
const MAX_HOSTS = 16;

/** What is kept of a peer. Its parts belong to those who work with them: table, paths, proofs, suspicion. */
export class PeerEntry implements KnownPeer {
  readonly id: string;
  readonly nodeId: Uint8Array;
  readonly joinedAt: number;
  address: string;
  /** What its last heartbeat said, where that came from, and where it was taken to be by that: mostly as before. */
  advertised = "";
  source: Endpoint;
  place: AdvertisedAddress;
  /** Where it wants to be reached. */
  wanted: Endpoint;
  endpoint: Endpoint;
  isValidated = false;
  extended = false;
  /** When it answered from a place for the first time, and whether it has told since of those that it knows. */
  validatedAt: number = -Infinity;
  hasExchangedPeers = false;
  /** Whether it counts as a peer: it has answered, or it is one that answers nothing. */
  isJoined = false;
  hearsUs = false;
  heardAt: number;
  /** When it last said that it wants to be reached elsewhere than before. */
  movedAt: number = -Infinity;
  /** When it was last heard from where it wants to be, or from where it is taken to be: its place is settled. */
  placedAt: number;
  /** When it was last heard from `endpoint`, or has answered from there. */
  reachedAt: number;
  /** One that is plain: where it was heard how often, and since when; whether that is enough to take it for real. */
  plainAt: Endpoint | undefined;
  plainTimes = 0;
  plainSince: number = -Infinity;
  isEstablished = false;
  /** When it was last heard by multicast. */
  groupAt: number = -Infinity;
  /** When a heartbeat for this node alone last came. */
  aloneAt: number = -Infinity;
  /** When it last said that it hears this node's multicast. */
  hearsUsAt: number = -Infinity;
  /** Whether it hears more nodes than one of its heartbeats can list: they take turns. */
  listsInTurn = false;
  /** When a heartbeat of this node last listed it, if it cannot list all. */
  listedAt: number = -Infinity;
  /** Whether it has yet to be told that its multicast does not arrive. */
  isDeafTo = false;
  /** From which host that had not shown to be its own it was last heard by multicast, and when. */
  aside: { readonly host: string; readonly at: number } | undefined;
  /** Other hosts at which it has answered, the last one last: it may have several interfaces. */
  readonly hosts: Set<string> = new Set();
  /** Where it has answered while it was taken to be elsewhere, and when. */
  elsewhere: Endpoint | undefined;
  elsewhereAt: number = -Infinity;
  /** Times that it was asked whether it is at `endpoint`, since it was heard or has answered there, and when it was last. */
  challengesSent = 0;
  challengedAt: number = -Infinity;
  /** When it was last asked at two places, as it was heard elsewhere; on which host, and how often that has not answered. */
  probedAt: number = -Infinity;
  probedHost = "";
  tries = 0;
  /** Times that it was heard before anybody here asked it anything, in a large mesh. */
  calls = 0;
  /** Times that it was asked whether it is there, since it was last heard. */
  probes = 0;
  /** For how long this node had stood still in all when the peer was heard at `stalledFrom`, in milliseconds. */
  stalled = 0;
  stalledFrom: number = -Infinity;
  /** When another node answered from where this one is, and whether no two can be there. */
  replacedAt: number = Infinity;
  isSuperseded = false;
  /** Smoothed time from a question to its answer, in milliseconds; 0 when none was measured. */
  roundTrip = 0;

  constructor(id: string, nodeId: Uint8Array, place: AdvertisedAddress, source: Endpoint, now: number) {
    this.id = id;
    this.nodeId = nodeId.slice();
    this.address = place.address;
    this.wanted = place.endpoint;
    this.endpoint = this.source = source;
    this.place = place;
    this.joinedAt =
      this.heardAt =
      this.placedAt =
      this.reachedAt =
        now;
  }

  /** Notes what a heartbeat says. */
  note(advertised: string, source: Endpoint, place: AdvertisedAddress): void {
    this.advertised = advertised;
    this.source = source;
    this.place = place;
  }

  /** Whether its last heartbeat came from `source`. */
  heardFrom(source: Endpoint): boolean {
    return isSameEndpoint(this.source, source);
  }

  /** Whether a host is its own, as far as it has shown. */
  isOn(host: string): boolean {
    return this.endpoint.host === host || this.hosts.has(host);
  }

  /** Notes that it has shown that a host is its own. */
  settleOn(host: string): void {
    if (this.endpoint.host === host) return;
    this.hosts.delete(host);
    this.hosts.add(host);
    const [oldest] = this.hosts;
    if (this.hosts.size > MAX_HOSTS && oldest !== undefined) this.hosts.delete(oldest);
  }

  /** Whether it is taken to be at `endpoint`. */
  isAt(endpoint: Endpoint): boolean {
    return isSameEndpoint(this.endpoint, endpoint);
  }
}
