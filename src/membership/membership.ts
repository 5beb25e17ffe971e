/**
 * Membership: the heartbeats of this node, and what follows from those of others. It puts the parts of
 * `src/membership/` together, and is the one that calls several of them for one heartbeat.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import { unique, unknownEndpoints } from "../net/fanout.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, type Family, formatEndpoint, isSameEndpoint } from "../platform/endpoint.ts";
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
import type { JoiningState, PeerEntry } from "./peer.ts";
import { PeerTable } from "./peer_table.ts";
import { ResponseSuppression } from "./response_suppression.ts";
import type { Departure, StreamRegistry } from "./stream_registry.ts";

/** Part of the time between heartbeats by which it is shorter at random, so that the nodes do not synchronize. */
const SPREAD = 0.15;
/** Peers that a round of heartbeats lists, and that the initial peer exchange lists, after a node's first response. */
const EXCHANGED = { heartbeat: 4, initial: 24 };
/** Departed peers that are remembered at least. */
const MIN_DEPARTED = 1024;
/** Moves that are reported, at once and per second: an id can be forged, and another address with each datagram. */
const MOVES_PER_SECOND = 16;
/** Peers that are challenged after their leave, at once and per second: anybody can forge one in the name of each. */
const LEAVES = { burst: 64, perSecond: 8 };

/**
 * For how long after its validation a peer that sends a challenge gets the initial peer exchange again, in
 * milliseconds: the first one may have been lost.
 */
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
  /** Whether the node speaks go-warp's wire only. */
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
  /** Seeds that are challenged with each heartbeat until they respond. */
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

/** Announces this node, finds other nodes, and removes those that have departed. */
export class Membership {
  /** Heartbeats that were refused: of nodes that found a full table, or from port 0, where no node can be reached. */
  refused = 0;
  /** When a node that has responded, and whose batches are not followed, was last refused, by the node's clock. */
  refusedAt: number = -Infinity;
  /** When any node was last refused. */
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
      // Only a node that was never validated makes room: it is not lost.
      onEvicted: (peer) => this.#leave(peer, "expired", "evicted"),
    });
    const reachability = this.#multicast = new MulticastReachability({ nodeId, heartbeat, clock, peers });
    const suppression = this.#suppression = new ResponseSuppression({
      jitter,
      multicast,
      validated: () => peers.validated,
    });
    const pathValidation = this.#pathValidation = new PathValidation({
      clock,
      randomBytes,
      peers,
      paths: reachability,
      suppression,
      heartbeats,
    });
    const departed = this.#departed = new DepartedPeers({
      capacity: Math.max(MIN_DEPARTED, 2 * maxPeers),
      heartbeat,
      clock,
      pathValidation,
    });
    this.#pathProber = new PathProber({
      nodeId,
      heartbeat,
      clock,
      rules,
      peers,
      departed,
      pathValidation,
      amplification,
      suppression,
      local,
      onFollowed: (entry, source) => {
        this.#settle(entry, entry.validation.roundTrip);
        this.#reply(entry, source, undefined, true);
      },
    });
    this.#bootstrap = new Bootstrap({ seeds, local, clock, peers, amplification, pathValidation });
    this.#initialHeartbeats = new InitialHeartbeats({
      clock,
      isAlone: () => !isPlain && multicast() && peers.validated === 0,
      beat: () => this.#beatToGroup(),
    });
    this.#failureDetector = new FailureDetector({
      heartbeat,
      peerTimeout,
      quietTimeout,
      clock,
      peers,
      streams,
      membership: {
        onLook: () => {
          for (const entry of reachability.expire()) this.#probe(entry);
          departed.probeAgain();
        },
        probe: (entry) => this.#probe(entry),
        onDown: (entry, isReplaced) => this.#remove(entry.id, isReplaced ? "replaced" : "expired"),
      },
    });
  }

  /** The nodes that were heard. */
  get peers(): PeerTable {
    return this.#peers;
  }

  /** Lost peers that have neither come back nor been replaced. */
  get lost(): readonly LostPeer[] {
    return this.#departed.lost;
  }

  /** Addresses that others have named and that were not probed. */
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
    if (multicast()) this.#beatToGroup(peers);
    const without = this.#peers.withoutGroup();
    for (const path of [PATH_DEAF, PATH_HEARD]) {
      const to = without.filter((entry) => this.#multicast.pathTo(entry) === path).map(({ endpoint }) => endpoint);
      if (to.length > 0) heartbeats.send({ path, ...peers }, unique(to));
    }
    this.#bootstrap.round();
    this.#timer = clock.setTimer(() => this.beat(), heartbeat * (1 - jitter.between(0, SPREAD)));
  }

  /** This node has joined the group on another interface, where nobody has heard it yet. */
  becomeReachable(): void {
    this.#peers.relocate();
    this.beat();
    this.#initialHeartbeats.start();
  }

  /** Seeds at which no known node has answered. The same array as long as nothing has changed. */
  openSeeds(): readonly Endpoint[] {
    return this.#bootstrap.open();
  }

  /** Those of some seeds at which no known node has answered, and at which no peer is reached. */
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
    const departedAt = this.#departed.departedAt(id);
    if (departedAt !== undefined && (answered === undefined || answered.sentAt < departedAt)) {
      // A departed peer was validated, so it speaks the extension. Without it this is forged, or cut off.
      if (extended) this.#challengeDeparted(id, source, extension.nonce);
      return;
    }
    const heard = this.#peers.onHeartbeat({ id, nodeId, advertised, source, extended, isResponse });
    const entry = this.#peers.get(id);
    if (entry === undefined || heard === "refused") {
      if (extended) this.#pathValidation.challengeUnregistered(source, id, extension?.nonce, isResponse);
      if (answered !== undefined) this.#respondedWithoutRoom(id, answered);
      return this.#refuse(id, advertised, source);
    }
    this.#failureDetector.heard(entry);
    if (entry.isValidated && entry.isAt(source)) this.#pathValidation.reached(entry);
    // What comes from another host may be forged in its name.
    const isItself = !entry.isValidated || isResponse || entry.isOn(source.host);
    if (extension !== undefined) {
      const joining: JoiningState = entry.joining;
      if (extension.token !== undefined && isItself) joining.hasExchangedPeers = true;
      if (extension.node !== undefined && isItself) this.#peers.report(entry, extension.node);
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
      extension?.peers?.forEach((listed) => this.#pathProber.onPeerExchange(listed, source));
    }
  }

  /**
   * Notes a heartbeat with this node's own id. When it is a challenge of this node that has come back, this node itself
   * is where that was sent. When it responds to one, another node has the same id, as this node responds to none of its
   * own. Else, if it comes from elsewhere, the source is challenged: it may be this node behind a translated address.
   */
  onOwnHeartbeat({ nonce, echo }: Extension, source: Endpoint): void {
    const id = formatNodeId(this.#config.nodeId);
    const challenge = this.#pathValidation.redeem(nonce, id);
    if (challenge !== undefined) this.#bootstrap.onAnswer(challenge.to);
    else if (this.#pathValidation.redeem(echo, id) !== undefined) this.#config.identity.duplicateMet();
    // A response that comes twice gets none: where every datagram comes back twice, that would never end.
    else if (echo === undefined && this.#config.local.isElsewhere(source)) {
      this.#pathValidation.challengeUnregistered(source, id, nonce, false);
    }
  }

  /**
   * A leave packet of a peer came. It may be forged, so the peer is challenged: one that is still there responds, and
   * is a peer again.
   */
  leave(id: string): void {
    const peer = this.#peers.get(id);
    const isChallenged = peer?.isValidated === true && this.#leaves.allow();
    this.#remove(id, "left", isChallenged ? "left" : "unverified");
    if (isChallenged) this.#pathValidation.send(peer.endpoint, peer);
  }

  /** Whether a node or an address that was challenged a short while ago may still respond. */
  get isMeeting(): boolean {
    return this.#bootstrap.isProbing || this.#initialHeartbeats.isFresh || this.#pathValidation.isChallenging ||
      this.#withoutExchange().length > 0;
  }

  /** Repeats the challenges that have no response or no peer exchange, as this node is about to leave. */
  repeatChallenges(): void {
    this.#pathValidation.repeat(this.#withoutExchange());
  }

  /**
   * Addresses that were heard or named a short while ago and have not responded, or whose peer exchange has not come.
   */
  get unmet(): readonly string[] {
    const unvalidated = this.#peers.extended().filter(({ isValidated }) => !isValidated);
    const entries = [...unvalidated, ...this.#withoutExchange()].map(({ endpoint }) => endpoint);
    return [...this.#pathValidation.unanswered, ...entries].map(formatEndpoint);
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

  /** Sends no more heartbeats and forgets all nodes. */
  close(): void {
    this.stop();
    this.#peers.clear();
    this.#amplification.clear();
    this.#departed.clear();
  }

  /** Sends a heartbeat to the group. */
  #beatToGroup(peers: { readonly peers?: readonly ExchangedPeer[] } = {}): void {
    const heard = writeHeard(this.#multicast.list().map(({ nodeId }) => nodeId));
    this.#config.heartbeats.send({ path: PATH_GROUP, heard, ...peers }, "group");
  }

  /**
   * Responds to a challenge, and sends the initial peer exchange to a node that was just validated: to the validated
   * endpoint alone.
   */
  #reply(entry: PeerEntry, source: Endpoint, nonce: number | undefined, needsExchange: boolean): void {
    const { clock, heartbeats, streams } = this.#config;
    const isAgain = nonce !== undefined && entry.isValidated && clock.now() - entry.path.validatedAt < EXCHANGE_WITHIN;
    const token = needsExchange || isAgain ? streams.tokenFor(entry) : undefined;
    const initial = needsExchange || isAgain ? { ...this.#exchange(EXCHANGED.initial), ...token && { token } } : {};
    const isThere = entry.isAt(source);
    if (nonce !== undefined) this.#pathValidation.respond(entry, nonce, source, isThere ? initial : {});
    if (needsExchange && !(nonce !== undefined && isThere)) {
      heartbeats.send({ path: this.#multicast.pathTo(entry), ...initial }, entry.endpoint);
    }
  }

  /** Probes a peer by a path challenge, which also tells the peer whether its multicast is heard. */
  #probe(entry: PeerEntry): void {
    const { id, liveness, path: { alternate, alternateAt, reachedAt } } = entry;
    if (liveness.probes === 1) this.#bootstrap.reopen(id);
    this.#pathValidation.send(entry.endpoint, entry);
    // It was last validated there.
    if (alternate !== undefined && alternateAt > reachedAt) this.#pathValidation.send(alternate, entry);
  }

  /** Challenges a departed node, which comes back by its response. */
  #challengeDeparted(id: string, source: Endpoint, nonce: number | undefined): void {
    const times = this.#departed.onHeartbeat(id, source);
    this.#pathValidation.challengeDeparted(source, id, nonce, times !== undefined && this.#suppression.isChosen(times));
  }

  /** A peer has responded to a challenge. Returns whether it gets the initial peer exchange. */
  #validate(entry: PeerEntry, { to, id, sentAt }: PathChallenge): boolean {
    const time = this.#config.clock.now() - sentAt;
    this.#pathValidation.measured(entry, time);
    this.#multicast.acknowledged(entry);
    if (id === undefined) this.#bootstrap.onAnswer(to, entry.id);
    const isNew = !entry.isValidated;
    const before = entry.endpoint;
    this.#pathProber.answered(entry, to);
    const needsExchange = this.#peers.validate(entry, to);
    if (entry.isAt(to)) this.#pathValidation.reached(entry);
    if (!isNew && !isSameEndpoint(before, to)) this.#tellAddress(entry, before, to);
    if (needsExchange) this.#settle(entry, time);
    else if (entry.isAt(to)) this.#config.streams.validate(entry.id, to, time);
    this.#multicast.onAnswer(entry);
    if (isNew) this.#join(entry);
    return needsExchange;
  }

  /**
   * A peer has responded from a second endpoint. There may be two nodes with one id, so each is sent the address of the
   * other.
   */
  #tellAddress(entry: PeerEntry, { host, port }: Endpoint, to: Endpoint): void {
    const { heartbeats } = this.#config;
    if (host.includes("%") || !this.#moves.allow()) return;
    heartbeats.send({ path: this.#multicast.pathTo(entry), peers: [{ id: entry.nodeId, host, port }] }, to);
  }

  /** A node counts as a peer from now on. */
  #join(entry: PeerEntry): void {
    const { id, address, isJoined } = entry;
    if (this.#departed.departedAt(id) !== undefined) this.#departed.back(id);
    else if (entry.isValidated) this.#departed.onJoined(entry);
    const joining: JoiningState = entry.joining;
    joining.isJoined = true;
    if (!isJoined) this.#config.events.emit({ type: "peerJoined", peer: { id, address } });
  }

  /** A peer is reached at another endpoint than before, or for the first time. */
  #settle(entry: PeerEntry, time: number): void {
    this.#replace(entry);
    this.#departed.onAddressTaken(entry);
    this.#config.streams.validate(entry.id, entry.endpoint, time);
  }

  /**
   * A process that was started again may have the endpoint of its predecessor, of which nothing will be heard any more.
   */
  #replace(entry: PeerEntry): void {
    const isSuperseded = entry.endpoint.port !== this.#config.port;
    for (const other of this.#peers.all()) {
      if (other === entry || !other.extended || !other.isAt(entry.endpoint)) continue;
      // It joined as a plain node, which anybody can forge, so nothing shows that it was there.
      if (other.isJoined && !other.isValidated) continue;
      this.#failureDetector.replaced(other, isSuperseded);
    }
  }

  /** Peers that were validated a short while ago and whose peer exchange has not come: it may have been lost. */
  #withoutExchange(): readonly PeerEntry[] {
    const since = this.#config.clock.now() - EXCHANGE_WITHIN;
    return [...this.#peers.all()].filter(({ isValidated, joining, path }) =>
      isValidated && !joining.hasExchangedPeers && path.validatedAt >= since
    );
  }

  /** A peer exchange of so many peers. */
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

  /** A node that has responded finds no room. Its batches may be followed all the same. */
  #respondedWithoutRoom(id: string, { to, sentAt }: PathChallenge): void {
    const { clock, streams } = this.#config;
    streams.validate(id, to, clock.now() - sentAt);
    if (!streams.isFollowed(id)) this.refusedAt = clock.now();
  }

  /**
   * A heartbeat was refused. If its node speaks the extension, it was challenged, and may find room by its response.
   */
  #refuse(id: string, advertised: string, source: Endpoint): void {
    const { clock, events } = this.#config;
    this.refused++;
    this.lastRefusedAt = clock.now();
    if (!this.#refusals.allow()) return;
    const { address } = this.#peers.locate(advertised, source);
    events.emit({ type: "peerRefused", peer: { id, address } });
  }

  #remove(id: string, reason: "expired" | "left" | "replaced", departure: Departure = "lost"): void {
    const peer = this.#peers.remove(id);
    if (peer === undefined) return;
    const { address, endpoint, heardAt } = peer;
    if (peer.isValidated) {
      this.#departed.add(
        { id, address, endpoint, heardAt: Math.max(heardAt, this.#config.streams.heardAt(id)) },
        reason,
      );
    }
    this.#leave(peer, reason, departure);
  }

  #leave(entry: PeerEntry, reason: "expired" | "left" | "replaced", departure: Departure): void {
    const { events, pathMtu, streams } = this.#config;
    const { id, address, isJoined } = entry;
    this.#bootstrap.reopen(id);
    streams.forget(entry, departure);
    pathMtu?.forget(id);
    if (isJoined) events.emit({ type: "peerLeft", peer: { id, address }, reason });
  }
}
