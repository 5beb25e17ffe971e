/**
 * Read your writes: a user writes by one replica of an HTTP service and reads by another. A cookie carries the token of
 * what was written, and the other replica waits until it has heard of that.
 *
 *     node --import tsx examples/read_your_writes.ts
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type MeshBus, openMesh, type SyncEvent, TokenError } from "../mod.ts"; // in your own code: "@warp-mesh/bus"

const COOKIE = "wrote";
/** In seconds. After 5 s, `maxRepairTime`, everything has been delivered or is a gap. */
const MAX_AGE = 10;

/** What all replicas share: a database. */
const store = new Map([["42", "Ada"]]);

class Replica {
  readonly #mesh: MeshBus;
  readonly #users = new Map<string, string>();

  constructor(mesh: MeshBus) {
    this.#mesh = mesh;
    mesh.subscribe({ prefix: "user:" }, (event) => this.#drop(event));
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const token = cookieOf(request);
    const id = request.url?.slice("/users/".length) ?? "";
    if (request.method === "PUT") {
      store.set(id, await textOf(request));
      this.#users.delete(`user:${id}`);
      await this.#mesh.publish(`user:${id}`);
      response.setHeader("Set-Cookie", cookie(this.#tokenAfter(token)));
      response.writeHead(204).end();
      return;
    }
    const isCurrent = token === undefined || await this.#reached(token);
    // Read from the store, and do not cache, when this replica may not have heard of the write.
    response.end(isCurrent ? this.#read(id) : store.get(id) ?? "");
  }

  /** Stands for what the user wrote here and elsewhere. */
  #tokenAfter(earlier: string | undefined): string {
    try {
      return this.#mesh.token(earlier);
    } catch {
      return this.#mesh.token(); // the cookie was changed
    }
  }

  async #reached(token: string): Promise<boolean> {
    try {
      await this.#mesh.reached(token, { timeout: 500 });
      return true;
    } catch (error) {
      if (error instanceof TokenError) return false;
      throw error;
    }
  }

  #read(id: string): string {
    const key = `user:${id}`;
    const cached = this.#users.get(key);
    if (cached !== undefined) return cached;
    const user = store.get(id) ?? "";
    this.#users.set(key, user); // a load that takes time needs a guard: `trusted_cache.ts`
    return user;
  }

  #drop({ key, cause, prefix }: SyncEvent): void {
    if (cause === "publish" && prefix === undefined) this.#users.delete(key);
    else this.#users.clear();
  }
}

function cookie(token: string): string {
  return `${COOKIE}=${token}; Max-Age=${MAX_AGE}; Path=/; HttpOnly; SameSite=Lax`;
}

function cookieOf(request: IncomingMessage): string | undefined {
  const cookies = (request.headers.cookie ?? "").split(/; */).map((pair) => pair.split("="));
  return cookies.find(([name]) => name === COOKIE)?.[1];
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

async function serve(replica: Replica): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    replica.handle(request, response).catch(() => response.writeHead(500).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port");
  return { server, url: `http://127.0.0.1:${address.port}` };
}

const a = await openMesh({ interface: "127.0.0.1", port: 0 });
const b = await openMesh({ interface: "127.0.0.1", port: a.port });
await Promise.all([a.waitForPeers(1), b.waitForPeers(1)]);
const [first, second] = await Promise.all([a, b].map((mesh) => serve(new Replica(mesh))));
if (first === undefined || second === undefined) throw new Error("There is no server");

const get = async (url: string, cookies = "") =>
  await (await fetch(`${url}/users/42`, { headers: { cookie: cookies } })).text();

console.log(`before: ${await get(second.url)}, cached by the second replica`);
const written = await fetch(`${first.url}/users/42`, { method: "PUT", body: "Grace" });
const [brought = ""] = (written.headers.get("set-cookie") ?? "").split(";");
console.log(`after the write by the first one, with its cookie: ${await get(second.url, brought)}`);
console.log(`with a cookie that was changed: ${await get(second.url, `${COOKIE}=nonsense`)}`);

for (const { server } of [first, second]) server.close();
await Promise.all([a.close(), b.close()]);
