/**
 * When a peer that is silent is lost.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import type { LivenessState, PeerEntry } from "./peer.ts";
import type { PeerTable } from "./peer_table.ts";

/** Heartbeats of silence after which a peer is in doubt: one may be lost, and another be late. */
export const DOUBT_AFTER = 2;

/** Heartbeats of silence after which a peer is asked whether it is there. They come every 0.85 to 1. */
const SUSPECT_AFTER = 1.25;
/** How often it is asked then, in heartbeats: with a tenth of all datagrams lost, 28 questions fail together once in 10^20. */
const PROBE_EVERY = 1 / 16;
/** Questions without an answer before a verdict, each in a turn of the event loop of its own. */
const MIN_PROBES = 4;
/** How often all are looked at, in heartbeats. */
const LOOK_EVERY = 1 / 4;
/** Shortest time between two looks, in milliseconds. */
const SHORTEST = 2;
/**
 * Timers that run out, one after the other, between the end of a peer's time and the verdict: they run before what has come
 * is read. Node reads 32 datagrams of a socket or more from one to the next, Deno and Bun 128 or more. (The end of a turn is
 * not enough: Deno reads nothing for 60 of them.)
 */
const TURNS = 8;

/** What a {@linkcode FailureDetector} is made of. The callbacks MUST NOT throw. */
export interface FailureDetectorConfig {
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  /** Silence after which a peer that can be asked is lost. */
  readonly peerTimeout: number;
  /** The same for one that speaks the original's wire only. */
  readonly quietTimeout: number;
  readonly clock: Clock;
  readonly peers: PeerTable;
  /** When anything else than a heartbeat was last heard of a node. */
  readonly heardAt: (id: string) => number;
  /** Called at each look, but for the first of those that are late: what came while the node stood still is read after it. */
  readonly onLook: () => void;
  /** Asks a peer whether it is there. */
  readonly probe: (entry: PeerEntry) => void;
  /** A peer is lost, or another node has taken its place. */
  readonly onDown: (entry: PeerEntry, isReplaced: boolean) => void;
}

/**
 * Silence alone is no verdict: a heartbeat may be lost, the peer may stand still for a moment, and so may this node. So a
 * silent peer is asked, again and again, until it answers or its time is over. The time for which this node has stood still
 * itself does not count.
 */
export class FailureDetector {
  readonly #config: FailureDetectorConfig;
  #timer: Timer | undefined;
  /** The turn that is waited for, and those whose time is over. */
  #turn: Timer | undefined;
  #due: readonly PeerEntry[] = [];
  #dueAt = Infinity;
  /** For how long this node has stood still in all, in milliseconds, and whether it had before the last look. */
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
    this.#turn?.cancel();
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
    // Its time may be over.
    this.#timer?.cancel();
    this.#lookAfter(SHORTEST);
  }

  #lookAfter(delay: number): void {
    const { clock } = this.#config;
    this.#dueAt = clock.now() + delay;
    this.#timer = clock.setTimer(() => this.#look(), delay);
  }

  #look(): void {
    const { clock, heartbeat, peers, onLook, probe: ask } = this.#config;
    const now = clock.now();
    const late = now - this.#dueAt;
    const hasStalled = late > LOOK_EVERY * heartbeat;
    if (hasStalled) this.#stalled += late;
    // What has come meanwhile is read after this.
    const mayJudge = !hasStalled || this.#hasStalled;
    this.#hasStalled = hasStalled;
    if (mayJudge) onLook();
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
        const wasBefore = hasStalled && liveness.heardAt <= this.#dueAt;
        liveness.stalled = this.#stalled - (wasBefore ? late : 0);
        liveness.stalledFrom = liveness.heardAt;
      }
      if (suspectAt > now && !this.#isSuperseded(entry)) {
        next = Math.min(next, suspectAt);
        continue;
      }
      const lostAt = this.#lostAt(entry);
      if (now >= lostAt && mayJudge) due.push(entry);
      else if (entry.isValidated) {
        liveness.probes++;
        ask(entry);
        next = Math.min(next, now + PROBE_EVERY * heartbeat, mayJudge ? lostAt : Infinity);
      } else next = Math.min(next, mayJudge ? lostAt : now + PROBE_EVERY * heartbeat);
    }
    if (this.#due.length === 0) this.#judge(due, TURNS);
    this.#lookAfter(Math.max(SHORTEST, next - now));
  }

  /** Those are lost of whom nothing is read in so many turns of the event loop, of about a millisecond each. */
  #judge(due: readonly PeerEntry[], turns: number): void {
    const { clock, peers, onDown } = this.#config;
    this.#due = due;
    if (due.length === 0) return;
    if (turns > 0) {
      this.#turn = clock.setTimer(() => this.#judge(due, turns - 1), 0);
      return;
    }
    this.#due = [];
    for (const entry of due) {
      if (peers.get(entry.id) !== entry) continue;
      this.#recall(entry);
      if (clock.now() >= this.#lostAt(entry)) onDown(entry, entry.liveness.replacedAt < Infinity);
    }
  }

  /** Whatever was heard of a peer counts. */
  #recall({ id, liveness }: PeerEntry): void {
    const state: LivenessState = liveness;
    state.heardAt = Math.max(state.heardAt, this.#config.heardAt(id));
  }

  /** Another has the port that was its alone, and nothing was heard of it since. */
  #isSuperseded({ liveness: { heardAt, replacedAt, isSuperseded } }: PeerEntry): boolean {
    return isSuperseded && heardAt <= replacedAt && replacedAt < Infinity;
  }

  /** While this node stands still, it hears nobody. */
  #lostAt(entry: PeerEntry): number {
    const { isValidated, extended, liveness: { heardAt, replacedAt, probes, stalled } } = entry;
    const { heartbeat, peerTimeout, quietTimeout } = this.#config;
    const deaf = this.#stalled - stalled;
    if (this.#isSuperseded(entry)) return replacedAt;
    if (!isValidated) return heardAt + (extended ? peerTimeout : quietTimeout) + deaf;
    const silence = Math.min(heardAt + peerTimeout, Math.max(heardAt, replacedAt) + SUSPECT_AFTER * heartbeat);
    // The sum that is waited for is the one that is compared.
    return probes < MIN_PROBES ? Infinity : silence + deaf;
  }
}
