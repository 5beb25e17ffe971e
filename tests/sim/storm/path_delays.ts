/**
 * Path delays: the delays of datagrams in a seeded world, and their variation.
 *
 * @module
 */

import type { Direction, Faults } from "../../../adapters/memory.ts";

/** How long what the network was like is remembered, in milliseconds: round trips measured then are still in use. */
const MEMORY = 10_000;

interface Span {
  readonly min: number;
  readonly max: number;
  /** When it ended. */
  endedAt: number;
}

/** Follows the settings of the network. Times are in milliseconds. */
export class StormDelays {
  #delays: Span[];
  #reorders: Span[] = [];

  constructor({ min, max }: Faults["delay"]) {
    this.#delays = [{ min, max, endedAt: Infinity }];
  }

  /** Notes a setting. One for a single direction adds to what holds for the others. */
  note({ delay, reorder, reorderBy = 10 }: Partial<Faults>, { from, to }: Direction, now: number): void {
    const isForAll = from === undefined && to === undefined;
    if (delay !== undefined) this.#delays = add(this.#delays, delay.min, delay.max, isForAll, now);
    if (reorder !== undefined) {
      this.#reorders = add(this.#reorders, 0, reorder > 0 ? reorderBy : 0, isForAll, now);
    }
  }

  /** Longest delay of a datagram that was under way at a time, or later. */
  longest(since: number): number {
    return most(this.#delays, since) + most(this.#reorders, since);
  }

  /** Largest difference between the delays of datagrams that were sent since a time. */
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
