// Churn: nodes join, leave, crash, stall and move, and get forged packets. All running nodes are known, and no departed
// ones.
// `npm run churn` runs any number of worlds, and hours of them.

import { describe, test } from "node:test";
import { CHURN_KINDS, type ChurnKind, runChurn } from "./churn/churn.ts";
import { isLarge } from "./churn/plan.ts";
import { some } from "../support/size.ts";

/**
 * The worlds of each kind that run here, and at small size only the first few. The script runs the large ones. Some of
 * these worlds have found a fault once.
 */
const SEEDS: Readonly<Record<ChurnKind, readonly number[]>> = {
  unrest: seeds(1, 30).filter((seed) => !isLarge(seed)),
  split: [...seeds(14, 22), 128],
  // With the default heartbeat, and with a short one.
  quiet: [4, 3],
  start: seeds(1, 18),
  hostile: [9, 10, 25, 28, 47],
  moves: [...seeds(1, 21), 51, 245, 271],
};
/** At small size: one of each topology of `unrest`, both heartbeats of `quiet`, and two of all others. */
const FEW: Readonly<Record<ChurnKind, readonly number[]>> = {
  unrest: [1, 2, 6, 9, 10],
  split: [14, 15],
  quiet: [4, 3],
  start: [1, 2],
  hostile: [9, 10],
  moves: [1, 2],
};
/** Runners end a test after about a minute, whatever the number of worlds. */
const PARTS = 4;

for (const kind of CHURN_KINDS) {
  describe(`worlds of ${kind}`, () => {
    const all = some(SEEDS[kind], (seed) => FEW[kind].includes(seed));
    const size = Math.ceil(all.length / PARTS);
    for (let start = 0; start < all.length; start += size) {
      const some = all.slice(start, start + size);
      test(`${some[0]} to ${some.at(-1)}`, async () => {
        for (const seed of some) await runChurn(kind, seed);
      });
    }
  });
}

function seeds(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
