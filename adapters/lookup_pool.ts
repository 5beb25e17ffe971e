/**
 * Look-up pool: limits concurrent look-ups of names, so that they never take all threads of the runtime.
 *
 * @module
 */

import { onAbort } from "../src/platform/abort_signal.ts";
import type { Resolve, ResolveOptions } from "../src/platform/host.ts";
import { clearTimeout, setTimeout } from "./system_clock.ts";

/** Resolves a name to addresses. */
export type LookUp = (host: string) => Promise<readonly string[]>;

/** What {@linkcode LookupPool} is built from. */
export interface LookupPoolConfig {
  /** The system's resolver, which holds a thread of the runtime until it has an answer. Its answer is final. */
  readonly lookup: LookUp;
  /** Largest number of concurrent `lookup` calls. */
  readonly atOnce: number;
  /** A resolver that holds no thread, and may not know all names. */
  readonly detour?: LookUp;
  /** Largest number of concurrent `detour` calls. Default: 32, as a name server gets all that wait at the same time. */
  readonly detours?: number;
  /**
   * How long a look-up may take before those queued behind it are tried by the detour, in milliseconds. Default: 200.
   */
  readonly patience?: number;
}

interface PendingLookUp {
  readonly host: string;
  readonly onQueue: ((isQueued: boolean) => void) | undefined;
  readonly settle: (answer: readonly string[]) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * Runs a few look-ups at a time, first come, first served. A name without an answer blocks those behind it for 10 s and
 * more. They are tried by the detour as well, and leave the queue when that resolves them.
 */
export class LookupPool {
  readonly #config: Required<Omit<LookupPoolConfig, "detour">> & Pick<LookupPoolConfig, "detour">;
  /** Waiting look-ups in the order of the calls. */
  readonly #queue = new Set<PendingLookUp>();
  /** Waiting look-ups that the detour has not tried. */
  readonly #untried = new Set<PendingLookUp>();
  #underWay = 0;
  #stuck = 0;
  #detours = 0;

  constructor(config: LookupPoolConfig) {
    this.#config = { detours: 32, patience: 200, ...config };
  }

  /** Resolves a name. An aborted look-up leaves the queue; one that is running goes on in the background. */
  readonly resolve: Resolve = (host, { signal, onQueue }: ResolveOptions = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const end = () => {
        this.#forget(pending);
        detach?.();
      };
      const settle = (answer: readonly string[]) => {
        end();
        resolve(answer);
      };
      const fail = (error: unknown) => {
        end();
        reject(error);
      };
      const pending: PendingLookUp = { host, onQueue, settle, fail };
      const detach = signal && onAbort(signal, () => fail(signal.reason));
      if (this.#underWay < this.#config.atOnce) return void this.#lookUp(pending);
      this.#queue.add(pending);
      this.#untried.add(pending);
      onQueue?.(true);
      this.#detour();
    });

  #forget(pending: PendingLookUp): void {
    this.#queue.delete(pending);
    this.#untried.delete(pending);
  }

  async #lookUp({ host, settle, fail }: PendingLookUp): Promise<void> {
    this.#underWay++;
    let isStuck = false;
    const timer = setTimeout(() => {
      isStuck = true;
      this.#stuck++;
      this.#detour();
    }, this.#config.patience);
    try {
      settle(await this.#config.lookup(host));
    } catch (error) {
      fail(error);
    }
    clearTimeout(timer);
    if (isStuck) this.#stuck--;
    this.#underWay--;
    this.#next();
  }

  #next(): void {
    const [pending] = this.#queue;
    if (pending === undefined) return;
    this.#forget(pending);
    void this.#lookUp(pending);
    pending.onQueue?.(false);
  }

  /** Tries waiting names by the detour. Those that it does not know stay in the queue. */
  #detour(): void {
    const { atOnce, detour, detours } = this.#config;
    if (detour === undefined || this.#stuck < atOnce) return;
    for (const pending of this.#untried) {
      if (this.#detours >= detours) return;
      this.#untried.delete(pending);
      this.#detours++;
      void detour(pending.host).then(pending.settle, () => {}).finally(() => {
        this.#detours--;
        this.#detour();
      });
    }
  }
}
