// The demo: what `npm start` prints, and how it ends.
import { assert, assertEquals, assertFalse, assertMatch, assertThrows } from "@std/assert";
import { delay } from "@std/async";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { readSettings, USAGE } from "../../examples/demo/settings.ts";
import { ROOT, typeFlags } from "../../scripts/runtimes.ts";
import { patient } from "../support/meshes.ts";
import { Program } from "../support/programs.ts";

const ON_NODE = process.versions["deno"] === undefined && process.versions["bun"] === undefined;
const skip = ON_NODE ? false : "the demo is started on Node, and starts Deno and Bun itself";
const skipSignals = process.platform === "win32" ? "Windows has no signals that a process can act on" : skip;

// Four times the demo's own limit: other tests may use the processor, and the test is whether the demo distinguishes an
// old value from a new one.
const BOUND = ["--bound", "1000"];

// They mostly wait for the limit, and each has a port of its own.
describe("demo", { concurrency: 2 }, () => {
  test("evicts on all runtimes, sums up in plain text and ends with 0", { skip }, async () => {
    await withDemo(["--rounds", "3", ...BOUND], async (demo) => {
      assertEquals(await demo.ended(), 0, demo.describe());
      for (const runtime of ["node", "deno", "bun"]) {
        const [writes, evictions, median, max, reads, stale] = summaryOf(demo, runtime);
        assertEquals([writes, evictions, reads, stale], ["1", "2", "3", "0"], runtime);
        assert(Number(median) <= Number(max), `${runtime}: ${median} ms and ${max} ms`);
      }
      assertMatch(demo.lines.at(-1) ?? "", /^No replica served an old value/);
      assertEquals(demo.lines.filter((line) => line.includes("\x1b")), []);
      assertEquals(demo.errors, "");
    });
  });

  test("fails when a replica does not subscribe", { skip }, async () => {
    await withDemo(["--rounds", "3", "--deaf", "bun", ...BOUND], async (demo) => {
      assertEquals(await demo.ended(), 1, demo.describe());
      // It changes one of the three users itself.
      assertEquals(summaryOf(demo, "bun").at(-1), "2");
      assertEquals(summaryOf(demo, "all").at(-1), "2");
    });
  });

  test("fails when a replica ends too early, and ends the others", { skip }, async () => {
    await withDemo(["--rounds", "3", "--crash", "deno", ...BOUND], async (demo) => {
      assertEquals(await demo.ended(), 1, demo.describe());
      assertMatch(demo.errors, /the replica on deno has ended by itself/i);
      await allGone(pidsOf(demo));
    });
  });

  test("refuses invalid settings", () => {
    assertThrows(() => readSettings(["--rounds", "0"]), RangeError, "`--rounds` must be an integer from 1");
    assertThrows(() => readSettings(["--bound", "soon"]), RangeError, "current value is soon");
    assertThrows(() => readSettings(["--deaf", "perl"]), RangeError, "must be one of node, deno, bun");
    assertEquals(readSettings([]), { rounds: 12, bound: 250, deaf: undefined, crash: undefined });
  });

  test("prints its options, and after a wrong call the reason last", { skip }, async () => {
    const calls = [["--help", 0], ["--runds", 2], ["--deaf", 2], ["--rounds=0", 2]] as const;
    await Promise.all(calls.map(([argument, code]) =>
      withDemo([argument], async (demo) => {
        assertEquals(await demo.ended(), code, demo.describe());
        const [usage, empty] = code === 0 ? [demo.lines.join("\n"), demo.errors] : [demo.errors, demo.lines.join("\n")];
        assertEquals(usage.slice(0, USAGE.length), USAGE);
        assertEquals(empty, "");
        assertEquals(usage.slice(USAGE.length).includes(argument.split("=")[0] ?? ""), code !== 0);
        assertFalse(usage.includes("settings.ts"), usage);
      })
    ));
  });

  test("lists each option", () => {
    const source = readFileSync(join(ROOT, "examples/demo/settings.ts"), "utf8");
    const known = Array.from(source.matchAll(/^ {6}(\w+): \{ type: /gm), ([, name]) => name);
    assertEquals(Array.from(USAGE.matchAll(/^ {2}--(\w+)/gm), ([, name]) => name), known);
    assertEquals(readSettings(["-h"]), undefined);
  });

  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    test(`ends cleanly on ${signal}`, { skip: skipSignals }, async () => {
      await withDemo(["--rounds", "1000", ...BOUND], async (demo, child, temporary) => {
        await firstRound(demo);
        assertEquals(storesIn(temporary), 1);
        child.kill(signal);
        assertEquals(await demo.ended(), code, demo.describe());
        await allGone(pidsOf(demo));
        assertEquals(storesIn(temporary), 0);
      });
    });
  }

  test("leaves no process behind when it is killed", { skip }, async () => {
    await withDemo(["--rounds", "1000", ...BOUND], async (demo, child) => {
      await firstRound(demo);
      child.kill("SIGKILL");
      await demo.ended();
      await allGone(pidsOf(demo));
    });
  });
});

async function withDemo(
  args: readonly string[],
  body: (demo: Program, child: ChildProcess, temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = mkdtempSync(join(tmpdir(), "warp-mesh-test-"));
  // By this variable Node's runner makes its children print for it alone.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [...typeFlags(process.versions.node), "examples/demo/main.ts", ...args], {
    cwd: ROOT,
    env: { ...inherited, TMPDIR: temporary, TEMP: temporary },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const demo = new Program(`demo ${args.join(" ")}`, child);
  try {
    await body(demo, child, temporary);
  } finally {
    await demo.kill();
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** The figures in the summary line of a replica, or of all. */
function summaryOf(demo: Program, name: string): string[] {
  const line = demo.lines.slice(demo.lines.findIndex((text) => text.startsWith("replica")))
    .find((text) => text.startsWith(`${name} `));
  assert(line !== undefined, `a summary of ${name} in: ${demo.describe()}`);
  return line.split(/ {2,}/).slice(1);
}

async function firstRound(demo: Program): Promise<void> {
  await demo.line((line) => /^ +1 .*drops it after/.test(line) || undefined, "the first round");
}

/** The process ids that the demo prints of its replicas. */
function pidsOf(demo: Program): number[] {
  const pids = demo.lines.map((line) => /, process (\d+)$/.exec(line)?.[1]).filter((pid) => pid !== undefined);
  assertEquals(pids.length, 3, demo.describe());
  return pids.map(Number);
}

async function allGone(pids: readonly number[]): Promise<void> {
  await patient(
    (async () => {
      while (pids.some(isRunning)) await delay(10);
    })(),
    () => `the end of the processes ${pids.filter(isRunning)}`,
  );
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // An ended process that was not waited for still exists; in a container that may be for ever.
    return process.platform !== "linux" || !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function storesIn(folder: string): number {
  return readdirSync(folder).filter((name) => name.startsWith("warp-mesh-demo-")).length;
}
