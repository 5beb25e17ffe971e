// Path MTU: paths that lose all large datagrams and no small ones.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { SeededRandom, VirtualClock } from "../../adapters/memory.ts";
import { PathMtu } from "../../src/membership/path_mtu.ts";
import type { PeerEntry } from "../../src/membership/peer.ts";
import { TYPE_PROBE as PROBE } from "../../src/wire/layout.ts";
import { gapEvents, keysOf, Scene, type SceneNode } from "../sim/storm/scene.ts";
import { BATCH } from "../sim/storm/wire.ts";

/** A publisher of full batches, and receivers that it has validated. */
async function scene(count: number) {
  const made = await Scene.open(count, () => ({ batchSize: 1000, heartbeat: 5000, peerTimeout: 15_000 }));
  const [a, b, c] = made.nodes as [SceneNode, SceneNode, SceneNode];
  const { clock } = made.network;
  let next = 0;
  /** Keys enough for so many full batches of 1,400 bytes. */
  const publish = async (batches: number, pause = 20) => {
    for (let i = 0; i < batches; i++) {
      for (let j = 0; j < 76; j++) void a.mesh.publish(`key:${String(next++).padStart(12, "0")}`);
      await made.advance(pause);
    }
  };
  await publish(1, 500);
  const limits = () => a.events.flatMap((event) => event.type === "pathLimited" ? [[event.peer.id, event.size]] : []);
  const longest = () =>
    Math.max(0, ...made.sent.filter(({ data }) => data[1] === BATCH).map(({ data }) => data.length));
  return { made, a, b, c, clock, publish, limits, longest, count: () => next };
}

function dropLong(made: Scene, { host }: SceneNode, size: number, loss = 0): void {
  made.network.set({ drop: ({ data }) => data.length > size, loss }, { to: host.address });
}

describe("a path that loses all datagrams longer than 1,000 bytes", () => {
  test("is detected and reported, and batches get smaller, so that they arrive", async () => {
    const { made, a, b, c, clock, publish, limits, longest, count } = await scene(3);
    assertEquals(a.mesh.metrics().batchLimit, 1400);
    dropLong(made, b, 1000);
    await publish(5);
    await clock.runUntil(() => limits().length > 0, 5000);
    assertEquals([limits(), a.mesh.metrics().batchLimit], [[[b.mesh.nodeId, 972]], 972]);
    await made.advance(500);
    made.sent.length = 0;
    const before = count();
    await publish(20);
    await made.advance(100);
    const batches = made.sent.filter(({ data }) => data[1] === BATCH && data.at(-9) === 1);
    assertLessOrEqual(Math.max(...batches.map(({ data }) => data.length)), 972);
    assertGreater(longest(), 900);
    const fresh = new Set(keysOf(b).filter((key) => Number(key.slice(4)) >= before));
    assertEquals([fresh.size, keysOf(c).length], [count() - before, count()]);
    // A longer key is sent as it is, alone.
    made.sent.length = 0;
    const long = "long".padEnd(1200, "-");
    for (const key of ["one", long, "two"]) void a.mesh.publish(key);
    await made.advance(100);
    assertEquals([keysOf(c).includes(long), keysOf(b).includes(long), keysOf(b).includes("two")], [true, false, true]);
    await made.close();
  });

  test("is detected with a quarter of all others lost", async () => {
    const { made, b, clock, publish, limits } = await scene(2);
    dropLong(made, b, 1200, 0.25);
    await publish(5);
    await clock.runUntil(() => limits().length > 0, 10_000);
    assertEquals(limits(), [[b.mesh.nodeId, 1172]]);
    await made.close();
  });

  test("is measured again after ten minutes, and used in full when it carries all", async () => {
    const { made, a, b, clock, publish, limits } = await scene(2);
    dropLong(made, b, 1000);
    await publish(5);
    await clock.runUntil(() => limits().length > 0, 5000);
    await made.advance(601_000);
    assertEquals([limits().length, a.mesh.metrics().batchLimit], [1, 972]);
    made.network.set({ drop: () => false }, { to: b.host.address });
    made.sent.length = 0;
    await made.advance(605_000);
    assertEquals([limits(), a.mesh.metrics().batchLimit], [[[b.mesh.nodeId, 972], [b.mesh.nodeId, 1400]], 1400]);
    assertLessOrEqual(made.sent.filter(({ data }) => data[1] === PROBE).length, 20);
    await made.close();
  });

  test("is forgotten with its peer", async () => {
    const { made, a, b, c, clock, publish, limits } = await scene(3);
    dropLong(made, b, 1000);
    dropLong(made, c, 600);
    await publish(5);
    await clock.runUntil(() => limits().length > 1, 5000);
    assertEquals(a.mesh.metrics().batchLimit, 548);
    c.host.crash();
    await made.advance(20_000);
    assertEquals(a.mesh.metrics().batchLimit, 972);
    b.host.crash();
    await made.advance(20_000);
    assertEquals(a.mesh.metrics().batchLimit, 1400);
    await made.close();
  });

  test("has no effect on a node that sends nothing long, or nothing", async () => {
    const { made, a, b, limits } = await scene(2);
    dropLong(made, b, 548);
    for (let i = 0; i < 50; i++) {
      await a.mesh.publish(`short:${i}`);
      await made.advance(50);
    }
    assertEquals([limits(), a.mesh.metrics().batchLimit], [[], 1400]);
    assertEquals(made.sent.filter(({ data }) => data[1] === PROBE), []);
    await made.close();
  });
});

/** Measures a path with random loss in both directions and a limit of size. Returns the limits that were reported. */
async function measured(seed: number, loss: number, longest: number): Promise<number[]> {
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const reported: number[] = [];
  const entry = { nodeId: new Uint8Array(16), address: "10.0.0.1:1", endpoint: { host: "10.0.0.1", port: 1 } };
  const mtu = new PathMtu({
    clock,
    probes: {
      send: ({ size = 80 }, _to, onAnswer) => {
        const arrives = size <= longest && !random.chance(loss) && !random.chance(loss);
        if (arrives) clock.setTimer(() => onAnswer(undefined, 0), random.between(1, 50));
        return 0;
      },
      forget: () => {},
    },
    peers: () => ({ get: () => entry as unknown as PeerEntry }),
    batcher: { limit: 1400 },
    onPath: (_peer, size) => reported.push(size),
  });
  for (let i = 0; i < 7; i++) mtu.retransmitted("b", 1, 1400);
  await clock.advance(10_000);
  mtu.close();
  return reported;
}

describe("a measurement", () => {
  test("is not misled by chance: of 900, none finds a limit where there is none", async () => {
    for (const loss of [0.02, 0.25, 0.4]) {
      for (let seed = 1; seed <= 300; seed++) assertEquals(await measured(seed, loss, 1400), [], `${loss}, ${seed}`);
    }
  });

  test("finds the actual limit, or a lower one in few cases, or none", async () => {
    for (const [loss, least] of [[0, 300], [0.1, 300], [0.25, 270]] as const) {
      const limits = await Promise.all(Array.from({ length: 300 }, (_, i) => measured(i + 1, loss, 1300)));
      assertGreaterOrEqual(limits.filter(([size]) => size === 1272).length, least);
      assert(limits.every(([size = 0]) => size <= 1272));
    }
  });
});

describe("a path that loses", () => {
  test("a quarter of all datagrams, and is wide enough, is never taken for limited", async () => {
    for (const share of [0.25, 0.4]) {
      const { made, a, b, publish, limits, count } = await scene(2);
      made.network.set({ loss: share }, {});
      await publish(400, 10);
      await made.advance(30_000);
      assertEquals([limits(), a.mesh.metrics().batchLimit], [[], 1400]);
      assert(gapEvents(b) > 0 || new Set(keysOf(b)).size === count());
      await made.close();
    }
  });

  test("everything for a while is not either", async () => {
    const { made, a, b, publish, limits } = await scene(2);
    for (let i = 0; i < 5; i++) {
      made.network.set({ drop: ({ data }) => data.length > 80 && data[1] === BATCH }, { to: b.host.address });
      await publish(10);
      await made.advance(1000);
      made.network.set({ drop: () => false }, { to: b.host.address });
      await made.advance(70_000);
    }
    assertEquals([limits(), a.mesh.metrics().batchLimit], [[], 1400]);
    await made.close();
  });
});
