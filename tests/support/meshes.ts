/**
 * Meshes: nodes on the loopback interface, and functions that wait for them without a sleep.
 *
 * @module
 */

import { deadline } from "@std/async";
import {
  type MeshBus,
  type MeshEvent,
  type MeshOptions,
  openMesh,
  type Subscription,
  type SyncEvent,
} from "../../mod.ts";

/** Longest time for any step of a test, in milliseconds. It decides nothing: it only ends a test that hangs. */
export const PATIENCE = 45_000;

/** Opens nodes on the loopback interface. */
export type Open = (options?: MeshOptions) => Promise<MeshBus>;

/** Runs `body` and closes all nodes that it has opened in any case. */
export async function withMeshes(body: (open: Open) => Promise<void>): Promise<void> {
  const opened: MeshBus[] = [];
  try {
    await body(async (options) => {
      const mesh = await openMesh({ interface: "127.0.0.1", port: 0, ...options });
      opened.push(mesh);
      return mesh;
    });
  } finally {
    await Promise.all(opened.map((mesh) => mesh.close()));
  }
}

/** Opens `count` nodes of one mesh, each of which knows all others when it resolves. */
export async function openMany(open: Open, count: number, options: MeshOptions = {}): Promise<MeshBus[]> {
  const first = await open(options);
  const others = await Promise.all(Array.from({ length: count - 1 }, () => open({ ...options, port: first.port })));
  const all = [first, ...others];
  await Promise.all(all.map((mesh) => peersKnown(mesh, count - 1)));
  return all;
}

/** Resolves when `mesh` knows `count` peers. */
export async function peersKnown(mesh: MeshBus, count: number): Promise<void> {
  if (mesh.peers().length >= count) return;
  await happened(mesh, () => mesh.peers().length >= count);
}

/** Resolves with the first event from now on that `test` accepts. Events from before the first listener count too. */
export function happened(mesh: MeshBus, test: (event: MeshEvent) => boolean): Promise<MeshEvent> {
  return patient(
    new Promise((resolve) => {
      const stop = mesh.events.listen((event) => {
        if (!test(event)) return;
        resolve(event);
        queueMicrotask(() => stop());
      });
    }),
    () => `an event of ${mesh.address}, which knows ${mesh.peers()}`,
  );
}

/** Resolves with the next event of a subscription. */
export async function next(subscription: Subscription): Promise<SyncEvent> {
  const result = await patient(subscription[Symbol.asyncIterator]().next(), () => `an event of ${subscription.topic}`);
  if (result.done) throw new Error("The subscription has ended");
  return result.value;
}

/** Resolves when `subscription` has had an event of each of `keys`. */
export async function allOf(subscription: Subscription, keys: Iterable<string>): Promise<void> {
  const missing = new Set(keys);
  while (missing.size > 0) missing.delete((await next(subscription)).key);
}

/** The promise, or an error that names what was waited for. */
export async function patient<T>(promise: Promise<T>, what: () => string): Promise<T> {
  try {
    return await deadline(promise, PATIENCE);
  } catch (cause) {
    throw new Error(`Waited in vain for ${what()}`, { cause });
  }
}
