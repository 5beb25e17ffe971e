/**
 * Shared clock: a time that the processes of one host can compare.
 *
 * @module
 */

/**
 * Milliseconds since 1970 with fractions.
 *
 * Each runtime adds what its monotonic clock has counted to the system's time at its start. On Linux, Node 20 to 26, Deno
 * 2.9 and Bun 1.4 were all within 0.04 ms of the system's time. A system clock that is set between two starts would part
 * them, so the demo measures the difference too: see {@linkcode compareClocks}.
 */
export function sharedNow(): number {
  return performance.timeOrigin + performance.now();
}

/** How another process's {@linkcode sharedNow} relates to this one's. */
export interface ClockDifference {
  /** What to take off the other's times, in milliseconds: 0 unless the clocks are known to differ. */
  readonly offset: number;
  /** How far `offset` can be from the truth, in milliseconds. */
  readonly error: number;
}

/** Comparisons: the fastest answer gives the narrowest range, and the first few are slow. */
const ROUNDS = 40;

/** Asks another process for its time. The answer was made between question and receipt, which bounds the difference. */
export async function compareClocks(ask: () => Promise<number>): Promise<ClockDifference> {
  let low = -Infinity;
  let high = Infinity;
  for (let i = 0; i < ROUNDS; i++) {
    const before = sharedNow();
    const theirs = await ask();
    const after = sharedNow();
    low = Math.max(low, theirs - after);
    high = Math.min(high, theirs - before);
  }
  const offset = Math.min(Math.max(0, low), high);
  return { offset, error: Math.max(high - offset, offset - low) };
}
