/**
 * Sending several datagrams by a socket, whatever its adapter can do.
 *
 * @module
 */

import type { DatagramSocket, Unsent } from "./datagram_socket.ts";

/** Sends datagrams to one destination, in their order. Resolves to why some were not sent; never rejects. */
export async function sendAll(
  socket: Pick<DatagramSocket, "send" | "sendMany">,
  datagrams: readonly Uint8Array[],
  host: string,
  port: number,
): Promise<Unsent> {
  if (socket.sendMany !== undefined) return await socket.sendMany(datagrams, host, port);
  let unsent: Error[] | undefined;
  for (const datagram of datagrams) {
    try {
      await socket.send(datagram, host, port);
    } catch (error) {
      (unsent ??= []).push(error as Error);
    }
  }
  return unsent;
}
