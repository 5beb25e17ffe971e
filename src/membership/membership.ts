/**
 * Who is there: heartbeats of the node, and what those of others mean.
 *
 * @module
 */

import type { MeshEvent, Peer } from "../events.ts";
import { strangers, unique } from "../net/fanout.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, formatAddress, isSameEndpoint } from "../platform/endpoint.ts";
import type { RandomBytes } from "../platform/host.ts";
import type { Jitter } from "../platform/jitter.ts";
import { RateLimit } from "../platform/token_bucket.ts";
import type { Extension } from "../wire/extension.ts";
import { PATH_DEAF, PATH_GROUP, PATH_HEARD } from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { type ToldPeer, writeHeard } from "../wire/peer_exchange.ts";
import type { PlaceRules } from "./advertised_address.ts";
import { Introductions } from "./amplification_limit.ts";
import { SeedGreeter } from "./bootstrap.ts";
import { GonePeers, type LostPeer } from "./departed_peers.ts";
import { Suspicion } from "./failure_detector.ts";
import { FirstCalls } from "./initial_heartbeats.ts";
import { Paths } from "./multicast_reachability.ts";
import type { Challenge } from "./path_challenges.ts";
import { Inquiries } from "./path_prober.ts";
import { Handshake, type Saying } from "./path_validation.ts";
import type { KnownPeer, PeerEntry } from "./peer.ts";
import { PeerTable } from "./peer_table.ts";
import { Crowd } from "./response_suppression.ts";

/** Part of the time between heartbeats by which it is shorter at random, so that nodes do not fall into step. */
const SPREAD = 0.15;
/** Peers that a heartbeat tells of, and the one that welcomes a node. */
const TOLD = { heartbeat: 4, welcome: 24 };
/** Fewest peers that are gone and remembered. */
const MOST_GONE = 1024;
/** Moves reported, in a burst and per second: a node id can be forged, and a move with each datagram. */
const MOVES_PER_SECOND = 16;
/** Peers that are asked whether they have really left, at once and per second: anybody can say so of all. */
const LEAVES = { burst: 8, perSecond: 1 };

/** How long a peer that was just met may ask for the welcome again, which may have been lost, in milliseconds. */
const WELCOME_WITHIN = 2000;

/** What a {@linkcode Membership} is made of. The callbacks MUST NOT throw. */
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
  readonly rules: PlaceRules;
  /** Seeds that are greeted with each heartbeat until they answer. */
  readonly seeds: () => readonly Endpoint[];
  /** Whether this node alone is reached at an endpoint. */
  readonly isOwn: (endpoint: Endpoint) => boolean;
  /** Whether what comes from an endpoint can not be of this process. */
  readonly isElsewhere: (endpoint: Endpoint) => boolean;
  /** The port of the mesh, which processes of a host may share. */
  readonly port: number;
  /** Makes a heartbeat. */
  readonly encode: (saying: Saying) => Uint8Array;
  /** Sends it to the group, to one endpoint or to several. */
  readonly post: (heartbeat: Uint8Array, to: "group" | Endpoint | readonly Endpoint[]) => void;
  /** The token for a peer that has answered; absent when there are none. */
  readonly tokenFor: (peer: KnownPeer) => Uint8Array | undefined;
  /** When anything else than a heartbeat was last heard of a node. */
  readonly heardAt: (id: string) => number;
  /** Called with each round of heartbeats. */
  readonly onBeat: () => void;
  /** A peer has answered from where it is reached, so many milliseconds after it was asked. */
  readonly onProven: (peer: Peer, to: Endpoint, time: number) => void;
  /** Whether the batches of a node are followed. */
  readonly isFollowed: (id: string) => boolean;
  /** A node is not there any more: it is lost, unless it had to make room for another. */
  readonly onGone: (id: string, isLost: boolean) => void;
  /** There is another node with the id of this one. */
  readonly onNamesake: () => void;
  readonly emit: (event: MeshEvent) => void;
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
  readonly #paths: Paths;
  readonly #suspicion: Suspicion;
  readonly #handshake: Handshake;
  readonly #introductions: Introductions;
  readonly #inquiries: Inquiries;
  readonly #seeds: SeedGreeter;
  readonly #gone: GonePeers;
  readonly #crowd: Crowd;
  readonly #firstCalls: FirstCalls;
  readonly #refusals: RateLimit;
  readonly #moves: RateLimit;
  readonly #leaves: RateLimit;
  #timer: Timer | undefined;

  constructor(config: MembershipConfig) {
    const { nodeId, clock, heartbeat, maxPeers, peerTimeout, quietTimeout, randomBytes, rules, heardAt } = config;
    const { encode, isOwn, isPlain, jitter, multicast, post, seeds } = config;
    this.#config = config;
    this.#refusals = new RateLimit(clock, 1, 1);
    this.#moves = new RateLimit(clock, MOVES_PER_SECOND, MOVES_PER_SECOND);
    this.#leaves = new RateLimit(clock, LEAVES.burst, LEAVES.perSecond);
    const introductions = this.#introductions = new Introductions(clock, heartbeat);
    const peers = this.#peers = new PeerTable({
      capacity: maxPeers,
      plainCapacity: isPlain ? maxPeers : Math.ceil(maxPeers / 2),
      heartbeat,
      quietTimeout,
      clock,
      rules,
      toldFrom: Math.floor(jitter.between(0, maxPeers)),
      // Only who has never answered makes room: that is no loss.
      onEvicted: (peer) => this.#leave(peer, "expired", false),
    });
    const gone = this.#gone = new GonePeers({
      capacity: Math.max(MOST_GONE, 2 * maxPeers),
      heartbeat,
      clock,
      ask: (to) => this.#handshake.ask(to),
    });
    const paths = this.#paths = new Paths({ nodeId, heartbeat, clock, peers });
    const say = (saying: Saying, to: Endpoint) => post(encode(saying), to);
    const crowd = this.#crowd = new Crowd({ jitter, multicast, proven: () => peers.proven });
    const handshake = this.#handshake = new Handshake({ clock, randomBytes, peers, paths, crowd, say });
    this.#inquiries = new Inquiries({
      nodeId,
      heartbeat,
      clock,
      rules,
      peers,
      gone,
      handshake,
      introductions,
      crowd,
      isElsewhere: config.isElsewhere,
      onFollowed: (entry, source) => {
        this.#settle(entry, entry.roundTrip);
        this.#reply(entry, source, undefined, true);
      },
    });
    this.#seeds = new SeedGreeter({ seeds, isOwn, clock, peers, introductions, ask: (to) => this.#handshake.ask(to) });
    this.#firstCalls = new FirstCalls({
      clock,
      isAlone: () => !isPlain && multicast() && peers.proven === 0,
      call: () => this.#call(),
    });
    // It tells one that is silent whether its multicast is heard, too.
    const ask = (entry: PeerEntry) => {
      const { elsewhere, elsewhereAt, id, probes, reachedAt } = entry;
      if (probes === 1) this.#seeds.doubt(id);
      this.#handshake.ask(entry.endpoint, entry);
      // It has answered from there since.
      if (elsewhere !== undefined && elsewhereAt > reachedAt) this.#handshake.ask(elsewhere, entry);
    };
    this.#suspicion = new Suspicion({
      heartbeat,
      peerTimeout,
      quietTimeout,
      clock,
      peers,
      heardAt,
      onLook: () => {
        this.#paths.expire().forEach(ask);
        this.#gone.askAgain();
      },
      ask,
      onLost: (entry, isReplaced) => this.#remove(entry.id, isReplaced ? "replaced" : "expired"),
    });
  }

  /** Who is there. */
  get peers(): PeerTable {
    return this.#peers;
  }

  /** Peers that were lost, and have neither come back nor been replaced. */
  get lost(): readonly LostPeer[] {
    return this.#gone.lost;
  }

  /** Addresses that others have told of and that were not asked. */
  get introductionsRefused(): number {
    return this.#introductions.refused;
  }

  /** Sends the first heartbeat, and the others at intervals. */
  start(): void {
    this.beat();
    this.#suspicion.start();
    this.#seeds.start();
    this.#firstCalls.start();
  }

  /** Sends a round of heartbeats now, and the next an interval later. */
  beat(): void {
    this.#timer?.cancel();
    const { clock, encode, heartbeat, jitter, multicast, onBeat, post } = this.#config;
    onBeat();
    const peers = this.#told(TOLD.heartbeat);
    if (multicast()) this.#call(peers);
    const without = this.#peers.withoutGroup();
    for (const path of [PATH_DEAF, PATH_HEARD]) {
      const to = without.filter((entry) => this.#paths.pathTo(entry) === path).map(({ endpoint }) => endpoint);
      if (to.length > 0) post(encode({ path, ...peers }), unique(to));
    }
    this.#seeds.round();
    this.#timer = clock.setTimer(() => this.beat(), heartbeat * (1 - jitter.between(0, SPREAD)));
  }

  /** The node can be heard where it could not before. */
  appear(): void {
    this.#peers.relocate();
    this.beat();
    this.#firstCalls.start();
  }

  /** Seeds of which it is not known who is there. The same array as long as nothing has changed. */
  openSeeds(): readonly Endpoint[] {
    return this.#seeds.open();
  }

  /** Those of some seeds at which nobody has answered, and where no peer is. */
  silent(seeds: readonly Endpoint[]): readonly Endpoint[] {
    return strangers(seeds, this.#peers.endpoints()).filter((seed) => !this.#seeds.isAnswered(seed));
  }

  /** The user's resolver has named addresses. */
  greet(endpoints: readonly Endpoint[]): void {
    this.#seeds.greet(endpoints);
  }

  /** Notes a heartbeat of another node. */
  hear({ nodeId, id, advertised, source, extension }: Heartbeat): void {
    const { emit } = this.#config;
    const extended = extension?.position !== undefined;
    const answered = this.#handshake.redeem(extension?.echo, id);
    if (answered !== undefined) this.#introductions.answered(answered.to);
    const isProof = answered !== undefined;
    const goneAt = this.#gone.goneAt(id);
    if (goneAt !== undefined && (answered === undefined || answered.sentAt < goneAt)) {
      // Who has answered speaks the extension. Without it this is forged, or a piece of what it once sent.
      if (extended) this.#meetGone(id, source, extension.nonce);
      return;
    }
    const heard = this.#peers.hear({ id, nodeId, advertised, source, extended, isProof });
    const entry = this.#peers.get(id);
    if (entry === undefined || heard === "refused") {
      if (extended) this.#handshake.meetRefused(source, id, extension?.nonce, isProof);
      if (answered !== undefined) this.#answeredInVain(id, advertised, answered);
      return this.#refuse(id, advertised, source);
    }
    // Not what anybody says in its name from elsewhere.
    const isItself = !entry.isProven || isProof || entry.isOn(source.host);
    if (extension !== undefined) {
      if (extension.token !== undefined && isItself) entry.hasWelcomed = true;
      if (isItself) this.#paths.note(entry, extension);
      else this.#paths.noteAside(entry, extension, source.host);
    }
    const isWelcome = answered !== undefined && this.#prove(entry, answered);
    if (extension?.nonce !== undefined || isWelcome) this.#reply(entry, source, extension?.nonce, isWelcome);
    if (isWelcome) this.#inquiries.welcomed(entry, source);
    else if (extension?.nonce === undefined && !isProof) {
      this.#inquiries.heard(entry, source, extension?.path, heard === "joined");
    }
    if (heard === "joined" && !extended) this.#join(entry);
    else if (heard === "moved" && entry.isJoined && this.#moves.allow()) {
      emit({ type: "peerMoved", peer: { id, address: entry.address } });
    }
    if (entry.isProven && isItself) extension?.peers?.forEach((told) => this.#inquiries.told(told, source));
  }

  /**
   * Notes a heartbeat with the node's own id. A question that it has asked itself has come back: it is itself where that was
   * sent. Who repeats one is another node, as this one answers none of its own. Else, if it comes from elsewhere, whoever is
   * there is asked: it may be this node behind a translated address.
   */
  hearOwn({ nonce, echo }: Extension, source: Endpoint): void {
    const id = formatNodeId(this.#config.nodeId);
    const challenge = this.#handshake.redeem(nonce, id);
    if (challenge !== undefined) this.#seeds.answered(challenge.to);
    else if (this.#handshake.redeem(echo, id) !== undefined) this.#config.onNamesake();
    // An answer that comes twice is not answered: where all comes back twice, that would never end.
    else if (echo === undefined && this.#config.isElsewhere(source)) {
      this.#handshake.meetRefused(source, id, nonce, false);
    }
  }

  /** A peer has said that it leaves, or anybody has in its name: one that is there answers, and is back. */
  leave(id: string): void {
    const peer = this.#peers.get(id);
    this.#remove(id, "left");
    if (peer?.isProven === true && this.#leaves.allow()) this.#handshake.ask(peer.endpoint, peer);
  }

  /** Whether somebody who was greeted or asked a short while ago may still answer. */
  get isMeeting(): boolean {
    return this.#seeds.isGreeting || this.#firstCalls.isFresh || this.#handshake.isAsking ||
      this.#unwelcomed().length > 0;
  }

  /** Asks once more who has not answered, as the node is about to leave. */
  insist(): void {
    this.#handshake.insist(this.#unwelcomed());
  }

  /** Addresses of those that were heard or told of a short while ago and have not answered, or not told of others. */
  get unmet(): readonly string[] {
    const strange = this.#peers.extended().filter(({ isProven }) => !isProven);
    const entries = [...strange, ...this.#unwelcomed()].map(({ endpoint }) => endpoint);
    return [...this.#handshake.unanswered, ...entries].map(({ host, port }) => formatAddress(host, port));
  }

  /** Sends no more heartbeats. */
  stop(): void {
    this.#timer?.cancel();
    this.#suspicion.close();
    this.#handshake.close();
    this.#inquiries.close();
    this.#firstCalls.close();
    this.#seeds.close();
  }

  /** Sends no more heartbeats and forgets everybody. */
  close(): void {
    this.stop();
    this.#peers.clear();
    this.#introductions.clear();
    this.#gone.clear();
  }

  /** Sends a heartbeat to the group. */
  #call(peers: { readonly peers?: readonly ToldPeer[] } = {}): void {
    const { encode, post } = this.#config;
    const heard = writeHeard(this.#paths.list().map(({ nodeId }) => nodeId));
    post(encode({ path: PATH_GROUP, heard, ...peers }), "group");
  }

  /** Answers a question, and welcomes a node that has shown for the first time where it is: there, and nowhere else. */
  #reply(entry: PeerEntry, source: Endpoint, nonce: number | undefined, isWelcome: boolean): void {
    const { clock, encode, post, tokenFor } = this.#config;
    const isAgain = nonce !== undefined && entry.isProven && clock.now() - entry.provenAt < WELCOME_WITHIN;
    const token = isWelcome || isAgain ? tokenFor(entry) : undefined;
    const welcome = isWelcome || isAgain ? { ...this.#told(TOLD.welcome), ...token && { token } } : {};
    const isThere = entry.isAt(source);
    if (nonce !== undefined) this.#handshake.answer(entry, nonce, source, isThere ? welcome : {});
    if (isWelcome && !(nonce !== undefined && isThere)) {
      post(encode({ path: this.#paths.pathTo(entry), ...welcome }), entry.endpoint);
    }
  }

  /** One that is gone comes back by an answer. */
  #meetGone(id: string, source: Endpoint, nonce: number | undefined): void {
    const times = this.#gone.hear(id, source);
    this.#handshake.meetGone(source, id, nonce, times !== undefined && this.#crowd.isChosen(times));
  }

  /** Whether the peer has to be welcomed. */
  #prove(entry: PeerEntry, { to, id, sentAt }: Challenge): boolean {
    const time = this.#config.clock.now() - sentAt;
    entry.roundTrip = entry.roundTrip === 0 ? time : entry.roundTrip + (time - entry.roundTrip) / 8;
    entry.isDeafTo = false;
    if (id === undefined) this.#seeds.answered(to, entry.id);
    const isNew = !entry.isProven;
    if (isNew) entry.provenAt = this.#config.clock.now();
    const before = entry.endpoint;
    const isWelcome = this.#peers.prove(entry, to);
    if (!isNew && !isSameEndpoint(before, to)) this.#tellPlace(entry, before, to);
    if (isWelcome) this.#settle(entry, time);
    else if (entry.isAt(to)) this.#config.onProven(entry, to, time);
    this.#paths.answered(entry);
    if (isNew) this.#join(entry);
    return isWelcome;
  }

  /** A peer has answered from two places. There may be two: each hears where the other is. */
  #tellPlace(entry: PeerEntry, { host, port }: Endpoint, to: Endpoint): void {
    const { encode, post } = this.#config;
    if (host.includes("%") || !this.#moves.allow()) return;
    post(encode({ path: this.#paths.pathTo(entry), peers: [{ id: entry.nodeId, host, port }] }), to);
  }

  /** A node counts as a peer from now on. */
  #join(entry: PeerEntry): void {
    const { id, address, isJoined } = entry;
    if (this.#gone.goneAt(id) !== undefined) this.#gone.back(id);
    else if (entry.isProven) this.#gone.came(entry);
    entry.isJoined = true;
    if (!isJoined) this.#config.emit({ type: "peerJoined", peer: { id, address } });
  }

  /** A peer is reached where it was not before. */
  #settle(entry: PeerEntry, time: number): void {
    this.#replace(entry);
    this.#gone.took(entry);
    this.#config.onProven(entry, entry.endpoint, time);
  }

  /** A process that was started again may have the address of its predecessor, of which nothing will be heard. */
  #replace(entry: PeerEntry): void {
    const { clock, port } = this.#config;
    const isOusted = entry.endpoint.port !== port;
    for (const other of this.#peers.all()) {
      if (other === entry || !other.extended || !other.isAt(entry.endpoint)) continue;
      // It was taken for a plain node there, which anybody can say of it.
      if (other.isJoined && !other.isProven) continue;
      other.replacedAt = clock.now();
      other.isOusted = isOusted;
      if (isOusted) this.#suspicion.hasten();
    }
  }

  /** Peers that were met a short while ago, and have not told whom they know: that may have been lost. */
  #unwelcomed(): readonly PeerEntry[] {
    const since = this.#config.clock.now() - WELCOME_WITHIN;
    return [...this.#peers.all()].filter(({ isProven, hasWelcomed, provenAt }) =>
      isProven && !hasWelcomed && provenAt >= since
    );
  }

  #told(count: number): { readonly peers?: readonly ToldPeer[] } {
    const all = this.#peers.tell(count).map(({ nodeId, endpoint: { host, port } }) => ({ id: nodeId, host, port }));
    // A zone is of use on this host only.
    const peers = all.filter(({ host }) => !host.includes("%"));
    return peers.length === 0 ? {} : { peers };
  }

  /** One that is there finds no room. Its batches may be followed all the same. */
  #answeredInVain(id: string, advertised: string, { to, sentAt }: Challenge): void {
    const { clock, isFollowed, onProven } = this.#config;
    onProven({ id, address: advertised }, to, clock.now() - sentAt);
    if (!isFollowed(id)) this.refusedAt = clock.now();
  }

  /** Who finds no room may find some by showing where it is; and it may have room itself. */
  #refuse(id: string, advertised: string, source: Endpoint): void {
    const { clock, emit } = this.#config;
    this.refused++;
    this.lastRefusedAt = clock.now();
    if (!this.#refusals.allow()) return;
    const { address } = this.#peers.locate(advertised, source);
    emit({ type: "peerRefused", peer: { id, address } });
  }

  #remove(id: string, reason: "expired" | "left" | "replaced"): void {
    const peer = this.#peers.remove(id);
    if (peer === undefined) return;
    const { address, endpoint, heardAt } = peer;
    if (peer.isProven) {
      this.#gone.add({ id, address, endpoint, heardAt: Math.max(heardAt, this.#config.heardAt(id)) }, reason);
    }
    this.#leave(peer, reason, true);
  }

  #leave({ id, address, isJoined }: PeerEntry, reason: "expired" | "left" | "replaced", isLost: boolean): void {
    const { emit, onGone } = this.#config;
    this.#seeds.doubt(id);
    onGone(id, isLost);
    if (isJoined) emit({ type: "peerLeft", peer: { id, address }, reason });
  }
}
