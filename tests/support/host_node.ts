/**
 * A program: nodes of one or more meshes, controlled by lines of JSON on standard input. `host_process.ts` is its other
 * side, and `mesh_process.ts` for a single node. It closes them and ends when its input ends, so it does not outlive
 * its test.
 *
 * @module
 */

import process from "node:process";
import { setTimeout } from "node:timers";
import { type MeshBus, type MeshEvent, type MeshOptions, openMesh } from "../../mod.ts";
import { now, obey, print, type ProgramLine } from "./obey.ts";

/** The calls of a node. */
export type HostCall =
  & { readonly node: number }
  & (
    | { readonly do: "open"; readonly options: MeshOptions }
    | { readonly do: "publish"; readonly keys: readonly string[] }
    | { readonly do: "peers" | "metrics" | "close" }
  );

/** The answer to `open`. */
export interface OpenedNode {
  readonly nodeId: string;
  readonly address: string;
  readonly port: number;
}

/** The lines that are printed: answers, and what a node has received. */
export interface HostLine extends ProgramLine {
  readonly node?: number;
  readonly event?: MeshEvent;
  readonly key?: string;
  readonly cause?: string;
}

// Something has kept the process alive after the close: the exit code shows it.
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
