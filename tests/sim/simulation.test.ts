// Simulation: seeded worlds on the network in memory.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { MeshBus } from "../../mod.ts";
import { closeWorld, forSeeds, hostAddress, openOn, openWorld, type World } from "./worlds.ts";

/** Longest latency of a key in a world whose datagrams take up to `delay`: it waits for its batch, then travels. */
const BATCH_INTERVAL = 100;

function everyoneKnowsEveryone({ nodes }: World): boolean {
  return nodes.every(({ mesh }) => mesh.peers().length === nodes.length - 1);
}

/** Each node publishes at random moments for a second. Returns the keys of each. */
async function publishForASecond({ network, nodes, random }: World): Promise<Set<string>[]> {
  const published = nodes.map(() => new Set<string>());
  for (let time = 0; time < 1000;) {
    const step = 1 + random.below(40);
    await network.clock.advance(step);
    time += step;
    const index = random.below(nodes.length);
    for (let i = 1 + random.below(30); i > 0; i--) {
      const key = `${index}:${random.below(500)}`;
      published[index]?.add(key);
      void nodes[index]?.mesh.publish(key);
    }
  }
  return published;
}

test("without loss every key arrives everywhere, within the batch interval and the delay", () =>
  forSeeds(150, async (seed) => {
    const size = 2 + (seed % 11);
    const multicast = seed % 3 > 0;
    const seeds = Array.from({ length: size }, (_, i) => `${hostAddress(i)}:7946`);
    const world = await openWorld({
      seed,
      nodes: size,
      options: (i) => multicast ? {} : { multicast, peers: seeds.filter((_, other) => other !== i) },
    });
    const { network, nodes } = world;
    network.set({ delay: { min: 0, max: 20 }, duplicate: 0.1, reorder: 0.2, reorderBy: 10 });
    await network.clock.runUntil(() => everyoneKnowsEveryone(world), 5000);
    const published = await publishForASecond(world);
    await network.clock.advance(BATCH_INTERVAL + 20 + 10);
    nodes.forEach(({ got }, receiver) => {
      const others = published.filter((_, sender) => sender !== receiver).flatMap((keys) => [...keys]);
      assertEquals([...new Set(got)].sort(), others.sort());
    });
    await closeWorld(world);
  }));

test("whatever the network does, no node gets a key that no other published, or its own", () =>
  forSeeds(150, async (seed) => {
    const world = await openWorld({ seed, nodes: 2 + (seed % 11) });
    const { network, nodes, random } = world;
    network.set({
      loss: random.next() * 0.4,
      duplicate: random.next() * 0.3,
      reorder: random.next() * 0.5,
      truncate: random.next() * 0.2,
      delay: { min: 0, max: random.next() * 200 },
    });
    const published = await publishForASecond(world);
    await network.clock.advance(1000);
    nodes.forEach(({ got, mesh }, receiver) => {
      for (const key of got) {
        const sender = Number(key.split(":")[0]);
        assert(sender !== receiver, `${mesh.nodeId} got its own ${key}`);
        assert(published[sender]?.has(key), `${key} was never published`);
      }
      assert(mesh.isHealthy());
    });
    await closeWorld(world);
  }));

test("a truncated datagram counts as a decode error, or loses only what was cut off", () =>
  forSeeds(20, async (seed) => {
    const world = await openWorld({ seed, nodes: 2, options: () => ({ wire: "go-warp" }) });
    world.network.set({ truncate: 1 });
    await publishForASecond(world);
    await world.network.clock.advance(1000);
    for (const { got, mesh } of world.nodes) {
      assertEquals(got, []);
      assert(mesh.metrics().decodeErrors > 0);
    }
    await closeWorld(world);
  }));

test("a truncated extension is malformed, or its batch is delivered without a number, and nothing else happens", async () => {
  let malformed = 0;
  let whole = 0;
  await forSeeds(20, async (seed) => {
    const world = await openWorld({ seed, nodes: 2 });
    world.network.set({ truncate: 1 });
    const published = await publishForASecond(world);
    await world.network.clock.advance(1000);
    world.nodes.forEach(({ got, mesh }, receiver) => {
      for (const key of got) assert(published[1 - receiver]?.has(key), `${key} was never published`);
      const { decodeErrors, malformedExtensions, duplicates, missing } = mesh.metrics();
      assert(decodeErrors > 0);
      // A node that has not responded misses nothing. Some responses arrive whole.
      const knows = mesh.peers().length > 0;
      assertEquals([duplicates, knows ? 0 : missing], [0, 0]);
      malformed += malformedExtensions;
      whole += got.length;
    });
    await closeWorld(world);
  });
  assert(malformed > 0 && whole > 0, `${malformed} malformed, ${whole} keys`);
});

test("after a partition longer than the timeout all nodes know each other again within two heartbeats", () =>
  forSeeds(40, async (seed) => {
    const size = 3 + (seed % 8);
    const world = await openWorld({ seed, nodes: size });
    const { network } = world;
    await network.clock.runUntil(() => everyoneKnowsEveryone(world), 5000);
    const side = 1 + world.random.below(size - 1);
    const hosts = Array.from({ length: size }, (_, i) => hostAddress(i));
    network.partition([hosts.slice(0, side), hosts.slice(side)]);
    await network.clock.advance(70_000);
    world.nodes.forEach(({ mesh }, i) => {
      assertEquals(mesh.peers().length, (i < side ? side : size - side) - 1);
    });
    network.heal();
    await network.clock.runUntil(() => everyoneKnowsEveryone(world), 10_000);
    await closeWorld(world);
  }));

test("a node that crashes is forgotten after 15 s, and one that is restarted is known at once", () =>
  forSeeds(40, async (seed) => {
    const world = await openWorld({ seed, nodes: 3 });
    const { network, nodes } = world;
    await network.clock.runUntil(() => everyoneKnowsEveryone(world), 5000);
    const host = network.host(hostAddress(9));
    const { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces } = host;
    const ports = { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces };
    const mesh = await network.clock.run(MeshBus.open(ports), 1000);
    await network.clock.runUntil(() => nodes.every((node) => node.mesh.peers().length === 3), 100);
    host.crash();
    await network.clock.advance(14_000);
    assert(nodes.every((node) => node.mesh.peers().includes(mesh.address)));
    await network.clock.advance(6_000);
    assert(nodes.every((node) => node.mesh.peers().length === 2));
    const again = await network.clock.run(openOn(network, 9), 1000);
    await network.clock.runUntil(() => nodes.every((node) => node.mesh.peers().includes(again.address)), 100);
    await network.clock.run(again.close(), 5000);
    await closeWorld(world);
  }));

test("a closed world has no timer and sends no datagram", () =>
  forSeeds(40, async (seed) => {
    const world = await openWorld({ seed, nodes: 2 + (seed % 5), options: () => ({ peers: ["nowhere.example"] }) });
    await publishForASecond(world);
    await closeWorld(world);
    await world.network.clock.advance(1000);
    const { sent } = world.network.stats;
    await world.network.clock.advance(120_000);
    assertEquals([world.network.stats.sent, world.network.clock.pending], [sent, 0]);
  }));

test("equal seeds give equal worlds, datagram by datagram", async () => {
  const traces = await Promise.all([7, 7, 8].map(async (seed) => {
    const world = await openWorld({ seed, nodes: 5 });
    const trace: string[] = [];
    world.network.tap(({ from, to, data, fate }) => trace.push(JSON.stringify([from, to, [...data], fate])));
    world.network.set({ loss: 0.2, reorder: 0.2, delay: { min: 0, max: 50 } });
    await publishForASecond(world);
    await closeWorld(world);
    return trace;
  }));
  assert((traces[0] as string[]).length > 100);
  assertEquals(traces[0], traces[1]);
  assert(JSON.stringify(traces[0]) !== JSON.stringify(traces[2]));
});

test("a joining node is known in two round trips, and knows the others, with no heartbeat in between", async () => {
  const world = await openWorld({ seed: 1, nodes: 5, options: () => ({ heartbeat: 3_600_000 }) });
  const { network, nodes } = world;
  network.set({ delay: { min: 5, max: 5 } });
  await network.clock.advance(100);
  const joining = await network.clock.run(openOn(network, 5, { heartbeat: 3_600_000 }), 1000);
  await network.clock.advance(20);
  assertEquals(joining.peers().length, 5);
  assert(nodes.every(({ mesh }) => mesh.peers().length === 5));
  await network.clock.run(joining.close(), 5000);
  await closeWorld(world);
});

test("with seeds and no multicast each key arrives once, though a seed's address is not that of the node behind it", async () => {
  const seeds = [0, 1, 2].map((i) => `${hostAddress(i)}:7946`);
  const world = await openWorld({ seed: 5, nodes: 3, options: () => ({ multicast: false, peers: seeds }) });
  const { network, nodes } = world;
  await network.clock.runUntil(() => everyoneKnowsEveryone(world), 100);
  const got = nodes.map(({ mesh }) => {
    const keys: string[] = [];
    mesh.subscribe("key", ({ key }) => keys.push(key));
    return keys;
  });
  void nodes[0]?.mesh.publish("key");
  await network.clock.advance(200);
  assertEquals(got, [[], ["key"], ["key"]]);
  await closeWorld(world);
});

test("with a heartbeat longer than the default timeout no peer is forgotten", async () => {
  const world = await openWorld({ seed: 6, nodes: 3, options: () => ({ heartbeat: 120_000 }) });
  await world.network.clock.runUntil(() => everyoneKnowsEveryone(world), 100);
  for (let minute = 0; minute < 30; minute++) {
    await world.network.clock.advance(60_000);
    assert(everyoneKnowsEveryone(world), `after ${minute} minutes`);
  }
  await closeWorld(world);
});

test("a callback that closes the bus in the middle of a batch gets nothing more", async () => {
  const world = await openWorld({ seed: 7, nodes: 2 });
  const [a, b] = world.nodes;
  assert(a && b);
  await world.network.clock.advance(100);
  const got: string[] = [];
  b.mesh.subscribe({ prefix: "" }, ({ key }) => {
    got.push(key);
    void b.mesh.close();
  });
  for (const key of ["1", "2", "3"]) void a.mesh.publish(key);
  await world.network.clock.advance(200);
  assertEquals(got, ["1"]);
  await closeWorld(world);
});

test("sockets are closed when a mesh cannot be made of them", async () => {
  const network = new MemoryNetwork({ seed: 8 });
  const host = network.host("10.0.0.1");
  let open = 0;
  const bind: typeof host.bind = async (options, handlers) => {
    const socket = await host.bind(options, handlers);
    open++;
    const close = socket.close.bind(socket);
    socket.close = () => (open--, close());
    return socket;
  };
  const randomBytes = () => {
    throw new Error("no entropy");
  };
  await assertRejects(() => network.clock.run(MeshBus.open({ ...host, bind, randomBytes }), 1000), Error, "no entropy");
  assertEquals(open, 0);
});
