// Duplicate ids: clones of a machine, and nodes that were set back. Nodes detect them, report them and take new ids.

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { type MemoryHost, MemoryNetwork } from "../../adapters/memory.ts";
import { encodePacket, MeshBus, type MeshEvent, type MeshOptions, QuorumNotSatisfiedError } from "../../mod.ts";
import { encodeExtension } from "../../src/wire/extension.ts";
import { TYPE_HEARTBEAT } from "../../src/wire/layout.ts";
import { nodeIdBytes } from "../support/hex.ts";

const OPTIONS = { heartbeat: 1000, peerTimeout: 3000, batchInterval: 0 };

/** Opens nodes; those with the same `seed` begin with the same id. */
class Mesh {
  readonly network = new MemoryNetwork({ seed: 11 });
  readonly clock = this.network.clock;
  readonly #more: MeshOptions;

  constructor(more: MeshOptions = {}) {
    this.#more = more;
  }

  async open(address: string, seed?: number, more: MeshOptions = {}): Promise<Node> {
    const host = this.network.host(address);
    const randomBytes = seed === undefined ? host.randomBytes : sameFirst(host, seed);
    const options = { ...OPTIONS, ...this.#more, ...more };
    return new Node(host, await this.clock.run(MeshBus.open({ ...host, ...options, randomBytes }), 1000));
  }
}

class Node {
  readonly host: MemoryHost;
  readonly mesh: MeshBus;
  readonly events: MeshEvent[] = [];
  readonly keys: string[] = [];
  gaps = 0;
  /** When it last got a gap of everything. */
  gapAt = -Infinity;

  constructor(host: MemoryHost, mesh: MeshBus) {
    const { clock } = host;
    this.host = host;
    this.mesh = mesh;
    mesh.events.listen((event) => this.events.push(event));
    mesh.subscribe({ prefix: "" }, ({ key, cause }) => {
      if (cause === "publish") this.keys.push(key);
      else {
        this.gaps++;
        this.gapAt = clock.now();
      }
    });
  }

  get changes(): readonly (readonly [string, string])[] {
    return this.events.flatMap((event) => event.type === "identityChanged" ? [[event.from, event.to] as const] : []);
  }

  get reasons(): readonly string[] {
    return this.events.flatMap((event) => event.type === "gap" ? [event.reason] : []);
  }
}

/** Random bytes whose first bytes, which make the id, are equal for the same seed. */
function sameFirst({ randomBytes }: MemoryHost, seed: number): (length: number) => Uint8Array {
  let isFirst = true;
  return (length) => {
    const bytes = randomBytes(length);
    if (isFirst) bytes.fill(seed);
    isFirst = false;
    return bytes;
  };
}

async function publish({ clock }: Mesh, { mesh }: Node, ...keys: string[]): Promise<void> {
  for (const key of keys) {
    await clock.run(mesh.publish(key), 1000);
    await clock.advance(1);
  }
}

/** Asserts that each key has reached all other nodes, or that they got a gap of everything after it was published. */
async function assertNothingStale(
  mesh: Mesh,
  nodes: readonly Node[],
  published: ReadonlyMap<string, { readonly of: Node; readonly at: number }>,
): Promise<void> {
  await mesh.clock.advance(5000);
  for (const node of nodes) {
    for (const [key, { of, at }] of published) {
      if (of !== node) assert(node.keys.includes(key) || node.gapAt >= at, `${node.mesh.address} has ${key}, or a gap`);
    }
  }
}

describe("two nodes with one id", () => {
  for (const reach of ["multicast", "seeds"] as const) {
    const more = reach === "multicast" ? {} : { multicast: false, peers: ["10.0.0.9"] };

    test(`detect it before anything is published, and soon have two ids (${reach})`, async () => {
      const mesh = new Mesh(more);
      const witness = await mesh.open("10.0.0.9");
      const a = await mesh.open("10.0.0.1", 7);
      const b = await mesh.open("10.0.0.2", 7);
      const before = a.mesh.nodeId;
      assertEquals(b.mesh.nodeId, before);
      await mesh.clock.runUntil(() => a.changes.length + b.changes.length > 0, 10_000);
      await mesh.clock.advance(8000);
      assertNotEquals(a.mesh.nodeId, b.mesh.nodeId);
      for (const node of [a, b]) {
        assertEquals(node.changes.map(([from]) => from), node.changes.length > 0 ? [before] : []);
        assertEquals(node.changes.at(-1)?.[1] ?? before, node.mesh.nodeId);
        assertEquals(node.mesh.peers().length, 2);
        // What it took for its own, as the id was the same, may have been published by the other node.
        if (node.changes.length > 0) assert(node.reasons.includes("reused") && node.gaps > 0);
      }
      assertEquals(witness.mesh.status().peers.map(({ id }) => id).sort(), [a.mesh.nodeId, b.mesh.nodeId].sort());
      witness.keys.length = 0;
      await publish(mesh, a, "of a");
      await publish(mesh, b, "of b");
      await mesh.clock.runUntil(
        () => witness.keys.length === 2 && a.keys.includes("of b") && b.keys.includes("of a"),
        5000,
      );
      for (const node of [a, b, witness]) await mesh.clock.run(node.mesh.close(), 5000);
      // The last datagrams are under way.
      await mesh.clock.advance(1);
      assertEquals(mesh.clock.pending, 0);
    });

    test(`that publish with the same numbers leave no node stale (${reach})`, async () => {
      const mesh = new Mesh(more);
      const witness = await mesh.open("10.0.0.9");
      const a = await mesh.open("10.0.0.1", 7);
      const b = await mesh.open("10.0.0.2", 7);
      const published = new Map<string, { of: Node; at: number }>();
      for (let i = 0; i < 5; i++) {
        for (const [name, of] of [["a", a], ["b", b]] as const) {
          published.set(`${name}${i}`, { of, at: mesh.clock.now() });
          await publish(mesh, of, `${name}${i}`);
        }
      }
      await assertNothingStale(mesh, [a, b, witness], published);
      assertNotEquals(a.mesh.nodeId, b.mesh.nodeId);
      assert(witness.gaps > 0);
      for (const node of [a, b, witness]) await mesh.clock.run(node.mesh.close(), 5000);
    });
  }

  test("are detected by a node that hears both, as their batches differ", async () => {
    const mesh = new Mesh({ multicast: false, peers: ["10.0.0.9"], heartbeat: 60_000, peerTimeout: 180_000 });
    const witness = await mesh.open("10.0.0.9");
    const a = await mesh.open("10.0.0.1", 7);
    await mesh.clock.advance(100);
    const b = await mesh.open("10.0.0.2", 7);
    mesh.network.partition([["10.0.0.1"], ["10.0.0.2"]]);
    // That it has published nothing shows while the other one has not, either.
    await mesh.clock.advance(2000);
    await publish(mesh, a, "a");
    await publish(mesh, b, "b");
    await mesh.clock.runUntil(() => witness.gaps > 0, 1000);
    assertEquals([witness.keys, witness.reasons], [["a"], ["reused"]]);
    await mesh.clock.runUntil(() => a.changes.length + b.changes.length > 0, 5000);
    for (const node of [a, b, witness]) await mesh.clock.run(node.mesh.close(), 5000);
  });
});

describe("a node that was set back to an earlier state", () => {
  for (
    const [what, known, again] of [["some", 9, 3], ["as many", 5, 5], ["more", 3, 40], ["far fewer", 300, 3]] as const
  ) {
    test(`is a gap to its peers, and takes another id, when it publishes ${what}`, async () => {
      const mesh = new Mesh();
      const witness = await mesh.open("10.0.0.9");
      const before = await mesh.open("10.0.0.1", 7);
      await mesh.clock.advance(2000);
      for (let i = 0; i < known; i++) await publish(mesh, before, `known${i}`);
      await mesh.clock.advance(500);
      before.host.crash();
      const restored = await mesh.open("10.0.0.1", 7);
      assertEquals(restored.mesh.nodeId, before.mesh.nodeId);
      for (let i = 0; i < again; i++) await publish(mesh, restored, `again${i}`);
      await mesh.clock.runUntil(() => restored.changes.length > 0 && witness.gaps > 0, 10_000);
      witness.keys.length = 0;
      await publish(mesh, restored, "after");
      await mesh.clock.runUntil(() => witness.keys.includes("after"), 3000);
      for (const node of [restored, witness]) await mesh.clock.run(node.mesh.close(), 5000);
    });
  }
});

test("a node that is closed by a listener of `identityChanged` leaves nothing behind", async () => {
  const mesh = new Mesh();
  const a = await mesh.open("10.0.0.1", 7);
  const b = await mesh.open("10.0.0.2", 7);
  const closed: Promise<unknown>[] = [];
  for (const { mesh: { events }, mesh: node } of [a, b]) {
    events.listen(({ type }) => type === "identityChanged" && closed.push(node.close()));
  }
  await mesh.clock.runUntil(() => a.changes.length + b.changes.length > 0, 10_000);
  for (const node of [a, b]) await mesh.clock.run(node.mesh.close(), 5000);
  await mesh.clock.run(Promise.all(closed), 1000);
  await mesh.clock.advance(1);
  assertEquals(mesh.clock.pending, 0);
});

test("a node that takes another id refuses what it awaits at once: nobody can acknowledge the old numbers", async () => {
  const mesh = new Mesh();
  const { clock, network } = mesh;
  const [a, b] = [await mesh.open("10.0.0.1", 7), await mesh.open("10.0.0.2")];
  await clock.runUntil(() => a.mesh.peers().length === 1 && b.mesh.peers().length === 1, 5000);
  await clock.advance(1000);
  // The acknowledgements get lost.
  network.set({ drop: ({ data }) => data[1] === 0x16 });
  const refused: number[] = [];
  const awaiting = assertRejects(() => a.mesh.publishAndAwait("key", 1, { timeout: 60_000 }), QuorumNotSatisfiedError)
    .then(() => refused.push(clock.now()));
  await clock.advance(100);
  const clone = await mesh.open("10.0.0.3", 7);
  await clock.runUntil(() => a.changes.length > 0, 10_000);
  const changedAt = clock.now();
  await clock.advance(1);
  assertEquals([refused, a.mesh.metrics().awaiting], [[changedAt], 0]);
  await awaiting;
  network.set({ drop: undefined });
  await clock.run(Promise.all([a, b, clone].map(({ mesh }) => mesh.close())), 5000);
  // The last datagrams are on their way.
  await clock.advance(10);
  assertEquals(clock.pending, 0);
});

test("a node of several interfaces recognizes its own heartbeats by the sockets that sent them", async () => {
  const { network: { clock }, network } = new Mesh();
  const host = network.host("10.0.0.1");
  const toItself: string[] = [];
  const bind: MemoryHost["bind"] = async (options, handlers) => {
    const socket = await host.bind(options, handlers);
    const send = socket.send.bind(socket);
    socket.send = (data, to, port) => {
      if (host.networkInterfaces().some(({ address }) => address === to)) toItself.push(`${to}:${port}`);
      return send(data, to, port);
    };
    return socket;
  };
  const node = await clock.run(MeshBus.open({ ...OPTIONS, ...host, bind, interface: ["lo", "eth0"] }), 1000);
  await clock.advance(5000);
  assertEquals(toItself, []);
  await clock.run(node.close(), 5000);
});

test("a node with go-warp's wire does not respond to a node with the same id", async () => {
  const mesh = new Mesh({ heartbeat: 1000 });
  const plain = await mesh.open("10.0.0.1", 7, { wire: "go-warp" });
  const unknownNode = mesh.network.host("10.0.0.2");
  const heard: string[] = [];
  const socket = await mesh.clock.run(
    unknownNode.bind({
      host: "0.0.0.0",
      port: 0,
      shared: false,
      sendsMulticast: false,
      multicastLoopback: false,
      multicastTtl: 1,
    }, { message: (_, host) => void heard.push(host), error() {} }),
    100,
  );
  const nodeId = nodeIdBytes(plain.mesh.nodeId);
  const heartbeat = encodePacket({ type: TYPE_HEARTBEAT, nodeId, keyHash: 0n, key: new Uint8Array(0) });
  await socket.send(Uint8Array.of(...heartbeat, ...encodeExtension({ nonce: 4711 })), "10.0.0.1", 7946);
  await mesh.clock.advance(3000);
  assertEquals([heard, plain.changes], [[], []]);
  await socket.close();
  await mesh.clock.run(plain.mesh.close(), 5000);
});

test("nodes without multicast that respond from the shared port and from their own get keys at once", async () => {
  const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
  const mesh = new Mesh({ peers: addresses, heartbeat: 5000, peerTimeout: 15_000 });
  mesh.network.multicast = false;
  const nodes: Node[] = [];
  for (const address of addresses) nodes.push(await mesh.open(address));
  await mesh.clock.advance(200);
  for (let i = 0; i < 20; i++) {
    for (const [j, node] of nodes.entries()) await publish(mesh, node, `${j} ${i}`);
    await mesh.clock.advance(50);
    for (const { keys } of nodes) assertEquals(keys.length, 2 * (i + 1));
    await mesh.clock.advance(300);
  }
  for (const node of nodes) await mesh.clock.run(node.mesh.close(), 5000);
});

test("a node takes three other ids, and then reports that it can take no more", async () => {
  const mesh = new Mesh();
  const node = await mesh.open("10.0.0.1", 7);
  for (let seed = 0; seed < 5; seed++) {
    const twin = new Node(mesh.network.host(`10.0.1.${seed}`), await openAs(mesh, `10.0.1.${seed}`, node.mesh.nodeId));
    await mesh.clock.advance(3000);
    await mesh.clock.run(twin.mesh.close(), 5000);
  }
  assertEquals(node.changes.length, 3);
  const errors = node.events.filter((event) => event.type === "error");
  assert(errors.length > 0);
  for (const { stage, error } of errors) {
    assertEquals([stage, error.message.includes(node.mesh.nodeId)], ["identity", true]);
  }
  await mesh.clock.advance(3_600_000);
  const twin = await openAs(mesh, "10.0.2.1", node.mesh.nodeId);
  await mesh.clock.runUntil(() => node.changes.length > 3, 10_000);
  for (const each of [node.mesh, twin]) await mesh.clock.run(each.close(), 5000);
});

test("a node that can take no other id has a gap for batches that it takes for its own", async () => {
  const mesh = new Mesh();
  const node = await mesh.open("10.0.0.1", 7);
  for (let seed = 0; seed < 3; seed++) {
    const twin = await openAs(mesh, `10.0.1.${seed}`, node.mesh.nodeId);
    await mesh.clock.advance(3000);
    await mesh.clock.run(twin.close(), 5000);
  }
  assertEquals(node.changes.length, 3);
  const twin = await openAs(mesh, "10.0.1.9", node.mesh.nodeId);
  await mesh.clock.advance(3000);
  for (let i = 0; i < 5; i++) {
    const { gaps } = node;
    await mesh.clock.run(twin.publish(`key ${i}`), 1000);
    await mesh.clock.advance(1500);
    assert(node.keys.includes(`key ${i}`) || node.gaps > gaps, `key ${i} has come, or a gap`);
  }
  assertEquals(node.changes.length, 3);
  for (const each of [node.mesh, twin]) await mesh.clock.run(each.close(), 5000);
});

/** Opens a node that has this id and takes no other. */
async function openAs(mesh: Mesh, address: string, id: string): Promise<MeshBus> {
  const host = mesh.network.host(address);
  const bytes = nodeIdBytes(id);
  const randomBytes = (length: number) => length === bytes.length ? bytes.slice() : host.randomBytes(length);
  return await mesh.clock.run(MeshBus.open({ ...OPTIONS, ...host, randomBytes }), 1000);
}
