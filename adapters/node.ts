/**
 * Node adapter: UDP sockets of `node:dgram`. The module is native on Node; Deno and Bun have it too.
 *
 * @example A mesh on it, whatever the runtime
 * ```ts
 * import { MeshBus } from "@warp-mesh/bus";
 * import { systemPorts } from "@warp-mesh/bus/auto";
 * import { bindNode } from "@warp-mesh/bus/node";
 *
 * const mesh = await MeshBus.open({ ...systemPorts, bind: bindNode, interface: "127.0.0.1" });
 * await mesh.close();
 * ```
 *
 * @module
 */

import type { BindOptions, DatagramHandlers, DatagramSocket } from "../src/platform/datagram_socket.ts";
import { bindDgram } from "./dgram_socket.ts";

export type { Abilities } from "./socket_capabilities.ts";
export { nodeAbilities } from "./dgram_socket.ts";

/** Binds a socket of `node:dgram`; a `Bind`. */
export function bindNode(options: BindOptions, handlers: DatagramHandlers): Promise<DatagramSocket> {
  return bindDgram(options, handlers);
}
