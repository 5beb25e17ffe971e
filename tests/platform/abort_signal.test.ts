// Abort signals: one listener on each, however many operations wait for it.
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { LookupPool } from "../../adapters/lookup_pool.ts";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { pause } from "../../cli/pause.ts";
import { findHolder } from "../../cli/port_holder.ts";
import { InProcessBus, MeshBus } from "../../mod.ts";
import { onAbort } from "../../src/platform/abort_signal.ts";
import { hostAddress } from "../sim/worlds.ts";
import { withMeshes } from "../support/meshes.ts";
import { type Outcome, outcomeOf } from "../support/outcome.ts";
import { countListeners } from "../support/signals.ts";

/** 20 meshes, each of which waits for one signal in all ways that exist. `then` is called before anything is sent. */
async function openWaiting(signal: AbortSignal, then: () => void) {
  const network = new MemoryNetwork();
  const meshes: MeshBus[] = [];
  const waits: Promise<Outcome>[] = [];
  const publishes: Promise<Outcome>[] = [];
  for (let i = 0; i < 20; i++) {
    const mesh = await network.clock.run(
      MeshBus.open({ ...network.host(hostAddress(i)), queueSize: 1, batchInterval: 1000, signal }),
      1000,
    );
    meshes.push(mesh);
  }
  for (const mesh of meshes) {
    mesh.subscribe("user:1", { signal });
    mesh.subscribe({ prefix: "user:" }, () => {}, { signal });
    mesh.subscribeLease("1", () => {}, { signal });
    waits.push(outcomeOf(mesh.waitForPeers(100, { signal, timeout: Infinity })));
    void outcomeOf(mesh.diagnose({ signal, timeout: 60_000 }));
    void mesh.publish("user:1", { signal });
    publishes.push(outcomeOf(mesh.publish("user:2", { signal })));
  }
  then();
  return { network, meshes, waits, publishes };
}

/** How promises ended, each outcome once. */
async function namesOf(outcomes: readonly Promise<Outcome>[]): Promise<string[]> {
  const names = (await Promise.all(outcomes)).map(({ state, reason }) => reason instanceof Error ? reason.name : state);
  return [...new Set(names)];
}

describe("a signal", () => {
  test("has one listener for all that wait, and none when nothing does", () => {
    const { signal } = new AbortController();
    const listeners = countListeners(signal);
    const stops = Array.from({ length: 1000 }, () => onAbort(signal, () => {}));
    assertEquals(listeners.count, 1);
    for (const stop of stops) stop();
    assertEquals(listeners.count, 0);
    const stop = onAbort(signal, () => {});
    assertEquals(listeners.count, 1);
    stop();
    stop();
    assertEquals(listeners.count, 0);
  });

  test("calls all that wait, each once, and not those that have stopped", () => {
    const controller = new AbortController();
    const calls: string[] = [];
    const note = () => calls.push("twice");
    onAbort(controller.signal, note);
    onAbort(controller.signal, note);
    const stop = onAbort(controller.signal, () => calls.push("stopped"));
    // One that is called may stop another.
    onAbort(controller.signal, () => stopLast());
    const stopLast = onAbort(controller.signal, () => calls.push("stopped by another"));
    stop();
    controller.abort();
    assertEquals(calls, ["twice", "twice"]);
  });

  test("has one listener for 20 meshes and all that waits on them, and none when they are closed", async () => {
    const { signal } = new AbortController();
    const listeners = countListeners(signal);
    const { network, meshes, waits, publishes } = await openWaiting(signal, () => {
      assertEquals([listeners.count, listeners.most], [1, 1]);
    });
    await network.clock.run(Promise.all(meshes.map((mesh) => mesh.close())), 5000);
    assertEquals(await namesOf(waits), ["ClosedError"]);
    assertEquals(await namesOf(publishes), ["fulfilled"]);
    assertEquals([listeners.count, listeners.most], [0, 1]);
  });

  test("closes 20 meshes, ends all that waits on them, and has no listener then", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const listeners = countListeners(signal);
    const { network, meshes, waits, publishes } = await openWaiting(signal, () => controller.abort());
    assertEquals(meshes.filter((mesh) => mesh.isHealthy()), []);
    await network.clock.run(Promise.all(meshes.map((mesh) => mesh.close())), 5000);
    // The mesh, which is called first, is closed by then.
    assertEquals(await namesOf(waits), ["ClosedError"]);
    assertEquals(await namesOf(publishes), ["AbortError"]);
    assertEquals([listeners.count, listeners.most], [0, 1]);
  });

  test("has one listener for 20 look-ups, under way and waiting, and none when they are answered", async () => {
    const { signal } = new AbortController();
    const listeners = countListeners(signal);
    const answers: (() => void)[] = [];
    const lookup = () => new Promise<string[]>((resolve) => answers.push(() => resolve(["10.0.0.1"])));
    const pool = new LookupPool({ lookup, atOnce: 10 });
    const lookedUp = Array.from({ length: 20 }, (_, i) => pool.resolve(`n${i}`, { signal }));
    assertEquals([listeners.count, listeners.most], [1, 1]);
    for (const some of [lookedUp.slice(0, 10), lookedUp.slice(10)]) {
      for (const answer of answers.splice(0)) answer();
      await Promise.all(some);
    }
    assertEquals([listeners.count, listeners.most], [0, 1]);
  });

  test("has one listener for other operations of the program, and none afterwards", () =>
    withMeshes(async (open) => {
      const controller = new AbortController();
      const { signal } = controller;
      const listeners = countListeners(signal);
      const { port } = await open();
      const holders = Array.from({ length: 5 }, () => findHolder({ interface: "127.0.0.1", port }, 200, signal));
      const counts = [listeners.count];
      await Promise.all(holders);
      counts.push(listeners.count);
      const pauses = Array.from({ length: 20 }, () => pause(1e9, signal));
      counts.push(listeners.count);
      controller.abort();
      await Promise.all(pauses);
      assertEquals([...counts, listeners.count, listeners.most], [1, 0, 1, 0, 1]);
    }));

  test("gets its listener in one place only", () => {
    const root = new URL("../../", import.meta.url);
    const files = ["src", "adapters", "cli"].flatMap((folder) =>
      readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts"))
        .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    );
    const listening = files.filter((file) => readFileSync(new URL(file, root), "utf8").includes('addEventListener("a'));
    assertEquals(listening, ["src/platform/abort_signal.ts"]);
  });

  test("ends 10,000 subscriptions", async () => {
    const controller = new AbortController();
    const bus = new InProcessBus();
    const all = Array.from({ length: 10_000 }, (_, i) => bus.subscribe(`${i}`, { signal: controller.signal }));
    controller.abort();
    assertEquals(all.filter(({ closed }) => !closed).length, 0);
    await bus.close();
  });
});
