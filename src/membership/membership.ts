/**
 * Who is there: heartbeats of the node, and what those of others mean.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import { unique, unknownEndpoints } from "../net/fanout.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, type Family, formatAddress, isSameEndpoint } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import type { Jitter } from "../platform/jitter.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { Extension } from "../wire/extension.ts";
import { PATH_DEAF, PATH_GROUP, PATH_HEARD } from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { type ExchangedPeer, writeHeard } from "../wire/peer_exchange.ts";
import type { AddressRules } from "./advertised_address.ts";
import { AmplificationLimit } from "./amplification_limit.ts";
import { Bootstrap } from "./bootstrap.ts";
import { DepartedPeers, type LostPeer } from "./departed_peers.ts";
import { FailureDetector } from "./failure_detector.ts";
import type { HeartbeatTransport } from "./heartbeat_sender.ts";
import { InitialHeartbeats } from "./initial_heartbeats.ts";
import { MulticastReachability } from "./multicast_reachability.ts";
import type { PathChallenge } from "./path_challenges.ts";
import { PathProber } from "./path_prober.ts";
import { PathValidation } from "./path_validation.ts";
import type { PeerEntry } from "./peer.ts";
import { PeerTable } from "./peer_table.ts";
import { ResponseSuppression } from "./response_suppression.ts";
import type { StreamRegistry } from "./stream_registry.ts";

/** Part of the time between heartbeats by which it is shorter at random, so that nodes do not fall into step. */
const SPREAD = 0.15;
/** Peers that a heartbeat tells of, and the one that welcomes a node. */
const EXCHANGED = { heartbeat: 4, welcome: 24 };
/** Fewest peers that are gone and remembered. */
const MIN_DEPARTED = 1024;
/** Moves reported, in a burst and per second: a node id can be forged, and a move with each datagram. */
const MOVES_PER_SECOND = 16;
/** Peers that are asked whether they have really left, at once and per second: anybody can say so of all. */
const LEAVES = { burst: 8, perSecond: 1 };

/** How long a peer that was just met may ask for the welcome again, which may have been lost, in milliseconds. */
const EXCHANGE_WITHIN = 2000;

/** Where this node is. */
export interface LocalAddressing {
  /** Whether this node alone is reached at an endpoint. */
  isOwn(endpoint: Endpoint): boolean;
  /** Whether what comes from an endpoint can not be of this process. */
  isElsewhere(endpoint: Endpoint): boolean;
  /** Whether a node heard from `source` may be at `endpoint`. */
  mayBeAt(endpoint: Endpoint, source: Endpoint): boolean;
}

/** What a {@linkcode Membership} is made of. What it calls MUST NOT throw. */
export interface MembershipConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly peerTimeout: number;
  readonly quietTimeout: number;
  readonly maxPeers: number;
  /** Whether the node speaks the original's wire only. */
  readonly isPlain: boolean;
  /** Whether there is a group to send to. */
  readonly multicast: () => boolean;
  readonly clock: Clock;
  readonly jitter: Jitter;
  readonly randomBytes: RandomBytes;
  /** The family of the mesh. */
  readonly family: Family;
  readonly local: LocalAddressing;
  /** The port of the mesh, which processes of a host may share. */
  readonly port: number;
  /** Gives seeds that are greeted with each heartbeat until they answer. */
  readonly seeds: { few(): readonly Endpoint[] };
  readonly heartbeats: HeartbeatTransport;
  readonly streams: StreamRegistry;
  /** What is known of the sizes that paths carry; absent when nothing is. */
  readonly pathMtu: { forget(id: string): void } | undefined;
  readonly identity: {
    /** There is another node with the id of this one. */
    duplicateMet(): void;
  };
  readonly events: { emit(event: MeshEvent): void };
}

/** A heartbeat of another node. */
export interface Heartbeat {
  /** 16 bytes: a view. */
  readonly nodeId: Uint8Array;
  /** The same as text. */
  readonly id: string;
  readonly advertised: string;
  readonly source: Endpoint;
  readonly extension: Extension | undefined;
}

/** Announces the node, finds others, and forgets those that are gone. */
export class Membership {
  /** Heartbeats that were turned away: of newcomers to a full table, or with nowhere to reach the sender. */
  refused = 0;
  /** When a node that has answered, and is not followed, was last turned away, by the node's clock. */
  refusedAt: number = -Infinity;
  /** The same of any node. */
  lastRefusedAt: number = -Infinity;
  readonly #config: MembershipConfig;
  readonly #peers: PeerTable;
  readonly #multicast: MulticastReachability;
  readonly #failureDetector: FailureDetector;
  readonly #pathValidation: PathValidation;
  readonly #amplification: AmplificationLimit;
  readonly #pathProber: PathProber;
  readonly #bootstrap: Bootstrap;
  readonly #departed: DepartedPeers;
  readonly #suppression: ResponseSuppression;
  readonly #initialHeartbeats: InitialHeartbeats;
  readonly #refusals: TokenBucket;
  readonly #moves: TokenBucket;
  readonly #leaves: TokenBucket;
  #timer: Timer | undefined;

  constructor(config: MembershipConfig) {
    const { nodeId, clock, heartbeat, maxPeers, peerTimeout, quietTimeout, randomBytes, family, local } = config;
    const { heartbeats, isPlain, jitter, multicast, seeds, streams } = config;
    const rules: AddressRules = { family, mayBeAt: (endpoint, source) => local.mayBeAt(endpoint, source) };
    this.#config = config;
    this.#refusals = new TokenBucket(clock, 1, 1);
    this.#moves = new TokenBucket(clock, MOVES_PER_SECOND, MOVES_PER_SECOND);
    this.#leaves = new TokenBucket(clock, LEAVES.burst, LEAVES.perSecond);
    const amplification = this.#amplification = new AmplificationLimit(clock, heartbeat);
    const peers = this.#peers = new PeerTable({
      capacity: maxPeers,
      plainCapacity: isPlain ? maxPeers : Math.ceil(maxPeers / 2),
      heartbeat,
      quietTimeout,
      clock,
      rules,
      exchangeFrom: Math.floor(jitter.between(0, maxPeers)),
      // Only who has never answered makes room: that is no loss.
      onEvicted: (peer) => this.#leave(peer, "expired", false),
    });
    const gone = this.#departed = new DepartedPeers({
      capacity: Math.max(MIN_DEPARTED, 2 * maxPeers),
      heartbeat,
      clock,
      probe: (to) => this.#pathValidation.send(to),
    });
    const paths = this.#multicast = new MulticastReachability({ nodeId, heartbeat, clock, peers });
    const suppression = this.#suppression = new ResponseSuppression({
      jitter,
      multicast,
      validated: () => peers.validated,
    });
    const pathValidation = this.#pathValidation = new PathValidation({
      clock,
      randomBytes,
      peers,
      paths,
      suppression,
      sendHeartbeat: (payload, to) => heartbeats.send(payload, to),
    });
    this.#pathProber = new PathProber({
      nodeId,
      heartbeat,
      clock,
      rules,
      peers,
      departed: gone,
      pathValidation,
      amplification,
      suppression,
      isElsewhere: (endpoint) => local.isElsewhere(endpoint),
      onFollowed: (entry, source) => {
        this.#settle(entry, entry.roundTrip);
        this.#reply(entry, source, undefined, true);
      },
    });
    this.#bootstrap = new Bootstrap({
      seeds: () => seeds.few(),
      isOwn: (endpoint) => local.isOwn(endpoint),
      clock,
      peers,
      amplification,
      challenge: (to) => this.#pathValidation.send(to),
    });
    this.#initialHeartbeats = new InitialHeartbeats({
      clock,
      isAlone: () => !isPlain && multicast() && peers.validated === 0,
      beat: () => this.#call(),
    });
    // It tells one that is silent whether its multicast is heard, too.
    const ask = (entry: PeerEntry) => {
      const { elsewhere, elsewhereAt, id, probes, reachedAt } = entry;
      if (probes === 1) this.#bootstrap.reopen(id);
      this.#pathValidation.send(entry.endpoint, entry);
      // It has answered from there since.
      if (elsewhere !== undefined && elsewhereAt > reachedAt) this.#pathValidation.send(elsewhere, entry);
    };
    this.#failureDetector = new FailureDetector({
      heartbeat,
      peerTimeout,
      quietTimeout,
      clock,
      peers,
      heardAt: (id) => streams.heardAt(id),
      onLook: () => {
        this.#multicast.expire().forEach(ask);
        this.#departed.probeAgain();
      },
      probe: ask,
      onDown: (entry, isReplaced) => this.#remove(entry.id, isReplaced ? "replaced" : "expired"),
    });
  }

  /** Who is there. */
  get peers(): PeerTable {
    return this.#peers;
  }

  /** Peers that were lost, and have neither come back nor been replaced. */
  get lost(): readonly LostPeer[] {
    return this.#departed.lost;
  }

  /** Addresses that others have told of and that were not asked. */
  get probesRefused(): number {
    return this.#amplification.refused;
  }

  /** Sends the first heartbeat, and the others at intervals. */
  start(): void {
    this.beat();
    this.#failureDetector.start();
    this.#bootstrap.start();
    this.#initialHeartbeats.start();
  }

  /** Sends a round of heartbeats now, and the next an interval later. */
  beat(): void {
    this.#timer?.cancel();
    const { clock, heartbeat, heartbeats, jitter, multicast, streams } = this.#config;
    streams.expire();
    const peers = this.#exchange(EXCHANGED.heartbeat);
    if (multicast()) this.#call(peers);
    const without = this.#peers.withoutGroup();
    for (const path of [PATH_DEAF, PATH_HEARD]) {
      const to = without.filter((entry) => this.#multicast.pathTo(entry) === path).map(({ endpoint }) => endpoint);
      if (to.length > 0) heartbeats.send({ path, ...peers }, unique(to));
    }
    this.#bootstrap.round();
    this.#timer = clock.setTimer(() => this.beat(), heartbeat * (1 - jitter.between(0, SPREAD)));
  }

  /** The node can be heard where it could not before. */
  appear(): void {
    this.#peers.relocate();
    this.beat();
    this.#initialHeartbeats.start();
  }

  /** Seeds of which it is not known who is there. The same array as long as nothing has changed. */
  openSeeds(): readonly Endpoint[] {
    return this.#bootstrap.open();
  }

  /** Those of some seeds at which nobody has answered, and where no peer is. */
  unansweredSeeds(seeds: readonly Endpoint[]): readonly Endpoint[] {
    return unknownEndpoints(seeds, this.#peers.endpoints()).filter((seed) => !this.#bootstrap.isAnswered(seed));
  }

  /** The user's resolver has named addresses. */
  probeSeeds(endpoints: readonly Endpoint[]): void {
    this.#bootstrap.probe(endpoints);
  }

  /** Notes a heartbeat of another node. */
  onHeartbeat({ nodeId, id, advertised, source, extension }: Heartbeat): void {
    const { events } = this.#config;
    const extended = extension?.position !== undefined;
    const answered = this.#pathValidation.redeem(extension?.echo, id);
    if (answered !== undefined) this.#amplification.validated(answered.to);
    const isResponse = answered !== undefined;
    const goneAt = this.#departed.goneAt(id);
    if (goneAt !== undefined && (answered === undefined || answered.sentAt < goneAt)) {
      // Who has answered speaks the extension. Without it this is forged, or a piece of what it once sent.
      if (extended) this.#challengeDeparted(id, source, extension.nonce);
      return;
    }
    const heard = this.#peers.hear({ id, nodeId, advertised, source, extended, isResponse });
    const entry = this.#peers.get(id);
    if (entry === undefined || heard === "refused") {
      if (extended) this.#pathValidation.challengeUnregistered(source, id, extension?.nonce, isResponse);
      if (answered !== undefined) this.#respondedInVain(id, answered);
      return this.#refuse(id, advertised, source);
    }
    // Not what anybody says in its name from elsewhere.
    const isItself = !entry.isValidated || isResponse || entry.isOn(source.host);
    if (extension !== undefined) {
      if (extension.token !== undefined && isItself) entry.hasExchangedPeers = true;
      if (isItself) this.#multicast.note(entry, extension);
      else this.#multicast.noteAlternate(entry, extension, source.host);
    }
    const needsExchange = answered !== undefined && this.#validate(entry, answered);
    if (extension?.nonce !== undefined || needsExchange) this.#reply(entry, source, extension?.nonce, needsExchange);
    if (needsExchange) this.#pathProber.onValidated(entry, source);
    else if (extension?.nonce === undefined && !isResponse) {
      this.#pathProber.onHeartbeat(entry, source, extension?.path, heard === "joined");
    }
    if (heard === "joined" && !extended) this.#join(entry);
    else if (heard === "moved" && entry.isJoined && this.#moves.allow()) {
      events.emit({ type: "peerMoved", peer: { id, address: entry.address } });
    }
    if (entry.isValidated && isItself) {
      extension?.peers?.forEach((told) => this.#pathProber.onPeerExchange(told, source));
    }
  }

  /**
   * Notes a heartbeat with the node's own id. A question that it has asked itself has come back: it is itself where that was
   * sent. Who repeats one is another node, as this one answers none of its own. Else, if it comes from elsewhere, whoever is
   * there is asked: it may be this node behind a translated address.
   */
  onOwnHeartbeat({ nonce, echo }: Extension, source: Endpoint): void {
    const id = formatNodeId(this.#config.nodeId);
    const challenge = this.#pathValidation.redeem(nonce, id);
    if (challenge !== undefined) this.#bootstrap.answered(challenge.to);
    else if (this.#pathValidation.redeem(echo, id) !== undefined) this.#config.identity.duplicateMet();
    // An answer that comes twice is not answered: where all comes back twice, that would never end.
    else if (echo === undefined && this.#config.local.isElsewhere(source)) {
      this.#pathValidation.challengeUnregistered(source, id, nonce, false);
    }
  }

  /** A peer has said that it leaves, or anybody has in its name: one that is there answers, and is back. */
  leave(id: string): void {
    const peer = this.#peers.get(id);
    this.#remove(id, "left");
    if (peer?.isValidated === true && this.#leaves.allow()) this.#pathValidation.send(peer.endpoint, peer);
  }

  /** Whether somebody who was greeted or asked a short while ago may still answer. */
  get isMeeting(): boolean {
    return this.#bootstrap.isProbing || this.#initialHeartbeats.isFresh || this.#pathValidation.isChallenging ||
      this.#withoutExchange().length > 0;
  }

  /** Asks once more who has not answered, as the node is about to leave. */
  repeatChallenges(): void {
    this.#pathValidation.repeat(this.#withoutExchange());
  }

  /** Addresses of those that were heard or told of a short while ago and have not answered, or not told of others. */
  get unmet(): readonly string[] {
    const strange = this.#peers.extended().filter(({ isValidated }) => !isValidated);
    const entries = [...strange, ...this.#withoutExchange()].map(({ endpoint }) => endpoint);
    return [...this.#pathValidation.unanswered, ...entries].map(({ host, port }) => formatAddress(host, port));
  }

  /** Sends no more heartbeats. */
  stop(): void {
    this.#timer?.cancel();
    this.#failureDetector.close();
    this.#pathValidation.close();
    this.#pathProber.close();
    this.#initialHeartbeats.close();
    this.#bootstrap.close();
  }

  /** Sends no more heartbeats and forgets everybody. */
  close(): void {
    this.stop();
    this.#peers.clear();
    this.#amplification.clear();
    this.#departed.clear();
  }

  /** Sends a heartbeat to the group. */
  #call(peers: { readonly peers?: readonly ExchangedPeer[] } = {}): void {
    const heard = writeHeard(this.#multicast.list().map(({ nodeId }) => nodeId));
    this.#config.heartbeats.send({ path: PATH_GROUP, heard, ...peers }, "group");
  }

  /** Answers a question, and welcomes a node that has shown for the first time where it is: there, and nowhere else. */
  #reply(entry: PeerEntry, source: Endpoint, nonce: number | undefined, needsExchange: boolean): void {
    const { clock, heartbeats, streams } = this.#config;
    const isAgain = nonce !== undefined && entry.isValidated && clock.now() - entry.validatedAt < EXCHANGE_WITHIN;
    const token = needsExchange || isAgain ? streams.tokenFor(entry) : undefined;
    const welcome = needsExchange || isAgain ? { ...this.#exchange(EXCHANGED.welcome), ...token && { token } } : {};
    const isThere = entry.isAt(source);
    if (nonce !== undefined) this.#pathValidation.respond(entry, nonce, source, isThere ? welcome : {});
    if (needsExchange && !(nonce !== undefined && isThere)) {
      heartbeats.send({ path: this.#multicast.pathTo(entry), ...welcome }, entry.endpoint);
    }
  }

  /** One that is gone comes back by an answer. */
  #challengeDeparted(id: string, source: Endpoint, nonce: number | undefined): void {
    const times = this.#departed.hear(id, source);
    this.#pathValidation.challengeDeparted(source, id, nonce, times !== undefined && this.#suppression.isChosen(times));
  }

  /** Whether the peer has to be welcomed. */
  #validate(entry: PeerEntry, { to, id, sentAt }: PathChallenge): boolean {
    const time = this.#config.clock.now() - sentAt;
    entry.roundTrip = entry.roundTrip === 0 ? time : entry.roundTrip + (time - entry.roundTrip) / 8;
    entry.isDeafTo = false;
    if (id === undefined) this.#bootstrap.answered(to, entry.id);
    const isNew = !entry.isValidated;
    if (isNew) entry.validatedAt = this.#config.clock.now();
    const before = entry.endpoint;
    const needsExchange = this.#peers.validate(entry, to);
    if (!isNew && !isSameEndpoint(before, to)) this.#tellAddress(entry, before, to);
    if (needsExchange) this.#settle(entry, time);
    else if (entry.isAt(to)) this.#config.streams.validate(entry.id, to, time);
    this.#multicast.answered(entry);
    if (isNew) this.#join(entry);
    return needsExchange;
  }

  /** A peer has answered from two places. There may be two: each hears where the other is. */
  #tellAddress(entry: PeerEntry, { host, port }: Endpoint, to: Endpoint): void {
    const { heartbeats } = this.#config;
    if (host.includes("%") || !this.#moves.allow()) return;
    heartbeats.send({ path: this.#multicast.pathTo(entry), peers: [{ id: entry.nodeId, host, port }] }, to);
  }

  /** A node counts as a peer from now on. */
  #join(entry: PeerEntry): void {
    const { id, address, isJoined } = entry;
    if (this.#departed.goneAt(id) !== undefined) this.#departed.back(id);
    else if (entry.isValidated) this.#departed.came(entry);
    entry.isJoined = true;
    if (!isJoined) this.#config.events.emit({ type: "peerJoined", peer: { id, address } });
  }

  /** A peer is reached where it was not before. */
  #settle(entry: PeerEntry, time: number): void {
    this.#replace(entry);
    this.#departed.took(entry);
    this.#config.streams.validate(entry.id, entry.endpoint, time);
  }

  /** A process that was started again may have the address of its predecessor, of which nothing will be heard. */
  #replace(entry: PeerEntry): void {
    const { clock, port } = this.#config;
    const isSuperseded = entry.endpoint.port !== port;
    for (const other of this.#peers.all()) {
      if (other === entry || !other.extended || !other.isAt(entry.endpoint)) continue;
      // It was taken for a plain node there, which anybody can say of it.
      if (other.isJoined && !other.isValidated) continue;
      other.replacedAt = clock.now();
      other.isSuperseded = isSuperseded;
      if (isSuperseded) this.#failureDetector.suspectNow();
    }
  }

  /** Peers that were met a short while ago, and have not told whom they know: that may have been lost. */
  #withoutExchange(): readonly PeerEntry[] {
    const since = this.#config.clock.now() - EXCHANGE_WITHIN;
    return [...this.#peers.all()].filter(({ isValidated, hasExchangedPeers, validatedAt }) =>
      isValidated && !hasExchangedPeers && validatedAt >= since
    );
  }

  #exchange(count: number): { readonly peers?: readonly ExchangedPeer[] } {
    const all = this.#peers.nextForExchange(count).map(({ nodeId, endpoint: { host, port } }) => ({
      id: nodeId,
      host,
      port,
    }));
    // A zone is of use on this host only.
    const peers = all.filter(({ host }) => !host.includes("%"));
    return peers.length === 0 ? {} : { peers };
  }

  /** One that is there finds no room. Its batches may be followed all the same. */
  #respondedInVain(id: string, { to, sentAt }: PathChallenge): void {
    const { clock, streams } = this.#config;
    streams.validate(id, to, clock.now() - sentAt);
    if (!streams.isFollowed(id)) this.refusedAt = clock.now();
  }

  /** Who finds no room may find some by showing where it is; and it may have room itself. */
  #refuse(id: string, advertised: string, source: Endpoint): void {
    const { clock, events } = this.#config;
    this.refused++;
    this.lastRefusedAt = clock.now();
    if (!this.#refusals.allow()) return;
    const { address } = this.#peers.locate(advertised, source);
    events.emit({ type: "peerRefused", peer: { id, address } });
  }

  #remove(id: string, reason: "expired" | "left" | "replaced"): void {
    const peer = this.#peers.remove(id);
    if (peer === undefined) return;
    const { address, endpoint, heardAt } = peer;
    if (peer.isValidated) {
      this.#departed.add(
        { id, address, endpoint, heardAt: Math.max(heardAt, this.#config.streams.heardAt(id)) },
        reason,
      );
    }
    this.#leave(peer, reason, true);
  }

  #leave({ id, address, isJoined }: PeerEntry, reason: "expired" | "left" | "replaced", isLost: boolean): void {
    const { events, pathMtu, streams } = this.#config;
    this.#bootstrap.reopen(id);
    streams.forget(id, isLost);
    pathMtu?.forget(id);
    if (isJoined) events.emit({ type: "peerLeft", peer: { id, address }, reason });
  }
}
