/**
 * A program: nodes of one or more meshes, told what to do by lines of JSON on standard input. `host_process.ts` is its
 * other side, and `mesh_process.ts` for a single node. It closes them and ends when its input ends, so it outlives no test.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers";
import { type MeshBus, type MeshEvent, type MeshOptions, openMesh } from "../../mod.ts";
import { now, obey, print, type ProgramLine } from "./obey.ts";

/** What a node is asked to do. */
export type HostCall =
  & { readonly node: number }
  & (
    | { readonly do: "open"; readonly options: MeshOptions }
    | { readonly do: "publish"; readonly keys: readonly string[] }
    | { readonly do: "peers" | "metrics" | "close" }
  );

/** What `open` answers. */
export interface OpenedNode {
  readonly nodeId: string;
  readonly address: string;
  readonly port: number;
}

/** What is printed: answers, and what has come to a node. */
export interface HostLine extends ProgramLine {
  readonly node?: number;
  readonly event?: MeshEvent;
  readonly key?: string;
  readonly cause?: string;
}

// Something has kept the process alive after the close: the exit code says so.
const STUCK_AFTER_MS = 15_000;
const STUCK = 70;

const meshes = new Map<number, MeshBus>();

async function open(node: number, options: MeshOptions): Promise<OpenedNode> {
  const mesh = await openMesh(options);
  meshes.set(node, mesh);
  mesh.events.listen((event) => print({ node, at: now(), event }));
  mesh.subscribe({ prefix: "" }, ({ key, cause }) => print({ node, at: now(), key, cause }));
  return { nodeId: mesh.nodeId, address: mesh.address, port: mesh.port };
}

async function answer(call: HostCall): Promise<unknown> {
  const mesh = meshes.get(call.node);
  switch (call.do) {
    case "open":
      return await open(call.node, call.options);
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

obey(answer, () => {
  for (const mesh of meshes.values()) void mesh.close();
  setTimeout(() => process.exit(STUCK), STUCK_AFTER_MS).unref();
});
