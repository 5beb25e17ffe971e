/**
 * What is asked of nodes that are heard, and of those that peers tell of.
 *
 * @module
 */

import { type Endpoint, isSameEndpoint } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { Handshake } from "./handshake.ts";
import type { Introductions } from "./introductions.ts";
import type { PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import { type PlaceRules, usableHost } from "./place.ts";
import { PATH_GROUP } from "./wire/layout.ts";
import { formatNodeId } from "./wire/node_id.ts";
import { equalBytes } from "./wire/packet.ts";
import type { ToldPeer } from "./wire/told_peers.ts";

/** Heartbeats after which a peer that may have moved is asked again. They come every 0.85 to 1. */
const LEAST_PAUSE = 0.8;
/** The same when multicast comes from a host that is its own: that of IPv6 leaves by link-local addresses. */
const ASIDE_PAUSE = 4;
/** Times that a node is asked that was heard and does not answer, when peers go on telling of it. */
const MOST_HELLOS = 12;

/** What {@linkcode Inquiries} are made of. The callback MUST NOT throw. */
export interface InquiriesConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
  readonly rules: PlaceRules;
  readonly peers: PeerTable;
  readonly handshake: Handshake;
  readonly introductions: Introductions;
  /** A peer is reached where it is heard from now on: it has answered from there before. */
  readonly onFollowed: (entry: PeerEntry, source: Endpoint) => void;
}

/** Decides whether a node is asked where it is, and where. */
export class Inquiries {
  readonly #config: InquiriesConfig;

  constructor(config: InquiriesConfig) {
    this.#config = config;
  }

  /** Who was asked at a seed, which processes of a host may share, answers from its own address. */
  welcomed(entry: PeerEntry, source: Endpoint): void {
    if (!entry.isAt(source) && isSameEndpoint(entry.wanted, source)) this.#config.handshake.tryAt(entry, source);
  }

  /** Asks what is not known of a node that was heard. */
  heard(entry: PeerEntry, source: Endpoint, path: number | undefined, isNew: boolean): void {
    const { clock, handshake, heartbeat, introductions, onFollowed, peers } = this.#config;
    const { wanted, endpoint, helloAt, reachedAt } = entry;
    const now = clock.now();
    if (!entry.extended) {
      if (isNew) handshake.greetPlain(entry);
    } else if (!entry.isProven) {
      if (now - helloAt >= heartbeat / 2) handshake.hello(entry);
    } else if (!entry.isAt(source)) {
      // It may have moved; or it has several interfaces, and multicast leaves by sockets of their own.
      const hasMoved = isSameEndpoint(wanted, source);
      const isOwnSocket = path !== PATH_GROUP || source.port === endpoint.port;
      const isAside = path === PATH_GROUP && entry.isOn(source.host);
      const pause = (hasMoved ? 1 / 4 : isAside ? ASIDE_PAUSE : LEAST_PAUSE) * heartbeat;
      if (isOwnSocket && peers.follow(entry, source)) onFollowed(entry, source);
      else if (now - helloAt > pause && (hasMoved || (isOwnSocket && now - reachedAt > heartbeat))) {
        handshake.hello(entry);
        handshake.tryAt(entry, source);
      } else if (path === PATH_GROUP) this.#askAside(entry, source.host);
    }
    // What it advertises is hearsay until it is heard from there.
    const isHearsay = !isSameEndpoint(wanted, endpoint) && !isSameEndpoint(wanted, source);
    if (isHearsay && introductions.mayAsk(wanted, "claim")) handshake.ask(wanted, entry);
  }

  /** A peer tells of a node. */
  told({ id, host, port }: ToldPeer, source: Endpoint): void {
    const { handshake, introductions, nodeId, peers, rules } = this.#config;
    if (equalBytes(id, nodeId)) return;
    const known = peers.get(formatNodeId(id));
    if (known !== undefined && (known.isProven || !known.extended)) return;
    const endpoint = { host, port };
    if (known?.isAt(endpoint)) return this.#askHeard(known);
    if (usableHost(host, rules.family) !== host || !rules.mayBeAt(endpoint, source)) return;
    if (introductions.mayAsk(endpoint, "peer")) handshake.ask(endpoint);
  }

  /** What a peer says by the group counts from hosts that are its own. It is asked at the port at which it is reached. */
  #askAside(entry: PeerEntry, host: string): void {
    const { handshake, introductions } = this.#config;
    const endpoint = { host, port: entry.endpoint.port };
    if (!entry.isOn(host) && introductions.mayAsk(endpoint, "claim")) handshake.ask(endpoint, entry, true);
  }

  /** It was heard from where a peer knows it to be: that all questions so far were lost is likelier than that it is not there. */
  #askHeard(entry: PeerEntry): void {
    const { clock, handshake, heartbeat } = this.#config;
    if (entry.hellos < MOST_HELLOS && clock.now() - entry.helloAt >= heartbeat) handshake.hello(entry);
  }
}
