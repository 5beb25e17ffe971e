/**
 * Look-ups of names, so that they never starve the program of its threads.
 *
 * @module
 */

import { onAbort } from "../src/platform/abort_signal.ts";
import type { Resolve, ResolveOptions } from "../src/platform/host.ts";
import { clearTimeout, setTimeout } from "./system_clock.ts";

/** Asks for the addresses of a name. */
export type Way = (host: string) => Promise<readonly string[]>;

/** What {@linkcode LookUps} are made of. */
export interface LookUpsConfig {
  /** Holds a thread of the runtime until it has an answer. Its word counts. */
  readonly lookup: Way;
  /** How many of those may be under way. */
  readonly atOnce: number;
  /** Holds no thread, and may not know all names. */
  readonly detour?: Way;
  /** How many of those may be under way. Default: 32, as a name server gets all that wait at the same time. */
  readonly detours?: number;
  /** How long a look-up takes before those behind it are asked for by the detour, in milliseconds. Default: 200. */
  readonly patience?: number;
}

interface Question {
  readonly host: string;
  readonly onQueue: ((isQueued: boolean) => void) | undefined;
  readonly settle: (answer: readonly string[]) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * A few look-ups at a time, first come, first served. A name that is not answered holds up those behind it for 10 s and
 * more: they are asked for by the detour as well, and leave the queue when that knows them.
 */
export class LookUps {
  readonly #config: Required<Omit<LookUpsConfig, "detour">> & Pick<LookUpsConfig, "detour">;
  /** In the order of the calls. */
  readonly #queue = new Set<Question>();
  /** Those of the queue that were not asked for by the detour. */
  readonly #untried = new Set<Question>();
  #underWay = 0;
  #stuck = 0;
  #detours = 0;

  constructor(config: LookUpsConfig) {
    this.#config = { detours: 32, patience: 200, ...config };
  }

  /** What was called off leaves the queue. A look-up that is under way then goes on all the same. */
  readonly resolve: Resolve = (host, { signal, onQueue }: ResolveOptions = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const end = () => {
        this.#forget(question);
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
      const question: Question = { host, onQueue, settle, fail };
      const detach = signal && onAbort(signal, () => fail(signal.reason));
      if (this.#underWay < this.#config.atOnce) return void this.#ask(question);
      this.#queue.add(question);
      this.#untried.add(question);
      onQueue?.(true);
      this.#detour();
    });

  #forget(question: Question): void {
    this.#queue.delete(question);
    this.#untried.delete(question);
  }

  async #ask({ host, settle, fail }: Question): Promise<void> {
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
    const [question] = this.#queue;
    if (question === undefined) return;
    this.#forget(question);
    void this.#ask(question);
    question.onQueue?.(false);
  }

  /** What the detour does not know stays in the queue. */
  #detour(): void {
    const { atOnce, detour, detours } = this.#config;
    if (detour === undefined || this.#stuck < atOnce) return;
    for (const question of this.#untried) {
      if (this.#detours >= detours) return;
      this.#untried.delete(question);
      this.#detours++;
      void detour(question.host).then(question.settle, () => {}).finally(() => {
        this.#detours--;
        this.#detour();
      });
    }
  }
}
