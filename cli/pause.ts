import { clearTimeout, setTimeout } from "../adapters/time.ts";

/** Resolves after `time` milliseconds, or when `signal` aborts. */
export function pause(time: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, signal?.aborted ? 0 : time);
    signal?.addEventListener("abort", end);
  });
}
