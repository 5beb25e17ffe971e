import { setImmediate, setTimeout } from "node:timers/promises";
import { machineNow } from "../clock.ts";
import { asciiKeys, KEYS_PER_DATAGRAM } from "../keys.ts";
import { timedKey } from "./arrivals.ts";
import { type Bus, KEY_POOL } from "./bus.ts";

// Keys published in one turn of the event loop, so that the sockets get their share of it: full datagrams of the controls.
const BURST = 7 * KEYS_PER_DATAGRAM;
// Bursts that the bus has not yet taken. With fewer, a server that is a round trip away would be waited for.
const WINDOW = 8;
// Timers are as fine as a millisecond.
const SHORTEST_TIMER_MS = 1;

const keys = asciiKeys(KEY_POOL);
let next = 0;

/** Publishes for `ms` milliseconds as fast as the bus takes keys. Returns how many. */
export async function publishAll(bus: Bus, ms: number): Promise<number> {
  const waiting: (Promise<unknown> | undefined)[] = [];
  let sent = 0;
  for (const end = machineNow() + ms; machineNow() < end; sent += BURST) {
    for (let i = 0; i < BURST; i++) {
      bus.publish(keys[next] as string);
      next = (next + 1) % KEY_POOL;
    }
    waiting.push(bus.flush());
    if (waiting.length > WINDOW) await waiting.shift();
    await setImmediate();
  }
  await Promise.all(waiting);
  return sent;
}

/**
 * Publishes `count` keys, one each `interval` milliseconds from `start` on, whatever becomes of those before: an open loop.
 *
 * Up to a thousand a second by timers, and a key is due when its timer fires, as it is the timer's fault how late that is.
 * Above, a key is due by the clock alone, which each turn of the event loop looks at: so it counts when the bus, or a garbage
 * collector, has kept the publisher from it.
 */
export async function publishPaced(bus: Bus, count: number, interval: number, start: number): Promise<void> {
  if (interval < SHORTEST_TIMER_MS) {
    for (let sent = 0; sent < count; await setImmediate()) {
      for (; sent < count && start + sent * interval <= machineNow(); sent++) {
        bus.publish(timedKey(sent, start + sent * interval));
      }
    }
    return;
  }
  for (let sent = 0; sent < count; sent++) {
    await setTimeout(Math.max(0, start + sent * interval - machineNow()));
    bus.publish(timedKey(sent, machineNow()));
  }
}
