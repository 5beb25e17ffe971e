/**
 * Load guards: whether a key was invalidated while its value was being loaded.
 *
 * They are kin to the leases of memcache (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1),
 * which keep a stale value from being stored after a delete.
 *
 * @module
 */

import { KeyTooLongError, misuse } from "../errors.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { MAX_KEY } from "../wire/layout.ts";
import { ILL_FORMED, utf8Length } from "../wire/utf8.ts";

/** How long a generation of guarded keys takes new ones, in milliseconds. A guard lasts for one to two of them. */
const GENERATION_MS = 60_000;

/** Largest number of keys in a generation. Two generations with keys of 16 bytes take about 20 MB. */
const GENERATION_KEYS = 65_536;

/**
 * Published prefixes that are remembered, for guards that were taken before. A guard that is older than all of them
 * counts as stale: it was taken before a thousand prefixes, so its value has probably changed.
 */
const MAX_PREFIXES = 1024;

/** The generation of an entry whose guards are stale for good. */
const STALE = -1;

/**
 * A guard is taken before a slow load and tells afterwards whether the loaded value may be stored. Without it, an
 * invalidation that arrives while the old value is being loaded would find nothing to remove, and the old value would
 * be stored after it.
 *
 * On a mesh a load may take 60 seconds. An older guard may say that it is not fresh although nothing happened. From 120
 * seconds on it always does, unless its key was guarded again meanwhile. On any bus a guard may also say so when more
 * than 65,536 other keys are guarded after it. That errs on the safe side: the value is loaded again the next time.
 *
 * A guard need not be released: one that is never checked again ends by the same rules.
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
  /** The key whose value is being loaded. */
  readonly key: string;
  /**
   * Whether no invalidation of the key has come since the guard was taken: no event, no gap, and no `publish` of this
   * bus. Store the loaded value only if this is true, and in the same turn of the event loop. Once false it stays
   * false. It is false when the bus is closed.
   */
  isFresh(): boolean;
}

/**
 * The guards of one bus. Every operation is O(1), and at most 131,072 keys are held.
 *
 * Keys are held in two generations, the current one and the one before it. An invalidated key is removed. A guard is
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
   * Without a clock guards do not age, and only the number of keys is bounded. `limit` is the longest key in bytes of
   * UTF-8. `hasSlept` tells whether the machine was suspended and the node has not reacted yet: no guard is fresh then.
   */
  constructor(clock?: Pick<Clock, "setTimer">, limit: number = MAX_KEY, hasSlept: () => boolean = () => false) {
    this.#clock = clock;
    this.#limit = limit;
    this.#held = {
      from: 0,
      prefixes: [],
      prefixCount: 0,
      isOver: () => {
        if (!hasSlept()) return false;
        this.touchAll();
        return true;
      },
    };
  }

  /** Whether no key is guarded: `touch` need not be called then. */
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
    // A held key was checked when it was added.
    const entry = this.#current.get(key) ?? this.#entryOf(key);
    return new Guard(key, entry, this.#held);
  }

  /** An invalidation of the key has come: its guards are stale. */
  touch(key: string): void {
    const entry = this.#current.get(key) ?? this.#previous.get(key);
    if (entry === undefined) return;
    entry.generation = STALE;
    this.#current.delete(key);
    this.#previous.delete(key);
    if (this.idle) this.#stop();
  }

  /**
   * All keys with this prefix may have been invalidated: their guards are stale. The guards themselves look whether
   * their key is one of those, as there may be very many.
   */
  touchPrefix(prefix: string): void {
    if (prefix === "") return this.touchAll();
    if (this.idle) return;
    const { prefixes } = this.#held;
    prefixes[this.#held.prefixCount++ % MAX_PREFIXES] = prefix;
  }

  /** Any key may have been invalidated: all guards are stale. */
  touchAll(): void {
    this.#current.clear();
    this.#previous.clear();
    this.#held.from = ++this.#generation;
    this.#stop();
  }

  /** Makes all guards stale, and all that are taken later. */
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
  /** The latest generation that holds the key. */
  generation: number;
}

/** What the guards of one bus share. */
interface Held {
  /** Entries of a lower generation are no longer held. */
  from: number;
  /** The last prefixes that were published, in a ring, and how many there have been. */
  readonly prefixes: string[];
  prefixCount: number;
  /** Whether all guards have just become stale, as something may have been missed. */
  readonly isOver: () => boolean;
}

class Guard implements LoadGuard {
  readonly key: string;
  readonly #entry: Readonly<Entry>;
  readonly #held: Readonly<Held>;
  /** How many prefixes had been published when it was taken. */
  readonly #since: number;

  constructor(key: string, entry: Readonly<Entry>, held: Readonly<Held>) {
    this.key = key;
    this.#entry = entry;
    this.#held = held;
    this.#since = held.prefixCount;
  }

  isFresh(): boolean {
    return this.#entry.generation >= this.#held.from && !this.#isCovered() && !this.#held.isOver();
  }

  /** Whether a prefix of the key was published since it was taken. */
  #isCovered(): boolean {
    const { prefixCount, prefixes } = this.#held;
    if (prefixCount - this.#since > MAX_PREFIXES) return true;
    for (let i = this.#since; i < prefixCount; i++) {
      if (this.key.startsWith(prefixes[i % MAX_PREFIXES] as string)) return true;
    }
    return false;
  }
}
