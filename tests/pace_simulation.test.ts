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
  const seen: { readonly sent: number; readonly arrived: number; readonly rate: number }[] = [];
  for (const { ms, isWide = false } of stretches) {
    Object.assign(count, { sent: 0, arrived: 0, isWide });
    for (let passed = 0; passed < ms; passed += 100) {
      await made.advance(100);
      made.sent.length = b.got.length = 0;
    }
    const { sendRate } = a.mesh.metrics();
    seen.push({ sent: count.sent * 1000 / ms, arrived: count.arrived * 1000 / ms, rate: sendRate });
  }
  isOver = true;
  await made.network.clock.run(Promise.all(publishing), 5000);
  await made.close();
  assertEquals(gapEvents(b), 0);
  return seen;
}

describe("a link", () => {
  const links: readonly (Link & { readonly findsIn?: number })[] = [
    { way: 0.1, carries: 6000, min: 2000, max: 30_000 },
    { way: 10, carries: 6000, min: 2000, max: 30_000 },
    { way: 20, carries: 6000, min: 2000, max: 30_000 },
    { way: 30, carries: 12_000, min: 2000, max: 30_000 },
    // At first 2,400 are lost in each round trip, and a node asks for 128 in one: it takes long to be done with them.
    { way: 50, carries: 6000, min: 2000, max: 30_000, findsIn: 9500 },
    { way: 0.1, carries: 500, min: 200, max: 8000 },
    { way: 10, carries: 2000, min: 200, max: 8000 },
    { way: 20, carries: 2000, min: 200, max: 8000 },
  ];
  for (const link of links) {
    const { way, carries, max, findsIn = 1500 } = link;
    test(`of ${carries} datagrams a second, ${way} ms away, is used and not flooded; a wide one is found in ${findsIn} ms`, async () => {
      const [, settled, , wide] = await publishOver(link, [
        { ms: 1000 },
        { ms: 1500 },
        { ms: findsIn, isWide: true },
        { ms: 100, isWide: true },
      ]);
      assert(settled !== undefined && wide !== undefined);
      const { sent, arrived } = settled;
      console.log(`  ${Math.round(sent)} sent, ${Math.round(arrived)} arrived, then ${Math.round(wide.rate)} a second`);
      assertGreater(arrived, 0.75 * carries);
      assertLessOrEqual(sent, 1.25 * carries);
      assertGreater(wide.rate, 0.7 * max);
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
