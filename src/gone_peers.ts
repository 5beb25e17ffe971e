/**
 * Peers that have answered once and are gone: those that were lost are asked again, as the network may have been cut.
 *
 * @module
 */

import { type Endpoint, isSameEndpoint } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { Peer } from "./peer.ts";
import { RateLimit } from "./rate_limit.ts";

/** A peer that was lost, and has neither come back nor been replaced. */
export interface LostPeer extends Peer {
  /** How long ago it was lost, in milliseconds. */
  readonly lostFor: number;
}

/** Longest pause between two questions to a peer that was lost in the last hour, in milliseconds. */
const LONGEST_PAUSE = 60_000;
/** And part of the time for which it has been gone: a cut of a day heals within 24 minutes. */
const PAUSE_SHARE = 1 / 60;
/** Questions to lost peers a second: one a minute to each of 1,024, and nearly as many more; and how often some are asked, in heartbeats. */
const QUESTIONS_PER_SECOND = 32;
const ASK_EVERY = 1 / 4;

/** What {@linkcode GonePeers} are made of. The callback MUST NOT throw. */
export interface GonePeersConfig {
  /** Most that are remembered: the longest gone give way, those that have left first. */
  readonly capacity: number;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
  /** Asks whoever is at an address. */
  readonly ask: (to: Endpoint) => void;
}

interface Gone extends Peer {
  readonly endpoint: Endpoint;
  readonly at: number;
  /** Questions to it in vain, and when it was asked last. */
  tries: number;
  triedAt: number;
  /** Whether a newcomer stands for it. */
  isReplaced: boolean;
}

/**
 * One that was lost may be on the other side of a cut, with nobody else there to tell of it. So it is asked again, after 1, 2,
 * 4 … heartbeats up to a minute, and after an hour each time that a sixtieth of its absence has passed: Serf dials failed
 * members again in the same way. Datagrams of a node that is gone may be late copies, which look like news. So it comes back
 * by an answer of its own, to a question that was sent after it was gone.
 */
export class GonePeers {
  readonly #config: GonePeersConfig;
  readonly #questions: RateLimit;
  /** In the order in which they were asked last. */
  readonly #lost = new Map<string, Gone>();
  readonly #left = new Set<string>();
  /** When each was heard that could have been asked, and how often. */
  readonly #heard = new Map<string, { at: number; times: number }>();

  constructor(config: GonePeersConfig) {
    this.#config = config;
    const burst = QUESTIONS_PER_SECOND * Math.max(1, ASK_EVERY * config.heartbeat / 1000);
    this.#questions = new RateLimit(config.clock, burst, QUESTIONS_PER_SECOND);
  }

  /** Whether a node was a peer and is none now. */
  has(id: string): boolean {
    return this.#lost.has(id) || this.#left.has(id);
  }

  /** Those that were lost, and that nobody stands for. */
  get lost(): readonly LostPeer[] {
    const now = this.#config.clock.now();
    const alone = [...this.#lost.values()].filter(({ isReplaced }) => !isReplaced);
    return alone.map(({ id, address, at }) => ({ id, address, lostFor: now - at }));
  }

  /** A peer is gone. */
  add(
    { id, address, endpoint }: Peer & { readonly endpoint: Endpoint },
    reason: "expired" | "left" | "replaced",
  ): void {
    this.back(id);
    if (reason !== "expired") this.#left.add(id);
    else {
      const at = this.#config.clock.now();
      this.#lost.set(id, { id, address, endpoint, at, tries: 0, triedAt: at, isReplaced: false });
    }
    if (this.#lost.size + this.#left.size <= this.#config.capacity) return;
    const [longest = this.#longest()?.id] = this.#left;
    if (longest !== undefined) this.back(longest);
  }

  /** It is there again, or forgotten. */
  back(id: string): void {
    this.#lost.delete(id);
    this.#left.delete(id);
    this.#heard.delete(id);
  }

  /**
   * A newcomer has answered. It stands for one that was lost: for the one that was at the same address, which is no more; else
   * for one of the same host, else for the one that has been gone for longest.
   */
  replace({ endpoint }: { readonly endpoint: Endpoint }): void {
    const before = this.#longest((gone) => isSameEndpoint(gone.endpoint, endpoint));
    if (before !== undefined) {
      this.#lost.delete(before.id);
      this.#left.add(before.id);
      return;
    }
    const replaced = this.#longest((gone) => !gone.isReplaced && gone.endpoint.host === endpoint.host) ??
      this.#longest((gone) => !gone.isReplaced);
    if (replaced !== undefined) replaced.isReplaced = true;
  }

  /** Asks those whose pause is over, within the rate. */
  askAgain(): void {
    const { ask, clock, heartbeat } = this.#config;
    const now = clock.now();
    for (const gone of [...this.#lost.values()]) {
      const longest = Math.max(LONGEST_PAUSE, (now - gone.at) * PAUSE_SHARE, heartbeat);
      if (now - gone.triedAt < Math.min(heartbeat * 2 ** gone.tries, longest)) continue;
      if (!this.#questions.allow()) return;
      gone.tries++;
      gone.triedAt = now;
      // Behind those that wait for the rate.
      this.#lost.delete(gone.id);
      this.#lost.set(gone.id, gone);
      ask(gone.endpoint);
    }
  }

  /**
   * One is heard and may be asked whether it is there, once in half a heartbeat: how many times it could have been before;
   * `undefined` when it is too soon.
   */
  hear(id: string): number | undefined {
    const { clock, heartbeat } = this.#config;
    const now = clock.now();
    const heard = this.#heard.get(id) ?? { at: -Infinity, times: 0 };
    if (now - heard.at < heartbeat / 2) return undefined;
    heard.at = now;
    this.#heard.set(id, heard);
    return heard.times++;
  }

  /** Of those lost, and of a kind, the one that has been gone for longest. */
  #longest(isMeant: (gone: Gone) => boolean = () => true): Gone | undefined {
    let longest: Gone | undefined;
    for (const gone of this.#lost.values()) {
      if (isMeant(gone) && (longest === undefined || gone.at < longest.at)) longest = gone;
    }
    return longest;
  }

  /** Keeps nothing. */
  clear(): void {
    this.#lost.clear();
    this.#left.clear();
    this.#heard.clear();
  }
}
