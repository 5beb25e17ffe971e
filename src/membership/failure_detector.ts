/**
 * The failure detector: when a silent peer is lost. It is kin to SWIM (Das, Gupta, Motivala 2002): silence makes a peer
 * suspect, and a suspect is probed before it is taken to be down. Unlike in SWIM each node decides for itself, by
 * probes of its own alone, and only silent peers are probed, as all send heartbeats. As in Lifeguard (Dadgar, Phillips,
 * Currey 2018) a node accounts for its own health: while it is stalled, it hears nobody.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import type { LivenessState, PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";
import type { StreamRegistry } from "./stream_registry.ts";

/**
 * Heartbeats of silence after which it is in doubt whether a peer is there: one heartbeat may be lost, and another be
 * late.
 */
export const DOUBT_AFTER = 2;

/** Heartbeats of silence after which a peer is suspect, and is probed. They come every 0.85 to 1. */
const SUSPECT_AFTER = 1.25;
/**
 * How often it is probed then, in heartbeats: with a tenth of all datagrams lost, 28 probes fail together once in
 * 10^20.
 */
const PROBE_EVERY = 1 / 16;
/** Probes without an answer before a peer is down, each in a turn of the event loop of its own. */
const MIN_PROBES = 4;
/** How often all peers are looked at, in heartbeats. */
const LOOK_EVERY = 1 / 4;
/** Shortest time between two looks, in milliseconds. */
const SHORTEST = 2;
/**
 * Timers that run out, one after the other, between the end of a peer's time and the moment at which it is down, so
 * that datagrams that have already arrived are read. Node reads 32 datagrams of a socket or more from one timer to the
 * next, Deno and Bun 128 or more. (The end of a turn is not enough: Deno reads nothing for 60 of them.)
 */
const TURNS = 8;

/** What a {@linkcode FailureDetector} calls of membership. The methods MUST NOT throw. */
export interface SuspectHandler {
  /** Called at each look, but for the first of those that are late: what came during the stall is read after it. */
  onLook(): void;
  /** Sends a probe to a suspect. */
  probe(entry: PeerEntry): void;
  /** A peer is lost, or another node has taken its place. */
  onDown(entry: PeerEntry, isReplaced: boolean): void;
}

/** What a {@linkcode FailureDetector} is made of. */
export interface FailureDetectorConfig {
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  /** Silence after which a peer that can be probed is lost, in milliseconds. */
  readonly peerTimeout: number;
  /** The same for a plain one, which speaks go-warp's wire only and answers no probes. */
  readonly quietTimeout: number;
  readonly clock: Clock;
  readonly peers: PeerTable;
  readonly streams: Pick<StreamRegistry, "heardAt">;
  readonly membership: SuspectHandler;
}

/**
 * Silence alone does not show a failure: a heartbeat may be lost, the peer may be stalled for a moment, and so may this
 * node. So a silent peer is probed again and again until it answers or its time is over. The time for which this node
 * was stalled does not count.
 */
export class FailureDetector {
  readonly #config: FailureDetectorConfig;
  #timer: Timer | undefined;
  /** The turn of the event loop that is waited for, and the peers whose time is over. */
  #turnTimer: Timer | undefined;
  #due: readonly PeerEntry[] = [];
  #dueAt = Infinity;
  /** For how long this node has been stalled in all, in milliseconds, and whether it was before the last look. */
  #stalled = 0;
  #hasStalled = false;

  constructor(config: FailureDetectorConfig) {
    this.#config = config;
  }

  /** Begins to look. */
  start(): void {
    this.#lookAfter(LOOK_EVERY * this.#config.heartbeat);
  }

  /** Looks no more. */
  close(): void {
    this.#timer?.cancel();
    this.#turnTimer?.cancel();
  }

  /** A heartbeat of a peer has come. */
  heard({ liveness }: PeerEntry): void {
    const state: LivenessState = liveness;
    state.heardAt = this.#config.clock.now();
    state.probes = 0;
    state.replacedAt = Infinity;
    state.isSuperseded = false;
  }

  /** Another node has answered from where a peer is reached. `isSuperseded`: no two processes can be there. */
  replaced({ liveness }: PeerEntry, isSuperseded: boolean): void {
    const state: LivenessState = liveness;
    state.replacedAt = this.#config.clock.now();
    state.isSuperseded = isSuperseded;
    if (!isSuperseded) return;
    // The peer's time may be over.
    this.#timer?.cancel();
    this.#lookAfter(SHORTEST);
  }

  #lookAfter(delay: number): void {
    const { clock } = this.#config;
    this.#dueAt = clock.now() + delay;
    this.#timer = clock.setTimer(() => this.#look(), delay);
  }

  #look(): void {
    const { clock, heartbeat, membership, peers } = this.#config;
    const now = clock.now();
    const late = now - this.#dueAt;
    const hasStalled = late > LOOK_EVERY * heartbeat;
    if (hasStalled) this.#stalled += late;
    // What has arrived during the stall is read after this look.
    const mayDecide = !hasStalled || this.#hasStalled;
    this.#hasStalled = hasStalled;
    if (mayDecide) membership.onLook();
    let next = now + LOOK_EVERY * heartbeat;
    const due: PeerEntry[] = [];
    for (const entry of peers.all()) {
      const liveness: LivenessState = entry.liveness;
      let suspectAt = liveness.heardAt + SUSPECT_AFTER * heartbeat;
      if (suspectAt <= now) {
        this.#recall(entry);
        suspectAt = liveness.heardAt + SUSPECT_AFTER * heartbeat;
      }
      if (liveness.heardAt !== liveness.stalledFrom) {
        const wasHeardBefore = hasStalled && liveness.heardAt <= this.#dueAt;
        liveness.stalled = this.#stalled - (wasHeardBefore ? late : 0);
        liveness.stalledFrom = liveness.heardAt;
      }
      if (suspectAt > now && !this.#isSuperseded(entry)) {
        next = Math.min(next, suspectAt);
        continue;
      }
      const lostAt = this.#lostAt(entry);
      if (now >= lostAt && mayDecide) due.push(entry);
      else if (entry.isValidated) {
        liveness.probes++;
        membership.probe(entry);
        next = Math.min(next, now + PROBE_EVERY * heartbeat, mayDecide ? lostAt : Infinity);
      } else next = Math.min(next, mayDecide ? lostAt : now + PROBE_EVERY * heartbeat);
    }
    if (this.#due.length === 0) this.#confirm(due, TURNS);
    this.#lookAfter(Math.max(SHORTEST, next - now));
  }

  /** Peers are down of whom nothing is read in so many turns of the event loop, of about a millisecond each. */
  #confirm(due: readonly PeerEntry[], turns: number): void {
    const { clock, membership, peers } = this.#config;
    this.#due = due;
    if (due.length === 0) return;
    if (turns > 0) {
      this.#turnTimer = clock.setTimer(() => this.#confirm(due, turns - 1), 0);
      return;
    }
    this.#due = [];
    for (const entry of due) {
      if (peers.get(entry.id) !== entry) continue;
      this.#recall(entry);
      if (clock.now() >= this.#lostAt(entry)) membership.onDown(entry, entry.liveness.replacedAt < Infinity);
    }
  }

  /** Whatever was heard of a peer counts, not heartbeats alone. */
  #recall({ id, liveness }: PeerEntry): void {
    const state: LivenessState = liveness;
    state.heardAt = Math.max(state.heardAt, this.#config.streams.heardAt(id));
  }

  /** Whether another node has the port that was the peer's alone, and nothing was heard of the peer since. */
  #isSuperseded({ liveness: { heardAt, replacedAt, isSuperseded } }: PeerEntry): boolean {
    return isSuperseded && heardAt <= replacedAt && replacedAt < Infinity;
  }

  /** When a peer is lost unless it is heard. While this node is stalled, it hears nobody: that time is added. */
  #lostAt(entry: PeerEntry): number {
    const { isValidated, extended, liveness: { heardAt, replacedAt, probes, stalled } } = entry;
    const { heartbeat, peerTimeout, quietTimeout } = this.#config;
    const stalledFor = this.#stalled - stalled;
    if (this.#isSuperseded(entry)) return replacedAt;
    if (!isValidated) return heardAt + (extended ? peerTimeout : quietTimeout) + stalledFor;
    const silence = Math.min(heardAt + peerTimeout, Math.max(heardAt, replacedAt) + SUSPECT_AFTER * heartbeat);
    // The timer waits for the same sum that is compared here.
    return probes < MIN_PROBES ? Infinity : silence + stalledFor;
  }
}
