/**
 * The hook that lists seeds.
 *
 * @module
 */

import { misuse } from "../errors.ts";
import type { Signal } from "../platform/abort_signal.ts";
import type { Backoff } from "../platform/backoff.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { messageOf } from "../platform/error_message.ts";

/** Where lists of seeds come from: an iterable, or a function that makes one, which may be called again. */
export type Discover =
  | AsyncIterable<readonly string[]>
  | ((signal: Signal) => AsyncIterable<readonly string[]>);

/** Shortest time between two lists, in milliseconds: an iterable that always has one would let nothing else run. */
export const LIST_PAUSE = 100;

/** What {@linkcode DiscoverHook} is made of. */
export interface DiscoverHookConfig {
  readonly discover: Discover;
  readonly clock: Clock;
  readonly backOff: Backoff;
  /** Called with each list. Its items are not checked. */
  readonly onList: (list: readonly unknown[]) => void;
  readonly onError: (error: Error) => void;
}

/** Follows a hook, whatever it does. */
export class DiscoverHook {
  readonly #config: DiscoverHookConfig;
  readonly #controller = new AbortController();
  #iterator: AsyncIterator<unknown> | undefined;
  #timer: Timer | undefined;

  constructor(config: DiscoverHookConfig) {
    this.#config = config;
  }

  /** Begins, and returns at once. */
  start(): void {
    void this.#run();
  }

  /** Tells the hook to end, and heeds nothing of it any more. Waits for nothing, never throws. */
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

  /** Never settles when the hook is closed before. */
  #pause(time: number): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#isClosed()) this.#timer = this.#config.clock.setTimer(resolve, time);
    });
  }
}

/** Calls `return`, in which a generator cleans up. What comes of it is of no interest any more. */
async function end(iterator: AsyncIterator<unknown> | undefined): Promise<void> {
  try {
    await iterator?.return?.();
  } catch { /* nobody is left to be told */ }
}
