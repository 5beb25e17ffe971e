// The system clock: a mesh works while a test runner has replaced the real clocks and timers by fakes.
import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { RUNTIMES, withPrograms } from "../support/programs.ts";

/**
 * `globals` are what vitest 4, Jest 30 and sinon 22 replace by default, `Date` too, and a stub of the random source.
 * `node:timers`: what `node:test` replaces, and a bundle in CommonJS would see. `process`: what sinon replaces in
 * addition.
 */
const KINDS = ["globals", "node:timers", "process"];

for (const runtime of RUNTIMES) {
  for (const kind of KINDS) {
    // Neither Deno's nor Bun's `node:process` passes what is put into it on to `node:dgram`.
    if (kind === "process" && runtime !== "node") continue;
    test(`a mesh on ${runtime} delivers and closes with fakes of ${kind}`, () =>
      withPrograms(async (start) => {
        const program = start(runtime, "tests/support/fake_timers.ts", { args: [kind] });
        const exit = await program.ended();
        const events = [{ key: "k", cause: "publish" }, { key: "k", cause: "publish" }];
        assertEquals(
          [exit, program.lines],
          [0, [JSON.stringify({ events, ids: 3, isFresh: true })]],
          program.describe(),
        );
      }));
  }
}
