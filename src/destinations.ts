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

function countByHost(endpoints: readonly Endpoint[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { host } of endpoints) counts.set(host, (counts.get(host) ?? 0) + 1);
  return counts;
}

/**
 * The destinations of heartbeats (all peers and seeds: that is how the nodes behind a seed are found) and of batches (all
 * peers, and seeds that none of them stands for). They are worked out again only when one of the lists is another.
 */
export class Destinations {
  readonly #peersNow: () => readonly Endpoint[];
  readonly #seedsNow: () => readonly Endpoint[];
  #peers: readonly Endpoint[] | undefined;
  #seeds: readonly Endpoint[] | undefined;
  #heartbeat: readonly Endpoint[] = [];
  #batch: readonly Endpoint[] = [];

  /** Both give the same array as long as nothing has changed. */
  constructor(peers: () => readonly Endpoint[], seeds: () => readonly Endpoint[]) {
    this.#peersNow = peers;
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

  #update(): void {
    const [peers, seeds] = [this.#peersNow(), this.#seedsNow()];
    if (peers === this.#peers && seeds === this.#seeds) return;
    this.#peers = peers;
    this.#seeds = seeds;
    this.#heartbeat = [...peers, ...strangers(seeds, peers)];
    this.#batch = [...peers, ...uncoveredSeeds(peers, seeds)];
  }
}
