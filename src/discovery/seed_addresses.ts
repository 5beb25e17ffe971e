/**
 * Seed addresses: the addresses of all seeds, within a limit.
 *
 * @module
 */

import { type Endpoint, formatEndpoint } from "../platform/endpoint.ts";
import type { Jitter } from "../platform/jitter.ts";

/**
 * Most addresses of seeds: as many as the peers of a mesh by default. A seed is an entrance to the mesh, and some of
 * them are enough.
 */
export const MAX_SEED_ADDRESSES = 1024;

/**
 * A list of at most this many addresses is trusted like addresses that the user writes down. The addresses of a longer
 * list are unvalidated, and challenged once.
 */
const SHORT_LIST = 16;

/**
 * Lists of addresses, each under a key. When the addresses are too many, the longest lists are cut to a common length,
 * so that none crowds out the others. Which addresses stay is random, except that those known before stay.
 */
export class SeedAddresses<Key> {
  readonly #jitter: Jitter;
  readonly #onCut: (key: Key, length: number) => void;
  readonly #lists = new Map<Key, readonly Endpoint[]>();
  #endpoints: readonly Endpoint[] = [];
  #few: readonly Endpoint[] = [];

  /** `onCut` is called whenever a list is cut, with the length that it had. */
  constructor(jitter: Jitter, onCut: (key: Key, length: number) => void) {
    this.#jitter = jitter;
    this.#onCut = onCut;
  }

  /** All addresses, each once. The same array as long as no list has changed. */
  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** Replaces the list of a key. It takes effect at the next `commit`. */
  set(key: Key, list: readonly Endpoint[]): void {
    const before = this.#lists.get(key) ?? [];
    this.#lists.delete(key);
    if (list.length === 0) return;
    const length = this.#commonLength(list.length);
    for (const [other, endpoints] of this.#lists) this.#lists.set(other, this.#cut(other, endpoints, [], length));
    let room = MAX_SEED_ADDRESSES;
    for (const endpoints of this.#lists.values()) room -= endpoints.length;
    this.#lists.set(key, this.#cut(key, list, before, Math.min(length, room)));
  }

  /** What is left of the list of a key. */
  listed(key: Key): readonly Endpoint[] {
    return this.#lists.get(key) ?? [];
  }

  /** The addresses of the lists that have few of them. The same array as long as they are the same. */
  get few(): readonly Endpoint[] {
    return this.#few;
  }

  /** Computes the addresses of all lists. */
  commit(): void {
    const lists = [...this.#lists.values()];
    this.#endpoints = union(lists, this.#endpoints);
    this.#few = union(lists.filter(({ length }) => length <= SHORT_LIST), this.#few);
  }

  /** The greatest length to which all lists, with one more, can be cut so that they fit: at least 1. */
  #commonLength(added: number): number {
    const lengths = [added, ...Array.from(this.#lists.values(), (list) => list.length)].sort((a, b) => a - b);
    let room = MAX_SEED_ADDRESSES;
    for (const [i, length] of lengths.entries()) {
      const share = Math.floor(room / (lengths.length - i));
      if (length > share) return Math.max(share, 1);
      room -= length;
    }
    return Infinity;
  }

  #cut(key: Key, list: readonly Endpoint[], before: readonly Endpoint[], length: number): readonly Endpoint[] {
    if (list.length <= length) return list;
    this.#onCut(key, list.length);
    const known = new Set(before.map(formatEndpoint));
    return pick(list, length, (endpoint) => known.has(formatEndpoint(endpoint)), this.#jitter);
  }
}

/** Each address of some lists once. The array `before` when it has the same ones. */
function union(lists: readonly (readonly Endpoint[])[], before: readonly Endpoint[]): readonly Endpoint[] {
  const all = new Map<string, Endpoint>();
  for (const list of lists) {
    for (const endpoint of list) all.set(formatEndpoint(endpoint), endpoint);
  }
  const isSame = all.size === before.length && before.every((endpoint) => all.has(formatEndpoint(endpoint)));
  return isSame ? before : [...all.values()];
}

/** Chooses `count` items of a list at random: those that `isFirst` accepts, and then others. */
export function pick<T>(list: readonly T[], count: number, isFirst: (item: T) => boolean, jitter: Jitter): T[] {
  const first = list.filter(isFirst);
  const others = list.filter((item) => !isFirst(item));
  return [...draw(first, count, jitter), ...draw(others, count - first.length, jitter)];
}

/** The first steps of a shuffle (Fisher and Yates). */
function draw<T>(list: T[], count: number, jitter: Jitter): T[] {
  const end = Math.min(Math.max(count, 0), list.length);
  for (let i = 0; i < end; i++) {
    const j = Math.floor(jitter.between(i, list.length));
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list.slice(0, end);
}
