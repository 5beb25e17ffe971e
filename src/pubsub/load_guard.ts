/**
 * Load guards: whether a key was invalidated while its value was being loaded.
 *
 * @module
 */

import { KeyTooLongError, misuse } from "../errors.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { MAX_KEY } from "../wire/layout.ts";
import { ILL_FORMED, utf8Length } from "../wire/utf8.ts";

/** How long a generation of guarded keys takes new ones, in milliseconds. A guard lasts for that long, up to twice. */
const GENERATION_MS = 60_000;

/** Keys in a generation, at most: with two of them and keys of 16 bytes, about 20 MB. */
const GENERATION_KEYS = 65_536;

/** The generation of an entry whose guards are no longer fresh, whatever happens. */
const STALE = -1;

/**
 * Taken before a slow load, it tells afterwards whether the loaded value may be stored. Without it, an invalidation that
 * comes while the old value is under way would find nothing to remove, and the old value would then stay.
 *
 * On a mesh a load may take 60 seconds. A guard that is older may say that it is not fresh although nothing happened, and
 * does so from 120 seconds on, unless its key was guarded again meanwhile. So may a guard of any bus when more than 65,536
 * other keys are guarded after it. That errs on the safe side: the value is loaded again the next time.
 *
 * There is nothing to give back: a guard that is never looked at again ends by the same rules.
 *
 * @example A read through a cache
 * ```ts
 * import { InProcessBus } from "@warp-mesh/bus";
 *
 * const bus = new InProcessBus();
 * const other = bus.replica();
 * const cache = new Map<string, string>();
 * bus.subscribe("user:42", ({ key }) => cache.delete(key));
 *
 * async function read(key: string, load: () => Promise<string>): Promise<string> {
 *   const guard = bus.guard(key);
 *   const value = await load();
 *   if (guard.isFresh()) cache.set(key, value);
 *   return value;
 * }
 *
 * await read("user:42", async () => {
 *   await other.publish("user:42"); // somebody changes it meanwhile
 *   return "the old name";
 * });
 * console.log(cache.size); // 0
 * await Promise.all([bus.close(), other.close()]);
 * ```
 */
export interface LoadGuard {
  /** The key that is loaded. */
  readonly key: string;
  /**
   * Whether no invalidation of the key has come since the guard was taken: no event, no gap, no `publish` of this bus.
   * Store the loaded value only then, and in the same turn of the event loop. False for ever once it is false, and when
   * the bus is closed.
   */
  isFresh(): boolean;
}

/**
 * The guards of one bus. All that it does is O(1), and it holds at most 131,072 keys.
 *
 * Keys are kept in two generations, the current one and the one before it. A touched key is taken out, so a guard is
 * fresh as long as its entry is held, which the number of the entry's generation tells.
 */
export class LoadGuards {
  readonly #clock: Pick<Clock, "setTimer"> | undefined;
  readonly #limit: number;
  /** Shared with the guards, which outlive their entries. */
  readonly #held: Held;
  #current = new Map<string, Entry>();
  #previous = new Map<string, Entry>();
  #generation = 1;
  #timer: Timer | undefined;
  #isClosed = false;

  /**
   * Without a clock guards do not grow old, and only the number of keys is bounded. `limit` is the longest key, in bytes of
   * UTF-8. `hasSlept` tells whether the machine was suspended, and nothing was done about it yet: no guard is fresh then.
   */
  constructor(clock?: Pick<Clock, "setTimer">, limit: number = MAX_KEY, hasSlept: () => boolean = () => false) {
    this.#clock = clock;
    this.#limit = limit;
    this.#held = {
      from: 0,
      isOver: () => {
        if (!hasSlept()) return false;
        this.touchAll();
        return true;
      },
    };
  }

  /** Whether no key is guarded: then `touch` need not be called. */
  get idle(): boolean {
    return this.#current.size === 0 && this.#previous.size === 0;
  }

  /**
   * Takes a guard.
   *
   * @throws {TypeError} when `key` is no well-formed string
   * @throws {KeyTooLongError} when nobody can publish it
   */
  guard(key: string): LoadGuard {
    // What is held was checked when it came.
    const entry = this.#current.get(key) ?? this.#entryOf(key);
    return new Guard(key, entry, this.#held);
  }

  /** An invalidation of the key has come. */
  touch(key: string): void {
    const entry = this.#current.get(key) ?? this.#previous.get(key);
    if (entry === undefined) return;
    entry.generation = STALE;
    this.#current.delete(key);
    this.#previous.delete(key);
    if (this.idle) this.#stop();
  }

  /** Anything may have been invalidated. */
  touchAll(): void {
    this.#current.clear();
    this.#previous.clear();
    this.#held.from = ++this.#generation;
    this.#stop();
  }

  /** No guard is fresh any more, nor will one be that is taken from now on. */
  close(): void {
    this.#isClosed = true;
    this.touchAll();
  }

  #entryOf(key: string): Entry {
    const bytes = typeof key === "string" ? utf8Length(key) : ILL_FORMED;
    if (bytes === ILL_FORMED) {
      throw misuse("guard", "the key must be a well-formed string", key);
    }
    if (bytes > this.#limit) throw new KeyTooLongError(key, bytes, this.#limit, "guard");
    if (this.#isClosed) return { generation: STALE };
    if (this.#current.size >= GENERATION_KEYS) this.#swap();
    // Guards of one key share its entry, so that one look-up in `touch` finds them all.
    const entry = this.#previous.get(key) ?? { generation: 0 };
    entry.generation = this.#generation;
    this.#current.set(key, entry);
    this.#timer ??= this.#clock?.setTimer(this.#onTimer, GENERATION_MS);
    return entry;
  }

  readonly #onTimer = (): void => {
    this.#swap();
    this.#timer = this.idle ? undefined : this.#clock?.setTimer(this.#onTimer, GENERATION_MS);
  };

  #swap(): void {
    const dropped = this.#previous;
    this.#previous = this.#current;
    this.#held.from = this.#generation++;
    dropped.clear();
    this.#current = dropped;
  }

  #stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

/** A guarded key. */
interface Entry {
  /** The latest generation that holds it. */
  generation: number;
}

/** What the guards of one bus share. */
interface Held {
  /** Entries of a generation below it are held no more. */
  from: number;
  /** Whether all guards have just ended, as something may have been missed. */
  readonly isOver: () => boolean;
}

class Guard implements LoadGuard {
  readonly key: string;
  readonly #entry: Readonly<Entry>;
  readonly #held: Readonly<Held>;

  constructor(key: string, entry: Readonly<Entry>, held: Readonly<Held>) {
    this.key = key;
    this.#entry = entry;
    this.#held = held;
  }

  isFresh(): boolean {
    return this.#entry.generation >= this.#held.from && !this.#held.isOver();
  }
}
