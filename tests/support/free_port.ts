// Free ports: UDP ports that no socket of this machine uses.
import { bindDgram } from "../../adapters/dgram_socket.ts";
import { BindError, type DatagramSocket } from "../../src/platform/datagram_socket.ts";

// Below the ports that systems assign by themselves, from 32,768 or 49,152 on: no other socket of a test gets such a
// port by chance between this check and its use.
const FIRST = 10_000;
const COUNT = 22_000;

let last = Math.floor(Math.random() * COUNT);

/** A UDP port that no socket uses now, and that this process has not been given before. */
export async function freePort(): Promise<number> {
  while (true) {
    last = (last + 1) % COUNT;
    const port = FIRST + last;
    if (await isFree(port)) return port;
  }
}

/**
 * Binds a port on all addresses without sharing it: rejects unless it is free. It is free again when the socket has
 * closed.
 */
export function hold(port: number): Promise<DatagramSocket> {
  const options = { host: "0.0.0.0", port, shared: false, sendsMulticast: false, multicastLoopback: false };
  return bindDgram({ ...options, multicastTtl: 1 }, { message() {}, error() {} });
}

async function isFree(port: number): Promise<boolean> {
  try {
    await (await hold(port)).close();
    return true;
  } catch (error) {
    // Windows has ports that no program may use.
    if (error instanceof BindError && (error.code === "EADDRINUSE" || error.code === "EACCES")) return false;
    throw error;
  }
}
