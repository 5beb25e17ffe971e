// Short-lived nodes: they open, publish and close. All nodes get the keys, or the report names those that may not have
// them.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { ClosedError, MeshBus, type MeshOptions, PeersTimeoutError } from "../../mod.ts";
import { outcomeOf } from "../support/outcome.ts";
import { forSeeds, hostAddress } from "./worlds.ts";

interface Mesh {
  readonly network: MemoryNetwork;
  readonly nodes: readonly MeshBus[];
  /** How many keys and how many gaps each node has got. */
  readonly heard: { keys: number; gaps: number }[];
}

async function openMesh(count: number, options: MeshOptions, seed: number, loss = 0): Promise<Mesh> {
  const network = new MemoryNetwork({ seed, delay: { min: 0.1, max: 2 } });
  const nodes: MeshBus[] = [];
  const heard: { keys: number; gaps: number }[] = [];
  for (let i = 0; i < count; i++) {
    const peers = i === 0 ? [] : [`${hostAddress(0)}:7946`];
    const node = await MeshBus.open({ ...network.host(hostAddress(i)), peers, ...options });
    const counts = { keys: 0, gaps: 0 };
    node.subscribe({ prefix: "" }, ({ cause }) => cause === "publish" ? counts.keys++ : counts.gaps++);
    nodes.push(node);
    heard.push(counts);
  }
  await network.clock.runUntil(() => nodes.every((node) => node.peers().length === count - 1), 10_000);
  network.set({ loss });
  return { network, nodes, heard };
}

async function closeAll({ network, nodes }: Mesh): Promise<void> {
  network.set({ loss: 0 });
  await network.clock.run(Promise.all(nodes.map((node) => node.close())), 5000);
}

describe("a job", () => {
  for (const size of [1, 2, 5, 40]) {
    test(`reaches all of ${size} nodes by one seed that is a name, and its report says so`, () =>
      forSeeds(5, async (seed) => {
        const mesh = await openMesh(size, { multicast: false }, seed);
        const { network, heard } = mesh;
        network.names.set("cache.test", [hostAddress(0)]);
        const ports = network.host("10.9.0.1");
        const job = await MeshBus.open({ ...ports, multicast: false, peers: ["cache.test:7946"] });
        void job.publish("user:1");
        const report = await network.clock.run(job.close(), 2000);
        assertEquals(report, { isConfirmed: true, confirmed: size, unconfirmed: [], unsent: 0, plain: 0 });
        assertEquals(heard.map(({ keys }) => keys), new Array(size).fill(1));
        await closeAll(mesh);
      }));
  }

  test("with loss every node gets its key or a gap, or its report says so; mostly the key arrives", async () => {
    let worlds = 0;
    let confirmed = 0;
    await forSeeds(600, async (seed) => {
      const mesh = await openMesh(4, { multicast: seed % 2 === 0 }, seed, 0.15);
      const { network, heard } = mesh;
      const job = await MeshBus.open({
        ...network.host("10.9.0.1"),
        multicast: seed % 2 === 0,
        peers: [`${hostAddress(0)}:7946`],
      });
      void job.publish("user:1");
      const report = await network.clock.run(job.close(), 2000);
      await network.clock.advance(3000);
      const isHeard = heard.every(({ keys, gaps }) => keys + gaps > 0);
      assert(isHeard || !report.isConfirmed, JSON.stringify({ heard, report }));
      worlds++;
      if (report.isConfirmed) confirmed++;
      if (report.isConfirmed) assertEquals(report.confirmed, 4);
      await closeAll(mesh);
    });
    // Seven in ten are confirmed. With 60 worlds chance alone would go below two thirds.
    if (worlds === 600) assert(confirmed >= 400, `${confirmed} of ${worlds}`);
  });

  test("has a report that names seeds without an answer or an address, and peers that fall silent", async () => {
    const mesh = await openMesh(2, { multicast: false }, 1);
    const { network } = mesh;
    const peers = [`${hostAddress(0)}:7946`, "10.9.9.9:7946", "nowhere.test:7946"];
    const job = await MeshBus.open({ ...network.host("10.9.0.1"), multicast: false, peers });
    await network.clock.runUntil(() => job.peers().length === 2, 1000);
    network.partition([["10.9.0.1", hostAddress(0)], [hostAddress(1)]]);
    void job.publish("user:1");
    const report = await network.clock.run(job.close(), 2000);
    assertEquals(report.isConfirmed, false);
    assertEquals(report.confirmed, 1);
    const second = mesh.nodes[1]?.address ?? "";
    assertEquals([...report.unconfirmed].sort(), [second, "10.9.9.9:7946", "nowhere.test:7946"].sort());
    network.heal();
    await closeAll(mesh);
  });

  test("that no node hears has a report within a second, and one that has published nothing does not wait", async () => {
    const network = new MemoryNetwork({ seed: 1 });
    const open = () => MeshBus.open({ ...network.host("10.9.0.1"), multicast: false, peers: ["10.9.9.9:7946"] });
    const job = await open();
    void job.publish("user:1");
    const start = network.clock.now();
    const report = await network.clock.run(job.close(), 2000);
    assertEquals(report, { isConfirmed: false, confirmed: 0, unconfirmed: ["10.9.9.9:7946"], unsent: 0, plain: 0 });
    assert(network.clock.now() - start <= 1000);
    const idle = await open();
    const before = network.clock.now();
    assertEquals((await network.clock.run(idle.close(), 2000)).isConfirmed, true);
    assert(network.clock.now() - before < 100);
    assertEquals(network.clock.pending, 0);
  });

  test("a node that has been open for long does not wait for a dead seed", async () => {
    const mesh = await openMesh(2, { multicast: false, peers: [`${hostAddress(0)}:7946`, "10.9.9.9:7946"] }, 3);
    const { network } = mesh;
    const node = mesh.nodes[1] as MeshBus;
    await network.clock.advance(4000);
    void node.publish("user:1");
    const start = network.clock.now();
    await network.clock.run(node.close(), 2000);
    assert(network.clock.now() - start <= 400, `${network.clock.now() - start} ms`);
    await closeAll(mesh);
  });
});

describe("beside Go nodes", () => {
  test("a seed that is a Go node is counted as plain, and is not listed as unconfirmed", async () => {
    const network = new MemoryNetwork({ seed: 1, delay: { min: 0.1, max: 1 } });
    const plain = await MeshBus.open({ ...network.host("10.0.0.1"), wire: "go-warp", advertiseAddr: "10.0.0.1:7946" });
    const job = await MeshBus.open({ ...network.host("10.9.0.1"), multicast: false, peers: ["10.0.0.1:7946"] });
    await network.clock.run(job.waitForPeers(1), 20_000);
    void job.publish("user:1");
    const report = await network.clock.run(job.close(), 2000);
    assertEquals(report, { isConfirmed: false, confirmed: 0, unconfirmed: [], unsent: 0, plain: 1 });
    // It uses go-warp's wire itself, and has published nothing.
    assertEquals((await network.clock.run(plain.close(), 2000)).isConfirmed, true);
  });
});

describe("waitForPeers", () => {
  test("resolves when there are so many peers", async () => {
    const network = new MemoryNetwork({ seed: 1, delay: { min: 1, max: 2 } });
    const first = await MeshBus.open(network.host("10.0.0.1"));
    await first.waitForPeers(0);
    const waits = [first.waitForPeers(1), first.waitForPeers(2)].map(outcomeOf);
    const second = await MeshBus.open(network.host("10.0.0.2"));
    await network.clock.run(waits[0] ?? Promise.reject(), 1000);
    assertEquals(first.peers().length, 1);
    const third = await MeshBus.open(network.host("10.0.0.3"));
    const outcomes = await network.clock.run(Promise.all(waits), 1000);
    assertEquals(outcomes.map(({ state }) => state), ["fulfilled", "fulfilled"]);
    await network.clock.run(Promise.all([first, second, third].map((mesh) => mesh.close())), 2000);
    assertEquals(network.clock.pending, 0);
  });

  test("ends by a timeout, by a signal and by close, and leaves nothing behind", async () => {
    const network = new MemoryNetwork({ seed: 1 });
    const mesh = await MeshBus.open(network.host("10.0.0.1"));
    const controller = new AbortController();
    const waits = [
      mesh.waitForPeers(1),
      mesh.waitForPeers(3, { timeout: 500 }),
      mesh.waitForPeers(1, { signal: controller.signal, timeout: Infinity }),
      mesh.waitForPeers(1, { timeout: Infinity }),
    ].map(outcomeOf);
    await network.clock.advance(499);
    controller.abort(new Error("enough"));
    await network.clock.advance(10_000);
    await network.clock.run(mesh.close(), 2000);
    const outcomes = await Promise.all(waits);
    assert(outcomes[0]?.reason instanceof PeersTimeoutError);
    assert(outcomes[1]?.reason instanceof PeersTimeoutError && outcomes[1].reason.required === 3);
    assertEquals((outcomes[2]?.reason as Error).message, "enough");
    assert(outcomes[3]?.reason instanceof ClosedError);
    await assertRejects(() => mesh.waitForPeers(1), ClosedError);
    await network.clock.advance(1000);
    assertEquals(network.clock.pending, 0);
  });

  test("states the rule when it is misused", async () => {
    const network = new MemoryNetwork({ seed: 1 });
    const mesh = await MeshBus.open(network.host("10.0.0.1"));
    await assertRejects(() => mesh.waitForPeers(-1), RangeError, "an integer from 0: current value is -1");
    await assertRejects(() => mesh.waitForPeers("2" as unknown as number), TypeError, "an integer from 0");
    await assertRejects(() => mesh.waitForPeers(1, { timeout: -1 }), RangeError, "`timeout` must be");
    await assertRejects(() => mesh.waitForPeers(1, { signal: {} as AbortSignal }), TypeError, "AbortSignal");
    await network.clock.run(mesh.close(), 2000);
  });
});
