/**
 * Discover hook: follows the `discover` option, which gives lists of seeds.
 *
 * @module
 */

import { misuse } from "../errors.ts";
import type { Signal } from "../platform/abort_signal.ts";
import type { Backoff } from "../platform/backoff.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { messageOf } from "../platform/error_message.ts";

/** The source of lists of seeds: an iterable, or a function that makes one and may be called again. */
export type Discover =
  | AsyncIterable<readonly string[]>
  | ((signal: Signal) => AsyncIterable<readonly string[]>);

/**
 * Shortest time between two lists, in milliseconds: an iterable that always has another one would let nothing else run.
 */
export const LIST_PAUSE = 100;

/** The parts of a {@linkcode DiscoverHook}. */
export interface DiscoverHookConfig {
  readonly discover: Discover;
  readonly clock: Clock;
  readonly backOff: Backoff;
  /** Called with each list. Its items are not checked. */
  readonly onList: (list: readonly unknown[]) => void;
  readonly onError: (error: Error) => void;
}

/** Follows a hook, which may throw, reject or never answer. */
export class DiscoverHook {
  readonly #config: DiscoverHookConfig;
  readonly #controller = new AbortController();
  #iterator: AsyncIterator<unknown> | undefined;
  #timer: Timer | undefined;

  constructor(config: DiscoverHookConfig) {
    this.#config = config;
  }

  /** Begins to follow the hook, and returns at once. */
  start(): void {
    void this.#run();
  }

  /** Tells the hook to end, and ignores what it does afterwards. Waits for nothing, never throws. */
  close(): void {
    this.#controller.abort();
    this.#timer?.cancel();
    void end(this.#iterator);
  }

  async #run(): Promise<void> {
    const { discover, backOff, onError } = this.#config;
    for (;;) {
      try {
        return await this.#follow();
      } catch (cause) {
        if (this.#isClosed()) return;
        onError(new Error(`Cannot list seeds as \`discover\` failed: ${messageOf(cause)}`, { cause }));
      }
      this.#iterator = undefined;
      if (typeof discover !== "function") return;
      await this.#pause(backOff.afterFailure());
    }
  }

  /** Rejects when the hook does. Resolves when it has ended. */
  async #follow(): Promise<void> {
    const { discover, backOff, onList, onError } = this.#config;
    const iterable = typeof discover === "function" ? discover(this.#controller.signal) : discover;
    const iterator = this.#iterator = iterable[Symbol.asyncIterator]() as AsyncIterator<unknown>;
    if (this.#isClosed()) return void end(iterator);
    for (;;) {
      const { done, value } = await iterator.next();
      if (done === true || this.#isClosed()) return;
      if (Array.isArray(value)) {
        backOff.reset();
        onList(value);
      } else {
        onError(misuse("list seeds", "`discover` must give arrays", value));
      }
      await this.#pause(LIST_PAUSE);
    }
  }

  #isClosed(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Waits. Never settles when the hook is closed before. */
  #pause(time: number): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#isClosed()) this.#timer = this.#config.clock.setTimer(resolve, time);
    });
  }
}

/** Calls `return`, in which a generator cleans up. The result is ignored. */
async function end(iterator: AsyncIterator<unknown> | undefined): Promise<void> {
  try {
    await iterator?.return?.();
  } catch { /* The hook is closed: nothing reports it. */ }
}
