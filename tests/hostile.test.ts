// What strangers may send: bounded work, bounded memory, a counter, never an exception.

import { assert, assertEquals } from "@std/assert";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { MemoryNetwork, SeededRandom } from "../adapters/memory.ts";
import { type BindOptions, encodePacket, MeshBus } from "../mod.ts";
import { next, openMany, patient, withMeshes } from "./support/meshes.ts";
import { openOn } from "./support/worlds.ts";

const DATAGRAMS = 100_000;

/** The socket of somebody who is no node. */
const STRANGER: BindOptions = {
  host: "0.0.0.0",
  port: 0,
  shared: false,
  sendsMulticast: false,
  multicastLoopback: false,
  multicastTtl: 1,
};

/** Random bytes, real packets of random nodes, and real packets with some bytes changed, cut off or added. */
function hostileDatagram(random: SeededRandom): Uint8Array {
  const kind = random.below(10);
  if (kind === 0) return bytes(random, random.below(1500));
  const packet = realPacket(random);
  if (kind === 1) return packet;
  if (kind < 4) return packet.slice(0, random.below(packet.length));
  if (kind === 4) return Uint8Array.of(...packet, ...bytes(random, random.below(40)));
  for (let i = 1 + random.below(4); i > 0; i--) packet[random.below(packet.length)] = random.below(256);
  return packet;
}

function realPacket(random: SeededRandom): Uint8Array {
  const nodeId = bytes(random, 16);
  const type = 1 + random.below(3);
  if (type === 3) {
    const keys = Array.from({ length: random.below(40) }, () => bytes(random, random.below(30)));
    return encodePacket({ type: 3, nodeId, keys });
  }
  const hosts = ["10.9.9.9:1", "0.0.0.0:7946", "", "[::1]:7946", "a.example:7", "239.0.0.1:7946", "255.255.255.255:9"];
  const text = hosts[random.below(hosts.length)] as string;
  return encodePacket({ type: type === 1 ? 1 : 2, nodeId, keyHash: 0n, key: new TextEncoder().encode(text) });
}

function bytes(random: SeededRandom, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

test("100,000 random and mutated datagrams: all counted, nothing thrown, nothing grows", async () => {
  const seed = 20_261;
  const random = new SeededRandom(seed);
  const network = new MemoryNetwork({ seed });
  const { clock } = network;
  const node = await clock.run(openOn(network, 0, { maxPeers: 50 }), 1000);
  const witness = await clock.run(openOn(network, 1), 1000);
  await clock.advance(10);
  let events = 0;
  node.subscribe({ prefix: "" }, () => events++);
  const forgotten = node.subscribe({ prefix: "" });
  const stranger = await network.host("10.0.0.66").bind(STRANGER, { message() {}, error() {} });
  const before = { ...node.metrics(), timers: clock.pending, sent: network.stats.sent };
  for (let sent = 0; sent < DATAGRAMS; sent++) {
    void stranger.send(hostileDatagram(random), "10.0.0.1", 7946);
    if (sent % 50 === 49) await clock.advance(1);
  }
  await clock.advance(100);
  const after = node.metrics();
  const seen = (after.delivered - before.delivered) + (after.decodeErrors - before.decodeErrors);
  assert(Math.abs(seen - DATAGRAMS) < 20, `${seen} datagrams were counted, seed ${seed}`);
  for (const counter of ["decodeErrors", "invalidKeys", "unknownTypes", "keysReceived", "peersRefused"] as const) {
    assert(after[counter] > 100, `${counter} is ${after[counter]}, seed ${seed}`);
  }
  assertEquals(events, after.keysReceived);
  assertEquals([after.peers, node.peers().length <= 50, after.pending, after.callbackErrors], [50, true, 0, 0]);
  assert(clock.pending <= before.timers + 5, `${clock.pending} timers`);
  // 2.1 s have passed: the first heartbeats, and 128 answers at once and 128 in each second since.
  assert(network.stats.sent - before.sent - DATAGRAMS <= 128 * 3.2 + 200, `${network.stats.sent} datagrams`);
  let held = 0;
  forgotten.close();
  for await (const _ of forgotten) held++;
  assertEquals(held, 33);

  const got = node.subscribe("still here");
  await witness.publish("still here");
  await clock.advance(200);
  assertEquals(await got[Symbol.asyncIterator]().next(), {
    done: false,
    value: { key: "still here", cause: "publish" },
  });
  await clock.run(Promise.all([node.close(), witness.close(), stranger.close()]), 5000);
});

test("the same on a real socket: the node lives on and still hears its peer", () =>
  withMeshes(async (open) => {
    const random = new SeededRandom(7);
    const [node, peer] = await openMany(open, 2, { maxPeers: 50, heartbeat: 3_600_000 });
    assert(node && peer);
    const socket = createSocket("udp4");
    const ownPort = Number(node.address.split(":")[1]);
    const send = (datagram: Uint8Array) =>
      new Promise<void>((resolve) => socket.send(datagram, ownPort, "127.0.0.1", () => resolve()));
    for (let sent = 0; sent < 20_000; sent++) {
      const datagram = hostileDatagram(random);
      // Heartbeats would make the node answer to addresses that are not this machine's: the other tests have them.
      if (datagram[1] !== 2) await send(datagram);
      if (sent % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await patient(new Promise<void>((resolve) => socket.close(() => resolve())), () => "the socket to close");
    const got = node.subscribe("still here");
    await peer.publish("still here");
    assertEquals((await next(got)).key, "still here");
    const { decodeErrors, delivered, peers } = node.metrics();
    assert(decodeErrors > 100 && delivered > 100, `${decodeErrors} and ${delivered} datagrams`);
    assertEquals(peers, 1);
    assert(node.isHealthy());
  }));

test("nothing that a heartbeat says makes a node look up a name, or send to a group, a network or itself", async () => {
  const network = new MemoryNetwork({ seed: 3 });
  const looked: string[] = [];
  const { bind, clock, randomBytes, networkInterfaces } = network.host("10.0.0.1");
  const resolve = (host: string) => (looked.push(host), Promise.resolve([]));
  const node = await network.clock.run(MeshBus.open({ bind, clock, randomBytes, networkInterfaces, resolve }), 1000);
  const stranger = await network.host("10.0.0.66").bind({ ...STRANGER, port: 5000 }, { message() {}, error() {} });
  const targets = new Set<string>();
  network.tap(({ from, to }) => from.host !== "10.0.0.66" && targets.add(`${to.host}:${to.port}`));
  const addresses = [
    node.address,
    "10.0.0.255:7946",
    "127.255.255.255:7946",
    "127.0.0.1:5353",
    "evil.example:80",
    "239.0.0.1:7946",
    "255.255.255.255:7946",
    "0.0.0.0:0",
    "not an address",
    "[::1]:9",
    `[${"a".repeat(1500)}]:9`,
  ];
  for (const [i, address] of addresses.entries()) {
    const nodeId = new Uint8Array(16).fill(i + 1);
    await stranger.send(
      encodePacket({ type: 2, nodeId, keyHash: 0n, key: new TextEncoder().encode(address) }),
      "10.0.0.1",
      7946,
    );
  }
  await network.clock.advance(10);
  await node.publish("key");
  await network.clock.advance(10);
  assertEquals(looked, []);
  const expected = ["10.0.0.66:5000", "10.0.0.66:7946", "10.0.0.66:80", "10.0.0.66:9", "239.0.0.1:7946"];
  assertEquals([...targets].sort(), expected);
  assert(node.peers().every((address) => address.length < 30), `${node.peers()}`);
  await network.clock.run(Promise.all([node.close(), stranger.close()]), 5000);
});

test("a datagram longer than any node sends is refused whole, on every runtime alike", async () => {
  const network = new MemoryNetwork({ seed: 4 });
  const node = await network.clock.run(openOn(network, 0), 1000);
  const stranger = await network.host("10.0.0.66").bind(STRANGER, { message() {}, error() {} });
  const batch = (keys: number) =>
    encodePacket({
      type: 3,
      nodeId: new Uint8Array(16),
      keys: Array.from({ length: keys }, () => new Uint8Array(98).fill(97)),
    });
  await stranger.send(batch(20), "10.0.0.1", 7946); // 2,020 bytes
  await stranger.send(batch(21), "10.0.0.1", 7946); // 2,120 bytes
  await network.clock.advance(10);
  assertEquals([node.metrics().keysReceived, node.metrics().decodeErrors], [20, 1]);
  await network.clock.run(Promise.all([node.close(), stranger.close()]), 5000);
});
