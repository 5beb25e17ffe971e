/**
 * Publishers: publish as fast as a bus takes keys, or at a rate.
 *
 * @module
 */

import { setImmediate, setTimeout } from "node:timers/promises";
import { machineNow } from "../machine_clock.ts";
import { asciiKeys, KEYS_PER_DATAGRAM } from "../keys.ts";
import { timedKey } from "./arrivals.ts";
import { type Bus, KEY_POOL } from "./bus.ts";

// Keys published in one turn of the event loop, so that the sockets get their share of it: full datagrams of the
// controls.
const BURST = 7 * KEYS_PER_DATAGRAM;
// Largest number of bursts that the bus has not yet taken. With fewer, a server that is a round trip away would be the
// limit.
const WINDOW = 8;
// Timers have a resolution of one millisecond.
const SHORTEST_TIMER_MS = 1;

const keys = asciiKeys(KEY_POOL);
let next = 0;

/** Publishes for `ms` milliseconds as fast as the bus takes keys. Returns how many it published. */
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
 * Publishes `count` keys, one each `interval` milliseconds from `start` on, whatever becomes of earlier keys: an open
 * loop.
 *
 * Up to a thousand keys a second it uses timers, and a key is due when its timer fires, as the delay of a timer is not
 * the fault of the bus. Above, a key is due by the clock alone, which is read in each turn of the event loop. So it
 * counts when the bus, or a garbage collection, has delayed the publisher.
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
