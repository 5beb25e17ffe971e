/**
 * The copy budget: how many copies of batches go to plain nodes, those that speak go-warp's wire only. Such a node
 * answers no path challenge, so its address stays unvalidated, and anybody can forge it.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import { type Endpoint, formatEndpoint, isSameEndpoint } from "../platform/endpoint.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { PeerEntry, PlainState } from "./peer.ts";

/**
 * Copies a second, and at once, to all plain peers together that are not established. A real one is established after
 * two of its heartbeats, 10 s by default, and gets what a service publishes in that time unless it is busy. All forged
 * ones together make a node send 360 kB a second at most.
 */
const UNESTABLISHED_PER_SECOND = 256;
/**
 * The same for established ones: 200,000 keys a second to one of them. A node sends about 100,000 datagrams a second at
 * most, so these cannot take all of that.
 */
const ESTABLISHED_PER_SECOND = 10_000;
/** How often, and over how many heartbeats, a plain peer is heard from where it is reached until it is established. */
const ESTABLISHED = { times: 3, heartbeats: 1.25 };

/** An endpoint at which a plain peer is reached that needs copies. */
export interface PlainDestination {
  readonly endpoint: Endpoint;
  readonly isEstablished: boolean;
}

/** A heartbeat of a plain peer came from `source`. Whether that made it established, or ended that. */
export function hearPlain(entry: PeerEntry, source: Endpoint, now: number, heartbeat: number): boolean {
  const plain: PlainState = entry.plain;
  const wasEstablished = plain.isEstablished;
  if (plain.endpoint === undefined || !isSameEndpoint(plain.endpoint, entry.endpoint)) {
    plain.endpoint = entry.endpoint;
    plain.since = now;
    plain.times = 0;
    plain.isEstablished = false;
  }
  if (entry.isAt(source)) plain.times++;
  const hasStayed = now - plain.since >= ESTABLISHED.heartbeats * heartbeat;
  plain.isEstablished ||= hasStayed && plain.times >= ESTABLISHED.times;
  return plain.isEstablished !== wasEstablished;
}

/** What a {@linkcode UnicastCopyBudget} is made of. */
export interface UnicastCopyBudgetConfig {
  readonly clock: Clock;
  /** Where plain peers are reached that need copies. The same array as long as nothing has changed. */
  readonly plain: () => readonly PlainDestination[];
  /** The seeds, which the user has named. The same array as long as nothing has changed. */
  readonly seeds: () => readonly Endpoint[];
  readonly emit: (event: MeshEvent) => void;
}

/**
 * Limits the copies to plain peers. Heartbeats in the name of a plain peer may come from a forged address. So the
 * copies to all plain peers together are limited, and the peers take turns. Where there is none, a list passes as it
 * is.
 */
export class UnicastCopyBudget {
  /** Copies that were not sent. */
  refused = 0;
  readonly #config: UnicastCopyBudgetConfig;
  readonly #established: Share;
  readonly #unestablished: Share;
  readonly #events: TokenBucket;
  #all: readonly Endpoint[] | undefined;
  #plain: readonly PlainDestination[] | undefined;
  #seeds: readonly Endpoint[] | undefined;
  /** The endpoints of the list that are not limited. */
  #others: readonly Endpoint[] = [];
  /** `refused` as it was with the last event. */
  #reported = 0;

  constructor(config: UnicastCopyBudgetConfig) {
    const { clock } = config;
    this.#config = config;
    this.#established = new Share(new TokenBucket(clock, ESTABLISHED_PER_SECOND, ESTABLISHED_PER_SECOND));
    this.#unestablished = new Share(new TokenBucket(clock, UNESTABLISHED_PER_SECOND, UNESTABLISHED_PER_SECOND));
    this.#events = new TokenBucket(clock, 1, 1);
  }

  /** Whether lists pass as they are. */
  get isIdle(): boolean {
    return this.#config.plain().length === 0;
  }

  /** Of all endpoints that need a copy of the next batch, those to which it goes. */
  allowed(all: readonly Endpoint[]): readonly Endpoint[] {
    const plain = this.#config.plain();
    if (plain.length === 0) return all;
    this.#sort(all, plain, this.#config.seeds());
    const allowed = [...this.#others];
    const refused = this.#established.take(allowed) + this.#unestablished.take(allowed);
    if (refused > 0) this.#refuse(refused);
    return allowed;
  }

  #refuse(count: number): void {
    this.refused += count;
    if (!this.#events.allow()) return;
    this.#config.emit({ type: "copiesLimited", refused: this.refused - this.#reported });
    this.#reported = this.refused;
  }

  /** Sorts endpoints by their limit. A seed counts as established: the user has named it. */
  #sort(all: readonly Endpoint[], plain: readonly PlainDestination[], seeds: readonly Endpoint[]): void {
    if (all === this.#all && plain === this.#plain && seeds === this.#seeds) return;
    this.#all = all;
    this.#plain = plain;
    this.#seeds = seeds;
    const named = new Set(seeds.map(formatEndpoint));
    const plainPlaces = new Map(plain.map((place) => [formatEndpoint(place.endpoint), place.isEstablished]));
    const others: Endpoint[] = [];
    const established: Endpoint[] = [];
    const unestablished: Endpoint[] = [];
    for (const endpoint of all) {
      const name = formatEndpoint(endpoint);
      const isEstablished = plainPlaces.get(name);
      if (isEstablished === undefined) others.push(endpoint);
      else if (isEstablished || named.has(name)) established.push(endpoint);
      else unestablished.push(endpoint);
    }
    this.#others = others;
    this.#established.places = established;
    this.#unestablished.places = unestablished;
  }
}

/** Endpoints that share a limit. */
class Share {
  places: readonly Endpoint[] = [];
  readonly #limit: TokenBucket;
  /** Whose turn it is. */
  #next = 0;

  constructor(limit: TokenBucket) {
    this.#limit = limit;
  }

  /** Adds endpoints to a list up to the limit. Returns how many are beyond it. */
  take(list: Endpoint[]): number {
    const { places } = this;
    for (let taken = 0; taken < places.length; taken++) {
      if (!this.#limit.allow()) return places.length - taken;
      list.push(places[this.#next++ % places.length] as Endpoint);
    }
    return 0;
  }
}
