// Loading: the first `diagnose` of a mesh loads its code, and behaves as if that had been there.
import { test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { MemoryNetwork } from "../../../adapters/memory.ts";
import { type Clock, MeshBus } from "../../../mod.ts";
import { outcomeOf } from "../../support/outcome.ts";
import { countListeners } from "../../support/signals.ts";

test("while diagnosis is loaded callers share it, may give up, and the mesh may close", async () => {
  const network = new MemoryNetwork();
  const open = (address: string) =>
    network.clock.run(MeshBus.open({ ...network.host(address), heartbeat: 1000, multicast: false }), 1000);
  const [shared, closing, misused] = [await open("10.0.0.1"), await open("10.0.0.2"), await open("10.0.0.3")];
  const controller = new AbortController();
  const listeners = countListeners(controller.signal);
  const reason = new Error("given up");

  // All within one turn: nothing is loaded before the last line of them.
  const first = shared.diagnose({ timeout: 500 });
  const second = shared.diagnose({ timeout: 60_000, signal: new AbortController().signal });
  const aborted = outcomeOf(shared.diagnose({ signal: controller.signal }));
  const ended = closing.diagnose();
  const closed = closing.close();
  const refused = outcomeOf(misused.diagnose({ timeout: -1 }));
  controller.abort(reason);

  assertStrictEquals((await aborted).reason, reason);
  assertEquals((await refused).reason instanceof RangeError, true);
  assertEquals(listeners.count, 0);
  const before = network.clock.now();
  const [one, other] = await network.clock.run(Promise.all([first, second]), 1000);
  // The first caller's time counts for both.
  assertEquals(network.clock.now() - before, 500);
  assertEquals(one.findings, other.findings);
  const { findings } = await network.clock.run(ended, 2000);
  assertEquals(findings.map(({ code }) => code), ["closed"]);
  await network.clock.run(Promise.all([closed, shared.close(), misused.close()]), 5000);
});

test("a diagnosis that could not be loaded is loaded by the next call", async () => {
  const network = new MemoryNetwork();
  const { clock } = network;
  let calls = 0;
  const ports = network.host("10.0.0.1");
  const failing: Clock = {
    now: () => clock.now(),
    setTimer: (callback, delay) => clock.setTimer(callback, delay),
    setTurnEnd: (callback) => clock.setTurnEnd(callback),
    holdWhile(work) {
      if (calls++ === 0) throw new Error("not now");
      clock.holdWhile(work);
    },
  };
  const mesh = await clock.run(MeshBus.open({ ...ports, clock: failing, heartbeat: 1000, multicast: false }), 1000);
  assertEquals((await outcomeOf(mesh.diagnose())).reason, new Error("not now"));
  const { node } = await clock.run(mesh.diagnose({ timeout: 500 }), 1000);
  assertEquals([node.id, calls], [mesh.nodeId, 2]);
  await clock.run(mesh.close(), 5000);
});
