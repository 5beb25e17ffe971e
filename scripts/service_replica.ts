/**
 * One replica of the service that `service.ts` runs: HTTP before a cache, with a mesh at its defaults.
 *
 * @module
 */

import { createServer } from "node:http";
import process from "node:process";
import { openMesh } from "../mod.ts";
import { ReplicaService, type Store } from "../tests/sim/replica_service.ts";

const [storeUrl = "", meshPort = "", order = ""] = process.argv.slice(2);
const mesh = await openMesh({ interface: "127.0.0.1", port: Number(meshPort) });

async function ask(method: string, key: string): Promise<number> {
  const response = await fetch(`${storeUrl}/${key}`, { method });
  return Number(await response.text());
}

const store: Store = { get: (key) => ask("GET", key), put: (key) => ask("PUT", key) };
const service = new ReplicaService(mesh, store);

const server = createServer(async ({ method, url = "/" }, response) => {
  const key = url.slice(1);
  try {
    response.end(String(method === "PUT" ? await service.write(key) : await service.read(key)));
  } catch (error) {
    response.statusCode = 503;
    response.end(String(error));
  }
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object") console.log(`READY ${address?.port} ${mesh.port}`);
});

process.once("SIGTERM", () => {
  if (order === "mesh-first") void mesh.close();
  server.close(() => void mesh.close());
  server.closeIdleConnections();
});
