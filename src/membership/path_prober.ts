/**
 * What is asked of nodes that are heard, and of those that peers tell of.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";
import { PATH_GROUP } from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { equalBytes } from "../wire/packet.ts";
import type { ToldPeer } from "../wire/peer_exchange.ts";
import { type PlaceRules, usableHost } from "./advertised_address.ts";
import type { Introductions } from "./amplification_limit.ts";
import { hearPlain } from "./copy_budget.ts";
import type { GonePeers } from "./departed_peers.ts";
import { Newcomers } from "./newcomer_prober.ts";
import type { Handshake } from "./path_validation.ts";
import type { PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import { pauseAfter } from "./reprobe_backoff.ts";
import type { Crowd } from "./response_suppression.ts";

/** Heartbeats after which a peer that may have moved is asked again. They come every 0.85 to 1. */
const LEAST_PAUSE = 0.8;
/** The same when multicast comes from a host that is its own, as it does with IPv6, which leaves by link-local addresses. */
const ASIDE_PAUSE = 4;
/** And when it is heard from the host that it advertises. */
const MOVED_PAUSE = 1 / 4;
/** Times that it is asked on a host without an answer before the pause is twice as long with each more. */
const FREE_TRIES = 8;
/** Questions without an answer after which it is reached where it is heard; and when that is the multicast of an own host. */
const QUESTIONS = 3;
const ASIDE_QUESTIONS = 8;
/** Times that a node is asked that was heard and does not answer, when peers go on telling of it. */
const MOST_HELLOS = 12;

/** What {@linkcode Inquiries} are made of. The callbacks MUST NOT throw. */
export interface InquiriesConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
  readonly rules: PlaceRules;
  readonly peers: PeerTable;
  readonly gone: GonePeers;
  readonly handshake: Handshake;
  readonly introductions: Introductions;
  readonly crowd: Crowd;
  /** A peer is reached where it is heard from now on: it has answered from there before. */
  readonly onFollowed: (entry: PeerEntry, source: Endpoint) => void;
  /** Whether this process can not be at an endpoint. */
  readonly isElsewhere: (endpoint: Endpoint) => boolean;
}

/** Decides whether a node is asked where it is, and where. */
export class Inquiries {
  readonly #config: InquiriesConfig;
  readonly #newcomers: Newcomers;

  constructor(config: InquiriesConfig) {
    const { clock, crowd, handshake, peers } = config;
    this.#config = config;
    this.#newcomers = new Newcomers({
      clock,
      crowd,
      peers,
      onTurn: (entry) => {
        if (!entry.extended) return handshake.greetPlain(entry);
        handshake.askOnce(entry);
        this.#askClaimed(entry, entry.endpoint, entry.source);
      },
    });
  }

  /** Who was asked at a seed, which processes of a host may share, answers from its own address. */
  welcomed(entry: PeerEntry, source: Endpoint): void {
    if (!entry.isAt(source) && isSameEndpoint(entry.wanted, source)) this.#config.handshake.tryAt(entry, source);
  }

  /** Asks what is not known of a node that was heard. */
  heard(entry: PeerEntry, source: Endpoint, path: number | undefined, isNew: boolean): void {
    const { clock, crowd, handshake, heartbeat, onFollowed, peers } = this.#config;
    const { wanted, endpoint, reachedAt } = entry;
    const now = clock.now();
    if (!entry.extended) {
      if (hearPlain(entry, source, now, heartbeat)) peers.changed();
      if (isNew && crowd.isSmall) handshake.greetPlain(entry);
      else if (isNew) this.#newcomers.hear(entry);
    } else if (!entry.isProven) {
      if (this.#heardNewcomer(entry)) return;
    } else if (!entry.isAt(source)) {
      // It may have moved; or it has several interfaces, and multicast leaves by sockets of their own.
      const isByGroup = path === PATH_GROUP;
      const hasMoved = this.#hasMoved(entry, source, isByGroup);
      const isOwnSocket = !isByGroup || source.port === endpoint.port;
      const isAside = isByGroup && entry.isOn(source.host);
      const place = hasMoved ? wanted : source;
      const isSilent = now - reachedAt > heartbeat;
      if (isOwnSocket && peers.follow(entry, source, isAside ? ASIDE_QUESTIONS : QUESTIONS)) onFollowed(entry, source);
      else if ((hasMoved || (isOwnSocket && isSilent)) && this.#mayTry(entry, place.host, hasMoved, isAside)) {
        if (isSilent) handshake.hello(entry);
        handshake.tryAt(entry, place);
      } else if (isByGroup && !hasMoved) this.#askAside(entry, source.host);
    }
    this.#askClaimed(entry, endpoint, source);
  }

  /** Asks nobody any more. */
  close(): void {
    this.#newcomers.close();
  }

  /** A peer tells of a node. */
  told({ id, host, port }: ToldPeer, source: Endpoint): void {
    const { gone, handshake, introductions, isElsewhere, nodeId, peers, rules } = this.#config;
    const endpoint = { host, port };
    if (equalBytes(id, nodeId)) {
      // There may be another node with the same id.
      if (!isElsewhere(endpoint)) return;
    } else {
      const name = formatNodeId(id);
      const known = peers.get(name);
      if (known !== undefined && (known.isProven || !known.extended)) return;
      if (gone.told(name, endpoint)) return;
      if (known?.isAt(endpoint)) return this.#askHeard(known);
    }
    if (usableHost(host, rules.family) !== host || !rules.mayBeAt(endpoint, source)) return;
    if (introductions.mayAsk(endpoint, "peer")) handshake.ask(endpoint);
  }

  /** What a node advertises is hearsay until it is heard from there. */
  #askClaimed(entry: PeerEntry, endpoint: Endpoint, source: Endpoint): void {
    const { handshake, introductions } = this.#config;
    const { wanted } = entry;
    const isHearsay = !isSameEndpoint(wanted, endpoint) && !isSameEndpoint(wanted, source);
    if (isHearsay && introductions.mayAsk(wanted, "claim")) handshake.ask(wanted, entry);
  }

  /** Asks where a node is that has not answered, unless that is left to others. */
  #heardNewcomer(entry: PeerEntry): boolean {
    const { clock, crowd, handshake, heartbeat, introductions } = this.#config;
    const { hellos, helloAt, endpoint } = entry;
    const isKnown = crowd.isSmall || introductions.isTold(endpoint);
    if (!isKnown && hellos === 0) {
      this.#newcomers.hear(entry);
      return true;
    }
    if (clock.now() - helloAt < pauseAfter(isKnown ? 0 : hellos, heartbeat)) return false;
    if (isKnown) handshake.hello(entry);
    else handshake.askOnce(entry);
    return false;
  }

  /** Whether a peer may be asked now on a host from which it is heard; if so, it counts. Who never answers there is asked ever less. */
  #mayTry(entry: PeerEntry, host: string, hasMoved: boolean, isAside: boolean): boolean {
    const { clock, heartbeat } = this.#config;
    const now = clock.now();
    if (entry.triedHost !== host) {
      entry.triedHost = host;
      entry.tries = 0;
    }
    const pause = hasMoved ? MOVED_PAUSE : isAside && entry.hellos === 0 ? ASIDE_PAUSE : LEAST_PAUSE;
    if (now - entry.inquiredAt <= pause * 2 ** Math.max(0, entry.tries - FREE_TRIES) * heartbeat) return false;
    entry.inquiredAt = now;
    entry.tries++;
    return true;
  }

  /** Whether it is heard from where it advertises to be, and is reached elsewhere. Multicast may leave by another port. */
  #hasMoved({ endpoint, wanted }: PeerEntry, source: Endpoint, isByGroup: boolean): boolean {
    if (isSameEndpoint(wanted, source)) return true;
    return isByGroup && wanted.host === source.host && wanted.host !== endpoint.host;
  }

  /** What a peer says by the group counts from hosts that are its own. It is asked at the port at which it is reached. */
  #askAside(entry: PeerEntry, host: string): void {
    const { handshake, introductions } = this.#config;
    const endpoint = { host, port: entry.endpoint.port };
    if (!entry.isOn(host) && introductions.mayAsk(endpoint, "claim")) handshake.ask(endpoint, entry);
  }

  /** It was heard from where a peer knows it to be: that all questions so far were lost is likelier than that it is not there. */
  #askHeard(entry: PeerEntry): void {
    const { clock, handshake, heartbeat } = this.#config;
    if (entry.hellos < MOST_HELLOS && clock.now() - entry.helloAt >= heartbeat) handshake.hello(entry);
  }
}
