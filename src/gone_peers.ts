/**
 * Peers that have answered once and are gone: those that were lost are asked again, as the network may have been cut.
 *
 * @module
 */

import { type Endpoint, isSameEndpoint } from "./address.ts";
import { pauseAfter } from "./asking_again.ts";
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
/** And part of the time for which it has been gone, unless a peer tells of it: a cut of a day heals within 24 minutes. */
const PAUSE_SHARE = 1 / 60;
/** Questions to lost peers a second: one a minute to each of 1,024, and nearly as many more; and how often some are asked, in heartbeats. */
const QUESTIONS_PER_SECOND = 32;
const ASK_EVERY = 1 / 4;
/** Who leaves so soon after it came, in milliseconds, was a visitor. */
const VISIT = 60_000;

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

/** When a node was last heard so that it could be asked, and how often before. */
interface Heard {
  at: number;
  times: number;
}

/** A peer that was not there before, and when it came. */
interface Newcomer {
  readonly id: string;
  readonly endpoint: Endpoint;
  readonly at: number;
}

/** A peer that goes. */
export interface Going extends Peer {
  readonly endpoint: Endpoint;
  /** When it was last heard, by the clock. */
  readonly heardAt: number;
}

interface Gone extends Going {
  readonly at: number;
  /** Questions to it in vain, and when it was asked last. */
  tries: number;
  triedAt: number;
  /** When a peer has told of it last. */
  toldAt: number;
  /** The newcomer that stands for it, and whether that is where it was: then it is no more. */
  replacedBy: Newcomer | undefined;
  isTaken: boolean;
}

const never = (): Heard => ({ at: -Infinity, times: 0 });

/**
 * One that was lost may be on the other side of a cut, with nobody else there to tell of it. So it is asked again, after 1, 2,
 * 4 … heartbeats up to a minute, and after an hour, unless a peer tells of it, each time that a sixtieth of its absence has
 * passed: Serf dials failed members again in the same way. Datagrams of a node that is gone may be late copies, which look
 * like news. So it comes back by an answer of its own, to a question that was sent after it was gone.
 */
export class GonePeers {
  readonly #config: GonePeersConfig;
  readonly #questions: RateLimit;
  /** In the order in which they were asked last. */
  readonly #lost = new Map<string, Gone>();
  readonly #left = new Map<string, { readonly endpoint: Endpoint; readonly at: number }>();
  /** Newcomers that stand for nobody: what crashes may be started again before anybody knows that it is lost. */
  readonly #spare = new Map<string, Newcomer>();
  readonly #startedAt: number;
  /** Each from where it was, and from anywhere else: what strangers send in its name does not stand in its way. */
  readonly #heard = new Map<string, { readonly there: Heard; readonly elsewhere: Heard }>();

  constructor(config: GonePeersConfig) {
    this.#config = config;
    this.#startedAt = config.clock.now();
    const burst = QUESTIONS_PER_SECOND * Math.max(1, ASK_EVERY * config.heartbeat / 1000);
    this.#questions = new RateLimit(config.clock, burst, QUESTIONS_PER_SECOND);
  }

  /** When a node went that was a peer and is none now, by the clock. */
  goneAt(id: string): number | undefined {
    return (this.#lost.get(id) ?? this.#left.get(id))?.at;
  }

  /** Those that were lost, and that nobody stands for. */
  get lost(): readonly LostPeer[] {
    const now = this.#config.clock.now();
    const alone = [...this.#lost.values()].filter(({ replacedBy }) => replacedBy === undefined);
    return alone.map(({ id, address, at }) => ({ id, address, lostFor: now - at }));
  }

  /** A peer is gone. */
  add(peer: Going, reason: "expired" | "left" | "replaced"): void {
    const { id, address, endpoint, heardAt } = peer;
    const at = this.#config.clock.now();
    this.#forget(id);
    if (reason === "left") this.#endVisit(id, at);
    const newcomer = reason === "left" ? undefined : this.#takeSpare(peer);
    if (reason !== "expired") this.#left.set(id, { endpoint, at });
    else {
      const asked = { tries: 0, triedAt: at, toldAt: -Infinity };
      this.#lost.set(id, { id, address, endpoint, heardAt, at, ...asked, replacedBy: newcomer, isTaken: false });
    }
    if (this.#lost.size + this.#left.size <= this.#config.capacity) return;
    const [longest = this.#longest()?.id] = this.#left.keys();
    if (longest !== undefined) this.#forget(longest);
  }

  /** It is there again: who stood for it stands for another. */
  back(id: string): void {
    const { isTaken, replacedBy } = this.#lost.get(id) ?? {};
    this.#forget(id);
    if (replacedBy !== undefined && isTaken === false) this.#place(replacedBy);
  }

  /**
   * A newcomer has answered. It stands for one that was lost: for the one that was at the same address, which is no more; else
   * for one of the same host, else for the one that has been gone for longest; or for one that will be lost, as it is silent.
   */
  came({ id, endpoint }: Pick<Going, "id" | "endpoint">): void {
    if (!this.took({ id, endpoint })) this.#place({ id, endpoint, at: this.#config.clock.now() });
  }

  /** Another has answered where one was that was lost: that is no more. Whether it stands for it. */
  took({ id, endpoint }: Pick<Going, "id" | "endpoint">): boolean {
    // One that comes back from a cut may have shared its port with the other, which was behind it as well.
    if (this.#lost.has(id)) return false;
    const taken = this.#longest((gone) => isSameEndpoint(gone.endpoint, endpoint) && !gone.isTaken);
    if (taken === undefined) return [...this.#lost.values()].some((gone) => gone.isTaken && gone.replacedBy?.id === id);
    const before = taken.replacedBy;
    taken.replacedBy = { id, endpoint, at: this.#config.clock.now() };
    taken.isTaken = true;
    if (before !== undefined && before.id !== id) this.#place(before);
    return true;
  }

  /**
   * A peer tells of a node. Whether it is one that was lost there: it is asked at once when nobody has told of it for a
   * minute, as a cut may just have healed, and then after 1, 2, 4 … heartbeats anew.
   */
  told(id: string, endpoint: Endpoint): boolean {
    const gone = this.#lost.get(id);
    if (gone === undefined || !isSameEndpoint(gone.endpoint, endpoint)) return false;
    const now = this.#config.clock.now();
    const isNews = now - gone.toldAt >= LONGEST_PAUSE;
    gone.toldAt = now;
    if (isNews) {
      this.#ask(gone, now);
      gone.tries = 0;
    }
    return true;
  }

  /** Asks those whose pause is over, within the rate. */
  askAgain(): void {
    const { clock, heartbeat } = this.#config;
    const now = clock.now();
    for (const gone of [...this.#lost.values()]) {
      if (gone.isTaken) {
        this.#endTaken(gone, now);
        continue;
      }
      const share = now - gone.toldAt < LONGEST_PAUSE ? 0 : (now - gone.at) * PAUSE_SHARE;
      const longest = Math.max(LONGEST_PAUSE, share, heartbeat);
      if (now - gone.triedAt < Math.min(heartbeat * 2 ** gone.tries, longest)) continue;
      if (!this.#ask(gone, now)) return;
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
  #ask(gone: Gone, now: number): boolean {
    if (!this.#questions.allow()) return false;
    gone.tries++;
    gone.triedAt = now;
    // Behind those that wait for the rate.
    this.#lost.delete(gone.id);
    this.#lost.set(gone.id, gone);
    this.#config.ask(gone.endpoint);
    return true;
  }

  /** One leaves that has come a short while ago, as a diagnosis does: it did not stand for anybody. */
  #endVisit(id: string, now: number): void {
    this.#spare.delete(id);
    for (const gone of this.#lost.values()) {
      if (gone.replacedBy?.id !== id || now - gone.replacedBy.at >= VISIT) continue;
      gone.isTaken = false;
      gone.replacedBy = this.#takeSpare(gone);
    }
  }

  /** It was no visitor that has come to where one was. */
  #endTaken({ id, endpoint, at, replacedBy }: Gone, now: number): void {
    if (replacedBy === undefined || now - replacedBy.at < VISIT) return;
    this.#lost.delete(id);
    this.#left.set(id, { endpoint, at });
  }

  /** A newcomer stands for somebody, or is spare. Who is met first of all was there before this node. */
  #place(newcomer: Newcomer): void {
    const { id, endpoint, at } = newcomer;
    const isAlone = (gone: Gone) => gone.replacedBy === undefined && gone.heardAt <= at;
    const gone = this.#longest((gone) => isAlone(gone) && gone.endpoint.host === endpoint.host) ??
      this.#longest(isAlone);
    if (gone !== undefined) gone.replacedBy = newcomer;
    else if (at - this.#startedAt >= this.#config.heartbeat) this.#spare.set(id, newcomer);
    const [oldest] = this.#spare.keys();
    if (this.#spare.size > this.#config.capacity && oldest !== undefined) this.#spare.delete(oldest);
  }

  /** The newcomer, if any, that has come since a peer was last heard, and stands for nobody: one of its host first. */
  #takeSpare({ id, endpoint: { host }, heardAt }: Going): Newcomer | undefined {
    let found: Newcomer | undefined;
    for (const spare of this.#spare.values()) {
      if (spare.id === id || spare.at < heardAt) continue;
      if (found === undefined || (found.endpoint.host !== host && spare.endpoint.host === host)) found = spare;
    }
    if (found !== undefined) this.#spare.delete(found.id);
    return found;
  }

  #forget(id: string): void {
    this.#lost.delete(id);
    this.#left.delete(id);
    this.#heard.delete(id);
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
    this.#spare.clear();
    this.#heard.clear();
  }
}
