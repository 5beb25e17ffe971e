// The test plan: which tests run where. A name without a file would be one of a file that was renamed.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { filesUnder } from "../../scripts/runtimes.ts";
import { isShownBy, kindOf, LISTS } from "../../scripts/test_plan.ts";

const files = filesUnder("tests", ".test.ts");

describe("the plan of the tests", () => {
  test("names files that exist", () => {
    for (const [list, paths] of Object.entries(LISTS)) {
      const gone = paths.filter((path) => !files.some((file) => file.startsWith(`tests/${path}`)));
      assertEquals(gone, [], list);
    }
  });

  test("has every file in the first run, except those that only Node can run", () => {
    assertEquals(files.filter((file) => !isShownBy(file, "node", false, [])), []);
    for (const runtime of ["deno", "bun"]) {
      const left = files.filter((file) => !isShownBy(file, runtime, false, []));
      assertEquals(left, ["tests/pubsub/subscription_memory.test.ts", "tests/scripts/hot_paths.test.ts"], runtime);
    }
  });

  test("has the short files in the runs of every runtime and every version", () => {
    const short = files.filter((file) => kindOf(file) === "unit");
    for (const [runtime, before] of [["deno", ["node"]], ["bun", ["node", "deno"]], ["node", ["node"]]] as const) {
      assertEquals(short.filter((file) => !isShownBy(file, runtime, true, before)), [], runtime);
    }
    assertEquals(short.filter((file) => !isShownBy(file, "deno", false, ["node", "deno"])), []);
  });

  test("has the simulations in the runs of all runtimes at full size, except the longest", () => {
    const left = files.filter((file) =>
      file.startsWith("tests/sim/") && !isShownBy(file, "bun", true, ["node", "deno"])
    );
    assertEquals(left.map((file) => file.split("/").at(-1)), [
      "churn.test.ts",
      "mesh_size.test.ts",
      "pace_links.test.ts",
    ]);
  });
});
