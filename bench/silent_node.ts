/**
 * Silent node: the node that `silent.ts` measures.
 *
 * @module
 */

import process from "node:process";
import { openMesh } from "../mod.ts";
import { serve } from "./worker_process.ts";
import { parseNodeId } from "./silent_peer.ts";
import type { SilentAddress, SilentNodeRequest, SilentUsage } from "./silent_protocol.ts";

const mesh = await openMesh({ port: 0, interface: "127.0.0.1" });
await serve(({ type }: SilentNodeRequest): SilentAddress | SilentUsage => {
  if (type === "address") return { port: mesh.port, nodeId: [...parseNodeId(mesh.nodeId)] };
  const { user, system } = process.cpuUsage();
  return { cpuMs: (user + system) / 1000, rss: process.memoryUsage().rss, peers: mesh.metrics().peers };
});
await mesh.close();
