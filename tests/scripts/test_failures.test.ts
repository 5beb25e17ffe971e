// What `npm test` repeats at its end of a run that failed, compared with the output of the runners themselves.
import { assert, assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { BUN, DENO } from "../../scripts/runtimes.ts";
import { failuresFromOutput } from "../../scripts/test_failures.ts";

const FAILING = `
import { describe, it } from "node:test";
describe("a group", () => {
  it("passes before", () => {});
  it("counts to three", () => { throw new Error("counted to two"); });
  it("passes after", () => {});
});
`;

const NODE = "Deno" in globalThis || process.versions["bun"] !== undefined ? "node" : process.execPath;
const RUNNERS: readonly (readonly [string, string, readonly string[]])[] = [
  ["node", NODE, ["--test", "--test-reporter=spec"]],
  ["deno", DENO, ["test", "-A", "--no-check"]],
  ["bun", BUN, ["test"]],
];

describe("failures, read from the output of a runner", () => {
  for (const [runtime, command, args] of RUNNERS) {
    it(`name the test that failed, and its error: ${runtime}`, () => {
      const failures = failuresFromOutput(runtime, outputOf(command, args, FAILING));
      assert(failures.includes("counts to three"), failures);
      assert(failures.includes("counted to two"), failures);
      assert(!/✔|\(pass\)|\.\.\. ok/.test(failures), failures);
    });

    it(`name the file that broke off: ${runtime}`, () => {
      const failures = failuresFromOutput(
        runtime,
        outputOf(command, args, `${FAILING}; throw new Error("broke off");`),
      );
      assert(failures.includes("counting.test.mjs"), failures);
    });

    it(`are none where all passed: ${runtime}`, () => {
      assertEquals(failuresFromOutput(runtime, outputOf(command, args, FAILING.replace(/throw .*?;/, ""))), "");
    });
  }

  it("of Bun are those of tests, and what was thrown outside of them", () => {
    const output = outputOf(
      BUN,
      ["test"],
      `${FAILING}\nimport { before } from "node:test";
      describe("another", () => {
        before(() => { throw new Error("thrown before"); });
        it("never runs", () => {});
      });`,
    );
    const failures = failuresFromOutput("bun", output);
    assert(failures.includes("counted to two") && failures.includes("thrown before"), output);
  });

  it("are repeated up to 400 lines", () => {
    const long = `✖ failing tests:\n${"one line\n".repeat(500)}`;
    const lines = failuresFromOutput("node", long).split("\n");
    assertEquals([lines.length, lines.at(-1)], [401, "… and 101 lines more"]);
  });
});

function outputOf(command: string, args: readonly string[], text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "warp-mesh-"));
  try {
    writeFileSync(join(folder, "counting.test.mjs"), text);
    // A runner in a test of Node's runner would report to that runner.
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
    const child = spawnSync(command, [...args, "./counting.test.mjs"], { cwd: folder, env, encoding: "utf8" });
    const output = `${child.stdout}${child.stderr}`;
    assert(output.includes("pass"), output);
    return output;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
