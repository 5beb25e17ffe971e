/**
 * Sending of several datagrams by one socket, with or without its adapter's `sendMany`.
 *
 * @module
 */

import type { DatagramSocket, Unsent } from "../platform/datagram_socket.ts";
import { asError } from "../platform/error_message.ts";

/**
 * Sends datagrams to one destination, in their order. Resolves to the reasons why some were not sent. Never rejects.
 */
export async function sendAll(
  socket: Pick<DatagramSocket, "send" | "sendMany">,
  datagrams: readonly Uint8Array[],
  host: string,
  port: number,
): Promise<Unsent> {
  try {
    if (socket.sendMany !== undefined) return await socket.sendMany(datagrams, host, port);
  } catch (error) {
    // It must not throw, but if it does, nothing would be sent any more.
    return datagrams.map(() => asError(error));
  }
  let unsent: (Error | undefined)[] | undefined;
  for (const [i, datagram] of datagrams.entries()) {
    try {
      await socket.send(datagram, host, port);
    } catch (error) {
      (unsent ??= new Array(datagrams.length).fill(undefined))[i] = asError(error);
    }
  }
  return unsent;
}
