/**
 * Runtime adapter: the ports of the runtime that the program runs on.
 *
 * @module
 */

import type { BindOptions, DatagramHandlers, DatagramSocket } from "../src/platform/datagram_socket.ts";
import type { MeshPorts } from "../src/platform/ports.ts";
import { contexts } from "./async_context.ts";
import { routeTo } from "./route_lookup.ts";
import { networkInterfaces, randomBytes, resolve, resolveSrv, systemClock } from "./system.ts";

/**
 * Binds a socket of the runtime's native API, or of `node:dgram` where that API cannot do what the options ask: the
 * socket's `fallback` then says why.
 *
 * The choice depends on the options, not on the runtime's version or name. Each adapter is loaded when it is first
 * needed.
 */
export async function bind(options: BindOptions, handlers: DatagramHandlers): Promise<DatagramSocket> {
  if ("Deno" in globalThis) {
    const { bindDeno, denoCannot } = await import("./deno.ts");
    const reason = denoCannot(options);
    return reason === undefined ? await bindDeno(options, handlers) : await fallBack(options, handlers, reason);
  }
  if ("Bun" in globalThis) {
    const { bindBun, bunCannot } = await import("./bun.ts");
    const reason = bunCannot(options);
    return reason === undefined ? await bindBun(options, handlers) : await fallBack(options, handlers, reason);
  }
  const { bindNode } = await import("./node.ts");
  return await bindNode(options, handlers);
}

/** The ports that `openMesh` uses: those of the runtime that the program runs on. */
export const systemPorts: MeshPorts = {
  bind,
  clock: systemClock,
  randomBytes,
  resolve,
  resolveSrv,
  networkInterfaces,
  contexts,
  routeTo,
};

async function fallBack(options: BindOptions, handlers: DatagramHandlers, reason: string): Promise<DatagramSocket> {
  const { bindDgram } = await import("./dgram_socket.ts");
  return await bindDgram(options, handlers, reason);
}
