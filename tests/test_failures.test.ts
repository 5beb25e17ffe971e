// What `npm test` repeats at its end of a run that failed, held against the runners themselves.
import { assert, assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { BUN, DENO } from "../scripts/runtimes.ts";
import { failuresFromOutput } from "../scripts/test_failures.ts";

const FAILING = `
import { describe, it } from "node:test";
describe("a group", () => {
  it("passes before", () => {});
  it("counts to three", () => { throw new Error("counted to two"); });
  it("passes after", () => {});
});
`;

const RUNNERS: readonly (readonly [string, string, readonly string[]])[] = [
  ["Node", "node", ["--test", "--test-reporter=spec"]],
  ["Deno", DENO, ["test", "-A", "--no-check"]],
  ["Bun", BUN, ["test"]],
];

describe("failures, read from the output of a runner", () => {
  for (const [title, command, args] of RUNNERS) {
    it(`name the test that failed, and its error: ${title}`, () => {
      const failures = failuresFromOutput(outputOf(command, args, FAILING));
      assert(failures.includes("counts to three"), failures);
      assert(failures.includes("counted to two"), failures);
      assert(!/✔|\(pass\)|\.\.\. ok/.test(failures), failures);
    });

    it(`are none where all passed: ${title}`, () => {
      assertEquals(failuresFromOutput(outputOf(command, args, FAILING.replace(/throw .*?;/, ""))), "");
    });
  }

  it("are repeated up to 120 lines", () => {
    const long = `✖ failing tests:\n${"one line\n".repeat(200)}`;
    const lines = failuresFromOutput(long).split("\n");
    assertEquals([lines.length, lines.at(-1)], [121, "… and 81 lines more"]);
  });
});

function outputOf(command: string, args: readonly string[], text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "warp-mesh-"));
  try {
    writeFileSync(join(folder, "counting.test.mjs"), text);
    // A runner in a test of Node's runner would report to that one.
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
    const child = spawnSync(command, [...args, "./counting.test.mjs"], { cwd: folder, env, encoding: "utf8" });
    const output = `${child.stdout}${child.stderr}`;
    assert(output.includes("passes after"), output);
    return output;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
