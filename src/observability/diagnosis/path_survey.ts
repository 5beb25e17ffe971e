/**
 * Path survey: one round of probes that measures which paths to the peers are open, their round-trip time and the
 * largest datagram that they carry.
 *
 * Like DPLPMTUD (RFC 8899) it finds the path MTU with padded probes of a few sizes, and needs no ICMP.
 *
 * @module
 */

import type { EchoProbes, Probe } from "../../membership/echo_probes.ts";
import { LADDER } from "../../membership/path_mtu.ts";
import type { PeerEntry } from "../../membership/peer.ts";
import type { Clock, Timer } from "../../platform/clock.ts";
import { MAX_DATAGRAM } from "../../wire/layout.ts";
import type { Report } from "../../wire/probe_records.ts";

/**
 * Acks per peer that make up its round-trip time; the most probes for a peer that has left some without an ack; and how
 * many of these are sent at once.
 */
const ROUND_TRIPS = 5;
const MAX_ROUND_TRIP_PROBES = 24;
const CONCURRENT_PROBES = 4;
/** Number of parts of the timeout. In all but the last two, what has not been acknowledged is probed again. */
const PARTS = 8;
/**
 * When the probability that all of the largest probes were lost by chance, at the measured loss rate, is below this,
 * they were too large for the path.
 */
const MAX_CHANCE = 0.001;
/** A probe counts as lost when it is older than this many times the longest measured round-trip time. */
const LOST_AFTER = 2;
/** The part from which on smaller datagrams are tried: three of the largest were lost by then. */
const LADDER_FROM = 3;

/**
 * How a probe and its ack travel: `there` is unicast in both directions, `out` multicast to the peer and unicast back,
 * `in` unicast to the peer and multicast back, `group` multicast in both.
 */
export type SurveyPath = "there" | "out" | "in" | "group";

const BY_PATH: Readonly<Record<SurveyPath, { readonly toGroup: boolean; readonly byGroup: boolean }>> = {
  there: { toGroup: false, byGroup: false },
  out: { toGroup: true, byGroup: false },
  in: { toGroup: false, byGroup: true },
  group: { toGroup: true, byGroup: true },
};

/** Where datagram sizes are measured: unicast from a peer, unicast to it, and multicast to it. */
export type Track = "in" | "out" | "group";

/** What was measured for one peer. */
export class SurveyedPeer {
  readonly entry: PeerEntry;
  /** Measured round-trip times, in milliseconds. */
  readonly times: number[] = [];
  /** When each probe without an ack was sent, by its nonce. */
  readonly waiting: Map<number, number> = new Map();
  readonly acked: Set<SurveyPath> = new Set();
  report: Report | undefined;
  /** The largest datagram that passes each path, in bytes; 0 when none was tried. */
  readonly largest: Record<Track, number> = { in: 0, out: 0, group: 0 };
  /** When datagrams of the full size were sent. */
  readonly tried: Record<Track, number[]> = { in: [], out: [], group: [] };
  /** Whether it sends no large acks, because it does not know this node by its source address. */
  isShort = false;

  constructor(entry: PeerEntry) {
    this.entry = entry;
  }
}

/** What a {@linkcode PathSurvey} is built from. */
export interface PathSurveyConfig {
  readonly clock: Clock;
  readonly probes: EchoProbes;
  readonly nodeId: Uint8Array;
  /** Peers that can be probed. */
  readonly peers: readonly PeerEntry[];
  readonly hasGroup: boolean;
  /** The node's group and port: a peer with other ones does not hear what this node multicasts. */
  readonly group: string;
  readonly port: number;
  /** Functions that each multicast to the group from one interface. */
  readonly loops: ReadonlyMap<object, (packet: Uint8Array) => void>;
  /** Longest time that it may take, in milliseconds. */
  readonly timeout: number;
}

/** Probes the peers, and ends as soon as every probe was acknowledged. */
export class PathSurvey {
  readonly peers: readonly SurveyedPeer[];
  /** For each entry of `loops`, whether its multicast came back. */
  readonly returned: Map<object, boolean> = new Map();
  /** When the survey began, by the node's clock. */
  readonly startedAt: number;
  readonly #config: PathSurveyConfig;
  readonly #nonces: number[] = [];
  readonly #done: () => void;
  /** Resolves when the survey has ended. */
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

  /** Ends the survey now. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    for (const nonce of this.#nonces) this.#config.probes.forget(nonce);
    this.#done();
  }

  /** Number of lost probes of a peer. One that was sent just now may still be under way. */
  lostOf({ times, waiting }: SurveyedPeer): number {
    const { clock, timeout } = this.#config;
    const patience = Math.max(timeout / PARTS, LOST_AFTER * Math.max(0, ...times));
    return [...waiting.values()].filter((sentAt) => clock.now() - sentAt >= patience).length;
  }

  /**
   * The largest datagram that passes, in bytes. Null when none was tried, or when the longer ones may have been lost by
   * chance.
   */
  largestOf(peer: SurveyedPeer, track: Track): number | null {
    const { largest: { [track]: size }, times, tried } = peer;
    if (size === 0 || size === MAX_DATAGRAM) return size || null;
    const lost = this.lostOf(peer);
    const since = this.#config.clock.now() - Math.max(...times);
    const tries = tried[track].filter((sentAt) => sentAt <= since).length;
    return (lost / (lost + times.length)) ** tries < MAX_CHANCE ? size : null;
  }

  #round(part: number): void {
    const { clock, timeout } = this.#config;
    if (part < PARTS - 1) {
      if (part < PARTS / 2) this.#probeLoopback();
      for (const peer of this.peers) this.#probePeer(peer, part);
    }
    this.#finish();
    if (this.#isOver) return;
    const next = () => part + 1 < PARTS ? this.#round(part + 1) : this.stop();
    this.#timer = clock.setTimer(next, timeout / PARTS);
  }

  #probeLoopback(): void {
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

  #probePeer(peer: SurveyedPeer, part: number): void {
    const sizes = part < LADDER_FROM ? [MAX_DATAGRAM] : [MAX_DATAGRAM, ...LADDER];
    const isLossy = peer.times.length > 0 && this.lostOf(peer) > 0;
    for (let i = 0; i < (isLossy ? CONCURRENT_PROBES : 1) && this.#needsRoundTrip(peer); i++) {
      this.#measureRoundTrip(peer);
    }
    if (this.#sharesGroup(peer)) {
      if (!peer.acked.has("out")) this.#probePath(peer, "out", () => this.#probeGroupSizes(peer, [MAX_DATAGRAM]));
      else this.#probeGroupSizes(peer, sizes);
      if (!peer.acked.has("in")) this.#probePath(peer, "in");
      if (part >= 2 && !hasAll(peer)) this.#probePath(peer, "group");
    }
    if (peer.times.length > 0) this.#probeSizes(peer, sizes);
  }

  /** Whether the round-trip time needs another probe. A few probes do not tell a lossy path from bad luck. */
  #needsRoundTrip(peer: SurveyedPeer): boolean {
    const { times, waiting } = peer;
    return times.length < ROUND_TRIPS || (times.length + waiting.size < MAX_ROUND_TRIP_PROBES && this.lostOf(peer) > 0);
  }

  #measureRoundTrip(peer: SurveyedPeer): void {
    const { clock } = this.#config;
    const sentAt = clock.now();
    const nonce = this.#send(peer, "there", {}, () => {
      peer.waiting.delete(nonce);
      peer.times.push(clock.now() - sentAt);
      if (peer.times.length === 1) this.#probeSizes(peer, [MAX_DATAGRAM]);
      if (this.#needsRoundTrip(peer)) this.#measureRoundTrip(peer);
    });
    peer.waiting.set(nonce, sentAt);
  }

  #probePath(peer: SurveyedPeer, path: SurveyPath, onAnswer = () => {}): void {
    this.#send(peer, path, {}, onAnswer);
  }

  /** Probes the multicast path with datagrams of these sizes: it may carry less than the unicast path. */
  #probeGroupSizes(peer: SurveyedPeer, sizes: readonly number[]): void {
    for (const size of sizes) this.#probeSize(peer, "group", size, () => true);
  }

  #probeSize(peer: SurveyedPeer, track: Track, size: number, isWhole: (length: number) => boolean): void {
    const { largest, tried } = peer;
    if (size <= largest[track]) return;
    if (size === MAX_DATAGRAM) tried[track].push(this.#config.clock.now());
    const probe = track === "in" ? { answerSize: size } : { size };
    this.#send(peer, track === "group" ? "out" : "there", probe, (length) => {
      if (isWhole(length)) largest[track] = Math.max(largest[track], size);
    });
  }

  /** Probes both unicast directions with datagrams of these sizes. */
  #probeSizes(peer: SurveyedPeer, sizes: readonly number[]): void {
    for (const size of sizes) {
      this.#probeSize(peer, "out", size, () => true);
      if (!peer.isShort) this.#probeSize(peer, "in", size, (length) => !(peer.isShort = length < size));
    }
  }

  #send(peer: SurveyedPeer, path: SurveyPath, size: Partial<Probe>, onAnswer: (length: number) => void): number {
    const { toGroup, byGroup } = BY_PATH[path];
    const { nodeId, endpoint } = peer.entry;
    const probe = { node: nodeId, byGroup, ...size };
    const nonce = this.#config.probes.send(probe, toGroup ? "group" : endpoint, (report, length) => {
      peer.report = report;
      peer.acked.add(path);
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
        (!this.#sharesGroup(peer) || (hasAll(peer) && largest.group === MAX_DATAGRAM)) && this.#isRoundTripKnown(peer);
    };
    if ([...this.returned.values()].every((isBack) => isBack) && this.peers.every(isComplete)) this.stop();
  }

  /** Whether the fate of every small probe is known. */
  #isRoundTripKnown(peer: SurveyedPeer): boolean {
    const isJudged = peer.waiting.size === 0 || peer.waiting.size === this.lostOf(peer);
    return isJudged && !this.#needsRoundTrip(peer);
  }
}

/** Whether a node should hear the multicast of a node with this group and port. */
export function sharesGroup(
  report: Omit<Report, "requester">,
  { group, port }: { group: string; port: number },
): boolean {
  return report.multicast && report.group === group && report.port === port;
}

function hasAll({ acked }: SurveyedPeer): boolean {
  return acked.has("there") && acked.has("out") && acked.has("in");
}
