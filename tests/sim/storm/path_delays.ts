/**
 * How long datagrams take in a seeded world, and by how much that varies.
 *
 * @module
 */

import type { Direction, Faults } from "../../../adapters/memory.ts";

/** How long what the network was like is remembered, in milliseconds: round trips measured then are still in use. */
const MEMORY = 10_000;

interface Span {
  readonly min: number;
  readonly max: number;
  /** When it was over. */
  endedAt: number;
}

/** Follows what the network is told. Times are in milliseconds. */
export class StormWays {
  #delays: Span[];
  #reorders: Span[] = [];

  constructor({ min, max }: Faults["delay"]) {
    this.#delays = [{ min, max, endedAt: Infinity }];
  }

  /** The network was told this. What is said of one direction adds to what holds for the others. */
  note({ delay, reorder, reorderBy = 10 }: Partial<Faults>, { from, to }: Direction, now: number): void {
    const isForAll = from === undefined && to === undefined;
    if (delay !== undefined) this.#delays = add(this.#delays, delay.min, delay.max, isForAll, now);
    if (reorder !== undefined) {
      this.#reorders = add(this.#reorders, 0, reorder > 0 ? reorderBy : 0, isForAll, now);
    }
  }

  /** Longest that a datagram takes that was under way at a time, or later. */
  longest(since: number): number {
    return most(this.#delays, since) + most(this.#reorders, since);
  }

  /** What one datagram may take more than another, of those that were sent since a time. */
  variation(since: number): number {
    const alive = this.#delays.filter(({ endedAt }) => endedAt >= since - MEMORY);
    return this.longest(since) - Math.min(...alive.map(({ min }) => min));
  }
}

function add(spans: readonly Span[], min: number, max: number, isForAll: boolean, now: number): Span[] {
  if (isForAll) {
    for (const span of spans) span.endedAt = Math.min(span.endedAt, now);
  }
  return [...spans, { min, max, endedAt: Infinity }];
}

function most(spans: readonly Span[], since: number): number {
  return spans.reduce((longest, { max, endedAt }) => endedAt >= since - MEMORY ? Math.max(longest, max) : longest, 0);
}
