/**
 * The clock, the random source, the look-ups of names and the list of interfaces, the same on Node, Deno and Bun.
 *
 * @module
 */

import { webcrypto } from "node:crypto";
import { lookup } from "node:dns/promises";
import { networkInterfaces as interfacesOf } from "node:os";
import type { Clock } from "../src/clock.ts";
import type { NetworkInterface, NetworkInterfaces, RandomBytes, Resolve } from "../src/host.ts";
import { clearImmediate, clearTimeout, now, setImmediate, setTimeout } from "./time.ts";

// A longer delay overflows in every runtime and becomes 1 ms.
const MAX_DELAY_MS = 2 ** 31 - 1;

// Taken once: tests that stub it would give all nodes the same id.
const getRandomValues = webcrypto.getRandomValues.bind(webcrypto);

/** The clock of the event loop. */
export const systemClock: Clock = {
  now,

  setTimer(callback, delay) {
    const due = now() + delay;
    let timer: ReturnType<typeof setTimeout>;
    // The runtimes count whole milliseconds from a rounded start: of 200 timers on Node 184 came up to 0.9 ms early.
    function arm(): void {
      const left = Math.max(0, due - now());
      timer = setTimeout(() => now() < due ? arm() : callback(), Math.min(Math.ceil(left), MAX_DELAY_MS));
    }
    arm();
    return { cancel: () => clearTimeout(timer) };
  },

  setTurnEnd(callback) {
    const immediate = setImmediate(callback);
    return { cancel: () => clearImmediate(immediate) };
  },
};

/** Random bytes of the runtime's secure source, up to 65,536. */
export const randomBytes: RandomBytes = (length) => getRandomValues(new Uint8Array(length));

let lastLookUp: Promise<unknown> = Promise.resolve();

/**
 * Asks the system's resolver, hosts file and all, off the event loop. One look-up at a time for the whole process, in the
 * order of the calls: each holds one of the runtime's few threads until it is answered, and files and the look-ups of
 * the rest of the program need those too. (Two are half of Node's threads for look-ups, and all of Bun's on two cores.)
 */
export const resolve: Resolve = (host) => {
  const found = lastLookUp.then(() => lookup(host, { all: true }));
  lastLookUp = found.catch(() => {});
  return found.then((addresses) => addresses.map(({ address }) => address));
};

export { resolveSrv } from "./srv.ts";

/** On Deno it needs `--allow-sys=networkInterfaces`, else it throws. */
export const networkInterfaces: NetworkInterfaces = () => {
  const list: NetworkInterface[] = [];
  for (const [name, addresses = []] of Object.entries(interfacesOf())) {
    for (const { address, internal, netmask } of addresses) list.push({ name, address, internal, netmask });
  }
  return list;
};
