// How fast a node sends to peers that lose some of it: by chance, or as it is too fast for them.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { gapEvents, keysOf, Scene, type SceneNode } from "./support/storm_scene.ts";
import { BATCH } from "./support/storm_wire.ts";

interface Pace {
  /** Milliseconds until all is sent. */
  readonly sentIn: number;
  /** The rate when it is. */
  readonly rate: number;
  readonly slowest: number;
  readonly fastest: number;
}

/** Publishes so many keys at once, and resolves when all nodes have all. */
async function publishAtOnce(made: Scene, count: number): Promise<Pace> {
  const [a] = made.nodes as [SceneNode];
  const { clock } = made.network;
  const start = clock.now();
  let isAccepted = false;
  const publishing = (async () => {
    for (let i = 0; i < count; i++) await a.mesh.publish(`key:${i}`);
    isAccepted = true;
  })();
  const rates: number[] = [];
  while (!isAccepted || a.mesh.metrics().pending > 0) {
    await made.advance(10);
    rates.push(a.mesh.metrics().sendRate);
    made.sent.length = 0;
    assert(clock.now() - start < 60_000);
  }
  await publishing;
  const sentIn = clock.now() - start;
  const others = made.nodes.slice(1);
  await clock.runUntil(() => others.every((node) => keysOf(node).length > count), 5000);
  assertEquals(made.nodes.map(gapEvents), made.nodes.map(() => 0));
  return { sentIn, rate: rates.at(-1) ?? 0, slowest: Math.min(...rates), fastest: Math.max(...rates) };
}

/** Nodes that have proved where they are: what is lost counts from then on. Loses a share of what goes to each. */
async function lossyScene(count: number, share: number): Promise<Scene> {
  // What counts is datagrams.
  const made = await Scene.open(count, () => ({ heartbeat: 5000, batchSize: 1 }));
  const [a, ...others] = made.nodes as [SceneNode, ...SceneNode[]];
  await made.network.clock.run(a.mesh.publish("first"), 1000);
  await made.advance(500);
  // By the group and by unicast.
  for (const { host } of others) made.network.set({ loss: Math.sqrt(share) }, { to: host.address });
  return made;
}

describe("many keys at once", () => {
  test("are sent as fast with 2 % lost as with none", async () => {
    const times: number[] = [];
    for (const share of [0, 0.02]) {
      const made = await lossyScene(2, share);
      times.push((await publishAtOnce(made, 15_000)).sentIn);
      await made.close();
    }
    const [lossless = 0, lossy = Infinity] = times;
    assertLessOrEqual(lossy, lossless / 0.8);
  });
});

describe("losses by chance", () => {
  test("of 2 % at each of many peers do not slow the sender down", async () => {
    const made = await lossyScene(12, 0.02);
    assertGreater((await publishAtOnce(made, 2000)).slowest, 0.6 * 30_000);
    await made.close();
  });

  test("of 10 % slow it down until it is known that they are there at the lowest rates, too", async () => {
    const made = await lossyScene(2, 0.1);
    const { slowest, rate } = await publishAtOnce(made, 20_000);
    assertLessOrEqual(slowest, 2 * 2000);
    assertGreater(rate, 30_000);
    await made.close();
  });

  test("of a quarter keep it slow, and all arrives", async () => {
    const made = await lossyScene(2, 0.25);
    const { rate, fastest } = await publishAtOnce(made, 5000);
    assertLessOrEqual(rate, 2 * 2000);
    assertLessOrEqual(fastest, 30_000);
    await made.close();
  });
});

interface Link {
  /** Milliseconds one way. */
  readonly way: number;
  /** Datagrams a second that it carries; more are lost, but for 64. */
  readonly carries: number;
  readonly min: number;
  readonly max: number;
}

/** What was sent and arrived a second, the rate at the end, and the lowest. */
interface Stretch {
  readonly sent: number;
  readonly arrived: number;
  readonly rate: number;
  readonly lowest: number;
}

/** One node publishes as fast as it may to another behind a link. What was sent and arrived in each stretch of time. */
async function publishOver({ way, carries, min, max }: Link, stretches: readonly { ms: number; isWide?: boolean }[]) {
  const made = await Scene.open(0);
  made.network.set({ delay: { min: way, max: 1.02 * way + 0.1 } });
  const options = { batchSize: 1, minSendRate: min, maxSendRate: max };
  const a = await made.add(options);
  const b = await made.add(options);
  await made.advance(8000);
  const count = { sent: 0, arrived: 0, isWide: false };
  let room = 64;
  let filledAt = made.now;
  const drop = ({ data }: { readonly data: Uint8Array }) => {
    if (data[1] !== BATCH) return false;
    room = Math.min(64, room + (made.now - filledAt) * carries / 1000);
    filledAt = made.now;
    count.sent++;
    if (room < 1 && !count.isWide) return true;
    room--;
    count.arrived++;
    return false;
  };
  made.network.set({ drop }, { to: b.host.address });
  let isOver = false;
  let next = 0;
  const publishing = Array.from({ length: 64 }, async () => {
    while (!isOver) await a.mesh.publish(`key:${next++}`);
  });
  const seen: Stretch[] = [];
  for (const { ms, isWide = false } of stretches) {
    Object.assign(count, { sent: 0, arrived: 0, isWide });
    let [rate, lowest] = [0, Infinity];
    for (let passed = 0; passed < ms; passed += 100) {
      await made.advance(100);
      rate = a.mesh.metrics().sendRate;
      lowest = Math.min(lowest, rate);
      made.sent.length = b.got.length = 0;
    }
    seen.push({ sent: count.sent * 1000 / ms, arrived: count.arrived * 1000 / ms, rate, lowest });
  }
  isOver = true;
  await made.network.clock.run(Promise.all(publishing), 5000);
  await made.close();
  assertEquals(gapEvents(b), 0);
  return seen;
}

describe("a link", () => {
  const links: readonly (Link & { readonly lasts?: number; readonly findsIn?: number })[] = [
    { way: 0.1, carries: 6000, min: 2000, max: 30_000 },
    { way: 10, carries: 6000, min: 2000, max: 30_000 },
    { way: 20, carries: 6000, min: 2000, max: 30_000 },
    { way: 30, carries: 12_000, min: 2000, max: 30_000 },
    // At first thousands are lost in each round trip, and a node asks for 128 in one: it takes 8 to 20 s to be done with them.
    { way: 50, carries: 6000, min: 2000, max: 30_000, lasts: 3000, findsIn: 8500 },
    { way: 60, carries: 3000, min: 2000, max: 30_000, lasts: 4000, findsIn: 0 },
    { way: 100, carries: 6000, min: 2000, max: 30_000, lasts: 4000, findsIn: 0 },
    { way: 0.1, carries: 500, min: 200, max: 8000 },
    { way: 10, carries: 2000, min: 200, max: 8000 },
    { way: 20, carries: 2000, min: 200, max: 8000 },
  ];
  for (const link of links) {
    const { way, carries, max, lasts = 1500, findsIn = 1500 } = link;
    test(`of ${carries} datagrams a second, ${way} ms away, is used and not flooded, and a wide one is found`, async () => {
      const wide = findsIn > 0 ? [{ ms: findsIn, isWide: true }, { ms: 100, isWide: true }] : [];
      const [, settled, ...found] = await publishOver(link, [{ ms: 2000 }, { ms: lasts }, ...wide]);
      assert(settled !== undefined);
      const { sent, arrived } = settled;
      const { rate = max } = found.at(-1) ?? {};
      console.log(`  ${Math.round(sent)} sent, ${Math.round(arrived)} arrived, then ${Math.round(rate)} a second`);
      assertGreater(arrived, 0.75 * carries);
      assertLessOrEqual(sent, 1.25 * carries);
      for (const { lowest } of [settled, ...found]) assertGreater(lowest, 0.4 * carries);
      assertGreater(rate, 0.7 * max);
    });
  }

  for (
    const { way, carries, min, max } of [
      { way: 0.1, carries: 1500, min: 2000, max: 30_000 },
      { way: 0.1, carries: 70, min: 200, max: 8000 },
      { way: 20, carries: 70, min: 200, max: 8000 },
    ]
  ) {
    test(`of ${carries} datagrams a second, ${way} ms away, is sent no more than the lowest rate, ${min}`, async () => {
      const [, settled] = await publishOver({ way, carries, min, max }, [{ ms: 3000 }, { ms: 1000 }]);
      assertLessOrEqual(settled?.sent ?? Infinity, 1.1 * min);
    });
  }
});

describe("a peer that hears nothing", () => {
  for (
    const [deafFor, way, max] of [[50, 0.1, 20_000], [200, 0.1, 20_000], [100, 10, 20_000]] as const
  ) {
    test(`for ${deafFor} ms, ${way} ms away, does not slow the sender down for long`, async () => {
      const made = await Scene.open(0);
      made.network.set({ delay: { min: way, max: 1.02 * way + 0.1 } });
      const options = { batchSize: 1, minSendRate: 2000, maxSendRate: max };
      const a = await made.add(options);
      const b = await made.add(options);
      await made.advance(8000);
      let isOver = false;
      let next = 0;
      const publishing = Array.from({ length: 64 }, async () => {
        while (!isOver) await a.mesh.publish(`key:${next++}`);
      });
      const goOn = async (ms: number) => {
        await made.advance(ms);
        made.sent.length = b.got.length = 0;
      };
      await goOn(500);
      assertEquals(a.mesh.metrics().sendRate, max);
      made.network.set({ loss: 1 }, { to: b.host.address });
      await goOn(deafFor);
      made.network.set({ loss: 0 }, { to: b.host.address });
      await goOn(deafFor);
      assertLessOrEqual(a.mesh.metrics().sendRate, 0.8 * max);
      await goOn(1500 - deafFor);
      assertGreater(a.mesh.metrics().sendRate, 0.8 * max);
      isOver = true;
      await made.network.clock.run(Promise.all(publishing), 5000);
      await made.close();
    });
  }
});

describe("a peer that takes", () => {
  for (const perSecond of [5000, 20_000]) {
    test(`${perSecond} datagrams a second, and holds 100, is not sent many more for long`, async () => {
      const made = await lossyScene(2, 0);
      const [, b] = made.nodes as [SceneNode, SceneNode];
      const { clock } = made.network;
      let level = 0;
      let filledAt = clock.now();
      let dropped = 0;
      const seen = new Set<string>();
      const drop = ({ data }: { readonly data: Uint8Array }) => {
        if (data[1] !== BATCH) return false;
        // What comes by the group and by unicast comes once. Repairs come by unicast alone.
        const tail = String(data.subarray(-9));
        if (data.at(-9) !== 10 && seen.has(tail)) return true;
        seen.add(tail);
        const now = clock.now();
        level = Math.max(0, level - (now - filledAt) * perSecond / 1000);
        filledAt = now;
        if (++level <= 100) return false;
        level--;
        dropped++;
        return true;
      };
      made.network.set({ drop }, { to: b.host.address });
      const { rate, slowest } = await publishAtOnce(made, 10_000);
      assertGreater(dropped, 0);
      console.log(`  ${perSecond}: ${Math.round(slowest)} to ${Math.round(rate)} a second, ${dropped} lost`);
      assertLessOrEqual(slowest, 1.2 * perSecond);
      assertLessOrEqual(rate, 1.5 * perSecond);
      assertLessOrEqual(dropped, 0.35 * 10_000);
      await made.close();
    });
  }
});
