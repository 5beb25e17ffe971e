import { systemClock } from "../adapters/system.ts";
import type { Clock } from "../src/clock.ts";

/** Resolves after `time` milliseconds of the clock, or when `signal` aborts. */
export function pause(time: number, signal: AbortSignal | undefined, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = clock.setTimer(end, signal?.aborted ? 0 : time);
    signal?.addEventListener("abort", end);
  });
}
