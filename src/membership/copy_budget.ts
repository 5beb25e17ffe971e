/**
 * How many copies of batches go to nodes that cannot be asked anything.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import { type Endpoint, formatAddress, isSameEndpoint } from "../platform/endpoint.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { PeerEntry, PlainState } from "./peer.ts";

/**
 * Copies a second, and at once, to all plain peers together that may be inventions: a real one is established after two of
 * its heartbeats, 10 s by default, and gets what a service publishes in that time unless it is busy. All who forge them
 * together have a node send 360 kB a second at most.
 */
const UNESTABLISHED_PER_SECOND = 256;
/**
 * The same to those that are established: 200,000 keys a second to one of them. A node sends about 100,000 datagrams a
 * second at most, so they cannot take all of that.
 */
const ESTABLISHED_PER_SECOND = 10_000;
/** Times that a plain peer is heard where it is reached until it is established there, and over how many heartbeats. */
const ESTABLISHED = { times: 3, heartbeats: 1.25 };

/** Where a plain peer is reached that needs copies. */
export interface PlainDestination {
  readonly endpoint: Endpoint;
  readonly isEstablished: boolean;
}

/** A plain peer was heard from `source`. Whether it is established from now on, or no more. */
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

/** What a {@linkcode CopyBudget} is made of. */
export interface CopyBudgetConfig {
  readonly clock: Clock;
  /** Where plain peers are reached that need copies. The same array as long as nothing has changed. */
  readonly plain: () => readonly PlainDestination[];
  /** The addresses that the user has named. The same array as long as nothing has changed. */
  readonly seeds: () => readonly Endpoint[];
  readonly emit: (event: MeshEvent) => void;
}

/**
 * A plain peer shows nothing but that somebody sends heartbeats in its name, from an address that may be forged. So what it
 * costs is bounded for all of them together; they take turns. Where there is none, a list goes through as it is.
 */
export class CopyBudget {
  /** Copies that were not sent. */
  refused = 0;
  readonly #config: CopyBudgetConfig;
  readonly #established: Share;
  readonly #unestablished: Share;
  readonly #events: TokenBucket;
  #all: readonly Endpoint[] | undefined;
  #plain: readonly PlainDestination[] | undefined;
  #seeds: readonly Endpoint[] | undefined;
  /** Of the list, what is not limited. */
  #others: readonly Endpoint[] = [];
  /** As it was with the last event. */
  #told = 0;

  constructor(config: CopyBudgetConfig) {
    const { clock } = config;
    this.#config = config;
    this.#established = new Share(new TokenBucket(clock, ESTABLISHED_PER_SECOND, ESTABLISHED_PER_SECOND));
    this.#unestablished = new Share(new TokenBucket(clock, UNESTABLISHED_PER_SECOND, UNESTABLISHED_PER_SECOND));
    this.#events = new TokenBucket(clock, 1, 1);
  }

  /** Whether a list goes through as it is. */
  get isIdle(): boolean {
    return this.#config.plain().length === 0;
  }

  /** Where the next batch goes, of all the places where it should go. */
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
    this.#config.emit({ type: "copiesLimited", refused: this.refused - this.#told });
    this.#told = this.refused;
  }

  /** Tells apart what is limited, and how. A seed was named by the user: it is no invention. */
  #sort(all: readonly Endpoint[], plain: readonly PlainDestination[], seeds: readonly Endpoint[]): void {
    if (all === this.#all && plain === this.#plain && seeds === this.#seeds) return;
    this.#all = all;
    this.#plain = plain;
    this.#seeds = seeds;
    const named = new Set(seeds.map(nameOf));
    const places = new Map(plain.map((place) => [nameOf(place.endpoint), place.isEstablished]));
    const others: Endpoint[] = [];
    const established: Endpoint[] = [];
    const strangers: Endpoint[] = [];
    for (const endpoint of all) {
      const name = nameOf(endpoint);
      const isEstablished = places.get(name);
      if (isEstablished === undefined) others.push(endpoint);
      else if (isEstablished || named.has(name)) established.push(endpoint);
      else strangers.push(endpoint);
    }
    this.#others = others;
    this.#established.places = established;
    this.#unestablished.places = strangers;
  }
}

/** Places that share a limit. */
class Share {
  places: readonly Endpoint[] = [];
  readonly #limit: TokenBucket;
  /** Whose turn it is. */
  #next = 0;

  constructor(limit: TokenBucket) {
    this.#limit = limit;
  }

  /** Adds those to a list that are within the limit. Returns how many are not. */
  take(list: Endpoint[]): number {
    const { places } = this;
    for (let taken = 0; taken < places.length; taken++) {
      if (!this.#limit.allow()) return places.length - taken;
      list.push(places[this.#next++ % places.length] as Endpoint);
    }
    return 0;
  }
}

function nameOf({ host, port }: Endpoint): string {
  return formatAddress(host, port);
}
