/**
 * Sending several datagrams by a socket, whatever its adapter can do.
 *
 * @module
 */

import type { DatagramSocket, Unsent } from "./datagram_socket.ts";

type Sender = Pick<DatagramSocket, "send" | "sendMany">;

/** Sends datagrams to one destination, in their order. Resolves to why some were not sent; never rejects. */
export function sendAll(
  socket: Sender,
  datagrams: readonly Uint8Array[],
  host: string,
  port: number,
): Promise<Unsent> {
  return socket.sendMany === undefined
    ? oneByOne(socket, datagrams, host, port)
    : socket.sendMany(datagrams, host, port);
}

async function oneByOne(
  socket: Sender,
  datagrams: readonly Uint8Array[],
  host: string,
  port: number,
): Promise<Unsent> {
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
