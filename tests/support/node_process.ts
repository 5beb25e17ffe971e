/**
 * A program: one node of a mesh, told what to do by lines of JSON on standard input. `mesh_process.ts` is its other
 * side. It closes the node and ends when its input ends, so it outlives no test.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers";
import { type MeshBus, type MeshOptions, openMesh } from "../../mod.ts";

/** What the node is asked to do. */
export type Call =
  | { readonly do: "open"; readonly options: MeshOptions }
  | { readonly do: "publish"; readonly keys: readonly string[] }
  | { readonly do: "peers" | "metrics" | "close" };

// Something has kept the process alive after the close: the exit code says so.
const STUCK_AFTER_MS = 15_000;
const STUCK = 70;

let mesh: MeshBus | undefined;

function print(line: unknown): void {
  console.log(JSON.stringify(line, (_, value) => value instanceof Error ? errorFields(value) : value));
}

/** An error as JSON: the message, what it carries, and why. */
function errorFields(error: Error): unknown {
  const { name, message, cause } = error;
  return { ...error, name, message, ...(cause !== undefined && { cause }) };
}

async function answer(call: Call): Promise<unknown> {
  switch (call.do) {
    case "open": {
      const opened = await openMesh(call.options);
      mesh = opened;
      opened.events.listen((event) => print({ event }));
      opened.subscribe({ prefix: "" }, (event) => print({ key: event.key, cause: event.cause }));
      return { nodeId: opened.nodeId, address: opened.address, port: opened.port };
    }
    case "publish":
      return await Promise.all(call.keys.map((key) => mesh?.publish(key)));
    case "peers":
      return mesh?.peers();
    case "metrics":
      return mesh?.metrics();
    case "close":
      return await mesh?.close();
  }
}

async function obey(line: string): Promise<void> {
  const { id, ...call } = JSON.parse(line) as Call & { readonly id: number };
  try {
    print({ id, result: await answer(call) ?? null });
  } catch (error) {
    print({ id, error });
  }
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => void obey(line));
input.on("close", () => {
  void mesh?.close();
  setTimeout(() => process.exit(STUCK), STUCK_AFTER_MS).unref();
});
print({ runtime: "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node" });
