/**
 * Peer waiters: the calls of `waitForPeers` that have not settled.
 *
 * @module
 */

import { ClosedError, misuse, PeersTimeoutError } from "../errors.ts";
import { checkSignal, onAbort, type Signal } from "../platform/abort_signal.ts";
import type { Clock } from "../platform/clock.ts";
import { checkKnown, knownOptions } from "../platform/known_options.ts";

/** Options of `waitForPeers`. */
export interface WaitForPeersOptions {
  /** Ends the wait: the promise rejects with its reason. */
  readonly signal?: Signal | undefined;
  /**
   * Longest wait, in milliseconds: 0 to 86,400,000, or `Infinity`. Then the promise rejects with a `PeersTimeoutError`.
   *
   * @default {10000}
   */
  readonly timeout?: number | undefined;
}

const OPTIONS = knownOptions<WaitForPeersOptions>({ signal: true, timeout: true });

/** Default of `timeout`, in milliseconds: two heartbeats. */
const DEFAULT_TIMEOUT = 10_000;
const MAX_TIMEOUT = 86_400_000;

/** One call. */
interface Waiter {
  /** How many peers it waits for. */
  readonly count: number;
  settle(error?: unknown): void;
}

/** Settles the calls of `waitForPeers` when peers join, when their time is over, or when the node closes. */
export class PeerWaiters {
  readonly #clock: Clock;
  readonly #peers: () => number;
  readonly #waiters = new Set<Waiter>();
  #isClosed = false;

  /** `peers` returns how many peers there are now. */
  constructor(clock: Clock, peers: () => number) {
    this.#clock = clock;
    this.#peers = peers;
  }

  /** Implements `MeshBus.waitForPeers`. */
  async wait(count: number, options: WaitForPeersOptions = {}): Promise<void> {
    checkKnown("wait for peers", options, OPTIONS);
    const { signal, timeout = DEFAULT_TIMEOUT } = options;
    if (!Number.isInteger(count) || count < 0) {
      throw misuse("wait for peers", "the number of peers must be an integer from 0", count, true);
    }
    const isValid = typeof timeout === "number" && (timeout === Infinity || (timeout >= 0 && timeout <= MAX_TIMEOUT));
    if (!isValid) {
      const rule = `\`timeout\` must be a number of milliseconds from 0 to ${MAX_TIMEOUT}, or Infinity`;
      throw misuse("wait for peers", rule, timeout, true);
    }
    if (signal !== undefined) {
      checkSignal("wait for peers", signal);
      signal.throwIfAborted();
    }
    if (this.#isClosed) throw new ClosedError("wait for peers");
    if (this.#peers() >= count) return;
    await new Promise<void>((resolve, reject) => {
      const onTimeout = () => waiter.settle(new PeersTimeoutError(count, this.#peers(), timeout));
      const timer = timeout === Infinity ? undefined : this.#clock.setTimer(onTimeout, timeout);
      const detach = signal && onAbort(signal, () => waiter.settle(signal.reason));
      const waiter: Waiter = {
        count,
        settle: (error) => {
          this.#waiters.delete(waiter);
          timer?.cancel();
          detach?.();
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  /** A peer has joined. */
  joined(): void {
    if (this.#waiters.size === 0) return;
    const count = this.#peers();
    for (const waiter of this.#waiters) if (count >= waiter.count) waiter.settle();
  }

  /** Ends all waits: each rejects with a `ClosedError`. */
  close(): void {
    this.#isClosed = true;
    for (const waiter of this.#waiters) waiter.settle(new ClosedError("wait for peers"));
  }
}
