// Pacing: how fast a node sends to peers that lose datagrams, by chance or because it is too fast for them.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { sized, some } from "../support/size.ts";
import { gapEvents, keysOf, Scene, type SceneNode } from "./storm/scene.ts";
import { BATCH } from "./storm/wire.ts";

interface Pace {
  /** Milliseconds until all is sent. */
  readonly sentIn: number;
  /** The rate at that time. */
  readonly rate: number;
  readonly slowest: number;
  readonly fastest: number;
  /** The same after it was slow for the first time. */
  readonly fastestAfter: number;
}

/** Datagrams a second up to which a node counts as slow: twice `minSendRate`. */
const SLOW = 2 * 2000;

/** Publishes so many keys at once, and resolves when all nodes have all of them. */
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
  const after = rates.slice(rates.findIndex((rate) => rate <= SLOW));
  return {
    sentIn,
    rate: rates.at(-1) ?? 0,
    slowest: Math.min(...rates),
    fastest: Math.max(...rates),
    fastestAfter: Math.max(...after),
  };
}

/** Nodes whose paths are validated, so that loss counts. Loses a share of what is sent to each. */
async function lossyScene(count: number, share: number): Promise<Scene> {
  // The test counts datagrams.
  const made = await Scene.open(count, () => ({ heartbeat: 5000, batchSize: 1 }));
  const [a, ...others] = made.nodes as [SceneNode, ...SceneNode[]];
  await made.network.clock.run(a.mesh.publish("first"), 1000);
  await made.advance(500);
  // Both the copy to the group and the unicast one must be lost.
  for (const { host } of others) made.network.set({ loss: Math.sqrt(share) }, { to: host.address });
  return made;
}

describe("many keys at once", () => {
  test("are sent as fast with 2 % lost as with none", async () => {
    const times: number[] = [];
    for (const share of [0, 0.02]) {
      const made = await lossyScene(2, share);
      times.push((await publishAtOnce(made, sized(15_000, 5_000))).sentIn);
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

  test("of 10 % slow it down until it has learned that they occur at the lowest rates, too", async () => {
    const made = await lossyScene(2, 0.1);
    const { slowest, fastestAfter } = await publishAtOnce(made, sized(30_000, 15_000));
    assertLessOrEqual(slowest, SLOW);
    // Random losses come in runs, so it may be slow again later.
    assertGreater(fastestAfter, 30_000);
    await made.close();
  });

  test("of a quarter keep it slow, and all keys arrive", async () => {
    const made = await lossyScene(2, 0.25);
    const { rate, fastest } = await publishAtOnce(made, 5000);
    assertLessOrEqual(rate, SLOW);
    assertLessOrEqual(fastest, 30_000);
    await made.close();
  });
});

describe("a peer that hears nothing", () => {
  for (
    const [deafFor, delay, max] of some(
      [[50, 0.1, 20_000], [200, 0.1, 20_000], [100, 10, 20_000]] as const,
      (_, i) => i > 1,
    )
  ) {
    test(`for ${deafFor} ms, with a path delay of ${delay} ms, does not slow the sender down for long`, async () => {
      const made = await Scene.open(0);
      made.network.set({ delay: { min: delay, max: 1.02 * delay + 0.1 } });
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
  for (const perSecond of some([5000, 20_000], (_, i) => i > 0)) {
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
        // A batch that comes by the group and by unicast counts once. Retransmissions come by unicast alone.
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
