// Blocked subscribers: callbacks that block their process. The process itself detects that it is behind, and its peers
// are not affected.

import { assert, assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { describe, test } from "node:test";
import { type MemoryHost, MemoryNetwork } from "../../adapters/memory.ts";
import { MeshBus, type MeshEvent, type MeshOptions, type SyncEvent } from "../../mod.ts";
import { freePort } from "../support/free_port.ts";
import { withLossProcesses } from "../support/loss_process.ts";
import { STARTED } from "../support/programs.ts";
import { some } from "../support/size.ts";

const HEARTBEAT = 1_000;

interface Node {
  readonly host: MemoryHost;
  readonly mesh: MeshBus;
  readonly got: readonly SyncEvent[];
  readonly events: readonly MeshEvent[];
}

/** Nodes on hosts of their own, which know each other, and their events. The second one's callback blocks. */
async function openNodes(block: number | (() => number), options: MeshOptions = {}) {
  const network = new MemoryNetwork();
  const nodes: Node[] = [];
  for (const address of ["10.0.0.1", "10.0.0.2", "10.0.0.3"]) {
    const host = network.host(address);
    const mesh = await MeshBus.open({ ...host, heartbeat: HEARTBEAT, ...options });
    const got: SyncEvent[] = [];
    const events: MeshEvent[] = [];
    mesh.events.listen((event) => events.push(event));
    const isSlow = nodes.length === 1;
    mesh.subscribe({ prefix: "" }, (event) => {
      got.push(event);
      if (isSlow) host.block(typeof block === "number" ? block : block());
    });
    nodes.push({ host, mesh, got, events });
  }
  const [publisher, slow, healthy] = nodes;
  if (publisher === undefined || slow === undefined || healthy === undefined) throw new Error("There must be three");
  await network.clock.runUntil(() => nodes.every(({ mesh }) => mesh.peers().length === 2), 5_000);
  await network.clock.advance(1_000);
  return { network, publisher, slow, healthy, nodes };
}

const typesOf = ({ events }: Node) => events.map(({ type }) => type).filter((type) => type !== "peerJoined");

describe("a subscriber whose callback blocks, simulated", () => {
  for (const block of some([10, 40, 400], (block) => block === 40)) {
    test(`for ${block} ms a key gets an overflow within two heartbeats, and its peers are not affected`, async () => {
      const { network, publisher, slow, healthy, nodes } = await openNodes(block);
      const { clock } = network;
      const start = clock.now();
      let count = 0;
      let noticedAfter = Infinity;
      while (clock.now() - start < 10_000) {
        for (let i = 0; i < 40; i++) await publisher.mesh.publish(`key ${count++ % 5_000}`);
        await clock.advance(10);
        if (slow.got.some(({ cause }) => cause === "overflow")) {
          noticedAfter = Math.min(noticedAfter, clock.now() - start);
        }
        assertLess(slow.mesh.metrics().backlog, 65_537);
      }
      assertLess(noticedAfter, 2 * HEARTBEAT + block);
      await clock.advance(HEARTBEAT + 4 * block);
      for (const node of [publisher, healthy]) {
        assertEquals(typesOf(node), ["opened"]);
        assertEquals(node.got.filter(({ cause }) => cause !== "publish"), []);
      }
      assertEquals(healthy.got.length, count);
      const { slowCallbacks, keysDropped, gaps, missing, backlog } = slow.mesh.metrics();
      assertEquals([slowCallbacks > 20, gaps, missing, backlog], [true, 0, 0, 0]);
      const published = slow.got.filter(({ cause }) => cause === "publish").length;
      assertEquals(published + keysDropped, count);
      const named = slow.events.filter((event) => event.type === "slowCallback");
      assertLess(named.length, 16);
      assertEquals(named.at(-1)?.topic, { prefix: "" });
      assertEquals(named.at(-1)?.duration, block);
      assertEquals(named.reduce((sum, { suppressed }) => sum + suppressed + 1, 0) <= slowCallbacks, true);
      // What is behind is stale, and the status shows it.
      const done = Promise.all(nodes.map(({ mesh }) => mesh.close()));
      await clock.run(done, 5_000);
      assertEquals(clock.pending, 0);
    });
  }

  test("for longer than the time between keys gets a whole flood, which slows down, and another node's keys beside it", async () => {
    // 100,000 keys a second are processed, and twice as many published.
    const { network, publisher, slow, healthy } = await openNodes(0.01, { queueSize: 1_000_000 });
    const { clock } = network;
    const lone: number[] = [];
    let count = 0;
    for (const start = clock.now(); clock.now() - start < 1_000;) {
      for (let i = 0; i < 200; i++) await publisher.mesh.publish(`key:${count++}`);
      await clock.advance(1);
      const { backlog, batchesDeferred } = slow.mesh.metrics();
      assertLess(backlog, 40_000);
      if (batchesDeferred === 0 || lone.length === 100) continue;
      await healthy.mesh.publish(`lone:${lone.length}`);
      lone.push(count);
    }
    assertEquals(lone.length, 100);
    await clock.runUntil(() => slow.got.length >= count + lone.length, 20_000);
    const keys = slow.got.map(({ key }) => key);
    assertEquals(new Set(keys).size, count + lone.length);
    // They wait for what came before them. Keys that are left for later come after those that were published since.
    for (const [i, before] of lone.entries()) {
      const earlier = keys.slice(0, keys.indexOf(`lone:${i}`)).filter((key) => key.startsWith("key:"));
      assertLess(earlier.reduce((most, key) => Math.max(most, Number(key.substring(4))), 0), before + 400);
    }
    const { keysDropped, gaps, missing } = slow.mesh.metrics();
    assertEquals([keysDropped, gaps, missing > 0], [0, 0, true]);
    await clock.run(Promise.all([publisher, slow, healthy].map(({ mesh }) => mesh.close())), 20_000);
  });

  test("has the age of its waiting keys in its status, and its guards are stale at once", async () => {
    const { network, publisher, slow, healthy } = await openNodes(450);
    await network.clock.run(healthy.mesh.close(), 5_000);
    await network.clock.runUntil(() => slow.mesh.status().staleness < 100, 10 * HEARTBEAT);
    // Without a pause, so in one datagram.
    await Promise.all(Array.from({ length: 10 }, (_, i) => publisher.mesh.publish(`key ${i}`)));
    await network.clock.advance(0);
    const guard = slow.mesh.guard("key 4");
    await network.clock.runUntil(() => slow.mesh.metrics().backlog > 0, 100);
    assertEquals([guard.isFresh(), slow.got.length], [false, 1]);
    const arrivedAt = network.clock.now();
    assertEquals(slow.host.clock.now(), arrivedAt + 450);
    // For 1350 ms. Heartbeats arrive meanwhile, and show that nothing else is outstanding.
    while (slow.mesh.metrics().backlog > 0) {
      assert(slow.mesh.status().staleness >= slow.host.clock.now() - arrivedAt);
      await network.clock.advance(10);
    }
    assertEquals(slow.got.map(({ cause }) => cause), ["publish", "publish", "publish", "overflow"]);
  });

  test("delivers nothing more once it is closed, and leaves no timer", async () => {
    const { network, publisher, slow, nodes } = await openNodes(50);
    for (let i = 0; i < 100; i++) await publisher.mesh.publish(`key ${i}`);
    await network.clock.advance(120);
    const before = slow.got.length;
    const closing = slow.mesh.close();
    await network.clock.run(closing, 5_000);
    assertEquals(slow.got.length, before);
    await network.clock.run(Promise.all(nodes.map(({ mesh }) => mesh.close())), 5_000);
    assertEquals(network.clock.pending, 0);
  });
});

describe("a stalled process, simulated", () => {
  test("has one gap for its own subscriptions after more than a heartbeat", async () => {
    for (const heartbeat of [10, 400, 1_000, 5_000]) {
      const { network, slow, publisher } = await openNodes(0, { heartbeat, peerTimeout: 60_000 });
      for (const duration of [heartbeat - 260, heartbeat + 1, 3 * heartbeat]) {
        if (duration < 0) continue;
        const [events, got] = [slow.events.length, slow.got.length];
        const guard = slow.mesh.guard("key");
        slow.host.clock.setTimer(() => slow.host.block(duration), 1);
        await network.clock.advance(duration + 2_000);
        const hasBeenNamed = duration > heartbeat && duration >= 500;
        const stalls = slow.events.slice(events).filter((event) => event.type === "stalled");
        // The check runs each 250 ms, so a stall shorter than 500 ms may count.
        if (duration < 500 && duration >= 250) continue;
        assertEquals(stalls.length, hasBeenNamed ? 1 : 0, `${heartbeat} ms, ${duration} ms`);
        if (hasBeenNamed) assertGreaterOrEqual(stalls[0]?.duration ?? 0, duration - 0.001, `${heartbeat} ms`);
        assertEquals(slow.got.slice(got), hasBeenNamed ? [{ key: "", cause: "gap" }] : []);
        assertEquals(guard.isFresh(), !hasBeenNamed);
      }
      assertEquals(publisher.events.filter(({ type }) => type === "stalled" || type === "gap"), []);
      assertEquals(slow.mesh.metrics().gaps, 0);
    }
  });

  test("has one after a blocking callback too, but not another because of the gap's callbacks", async () => {
    const { network, slow, publisher } = await openNodes(2_500, { peerTimeout: 60_000 });
    await publisher.mesh.publish("key");
    await network.clock.advance(60_000);
    assertEquals(slow.got, [{ key: "key", cause: "publish" }, { key: "", cause: "gap" }]);
    assertEquals(slow.events.filter(({ type }) => type === "stalled").length, 2);
  });
});

describe("a process whose callback blocks", () => {
  // At small size on this Node alone.
  for (const runtime of some(STARTED, (_, i) => i === 0)) {
    test(`on ${runtime} gets an overflow, and its peers are not affected`, () =>
      withLossProcesses(async (start) => {
        const [publisher, healthy, blocked] = [start("node"), start("node"), start(runtime)];
        const options = { interface: "127.0.0.1", heartbeat: 500, port: await freePort() };
        await Promise.all([publisher.open(options), healthy.open(options), blocked.open(options, [1, 40])]);
        const all = [publisher, healthy, blocked];
        await Promise.all(all.flatMap((a) => all.filter((b) => b !== a).map((b) => a.joined(b))));
        await publisher.start({ stream: "a", perTurn: 200, pause: 10 });
        // Several times the timeout of a silent peer.
        await Promise.all([blocked.overflows(4), healthy.reached("a", 60_000)]);
        await publisher.stop();
        for (const process of [publisher, healthy]) {
          // On a busy machine they may stall themselves.
          const blamed = process.events().filter(({ type }) => type === "peerLeft" || type === "gap");
          assertEquals(blamed, []);
        }
        await blocked.happened(({ type }) => type === "slowCallback", "a slow callback");
        assertEquals(blocked.events().filter(({ type }) => type === "peerLeft" || type === "gap"), []);
      }));
  }
});
