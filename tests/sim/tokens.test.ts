// Tokens on the network in memory: what was published on one node has been delivered where its token is reached.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { TokenError } from "../../mod.ts";
import { BATCH, CATCH_UP, NAK, STATE } from "./storm/wire.ts";
import { closeWorld, forSeeds, hostAddress, openWorld, type World, type WorldOptions } from "./worlds.ts";

async function together(options: WorldOptions): Promise<World> {
  const world = await openWorld(options);
  const { network, nodes } = world;
  await network.clock.runUntil(() => nodes.every(({ mesh }) => mesh.peers().length === nodes.length - 1), 10_000);
  await network.clock.advance(1000);
  return world;
}

function pair(world: World) {
  const [a, b] = world.nodes;
  assert(a !== undefined && b !== undefined);
  return { a, b, network: world.network, clock: world.network.clock };
}

const STILL = () => ({ heartbeat: 60_000 });

describe("a token is reached", () => {
  test("with heavy loss, only when everything that its node had accepted was delivered", () =>
    forSeeds(60, async (seed) => {
      const world = await together({ seed, nodes: 3, options: () => ({ heartbeat: 500 }) });
      const { network, nodes, random } = world;
      network.set({ loss: random.next() * 0.4, duplicate: 0.2, reorder: 0.3, reorderBy: 10 });
      const [writer, ...readers] = nodes;
      const written: string[] = [];
      let reached = 0;
      let others = 0;
      for (let i = 0; i < 80; i++) {
        written.push(`key:${i}`);
        void writer?.mesh.publish(`key:${i}`);
        const token = writer?.mesh.token() ?? "";
        const expected = [...written];
        const reader = readers[i % 2];
        reader?.mesh.reached(token, { timeout: 3000 }).then(() => {
          reached++;
          const got = new Set(reader.got);
          for (const key of expected) assert(got.has(key) || got.has(""), `${key} has not come`);
        }, (error) => {
          assert(error instanceof TokenError, String(error));
          others++;
        });
        await network.clock.advance(random.below(30));
      }
      await network.clock.advance(3000);
      assertEquals(reached + others, 80);
      assert(reached > 60, `${reached} were reached`);
      network.set({ loss: 0, duplicate: 0, reorder: 0 });
      await closeWorld(world);
    }));

  test("without a datagram of its own when nothing is missing", async () => {
    const world = await together({ seed: 1, nodes: 2, options: STILL });
    const { a, b, clock, network } = pair(world);
    await clock.run(a.mesh.publish("key"), 100);
    const token = a.mesh.token();
    await clock.advance(10);
    let sent = 0;
    network.tap(({ fate, data }) => {
      if (fate === "sent" && data[1] !== STATE) sent++;
    });
    await clock.run(b.mesh.reached(token), 1);
    await clock.advance(100);
    assertEquals([b.got, sent], [["key"], 0]);
    await closeWorld(world);
  });

  test("after the retransmission of a lost batch, which it makes known within 25 ms", async () => {
    const world = await together({ seed: 2, nodes: 2, options: STILL });
    const { a, b, clock, network } = pair(world);
    // Nothing else would show the loss.
    network.set({ drop: ({ data }) => data[1] === BATCH || data[1] === STATE && data.length === 40 });
    await clock.run(a.mesh.publish("key"), 100);
    const types: number[] = [];
    network.tap(({ fate, data, from }) => {
      if (fate === "sent" && from.host === hostAddress(1)) types.push(data[1] as number);
    });
    const reached = b.mesh.reached(a.mesh.token());
    await clock.advance(15);
    network.set({ drop: ({ data }) => data[1] === STATE && data.length === 40 });
    await clock.run(reached, 100);
    assertEquals([b.got, types], [["key"], [CATCH_UP, NAK]]);
    await closeWorld(world);
  });

  test("when subscribers have heard of the gap that covers what cannot be had any more", async () => {
    const world = await together({ seed: 3, nodes: 2, options: () => ({ heartbeat: 500, repairAge: 100 }) });
    const { a, b, clock, network } = pair(world);
    network.partition([[hostAddress(0)], [hostAddress(1)]]);
    await clock.run(a.mesh.publish("lost"), 100);
    const token = a.mesh.token();
    await clock.advance(700);
    const order: string[] = [];
    b.mesh.subscribe("other", ({ cause }) => order.push(cause));
    const reached = b.mesh.reached(token, { timeout: 5000 }).then(() => order.push("reached"));
    network.heal();
    await clock.run(reached, 5000);
    assertEquals(order, ["gap", "reached"]);
    await closeWorld(world);
  });

  test("when subscribers have heard of a second gap that has to wait for its round", async () => {
    const world = await together({ seed: 4, nodes: 3, options: () => ({ heartbeat: 500, repairAge: 100 }) });
    const { network, nodes: [a, b, c] } = world;
    const { clock } = network;
    const order: string[] = [];
    c?.mesh.subscribe("other", ({ cause }) => order.push(`${cause} ${clock.now().toFixed()}`));
    network.partition([[hostAddress(0)], [hostAddress(1)], [hostAddress(2)]]);
    for (const node of [a, b]) await clock.run(node?.mesh.publish("lost") as Promise<void>, 100);
    const tokens = [a, b].map((node) => node?.mesh.token() ?? "");
    await clock.advance(700);
    const reached = tokens.map((token, i) =>
      c?.mesh.reached(token, { timeout: 5000 }).then(() => order.push(`reached ${i}`))
    );
    network.heal();
    await clock.run(Promise.all(reached), 5000);
    const gaps = order.filter((line) => line.startsWith("gap"));
    assertEquals(gaps.length, 2);
    assert(order.indexOf(gaps[1] ?? "") < order.length - 1, order.join());
    assertEquals(order.at(-1)?.startsWith("reached"), true);
    await closeWorld(world);
  });
});

describe("a token is not reached", () => {
  test("when its node has crashed with what it stands for", async () => {
    const world = await together({ seed: 6, nodes: 2, options: () => ({ heartbeat: 200, peerTimeout: 600 }) });
    const { a, b, clock, network } = pair(world);
    network.partition([[hostAddress(0)], [hostAddress(1)]]);
    await clock.run(a.mesh.publish("lost"), 100);
    const token = a.mesh.token();
    const gone = assertRejects(() => b.mesh.reached(token, { timeout: 5000 }), TokenError);
    const error = await clock.run(gone, 5000);
    assertEquals([error.reason, error.node], ["gone", a.mesh.nodeId]);
    await closeWorld(world);
  });

  test("when it is of another mesh, or of a node that is not met in time", async () => {
    const world = await together({ seed: 7, nodes: 1 });
    const other = await together({ seed: 8, nodes: 1 });
    const [a] = world.nodes;
    const [c] = other.nodes;
    await other.network.clock.run(c?.mesh.publish("key") as Promise<void>, 100);
    const refused = assertRejects(() => a?.mesh.reached(c?.mesh.token() ?? "") as Promise<void>, TokenError);
    assertEquals((await world.network.clock.run(refused, 2000)).reason, "unknown");
    await closeWorld(world);
    await closeWorld(other);
  });
});
