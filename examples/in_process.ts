/**
 * The same code on buses inside one process: for unit tests, and for a service that runs once.
 *
 *     node --import tsx examples/in_process.ts
 *
 * @module
 */

import { InProcessBus, type SyncBus } from "../mod.ts"; // in your own code: "@warp-mesh/bus"

/** A cache that any bus keeps right: a mesh in production, an `InProcessBus` in a test. */
function cacheOn(bus: SyncBus, prefix: string): Map<string, string> {
  const cache = new Map<string, string>();
  bus.subscribe({ prefix }, (event) => {
    if (event.cause === "publish" && event.prefix === undefined) cache.delete(event.key);
    else cache.clear(); // a gap, an overflow or a published prefix: anything under it may have changed
  });
  return cache;
}

const bus = new InProcessBus();
const users = cacheOn(bus, "user:");
users.set("user:42", "Ada").set("user:43", "Grace");

// As on a mesh, what a bus publishes its own subscriptions do not hear: another replica of the service does it.
const replica = bus.replica();
await replica.publish("user:42");
console.log(`left in the cache: ${[...users.keys()]}`);

// Resolves when the other replica has handed the event to its subscribers.
await replica.publishAndAwait("user:43", 1);
console.log(`left in the cache: ${users.size} entries`);

await Promise.all([bus.close(), replica.close()]);
