/**
 * Replica service: several replicas, as in the README, and the ledger that measures how old what it has served was.
 *
 * @module
 */

import type { SyncBus } from "../../mod.ts";

/** A store of versions: 0, and one more with each change. */
export interface Store {
  /** The version of a key now. */
  get(key: string): Promise<number>;
  /** Changes a key, and resolves to its version. */
  put(key: string): Promise<number>;
}

/** One replica: it reads through a cache, and follows the rules. */
export class ReplicaService {
  readonly cache: Map<string, number> = new Map();
  readonly #bus: SyncBus;
  readonly #store: Store;

  constructor(bus: SyncBus, store: Store) {
    this.#bus = bus;
    this.#store = store;
    bus.subscribe({ prefix: "" }, ({ key, cause }) => {
      if (cause === "publish") this.cache.delete(key);
      else this.cache.clear();
    });
  }

  /** The version that it serves. */
  async read(key: string): Promise<number> {
    const cached = this.cache.get(key);
    if (cached !== undefined) return cached;
    const guard = this.#bus.guard(key);
    const version = await this.#store.get(key);
    if (guard.isFresh()) this.cache.set(key, version);
    return version;
  }

  /** Changes a key. It may have been changed even when this rejects. */
  async write(key: string): Promise<number> {
    const version = await this.#store.put(key);
    this.cache.delete(key);
    await this.#bus.publish(key);
    return version;
  }
}

interface Change {
  readonly version: number;
  readonly at: number;
}

/** When each change was made, and for how long after that a read still got an older version. */
export class StalenessLedger {
  /** Reads that were compared. */
  reads = 0;
  /** The age of the oldest version that was served, in milliseconds, and what it was. */
  oldest: { age: number; key: string; at: number } = { age: 0, key: "", at: 0 };
  readonly #done = new Map<string, Change[]>();

  /** A change was made at `at`: a read that begins later should get it. */
  changed(key: string, version: number, at: number): void {
    const changes = this.#done.get(key) ?? [];
    changes.push({ version, at });
    this.#done.set(key, changes);
  }

  /** A read that began at `at` was served a version. Returns its age. */
  read(key: string, version: number, at: number): number {
    this.reads++;
    let age = 0;
    for (const change of this.#done.get(key) ?? []) {
      if (change.version > version) age = Math.max(age, at - change.at);
    }
    if (age > this.oldest.age) this.oldest = { age, key, at };
    return age;
  }
}
