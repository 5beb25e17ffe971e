/**
 * Bare socket buses: datagrams without a mesh.
 *
 * @module
 */

import { bind } from "../../adapters/auto.ts";
import type { DatagramSocket } from "../../src/platform/datagram_socket.ts";
import { KEYS_PER_DATAGRAM } from "../keys.ts";
import type { Bus, EndpointOptions, OpenBus } from "./bus.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const FULL = new Uint8Array(20 + 18 * KEYS_PER_DATAGRAM).fill(0x61);

/** A bare socket: for each key a datagram with nothing but the key. */
export const openKey: OpenBus = async (options) => {
  const { heard } = options;
  const socket = await bindBare((data) => heard?.(decoder.decode(data)));
  let last: Promise<void> | undefined;
  return end(socket, () => last, (key) => {
    const data = encoder.encode(key);
    for (const to of ports(options)) last = socket.send(data, "127.0.0.1", to);
  });
};

/**
 * A bare socket that sends the same full-sized datagram whenever as many keys were published as it could hold. Reports
 * each datagram, not each key.
 */
export const openDatagram: OpenBus = async (options) => {
  const { heard } = options;
  const socket = await bindBare(() => heard?.(""));
  const to = ports(options);
  let last: Promise<void> | undefined;
  let keys = 0;
  return end(socket, () => last, () => {
    if (++keys % KEYS_PER_DATAGRAM !== 0) return;
    for (const port of to) last = socket.send(FULL, "127.0.0.1", port);
  });
};

/** Binds a socket with the receive buffer that a mesh asks for. */
export function bindBare(message: (data: Uint8Array) => void): Promise<DatagramSocket> {
  return bind(
    {
      host: "127.0.0.1",
      port: 0,
      shared: false,
      sendsMulticast: false,
      multicastLoopback: false,
      multicastTtl: 1,
      receiveBuffer: 4 * 1024 * 1024,
      preferReceiveBuffer: true,
    },
    { message, error: (error) => console.error(error) },
  );
}

/** The ports of the endpoints that were opened before. */
export function ports({ targets }: EndpointOptions): number[] {
  return targets.map((target) => Number(target.split(":")[1]));
}

function end(socket: DatagramSocket, flush: Bus["flush"], publish: Bus["publish"]): Bus {
  return {
    address: `${socket.host}:${socket.port}`,
    ready: () => Promise.resolve(),
    publish,
    flush,
    close: () => socket.close(),
  };
}
