// The unicast copy budget: how many copies of batches go to plain nodes and seeds, which cannot be challenged.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual, assertStrictEquals } from "@std/assert";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { encodePacket, type MeshEvent } from "../../mod.ts";
import { hearPlain, type PlainDestination, UnicastCopyBudget } from "../../src/membership/unicast_copy_budget.ts";
import { type Endpoint, formatAddress } from "../../src/platform/endpoint.ts";
import { openOn } from "../sim/worlds.ts";
import { MemoryPlainPeer } from "../support/memory_plain_peer.ts";
import { addressOf, heardFrom, idOf, join, nameOf, placeOf, tableOn } from "../support/peers.ts";

const HEARTBEAT = 1000;
const NONE: readonly Endpoint[] = [];

function setUp(config: { plain?: readonly PlainDestination[]; seeds?: readonly Endpoint[] } = {}) {
  const clock = new VirtualClock();
  const events: MeshEvent[] = [];
  const { plain = [], seeds = NONE } = config;
  const limit = new UnicastCopyBudget({
    clock,
    plain: () => plain,
    seeds: () => seeds,
    emit: (event) => events.push(event),
  });
  /** How often each endpoint is allowed, of so many batches. */
  const send = (batches: number, all: readonly Endpoint[]) => {
    const counts = new Map(all.map(({ host, port }) => [formatAddress(host, port), 0]));
    for (let i = 0; i < batches; i++) {
      for (const { host, port } of limit.allowed(all)) {
        const name = formatAddress(host, port);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    }
    return [...counts.values()];
  };
  return { clock, limit, events, send };
}

function endpoints(count: number, isEstablished: boolean, from = 1): readonly PlainDestination[] {
  return Array.from({ length: count }, (_, i) => ({ endpoint: placeOf(from + i), isEstablished }));
}

describe("copies of batches", () => {
  test("are not limited where there is no plain peer: the list is the very same", () => {
    const { limit } = setUp();
    const all = [placeOf(1), placeOf(2)];
    assertStrictEquals(limit.allowed(all), all);
  });

  test("to plain peers that are not established share 256 a second, in turn; others get all", async () => {
    const plain = endpoints(4, false);
    const { clock, send } = setUp({ plain });
    const all = [...plain.map(({ endpoint }) => endpoint), placeOf(50)];
    assertEquals(send(1000, all), [64, 64, 64, 64, 1000]);
    await clock.advance(500);
    assertEquals(send(1000, all), [32, 32, 32, 32, 1000]);
  });

  test("to those that are established share 10,000 a second", async () => {
    const plain = [...endpoints(2, true), ...endpoints(1, false, 10)];
    const { clock, send } = setUp({ plain });
    const all = plain.map(({ endpoint }) => endpoint);
    assertEquals(send(20_000, all), [5000, 5000, 256]);
    await clock.advance(1000);
    assertEquals(send(20_000, all), [5000, 5000, 256]);
  });

  test("to a plain peer at a seed, which the user has named, are those to an established one", () => {
    const plain = endpoints(1, false);
    const { send } = setUp({ plain, seeds: [placeOf(1)] });
    assertEquals(send(1000, [placeOf(1)]), [1000]);
  });

  test("that are not sent are counted, and reported once a second", async () => {
    const plain = endpoints(1, false);
    const { clock, events, limit, send } = setUp({ plain });
    send(256, [placeOf(1)]);
    assertEquals([limit.refused, events], [0, []]);
    send(100, [placeOf(1)]);
    assertEquals([limit.refused, events], [100, [{ type: "copiesLimited", refused: 1 }]]);
    await clock.advance(1000);
    send(257, [placeOf(1)]);
    assertEquals([limit.refused, events.slice(1)], [101, [{ type: "copiesLimited", refused: 100 }]]);
  });
});

describe("a plain peer is established", () => {
  const start = (index = 1) => {
    const clock = new VirtualClock();
    const { table } = tableOn(clock, { heartbeat: HEARTBEAT });
    const entry = join(table, index, { validated: false, extended: false });
    const hear = (source: Endpoint = placeOf(index)) => {
      table.onHeartbeat(heardFrom(index, { extended: false, source, advertised: "" }));
      const isChanged = hearPlain(entry, source, clock.now(), HEARTBEAT);
      if (isChanged) table.changed();
      return entry.plain.isEstablished;
    };
    return { clock, table, entry, hear };
  };

  test("when it was heard three times over 1.25 heartbeats, and its endpoint is another object then", async () => {
    const { clock, table, hear } = start();
    assertEquals(hear(), false);
    assertEquals(table.plainCopies(), [{ endpoint: placeOf(1), isEstablished: false }]);
    await clock.advance(700);
    assertEquals(hear(), false);
    await clock.advance(549);
    assertEquals(hear(), false);
    await clock.advance(1);
    assertEquals(hear(), true);
    assertEquals(table.plainCopies(), [{ endpoint: placeOf(1), isEstablished: true }]);
  });

  test("not by two heartbeats, however far apart", async () => {
    const { clock, hear } = start();
    hear();
    await clock.advance(10 * HEARTBEAT);
    assertEquals([hear(), hear()], [false, true]);
  });

  test("not by heartbeats from elsewhere", async () => {
    const { clock, hear } = start();
    hear();
    for (let i = 0; i < 5; i++) {
      await clock.advance(HEARTBEAT);
      assertEquals(hear(placeOf(2)), false);
    }
  });

  test("anew at an endpoint to which it has moved", async () => {
    const { clock, entry, hear } = start();
    for (let i = 0; i < 3; i++) {
      hear();
      await clock.advance(HEARTBEAT);
    }
    assertEquals(entry.plain.isEstablished, true);
    await clock.advance(20 * HEARTBEAT);
    assertEquals(hear(placeOf(2)), false);
    assertEquals(entry.isAt(placeOf(2)), true);
  });

  test("and stays where it is heard, whatever is sent in its name, until it has been silent there for a while", async () => {
    const { clock, table, entry } = start();
    const hear = (index: number) => {
      table.onHeartbeat(heardFrom(1, { extended: false, source: placeOf(index), advertised: addressOf(index) }));
      hearPlain(entry, placeOf(index), clock.now(), HEARTBEAT);
    };
    for (let i = 0; i < 20; i++) {
      hear(1);
      if (i > 3) hear(2);
      await clock.advance(HEARTBEAT);
    }
    assertEquals([entry.isAt(placeOf(1)), entry.address, entry.plain.isEstablished], [true, addressOf(1), true]);
    await clock.advance(20 * HEARTBEAT);
    hear(2);
    assertEquals([entry.isAt(placeOf(2)), entry.address], [true, addressOf(2)]);
  });

  test("where one of those that share its endpoint is", async () => {
    const { clock, table, hear } = start();
    table.onHeartbeat(heardFrom(2, { extended: false, source: placeOf(1), advertised: addressOf(1) }));
    for (let i = 0; i < 3; i++) {
      hear();
      await clock.advance(HEARTBEAT);
    }
    assertEquals(table.plainCopies(), [{ endpoint: placeOf(1), isEstablished: true }]);
    table.remove(nameOf(1));
    assertEquals(table.plainCopies(), [{ endpoint: placeOf(1), isEstablished: false }]);
  });
});

test("512 forged heartbeats of plain nodes beside a publisher at full speed: it sends them 360 kB a second at most", async () => {
  const network = new MemoryNetwork({ seed: 3, delay: { min: 0.1, max: 0.1 } });
  const { clock } = network;
  const options = { heartbeat: 5000, queueSize: 100_000 };
  const node = await clock.run(openOn(network, 0, options), 1000);
  const peer = await clock.run(openOn(network, 1, options), 1000);
  const plain = await MemoryPlainPeer.open("10.0.0.50", network.host("10.0.0.50"), { heartbeat: 5000 });
  await clock.advance(16_000);
  const keys: string[] = [];
  const events: MeshEvent[] = [];
  node.events.listen((event) => events.push(event));
  peer.subscribe({ prefix: "" }, ({ key }) => keys.push(key));
  const forged = { sent: 0, bytes: 0 };
  network.tap(({ fate, to, data }) => {
    if (fate !== "sent" || !to.host.startsWith("10.7.")) return;
    forged.sent++;
    forged.bytes += data.length;
  });
  for (let i = 0; i < 512; i++) {
    // It is reached where it is heard: anywhere, for a sender of forged sources.
    const host = `10.7.${i >> 8}.${(i & 255) % 250 + 1}`;
    const key = new TextEncoder().encode(`${host}:7946`);
    await forge(network, host, encodePacket({ type: 2, nodeId: idOf(100 + i), keyHash: 0n, key }));
  }
  await clock.advance(10);
  assert(node.metrics().peers > 500, `${node.metrics().peers} peers`);
  const before = { ...forged, at: clock.now() };
  for (let i = 0; i < 60_000; i++) void node.publish(`key:${i}:${"k".repeat(50)}`);
  await clock.advance(3000);
  const seconds = (clock.now() - before.at) / 1000;
  const [sent, bytes] = [forged.sent - before.sent, forged.bytes - before.bytes];
  assertLessOrEqual(sent, 256 * (seconds + 1));
  assertLessOrEqual(bytes, 1400 * 256 * (seconds + 1));
  // Nodes that are there get all.
  assertEquals([keys.length, new Set(plain.keys).size], [60_000, 60_000]);
  assert(node.metrics().copiesRefused > 100_000, `${node.metrics().copiesRefused}`);
  const reported = events.filter(({ type }) => type === "copiesLimited").length;
  assert(reported >= 1 && reported <= seconds + 1, `${reported} events`);
  await plain.close();
  await clock.run(Promise.all([node.close(), peer.close()]), 5000);
});

/** Sends a datagram with a forged source. */
async function forge(network: MemoryNetwork, from: string, datagram: Uint8Array): Promise<void> {
  const socket = await network.host(from).bind(
    { host: "0.0.0.0", port: 7946, shared: true, sendsMulticast: false, multicastLoopback: false, multicastTtl: 1 },
    { message() {}, error() {} },
  );
  await socket.send(datagram, "10.0.0.1", 7946);
  await socket.close();
}
