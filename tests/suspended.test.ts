// A machine that slept: its clock stood still, and what it missed is told when it wakes.

import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { describe, test } from "node:test";
import { MemoryNetwork, VirtualClock } from "../adapters/memory.ts";
import type { Clock } from "../src/clock.ts";
import { MeshBus, type MeshEvent } from "../mod.ts";
import { StallWatch, type Standstill } from "../src/stall_watch.ts";

const ASLEEP = 180_000;
const OPTIONS = { heartbeat: 1000, peerTimeout: 3000 };

/** Nodes on hosts of their own, which know each other. */
async function open(count: number) {
  const network = new MemoryNetwork({ seed: 7 });
  const { clock } = network;
  const add = async () => {
    const host = network.host(`10.0.0.${++last}`);
    const mesh = await clock.run(MeshBus.open({ ...OPTIONS, ...host }), 1000);
    const keys: string[] = [];
    const causes: string[] = [];
    const events: MeshEvent[] = [];
    mesh.events.listen((event) => events.push(event));
    mesh.subscribe({ prefix: "" }, ({ key, cause }) => (causes.push(cause), cause === "publish" && keys.push(key)));
    return { host, mesh, keys, causes, events };
  };
  let last = 0;
  const nodes = [];
  for (let i = 0; i < count; i++) nodes.push(await add());
  await clock.advance(2500);
  return { network, clock, add, nodes };
}

describe("a machine that was suspended for minutes", () => {
  test("tells a gap, stales guards, is in doubt until it has heard its peers, and counts the sleep", async () => {
    const { clock, nodes } = await open(3);
    const [a, b, c] = nodes;
    assert(a !== undefined && b !== undefined && c !== undefined);
    const guard = a.mesh.guard("loading");
    assertEquals([a.mesh.status().state, a.causes, guard.isFresh()], ["current", [], true]);
    a.host.suspend();
    const before = a.host.clock.now();
    await clock.run(b.mesh.publish("missed"), 1000);
    await clock.advance(ASLEEP);
    assertEquals([a.host.clock.now(), a.keys], [before, []]);
    a.host.resume();
    // Not noticed yet, but who asks is told.
    assertGreaterOrEqual(a.mesh.status().staleness, ASLEEP);
    await clock.runUntil(() => a.events.some(({ type }) => type === "stalled"), 300);
    const stalled = a.events.find((event) => event.type === "stalled");
    assert(stalled?.type === "stalled");
    assertGreaterOrEqual(stalled.duration, ASLEEP);
    assertEquals([a.mesh.status().state, a.causes.includes("gap"), guard.isFresh()], ["doubt", true, false]);
    assertGreaterOrEqual(a.mesh.status().staleness, ASLEEP);
    await clock.runUntil(() => a.mesh.status().state === "current" && a.mesh.status().staleness < 2000, 10_000);
    const { length } = a.causes;
    await clock.run(c.mesh.publish("after"), 1000);
    await clock.advance(500);
    assertEquals([a.keys.includes("after"), a.causes.slice(length)], [true, ["publish"]]);
    for (const { mesh } of nodes) await clock.run(mesh.close(), 5000);
  });

  test("gets what a peer has published that came meanwhile, also when another has come and left", async () => {
    const { clock, nodes, add } = await open(2);
    const [a] = nodes;
    assert(a !== undefined);
    a.host.suspend();
    await clock.advance(ASLEEP / 2);
    const newcomer = await add();
    const guest = await add();
    await clock.advance(2000);
    await clock.run(newcomer.mesh.publish("of the newcomer"), 1000);
    await clock.run(guest.mesh.publish("of the guest"), 1000);
    await clock.run(guest.mesh.close(), 5000);
    // By the clock of the one that slept this is longer ago than it has been open.
    await clock.advance(ASLEEP / 6);
    a.host.resume();
    const resumedAt = a.causes.length;
    await clock.runUntil(() => a.keys.includes("of the newcomer"), 5000);
    assert(a.causes.slice(resumedAt).includes("gap"));
    for (const { mesh } of [...nodes, newcomer]) await clock.run(mesh.close(), 5000);
  });
});

test("only a wall's clock that goes ahead by a second or more tells of a sleep", async () => {
  const clock = new VirtualClock();
  let offset = 0;
  const seen: Standstill[] = [];
  const watched: Clock = {
    now: () => clock.now(),
    wall: () => 1e12 + clock.now() + offset,
    setTimer: (callback, delay) => clock.setTimer(callback, delay),
    setTurnEnd: (callback) => clock.setTurnEnd(callback),
  };
  const watch = new StallWatch(watched, (standstill) => seen.push(standstill));
  watch.start();
  for (const step of [999, -5000, -3_600_000, 1, 128]) {
    await clock.advance(600);
    offset += step;
    assertEquals([watch.standstill?.since, seen], [undefined, []]);
  }
  await clock.advance(600);
  assertEquals(seen, []);
  offset += 60_000;
  assertEquals(watch.standstill?.since, 3500 - 60_000);
  await clock.advance(300);
  assertEquals(seen, [{ since: 3500 - 60_000, suspended: 60_000 }]);
  await clock.advance(1000);
  assertEquals(seen.length, 1);
  watch.close();
  assertEquals(clock.pending, 0);
});
