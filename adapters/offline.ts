/**
 * Offline ports: the ports of a mesh without a network, for builds. What it sends goes nowhere, and nothing keeps the
 * process alive.
 *
 * @module
 */

import process from "node:process";
import type { Clock } from "../src/platform/clock.ts";
import type { Bind } from "../src/platform/datagram_socket.ts";
import type { MeshPorts } from "../src/platform/ports.ts";
import { contexts } from "./async_context.ts";
import { randomBytes } from "./system.ts";
import { clearImmediate, clearTimeout, now, setImmediate, setTimeout } from "./system_clock.ts";

// A longer delay overflows and becomes 1 ms. The mesh needs no delay of this length to be exact.
const MAX_DELAY_MS = 2 ** 31 - 1;

const idleClock: Clock = {
  now,
  setTimer(callback, delay) {
    const timer = setTimeout(callback, Math.min(Math.max(0, Math.ceil(delay)), MAX_DELAY_MS));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  setTurnEnd(callback) {
    const immediate = setImmediate(callback);
    return { cancel: () => clearImmediate(immediate) };
  },
};

const bindNowhere: Bind = async ({ host, port }) => ({
  adapter: "memory",
  unmet: [],
  host,
  port: port || 7946,
  receiveBuffer: undefined,
  send: async () => {},
  join: async () => {},
  leave: async () => {},
  close: async () => {},
});

/** Ports of a mesh that reaches no other node, on any machine. */
export const offlinePorts: MeshPorts = {
  bind: bindNowhere,
  clock: idleClock,
  randomBytes,
  resolve: async () => [],
  resolveSrv: async () => [],
  networkInterfaces: () => [{ name: "offline", address: "127.0.0.1", internal: true, netmask: "255.0.0.0" }],
  contexts,
};

/**
 * Whether this process builds an application that will run elsewhere. Next.js says so (`NEXT_PHASE`), others do not.
 */
export function isBuild(): boolean {
  try {
    return mayRead("NEXT_PHASE") && process.env["NEXT_PHASE"] === "phase-production-build";
  } catch {
    return false;
  }
}

/** Whether a variable may be read without Deno prompting for a permission. */
function mayRead(variable: string): boolean {
  const { Deno } = globalThis as { Deno?: { permissions: { querySync(what: object): { readonly state: string } } } };
  return Deno === undefined || Deno.permissions.querySync({ name: "env", variable }).state === "granted";
}
