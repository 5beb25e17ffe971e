/**
 * Addresses that somebody names: each is asked ever less until it answers.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import { type Endpoint, formatAddress } from "../platform/endpoint.ts";
import { TokenBucket } from "../platform/token_bucket.ts";

/**
 * Who names an address: a node whose heartbeat says that it is there, a peer that has answered and tells of another, or
 * the user's own resolver.
 */
export type AddressSource = "claim" | "peer" | "resolver";

/** How much the introductions of a kind may cost: addresses remembered, asked at once, and a second; those of one host. */
interface Bounds {
  readonly capacity: number;
  readonly burst: number;
  readonly perSecond: number;
  readonly hostBurst: number;
  readonly hostPerSecond: number;
}

/** Each kind has what is its own, so that strangers' claims do not use up what peers and the resolver need. */
const BOUNDS: Readonly<Record<AddressSource, Bounds>> = {
  claim: { capacity: 1024, burst: 64, perSecond: 16, hostBurst: 8, hostPerSecond: 0.1 },
  peer: { capacity: 4096, burst: 256, perSecond: 64, hostBurst: 64, hostPerSecond: 1 },
  resolver: { capacity: 4096, burst: 512, perSecond: 64, hostBurst: 512, hostPerSecond: 64 },
};

/** Hosts of which it is remembered how many addresses were asked, and as many that have answered. */
const HOSTS = 1024;

/** Longest pause between two questions to an address, in milliseconds. */
const LONGEST_PAUSE = 3_600_000;

/** How long what strangers name is left alone after the first question, and what was asked is remembered for certain, in milliseconds. */
const REST = 60_000;

interface Attempts {
  readonly at: number;
  readonly times: number;
}

/**
 * Anybody can name any address, and many who name one are no more than one. A question may be lost, so it is not the last
 * one for ever: an address that others go on naming is asked again, after pauses that double up to an hour. The first is a
 * heartbeat when a peer that has answered names it, as two that know each other by a third alone have nothing else; it is
 * a minute when that is the claim of a stranger.
 */
export class AmplificationLimit {
  readonly #clock: Clock;
  /** The pause after the first question, in milliseconds. What the resolver names is asked each time that it does. */
  readonly #pause: Readonly<Record<AddressSource, number>>;
  readonly #limits: Readonly<Record<AddressSource, SourceLimit>>;
  /** Hosts from which somebody has answered, the last one last. */
  readonly #answered = new Set<string>();

  /** @param heartbeat Time between heartbeats, in milliseconds. */
  constructor(clock: Clock, heartbeat: number) {
    this.#clock = clock;
    this.#pause = { claim: REST, peer: heartbeat, resolver: 0 };
    const kind = (introducer: AddressSource) => new SourceLimit(clock, BOUNDS[introducer]);
    this.#limits = { claim: kind("claim"), peer: kind("peer"), resolver: kind("resolver") };
  }

  /** Addresses that were not asked, as too many are remembered or were asked of late. */
  get refused(): number {
    const { claim, peer, resolver } = this.#limits;
    return claim.refused + peer.refused + resolver.refused;
  }

  /** Whether an address may be asked now; if so, it counts as asked. */
  allow(endpoint: Endpoint, introducer: AddressSource): boolean {
    const name = formatAddress(endpoint.host, endpoint.port);
    const now = this.#clock.now();
    const pause = this.#pause[introducer];
    // By whomever it was named.
    const isResting = Object.values(this.#limits).some((kind) => kind.isResting(name, now, pause));
    // Many nodes may run on one host, and where one answers the others are no inventions: peers would know.
    const isKnown = introducer === "peer" && this.#answered.has(endpoint.host);
    return !isResting && this.#limits[introducer].take(name, endpoint.host, now, isKnown);
  }

  /** Whether a peer has told of an address, and nobody has answered there. */
  hasBeenNamed({ host, port }: Endpoint): boolean {
    return this.#limits.peer.has(formatAddress(host, port));
  }

  /** Somebody has answered there. */
  validated({ host, port }: Endpoint): void {
    const name = formatAddress(host, port);
    for (const kind of Object.values(this.#limits)) kind.forget(name, host);
    this.#answered.delete(host);
    this.#answered.add(host);
    const [oldest] = this.#answered;
    if (this.#answered.size > HOSTS && oldest !== undefined) this.#answered.delete(oldest);
  }

  /** Keeps nothing. */
  clear(): void {
    this.#answered.clear();
    for (const kind of Object.values(this.#limits)) kind.clear();
  }
}

/** Those of one kind. */
class SourceLimit {
  refused = 0;
  readonly #clock: Clock;
  readonly #bounds: Bounds;
  readonly #rate: TokenBucket;
  /** In the order in which they were asked last. */
  readonly #asked = new Map<string, Attempts>();
  readonly #hosts = new Map<string, TokenBucket>();

  constructor(clock: Clock, bounds: Bounds) {
    this.#clock = clock;
    this.#bounds = bounds;
    this.#rate = new TokenBucket(clock, bounds.burst, bounds.perSecond);
  }

  has(name: string): boolean {
    return this.#asked.has(name);
  }

  isResting(name: string, now: number, pause: number): boolean {
    const asked = this.#asked.get(name);
    return asked !== undefined && now - asked.at < Math.min(pause * 2 ** (asked.times - 1), LONGEST_PAUSE);
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

  #hostRate(host: string): TokenBucket {
    const { hostBurst, hostPerSecond } = this.#bounds;
    const rate = this.#hosts.get(host) ?? new TokenBucket(this.#clock, hostBurst, hostPerSecond);
    this.#hosts.delete(host);
    this.#hosts.set(host, rate);
    const [oldest] = this.#hosts.keys();
    if (this.#hosts.size > HOSTS && oldest !== undefined) this.#hosts.delete(oldest);
    return rate;
  }

  #makeRoom(now: number): boolean {
    if (this.#asked.size < this.#bounds.capacity) return true;
    const [oldest] = this.#asked;
    if (oldest === undefined || now - oldest[1].at < REST) return false;
    return this.#asked.delete(oldest[0]);
  }
}
