/**
 * UDP on `Bun.udpSocket`.
 *
 * @module
 */

import type { BindOptions, DatagramHandlers, DatagramSocket } from "../src/datagram_socket.ts";
import { bindBunSocket } from "./bun_socket.ts";

export type { Abilities } from "./abilities.ts";
export { bunAbilities, bunCannot } from "./bun_socket.ts";

/** Binds a socket of `Bun.udpSocket`; a `Bind`. Rejects with `EUNSUPPORTED` on another runtime. */
export function bindBun(options: BindOptions, handlers: DatagramHandlers): Promise<DatagramSocket> {
  return bindBunSocket(options, handlers);
}
