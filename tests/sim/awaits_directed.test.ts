// Awaited publishes on the network in memory: each rule in a scene of its own, and seeded worlds with heavy loss.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { ClosedError, type PublishResult, QuorumNotSatisfiedError, QuorumUnsupportedError } from "../../mod.ts";
import { MemoryPlainPeer } from "../support/memory_plain_peer.ts";
import { HEARTBEAT, recordsOf } from "./storm/wire.ts";
import { closeWorld, forSeeds, hostAddress, openOn, openWorld, type World, type WorldOptions } from "./worlds.ts";

/** A delivery acknowledgement, as in `docs/wire.md`. */
const DELIVERED = 0x16;
const BATCH = 3;
const TOKEN = 5;

async function together(options: WorldOptions): Promise<World> {
  const world = await openWorld(options);
  const { network, nodes } = world;
  await network.clock.runUntil(() => nodes.every(({ mesh }) => mesh.peers().length === nodes.length - 1), 10_000);
  // The tokens have come as well.
  await network.clock.advance(1000);
  return world;
}

function outcomes({ acknowledgements }: PublishResult): string[] {
  return acknowledgements.map(({ outcome }) => outcome).sort();
}

/** The error of a promise that is to be rejected, by the virtual clock. */
async function refusal(world: World, promise: Promise<unknown>, within = 20_000): Promise<QuorumNotSatisfiedError> {
  return await world.network.clock.run(assertRejects(() => promise, QuorumNotSatisfiedError), within);
}

/** No datagram reaches a node any more, or comes from it, as when it has crashed. */
function cutOff({ network, nodes }: World, index: number): void {
  const others = nodes.map((_, i) => hostAddress(i)).filter((_, i) => i !== index);
  network.partition([[hostAddress(index)], others]);
}

describe("heavy loss", () => {
  test("of 40 % in each direction, duplicates, leaves and crashes: confirmed is what was delivered", () =>
    forSeeds(60, async (seed) => {
      const world = await together({ seed, nodes: 3 + seed % 3, options: () => ({ heartbeat: 500 }) });
      const { network, nodes, random } = world;
      const [publisher, ...others] = nodes;
      network.set({ loss: random.next() * 0.4, duplicate: 0.2, reorder: 0.2, reorderBy: 10 });
      let open = 0;
      let settled = 0;
      let confirmed = 0;
      for (let i = 0; i < 60; i++) {
        const key = `key:${i}`;
        const wish = random.chance(0.5) ? "all" as const : 1 + random.below(others.length);
        open++;
        let hasSettled = false;
        const settle = () => {
          assert(!hasSettled, `${key} settled twice`);
          hasSettled = true;
          settled++;
        };
        publisher?.mesh.publishAndAwait(key, wish, { timeout: 5000 }).then(({ acknowledgements }) => {
          settle();
          confirmed++;
          assert(wish === "all" || acknowledgements.length >= wish, key);
          for (const { node, outcome } of acknowledgements) {
            const got = nodes.find(({ mesh }) => mesh.nodeId === node)?.got ?? [];
            assertEquals(outcome, "delivered");
            assert(got.includes(key) || got.includes(""), `${key} is confirmed by ${node}, which has not got it`);
          }
        }, (error) => {
          settle();
          assert(error instanceof QuorumNotSatisfiedError || error instanceof QuorumUnsupportedError, String(error));
        });
        await network.clock.advance(random.below(40));
        if (i === 20 && seed % 4 === 1) void others[0]?.mesh.close();
        if (i === 30 && seed % 4 === 2) cutOff(world, 1);
      }
      await network.clock.advance(6000);
      assertEquals(settled, open);
      assert(confirmed > 30, `only ${confirmed} were confirmed`);
      assertEquals(publisher?.mesh.metrics().awaiting, 0);
      network.heal();
      network.set({ loss: 0, duplicate: 0, reorder: 0 });
      await closeWorld(world);
    }));
});

describe("a storm of 10,000 awaits", () => {
  test("at once is confirmed, with few datagrams, and leaves nothing behind", async () => {
    const world = await together({ seed: 1, nodes: 3, options: () => ({ heartbeat: 60_000, queueSize: 20_000 }) });
    const { network, nodes } = world;
    const [publisher] = nodes;
    const before = network.clock.pending;
    const types = new Map<number, number>();
    network.tap(({ fate, data }) => {
      if (fate === "sent") types.set(data[1] as number, (types.get(data[1] as number) ?? 0) + 1);
    });
    const all = Promise.all(
      Array.from({ length: 10_000 }, (_, i) => publisher?.mesh.publishAndAwait(`key:${i}`, "all", { timeout: 60_000 })),
    );
    assertEquals(publisher?.mesh.metrics().awaiting, 10_000);
    const results = await network.clock.run(all, 60_000);
    assert(results.every((result) => result?.acknowledgements.length === 2));
    assertEquals(publisher?.mesh.metrics().awaiting, 0);
    const batches = types.get(BATCH) ?? 0;
    const acks = types.get(DELIVERED) ?? 0;
    assert(batches < 400, `${batches} batches`);
    assert(acks <= 2 * batches, `${acks} acknowledgements of ${batches} batches`);
    await network.clock.advance(2000);
    assertEquals(network.clock.pending, before);
    await closeWorld(world);
  });

  test("that nobody acknowledges is refused in time, and sends no more than its back-off", async () => {
    const world = await together({ seed: 2, nodes: 2, options: () => ({ heartbeat: 60_000, queueSize: 20_000 }) });
    const { network, nodes } = world;
    const [publisher] = nodes;
    const before = network.clock.pending;
    let batches = 0;
    network.tap(({ fate, data }) => {
      if (fate === "sent" && data[1] === BATCH) batches++;
    });
    network.set({ drop: ({ data }) => data[1] === DELIVERED });
    const refused = Promise.all(
      Array.from({ length: 10_000 }, (_, i) =>
        assertRejects(
          () => publisher?.mesh.publishAndAwait(`key:${i}`, 1, { timeout: 3000 }) ?? Promise.resolve(),
          QuorumNotSatisfiedError,
        )),
    );
    const [first] = await network.clock.run(refused, 60_000);
    assertEquals([first?.required, first?.acknowledged, first?.missing.length], [1, 0, 1]);
    assertEquals(first?.missing[0]?.reason, "pending");
    // 10, 20, 40, 80, 160, 320 and 640 ms after each other, then each second.
    assert(batches < 12 * 200, `${batches} batches`);
    await network.clock.advance(5000);
    assertEquals(network.clock.pending, before);
    await closeWorld(world);
  });
});

describe("all", () => {
  test("is those that were there: one that joins meanwhile is not waited for", async () => {
    const world = await together({ seed: 3, nodes: 2 });
    const { network, nodes: [a, b] } = world;
    network.set({ drop: ({ data }) => data[1] === DELIVERED });
    const awaited = a?.mesh.publishAndAwait("key", "all");
    await network.clock.advance(100);
    const late = await network.clock.run(openOn(network, 5), 1000);
    await network.clock.runUntil(() => a?.mesh.peers().length === 2, 5000);
    // What the new one acknowledges still gets lost.
    network.set({ drop: ({ data, from }) => data[1] === DELIVERED && from.host === hostAddress(5) });
    assertEquals(outcomes(await network.clock.run(awaited as Promise<PublishResult>, 3000)), ["delivered"]);
    assertEquals(b?.got, ["key"]);
    network.set({ drop: undefined });
    await network.clock.run(late.close(), 5000);
    await closeWorld(world);
  });

  test("a peer that leaves counts no longer", async () => {
    const world = await together({ seed: 4, nodes: 3 });
    const { network, nodes: [a, b] } = world;
    const gone = b?.mesh.address.split(":")[0];
    network.set({ drop: ({ data, from }) => data[1] === DELIVERED && from.host === gone });
    const awaited = a?.mesh.publishAndAwait("key", "all", { timeout: 30_000 });
    await network.clock.advance(300);
    assertEquals(a?.mesh.metrics().awaiting, 1);
    void b?.mesh.close();
    const { acknowledgements } = await network.clock.run(awaited as Promise<PublishResult>, 5000);
    assertEquals(acknowledgements.length, 1);
    await closeWorld(world);
  });

  test("a peer that is lost makes it fail, as soon as that is known", async () => {
    const world = await together({ seed: 5, nodes: 3, options: () => ({ heartbeat: 200, peerTimeout: 800 }) });
    const { network, nodes: [a, b] } = world;
    cutOff(world, 1);
    const begun = network.clock.now();
    const error = await refusal(world, a?.mesh.publishAndAwait("key", "all", { timeout: 30_000 }) as Promise<unknown>);
    const took = network.clock.now() - begun;
    assert(took > 300 && took < 2000, `${took} ms`);
    assertEquals([error.required, error.acknowledged], [2, 1]);
    assertEquals(error.missing, [{ node: b?.mesh.nodeId ?? "", reason: "lost" }]);
    await closeWorld(world);
  });
});

describe("a number of replicas", () => {
  test("that can no longer be there is refused at once", async () => {
    const world = await together({ seed: 6, nodes: 3, options: () => ({ heartbeat: 200, peerTimeout: 800 }) });
    const { nodes: [a] } = world;
    cutOff(world, 1);
    const error = await refusal(world, a?.mesh.publishAndAwait("key", 2, { timeout: 30_000 }) as Promise<unknown>);
    assertEquals([error.required, error.acknowledged], [2, 1]);
    await closeWorld(world);
  });

  test("of which one failed is refused when no other is left, and says who it was", async () => {
    const world = await together({ seed: 7, nodes: 3 });
    const { network, nodes: [a, b] } = world;
    b?.mesh.subscribe("key", () => {
      throw new Error("no");
    });
    const one = await network.clock.run(a?.mesh.publishAndAwait("key", 1) as Promise<PublishResult>, 1000);
    assert(outcomes(one).includes("delivered"));
    const error = await refusal(world, a?.mesh.publishAndAwait("key", 2) as Promise<unknown>, 1000);
    assertEquals(error.missing[0], { node: b?.mesh.nodeId ?? "", reason: "failed" });
    assert(error.acknowledged < 2);
    await closeWorld(world);
  });
});

describe("what is awaited", () => {
  test("makes guards stale and is heard by own subscriptions, like any publish", async () => {
    const world = await together({ seed: 12, nodes: 2 });
    const { network, nodes: [a] } = world;
    const own: string[] = [];
    a?.mesh.subscribe({ prefix: "" }, ({ key }) => own.push(key), { self: true });
    // A plain key takes another way than one with options. None may be null as well.
    for (const options of [undefined, { timeout: 5000 }, null as unknown as undefined]) {
      const guard = a?.mesh.guard("key");
      const awaited = a?.mesh.publishAndAwait("key", 1, options) as Promise<PublishResult>;
      assertEquals([guard?.isFresh(), own.splice(0)], [false, ["key"]]);
      assertEquals(outcomes(await network.clock.run(awaited, 1000)), ["delivered"]);
    }
    await closeWorld(world);
  });

  test("waits for room in the queue, and is acknowledged when it is sent", async () => {
    const world = await together({ seed: 13, nodes: 2, options: () => ({ queueSize: 2 }) });
    const { network, nodes: [a, b] } = world;
    const names = Array.from({ length: 20 }, (_, i) => `k${i}`);
    const awaited = names.map((name, i) =>
      a?.mesh.publishAndAwait(name, 1, i % 2 === 0 ? undefined : { timeout: 9000 })
    );
    assert((a?.mesh.metrics().pending ?? 0) <= 2);
    const results = await network.clock.run(Promise.all(awaited as Promise<PublishResult>[]), 5000);
    assertEquals(results.flatMap(outcomes), names.map(() => "delivered"));
    assertEquals([...new Set(b?.got)].sort(), [...names].sort());
    await closeWorld(world);
  });
});

describe("Go nodes", () => {
  test("acknowledge nothing: alone with them it is unsupported, and nothing is published", async () => {
    const world = await together({ seed: 8, nodes: 1 });
    const { network, nodes: [a] } = world;
    const plain = await MemoryPlainPeer.open(hostAddress(5), network.host(hostAddress(5)), {
      heartbeat: 500,
      group: "239.0.0.1",
      peers: [],
    });
    await network.clock.runUntil(() => a?.mesh.peers().length === 1, 5000);
    await network.clock.run(
      assertRejects(() => a?.mesh.publishAndAwait("key", 1) as Promise<unknown>, QuorumUnsupportedError),
      1000,
    );
    await network.clock.advance(500);
    assertEquals(a?.mesh.metrics().keysPublished, 0);
    await plain.close();
    await closeWorld(world);
  });
});

describe("the address-validation token", () => {
  test("that a peer does not have yet is sent to it, and the next acknowledgement counts", async () => {
    const world = await openWorld({ seed: 9, nodes: 2, options: () => ({ heartbeat: 3_600_000 }) });
    const { network, nodes: [a, b] } = world;
    const hasToken = (data: Uint8Array) => recordsOf(data)?.some(({ tag }) => tag === TOKEN) === true;
    network.set({ drop: ({ data }) => data[1] === HEARTBEAT && hasToken(data) });
    await network.clock.runUntil(() => a?.mesh.peers().length === 1, 10_000);
    await network.clock.advance(3000);
    network.set({ drop: undefined });
    const awaited = network.clock.run(a?.mesh.publishAndAwait("key", 1) as Promise<PublishResult>, 1000);
    assertEquals((await awaited).acknowledgements.length, 1);
    assert((a?.mesh.metrics().acksIgnored ?? 0) > 0, "it had the token");
    assertEquals(b?.got, ["key"]);
    await closeWorld(world);
  });
});

describe("closing", () => {
  test("rejects what is awaited with a ClosedError, and leaves no timer", async () => {
    const world = await together({ seed: 10, nodes: 2 });
    const { network, nodes: [a] } = world;
    network.set({ drop: ({ data }) => data[1] === DELIVERED });
    const awaited = assertRejects(() => a?.mesh.publishAndAwait("key", 1) as Promise<unknown>, ClosedError);
    await network.clock.advance(50);
    network.set({ drop: undefined });
    void a?.mesh.close();
    await network.clock.run(awaited, 1000);
    await closeWorld(world);
    assertEquals(network.clock.pending, 0);
  });
});

describe("a peer that was blocked until it was lost", () => {
  test("is awaited like any other when it is back, though it knows a token of before", async () => {
    for (const stall of [1200, 3500, 9000]) {
      const options = () => ({ heartbeat: 200, peerTimeout: 600 });
      const world = await together({ seed: 11, nodes: 3, options });
      const { network, nodes: [a, b] } = world;
      const publish = (key: string) => a?.mesh.publishAndAwait(key, "all", { timeout: 2000 }) as Promise<PublishResult>;
      // Both have tokens of the other.
      assertEquals((await network.clock.run(publish("before"), 2000)).acknowledgements.length, 2);
      b?.host.block(stall);
      await network.clock.runUntil(() => a?.mesh.peers().length === 1, 5000);
      await network.clock.runUntil(() => a?.mesh.peers().length === 2, 20_000);
      const begun = network.clock.now();
      assertEquals((await network.clock.run(publish("back"), 2000)).acknowledgements.length, 2, `${stall} ms`);
      const took = network.clock.now() - begun;
      assert(took < 500, `${stall} ms: ${took} ms`);
      await closeWorld(world);
    }
  });
});
