// Seeds: whole nodes that find each other by names, services and lists alone, on a network without multicast.
import { describe, test } from "node:test";
import { assertEquals, assertGreater, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { MemoryNetwork } from "../../adapters/memory.ts";
import type { MeshBus } from "../../src/mesh_bus.ts";
import type { MeshOptions } from "../../src/options.ts";
import { hostAddress, openOn } from "./worlds.ts";

const HEARTBEAT = 1000;
const INTERVAL = 10_000;
const COMMON = { multicast: false, heartbeat: HEARTBEAT, resolveInterval: INTERVAL };

/** Opens nodes whose options are the same, and closes them when `body` is done. */
async function withNodes(
  network: MemoryNetwork,
  options: (index: number) => MeshOptions,
  body: (open: (index: number) => Promise<MeshBus>) => Promise<void>,
): Promise<void> {
  const nodes: MeshBus[] = [];
  try {
    await body(async (index) => {
      const mesh = await network.clock.run(openOn(network, index, { ...COMMON, ...options(index) }), 1000);
      nodes.push(mesh);
      return mesh;
    });
  } finally {
    await network.clock.run(Promise.all(nodes.map((mesh) => mesh.close())), 10_000);
  }
  // Datagrams that are under way reach no node, and nothing else is left.
  await network.clock.advance(1);
  assertEquals(network.clock.pending, 0);
}

/** The hosts of the peers of a node. */
function hostsOf(mesh: MeshBus): string[] {
  return mesh.peers().map((address) => address.split(":")[0] ?? "").sort();
}

describe("without multicast", () => {
  test("a node that is added to a service is in the mesh within an interval and a heartbeat", async () => {
    const network = new MemoryNetwork({ seed: 7 });
    const records = (...indices: readonly number[]) => indices.map((i) => ({ host: `pod-${i}`, port: 7946 }));
    for (let i = 0; i < 4; i++) network.names.set(`pod-${i}`, ["fd00::1", hostAddress(i)]);
    network.services.set("_warp-mesh._udp.cache", records(0, 1));
    // The last node knows no seed, and is found by its record alone.
    const peers = (index: number) => index === 3 ? [] : ["srv:_warp-mesh._udp.cache"];
    await withNodes(network, (index) => ({ peers: peers(index) }), async (open) => {
      const [a, b] = [await open(0), await open(1)];
      await network.clock.advance(100);
      assertEquals([hostsOf(a), hostsOf(b)], [[hostAddress(1)], [hostAddress(0)]]);
      const late = await open(3);
      network.services.set("_warp-mesh._udp.cache", records(0, 1, 3));
      await network.clock.advance(INTERVAL + HEARTBEAT);
      assertEquals([a, b, late].map((mesh) => hostsOf(mesh).length), [2, 2, 2]);
    });
  });

  test("a name whose look-up fails at first, and whose addresses change, leads to its nodes", async () => {
    const network = new MemoryNetwork({ seed: 8 });
    await withNodes(network, (index) => ({ peers: index === 0 ? ["cache"] : [] }), async (open) => {
      const [a, b, c] = [await open(0), await open(1), await open(2)];
      const errors: Error[] = [];
      a.events.listen((event) => {
        if (event.type === "error") errors.push(event.error);
      });
      await network.clock.advance(2000);
      assertEquals(hostsOf(a), []);
      network.names.set("cache", [hostAddress(1)]);
      await network.clock.advance(4000);
      assertEquals([hostsOf(a), hostsOf(b)], [[hostAddress(1)], [hostAddress(0)]]);
      network.names.set("cache", [hostAddress(2)]);
      await network.clock.advance(INTERVAL + HEARTBEAT);
      // The node that is no longer a seed stays, as it is heard.
      assertEquals(hostsOf(a), [hostAddress(1), hostAddress(2)]);
      assertEquals(hostsOf(c).includes(hostAddress(0)), true);
      assertEquals(errors.every(({ message }) => message.startsWith('Cannot look up the seed "cache": ')), true);
    });
  });

  test("a node that `discover` lists is probed at once", async () => {
    const network = new MemoryNetwork({ seed: 9 });
    let list: (addresses: readonly string[]) => void = () => {};
    async function* discover(): AsyncGenerator<readonly string[]> {
      for (;;) yield await new Promise<readonly string[]>((resolve) => list = resolve);
    }
    await withNodes(network, (index) => index === 0 ? { discover } : {}, async (open) => {
      const [a, b] = [await open(0), await open(1)];
      await network.clock.advance(1000);
      assertEquals([hostsOf(a), hostsOf(b)], [[], []]);
      list([hostAddress(1)]);
      await network.clock.advance(100);
      assertEquals([hostsOf(a), hostsOf(b)], [[hostAddress(1)], [hostAddress(0)]]);
    });
  });

  test("of an answer of 10,000 records and a list of as many, some are probed, each once, and the rest is counted", async () => {
    const network = new MemoryNetwork({ seed: 10 });
    const many = Array.from({ length: 10_000 }, (_, i) => `10.9.${i >> 8}.${i & 255}`);
    network.names.set("crowd", [...many, "not an address", "224.0.0.1"]);
    network.names.set("cache", [hostAddress(1)]);
    const probed: string[] = [];
    network.tap(({ fate, to }) => {
      if (fate === "sent" && to.host.startsWith("10.9")) probed.push(to.host);
    });
    async function* discover(): AsyncGenerator<readonly string[]> {
      yield [...many.map((host) => host.replace("10.9.", "10.99.")), "", "no:port:here"];
    }
    const options = (index: number) => index === 0 ? { peers: ["crowd", "cache"], discover } : {};
    await withNodes(network, options, async (open) => {
      const [a, b] = [await open(0), await open(1)];
      await network.clock.advance(HEARTBEAT);
      assertEquals([hostsOf(a), hostsOf(b)], [[hostAddress(1)], [hostAddress(0)]]);
      assertEquals(new Set(probed).size, probed.length);
      assertLessOrEqual(probed.length, 600);
      assertGreater(probed.length, 256);
      const { seedsTruncated, seedsUnusable, resolveErrors, sendErrors } = a.metrics();
      assertEquals(sendErrors, 0);
      assertGreaterOrEqual(seedsTruncated, 2);
      assertEquals([seedsUnusable, b.metrics().seedsUnusable], [4, 0]);
      assertGreaterOrEqual(resolveErrors, 2);
    });
  });

  test("an answer without a record is an error, and the name is looked up again", async () => {
    const network = new MemoryNetwork({ seed: 11 });
    network.names.set("cache", []);
    await withNodes(network, (index) => index === 0 ? { peers: ["cache"] } : {}, async (open) => {
      const [a] = [await open(0), await open(1)];
      await network.clock.advance(1000);
      assertEquals([hostsOf(a), a.metrics().seedsUnusable], [[], 0]);
      assertGreaterOrEqual(a.metrics().resolveErrors, 1);
      network.names.set("cache", [hostAddress(1)]);
      await network.clock.advance(INTERVAL + HEARTBEAT);
      assertEquals(hostsOf(a), [hostAddress(1)]);
    });
  });
});
