// Process exit: nothing of a mesh is left when it is closed, or when it could not be opened.

import { assert, assertEquals, assertRejects, equal } from "@std/assert";
import { delay } from "@std/async";
import { readdirSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { MeshOpenError, type MeshOptions, openMesh } from "../../mod.ts";
import { freePort } from "../support/free_port.ts";
import { happened } from "../support/meshes.ts";
import { RUNTIMES, withPrograms } from "../support/programs.ts";
import { sized } from "../support/size.ts";

// A label of a name has at most 63 characters: the system's resolver refuses a longer one without a query.
const UNRESOLVABLE = `${"x".repeat(64)}.invalid`;
const WAYS: Readonly<Record<string, (port: number) => MeshOptions>> = {
  "with multicast, on any port": () => ({ port: 0 }),
  "with multicast, on one port": (port) => ({ port }),
  "with one socket": (port) => ({ port, advertiseAddr: `127.0.0.1:${port}` }),
  "without multicast, with seeds that cannot be resolved": () => ({ port: 0, multicast: false, peers: [UNRESOLVABLE] }),
  "on an interface that is not there": (port) => ({ port, interface: "198.51.100.77" }),
};

// A process without anything to do ends within 0.1 s. A machine under load may take longer.
const PROMPT_MS = 5_000;

for (const runtime of RUNTIMES) {
  test(`a ${runtime} process ends by itself when its meshes are closed`, () =>
    withPrograms(async (start) => {
      const program = start(runtime, "tests/support/open_and_close.ts");
      const doneAt = await program.line((line) => line === "done" ? performance.now() : undefined, "the last line");
      const exit = await program.ended();
      const took = performance.now() - doneAt;
      assertEquals([exit, program.errors], [0, ""], program.describe());
      assert(took < PROMPT_MS, `It took ${took} ms to end`);
    }));
}

interface Held {
  /** File descriptors, sockets among them. Only Linux has the number. */
  readonly files: number;
  /** Types of what keeps this process alive. Only Node lists them. */
  readonly resources: readonly string[];
}

/** What this process holds, as far as the runtime and the system show it. */
function held(): Held {
  return {
    files: process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0,
    resources: process.getActiveResourcesInfo().sort(),
  };
}

function timersOf({ resources }: Held): number {
  return resources.filter((type) => type === "Timeout").length;
}

/** Why nothing can be counted here. */
function countless(): string | undefined {
  const tells = process.platform === "linux" || !("Bun" in globalThis || "Deno" in globalThis);
  return tells ? undefined : "only Node, and Linux, say what a process holds";
}

const TIMES = sized(200, 40);

describe(`${TIMES} times opened and closed`, () => {
  for (const [way, options] of Object.entries(WAYS)) {
    const reason = countless();
    test(`${way}: nothing more is held`, reason === undefined ? {} : { skip: reason }, async () => {
      const port = await freePort();
      await settled(() => !held().resources.includes("UDPWrap"));
      const { resources } = held();
      // The first few open what the runtime keeps, such as its watch over sockets.
      await openAndClose(options(port), 5);
      await settled(() => equal(held().resources, resources));
      const before = held();
      assertEquals(before.resources, resources);
      await openAndClose(options(port), TIMES);
      // A timer is cancelled at once. Waiting below would let timers of a second end by themselves.
      assertEquals(timersOf(held()), timersOf(before));
      await settled(() => equal(held().resources, resources) && held().files <= before.files);
      const after = held();
      assertEquals(after.resources, resources);
      assert(after.files <= before.files, `${before.files} files before, ${after.files} after`);
    });
  }
});

async function openAndClose(options: MeshOptions, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const opening = openMesh({ interface: "127.0.0.1", ...options });
    if (options.interface !== undefined) await assertRejects(() => opening, MeshOpenError);
    else {
      const mesh = await opening;
      mesh.subscribe("key", () => {});
      // A node that is alone and has published waits for an answer to its first heartbeat.
      if (i % 10 === 0) void mesh.publish("key");
      // From then on a timer runs, until the next look-up.
      if (options.peers !== undefined) await happened(mesh, ({ type }) => type === "error");
      await mesh.close();
    }
  }
}

/** Waits for what ends by itself, such as a look-up that cannot be aborted: a leak does not. */
async function settled(condition: () => boolean): Promise<void> {
  for (const start = performance.now(); !condition() && performance.now() - start < PROMPT_MS;) await delay(1);
}
