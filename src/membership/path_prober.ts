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
import type { ExchangedPeer } from "../wire/peer_exchange.ts";
import { type AddressRules, usableHost } from "./advertised_address.ts";
import type { AmplificationLimit } from "./amplification_limit.ts";
import { hearPlain } from "./copy_budget.ts";
import type { DepartedPeers } from "./departed_peers.ts";
import { NewcomerProber } from "./newcomer_prober.ts";
import type { PathValidation } from "./path_validation.ts";
import type { PeerEntry, ProbingState } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import { pauseAfter } from "./reprobe_backoff.ts";
import type { ResponseSuppression } from "./response_suppression.ts";

/** Heartbeats after which a peer that may have moved is asked again. They come every 0.85 to 1. */
const MIN_PAUSE = 0.8;
/** The same when multicast comes from a host that is its own, as it does with IPv6, which leaves by link-local addresses. */
const ALTERNATE_PAUSE = 4;
/** And when it is heard from the host that it advertises. */
const MOVED_PAUSE = 1 / 4;
/** Times that it is asked on a host without an answer before the pause is twice as long with each more. */
const FREE_TRIES = 8;
/** Questions without an answer after which it is reached where it is heard; and when that is the multicast of an own host. */
const PROBES = 3;
const ALTERNATE_PROBES = 8;
/** Times that a node is asked that was heard and does not answer, when peers go on telling of it. */
const MAX_CHALLENGES = 12;

/** What {@linkcode PathProber} are made of. The callbacks MUST NOT throw. */
export interface PathProberConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
  readonly rules: AddressRules;
  readonly peers: PeerTable;
  readonly departed: DepartedPeers;
  readonly pathValidation: PathValidation;
  readonly amplification: AmplificationLimit;
  readonly suppression: ResponseSuppression;
  /** A peer is reached where it is heard from now on: it has answered from there before. */
  readonly onFollowed: (entry: PeerEntry, source: Endpoint) => void;
  /** Whether this process can not be at an endpoint. */
  readonly isElsewhere: (endpoint: Endpoint) => boolean;
}

/** Decides whether a node is asked where it is, and where. */
export class PathProber {
  readonly #config: PathProberConfig;
  readonly #newcomerProber: NewcomerProber;

  constructor(config: PathProberConfig) {
    const { clock, suppression, pathValidation, peers } = config;
    this.#config = config;
    this.#newcomerProber = new NewcomerProber({
      clock,
      suppression,
      peers,
      onTurn: (entry) => {
        if (!entry.extended) return pathValidation.heartbeatPlain(entry);
        pathValidation.challengeOnce(entry);
        this.#probeAdvertised(entry, entry.endpoint, entry.advertised.source);
      },
    });
  }

  /** Who was asked at a seed, which processes of a host may share, answers from its own address. */
  onValidated(entry: PeerEntry, source: Endpoint): void {
    if (!entry.isAt(source) && isSameEndpoint(entry.advertised.endpoint, source)) {
      this.#config.pathValidation.challengeAt(entry, source);
    }
  }

  /** A node has answered from a host: it is asked there as often as ever. */
  answered({ probing }: PeerEntry, { host }: Endpoint): void {
    const state: ProbingState = probing;
    if (state.host === host) state.tries = 0;
  }

  /** Asks what is not known of a node that was heard. */
  onHeartbeat(entry: PeerEntry, source: Endpoint, path: number | undefined, isNew: boolean): void {
    const { clock, suppression, pathValidation, heartbeat, onFollowed, peers } = this.#config;
    const { endpoint, path: { reachedAt } } = entry;
    const now = clock.now();
    if (!entry.extended) {
      if (hearPlain(entry, source, now, heartbeat)) peers.changed();
      if (isNew && suppression.isSmall) pathValidation.heartbeatPlain(entry);
      else if (isNew) this.#hearNewcomer(entry);
    } else if (!entry.isValidated) {
      if (this.#challengeNewcomer(entry)) return;
    } else if (!entry.isAt(source)) {
      // It may have moved; or it has several interfaces, and multicast leaves by sockets of their own.
      const isByGroup = path === PATH_GROUP;
      const hasMoved = this.#hasMoved(entry, source, isByGroup);
      const isOwnSocket = !isByGroup || source.port === endpoint.port;
      const isAlternate = isByGroup && entry.isOn(source.host);
      const place = hasMoved ? entry.advertised.endpoint : source;
      const isSilent = now - reachedAt > heartbeat;
      if (isOwnSocket && peers.follow(entry, source, isAlternate ? ALTERNATE_PROBES : PROBES)) {
        pathValidation.reached(entry);
        onFollowed(entry, source);
      } else if ((hasMoved || (isOwnSocket && isSilent)) && this.#mayTry(entry, place.host, hasMoved, isAlternate)) {
        if (isSilent) pathValidation.challenge(entry);
        pathValidation.challengeAt(entry, place);
      } else if (isByGroup && !hasMoved) this.#probeAlternate(entry, source.host);
    }
    this.#probeAdvertised(entry, endpoint, source);
  }

  /** Asks nobody any more. */
  close(): void {
    this.#newcomerProber.close();
  }

  /** A peer tells of a node. */
  onPeerExchange({ id, host, port }: ExchangedPeer, source: Endpoint): void {
    const { departed: gone, pathValidation, amplification, isElsewhere, nodeId, peers, rules } = this.#config;
    const endpoint = { host, port };
    if (equalBytes(id, nodeId)) {
      // There may be another node with the same id.
      if (!isElsewhere(endpoint)) return;
    } else {
      const name = formatNodeId(id);
      const known = peers.get(name);
      if (known !== undefined && (known.isValidated || !known.extended)) return;
      if (gone.mentioned(name, endpoint)) return;
      if (known?.isAt(endpoint)) return this.#probeSource(known);
    }
    if (usableHost(host, rules.family) !== host || !rules.mayBeAt(endpoint, source)) return;
    if (amplification.allow(endpoint, "peer")) pathValidation.send(endpoint);
  }

  /** What a node advertises is hearsay until it is heard from there. */
  #probeAdvertised(entry: PeerEntry, endpoint: Endpoint, source: Endpoint): void {
    const { pathValidation, amplification } = this.#config;
    const { endpoint: advertised } = entry.advertised;
    const isHearsay = !isSameEndpoint(advertised, endpoint) && !isSameEndpoint(advertised, source);
    if (isHearsay && amplification.allow(advertised, "claim")) pathValidation.send(advertised, entry);
  }

  /** Asks where a node is that has not answered, unless that is left to others. */
  #challengeNewcomer(entry: PeerEntry): boolean {
    const { clock, suppression, pathValidation, heartbeat, amplification } = this.#config;
    const { endpoint, validation: { challengesSent, challengedAt } } = entry;
    const isKnown = suppression.isSmall || amplification.hasBeenNamed(endpoint);
    if (!isKnown && challengesSent === 0) {
      this.#hearNewcomer(entry);
      return true;
    }
    if (clock.now() - challengedAt < pauseAfter(isKnown ? 0 : challengesSent, heartbeat)) return false;
    if (isKnown) pathValidation.challenge(entry);
    else pathValidation.challengeOnce(entry);
    return false;
  }

  #hearNewcomer(entry: PeerEntry): void {
    const probing: ProbingState = entry.probing;
    this.#newcomerProber.hear(entry, probing.timesHeard++);
  }

  /** Whether a peer may be asked now on a host from which it is heard; if so, it counts. Who never answers there is asked ever less. */
  #mayTry(entry: PeerEntry, host: string, hasMoved: boolean, isAlternate: boolean): boolean {
    const { clock, heartbeat } = this.#config;
    const now = clock.now();
    const probing: ProbingState = entry.probing;
    if (probing.host !== host) {
      probing.host = host;
      probing.tries = 0;
    }
    const isUnanswered = entry.validation.challengesSent > 0;
    const pause = hasMoved ? MOVED_PAUSE : isAlternate && !isUnanswered ? ALTERNATE_PAUSE : MIN_PAUSE;
    if (now - probing.probedAt <= pause * 2 ** Math.max(0, probing.tries - FREE_TRIES) * heartbeat) return false;
    probing.probedAt = now;
    probing.tries++;
    return true;
  }

  /** Whether it is heard from where it advertises to be, and is reached elsewhere. Multicast may leave by another port. */
  #hasMoved({ advertised, endpoint }: PeerEntry, source: Endpoint, isByGroup: boolean): boolean {
    if (isSameEndpoint(advertised.endpoint, source)) return true;
    const { host } = advertised.endpoint;
    return isByGroup && host === source.host && host !== endpoint.host;
  }

  /** What a peer says by the group counts from hosts that are its own. It is asked at the port at which it is reached. */
  #probeAlternate(entry: PeerEntry, host: string): void {
    const { pathValidation, amplification } = this.#config;
    const endpoint = { host, port: entry.endpoint.port };
    if (!entry.isOn(host) && amplification.allow(endpoint, "claim")) pathValidation.send(endpoint, entry);
  }

  /** It was heard from where a peer knows it to be: that all questions so far were lost is likelier than that it is not there. */
  #probeSource(entry: PeerEntry): void {
    const { clock, pathValidation, heartbeat } = this.#config;
    const { challengesSent, challengedAt } = entry.validation;
    if (challengesSent < MAX_CHALLENGES && clock.now() - challengedAt >= heartbeat) pathValidation.challenge(entry);
  }
}
