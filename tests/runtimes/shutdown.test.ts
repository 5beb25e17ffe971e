// Shutdown: a node closes while its process still publishes, on the simulated network and on real sockets. All keys are
// sent, or its peers get a gap.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { ClosedError, MeshBus, type MeshOptions, type SyncEvent } from "../../mod.ts";
import { openMany, patient, withMeshes } from "../support/meshes.ts";
import { outcomeOf } from "../support/outcome.ts";

interface Pair {
  readonly network: MemoryNetwork;
  readonly writer: MeshBus;
  readonly reader: MeshBus;
  /** The events of the reader's subscription to everything. */
  readonly got: SyncEvent[];
  /** Keys of them that were published. */
  keys(): string[];
  gaps(): number;
}

async function openPair(options: MeshOptions = {}, seed = 1): Promise<Pair> {
  const network = new MemoryNetwork({ seed, delay: { min: 0.1, max: 1 } });
  const writer = await MeshBus.open({ ...network.host("10.0.0.1"), ...options });
  const reader = await MeshBus.open({ ...network.host("10.0.0.2"), ...options });
  const got: SyncEvent[] = [];
  reader.subscribe({ prefix: "" }, (event) => void got.push(event));
  await network.clock.runUntil(() => reader.peers().length === 1 && writer.peers().length === 1, 5000);
  await network.clock.advance(1000);
  return {
    network,
    writer,
    reader,
    got,
    keys: () => got.filter(({ cause }) => cause === "publish").map(({ key }) => key),
    gaps: () => got.filter(({ cause }) => cause === "gap").length,
  };
}

describe("keys that are published around close", () => {
  test("are accepted when they wait for room, and all arrive", async () => {
    const { network, writer, reader, keys, gaps } = await openPair();
    const publishes = Array.from({ length: 3000 }, (_, i) => outcomeOf(writer.publish(`k${i}`)));
    assertEquals(writer.metrics().waiting, 2000);
    const report = await network.clock.run(writer.close(), 2000);
    const outcomes = await network.clock.run(Promise.all(publishes), 10);
    assertEquals(outcomes.filter(({ state }) => state === "rejected").length, 0);
    assertEquals([new Set(keys()).size, gaps()], [3000, 0]);
    assertEquals(report, { isConfirmed: true, confirmed: 1, unconfirmed: [], unsent: 0, plain: 0 });
    await network.clock.run(reader.close(), 2000);
  });

  test("are refused, counted and a gap when they cannot be sent in time", async () => {
    // 200 datagrams of one key, ten of which leave in a second.
    const { network, writer, reader, gaps } = await openPair({ batchSize: 1, queueSize: 50, maxSendRate: 10 });
    const publishes = Array.from({ length: 200 }, (_, i) => outcomeOf(writer.publish(`k${i}`)));
    const report = await network.clock.run(writer.close(), 2000);
    const outcomes = await network.clock.run(Promise.all(publishes), 10);
    const refused = outcomes.filter(({ reason }) => reason instanceof ClosedError).length;
    assert(refused > 0);
    assert(report.unsent >= refused && !report.isConfirmed);
    await network.clock.advance(200);
    assertEquals(gaps(), 1);
    await network.clock.run(reader.close(), 2000);
  });

  test("are awaited by close at each peer that was there when it began, also when it was not heard since", async () => {
    const { network, writer, reader, keys } = await openPair({ batchSize: 1, heartbeat: 100, maxSendRate: 20 });
    const { clock } = network;
    // Sixteen datagrams leave at once. The others take two heartbeats, during which the reader is not heard.
    for (let i = 0; i < 20; i++) void writer.publish(`k${i}`);
    const closing = writer.close();
    network.cut("10.0.0.2", "10.0.0.1");
    await clock.advance(400);
    network.heal();
    const report = await clock.run(closing, 1000);
    assertEquals([report, new Set(keys()).size], [
      { isConfirmed: true, confirmed: 1, unconfirmed: [], unsent: 0, plain: 0 },
      20,
    ]);
    await clock.run(reader.close(), 2000);
  });

  test("are accepted until the leave is sent", async () => {
    const { network, writer, reader, keys, gaps } = await openPair();
    void writer.publish("first");
    const closing = writer.close();
    const late = outcomeOf(writer.publish("second"));
    await network.clock.run(closing, 2000);
    assertEquals((await late).state, "fulfilled");
    assertEquals([keys().sort(), gaps()], [["first", "second"], 0]);
    await network.clock.run(reader.close(), 2000);
  });

  for (const after of [0, 1, 5, 20, 40, 400, 60_000]) {
    test(`are a gap when they are refused ${after} ms after close was called, and the leave is not clean`, async () => {
      const { network, writer, reader, keys, gaps } = await openPair({}, after + 1);
      const closing = writer.close();
      await network.clock.advance(after);
      const late = outcomeOf(writer.publish("late"));
      await network.clock.run(closing, 2000);
      const { state, reason } = await network.clock.run(late, 2000);
      await network.clock.advance(200);
      // The key is accepted or refused, and the reader knows in both cases.
      if (state === "rejected") assert(reason instanceof ClosedError);
      assertEquals([keys().length, gaps()], state === "rejected" ? [0, 1] : [1, 0]);
      if (after >= 400) assertEquals(state, "rejected");
      assertEquals(reader.status().state, "current");
      await network.clock.run(reader.close(), 2000);
    });
  }

  test("are a gap each when they are refused later, and one gap together at the same moment", async () => {
    const { network, writer, reader, gaps } = await openPair();
    await network.clock.run(writer.close(), 2000);
    for (let round = 1; round <= 3; round++) {
      const late = Promise.allSettled(["a", "b", "c"].map((key) => writer.publish(key)));
      await network.clock.run(late, 2000);
      await network.clock.advance(200);
      assertEquals(gaps(), round);
    }
    await network.clock.run(reader.close(), 2000);
  });

  test("cause 32 gaps and then one a second when they are refused again and again, and a last one", async () => {
    const { network, writer, reader, gaps } = await openPair();
    await network.clock.run(writer.close(), 2000);
    const start = network.clock.now();
    for (let i = 0; i < 100; i++) {
      await network.clock.run(outcomeOf(writer.publish("late")), 2000);
      await network.clock.advance(10);
    }
    const seconds = Math.ceil((network.clock.now() - start) / 1000);
    await network.clock.advance(100);
    const before = gaps();
    // A gap that is due comes with a heartbeat.
    assert(before <= 32 + seconds + 5, `${before} gaps in ${seconds} s`);
    await network.clock.advance(10_000);
    assert(gaps() > before);
    await network.clock.run(reader.close(), 2000);
  });

  test("are refused with the number of peers that could not be told", async () => {
    const { network, writer, reader } = await openPair();
    await network.clock.run(writer.close(), 2000);
    const first = await network.clock.run(outcomeOf(writer.publish("late")), 2000);
    assertEquals((first.reason as ClosedError).untold, 0);
    network.partition([["10.0.0.1"], ["10.0.0.2"]]);
    const { reason } = await network.clock.run(outcomeOf(writer.publish("late")), 2000);
    assertEquals([(reason as ClosedError).untold, (reason as Error).message], [
      1,
      "Cannot publish as the bus is closed, and 1 of its peers could not be told that something has changed",
    ]);
    network.heal();
    await network.clock.run(reader.close(), 2000);
  });

  test("are refused with that number when no socket can be opened any more, and nothing stays open", async () => {
    const network = new MemoryNetwork({ seed: 1 });
    const ports = network.host("10.0.0.1");
    let isFull = false;
    let binds = 0;
    const closes: Promise<void>[] = [];
    const writer = await MeshBus.open({
      ...ports,
      interface: ["10.0.0.1"],
      bind: async (options, handlers) => {
        // The first socket can be opened, and the second cannot.
        if (isFull && ++binds > 1) throw new Error("too many open files");
        const socket = await ports.bind(options, handlers);
        const close = socket.close.bind(socket);
        if (isFull) socket.close = () => (closes.push(close()), closes.at(-1) as Promise<void>);
        return socket;
      },
    });
    const reader = await MeshBus.open(network.host("10.0.0.2"));
    await network.clock.run(writer.waitForPeers(1), 5000);
    await network.clock.run(writer.close(), 2000);
    isFull = true;
    const { reason } = await network.clock.run(outcomeOf(writer.publish("late")), 2000);
    assertEquals([(reason as ClosedError).untold, binds, closes.length], [1, 2, 1]);
    await network.clock.run(reader.close(), 2000);
  });

  test("that are invalid are an error with the rule, and no gap", async () => {
    const { network, writer, reader, gaps } = await openPair();
    await network.clock.run(writer.close(), 2000);
    await assertRejects(() => writer.publish(7 as unknown as string), TypeError, "must be a well-formed string");
    await assertRejects(() => writer.publish("x".repeat(2000)), RangeError, "must fit one datagram");
    await network.clock.advance(1000);
    assertEquals(gaps(), 0);
    await network.clock.run(reader.close(), 2000);
  });

  test("leave nothing behind when they are refused after both nodes have left", async () => {
    const { network, writer, reader } = await openPair();
    await network.clock.run(Promise.all([writer.close(), reader.close()]), 2000);
    await network.clock.run(outcomeOf(writer.publish("late")), 2000);
    await network.clock.advance(1000);
    assertEquals(network.clock.pending, 0);
  });
});

describe("on real sockets", () => {
  test("all keys that were published before close arrive", () =>
    withMeshes(async (open) => {
      const [writer, reader] = await openMany(open, 2) as [MeshBus, MeshBus];
      const keys = new Set<string>();
      const all = new Promise<void>((resolve) => {
        reader.subscribe({ prefix: "" }, ({ key }) => void (keys.add(key).size === 3000 && resolve()));
      });
      const publishes = Array.from({ length: 3000 }, (_, i) => writer.publish(`k${i}`));
      const report = await writer.close();
      await Promise.all(publishes);
      await patient(all, () => `${keys.size} keys`);
      assertEquals(report, { isConfirmed: true, confirmed: 1, unconfirmed: [], unsent: 0, plain: 0 });
    }));

  test("a key that is refused after close is a gap", () =>
    withMeshes(async (open) => {
      const [writer, reader] = await openMany(open, 2) as [MeshBus, MeshBus];
      await writer.close();
      const cause = new Promise((resolve) => void reader.subscribe("user:42", (event) => resolve(event.cause)));
      await assertRejects(() => writer.publish("user:42"), ClosedError);
      assertEquals(await patient(cause, () => "no event"), "gap");
    }));
});
