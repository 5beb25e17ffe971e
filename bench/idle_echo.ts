/**
 * Idle echo: the process that answers the keys of `idle.ts`.
 *
 * @module
 */

import { bind } from "../adapters/auto.ts";
import { openMesh } from "../mod.ts";
import type { DatagramSocket } from "../src/platform/datagram_socket.ts";
import { serve } from "./worker_process.ts";

/** A request of `idle.ts`. */
export interface EchoRequest {
  readonly type: "address";
}

/** The address of this process. */
export interface EchoAddress {
  readonly port: number;
  readonly bare: number;
}

const mesh = await openMesh({ port: 0, interface: "127.0.0.1" });
let newest = "";
mesh.subscribe({ prefix: "ping:" }, ({ key }) => {
  // Each datagram comes twice, by multicast and by unicast.
  if (key === newest) return;
  newest = key;
  void mesh.publish(key.replace("ping", "pong"));
});
const bare: DatagramSocket = await bind(
  { host: "127.0.0.1", port: 0, shared: false, sendsMulticast: false, multicastLoopback: false, multicastTtl: 1 },
  { message: (data, host, port) => void bare.send(data.slice(), host, port), error() {} },
);
await serve((_: EchoRequest): EchoAddress => ({ port: mesh.port, bare: bare.port }));
await Promise.all([mesh.close(), bare.close()]);
