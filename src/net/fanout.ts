/**
 * Fan-out: the unicast destinations of a node's datagrams besides the group.
 *
 * @module
 */

import { type Endpoint, formatEndpoint } from "../platform/endpoint.ts";

/**
 * Seeds that no known peer covers, so that batches go there too.
 *
 * A seed is the shared port of a host, while a node of this project is known by a port of its own: which of the peers
 * on a host answers at a seed is not known. So a host's seeds are covered when it has as many peers that are no seeds
 * as it has seeds that are no peers.
 */
function uncoveredSeeds(peers: readonly Endpoint[], seeds: readonly Endpoint[]): readonly Endpoint[] {
  const open = unknownEndpoints(seeds, peers);
  const spare = countByHost(unknownEndpoints(peers, seeds));
  const wanted = countByHost(open);
  return open.filter(({ host }) => (spare.get(host) ?? 0) < (wanted.get(host) ?? 0));
}

/** The endpoints of `all` that are not among `others`. */
export function unknownEndpoints(all: readonly Endpoint[], others: readonly Endpoint[]): readonly Endpoint[] {
  const names = new Set(others.map(formatEndpoint));
  return all.filter((endpoint) => !names.has(formatEndpoint(endpoint)));
}

/** Each endpoint once, although several nodes may share it. */
export function unique(endpoints: Iterable<Endpoint>): readonly Endpoint[] {
  const byName = new Map<string, Endpoint>();
  for (const endpoint of endpoints) byName.set(formatEndpoint(endpoint), endpoint);
  return [...byName.values()];
}

function countByHost(endpoints: readonly Endpoint[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { host } of endpoints) counts.set(host, (counts.get(host) ?? 0) + 1);
  return counts;
}

/**
 * The peers that can be reached, as {@linkcode Fanout} needs them. Each list is a new array when something has changed,
 * else the same one.
 */
export interface Reachable {
  /** The addresses of all peers that can be reached, each once. */
  endpoints(): readonly Endpoint[];
  /** The addresses of the peers that need unicast copies of what goes to the group. */
  copies(): readonly Endpoint[];
  /** The addresses of those of them that speak the extension. */
  extendedCopies(): readonly Endpoint[];
}

/**
 * Determines the unicast destinations of batches, and of packets that only the extension has: the peers that need
 * copies, and the seeds that no peer covers. They are computed again only when one of the lists has changed.
 */
export class Fanout {
  readonly #reachable: () => Reachable;
  readonly #openSeeds: () => readonly Endpoint[];
  #peers: readonly Endpoint[] | undefined;
  #seeds: readonly Endpoint[] | undefined;
  #copies: readonly Endpoint[] | undefined;
  #extendedCopies: readonly Endpoint[] | undefined;
  #uncovered: readonly Endpoint[] = [];
  #batch: readonly Endpoint[] = [];
  #extended: readonly Endpoint[] = [];

  /** Both return the same arrays as long as nothing has changed. */
  constructor(reachable: () => Reachable, openSeeds: () => readonly Endpoint[]) {
    this.#reachable = reachable;
    this.#openSeeds = openSeeds;
  }

  /** The destinations of batches. */
  get batch(): readonly Endpoint[] {
    this.#coverSeeds();
    const copies = this.#reachable().copies();
    if (copies !== this.#copies) {
      this.#copies = copies;
      this.#batch = unique([...copies, ...this.#uncovered]);
    }
    return this.#batch;
  }

  /** The destinations of packets that only the extension has: peers that speak it, and seeds that may. */
  get extended(): readonly Endpoint[] {
    this.#coverSeeds();
    const extendedCopies = this.#reachable().extendedCopies();
    if (extendedCopies !== this.#extendedCopies) {
      this.#extendedCopies = extendedCopies;
      this.#extended = unique([...extendedCopies, ...this.#uncovered]);
    }
    return this.#extended;
  }

  #coverSeeds(): void {
    const peers = this.#reachable().endpoints();
    const seeds = this.#openSeeds();
    if (peers === this.#peers && seeds === this.#seeds) return;
    this.#peers = peers;
    this.#seeds = seeds;
    this.#uncovered = uncoveredSeeds(peers, seeds);
    this.#copies = this.#extendedCopies = undefined;
  }
}
