/**
 * Deno adapter: UDP sockets of `Deno.listenDatagram`, which Deno has only with `--unstable-net`.
 *
 * @module
 */

import type { BindOptions, DatagramHandlers, DatagramSocket } from "../src/platform/datagram_socket.ts";
import { bindDenoSocket } from "./deno_socket.ts";

export type { Abilities } from "./socket_capabilities.ts";
export { denoAbilities, denoCannot } from "./deno_socket.ts";

/**
 * Binds a socket of `Deno.listenDatagram`; a `Bind`. Rejects with `EUNSUPPORTED` when {@linkcode denoCannot} gives a
 * reason.
 */
export function bindDeno(options: BindOptions, handlers: DatagramHandlers): Promise<DatagramSocket> {
  return bindDenoSocket(options, handlers);
}
