// Hostile input: packets of unknown nodes cause bounded work and bounded memory, are counted, and never throw.

import { assert, assertEquals } from "@std/assert";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { MemoryNetwork, SeededRandom } from "../../adapters/memory.ts";
import {
  type BindOptions,
  decodeExtension,
  decodePacket,
  encodeExtension,
  encodePacket,
  type Extension,
  MeshBus,
  type MeshMetrics,
  type MeshOptions,
  QuorumNotSatisfiedError,
  type SyncEvent,
} from "../../mod.ts";
import { encodeControl } from "../../src/wire/extension.ts";
import type { DeliveredBatch } from "../../src/wire/outcomes.ts";
import { fromHex, nodeIdBytes } from "../support/hex.ts";
import { next, openMany, patient, withMeshes } from "../support/meshes.ts";
import { sized } from "../support/size.ts";
import { openOn } from "./worlds.ts";

const DATAGRAMS = sized(100_000, 40_000);

/** The socket of a sender that is no node. */
const SENDER: BindOptions = {
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

test(`${DATAGRAMS} random and mutated datagrams: all counted, nothing thrown, nothing grows`, async () => {
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
  const unknownNode = await network.host("10.0.0.66").bind(SENDER, { message() {}, error() {} });
  const before = { ...node.metrics(), timers: clock.pending, sent: network.stats.sent };
  for (let sent = 0; sent < DATAGRAMS; sent++) {
    void unknownNode.send(hostileDatagram(random), "10.0.0.1", 7946);
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
  // The witness, and the half of the table that plain nodes may take: those cannot be validated.
  assertEquals([after.peers, node.peers().length <= 26, after.pending, after.callbackErrors], [26, true, 0, 0]);
  assert(clock.pending <= before.timers + 5, `${clock.pending} timers`);
  // 2.1 s have passed: the first heartbeats, and 128 responses at once and 128 in each second since.
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
  await clock.run(Promise.all([node.close(), witness.close(), unknownNode.close()]), 5000);
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
      // Heartbeats would make the node respond to addresses that are not this machine's: the other tests have them.
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
  const { bind, clock, randomBytes, resolveSrv, networkInterfaces } = network.host("10.0.0.1");
  const resolve = (host: string) => (looked.push(host), Promise.resolve([]));
  const node = await network.clock.run(
    MeshBus.open({ bind, clock, randomBytes, networkInterfaces, resolve, resolveSrv }),
    1000,
  );
  const unknownNode = await network.host("10.0.0.66").bind({ ...SENDER, port: 5000 }, { message() {}, error() {} });
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
    await unknownNode.send(
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
  await network.clock.run(Promise.all([node.close(), unknownNode.close()]), 5000);
});

test("a datagram longer than any node sends is refused whole on every runtime", async () => {
  const network = new MemoryNetwork({ seed: 4 });
  const node = await network.clock.run(openOn(network, 0), 1000);
  const unknownNode = await network.host("10.0.0.66").bind(SENDER, { message() {}, error() {} });
  const batch = (keys: number) =>
    encodePacket({
      type: 3,
      nodeId: new Uint8Array(16),
      keys: Array.from({ length: keys }, () => new Uint8Array(98).fill(97)),
    });
  await unknownNode.send(batch(20), "10.0.0.1", 7946); // 2,020 bytes
  await unknownNode.send(batch(21), "10.0.0.1", 7946); // 2,120 bytes
  await network.clock.advance(10);
  assertEquals([node.metrics().keysReceived, node.metrics().decodeErrors], [20, 1]);
  await network.clock.run(Promise.all([node.close(), unknownNode.close()]), 5000);
});

/** A host that does not belong to the mesh. */
const VICTIM = "10.0.0.77";
const HIGHEST = 2 ** 48 - 1;

function heartbeat(nodeId: Uint8Array, address: string, extension: Extension = {}): Uint8Array {
  const body = encodePacket({ type: 2, nodeId, keyHash: 0n, key: new TextEncoder().encode(address) });
  return Uint8Array.of(...body, ...encodeExtension(extension));
}

function batch(nodeId: Uint8Array, key: string, number: number): Uint8Array {
  const body = encodePacket({ type: 3, nodeId, keys: [new TextEncoder().encode(key)] });
  return Uint8Array.of(...body, ...encodeExtension({ number }));
}

/**
 * Three nodes, an unknown node that sends what it likes, and a victim: everything that is sent to its address is
 * counted.
 */
async function underAttack(options: MeshOptions = {}) {
  const network = new MemoryNetwork({ seed: 11 });
  const { clock } = network;
  const limits = { maxPeers: 20, heartbeat: 500, peerTimeout: 2000, repairAge: 60_000 };
  const nodes = await clock.run(Promise.all([0, 1, 2].map((i) => openOn(network, i, { ...limits, ...options }))), 1000);
  const [a, b, c] = nodes as [MeshBus, MeshBus, MeshBus];
  await clock.advance(600);
  const unknownNode = await network.host("10.0.0.66").bind(SENDER, { message() {}, error() {} });
  const toVictim = { datagrams: 0, bytes: 0 };
  const toUnknown = { datagrams: 0, bytes: 0 };
  const forged = { datagrams: 0, bytes: 0 };
  network.tap(({ fate, from, to, data }) => {
    if (fate !== "sent") return;
    const count = from.host === "10.0.0.66"
      ? forged
      : to.host === VICTIM
      ? toVictim
      : to.host === "10.0.0.66"
      ? toUnknown
      : undefined;
    if (count === undefined) return;
    count.datagrams++;
    count.bytes += data.length;
  });
  const port = (mesh: MeshBus) => Number(mesh.address.split(":")[1]);
  const send = (datagram: Uint8Array, to: MeshBus = a) =>
    void unknownNode.send(datagram, to.address.split(":")[0] ?? "", port(to));
  /** Asserts that the mesh delivers everything and becomes current. */
  const assertAlive = async (states = ["current", "current", "current"]) => {
    await clock.advance(limits.peerTimeout + 2500);
    const got = nodes.map((node) => {
      const keys = new Set<string>();
      node.subscribe({ prefix: "alive:" }, ({ key }) => keys.add(key));
      return keys;
    });
    for (let i = 0; i < 30; i++) {
      for (const [from, node] of nodes.entries()) void node.publish(`alive:${from}:${i}`);
      await clock.advance(50);
    }
    await clock.advance(2000);
    assertEquals(got.map(({ size }) => size), [60, 60, 60]);
    for (const [index, node] of nodes.entries()) {
      const { state, peers } = node.status();
      assertEquals([state, peers.length, peers.map(({ missing }) => missing)], [states[index], 2, [0, 0]]);
      assertEquals(node.metrics().peers, 2);
    }
  };
  const close = async () => {
    await clock.run(Promise.all([...nodes.map((node) => node.close()), unknownNode.close()]), 5000);
    assertEquals(clock.pending, 0);
  };
  return { network, clock, a, b, c, nodes, unknownNode, send, toVictim, toUnknown, forged, assertAlive, close };
}

test("forged batches with any number, of unknown and of known nodes, stop nothing and let nothing grow", async () => {
  const { a, b, clock, send, toUnknown, assertAlive, close } = await underAttack();
  const random = new SeededRandom(3);
  for (let i = 0; i < 4000; i++) {
    const id = i % 4 === 0 ? nodeIdBytes(b.nodeId) : bytes(random, 16);
    send(batch(id, `forged:${i}`, i % 3 === 0 ? HIGHEST - random.below(1000) : 1 + random.below(1e6)));
    if (i % 20 === 19) await clock.advance(1);
  }
  assert(a.status().peers.length <= 2 * 20, `${a.status().peers.length} streams`);
  assert(a.metrics().naksSent > 0);
  // A second and a half have passed. Requests to unknown nodes are 128 at once and 128 a second.
  assert(toUnknown.datagrams <= 128 * 3, `${toUnknown.datagrams} datagrams`);
  await assertAlive();
  await close();
});

test("forged positions of known nodes make no receiver miss their keys", async () => {
  for (
    const position of [
      { last: HIGHEST - 1, oldest: 1, age: 0 },
      { last: HIGHEST - 1, oldest: HIGHEST, age: 0 },
      { last: 1000, oldest: 1001, age: Infinity },
      { last: 0, oldest: 1, age: Infinity },
    ]
  ) {
    const { a, b, clock, send, assertAlive, close } = await underAttack();
    for (let i = 0; i < 200; i++) {
      send(heartbeat(nodeIdBytes(b.nodeId), b.address, { position }));
      send(
        encodeControl(0x17, nodeIdBytes(b.nodeId), {
          position,
          nonce: i,
          token: new Uint8Array(8),
          base: { first: 999, age: 1e6 },
        }),
      );
      if (i % 10 === 9) await clock.advance(5);
    }
    assert(a.status().peers.length <= 40);
    const got: string[] = [];
    a.subscribe({ prefix: "now:" }, ({ key, cause }) => got.push(`${key} ${cause}`));
    for (let i = 0; i < 10; i++) {
      void b.publish(`now:${i}`);
      await clock.advance(20);
    }
    await clock.advance(500);
    assertEquals([...got].sort(), Array.from({ length: 10 }, (_, i) => `now:${i} publish`));
    assertEquals(a.metrics().gaps, 0);
    await assertAlive();
    await close();
  }
});

test("forged leaves end no peer for long", async () => {
  const { a, b, c, clock, send, toUnknown, forged, assertAlive, close } = await underAttack();
  const random = new SeededRandom(4);
  for (let i = 0; i < 1000; i++) {
    const id = i % 3 === 0 ? nodeIdBytes(b.nodeId) : i % 3 === 1 ? nodeIdBytes(c.nodeId) : bytes(random, 16);
    const last = [0, 5, HIGHEST][i % 3] as number;
    send(encodeControl(0x12, id, { position: { last, oldest: 1, age: 0 } }));
    if (i % 20 === 19) await clock.advance(10);
  }
  assert(a.status().peers.length <= 40);
  assert(toUnknown.bytes <= 1.5 * forged.bytes, `${toUnknown.bytes} bytes for ${forged.bytes}`);
  // A node that has left is not a peer again for five seconds.
  await clock.advance(5000);
  await assertAlive();
  await close();
});

test("forged NAKs get bounded answers, and no retransmissions without an address-validation token", async () => {
  const { a, b, clock, send, toUnknown, forged, assertAlive, close } = await underAttack();
  for (let i = 0; i < 100; i++) void a.publish(`key:${i}`.padEnd(60, "."));
  await clock.advance(600);
  const random = new SeededRandom(5);
  const before = a.metrics().retransmitsSent;
  const start = clock.now();
  for (let i = 0; i < 6000; i++) {
    const id = i % 2 === 0 ? nodeIdBytes(b.nodeId) : bytes(random, 16);
    const request = { stream: nodeIdBytes(a.nodeId), nonce: i };
    const token = i % 3 === 0 ? {} : { token: bytes(random, 8) };
    const ranges = i % 5 === 0 ? [{ from: 1, to: HIGHEST }] : [{ from: 1 + random.below(50), to: 60 }];
    if (i % 7 === 0) send(encodeControl(0x13, id, { ...request, since: random.below(2 ** 32) }));
    else send(encodeControl(0x10, id, { ...request, ...token, ranges }));
    if (i % 30 === 29) await clock.advance(2);
  }
  await clock.advance(10);
  const seconds = (clock.now() - start) / 1000;
  assertEquals(a.metrics().retransmitsSent, before);
  assert(a.metrics().naksReceived >= 5900 && a.metrics().naksRefused > 4000, `${a.metrics().naksRefused}`);
  assert(toUnknown.datagrams <= 256 * (1 + seconds), `${toUnknown.datagrams} answers in ${seconds} s`);
  assert(toUnknown.bytes <= 1.5 * forged.bytes);
  assertEquals(a.metrics().sendRate, 30_000);
  await assertAlive();
  await close();
});

test("a victim that forged heartbeats name gets one path challenge at each of 8 addresses, whatever they say", async () => {
  const listed = (first: number) =>
    Array.from({ length: 5 }, (_, i) => ({ id: new Uint8Array(16).fill(100 + i), host: VICTIM, port: first + i }));
  const { a, clock, network, send, toVictim, assertAlive, close } = await underAttack();
  const wrong: number[] = [];
  network.tap(({ fate, to, data }) => {
    if (fate !== "sent" || to.host !== VICTIM) return;
    const { type, rest } = decodePacket(data);
    const { nonce, peers, token } = decodeExtension(rest) ?? {};
    if (type !== 2 || nonce === undefined || peers !== undefined || token !== undefined) wrong.push(type);
  });
  // 15 nodes are said to be at the victim's address. Each is said to have published and to list more of them.
  const beat = (i: number, port: number) => {
    const position = { last: 1000, oldest: 1, age: 0 };
    const extension = { position, path: 2, peers: listed(5100), heard: nodeIdBytes(a.nodeId).slice(0, 4), echo: i };
    send(heartbeat(new Uint8Array(16).fill(i), `${VICTIM}:${port}`, extension));
  };
  for (let i = 1; i <= 15; i++) beat(i, 5000 + i);
  await clock.advance(1);
  assertEquals(a.metrics().peers, 2, "a node that has not responded is no peer");
  for (let i = 0; i < 300; i++) {
    const id = new Uint8Array(16).fill(1 + (i % 15));
    send(encodeControl(0x13, id, { stream: nodeIdBytes(a.nodeId), nonce: i, since: 1000 }));
    send(encodeControl(0x10, id, { stream: nodeIdBytes(a.nodeId), nonce: i, ranges: [{ from: 1, to: HIGHEST }] }));
    beat(1 + (i % 15), 5001 + ((7 * i) % 15));
    void a.publish(`key:${i}`);
    await clock.advance(1);
  }
  await clock.advance(1700);
  // None of them has responded, so their lists do not count. On one host 8 addresses are challenged, however many are
  // named.
  assertEquals([toVictim.datagrams, wrong], [8, []]);
  await assertAlive();
  await close();
});

test("a peer that lists a thousand others makes a node challenge each at most once, and 64 of one host", async () => {
  const { a, clock, network, send, toVictim, assertAlive, close } = await underAttack({ peerTimeout: 4000 });
  const id = new Uint8Array(16).fill(9);
  const position = { last: 0, oldest: 1, age: Infinity };
  const ports: number[] = [];
  let nonce: number | undefined;
  network.tap(({ fate, to, data }) => {
    if (fate !== "sent") return;
    if (to.host === VICTIM) ports.push(to.port);
    if (to.host !== "10.0.0.66") return;
    nonce = decodeExtension(decodePacket(data).rest)?.nonce ?? nonce;
  });
  send(heartbeat(id, "", { position }));
  await clock.advance(1);
  assert(nonce !== undefined);
  send(heartbeat(id, "", { position, echo: nonce }));
  await clock.advance(1);
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 1000; i += 25) {
      const peers = Array.from(
        { length: 25 },
        (_, j) => ({ id: bytes(new SeededRandom(i), 16), host: VICTIM, port: 6000 + i + j }),
      );
      send(heartbeat(id, "", { position, peers }));
    }
    await clock.advance(100);
  }
  // On one host 64 are challenged at once and one a second. What only a list has named is not passed on.
  assertEquals(new Set(ports).size, ports.length);
  assert(ports.length >= 64 && ports.length <= 64 + 1, `${ports.length}`);
  assertEquals(toVictim.datagrams, ports.length);
  assert(a.metrics().probesRefused >= 1000 - ports.length, `${a.metrics().probesRefused}`);
  // The node has responded, and is lost.
  await assertAlive(["partial", "current", "current"]);
  await close();
});

test("a flood of malformed extensions is dropped and counted", async () => {
  const { a, b, clock, send, assertAlive, close } = await underAttack();
  const block = fromHex("572b01" + "010006" + "000000000000");
  const body = encodePacket({ type: 3, nodeId: nodeIdBytes(b.nodeId), keys: [new TextEncoder().encode("never")] });
  let got = 0;
  a.subscribe("never", () => got++);
  const before = a.metrics().malformedExtensions;
  for (let i = 0; i < 1000; i++) {
    send(Uint8Array.of(...body, ...block.subarray(0, 2 + (i % 11))));
    send(Uint8Array.of(...body, ...block));
    if (i % 20 === 19) await clock.advance(1);
  }
  await clock.advance(10);
  // Three bytes are a whole block without records: such a batch is delivered.
  const whole = 1000 / 11;
  const malformed = a.metrics().malformedExtensions - before;
  assert(Math.abs(malformed - (2000 - whole)) < 2, `${malformed}`);
  assert(Math.abs(got - whole) < 2, `${got}`);
  await assertAlive();
  await close();
});

const DELIVERED = 0x16;
const CATCH_UP = 0x13;

/** A packet with one more record, whose value need not be one. */
function withRecord(packet: Uint8Array, tag: number, value: readonly number[]): Uint8Array {
  return Uint8Array.of(...packet, tag, value.length >> 8, value.length & 0xff, ...value);
}

/** What a promise has come to, as far as it is settled. */
function settlement<T>(promise: Promise<T>): { result: T | undefined; error: unknown } {
  const settled: { result: T | undefined; error: unknown } = { result: undefined, error: undefined };
  promise.then((result) => settled.result = result, (error) => settled.error = error);
  return settled;
}

test("forged delivery acknowledgements confirm nothing, and are counted", async () => {
  const { a, b, c, clock, network, send, assertAlive, close } = await underAttack();
  const [aId, bId, cId] = [a, b, c].map(({ nodeId }) => nodeIdBytes(nodeId)) as [Uint8Array, Uint8Array, Uint8Array];
  const tokens = new Map<string, Uint8Array>();
  const numbers = new Map<string, number>();
  network.tap(({ fate, from, to, data }) => {
    if (fate !== "sent" || from.host !== "10.0.0.1") return;
    const packet = decodePacket(data);
    const { token, number, more, retransmit } = decodeExtension(packet.rest) ?? {};
    if (token !== undefined) tokens.set(to.host, token.slice());
    for (const key of "keys" in packet ? packet.keys : []) {
      numbers.set(new TextDecoder().decode(key), number ?? more ?? retransmit ?? NaN);
    }
  });
  const releases: (() => void)[] = [];
  const hold = () => new Promise<void>((resolve) => releases.push(resolve));
  for (const node of [b, c]) {
    node.subscribe({ prefix: "held:" }, hold, { deliveredWhen: "settled", settleTimeout: 600_000 });
  }
  await a.publish("not awaited");
  await clock.advance(50);
  const timeout = 600_000;
  const all = settlement(a.publishAndAwait("held:all", "all", { timeout }));
  const one = settlement(a.publishAndAwait("held:one", 1, { timeout }));
  await clock.advance(50);
  assertEquals(releases.length, 4);
  const awaited = numbers.get("held:all") as number;
  const notAwaited = numbers.get("not awaited") as number;
  assert(awaited > notAwaited && notAwaited > 0, `${awaited}, ${notAwaited}`);
  assertEquals(numbers.get("held:one"), awaited, "One batch has both keys.");

  const ack = (id: Uint8Array, delivered: readonly DeliveredBatch[], token?: Uint8Array, stream = aId) =>
    encodeControl(DELIVERED, id, { stream, delivered, ...token && { token } });
  const whole: readonly DeliveredBatch[] = [{ number: awaited, outcomes: "delivered" }];
  // Nodes that have none are sent their token, and an unknown node gets one by a request.
  const unknown = new Uint8Array(16).fill(9);
  const unvalidated = new Uint8Array(16).fill(10);
  send(ack(bId, whole));
  send(ack(cId, whole));
  send(encodeControl(CATCH_UP, unknown, { stream: aId, nonce: 1, since: 1000 }));
  await clock.advance(5);
  const [bToken, cToken, unknownToken] = ["10.0.0.2", "10.0.0.3", "10.0.0.66"].map((host) => tokens.get(host));
  assert(bToken !== undefined && cToken !== undefined && unknownToken !== undefined);
  // A node that says all that a peer does, and has responded to no path challenge.
  const position = { last: 0, oldest: 1, age: Infinity };
  send(heartbeat(unvalidated, "", { position, node: { acknowledges: true, zone: "x" } }));
  await clock.advance(1);
  send(encodeControl(CATCH_UP, unvalidated, { stream: aId, nonce: 2, since: 1000 }));
  await clock.advance(1);
  const unvalidatedToken = tokens.get("10.0.0.66");
  assert(unvalidatedToken !== undefined && unvalidatedToken.join() !== unknownToken.join());
  assertEquals(a.metrics().peers, 2);

  const assertRefused = async (what: string, packet: Uint8Array, counts: Partial<MeshMetrics>) => {
    const before = a.metrics();
    send(packet);
    await clock.advance(2);
    const after = a.metrics();
    for (const [name, count] of Object.entries(counts) as [keyof MeshMetrics, number][]) {
      assertEquals(after[name] as number - (before[name] as number), count, `${what}: ${name}`);
    }
    assertEquals([all.result, all.error, one.result, one.error], [undefined, undefined, undefined, undefined], what);
    assertEquals(after.awaiting, 2, what);
  };
  const ignored = { acksIgnored: 1, malformedExtensions: 0 };
  for (const outcomes of ["delivered", "unsubscribed", "failed", ["delivered", "delivered"], []] as const) {
    const batches = [{ number: awaited, outcomes }];
    const what = JSON.stringify(outcomes);
    await assertRefused(`of an unknown node, ${what}`, ack(unknown, batches), ignored);
    await assertRefused(`of one with a token of its own, ${what}`, ack(unknown, batches, unknownToken), ignored);
    await assertRefused(`of one with that of a peer, ${what}`, ack(unknown, batches, bToken), ignored);
    await assertRefused(`of one that is not validated, ${what}`, ack(unvalidated, batches, unvalidatedToken), ignored);
    await assertRefused(`of a peer, without a token, ${what}`, ack(bId, batches), ignored);
    await assertRefused(`of a peer, with any token, ${what}`, ack(bId, batches, new Uint8Array(8)), ignored);
    await assertRefused(`of a peer, with that of another, ${what}`, ack(bId, batches, cToken), ignored);
    await assertRefused(`of a peer, with that of an unknown node, ${what}`, ack(cId, batches, unknownToken), ignored);
    await assertRefused(`of the node itself, ${what}`, ack(aId, batches, bToken), { acksIgnored: 0 });
    await assertRefused(`of another stream, ${what}`, ack(bId, batches, bToken, cId), { acksIgnored: 0 });
  }
  // Whoever sees the datagrams of a peer has its token. These batches are none that it can acknowledge.
  for (const number of [1, notAwaited, awaited + 1, awaited + 1000, HIGHEST]) {
    if (number === awaited) continue;
    await assertRefused(`of batch ${number}`, ack(bId, [{ number, outcomes: "delivered" }], bToken), ignored);
  }
  const many = Array.from({ length: 64 }, (_, i) => ({ number: awaited + 1 + i, outcomes: "delivered" as const }));
  await assertRefused("of 64 batches", ack(bId, many, bToken), { ...ignored, acksIgnored: 64 });
  await assertRefused("without outcomes", ack(bId, [{ number: awaited, outcomes: [] }], bToken), ignored);
  const short = [{ number: awaited, outcomes: [undefined] }];
  await assertRefused("with too few outcomes", ack(bId, short, bToken), ignored);

  const control = encodeControl(DELIVERED, bId, { stream: aId, token: bToken });
  const u48 = [0, 0, 0, 0, 0, awaited];
  for (
    const value of [
      [],
      u48,
      u48.slice(1),
      [0, 0, 0, 0, 0, 0, 1],
      [...u48, 4],
      [...u48, 255],
      [...u48, 3],
      [...u48, 3, 0],
      [...u48, 3, 0, 1],
      [...u48, 3, 0, 5, 0x55],
      [...u48, 3, 255, 255, 0x55, 0x55],
      [...u48, 1, ...u48],
      Array.from({ length: 65 }, () => [...u48, 1]).flat(),
    ]
  ) {
    const counts = { acksIgnored: 0, malformedExtensions: 1 };
    await assertRefused(`the record ${value}`, withRecord(control, 25, value), counts);
  }
  await assertRefused("no record", control, { acksIgnored: 0, malformedExtensions: 1 });

  for (const release of releases) release();
  await clock.advance(100);
  const answers = [b, c].map(({ nodeId }) => ({ node: nodeId, outcome: "delivered" }));
  const byNode = (list: readonly { readonly node: string }[] = []) =>
    [...list].sort((x, y) => x.node < y.node ? -1 : 1);
  assertEquals(byNode(all.result?.acknowledgements), byNode(answers));
  const nodes = one.result?.acknowledgements.map(({ node }) => node) ?? [];
  assert(nodes.length > 0 && nodes.every((node) => node === b.nodeId || node === c.nodeId), `${nodes}`);

  // The same once more, when nobody awaits it.
  const before = a.metrics();
  send(ack(bId, whole, bToken));
  send(ack(bId, whole, bToken));
  await clock.advance(2);
  assertEquals([a.metrics().acksIgnored - before.acksIgnored, a.metrics().awaiting], [2, 0]);
  for (const { callbackErrors, sendErrors } of [a, b, c].map((node) => node.metrics())) {
    assertEquals([callbackErrors, sendErrors], [0, 0]);
  }
  await assertAlive();
  await close();
});

test("forged leaves satisfy no await, and end none", async () => {
  for (const every of [3, 40, 200]) {
    const { a, b, c, clock, send, assertAlive, close } = await underAttack();
    const releases: (() => void)[] = [];
    const hold = () => new Promise<void>((resolve) => releases.push(resolve));
    b.subscribe({ prefix: "held:" }, hold, { deliveredWhen: "settled", settleTimeout: 600_000 });
    const timeout = 600_000;
    const all = settlement(a.publishAndAwait("held:all", "all", { timeout }));
    const two = settlement(a.publishAndAwait("held:two", 2, { timeout }));
    await clock.advance(100);
    const leave = encodeControl(0x12, nodeIdBytes(b.nodeId), { position: { last: 0, oldest: 1, age: 0 } });
    for (let i = 0; i < 60; i++) {
      send(leave);
      send(encodeControl(0x12, nodeIdBytes(c.nodeId), { position: { last: 0, oldest: 1, age: 0 } }));
      await clock.advance(every);
    }
    await clock.advance(2000);
    const ends = [all.result, all.error, two.result, two.error];
    assertEquals(ends, [undefined, undefined, undefined, undefined], `every ${every} ms`);
    for (const release of releases) release();
    await clock.advance(3000);
    assertEquals(two.result?.acknowledgements.length, 2);
    assertEquals(all.result?.acknowledgements.length, 2);
    await assertAlive();
    await close();
  }
});

test("the leave of a node that somebody invented keeps no await from being satisfied", async () => {
  const { a, clock, send, assertAlive, close } = await underAttack();
  const position = { last: 0, oldest: 1, age: Infinity };
  for (let i = 0; i < 10; i++) {
    const invented = new Uint8Array(16).fill(40 + i);
    send(heartbeat(invented, `10.0.0.66:${9000 + i}`, { position, node: { acknowledges: true, zone: "x" } }));
    await clock.advance(2);
    send(encodeControl(0x12, invented, { position }));
    await clock.advance(2);
    const all = settlement(a.publishAndAwait(`key:${i}`, "all"));
    await clock.advance(100);
    assertEquals([all.error, all.result?.acknowledgements.length], [undefined, 2]);
  }
  await assertAlive();
  await close();
});

test("metadata that does not parse is left out and counted, and the keys are delivered", async () => {
  const { a, clock, send, assertAlive, close } = await underAttack();
  const got: SyncEvent[] = [];
  a.subscribe("key", (event) => got.push(event));
  const id = new Uint8Array(16).fill(9);
  const body = encodePacket({ type: 3, nodeId: id, keys: [new TextEncoder().encode("key")] });
  const block = Uint8Array.of(...body, ...encodeExtension({}));
  const [region, vectorClock] = [1, 2];
  for (
    const [i, value] of [
      [],
      [0],
      [0, 0],
      [0, 0, region],
      [0, 0, region, 0],
      [0, 0, region, 5, 97],
      [0, 0, region, 1, 0xff],
      [0, 0, region, 65, ...Array<number>(65).fill(97)],
      [0, 0, vectorClock],
      [0, 0, vectorClock, 1],
      [0, 0, vectorClock, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1],
      [0, 0, vectorClock, 1, 1, 97, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, vectorClock, 1, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 1],
      [0, 0, vectorClock, 65, ...Array.from({ length: 65 }, () => [1, 97, 0, 0, 0, 0, 0, 0, 0, 1]).flat()],
      // One entry is well-formed, and the next is not.
      [0, 0, region, 1, 97, 0],
    ].entries()
  ) {
    send(withRecord(block, 24, value));
    await clock.advance(2);
    const { invalidMetadata, malformedExtensions } = a.metrics();
    assertEquals([invalidMetadata, malformedExtensions], [i + 1, 0], `${value}`);
    assertEquals(got.splice(0), [{ key: "key", cause: "publish" }], `${value}`);
  }
  const { invalidMetadata } = a.metrics();
  // Of an entry that is not there.
  send(withRecord(block, 24, [255, 255, region, 1, 97]));
  await clock.advance(2);
  assertEquals(got.splice(0), [{ key: "key", cause: "publish" }]);
  // A writer has the name of a property that every object has.
  const writer = [9, ...new TextEncoder().encode("__proto__")];
  send(withRecord(block, 24, [0, 0, vectorClock, 1, ...writer, 0, 0, 0, 0, 0, 0, 0, 7]));
  await clock.advance(2);
  assertEquals(got.map((event) => Object.entries(event.vectorClock ?? {})), [[["__proto__", 7]]]);
  assertEquals(a.metrics().invalidMetadata, invalidMetadata);
  await assertAlive();
  await close();
});

test("a batch with prefixes that do not parse is dropped and counted, and does not count as received", async () => {
  const { a, clock, send, assertAlive, close } = await underAttack();
  const got: string[] = [];
  a.subscribe({ prefix: "user:" }, ({ key, prefix }) => got.push(`${key} ${prefix}`));
  const id = new Uint8Array(16).fill(9);
  const body = encodePacket({ type: 3, nodeId: id, keys: [new TextEncoder().encode("user:1")] });
  const numbered = (block: Extension) => Uint8Array.of(...body, ...encodeExtension(block));
  for (const [i, value] of [[], [0], [0, 1], [0, 5, 97], [0, 1, 0xff], [0, 1, 97, 0], [255, 255, 97]].entries()) {
    send(withRecord(numbered({ number: 1 }), 23, value));
    send(withRecord(numbered({}), 23, value));
    await clock.advance(2);
    assertEquals([a.metrics().malformedExtensions, got.length], [2 * i + 2, 0], `${value}`);
  }
  send(numbered({ number: 1, prefixes: ["user:2"] }));
  await clock.advance(2);
  assertEquals(got, ["user:1 undefined", "user:2 user:2"]);
  await assertAlive();
  await close();
});

test("forged node records change no zone and no acknowledging peer, and malformed ones are counted", async () => {
  const { a, b, c, clock, send, assertAlive, close } = await underAttack();
  const position = { last: 0, oldest: 1, age: Infinity };
  const bId = nodeIdBytes(b.nodeId);
  const zone = "z".repeat(64);
  let malformed = 0;
  for (const value of [[], [1, 0xff], [1, 97, 0xc3], [1, ...Array<number>(65).fill(97)]]) {
    for (const id of [bId, new Uint8Array(16).fill(9)]) {
      send(withRecord(heartbeat(id, "10.0.0.66:9", { position }), 26, value));
      await clock.advance(2);
      assertEquals(a.metrics().malformedExtensions, ++malformed, `${value}`);
    }
  }
  for (const acknowledges of [true, false]) {
    for (const id of [bId, nodeIdBytes(c.nodeId), new Uint8Array(16).fill(10)]) {
      send(heartbeat(id, "", { position, node: { acknowledges, zone } }));
    }
    await clock.advance(2);
    const byZone = settlement(a.publishAndAwaitTopology("key", 1, { timeout: 1000 }));
    const three = settlement(a.publishAndAwait("key", 3, { timeout: 1000 }));
    const all = settlement(a.publishAndAwait("key", "all", { timeout: 1000 }));
    await clock.advance(100);
    for (const { error } of [byZone, three]) assert(error instanceof QuorumNotSatisfiedError, `${error}`);
    assertEquals(all.error, undefined);
    const nodes = all.result?.acknowledgements.map(({ node, zone }) => `${node} ${zone}`) ?? [];
    assertEquals(nodes.sort(), [b, c].map(({ nodeId }) => `${nodeId} undefined`).sort());
  }
  assertEquals(a.metrics().malformedExtensions, malformed);
  await assertAlive();
  await close();
});
