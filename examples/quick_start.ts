/**
 * Two nodes on this host: what one publishes, the other drops from its cache.
 *
 *     node --import tsx examples/quick_start.ts
 *
 * @module
 */

import { openMesh } from "../mod.ts"; // in your own code: "@warp-mesh/bus"

// On a network of several hosts `interface` and `port` can be left out. Here the system chooses a port that is free.
const reader = await openMesh({ interface: "127.0.0.1", port: 0 });
const writer = await openMesh({ interface: "127.0.0.1", port: reader.port });

const cache = new Map([["user:42", "Ada"], ["user:43", "Grace"]]);
// One subscription with a callback keeps the cache right …
reader.subscribe({ prefix: "user:" }, ({ key, cause, prefix }) => {
  if (cause === "publish" && prefix === undefined) cache.delete(key);
  else cache.clear(); // a gap, or a published prefix: anything under it may have changed
});
// … and one that is iterated lets this program wait for the event.
const changes = reader.subscribe("user:42");

await writer.publish("user:42");
for await (const event of changes) {
  console.log(`${event.key} has changed (${event.cause}); still cached: ${[...cache.keys()]}`);
  break;
}

await writer.close();
await reader.close();
