/**
 * One round of measurements: which ways to the peers are open, how long they take and how much they carry.
 *
 * @module
 */

import type { EchoProbes, Probe } from "../../membership/echo_probes.ts";
import { LADDER } from "../../membership/path_mtu.ts";
import type { PeerEntry } from "../../membership/peer.ts";
import type { Clock, Timer } from "../../platform/clock.ts";
import { MAX_DATAGRAM } from "../../wire/layout.ts";
import type { Report } from "../../wire/probe_records.ts";

/** Answers of each peer by which the time is measured; questions to one that has left some unanswered, and those begun at once. */
const PINGS = 5;
const MORE_PINGS = 24;
const AT_ONCE = 4;
/** In how many parts the time is cut. In all but the last two it is asked for what has not been answered yet. */
const PARTS = 8;
/** That so many of the longest are lost by chance, as others are, is less likely than this: they are too long. */
const UNLIKELY = 0.001;
/** Of the longest time measured, how many a question is old when it is taken for lost. */
const PATIENCE = 2;
/** The part from which on smaller datagrams are tried: by then three of the largest were lost. */
const LADDER_FROM = 3;

/** By which way a probe goes, and by which its answer comes. */
export type SurveyPath = "there" | "out" | "in" | "group";

const BY_WAY: Readonly<Record<SurveyPath, { readonly toGroup: boolean; readonly byGroup: boolean }>> = {
  there: { toGroup: false, byGroup: false },
  out: { toGroup: true, byGroup: false },
  in: { toGroup: false, byGroup: true },
  group: { toGroup: true, byGroup: true },
};

/** From a peer alone, to it alone, and to it by the group. */
export type Track = "in" | "out" | "group";

/** What was found out of one peer. */
export class SurveyedPeer {
  readonly entry: PeerEntry;
  /** Times from question to answer, in milliseconds. */
  readonly times: number[] = [];
  /** When the questions were sent that are not answered, by nonce. */
  readonly waiting: Map<number, number> = new Map();
  readonly answered: Set<SurveyPath> = new Set();
  report: Report | undefined;
  /** The largest datagram, in bytes, that passes each way; 0 when none was tried. */
  readonly largest: Record<Track, number> = { in: 0, out: 0, group: 0 };
  /** When the longest were sent. */
  readonly tried: Record<Track, number[]> = { in: [], out: [], group: [] };
  /** It sends no large answers: it does not know this node by the address that it sends from. */
  isShort = false;

  constructor(entry: PeerEntry) {
    this.entry = entry;
  }
}

/** What a {@linkcode PathSurvey} is made of. */
export interface PathSurveyConfig {
  readonly clock: Clock;
  readonly probes: EchoProbes;
  readonly nodeId: Uint8Array;
  /** Peers that can be asked. */
  readonly peers: readonly PeerEntry[];
  readonly hasGroup: boolean;
  /** The node's group and port: who has others does not hear what it sends to its own. */
  readonly group: string;
  readonly port: number;
  /** Each sends to the group from one interface. */
  readonly loops: ReadonlyMap<object, (packet: Uint8Array) => void>;
  /** Longest that it may take, in milliseconds. */
  readonly timeout: number;
}

/** Ends as soon as everything was answered. */
export class PathSurvey {
  readonly peers: readonly SurveyedPeer[];
  /** For each of `loops` whether what was sent came back. */
  readonly returned: Map<object, boolean> = new Map();
  /** By the node's clock. */
  readonly startedAt: number;
  readonly #config: PathSurveyConfig;
  readonly #nonces: number[] = [];
  readonly #done: () => void;
  /** Resolves when it is over. */
  readonly end: Promise<void>;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(config: PathSurveyConfig) {
    this.#config = config;
    this.startedAt = config.clock.now();
    this.peers = config.peers.map((entry) => new SurveyedPeer(entry));
    for (const key of config.loops.keys()) this.returned.set(key, false);
    let done = () => {};
    this.end = new Promise((resolve) => done = resolve);
    this.#done = done;
    this.#round(0);
  }

  /** Ends it now. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    for (const nonce of this.#nonces) this.#config.probes.forget(nonce);
    this.#done();
  }

  /** Questions of a peer that were lost: one that was sent just now may be under way. */
  lostOf({ times, waiting }: SurveyedPeer): number {
    const { clock, timeout } = this.#config;
    const patience = Math.max(timeout / PARTS, PATIENCE * Math.max(0, ...times));
    return [...waiting.values()].filter((sentAt) => clock.now() - sentAt >= patience).length;
  }

  /** The largest datagram, in bytes, that passes: null when none was tried, or longer ones may have been lost like any other. */
  largestOf(peer: SurveyedPeer, track: Track): number | null {
    const { largest: { [track]: size }, times, tried } = peer;
    if (size === 0 || size === MAX_DATAGRAM) return size || null;
    const lost = this.lostOf(peer);
    const since = this.#config.clock.now() - Math.max(...times);
    const tries = tried[track].filter((sentAt) => sentAt <= since).length;
    return (lost / (lost + times.length)) ** tries < UNLIKELY ? size : null;
  }

  #round(part: number): void {
    const { clock, timeout } = this.#config;
    if (part < PARTS - 1) {
      if (part < PARTS / 2) this.#loop();
      for (const peer of this.peers) this.#ask(peer, part);
    }
    this.#finish();
    if (this.#isOver) return;
    const next = () => part + 1 < PARTS ? this.#round(part + 1) : this.stop();
    this.#timer = clock.setTimer(next, timeout / PARTS);
  }

  #loop(): void {
    const { loops, nodeId, probes } = this.#config;
    for (const [key, send] of loops) {
      if (this.returned.get(key)) continue;
      const { nonce, packet } = probes.make({ node: nodeId }, () => {
        this.returned.set(key, true);
        this.#finish();
      });
      this.#nonces.push(nonce);
      send(packet);
    }
  }

  #ask(peer: SurveyedPeer, part: number): void {
    const sizes = part < LADDER_FROM ? [MAX_DATAGRAM] : [MAX_DATAGRAM, ...LADDER];
    const isLossy = peer.times.length > 0 && this.lostOf(peer) > 0;
    for (let i = 0; i < (isLossy ? AT_ONCE : 1) && this.#isCurious(peer); i++) this.#ping(peer);
    if (this.#sharesGroup(peer)) {
      if (!peer.answered.has("out")) this.#try(peer, "out", () => this.#weighGroup(peer, [MAX_DATAGRAM]));
      else this.#weighGroup(peer, sizes);
      if (!peer.answered.has("in")) this.#try(peer, "in");
      if (part >= 2 && !hasAll(peer)) this.#try(peer, "group");
    }
    if (peer.times.length > 0) this.#weigh(peer, sizes);
  }

  /** Whether it is to be asked once more for the time. Few questions do not tell a poor link from bad luck. */
  #isCurious(peer: SurveyedPeer): boolean {
    const { times, waiting } = peer;
    return times.length < PINGS || (times.length + waiting.size < MORE_PINGS && this.lostOf(peer) > 0);
  }

  #ping(peer: SurveyedPeer): void {
    const { clock } = this.#config;
    const sentAt = clock.now();
    const nonce = this.#send(peer, "there", {}, () => {
      peer.waiting.delete(nonce);
      peer.times.push(clock.now() - sentAt);
      if (peer.times.length === 1) this.#weigh(peer, [MAX_DATAGRAM]);
      if (this.#isCurious(peer)) this.#ping(peer);
    });
    peer.waiting.set(nonce, sentAt);
  }

  #try(peer: SurveyedPeer, way: SurveyPath, onAnswer = () => {}): void {
    this.#send(peer, way, {}, onAnswer);
  }

  /** Tries datagrams of these sizes by the group: it may carry less than goes from one to the other. */
  #weighGroup(peer: SurveyedPeer, sizes: readonly number[]): void {
    for (const size of sizes) this.#tryLength(peer, "group", size, () => true);
  }

  #tryLength(peer: SurveyedPeer, track: Track, size: number, isWhole: (length: number) => boolean): void {
    const { largest, tried } = peer;
    if (size <= largest[track]) return;
    if (size === MAX_DATAGRAM) tried[track].push(this.#config.clock.now());
    const probe = track === "in" ? { answerSize: size } : { size };
    this.#send(peer, track === "group" ? "out" : "there", probe, (length) => {
      if (isWhole(length)) largest[track] = Math.max(largest[track], size);
    });
  }

  /** Tries datagrams of these sizes, in both directions. */
  #weigh(peer: SurveyedPeer, sizes: readonly number[]): void {
    for (const size of sizes) {
      this.#tryLength(peer, "out", size, () => true);
      if (!peer.isShort) this.#tryLength(peer, "in", size, (length) => !(peer.isShort = length < size));
    }
  }

  #send(peer: SurveyedPeer, way: SurveyPath, size: Partial<Probe>, onAnswer: (length: number) => void): number {
    const { toGroup, byGroup } = BY_WAY[way];
    const { nodeId, endpoint } = peer.entry;
    const probe = { node: nodeId, byGroup, ...size };
    const nonce = this.#config.probes.send(probe, toGroup ? "group" : endpoint, (report, length) => {
      peer.report = report;
      peer.answered.add(way);
      onAnswer(length);
      this.#finish();
    });
    this.#nonces.push(nonce);
    return nonce;
  }

  #sharesGroup({ report }: SurveyedPeer): boolean {
    return this.#config.hasGroup && (report === undefined || sharesGroup(report, this.#config));
  }

  #finish(): void {
    const isComplete = (peer: SurveyedPeer) => {
      const { isShort, largest } = peer;
      return largest.out === MAX_DATAGRAM && (isShort || largest.in === MAX_DATAGRAM) &&
        (!this.#sharesGroup(peer) || (hasAll(peer) && largest.group === MAX_DATAGRAM)) && this.#isTimed(peer);
    };
    if ([...this.returned.values()].every((isBack) => isBack) && this.peers.every(isComplete)) this.stop();
  }

  /** Whether of all questions it is known what became of them. */
  #isTimed(peer: SurveyedPeer): boolean {
    const isJudged = peer.waiting.size === 0 || peer.waiting.size === this.lostOf(peer);
    return isJudged && !this.#isCurious(peer);
  }
}

/** Whether a node should hear the multicast of one with this group and port. */
export function sharesGroup(report: Omit<Report, "asker">, { group, port }: { group: string; port: number }): boolean {
  return report.multicast && report.group === group && report.port === port;
}

function hasAll({ answered }: SurveyedPeer): boolean {
  return answered.has("there") && answered.has("out") && answered.has("in");
}
