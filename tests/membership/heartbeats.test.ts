// Heartbeats between whole nodes, as they are seen on the wire: who is known, and where datagrams go.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { MemoryNetwork, type MemoryNetworkOptions, type TappedDatagram } from "../../adapters/memory.ts";
import {
  decodeExtension,
  decodePacket,
  encodeExtension,
  encodePacket,
  type Extension,
  MeshBus,
  type MeshEvent,
  type MeshOptions,
} from "../../mod.ts";
import { hostAddress, openOn } from "../sim/worlds.ts";
import { MemoryPlainPeer } from "../support/memory_plain_peer.ts";
import { idOf } from "../support/peers.ts";
import { UNKNOWN_NODE_SOCKET } from "../support/unknown_node_socket.ts";

const HEARTBEAT = 1000;
const TYPE_HEARTBEAT = 2;
const TYPE_BATCH = 3;
const GROUP = "239.0.0.1";
const UNKNOWN_NODE = "10.0.0.66";

interface Seen {
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly type: number;
  readonly length: number;
  readonly extension: Extension;
}

function seen({ time, from, to, data }: TappedDatagram): Seen {
  const { type, rest } = decodePacket(data);
  const extension = decodeExtension(rest) ?? {};
  return { at: time, from: from.host, to: to.host, type, length: data.length, extension };
}

/** Nodes on hosts of their own, and all that is sent from now on. */
class Wire {
  readonly network: MemoryNetwork;
  readonly nodes: MeshBus[] = [];
  readonly sent: Seen[] = [];
  readonly #options: MeshOptions;

  constructor(options: MeshOptions = {}, network: MemoryNetworkOptions = {}) {
    this.network = new MemoryNetwork({ seed: 5, delay: { min: 1, max: 1 }, ...network });
    this.#options = { heartbeat: HEARTBEAT, ...options };
    this.network.tap((datagram) => {
      if (datagram.fate === "sent") this.sent.push(seen(datagram));
    });
  }

  get clock() {
    return this.network.clock;
  }

  async open(options: MeshOptions = {}): Promise<MeshBus> {
    const node = await this.clock.run(openOn(this.network, this.nodes.length, { ...this.#options, ...options }), 100);
    this.nodes.push(node);
    return node;
  }

  async openAll(count: number, options?: (index: number) => MeshOptions): Promise<readonly MeshBus[]> {
    for (let i = 0; i < count; i++) await this.open(options?.(i));
    return this.nodes;
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** The destinations of one publish of a node, and how often each other node gets the event. */
  async publish(from: number): Promise<{ readonly to: readonly string[]; readonly events: readonly number[] }> {
    const key = `key:${this.clock.now()}`;
    const events = this.nodes.map(() => 0);
    const subscriptions = this.nodes.map((node, i) =>
      node.subscribe(key, () => void (events[i] = (events[i] ?? 0) + 1))
    );
    this.sent.length = 0;
    await this.clock.run(this.nodes[from]?.publish(key) as Promise<void>, 1000);
    await this.advance(50);
    for (const subscription of subscriptions) subscription.close();
    const to = this.sent.filter(({ type }) => type === TYPE_BATCH).map(({ to }) => to);
    return { to: to.sort(), events: events.filter((_, i) => i !== from) };
  }

  async close(): Promise<void> {
    await this.clock.run(Promise.all(this.nodes.map((node) => node.close())), 10_000);
  }
}

function eventsOf(node: MeshBus): MeshEvent[] {
  const events: MeshEvent[] = [];
  node.events.listen((event) => events.push(event));
  return events;
}

/** The records of a heartbeat but for the position, with random values replaced. */
function shown({ at, from, to, extension }: Seen, nonces: readonly number[]) {
  const { nonce, echo, path, peers, token, heard } = extension;
  return {
    at,
    from,
    to,
    path,
    ...nonce !== undefined && { nonce: nonces.indexOf(nonce) },
    ...echo !== undefined && { echo: nonces.indexOf(echo) },
    ...token !== undefined && { token: token.length },
    ...peers !== undefined && { peers: peers.map(({ host }) => host) },
    ...heard !== undefined && { heard: heard.length / 4 },
  };
}

describe("a node that joins by multicast", () => {
  test("and a node of the mesh have validated each other after two round trips and 5 datagrams", async () => {
    const wire = new Wire();
    const [a, b] = [hostAddress(0), hostAddress(1)];
    await wire.open();
    await wire.advance(500);
    wire.sent.length = 0;
    await wire.open();
    await wire.advance(20);
    const nonces = wire.sent.flatMap(({ extension: { nonce } }) => nonce === undefined ? [] : [nonce]);
    assertEquals(nonces.length, 2);
    assertEquals(wire.sent.map((each) => shown(each, nonces)), [
      { at: 500, from: b, to: GROUP, path: 2, heard: 0 },
      { at: 501, from: a, to: b, path: 1, nonce: 0 },
      { at: 502, from: b, to: a, path: 0, nonce: 1, echo: 0 },
      { at: 503, from: a, to: b, path: 1, echo: 1, token: 8, peers: [b] },
      { at: 504, from: b, to: a, path: 0, token: 8, peers: [a] },
    ]);
    assertEquals(wire.nodes.map((node) => node.peers().length), [1, 1]);
    await wire.close();
  });

  test("gets copies until it has heard the other by multicast, and none from then on", async () => {
    const wire = new Wire();
    await wire.openAll(2);
    // The second was heard by multicast as it opened; the first has not been heard by multicast since.
    await wire.advance(100);
    assertEquals(await wire.publish(1), { to: [GROUP], events: [1] });
    assertEquals(await wire.publish(0), { to: [hostAddress(1), GROUP], events: [1] });
    await wire.advance(2 * HEARTBEAT);
    assertEquals(await wire.publish(0), { to: [GROUP], events: [1] });
    await wire.close();
  });
});

describe("ten nodes", () => {
  test("on multicast: each knows nine 100 ms after the last was opened, and a publish is one datagram", async () => {
    const wire = new Wire();
    await wire.openAll(10);
    await wire.advance(100);
    assertEquals(wire.nodes.map((node) => node.peers().length), Array(10).fill(9));
    await wire.advance(2 * HEARTBEAT);
    for (const from of [0, 4, 9]) assertEquals(await wire.publish(from), { to: [GROUP], events: Array(9).fill(1) });
    // This is stable.
    await wire.advance(60 * HEARTBEAT);
    assertEquals(await wire.publish(3), { to: [GROUP], events: Array(9).fill(1) });
    await wire.close();
  });

  test("with one seed and no multicast: each knows nine within two heartbeats, and a publish is nine datagrams", async () => {
    const wire = new Wire({ multicast: false });
    await wire.openAll(10, (i) => i === 0 ? {} : { peers: [hostAddress(0)] });
    await wire.advance(2 * HEARTBEAT);
    assertEquals(wire.nodes.map((node) => node.peers().length), Array(10).fill(9));
    const others = Array.from({ length: 9 }, (_, i) => hostAddress(i)).sort();
    assertEquals(await wire.publish(9), { to: others, events: Array(9).fill(1) });
    await wire.close();
  });

  test("in a round send one heartbeat each, to the group", async () => {
    const wire = new Wire();
    await wire.openAll(10);
    await wire.advance(3 * HEARTBEAT);
    wire.sent.length = 0;
    await wire.advance(10 * HEARTBEAT);
    assertEquals([...new Set(wire.sent.map(({ type, to }) => `${type} ${to}`))], [`${TYPE_HEARTBEAT} ${GROUP}`]);
    // 0.85 to 1 heartbeat apart: 10 to 12 in this time.
    assert(wire.sent.length >= 100 && wire.sent.length <= 120, `${wire.sent.length}`);
    for (const { extension: { heard, peers, nonce } } of wire.sent) {
      assertEquals([heard?.length, peers?.length, nonce], [9 * 4, 4, undefined]);
    }
    await wire.close();
  });
});

describe("multicast that is lost on the path to one node", () => {
  test("causes copies to it within two heartbeats, and none when it has been back for two", async () => {
    const wire = new Wire();
    await wire.openAll(3);
    await wire.advance(2 * HEARTBEAT);
    const deaf = hostAddress(2);
    wire.network.set({ drop: ({ multicast, receiver }) => multicast && receiver === deaf });
    await wire.advance(2 * HEARTBEAT);
    assertEquals(await wire.publish(0), { to: [deaf, GROUP], events: [1, 1] });
    // What it sends to the group is heard: that needs no copies.
    assertEquals(await wire.publish(2), { to: [GROUP], events: [1, 1] });
    await wire.advance(20 * HEARTBEAT);
    assertEquals(await wire.publish(1), { to: [deaf, GROUP], events: [1, 1] });
    wire.network.set({ drop: undefined });
    await wire.advance(2 * HEARTBEAT);
    assertEquals(await wire.publish(0), { to: [GROUP], events: [1, 1] });
    assertEquals(wire.nodes.map((node) => node.metrics().gaps), [0, 0, 0]);
    await wire.close();
  });

  test("is reported by a challenge with path 0, which gets a response", async () => {
    const wire = new Wire();
    await wire.openAll(2);
    await wire.advance(2 * HEARTBEAT);
    const [a, b] = [hostAddress(0), hostAddress(1)];
    wire.network.set({ drop: ({ multicast, receiver }) => multicast && receiver === b });
    wire.sent.length = 0;
    await wire.advance(2 * HEARTBEAT);
    const challenges = wire.sent.filter(({ from, to, extension }) =>
      from === b && to === a && extension.nonce !== undefined && extension.path === 0
    );
    assertEquals(challenges.length, 1);
    const responses = wire.sent.filter(({ extension }) => extension.echo === challenges[0]?.extension.nonce);
    assertEquals(responses.map(({ from, to, at }) => [from, to, at]), [[a, b, (challenges[0]?.at ?? 0) + 1]]);
    await wire.close();
  });
});

describe("a plain peer", () => {
  test("always gets copies, besides what goes to the group", async () => {
    const wire = new Wire();
    await wire.openAll(2);
    const plain = await MemoryPlainPeer.open("10.0.0.50", wire.network.host("10.0.0.50"), { heartbeat: HEARTBEAT });
    await wire.advance(10 * HEARTBEAT);
    assertEquals((await wire.publish(0)).to, ["10.0.0.50", GROUP]);
    assertEquals(plain.keys.length, 2);
    await plain.close();
    await wire.close();
  });
});

/** A sender of heartbeats that records what it gets. */
async function unknownNode(wire: Wire) {
  const socket = await wire.network.host(UNKNOWN_NODE).bind(UNKNOWN_NODE_SOCKET, { message() {}, error() {} });
  const say = (index: number, extension: Extension, advertised = `${UNKNOWN_NODE}:5000`, to = hostAddress(0)) => {
    const nodeId = idOf(index);
    const body = encodePacket({ type: 2, nodeId, keyHash: 0n, key: new TextEncoder().encode(advertised) });
    const position = { last: 0, oldest: 1, age: Infinity };
    return socket.send(Uint8Array.of(...body, ...encodeExtension({ position, ...extension })), to, 7946);
  };
  const got = () => wire.sent.filter(({ to }) => to === UNKNOWN_NODE);
  return { say, got, close: () => socket.close() };
}

describe("a node that does not respond", () => {
  test("is sent four challenges, and neither batches nor anything else, though it goes on sending heartbeats", async () => {
    const wire = new Wire();
    const node = await wire.open();
    await wire.open();
    const { say, got, close } = await unknownNode(wire);
    await say(1, { path: 0 });
    await wire.advance(1);
    for (let i = 0; i < 50; i++) await wire.clock.run(node.publish(`key:${i}`), 1000);
    await wire.advance(2 * HEARTBEAT);
    assertEquals(got().length, 4);
    await say(1, { path: 0, nonce: 1 });
    await say(1, { path: 1 });
    await wire.advance(10 * HEARTBEAT);
    // A response to its challenge, with a challenge; and no more: it had its four.
    assertEquals(got().map(({ extension: { echo } }) => echo), [undefined, undefined, undefined, undefined, 1]);
    for (const { type, extension: { nonce, peers, token, heard } } of got()) {
      assertEquals([type, nonce !== undefined, peers, token, heard], [
        TYPE_HEARTBEAT,
        true,
        undefined,
        undefined,
        undefined,
      ]);
    }
    await close();
    await wire.close();
  });

  test("whose address peers list is challenged once, by each that receives the list, within the first minute", async () => {
    const wire = new Wire();
    await wire.openAll(3);
    const { say, got, close } = await unknownNode(wire);
    await wire.advance(100);
    wire.sent.length = 0;
    for (let i = 0; i < 50; i++) {
      await say(1 + i, { path: 0 }, "10.0.0.77:7946");
      await wire.advance(HEARTBEAT);
    }
    assertEquals(wire.sent.filter(({ to }) => to === "10.0.0.77").length, 1);
    assert(got().length > 50);
    await close();
    await wire.close();
  });
});

test("of 600 peers that are heard by multicast 256 are listed in a round, which is one heartbeat to the group and fits a datagram", async () => {
  const wire = new Wire();
  await wire.open();
  const { say, close } = await unknownNode(wire);
  // Its initial heartbeats are over.
  await wire.advance(1.5 * HEARTBEAT);
  for (let i = 0; i < 600; i++) {
    await say(i, { path: 2 }, `10.1.${i >> 8}.${i & 255}:5000`, GROUP);
    if (i % 50 === 49) await wire.advance(2);
  }
  wire.sent.length = 0;
  await wire.advance(HEARTBEAT);
  const rounds = wire.sent.filter(({ to, from }) => to === GROUP && from === hostAddress(0));
  assertEquals(rounds.map(({ extension: { heard } }) => (heard?.length ?? 0) / 4), [256]);
  for (const { length } of wire.sent) assertLessOrEqual(length, 1400);
  await close();
  await wire.close();
});

test("a process that is started again on the same port replaces the one that crashed", async () => {
  const wire = new Wire({ advertiseAddr: ":7946" });
  const [a] = await wire.openAll(1);
  assert(a !== undefined);
  const events = eventsOf(a);
  const host = wire.network.host(hostAddress(5));
  const { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces } = host;
  const ports = { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces };
  const options = { heartbeat: HEARTBEAT, advertiseAddr: ":7946" };
  const before = await wire.clock.run(MeshBus.open({ ...options, ...ports }), 100);
  await wire.advance(2.5 * HEARTBEAT);
  host.crash();
  const after = await wire.clock.run(openOn(wire.network, 5, options), 100);
  await wire.advance(100);
  const address = `${hostAddress(5)}:7946`;
  assertEquals([a.metrics().peers, a.peers()], [2, [address, address]]);
  await wire.advance(1.5 * HEARTBEAT - 100);
  assertEquals(a.metrics().peers, 1);
  const left = events.flatMap((event) => event.type === "peerLeft" ? [[event.peer.id, event.reason]] : []);
  assertEquals(left, [[before.nodeId, "replaced"]]);
  await wire.clock.run(after.close(), 5000);
  await wire.close();
});
