/**
 * The path prober: which endpoints of a node get a path challenge, when the node is heard or a peer exchange lists it.
 * It is kin to connection migration in QUIC (RFC 9000, section 9): a peer is reached elsewhere only once it has
 * answered there.
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
import type { DepartedPeers } from "./departed_peers.ts";
import { JoiningNodeProber } from "./joining_node_prober.ts";
import type { PathValidation } from "./path_validation.ts";
import type { PeerEntry, ProbingState } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import { pauseAfter } from "./reprobe_backoff.ts";
import type { ResponseSuppression } from "./response_suppression.ts";
import { hearPlain } from "./unicast_copy_budget.ts";

/** Heartbeats after which a peer that may have moved is challenged again. They come every 0.85 to 1. */
const MIN_PAUSE = 0.8;
/**
 * The same when its multicast comes from a host that is its own, as with IPv6, where it leaves by link-local addresses.
 */
const ALTERNATE_PAUSE = 4;
/** The same when it is heard from the host that it advertises. */
const MOVED_PAUSE = 1 / 4;
/** Challenges on a host without a response after which the pause is twice as long with each more. */
const FREE_TRIES = 8;
/**
 * Challenges without a response, where a peer is reached, after which it is reached where it is heard; and the same
 * when what is heard is its multicast from a host that is its own.
 */
const PROBES = 3;
const ALTERNATE_PROBES = 8;
/** Most challenges to a node that was heard and does not respond, while peer exchanges go on listing it. */
const MAX_CHALLENGES = 12;

/** What a {@linkcode PathProber} is made of. The callback MUST NOT throw. */
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
  /** A peer is reached where it is heard from now on: it has responded from there before. */
  readonly onFollowed: (entry: PeerEntry, source: Endpoint) => void;
  /** Whether this process can not be at an endpoint. */
  readonly local: { isElsewhere(endpoint: Endpoint): boolean };
}

/** Decides which endpoints of a node are challenged, and when. */
export class PathProber {
  readonly #config: PathProberConfig;
  readonly #joiningNodeProber: JoiningNodeProber;

  constructor(config: PathProberConfig) {
    const { clock, suppression, pathValidation, peers } = config;
    this.#config = config;
    this.#joiningNodeProber = new JoiningNodeProber({
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

  /**
   * A node that was challenged at a seed, whose port the processes of a host may share, responds from the port of its
   * own: it is challenged there.
   */
  onValidated(entry: PeerEntry, source: Endpoint): void {
    if (!entry.isAt(source) && isSameEndpoint(entry.advertised.endpoint, source)) {
      this.#config.pathValidation.challengeAt(entry, source);
    }
  }

  /** A node has responded from a host: it may be challenged there as often as at first. */
  answered({ probing }: PeerEntry, { host }: Endpoint): void {
    const state: ProbingState = probing;
    if (state.host === host) state.tries = 0;
  }

  /** A heartbeat of a node came, which is no response: challenges it where that is due. */
  onHeartbeat(entry: PeerEntry, source: Endpoint, path: number | undefined, isNew: boolean): void {
    const { clock, suppression, pathValidation, heartbeat, onFollowed, peers } = this.#config;
    const { endpoint, path: { reachedAt } } = entry;
    const now = clock.now();
    if (!entry.extended) {
      if (hearPlain(entry, source, now, heartbeat)) peers.changed();
      if (isNew && suppression.isSmall) pathValidation.heartbeatPlain(entry);
      else if (isNew) this.#hearJoiningNode(entry);
    } else if (!entry.isValidated) {
      if (this.#challengeNewNode(entry)) return;
    } else if (!entry.isAt(source)) {
      // It may have moved; or it has several interfaces, and its multicast leaves by other sockets.
      const isByGroup = path === PATH_GROUP;
      const hasMoved = this.#hasMoved(entry, source, isByGroup);
      const isPeerSocket = !isByGroup || source.port === endpoint.port;
      const isAlternate = isByGroup && entry.isOn(source.host);
      const target = hasMoved ? entry.advertised.endpoint : source;
      const isSilent = now - reachedAt > heartbeat;
      if (isPeerSocket && peers.follow(entry, source, isAlternate ? ALTERNATE_PROBES : PROBES)) {
        pathValidation.reached(entry);
        onFollowed(entry, source);
      } else if (
        (hasMoved || (isPeerSocket && isSilent)) && this.#mayProbe(entry, target.host, hasMoved, isAlternate)
      ) {
        if (isSilent) pathValidation.challenge(entry);
        pathValidation.challengeAt(entry, target);
      } else if (isByGroup && !hasMoved) this.#probeAlternate(entry, source.host);
    }
    this.#probeAdvertised(entry, endpoint, source);
  }

  /** Challenges nobody any more. */
  close(): void {
    this.#joiningNodeProber.close();
  }

  /** The peer exchange of a peer, which came from `source`, lists a node. */
  onPeerExchange({ id, host, port }: ExchangedPeer, source: Endpoint): void {
    const { departed, pathValidation, amplification, local, nodeId, peers, rules } = this.#config;
    const endpoint = { host, port };
    if (equalBytes(id, nodeId)) {
      // There may be another node with the same id.
      if (!local.isElsewhere(endpoint)) return;
    } else {
      const name = formatNodeId(id);
      const known = peers.get(name);
      if (known !== undefined && (known.isValidated || !known.extended)) return;
      if (departed.mentioned(name, endpoint)) return;
      if (known?.isAt(endpoint)) return this.#probeSource(known);
    }
    if (usableHost(host, rules.family) !== host || !rules.mayBeAt(endpoint, source)) return;
    if (amplification.allow(endpoint, "peer")) pathValidation.send(endpoint);
  }

  /**
   * Challenges a node at the address that it advertises, if it was never heard from there: anybody may have claimed it.
   */
  #probeAdvertised(entry: PeerEntry, endpoint: Endpoint, source: Endpoint): void {
    const { pathValidation, amplification } = this.#config;
    const { endpoint: advertised } = entry.advertised;
    const isNamedOnly = !isSameEndpoint(advertised, endpoint) && !isSameEndpoint(advertised, source);
    if (isNamedOnly && amplification.allow(advertised, "claim")) pathValidation.send(advertised, entry);
  }

  /** Challenges a node that is not validated, if it is due. True when it is left to the joining node prober. */
  #challengeNewNode(entry: PeerEntry): boolean {
    const { clock, suppression, pathValidation, heartbeat, amplification } = this.#config;
    const { endpoint, validation: { challengesSent, challengedAt } } = entry;
    const isKnown = suppression.isSmall || amplification.hasBeenNamed(endpoint);
    if (!isKnown && challengesSent === 0) {
      this.#hearJoiningNode(entry);
      return true;
    }
    if (clock.now() - challengedAt < pauseAfter(isKnown ? 0 : challengesSent, heartbeat)) return false;
    if (isKnown) pathValidation.challenge(entry);
    else pathValidation.challengeOnce(entry);
    return false;
  }

  #hearJoiningNode(entry: PeerEntry): void {
    const probing: ProbingState = entry.probing;
    this.#joiningNodeProber.onHeartbeat(entry, probing.timesHeard++);
  }

  /**
   * Whether a peer may be challenged now on a host from which it is heard; if so, it counts. One that never responds is
   * challenged ever less.
   */
  #mayProbe(entry: PeerEntry, host: string, hasMoved: boolean, isAlternate: boolean): boolean {
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

  /**
   * Whether a peer is heard from the address that it advertises, and is reached elsewhere. Multicast may leave by
   * another port.
   */
  #hasMoved({ advertised, endpoint }: PeerEntry, source: Endpoint, isByGroup: boolean): boolean {
    if (isSameEndpoint(advertised.endpoint, source)) return true;
    const { host } = advertised.endpoint;
    return isByGroup && host === source.host && host !== endpoint.host;
  }

  /**
   * The multicast of a peer counts from hosts that are its own, so it is challenged there, at the port at which it is
   * reached.
   */
  #probeAlternate(entry: PeerEntry, host: string): void {
    const { pathValidation, amplification } = this.#config;
    const endpoint = { host, port: entry.endpoint.port };
    if (!entry.isOn(host) && amplification.allow(endpoint, "claim")) pathValidation.send(endpoint, entry);
  }

  /**
   * A node was heard from the address that a peer exchange lists. It is likelier that all challenges were lost than
   * that it is not there.
   */
  #probeSource(entry: PeerEntry): void {
    const { clock, pathValidation, heartbeat } = this.#config;
    const { challengesSent, challengedAt } = entry.validation;
    if (challengesSent < MAX_CHALLENGES && clock.now() - challengedAt >= heartbeat) pathValidation.challenge(entry);
  }
}
