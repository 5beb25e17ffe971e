// Hot paths: what they allocate and execute, counted and not timed. A tenth more than before fails, and the message
// names the path.
import process from "node:process";
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { baselineOf, countHotPaths, type Counts, grown } from "../../scripts/hot_paths.ts";

const MAJOR = Number.parseInt(process.versions.node, 10);

// The counts are V8's, and Deno has none of its flags for that.
const skip = process.versions["deno"] ?? process.versions["bun"];

describe("the hot paths", { skip: skip === undefined ? false : "Node counts" }, () => {
  test("allocate and execute no more than they did", () => {
    assertEquals(grown(countHotPaths(), baselineOf(MAJOR)), []);
  });

  test("are each compared with the count before, to a tenth", () => {
    const before: Counts = { a: { bytes: 100, blocks: 50 }, b: { bytes: 0.5, blocks: 3 } };
    assertEquals(grown(before, before), []);
    assertEquals(grown({ ...before, b: { bytes: 8, blocks: 3.4 } }, before), []);
    assertEquals(grown({ a: { bytes: 119, blocks: 58 }, b: { bytes: 40, blocks: 3 } }, before), [
      '"a" takes 119.0 bytes, 100.0 before',
      '"a" takes 58.0 blocks, 50.0 before',
      '"b" takes 40.0 bytes, 0.5 before',
    ]);
    assertEquals(grown({ a: before["a"] as Counts[string], c: { bytes: 1, blocks: 1 } }, before), [
      '"b" is not counted',
      '"c" is new',
    ]);
  });
});
