/**
 * A program: nodes of one or more meshes, told what to do by lines of JSON on standard input. `host_process.ts` is its
 * other side. It closes them and ends when its input ends.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers";
import { type MeshBus, type MeshOptions, openMesh } from "../../mod.ts";

/** What a node is asked to do. */
export type HostCall =
  | { readonly do: "open"; readonly options: MeshOptions }
  | { readonly do: "publish"; readonly keys: readonly string[] }
  | { readonly do: "peers" | "metrics" | "close" };

// Something has kept the process alive after the close: the exit code says so.
const STUCK_AFTER_MS = 15_000;
const STUCK = 70;

const meshes = new Map<number, MeshBus>();

/** Milliseconds of the system's clock, the same for all processes of a machine, with fractions. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

function print(line: unknown): void {
  console.log(
    JSON.stringify(line, (_, value) => value instanceof Error ? { ...value, message: value.message } : value),
  );
}

async function answer(node: number, call: HostCall): Promise<unknown> {
  const mesh = meshes.get(node);
  switch (call.do) {
    case "open": {
      const opened = await openMesh(call.options);
      meshes.set(node, opened);
      opened.events.listen((event) => print({ node, at: now(), event }));
      opened.subscribe({ prefix: "" }, ({ key, cause }) => print({ node, at: now(), key, cause }));
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
  const { id, node, ...call } = JSON.parse(line) as HostCall & { readonly id: number; readonly node: number };
  const at = now();
  try {
    print({ id, at, result: await answer(node, call) ?? null });
  } catch (error) {
    print({ id, at, error });
  }
}

const input = createInterface({ input: process.stdin });
input.on("line", (line) => void obey(line));
input.on("close", () => {
  for (const mesh of meshes.values()) void mesh.close();
  setTimeout(() => process.exit(STUCK), STUCK_AFTER_MS).unref();
});
print({ started: true });
