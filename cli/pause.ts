/**
 * Pause: a wait that a signal can end early.
 *
 * @module
 */

import { systemClock } from "../adapters/system.ts";
import { onAbort } from "../src/platform/abort_signal.ts";
import type { Clock } from "../src/platform/clock.ts";

/** Resolves after `time` milliseconds of the clock, or when `signal` aborts. */
export function pause(time: number, signal: AbortSignal | undefined, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel();
      detach?.();
      resolve();
    };
    const timer = clock.setTimer(end, signal?.aborted ? 0 : time);
    const detach = signal && onAbort(signal, end);
  });
}
