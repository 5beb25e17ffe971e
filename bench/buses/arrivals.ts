/**
 * Arrivals: counts or times the keys that arrive by a bus.
 *
 * @module
 */

import { machineNow } from "../machine_clock.ts";
import { quantile } from "../figures.ts";

// Reading the clock for each key would cost as much as the key.
const CLOCK_EVERY = 64;

/** Records the keys that arrive by a bus: their number, or how long each took. */
export class Arrivals {
  /** Calls so far. */
  received = 0;
  /** When the last call was. Where keys are only counted, it may be up to 63 calls off. */
  last = 0;
  #times: Float64Array | undefined;

  /** Starts again, and counts. */
  count(): void {
    this.received = 0;
    this.last = 0;
    this.#times = undefined;
  }

  /** Starts again, and records how long the first `keys` keys take, by the time that they carry. */
  time(keys: number): void {
    this.count();
    this.#times = new Float64Array(keys);
  }

  /** A key has arrived. */
  heard(key: string): void {
    const index = this.received++;
    if (this.#times === undefined) {
      if (index % CLOCK_EVERY === 0) this.last = machineNow();
      return;
    }
    this.last = machineNow();
    this.#times[index] = this.last - dueOf(key);
  }

  /** Quantiles of the times, in milliseconds. */
  quantiles(): Record<string, number> {
    const times = this.#times?.subarray(0, this.received);
    if (times === undefined || times.length === 0) return {};
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), p999: quantile(times, 0.999) };
  }
}

/** A unique key that carries the time at which it was due. */
export function timedKey(serial: number, due: number): string {
  return `user:${serial}:${Math.round(due * TENTHS)}`;
}

function dueOf(key: string): number {
  return Number(key.substring(key.lastIndexOf(":") + 1)) / TENTHS;
}

// Tenths of a microsecond: whole numbers are written and read faster than fractions.
const TENTHS = 10_000;
