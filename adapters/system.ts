/**
 * System adapter: clock, random source, name look-ups and list of interfaces, the same on Node, Deno and Bun.
 *
 * @module
 */

import { webcrypto } from "node:crypto";
import { lookup } from "node:dns/promises";
import { networkInterfaces as interfacesOf } from "node:os";
import type { Clock, Timer } from "../src/platform/clock.ts";
import type { NetworkInterface, NetworkInterfaces, RandomBytes, Resolve } from "../src/platform/host.ts";
import { LookupPool } from "./lookup_pool.ts";
import { resolveDirectly } from "./name_server_lookup.ts";
import { clearImmediate, clearTimeout, now, setImmediate, setTimeout, wall } from "./system_clock.ts";

// On Deno each query of the detour needs a permission, and could prompt for it.
const IS_DENO = "Deno" in globalThis;

// A longer delay overflows in every runtime and becomes 1 ms.
const MAX_DELAY_MS = 2 ** 31 - 1;

// Taken once: a test that stubs it would give all nodes the same id.
const getRandomValues = webcrypto.getRandomValues.bind(webcrypto);

/** The clock of the event loop. */
export const systemClock: Clock = {
  now,
  wall,

  setTimer: (callback, delay) => new SystemTimer(callback, now() + delay),
  setTurnEnd: (callback) => new TurnEnd(setImmediate(callback)),
};

/**
 * Corrects early timers: the runtimes count whole milliseconds from a rounded start. Of 200 timers on Node 184 came up
 * to 0.9 ms early.
 */
class SystemTimer implements Timer {
  readonly #callback: () => void;
  readonly #due: number;
  #timeout: ReturnType<typeof setTimeout>;

  constructor(callback: () => void, due: number) {
    this.#callback = callback;
    this.#due = due;
    this.#timeout = this.#arm();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }

  #arm(): ReturnType<typeof setTimeout> {
    const left = Math.max(0, this.#due - now());
    return setTimeout(this.#onTimeout, Math.min(Math.ceil(left), MAX_DELAY_MS));
  }

  readonly #onTimeout = (): void => {
    if (now() < this.#due) this.#timeout = this.#arm();
    else this.#callback();
  };
}

// A class, as a closure costs 15 µs in a process that was idle, when it is run by tsx.
class TurnEnd implements Timer {
  readonly #immediate: ReturnType<typeof setImmediate>;

  constructor(immediate: ReturnType<typeof setImmediate>) {
    this.#immediate = immediate;
  }

  cancel(): void {
    clearImmediate(this.#immediate);
  }
}

/** Random bytes of the runtime's secure source, up to 65,536. */
export const randomBytes: RandomBytes = (length) => getRandomValues(new Uint8Array(length));

const lookupPool = new LookupPool({
  lookup: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  // Each look-up holds a thread until it is answered. Two are half of Node's, which are all that it has for look-ups,
  // and all of Bun's on two cores, files included (`findings/bun_look_ups_hold_file_reads.sh`). Deno has about 30.
  ...IS_DENO ? { atOnce: 8 } : { atOnce: 1, detour: resolveDirectly },
});

/**
 * Resolves names by the system's resolver, including the hosts file, off the event loop. Few look-ups run at a time in
 * the whole process, so that files and other look-ups of the program get a thread while a name server is silent.
 */
export const resolve: Resolve = lookupPool.resolve;

export { resolveSrv } from "./srv_lookup.ts";

/** The interfaces of this host. On Deno it needs `--allow-sys=networkInterfaces`, and throws without. */
export const networkInterfaces: NetworkInterfaces = () => {
  const list: NetworkInterface[] = [];
  for (const [name, addresses = []] of Object.entries(interfacesOf())) {
    for (const { address, internal, netmask } of addresses) list.push({ name, address, internal, netmask });
  }
  return list;
};
