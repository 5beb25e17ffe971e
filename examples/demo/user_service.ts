/**
 * User service: the users of a shared store, with a cache in each process that the mesh keeps right.
 *
 * @module
 */

import { type MeshBus, openMesh } from "../../mod.ts"; // in your own code: "@warp-mesh/bus"
import type { FileStore } from "./file_store.ts";
import { sharedNow } from "./shared_clock.ts";

/** How a {@linkcode UserService} is opened. */
export interface UserServiceOptions {
  readonly store: FileStore;
  /** UDP port of the mesh. */
  readonly port: number;
  /** Called after an entry was dropped as another replica has changed the user. */
  readonly onEvicted: (key: string) => void;
  /** Leaves the subscription out, which is the mistake that the demo must notice. */
  readonly deaf?: boolean;
}

/** A service that runs in several copies: users in a store that all share, and a cache in each process. */
export class UserService {
  /** The node of the mesh. */
  readonly mesh: MeshBus;
  readonly #store: FileStore;
  // It holds the reading, not what was read: an eviction that comes in between takes the reading out, and nobody puts
  // the old value back afterwards.
  readonly #cache = new Map<string, Promise<string | undefined>>();

  private constructor(mesh: MeshBus, store: FileStore) {
    this.mesh = mesh;
    this.#store = store;
  }

  /** Joins the mesh and drops from then on what others change. */
  static async open({ store, port, onEvicted, deaf = false }: UserServiceOptions): Promise<UserService> {
    const mesh = await openMesh({ interface: "127.0.0.1", port });
    const service = new UserService(mesh, store);
    if (deaf) return service;
    mesh.subscribe({ prefix: "user:" }, ({ key, cause, prefix }) => {
      // A gap, an overflow or a published prefix: any key of it may have changed.
      if (cause !== "publish" || prefix !== undefined) service.#cache.clear();
      else if (service.#cache.delete(key)) onEvicted(key);
    });
    return service;
  }

  /** The name of a user, from the cache when it is there. */
  read(id: string): Promise<string | undefined> {
    const key = `user:${id}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const reading = this.#store.read(key);
    this.#cache.set(key, reading);
    reading.catch(() => {
      if (this.#cache.get(key) === reading) this.#cache.delete(key);
    });
    return reading;
  }

  /** Changes the name of a user and tells the other replicas. Resolves to when it did, for the demo to measure from. */
  async write(id: string, name: string): Promise<number> {
    const key = `user:${id}`;
    await this.#store.write(key, name); // first the store, or a replica could read the old value again
    this.#cache.delete(key); // a node does not hear itself
    const publishedAt = sharedNow();
    await this.mesh.publish(key);
    return publishedAt;
  }

  /** Leaves the mesh. */
  async close(): Promise<void> {
    await this.mesh.close();
  }
}
