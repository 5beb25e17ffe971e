/**
 * A read-through cache that is never wrong for long: it drops what events name, does not store a load that raced an
 * invalidation, and does not answer while the mesh is in doubt.
 *
 *     node --import tsx examples/trusted_cache.ts
 *
 * @module
 */

import { type MeshBus, openMesh, type SyncEvent } from "../mod.ts"; // in your own code: "@warp-mesh/bus"

/** Longest that an entry may be wrong, in milliseconds: more than a heartbeat of 5 s, so a quiet mesh is no doubt. */
const MAX_STALENESS = 12_000;

class UserCache {
  readonly #mesh: MeshBus;
  readonly #load: (id: string) => Promise<string>;
  readonly #users = new Map<string, string>();

  constructor(mesh: MeshBus, load: (id: string) => Promise<string>) {
    this.#mesh = mesh;
    this.#load = load;
    mesh.subscribe({ prefix: "user:" }, (event) => this.#drop(event));
  }

  async get(id: string): Promise<string> {
    const key = `user:${id}`;
    const cached = this.#users.get(key);
    if (cached !== undefined && this.#mesh.status().staleness <= MAX_STALENESS) return cached;
    const guard = this.#mesh.guard(key);
    const user = await this.#load(id);
    if (guard.isFresh()) this.#users.set(key, user);
    return user;
  }

  #drop({ key, cause, prefix }: SyncEvent): void {
    if (cause === "publish" && prefix === undefined) this.#users.delete(key);
    else this.#users.clear(); // a gap, or a published prefix: any user may have changed
  }
}

const store = new Map([["42", "Ada"]]);
const a = await openMesh({ interface: "127.0.0.1", port: 0 });
const b = await openMesh({ interface: "127.0.0.1", port: a.port });

let changeDuringLoad: (() => Promise<void>) | undefined = async () => {
  const changed = new Promise((resolve) => b.subscribe("user:42", resolve));
  store.set("42", "Grace");
  await a.publish("user:42");
  await changed;
};
const cache = new UserCache(b, async (id) => {
  const user = store.get(id) ?? "nobody";
  await changeDuringLoad?.();
  changeDuringLoad = undefined;
  return user;
});

console.log(`${await cache.get("42")}: read while it was changed, so not stored`);
console.log(`${await cache.get("42")}: loaded again`);
console.log(`${await cache.get("42")}: from the cache, with the mesh ${b.status().state}`);

await a.close();
await b.close();
