/**
 * Peers that have answered once and are gone: those that were lost are asked again, as the network may have been cut.
 *
 * @module
 */

import type { Peer } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import { type Going, type Located, Replacements } from "./replacements.ts";
import { pauseAfter } from "./reprobe_backoff.ts";

/** A peer that was lost, and has neither come back nor been replaced. */
export interface LostPeer extends Peer {
  /** How long ago it was lost, in milliseconds. */
  readonly lostFor: number;
}

/** Longest pause between two questions to a peer that was lost in the last hour, in milliseconds. */
const LONGEST_PAUSE = 60_000;
/** And part of the time for which it has been gone, unless a peer tells of it: a cut of a day heals within 24 minutes. */
const PAUSE_SHARE = 1 / 60;
/** Questions to lost peers a second: one a minute to each of 1,024, and nearly as many more; and how often some are asked, in heartbeats. */
const PROBES_PER_SECOND = 32;
const PROBE_EVERY = 1 / 4;

/** What {@linkcode DepartedPeers} are made of. The callback MUST NOT throw. */
export interface DepartedPeersConfig {
  /** Most that are remembered: the longest gone give way, those that have left first. */
  readonly capacity: number;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
  /** Asks whoever is at an address. */
  readonly probe: (to: Endpoint) => void;
}

/** When a node was last heard so that it could be asked, and how often before. */
interface Heard {
  at: number;
  times: number;
}

/** A peer that goes. */
export interface DepartingPeer extends Peer, Going {}

interface Departed extends DepartingPeer {
  readonly at: number;
  /** Questions to it in vain, and when it was asked last. */
  tries: number;
  triedAt: number;
  /** When a peer has told of it last. */
  toldAt: number;
}

const never = (): Heard => ({ at: -Infinity, times: 0 });

/**
 * One that was lost may be on the other side of a cut, with nobody else there to tell of it. So it is asked again, after 1, 2,
 * 4 … heartbeats up to a minute, and after an hour, unless a peer tells of it, each time that a sixtieth of its absence has
 * passed: Serf dials failed members again in the same way. Datagrams of a node that is gone may be late copies, which look
 * like news. So it comes back by an answer of its own, to a question that was sent after it was gone.
 */
export class DepartedPeers {
  readonly #config: DepartedPeersConfig;
  readonly #probeLimit: TokenBucket;
  /** In the order in which they were asked last. */
  readonly #lost = new Map<string, Departed>();
  readonly #left = new Map<string, { readonly endpoint: Endpoint; readonly at: number }>();
  readonly #replacements: Replacements;
  /** Each from where it was, and from anywhere else: what strangers send in its name does not stand in its way. */
  readonly #heard = new Map<string, { readonly there: Heard; readonly elsewhere: Heard }>();

  constructor(config: DepartedPeersConfig) {
    this.#config = config;
    this.#replacements = new Replacements(config);
    const burst = PROBES_PER_SECOND * Math.max(1, PROBE_EVERY * config.heartbeat / 1000);
    this.#probeLimit = new TokenBucket(config.clock, burst, PROBES_PER_SECOND);
  }

  /** When a node went that was a peer and is none now, by the clock. */
  goneAt(id: string): number | undefined {
    return (this.#lost.get(id) ?? this.#left.get(id))?.at;
  }

  /** Those that were lost, and that nobody stands for. */
  get lost(): readonly LostPeer[] {
    const now = this.#config.clock.now();
    const missed = [...this.#lost.values()].filter(({ id }) => this.#replacements.isMissed(id));
    return missed.map(({ id, address, at }) => ({ id, address, lostFor: now - at }));
  }

  /** A peer is gone. */
  add(peer: DepartingPeer, reason: "expired" | "left" | "replaced"): void {
    const { id, address, endpoint, heardAt } = peer;
    const at = this.#config.clock.now();
    this.#forget(id);
    if (reason !== "expired") this.#left.set(id, { endpoint, at });
    else this.#lost.set(id, { id, address, endpoint, heardAt, at, tries: 0, triedAt: at, toldAt: -Infinity });
    if (reason === "expired") this.#replacements.lose(peer);
    else if (reason === "left") this.#replacements.leave(id);
    else this.#replacements.replace(peer);
    if (this.#lost.size + this.#left.size <= this.#config.capacity) return;
    const [longest = this.#longest()?.id] = this.#left.keys();
    if (longest !== undefined) this.#forget(longest);
  }

  /** It is there again. */
  back(id: string): void {
    this.#replacements.back(id);
    this.#forget(id);
  }

  /** A newcomer has answered, and stands for one that was lost. */
  came(newcomer: Located): void {
    this.#replacements.came(newcomer);
  }

  /** A peer has answered where it was not before: who was lost there is no more. */
  took(peer: Located): void {
    this.#replacements.took(peer);
  }

  /**
   * A peer tells of a node. Whether it is one that was lost there: it is asked at once when nobody has told of it for a
   * minute, as a cut may just have healed, and then after 1, 2, 4 … heartbeats anew.
   */
  mentioned(id: string, endpoint: Endpoint): boolean {
    const gone = this.#lost.get(id);
    if (gone === undefined || !isSameEndpoint(gone.endpoint, endpoint)) return false;
    const now = this.#config.clock.now();
    const isNews = now - gone.toldAt >= LONGEST_PAUSE;
    gone.toldAt = now;
    if (isNews) {
      this.#probe(gone, now);
      gone.tries = 0;
    }
    return true;
  }

  /** Asks those whose pause is over, within the rate. */
  probeAgain(): void {
    const { clock, heartbeat } = this.#config;
    const now = clock.now();
    for (const gone of [...this.#lost.values()]) {
      if (this.#replacements.isTaken(gone.id)) {
        if (this.#replacements.isReplaced(gone.id)) this.#end(gone);
        continue;
      }
      const share = now - gone.toldAt < LONGEST_PAUSE ? 0 : (now - gone.at) * PAUSE_SHARE;
      const longest = Math.max(LONGEST_PAUSE, share, heartbeat);
      if (now - gone.triedAt < Math.min(heartbeat * 2 ** gone.tries, longest)) continue;
      if (!this.#probe(gone, now)) return;
    }
  }

  /**
   * One is heard and may be asked whether it is there: where it was, once in half a heartbeat; elsewhere as well, but after
   * four times ever less often, down to once a minute. How many times it could have been before; `undefined` when it is too
   * soon.
   */
  hear(id: string, source: Endpoint): number | undefined {
    const { clock, heartbeat } = this.#config;
    const now = clock.now();
    const before = (this.#lost.get(id) ?? this.#left.get(id))?.endpoint;
    const { there, elsewhere } = this.#heard.get(id) ?? { there: never(), elsewhere: never() };
    this.#heard.set(id, { there, elsewhere });
    const heard = before !== undefined && isSameEndpoint(before, source) ? there : elsewhere;
    if (now - heard.at < pauseAfter(heard === there ? 0 : heard.times, heartbeat)) return undefined;
    heard.at = now;
    return heard.times++;
  }

  /** Whether the rate allows it. */
  #probe(gone: Departed, now: number): boolean {
    if (!this.#probeLimit.allow()) return false;
    gone.tries++;
    gone.triedAt = now;
    // Behind those that wait for the rate.
    this.#lost.delete(gone.id);
    this.#lost.set(gone.id, gone);
    this.#config.probe(gone.endpoint);
    return true;
  }

  /** It is no more, as another is where it was. */
  #end({ id, endpoint, at }: Departed): void {
    this.#lost.delete(id);
    this.#replacements.forget(id);
    this.#left.set(id, { endpoint, at });
  }

  #forget(id: string): void {
    this.#lost.delete(id);
    this.#left.delete(id);
    this.#heard.delete(id);
    this.#replacements.forget(id);
  }

  /** Of those lost, the one that has been gone for longest. */
  #longest(): Departed | undefined {
    let longest: Departed | undefined;
    for (const gone of this.#lost.values()) if (longest === undefined || gone.at < longest.at) longest = gone;
    return longest;
  }

  /** Keeps nothing. */
  clear(): void {
    this.#lost.clear();
    this.#left.clear();
    this.#replacements.clear();
    this.#heard.clear();
  }
}
