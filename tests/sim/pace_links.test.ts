// Pacing over links with a limited rate and a delay: the sender uses the link and does not flood it.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { some } from "../support/size.ts";
import { gapEvents, Scene } from "./storm/scene.ts";
import { BATCH } from "./storm/wire.ts";

interface Link {
  /** Whether it is part of the small size too: a near, a far and a slow link. */
  readonly isKept?: boolean;
  /** Path delay in milliseconds. */
  readonly delay: number;
  /** Datagrams a second that it carries. More are lost, except 64 that it queues. */
  readonly carries: number;
  readonly min: number;
  readonly max: number;
}

/** Datagrams that were sent and that arrived in a second, the rate at the end, and the lowest rate. */
interface Stretch {
  readonly sent: number;
  readonly arrived: number;
  readonly rate: number;
  readonly lowest: number;
}

/** One node publishes as fast as it may to another behind a link. Returns what was sent and arrived in each period. */
async function publishOver({ delay, carries, min, max }: Link, stretches: readonly { ms: number; isWide?: boolean }[]) {
  const made = await Scene.open(0);
  made.network.set({ delay: { min: delay, max: 1.02 * delay + 0.1 } });
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
    { delay: 0.1, carries: 6000, min: 2000, max: 30_000 },
    { delay: 10, carries: 6000, min: 2000, max: 30_000 },
    { delay: 20, carries: 6000, min: 2000, max: 30_000 },
    { delay: 30, carries: 12_000, min: 2000, max: 30_000 },
    // At first thousands are lost in each round trip. A NAK is for 128 in each, so it takes 8 to 20 s until all are
    // settled.
    { delay: 50, carries: 6000, min: 2000, max: 30_000, lasts: 3000, findsIn: 8500 },
    { delay: 60, carries: 3000, min: 2000, max: 30_000, lasts: 4000, findsIn: 0, isKept: true },
    { delay: 100, carries: 6000, min: 2000, max: 30_000, lasts: 4000, findsIn: 0 },
    { delay: 0.1, carries: 500, min: 200, max: 8000, isKept: true },
    { delay: 10, carries: 2000, min: 200, max: 8000, isKept: true },
    { delay: 20, carries: 2000, min: 200, max: 8000 },
  ];
  for (const link of some(links, ({ isKept = false }) => isKept)) {
    const { delay, carries, max, lasts = 1500, findsIn = 1500 } = link;
    test(`of ${carries} datagrams a second, with a delay of ${delay} ms, is used and not flooded, and a faster one is found`, async () => {
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
    const { delay, carries, min, max } of some([
      { delay: 0.1, carries: 1500, min: 2000, max: 30_000 },
      { delay: 0.1, carries: 70, min: 200, max: 8000 },
      { delay: 20, carries: 70, min: 200, max: 8000 },
    ], (_, i) => i === 1)
  ) {
    test(`of ${carries} datagrams a second, with a delay of ${delay} ms, gets no more than the lowest rate, ${min}`, async () => {
      const [, settled] = await publishOver({ delay, carries, min, max }, [{ ms: 3000 }, { ms: 1000 }]);
      assertLessOrEqual(settled?.sent ?? Infinity, 1.1 * min);
    });
  }
});
