import { machineNow } from "../clock.ts";
import { quantile } from "../figures.ts";

// A call of the clock for each key would cost as much as the key.
const CLOCK_EVERY = 64;

/** What comes out of a bus: how much, or how long each key took. */
export class Arrivals {
  /** Calls so far. */
  received = 0;
  /** When the last one was, give or take 63 calls where keys are only counted. */
  last = 0;
  #times: Float64Array | undefined;

  /** Begins anew, and counts. */
  count(): void {
    this.received = 0;
    this.last = 0;
    this.#times = undefined;
  }

  /** Begins anew, and keeps how long the first `keys` keys take, by the time in them. */
  time(keys: number): void {
    this.count();
    this.#times = new Float64Array(keys);
  }

  /** A key has come. */
  heard(key: string): void {
    const index = this.received++;
    if (this.#times === undefined) {
      if (index % CLOCK_EVERY === 0) this.last = machineNow();
      return;
    }
    this.last = machineNow();
    this.#times[index] = this.last - dueOf(key);
  }

  /** Of the times, in milliseconds. */
  quantiles(): Record<string, number> {
    const times = this.#times?.subarray(0, this.received);
    if (times === undefined || times.length === 0) return {};
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), p999: quantile(times, 0.999) };
  }
}

/** A key that no other is equal to, and that carries the time at which it was due. */
export function timedKey(serial: number, due: number): string {
  return `user:${serial}:${Math.round(due * TENTHS)}`;
}

function dueOf(key: string): number {
  return Number(key.substring(key.lastIndexOf(":") + 1)) / TENTHS;
}

// Tenths of a microsecond, whole numbers of which are written and read faster than fractions.
const TENTHS = 10_000;
