/**
 * Where a node's datagrams go besides the group.
 *
 * @module
 */

import { type Endpoint, formatAddress } from "./address.ts";

/**
 * Seeds that no known peer stands for, so that batches go there too.
 *
 * A seed is the shared port of a host, while a node of this project is known by a port of its own: it cannot be told
 * which of the peers on a host answers at a seed. So a host's seeds are covered when it has as many peers that are no
 * seeds themselves as it has seeds that are no peers.
 */
export function uncoveredSeeds(peers: readonly Endpoint[], seeds: readonly Endpoint[]): readonly Endpoint[] {
  const known = strangers(seeds, peers);
  const spare = countByHost(strangers(peers, seeds));
  const wanted = countByHost(known);
  return known.filter(({ host }) => (spare.get(host) ?? 0) < (wanted.get(host) ?? 0));
}

/** The endpoints of `all` that are not among `others`. */
export function strangers(all: readonly Endpoint[], others: readonly Endpoint[]): readonly Endpoint[] {
  const names = new Set(others.map(({ host, port }) => formatAddress(host, port)));
  return all.filter(({ host, port }) => !names.has(formatAddress(host, port)));
}

/** Each endpoint once, though several nodes may share it. */
export function unique(endpoints: Iterable<Endpoint>): readonly Endpoint[] {
  const byName = new Map<string, Endpoint>();
  for (const endpoint of endpoints) byName.set(formatAddress(endpoint.host, endpoint.port), endpoint);
  return [...byName.values()];
}

function countByHost(endpoints: readonly Endpoint[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { host } of endpoints) counts.set(host, (counts.get(host) ?? 0) + 1);
  return counts;
}

/** Peers, as {@linkcode Destinations} looks at them. Each list is another array when something has changed. */
export interface Reachable {
  /** Where every peer is, each place once. */
  endpoints(): readonly Endpoint[];
  /** The peers that speak the extension. */
  extended(): readonly { readonly endpoint: Endpoint }[];
}

/**
 * The destinations of heartbeats (all peers and seeds: that is how the nodes behind a seed are found), of batches (all
 * peers, and seeds that none of them stands for) and of what only the extension knows. They are worked out again only when
 * one of the lists is another.
 */
export class Destinations {
  readonly #reachable: () => Reachable;
  readonly #seedsNow: () => readonly Endpoint[];
  #peers: readonly Endpoint[] | undefined;
  #seeds: readonly Endpoint[] | undefined;
  #speakers: ReturnType<Reachable["extended"]> | undefined;
  #heartbeat: readonly Endpoint[] = [];
  #batch: readonly Endpoint[] = [];
  #extended: readonly Endpoint[] = [];
  #uncovered: readonly Endpoint[] = [];

  /** Both give the same arrays as long as nothing has changed. */
  constructor(reachable: () => Reachable, seeds: () => readonly Endpoint[]) {
    this.#reachable = reachable;
    this.#seedsNow = seeds;
  }

  /** Where heartbeats go. */
  get heartbeat(): readonly Endpoint[] {
    this.#update();
    return this.#heartbeat;
  }

  /** Where batches go. */
  get batch(): readonly Endpoint[] {
    this.#update();
    return this.#batch;
  }

  /** Where what only the extension knows goes: peers that speak it, and seeds that may. */
  get extended(): readonly Endpoint[] {
    this.#update();
    const speakers = this.#reachable().extended();
    if (speakers !== this.#speakers) {
      this.#speakers = speakers;
      this.#extended = unique([...speakers.map(({ endpoint }) => endpoint), ...this.#uncovered]);
    }
    return this.#extended;
  }

  #update(): void {
    const [peers, seeds] = [this.#reachable().endpoints(), this.#seedsNow()];
    if (peers === this.#peers && seeds === this.#seeds) return;
    this.#peers = peers;
    this.#seeds = seeds;
    this.#heartbeat = [...peers, ...strangers(seeds, peers)];
    this.#uncovered = uncoveredSeeds(peers, seeds);
    this.#batch = [...peers, ...this.#uncovered];
    this.#speakers = undefined;
  }
}
