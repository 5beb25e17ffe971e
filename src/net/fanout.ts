/**
 * Where a node's datagrams go besides the group.
 *
 * @module
 */

import { type Endpoint, formatAddress } from "../platform/endpoint.ts";

/**
 * Seeds that no known peer stands for, so that batches go there too.
 *
 * A seed is the shared port of a host, while a node of this project is known by a port of its own: it cannot be told
 * which of the peers on a host answers at a seed. So a host's seeds are covered when it has as many peers that are no
 * seeds themselves as it has seeds that are no peers.
 */
export function uncoveredSeeds(peers: readonly Endpoint[], seeds: readonly Endpoint[]): readonly Endpoint[] {
  const known = unknownEndpoints(seeds, peers);
  const spare = countByHost(unknownEndpoints(peers, seeds));
  const wanted = countByHost(known);
  return known.filter(({ host }) => (spare.get(host) ?? 0) < (wanted.get(host) ?? 0));
}

/** The endpoints of `all` that are not among `others`. */
export function unknownEndpoints(all: readonly Endpoint[], others: readonly Endpoint[]): readonly Endpoint[] {
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

/** Peers, as {@linkcode Fanout} looks at them. Each list is another array when something has changed. */
export interface Reachable {
  /** Where every peer is that can be reached, each place once. */
  endpoints(): readonly Endpoint[];
  /** Where those of them are that have to be sent copies of what goes to the group. */
  copies(): readonly Endpoint[];
  /** Those that speak the extension. */
  extendedCopies(): readonly Endpoint[];
}

/**
 * Where batches go besides the group, and where what only the extension knows does: to the peers that need copies, and to
 * seeds that no peer stands for. They are worked out again only when one of the lists is another.
 */
export class Fanout {
  readonly #reachable: () => Reachable;
  readonly #openSeeds: () => readonly Endpoint[];
  #known: readonly Endpoint[] | undefined;
  #seeds: readonly Endpoint[] | undefined;
  #copies: readonly Endpoint[] | undefined;
  #speakers: readonly Endpoint[] | undefined;
  #uncovered: readonly Endpoint[] = [];
  #batch: readonly Endpoint[] = [];
  #extended: readonly Endpoint[] = [];

  /** Both give the same arrays as long as nothing has changed. */
  constructor(reachable: () => Reachable, openSeeds: () => readonly Endpoint[]) {
    this.#reachable = reachable;
    this.#openSeeds = openSeeds;
  }

  /** Where batches go. */
  get batch(): readonly Endpoint[] {
    this.#cover();
    const copies = this.#reachable().copies();
    if (copies !== this.#copies) {
      this.#copies = copies;
      this.#batch = unique([...copies, ...this.#uncovered]);
    }
    return this.#batch;
  }

  /** Where what only the extension knows goes: peers that speak it, and seeds that may. */
  get extended(): readonly Endpoint[] {
    this.#cover();
    const speakers = this.#reachable().extendedCopies();
    if (speakers !== this.#speakers) {
      this.#speakers = speakers;
      this.#extended = unique([...speakers, ...this.#uncovered]);
    }
    return this.#extended;
  }

  #cover(): void {
    const known = this.#reachable().endpoints();
    const seeds = this.#openSeeds();
    if (known === this.#known && seeds === this.#seeds) return;
    this.#known = known;
    this.#seeds = seeds;
    this.#uncovered = uncoveredSeeds(known, seeds);
    this.#copies = this.#speakers = undefined;
  }
}
