/**
 * Socket wrapper: replaces the `send` of a socket.
 *
 * @module
 */

import type { DatagramSocket } from "../src/platform/datagram_socket.ts";

/** A socket that sends by another function. Sockets are classes, whose getters and methods a spread would not copy. */
export function withSend(socket: DatagramSocket, send: DatagramSocket["send"]): DatagramSocket {
  const { adapter, unmet, fallback, host, port, receiveBuffer } = socket;
  return {
    ...{ adapter, unmet, fallback, host, port, receiveBuffer },
    send,
    join: (group, on) => socket.join(group, on),
    leave: (group, on) => socket.leave(group, on),
    close: () => socket.close(),
  };
}
