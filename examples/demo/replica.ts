/**
 * One replica of the user service, a process of its own that runs unchanged on Node, Deno and Bun. It takes a request a
 * line on its standard input, as JSON, and ends when that does. Where a real service would have an HTTP server, this has
 * pipes, so that nothing of it can be reached from outside.
 *
 *     replica.ts <folder of the store> <UDP port, 0 for a free one> [--deaf]
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { FileStore } from "./file_store.ts";
import { sharedNow } from "./shared_clock.ts";
import { UserService } from "./user_service.ts";

/** What a replica can be asked for. */
export type ReplicaRequest =
  | { readonly do: "clock" }
  | { readonly do: "read"; readonly id: string }
  | { readonly do: "write"; readonly id: string; readonly name: string };

/** What it responds. */
export interface ReplicaResponse {
  /** To `write`: when it told the others; else when it responded. A time of {@linkcode sharedNow}. */
  readonly time: number;
  /** To `read`. */
  readonly name?: string | undefined;
  /** Why it could not do what was requested. */
  readonly error?: string;
}

/** What a replica says: responses, and by itself what happens to it. */
export type Message =
  | {
    readonly say: "ready";
    readonly version: string;
    readonly pid: number;
    readonly port: number;
    readonly address: string;
    readonly adapter: string;
  }
  | { readonly say: "peers"; readonly count: number }
  | { readonly say: "evicted"; readonly key: string; readonly time: number }
  | { readonly say: "trouble"; readonly text: string }
  | { readonly say: "response"; readonly number: number; readonly response: ReplicaResponse };

const [folder = "", port = "0", flag] = process.argv.slice(2);
const service = await UserService.open({
  store: new FileStore(folder),
  port: Number(port),
  onEvicted: (key) => say({ say: "evicted", key, time: sharedNow() }),
  deaf: flag === "--deaf",
});
const { mesh } = service;
const { bun, deno, node } = process.versions;
const version = bun ?? deno ?? node;
mesh.events.listen((event) => {
  if (event.type === "opened") {
    say({ say: "ready", version, pid: process.pid, port: mesh.port, address: event.address, adapter: event.adapter });
  }
  if (event.type === "peerJoined" || event.type === "peerLeft") say({ say: "peers", count: mesh.peers().length });
  if (event.type === "error") say({ say: "trouble", text: `${event.stage}: ${event.error.message}` });
});

// Ctrl-C reaches every process of the terminal. The main process decides, and ends this one by closing its input.
process.on("SIGINT", () => {});
for await (const line of createInterface({ input: process.stdin })) {
  const { number, ...request } = JSON.parse(line) as ReplicaRequest & { readonly number: number };
  respond(request).then(
    (response) => say({ say: "response", number, response }),
    (error) => say({ say: "response", number, response: { time: sharedNow(), error: String(error) } }),
  );
}
await service.close();

async function respond(request: ReplicaRequest): Promise<ReplicaResponse> {
  if (request.do === "write") return { time: await service.write(request.id, request.name) };
  const name = request.do === "read" ? await service.read(request.id) : undefined;
  return { time: sharedNow(), name };
}

function say(message: Message): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
