/**
 * Stand-in for JSR's `@std/async`: the part of it that these tests use, with the same signatures. `CONTRIBUTING.md`
 * says how to run the tests on the real one.
 *
 * @module
 */

/** How {@linkcode delay} waits. */
export interface DelayOptions {
  /** Ends the wait: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Whether the wait keeps the process alive. @default {true} */
  persistent?: boolean;
}

/** How {@linkcode deadline} waits. */
export interface DeadlineOptions {
  /** Ends the wait: it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Resolves after `ms` milliseconds. */
export function delay(ms: number, options: DelayOptions = {}): Promise<void> {
  const { signal, persistent = true } = options;
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (!persistent && typeof timer === "object") timer.unref();
    function abort(): void {
      clearTimeout(timer);
      reject(signal?.reason);
    }
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/**
 * Resolves or rejects with `promise`, or rejects with a `DOMException` named `TimeoutError` when that takes more than
 * `ms` milliseconds.
 */
export async function deadline<T>(promise: Promise<T>, ms: number, options: DeadlineOptions = {}): Promise<T> {
  const settled = new AbortController();
  const signal = options.signal ? AbortSignal.any([settled.signal, options.signal]) : settled.signal;
  const timeout = delay(ms, { signal }).then(() => {
    throw new DOMException("Signal timed out.", "TimeoutError");
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    settled.abort();
  }
}
