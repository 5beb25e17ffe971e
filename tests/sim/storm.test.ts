// Seeded worlds with loss, partitions, pauses and crashes: every key that a node has accepted reaches the others, or
// they get a gap. `npm run worlds` runs any number of them. WARP_MESH_SEED runs one here, WARP_MESH_WORLDS so many. By
// default it is 2,000 at full size, and otherwise the first 60, which have every fault (20 on Deno and Bun, which show
// that the engine runs them alike), and the first world of each kind that comes later.

import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { IS_NODE } from "../support/own_runtime.ts";
import { sized } from "../support/size.ts";
import { planStorm, type WorldKind } from "./storm/plan.ts";
import { runStorm } from "./storm/storm.ts";

const env = globalThis.process?.env ?? {};
const chosen = env.WARP_MESH_SEED;
const count = Number(env.WARP_MESH_WORLDS ?? sized(2000, IS_NODE ? 60 : 20));
// Runners end a test after about a minute, whatever the number of worlds.
const PARTS = 20;
const KINDS: readonly WorldKind[] = ["storm", "quiet", "soon", "crowd", "clones"];

if (chosen !== undefined) {
  test(`world ${chosen}`, async () => {
    await runStorm(Number(chosen));
  });
} else {
  const size = Math.ceil(count / PARTS);
  for (let from = 1; from <= count; from += size) {
    const to = Math.min(from + size - 1, count);
    test(`nothing is lost silently in the worlds ${from} to ${to}`, async () => {
      for (let seed = from; seed <= to; seed++) await runStorm(seed);
    });
  }

  for (const kind of KINDS) {
    const first = firstOf(kind);
    if (first <= count) continue;
    test(`nothing is lost silently in world ${first}, the first of a ${kind}`, async () => {
      await runStorm(first);
    });
  }

  test("a seed gives an equal world again, datagram by datagram", async () => {
    const seeds = [7, 8, 9, 10];
    const first = await reports(seeds);
    assertEquals(await reports(seeds), first);
    assert(new Set(first.map(({ digest }) => digest)).size === seeds.length);
  });
}

function firstOf(kind: WorldKind): number {
  for (let seed = 1;; seed++) if (planStorm(seed).kind === kind) return seed;
}

async function reports(seeds: readonly number[]) {
  const all = [];
  for (const seed of seeds) all.push(await runStorm(seed));
  return all;
}
