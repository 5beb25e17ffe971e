/**
 * Fake timers: a program that opens two meshes, publishes and closes while fakes replace the real timers, and prints
 * `done`. Its argument selects the fakes. It is a process of its own, as the runner of Node's tests needs the real
 * timers.
 *
 * @module
 */

import process from "node:process";
import timers from "node:timers";
import { openMesh, type SyncEvent } from "../../mod.ts";

type Fakes = Readonly<Record<string, unknown>>;

const nothing = () => 0;
const TIMERS: Fakes = {
  setTimeout: nothing,
  clearTimeout: nothing,
  setInterval: nothing,
  clearInterval: nothing,
  setImmediate: nothing,
  clearImmediate: nothing,
};
const GLOBALS: Fakes = {
  ...TIMERS,
  performance: { now: nothing },
  queueMicrotask: nothing,
  Date: class extends Date {
    static override now(): number {
      return super.now() + 3_600_000;
    }
  },
  crypto: { getRandomValues: (array: Uint8Array) => array },
};

function fake(target: object, fakes: Fakes): void {
  for (const [name, value] of Object.entries(fakes)) {
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  }
}

const log = console.log.bind(console);
// Loading an adapter is up to the runtime's loader, which may need real timers itself.
const first = await openMesh({ interface: "127.0.0.1", port: 0 });
// A wall clock that jumps looks like a suspended machine.
const guard = first.guard("guarded");
switch (process.argv[2]) {
  case "globals":
    fake(globalThis, GLOBALS);
    break;
  case "node:timers":
    fake(timers, TIMERS);
    break;
  case "process":
    fake(process, { nextTick: nothing });
}
const isFresh = guard.isFresh();
const second = await openMesh({ interface: "127.0.0.1", port: first.port });
const third = await openMesh({ interface: "127.0.0.1", port: first.port });
const heard = [second, third].map((mesh) => new Promise<SyncEvent>((resolve) => mesh.subscribe("k", resolve)));
await first.publish("k");
const events = await Promise.all(heard);
const ids = new Set([first, second, third].map(({ nodeId }) => nodeId));
await Promise.all([first.close(), second.close(), third.close()]);
log(JSON.stringify({ events, ids: ids.size, isFresh }));
