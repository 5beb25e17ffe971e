// Shared meshes on real sockets: one mesh for each name.
import { assertEquals, assertNotStrictEquals, assertRejects, assertStrictEquals } from "@std/assert";
import process from "node:process";
import { describe, test } from "node:test";
import { MeshOpenError, openMesh, sharedMesh } from "../../mod.ts";
import { NOTHING_PUBLISHED } from "../../src/close_report.ts";
import { sharedMesh as shared } from "../../src/shared_meshes.ts";
import { withPrograms } from "../support/programs.ts";

const LOOPBACK = { interface: "127.0.0.1", port: 0 };

describe("sharedMesh", () => {
  test("opens one node for calls at the same time and later ones, and another after close", async () => {
    const [a, b] = await Promise.all([sharedMesh("one", LOOPBACK), sharedMesh("one", LOOPBACK)]);
    assertStrictEquals(a, b);
    assertStrictEquals(await sharedMesh("one", LOOPBACK), a);
    const other = await sharedMesh("other", LOOPBACK);
    assertNotStrictEquals(other, a);
    await other.close();
    const closing = a.close();
    const next = await sharedMesh("one", LOOPBACK);
    assertNotStrictEquals(next, a);
    assertEquals([a.isHealthy(), next.isHealthy()], [false, true]);
    await closing;
    // The closed mesh does not affect its successor.
    assertStrictEquals(await sharedMesh("one", LOOPBACK), next);
    await next[Symbol.asyncDispose]();
    const last = await sharedMesh("one", LOOPBACK);
    assertNotStrictEquals(last, next);
    await last.close();
  });

  test("opens the successor once the port is free", async () => {
    const order: string[] = [];
    let free = () => {};
    const freed = new Promise<void>((resolve) => free = resolve);
    const bus = (name: string) => ({
      isHealthy: () => true,
      close: async () => {
        await freed;
        order.push(`${name} is closed`);
        return NOTHING_PUBLISHED;
      },
    });
    const first = await shared("slow", {}, async () => bus("first"));
    const closing = first.close();
    const second = shared("slow", {}, async () => {
      order.push("second opens");
      return bus("second");
    });
    free();
    await closing;
    await (await second).close();
    assertEquals(order, ["first is closed", "second opens", "second is closed"]);
  });

  test("keeps nothing that failed to open", async () => {
    await assertRejects(() => sharedMesh("failed", { ...LOOPBACK, interface: "no such interface" }), MeshOpenError);
    const mesh = await sharedMesh("failed", LOOPBACK);
    await mesh.close();
  });

  test("names the option that differs, and does not compare functions", async () => {
    const discover = () => (async function* () {})();
    const mesh = await sharedMesh("same", { ...LOOPBACK, peers: ["127.0.0.1:9"], discover });
    const again = { ...LOOPBACK, peers: ["127.0.0.1:9"], discover: () => (async function* () {})() };
    assertStrictEquals(await sharedMesh("same", again), mesh);
    await assertRejects(() => sharedMesh("same", { ...again, peers: ["127.0.0.1:8"] }), TypeError, "`peers` must be");
    await assertRejects(() => sharedMesh("same", { ...again, heartbeat: 100 }), TypeError, "`heartbeat` must be");
    await assertRejects(() => sharedMesh("same", { ...again, heartbeat: -1 }), RangeError, "`heartbeat`");
    await mesh.close();
  });

  test("refuses an invalid name, and a signal", async () => {
    await assertRejects(() => sharedMesh("", LOOPBACK), TypeError, "not empty");
    const { signal } = new AbortController();
    await assertRejects(() => sharedMesh("s", { ...LOOPBACK, signal } as typeof LOOPBACK), TypeError, "`signal`");
  });

  test("offline it reaches no node, accepts the options of any host, and closes", async () => {
    const neighbour = await openMesh(LOOPBACK);
    const heard: string[] = [];
    const told = new Promise<void>((resolve) => {
      neighbour.subscribe({ prefix: "" }, ({ key }) => {
        heard.push(key);
        resolve();
      });
    });
    const options = { interface: "eth99", port: neighbour.port, peers: [`127.0.0.1:${neighbour.port}`] };
    const mesh = await sharedMesh("built", { ...options, offline: true });
    await mesh.publish("k");
    await mesh.close();
    // A later datagram on the same path shows that no earlier one is under way.
    const live = await openMesh({ ...LOOPBACK, port: neighbour.port });
    await live.publish("live");
    await told;
    assertEquals(heard, ["live"]);
    await Promise.all([live.close(), neighbour.close()]);
  });

  test("is offline while Next builds", async () => {
    process.env["NEXT_PHASE"] = "phase-production-build";
    try {
      const mesh = await sharedMesh("next", { interface: "eth99" });
      await mesh.close();
    } finally {
      delete process.env["NEXT_PHASE"];
    }
    await assertRejects(() => sharedMesh("next", { interface: "eth99" }), MeshOpenError);
  });
});

for (const runtime of ["node", "deno", "bun"] as const) {
  test(`a ${runtime} process that evaluates the package twice has one node, which keeps no build alive`, () =>
    withPrograms(async (start) => {
      const program = start(runtime, "tests/support/evaluated_twice.ts");
      const exit = await program.ended();
      assertEquals([exit, program.lines], [0, ["true", "left open"]], program.describe());
    }));
}
