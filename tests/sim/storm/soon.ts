/**
 * Soon: seeded worlds of one incident each, for which `docs/guarantees.md` says how soon its event comes. P13: it comes
 * by then.
 *
 * @module
 */

import { pick } from "./plan.ts";
import { ROWS } from "./rows.ts";
import { Stage } from "./stage.ts";
import type { StormWorld } from "./world.ts";

/** Plays one row, which is drawn. */
export async function runSoon(world: StormWorld, check: (problem?: string) => void): Promise<void> {
  const { random } = world;
  const drawn = pick(random, ROWS);
  const row = drawn.isDear && random.chance(0.75) ? pick(random, ROWS.filter(({ isDear }) => !isDear)) : drawn;
  const delay = pick(random, [0.1, 1, 5, 20]);
  world.set({ delay: { min: delay, max: 1.5 * delay } });
  world.note(() => `${row.what}, delays of ${delay} ms`);
  await row.play(new Stage(world, 1.5 * delay, check), row.what);
}
