// Native binds: the adapters with real sockets on this runtime.
import { bind } from "../../adapters/auto.ts";
import { bindBun } from "../../adapters/bun.ts";
import { bindDeno, denoCannot } from "../../adapters/deno.ts";
import { bindNode } from "../../adapters/node.ts";
import type { Bind } from "../../src/platform/datagram_socket.ts";
import { LOCAL } from "./sockets.ts";

/** The adapters with real sockets that run on this runtime, by name. */
export const binds: Readonly<Record<string, Bind>> = {
  "node:dgram": bindNode,
  ...("Bun" in globalThis ? { "Bun.udpSocket": bindBun } : {}),
  ...(denoCannot(LOCAL) === undefined ? { "Deno.listenDatagram": bindDeno } : {}),
  auto: bind,
};
