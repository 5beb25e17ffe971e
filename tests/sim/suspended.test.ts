// Suspended machines: the clock of the node stopped, and what it missed is a gap when it wakes.

import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { MemoryNetwork, VirtualClock } from "../../adapters/memory.ts";
import { MeshBus, type MeshEvent, type MeshOptions } from "../../mod.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { EventLoopMonitor, type LoopStall } from "../../src/reliability/event_loop_monitor.ts";
import { makeBatcher } from "../support/batches.ts";

const ASLEEP = 180_000;
const OPTIONS = { heartbeat: 1000, peerTimeout: 3000 };

/** Nodes on hosts of their own, which know each other. */
async function open(count: number, options: MeshOptions = OPTIONS) {
  const network = new MemoryNetwork({ seed: 7 });
  const { clock } = network;
  const add = async () => {
    const host = network.host(`10.0.0.${++last}`);
    const mesh = await clock.run(MeshBus.open({ ...options, ...host }), 1000);
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
  await clock.advance(options === OPTIONS ? 2500 : 6000);
  return { network, clock, add, nodes };
}

describe("a machine that was suspended for minutes", () => {
  test("has a gap, stale guards and doubt until it has heard its peers, and counts the sleep", async () => {
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
    // The suspension is not detected yet, but `status()` and guards show it.
    assertEquals([a.mesh.status().state, guard.isFresh()], ["doubt", false]);
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

  test("gets what a node that joined meanwhile has published, also when another has joined and left", async () => {
    const { clock, nodes, add } = await open(2);
    const [a] = nodes;
    assert(a !== undefined);
    a.host.suspend();
    await clock.advance(ASLEEP / 2);
    const joining = await add();
    const guest = await add();
    await clock.advance(2000);
    await clock.run(joining.mesh.publish("of the joining node"), 1000);
    await clock.run(guest.mesh.publish("of the guest"), 1000);
    await clock.run(guest.mesh.close(), 5000);
    // By the clock of the suspended node this is longer ago than it has been open.
    await clock.advance(ASLEEP / 6);
    a.host.resume();
    const resumedAt = a.causes.length;
    await clock.runUntil(() => a.keys.includes("of the joining node"), 5000);
    assert(a.causes.slice(resumedAt).includes("gap"));
    for (const { mesh } of [...nodes, joining]) await clock.run(mesh.close(), 5000);
  });
});

describe("a machine that was suspended for less than a heartbeat", () => {
  const RARE = { heartbeat: 5000, peerTimeout: 20_000 };

  for (const asleep of [1010, 3000]) {
    test(`of ${asleep} ms has a gap, stale guards, and doubt until it has heard its peers`, async () => {
      const { clock, nodes } = await open(3, RARE);
      const [a, b] = nodes;
      assert(a !== undefined && b !== undefined);
      const [guard, later] = [a.mesh.guard("loading"), a.mesh.guard("read when it was detected")];
      assertEquals([a.mesh.status().state, a.causes], ["current", []]);
      a.host.suspend();
      await clock.advance(asleep);
      a.host.resume();
      assertEquals([a.mesh.status().state, guard.isFresh(), guard.isFresh()], ["doubt", false, false]);
      assertGreaterOrEqual(a.mesh.status().staleness, asleep);
      const states: string[] = [];
      a.mesh.events.listen(({ type }) => {
        if (type === "stalled") states.push(a.mesh.status().state, `${later.isFresh()}`);
      });
      await clock.runUntil(() => a.causes.length > 0, 300);
      assertEquals([a.causes, states], [["gap"], ["doubt", "false"]]);
      assertEquals([a.mesh.status().state, a.mesh.guard("new").isFresh()], ["doubt", true]);
      // Its peers are probed at once: that takes a few milliseconds, and no heartbeat.
      await clock.runUntil(() => a.mesh.status().state === "current", 100);
      assertLess(a.mesh.status().staleness, 100);
      await clock.run(b.mesh.publish("after"), 1000);
      await clock.runUntil(() => a.keys.includes("after"), 500);
      assertEquals(a.causes, ["gap", "publish"]);
      for (const { mesh } of nodes) await clock.run(mesh.close(), 5000);
    });
  }

  test("counts what was not heard before the sleep too", async () => {
    const { network, clock, nodes } = await open(2, RARE);
    const [a] = nodes;
    assert(a !== undefined);
    network.set({ loss: 1 });
    await clock.advance(4000);
    const before = a.mesh.status().staleness;
    assertGreaterOrEqual(before, 4000);
    a.host.suspend();
    await clock.advance(3000);
    a.host.resume();
    assertGreaterOrEqual(a.mesh.status().staleness, before + 3000);
    await clock.runUntil(() => a.causes.length > 0, 300);
    assertGreaterOrEqual(a.mesh.status().staleness, before + 3000);
    // All answers are lost.
    await clock.advance(2000);
    assertEquals(a.mesh.status().state, "doubt");
    assertGreaterOrEqual(a.mesh.status().staleness, before + 5000);
    network.set({ loss: 0 });
    await clock.runUntil(() => a.mesh.status().state === "current", 2 * RARE.heartbeat);
    for (const { mesh } of nodes) await clock.run(mesh.close(), 5000);
  });

  test("has a gap for the keys of a node that it never hears", async () => {
    const { clock, nodes, add } = await open(2, RARE);
    const [a] = nodes;
    assert(a !== undefined);
    a.host.suspend();
    const guest = await add();
    await clock.run(guest.mesh.publish("of the guest"), 1000);
    await clock.run(guest.mesh.close(), 5000);
    await clock.advance(2000);
    a.host.resume();
    await clock.advance(RARE.peerTimeout);
    assertEquals([a.keys, a.causes], [[], ["gap"]]);
    for (const { mesh } of nodes) await clock.run(mesh.close(), 5000);
  });
});

test("keys that were pending during a suspension are older by its duration", async () => {
  const { batcher, clock } = makeBatcher();
  batcher.tryAdd("first");
  await clock.advance(1);
  batcher.take();
  batcher.tryAdd("second");
  await clock.advance(10);
  batcher.sleep(180_000);
  assertEquals(Math.round(batcher.pendingAge ?? 0), 180_010);
  batcher.close();
});

test("a node that was suspended with a key sends its age to its peers", async () => {
  const { clock, nodes } = await open(2, {
    heartbeat: 1000,
    peerTimeout: 60_000,
    minSendRate: 1,
    maxSendRate: 1,
    batchSize: 1,
  });
  const [a, b] = nodes;
  assert(a !== undefined && b !== undefined);
  // At one datagram a second most of them wait.
  for (let i = 0; i < 40; i++) await clock.run(a.mesh.publish(`${i}`), 1000);
  await clock.advance(2000);
  a.host.suspend();
  await clock.advance(10_000);
  a.host.resume();
  const since = clock.now();
  const heard = () => b.mesh.status().peers.find(({ id }) => id === a.mesh.nodeId);
  await clock.runUntil(() => heard()?.state === "repairing", 3000);
  await clock.advance(2000);
  assertLess(b.keys.length, 40);
  assertGreaterOrEqual(heard()?.staleness ?? 0, 12_000 + clock.now() - since);
  for (const { mesh } of nodes) await clock.run(mesh.close(), 5000);
});

describe("the wall clock", () => {
  /** A clock of both kinds, whose wall time is ahead by `offset.by`. */
  function wall(clock: VirtualClock | Clock) {
    const offset = { by: 0 };
    const both: Clock = {
      now: () => clock.now(),
      wall: () => 1e12 + clock.now() + offset.by,
      setTimer: (callback, delay) => clock.setTimer(callback, delay),
      setTurnEnd: (callback) => clock.setTurnEnd(callback),
    };
    return { offset, both };
  }

  test("shows a suspension only when it goes ahead by a second or more at once", async () => {
    const clock = new VirtualClock();
    const { offset, both } = wall(clock);
    const seen: LoopStall[] = [];
    const watch = new EventLoopMonitor(both, (loopStall) => seen.push(loopStall));
    watch.start();
    for (const step of [999, -5000, -3_600_000, 1, 128, NaN, Infinity, 999, -Infinity, NaN, 0]) {
      await clock.advance(600);
      offset.by = Number.isFinite(step) && Number.isFinite(offset.by) ? offset.by + step : step;
      watch.look();
      assertEquals([watch.loopStall, watch.suspended, seen], [undefined, 0, []]);
    }
    await clock.advance(500);
    assertEquals(seen, []);
    offset.by += 60_000;
    const since = Math.floor(clock.now() / 250) * 250 - 60_000;
    assertEquals([watch.loopStall?.since, watch.suspended], [since, 60_000]);
    await clock.advance(250);
    assertEquals(seen, [{ since, suspended: 60_000 }]);
    await clock.advance(1000);
    assertEquals(seen.length, 1);
    offset.by += 1000;
    watch.look();
    watch.look();
    assertEquals([seen.length, seen[1]?.suspended, watch.loopStall], [2, 1000, undefined]);
    watch.close();
    watch.look();
    assertEquals([watch.suspended, clock.pending], [0, 0]);
  });

  test("is not read any more when the callback of a suspension closes the monitor", async () => {
    const clock = new VirtualClock();
    const { offset, both } = wall(clock);
    const watch = new EventLoopMonitor(both, () => watch.close());
    watch.start();
    offset.by = 5000;
    await clock.advance(300);
    assertEquals(clock.pending, 0);
  });

  test("may be set to anything, be missing, or return no time", async () => {
    const network = new MemoryNetwork({ seed: 3 });
    const { clock } = network;
    const reader = await clock.run(MeshBus.open({ ...OPTIONS, ...network.host("10.0.0.1") }), 1000);
    const keys: string[] = [];
    reader.subscribe({ prefix: "" }, ({ key, cause }) => cause === "publish" && keys.push(key));
    const host = network.host("10.0.0.2");
    const { offset, both } = wall(host.clock);
    const { wall: _, ...noWall } = both;
    const writer = await clock.run(MeshBus.open({ ...OPTIONS, ...host, clock: both }), 1000);
    const third = await clock.run(MeshBus.open({ ...OPTIONS, ...network.host("10.0.0.3"), clock: noWall }), 1000);
    const causes: string[] = [];
    writer.subscribe({ prefix: "" }, ({ cause }) => causes.push(cause));
    third.subscribe({ prefix: "" }, ({ cause }) => causes.push(`third ${cause}`));
    await clock.advance(2000);
    const gaps: number[] = [];
    // Back, ahead by 56 years as on a host without a battery, and what is no time.
    for (const by of [-3_600_000, 1.77e12, NaN, -Infinity, 0]) {
      offset.by = by;
      await clock.advance(2000);
      gaps.push(causes.filter((cause) => cause === "gap").length);
      await clock.run(writer.publish(`${by}`), 1000);
      await clock.advance(500);
      assertEquals([writer.status().state, reader.status().state], ["current", "current"]);
    }
    assertEquals(keys, ["-3600000", "1770000000000", "NaN", "-Infinity", "0"]);
    assertEquals(gaps, [0, 1, 1, 1, 1]);
    assertEquals(causes.filter((cause) => cause === "third gap"), []);
    // Also a node that it meets after that.
    const joining = await clock.run(MeshBus.open({ ...OPTIONS, ...network.host("10.0.0.4") }), 1000);
    await clock.run(joining.publish("of the joining node"), 1000);
    await clock.advance(2000);
    const last = causes.filter((cause) => !cause.startsWith("third")).at(-1);
    assertEquals([last, writer.status().state, writer.peers().length], ["publish", "current", 3]);
    for (const mesh of [reader, writer, third, joining]) await clock.run(mesh.close(), 5000);
  });

  test("must be a function, if there is one", async () => {
    const host = new MemoryNetwork().host("10.0.0.1");
    const clock = { ...host.clock, wall: 5 } as unknown as Clock;
    await assertRejects(() => MeshBus.open({ ...host, clock }), TypeError, "`clock` must be a clock");
  });
});
