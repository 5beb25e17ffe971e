/**
 * Addresses that somebody names: each is asked once, and left alone until it answers.
 *
 * @module
 */

import { type Endpoint, formatAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import { RateLimit } from "./rate_limit.ts";

/**
 * Who names an address: a node whose heartbeat says that it is there, a peer that has answered and tells of another, or
 * the user's own resolver.
 */
export type Introducer = "claim" | "peer" | "resolver";

/** How much the introductions of a kind may cost: addresses remembered, asked at once, and a second; those of one host. */
interface Bounds {
  readonly capacity: number;
  readonly burst: number;
  readonly perSecond: number;
  readonly hostBurst: number;
  readonly hostPerSecond: number;
}

/** Each kind has what is its own, so that strangers' claims do not use up what peers and the resolver need. */
const BOUNDS: Readonly<Record<Introducer, Bounds>> = {
  claim: { capacity: 1024, burst: 64, perSecond: 16, hostBurst: 8, hostPerSecond: 0.1 },
  peer: { capacity: 4096, burst: 256, perSecond: 64, hostBurst: 64, hostPerSecond: 1 },
  resolver: { capacity: 4096, burst: 512, perSecond: 64, hostBurst: 512, hostPerSecond: 64 },
};

/** The first, and the longest. Each is twice as long as the one before. */
type Pauses = readonly [number, number];

/** Most addresses that have answered and are silent now, and are no hearsay therefore. */
const MOST_LOST = 1024;

/** Hosts of which it is remembered how many addresses were asked, and as many that have answered. */
const HOSTS = 1024;

/** After this time an address that is still named is asked once more, then after twice as long, up to the longest, in milliseconds. */
const AGAIN: Pauses = [60_000, 3_600_000];

interface Asked {
  readonly at: number;
  readonly times: number;
}

/**
 * Anybody can name any address, so no more than one small datagram goes to one that has not answered, however often and
 * by whomever it is named. A question may be lost, so it is not the last one for ever: an address that others go on naming
 * is asked again after a minute, then after two, four, up to an hour. One that has answered before is asked
 * sooner, after one heartbeat, two, four, up to a minute: a network may be cut between two nodes, and a third go on telling
 * each of the other.
 */
export class Introductions {
  readonly #clock: Clock;
  /** Time between heartbeats, in milliseconds. */
  readonly #heartbeat: number;
  readonly #kinds: Readonly<Record<Introducer, Kind>>;
  readonly #lost = new Set<string>();
  /** Hosts from which somebody has answered, the last one last. */
  readonly #answered = new Set<string>();

  constructor(clock: Clock, heartbeat: number) {
    this.#clock = clock;
    this.#heartbeat = heartbeat;
    const kind = (introducer: Introducer) => new Kind(clock, BOUNDS[introducer]);
    this.#kinds = { claim: kind("claim"), peer: kind("peer"), resolver: kind("resolver") };
  }

  /** Addresses that were not asked, as too many are remembered or were asked of late. */
  get refused(): number {
    const { claim, peer, resolver } = this.#kinds;
    return claim.refused + peer.refused + resolver.refused;
  }

  /** Whether an address may be asked now; if so, it counts as asked. What the resolver names is asked each time it does. */
  mayAsk(endpoint: Endpoint, introducer: Introducer): boolean {
    const name = formatAddress(endpoint.host, endpoint.port);
    const now = this.#clock.now();
    const isLost = introducer === "peer" && this.#lost.has(name);
    const pauses: Pauses = isLost ? [this.#heartbeat, AGAIN[0]] : AGAIN;
    // By whomever it was named.
    const isResting = introducer !== "resolver" &&
      Object.values(this.#kinds).some((kind) => kind.isResting(name, now, pauses));
    // Many nodes may run on one host, and where one answers the others are no inventions: peers would know.
    const isKnown = introducer === "peer" && this.#answered.has(endpoint.host);
    return !isResting && this.#kinds[introducer].take(name, endpoint.host, now, isKnown);
  }

  /** Whether a peer has told of an address, and nobody has answered there. */
  isTold({ host, port }: Endpoint): boolean {
    return this.#kinds.peer.has(formatAddress(host, port));
  }

  /** Somebody has answered there. */
  answered({ host, port }: Endpoint): void {
    const name = formatAddress(host, port);
    this.#lost.delete(name);
    this.#forget(name, host);
    this.#answered.delete(host);
    this.#answered.add(host);
    const [oldest] = this.#answered;
    if (this.#answered.size > HOSTS && oldest !== undefined) this.#answered.delete(oldest);
  }

  /** A node has answered there, and is silent now. */
  lost({ host, port }: Endpoint): void {
    const name = formatAddress(host, port);
    this.#forget(name, host);
    this.#lost.delete(name);
    this.#lost.add(name);
    const [oldest] = this.#lost;
    if (this.#lost.size > MOST_LOST && oldest !== undefined) this.#lost.delete(oldest);
  }

  /** Keeps nothing. */
  clear(): void {
    this.#lost.clear();
    this.#answered.clear();
    for (const kind of Object.values(this.#kinds)) kind.clear();
  }

  #forget(name: string, host: string): void {
    for (const kind of Object.values(this.#kinds)) kind.forget(name, host);
  }
}

/** Those of one kind. */
class Kind {
  refused = 0;
  readonly #clock: Clock;
  readonly #bounds: Bounds;
  readonly #rate: RateLimit;
  /** In the order in which they were asked last. */
  readonly #asked = new Map<string, Asked>();
  readonly #hosts = new Map<string, RateLimit>();

  constructor(clock: Clock, bounds: Bounds) {
    this.#clock = clock;
    this.#bounds = bounds;
    this.#rate = new RateLimit(clock, bounds.burst, bounds.perSecond);
  }

  has(name: string): boolean {
    return this.#asked.has(name);
  }

  isResting(name: string, now: number, [first, longest]: Pauses): boolean {
    const asked = this.#asked.get(name);
    return asked !== undefined && now - asked.at < Math.min(first * 2 ** (asked.times - 1), longest);
  }

  take(name: string, host: string, now: number, isKnown: boolean): boolean {
    const asked = this.#asked.get(name);
    const isBeyond = (asked === undefined && !this.#makeRoom(now)) || (!isKnown && !this.#hostRate(host).allow());
    if (isBeyond || !this.#rate.allow()) {
      this.refused++;
      return false;
    }
    this.#asked.delete(name);
    this.#asked.set(name, { at: now, times: (asked?.times ?? 0) + 1 });
    return true;
  }

  /** A host that answers is no victim: its other addresses may be asked, and the question has cost nobody anything. */
  forget(name: string, host: string): void {
    if (!this.#asked.delete(name)) return;
    this.#hosts.delete(host);
    this.#rate.giveBack();
  }

  clear(): void {
    this.#asked.clear();
    this.#hosts.clear();
  }

  #hostRate(host: string): RateLimit {
    const { hostBurst, hostPerSecond } = this.#bounds;
    const rate = this.#hosts.get(host) ?? new RateLimit(this.#clock, hostBurst, hostPerSecond);
    this.#hosts.delete(host);
    this.#hosts.set(host, rate);
    const [oldest] = this.#hosts.keys();
    if (this.#hosts.size > HOSTS && oldest !== undefined) this.#hosts.delete(oldest);
    return rate;
  }

  #makeRoom(now: number): boolean {
    if (this.#asked.size < this.#bounds.capacity) return true;
    const [oldest] = this.#asked;
    if (oldest === undefined || now - oldest[1].at < AGAIN[0]) return false;
    return this.#asked.delete(oldest[0]);
  }
}
