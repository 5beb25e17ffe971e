/**
 * Amplification limit: how often this node probes an unvalidated address, to which it sends only because another node
 * or the resolver has named it. It is kin to the anti-amplification limit of QUIC (RFC 9000, sections 8.1 and 21.5):
 * forged addresses must not make a mesh flood a victim. QUIC limits bytes by what came from the address; here nothing
 * came from it, so the probes are counted.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import { type Endpoint, formatEndpoint } from "../platform/endpoint.ts";
import { TokenBucket } from "../platform/token_bucket.ts";

/**
 * Who names an address: a node whose heartbeat advertises it, a validated peer whose peer exchange lists it, or the
 * user's own resolver.
 */
export type AddressSource = "claim" | "peer" | "resolver";

/** What the addresses of one source may cost. */
interface Bounds {
  /** Most addresses that are remembered. */
  readonly capacity: number;
  /** Probes at once and per second, and those of them that go to one host. */
  readonly burst: number;
  readonly perSecond: number;
  readonly hostBurst: number;
  readonly hostPerSecond: number;
}

/**
 * Each source has bounds of its own, so that what unknown nodes claim does not use up what peers and the resolver need.
 */
const BOUNDS: Readonly<Record<AddressSource, Bounds>> = {
  claim: { capacity: 1024, burst: 64, perSecond: 16, hostBurst: 8, hostPerSecond: 0.1 },
  peer: { capacity: 4096, burst: 256, perSecond: 64, hostBurst: 64, hostPerSecond: 1 },
  resolver: { capacity: 4096, burst: 512, perSecond: 64, hostBurst: 512, hostPerSecond: 64 },
};

/** Most hosts whose rate is remembered, and most hosts that are remembered to have answered. */
const HOSTS = 1024;

/** Longest pause between two probes to an address, in milliseconds. */
const MAX_PAUSE = 3_600_000;

/**
 * Milliseconds after the first probe until an address that unknown nodes claim is probed again; and for which a probed
 * address is remembered, whatever else is named.
 */
const RETRY_AFTER = 60_000;

/** The probes to one address. */
interface Attempts {
  /** When the last one was sent, by the node's clock. */
  readonly at: number;
  readonly times: number;
}

/**
 * Anybody can name any address, under any number of ids, so an address is probed once, whichever node names it. A probe
 * may be lost, so an address that is still named is probed again, after pauses that double up to an hour. The first
 * pause is a heartbeat when a validated peer names it: two nodes that know each other by a third alone have nothing
 * else. It is a minute when an unknown node claims it.
 */
export class AmplificationLimit {
  readonly #clock: Clock;
  /** The pause after the first probe, in milliseconds. What the resolver names is probed each time. */
  readonly #pause: Readonly<Record<AddressSource, number>>;
  readonly #limits: Readonly<Record<AddressSource, SourceLimit>>;
  /** Hosts from which a node has answered, the last one last. */
  readonly #validated = new Set<string>();

  /** @param heartbeat Time between heartbeats, in milliseconds. */
  constructor(clock: Clock, heartbeat: number) {
    this.#clock = clock;
    this.#pause = { claim: RETRY_AFTER, peer: heartbeat, resolver: 0 };
    const kind = (namedBy: AddressSource) => new SourceLimit(clock, BOUNDS[namedBy]);
    this.#limits = { claim: kind("claim"), peer: kind("peer"), resolver: kind("resolver") };
  }

  /** Addresses that were not probed, as too many are remembered or were probed recently. */
  get refused(): number {
    const { claim, peer, resolver } = this.#limits;
    return claim.refused + peer.refused + resolver.refused;
  }

  /** Whether an address may be probed now; if so, it counts as probed. */
  allow(endpoint: Endpoint, namedBy: AddressSource): boolean {
    const name = formatEndpoint(endpoint);
    const now = this.#clock.now();
    const pause = this.#pause[namedBy];
    // Whoever named it.
    const isPaused = Object.values(this.#limits).some((kind) => kind.isPaused(name, now, pause));
    // Many nodes may run on one host. Where one has answered, the others that peers list are likely to be real.
    const isKnown = namedBy === "peer" && this.#validated.has(endpoint.host);
    return !isPaused && this.#limits[namedBy].take(name, endpoint.host, now, isKnown);
  }

  /** Whether the peer exchange of a peer has listed an address from which nobody has answered. */
  hasBeenNamed(endpoint: Endpoint): boolean {
    return this.#limits.peer.has(formatEndpoint(endpoint));
  }

  /** A node has answered from an address. */
  validated(endpoint: Endpoint): void {
    const { host } = endpoint;
    const name = formatEndpoint(endpoint);
    for (const kind of Object.values(this.#limits)) kind.forget(name, host);
    this.#validated.delete(host);
    this.#validated.add(host);
    const [oldest] = this.#validated;
    if (this.#validated.size > HOSTS && oldest !== undefined) this.#validated.delete(oldest);
  }

  /** Keeps nothing. */
  clear(): void {
    this.#validated.clear();
    for (const kind of Object.values(this.#limits)) kind.clear();
  }
}

/** The addresses that one source has named. */
class SourceLimit {
  refused = 0;
  readonly #clock: Clock;
  readonly #bounds: Bounds;
  readonly #rate: TokenBucket;
  /** By `host:port`, in the order in which they were last probed. */
  readonly #probed = new Map<string, Attempts>();
  readonly #hosts = new Map<string, TokenBucket>();

  constructor(clock: Clock, bounds: Bounds) {
    this.#clock = clock;
    this.#bounds = bounds;
    this.#rate = new TokenBucket(clock, bounds.burst, bounds.perSecond);
  }

  has(name: string): boolean {
    return this.#probed.has(name);
  }

  isPaused(name: string, now: number, pause: number): boolean {
    const probed = this.#probed.get(name);
    return probed !== undefined && now - probed.at < Math.min(pause * 2 ** (probed.times - 1), MAX_PAUSE);
  }

  take(name: string, host: string, now: number, isKnown: boolean): boolean {
    const probed = this.#probed.get(name);
    const isBeyond = (probed === undefined && !this.#makeRoom(now)) || (!isKnown && !this.#hostRate(host).allow());
    if (isBeyond || !this.#rate.allow()) {
      this.refused++;
      return false;
    }
    this.#probed.delete(name);
    this.#probed.set(name, { at: now, times: (probed?.times ?? 0) + 1 });
    return true;
  }

  /** A host that answers is no victim: its other addresses may be probed, and the probe does not count. */
  forget(name: string, host: string): void {
    if (!this.#probed.delete(name)) return;
    this.#hosts.delete(host);
    this.#rate.giveBack();
  }

  clear(): void {
    this.#probed.clear();
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
    if (this.#probed.size < this.#bounds.capacity) return true;
    const [oldest] = this.#probed;
    if (oldest === undefined || now - oldest[1].at < RETRY_AFTER) return false;
    return this.#probed.delete(oldest[0]);
  }
}
