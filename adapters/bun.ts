/**
 * Bun adapter: UDP sockets of `Bun.udpSocket`.
 *
 * @module
 */

import type { BindOptions, DatagramHandlers, DatagramSocket } from "../src/platform/datagram_socket.ts";
import { bindBunSocket } from "./bun_socket.ts";

export type { Abilities } from "./socket_capabilities.ts";
export { bunAbilities, bunCannot } from "./bun_socket.ts";

/** Binds a socket of `Bun.udpSocket`; a `Bind`. Rejects with `EUNSUPPORTED` on another runtime. */
export function bindBun(options: BindOptions, handlers: DatagramHandlers): Promise<DatagramSocket> {
  return bindBunSocket(options, handlers);
}
