/**
 * Offline node: a node whose socket sends and receives nothing.
 *
 * @module
 */

import { randomBytes, systemClock } from "../adapters/system.ts";
import { MeshBus, type MeshOptions } from "../mod.ts";
import type { Clock } from "../src/platform/clock.ts";
import type { DatagramHandlers } from "../src/platform/datagram_socket.ts";

/** A node whose socket sends and receives nothing. */
export interface Offline {
  readonly mesh: MeshBus;
  /** Passes a datagram to the node. */
  receive(data: Uint8Array): void;
}

/** Opens a node with one seed, to which its datagrams go: `sent` gets them. */
export async function openOffline(
  options: MeshOptions = {},
  clock: Clock = systemClock,
  sent: (data: Uint8Array) => void = () => {},
): Promise<Offline> {
  let handlers: DatagramHandlers | undefined;
  const done = () => Promise.resolve();
  const mesh = await MeshBus.open({
    multicast: false,
    peers: ["127.0.0.2:9"],
    advertiseAddr: "127.0.0.1:7946",
    ...options,
    clock,
    randomBytes,
    bind(_, given) {
      handlers = given;
      const send = (data: Uint8Array) => {
        sent(data);
        return Promise.resolve();
      };
      const socket = { adapter: "memory", unmet: [], host: "127.0.0.1", port: 7946 } as const;
      return Promise.resolve({ ...socket, receiveBuffer: undefined, send, join: done, leave: done, close: done });
    },
    resolve: (host) => Promise.resolve([host]),
    resolveSrv: () => Promise.reject(new Error("no look-ups")),
    networkInterfaces: () => [],
  });
  return { mesh, receive: (data) => handlers?.message(data, "127.0.0.2", 9) };
}
