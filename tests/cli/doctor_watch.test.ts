// The wait of the program `doctor` for other nodes beside its own.

import { assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { VirtualClock } from "../../adapters/memory.ts";
import { Watch } from "../../cli/watch.ts";
import { type MeshBus, type MeshEvent, type MeshEventListener } from "../../mod.ts";

const JOINED = { type: "peerJoined", peer: { id: "other" } } as MeshEvent;

/** When the wait from 1000 to 5000 ms was over, and when it was reported to take longer. */
async function waited(joins: readonly number[]): Promise<readonly [end: number, late: readonly number[]]> {
  const clock = new VirtualClock();
  const listeners: MeshEventListener[] = [];
  const events = { listen: (listener: MeshEventListener) => void listeners.push(listener) };
  const watch = new Watch({ nodeId: "own", events } as unknown as MeshBus, clock, undefined);
  for (const time of joins) clock.setTimer(() => listeners.forEach((listen) => listen(JOINED)), time);
  const late: number[] = [];
  const start = clock.now();
  await clock.run(watch.quiet(start + 1_000, start + 5_000, () => late.push(clock.now() - start)), 10_000);
  return [clock.now() - start, late];
}

describe("the wait for other nodes", () => {
  test("ends at once when a node is there", async () => assertEquals(await waited([100]), [1_000, []]));

  test("continues for a while after the last node has joined", async () => {
    assertEquals(await waited([900]), [1_400, [1_000]]);
    assertEquals(await waited([900, 1_300, 1_700]), [2_200, [1_000]]);
  });

  test("ends at its limit when no node joins, or one after the other does", async () => {
    assertEquals(await waited([]), [5_000, [1_000]]);
    assertEquals(await waited(Array.from({ length: 20 }, (_, i) => 400 * (i + 1))), [5_000, [1_000]]);
  });
});
