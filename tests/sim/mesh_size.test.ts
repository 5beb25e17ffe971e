// Mesh size: how soon all nodes of a large mesh know each other, and how many datagrams a forged one causes.
import { after, before, describe, test } from "node:test";
import { assert, assertLessOrEqual } from "@std/assert";
import type { TappedDatagram } from "../../adapters/memory.ts";
import { type DatagramSocket, encodeExtension, encodePacket, type Extension, type MeshBus } from "../../mod.ts";
import { encodeControl } from "../../src/wire/extension.ts";
import { nodeIdBytes } from "../support/hex.ts";
import { idOf } from "../support/peers.ts";
import { sized } from "../support/size.ts";
import { UNKNOWN_NODE_SOCKET } from "../support/unknown_node_socket.ts";
import { BigMesh, HEARTBEAT } from "./mesh_size.ts";

const GROUP = "239.0.0.1";
const PORT = 7946;
const UNKNOWN = "10.9.9.9";
const VICTIM = "10.8.8.8";

/** The number of nodes, and of the nodes that join where datagrams are lost. */
const COUNT = sized(100, 50);
const JOINING = sized(4, 1);

describe(`${COUNT} nodes that are opened at once`, () => {
  for (const [discovery, name] of [["seed", "from one seed"], ["host", "on one host, from one seed"]] as const) {
    test(`${name}: all know each other within a second`, async () => {
      const mesh = await BigMesh.open(COUNT, discovery);
      assertLessOrEqual(await mesh.complete(2 * HEARTBEAT), 1000);
      await mesh.close();
    });
  }
});

describe(`${COUNT} nodes on a network with multicast`, () => {
  let mesh: BigMesh;
  let socket: DatagramSocket;
  let forged = 0;

  before(async () => {
    mesh = await BigMesh.open(COUNT, "group");
    assertLessOrEqual(await mesh.complete(2 * HEARTBEAT), 100);
    socket = await mesh.network.host(UNKNOWN).bind(UNKNOWN_NODE_SOCKET, { message() {}, error() {} });
    await mesh.network.clock.advance(3 * HEARTBEAT);
  });

  after(async () => {
    await socket.close();
    await mesh.close();
  });

  /** What the mesh sends in a quarter of a heartbeat after a datagram to the group, without its regular heartbeats. */
  async function provoke(datagram: Uint8Array): Promise<readonly TappedDatagram[]> {
    const sent: TappedDatagram[] = [];
    const stop = mesh.network.tap((seen) => {
      const isRound = seen.multicast && seen.data[1] === 2;
      if (seen.fate === "sent" && seen.from.host !== UNKNOWN && !isRound) sent.push(seen);
    });
    await socket.send(datagram, GROUP, PORT);
    await mesh.network.clock.advance(HEARTBEAT / 4);
    stop();
    return sent;
  }

  /** The id of another peer each time. */
  const peer = (): Uint8Array => {
    return nodeIdBytes((mesh.nodes[forged++ % mesh.nodes.length] as MeshBus).nodeId);
  };

  function heartbeat(
    extension: Extension | undefined,
    advertised = `${VICTIM}:1`,
    nodeId = idOf(1000 + forged++),
  ): Uint8Array {
    const key = new TextEncoder().encode(advertised);
    const body = encodePacket({ type: 2, nodeId, keyHash: 0n, key });
    return extension === undefined ? body : Uint8Array.of(...body, ...encodeExtension(extension));
  }

  test("know a joining node within 100 ms, and it knows them", async () => {
    for (let i = 0; i < 2; i++) {
      const { time, leave } = await mesh.join(HEARTBEAT);
      assertLessOrEqual(time, 100);
      await leave();
    }
  });

  test("know it within five heartbeats, mostly three, when a tenth of all datagrams is lost", async () => {
    mesh.network.set({ loss: 0.1 });
    for (let i = 0; i < JOINING; i++) {
      const { time, leave } = await mesh.join(6 * HEARTBEAT);
      assertLessOrEqual(time, 5 * HEARTBEAT);
      await leave();
    }
    mesh.network.set({ loss: 0 });
    // A node that a list did not reach gets copies until it does.
    await mesh.network.clock.advance(2 * HEARTBEAT);
  });

  const position = { last: 5, oldest: 1, age: 1000 };
  const kinds: readonly (readonly [string, () => Uint8Array, number])[] = [
    ["heartbeat by the group", () => heartbeat({ position, path: 2 }), 40],
    ["heartbeat that is marked as unicast", () => heartbeat({ position, path: 0 }), 40],
    ["leave", () => encodeControl(0x12, idOf(1000 + forged++), { position }), 40],
    [
      "leave of a node that has published nothing",
      () => encodeControl(0x12, idOf(1000 + forged++), { position: { last: 0, oldest: 1, age: Infinity } }),
      40,
    ],
    ["batch", () => {
      const batch = encodePacket({ type: 3, nodeId: idOf(1000 + forged++), keys: [Uint8Array.of(97)] });
      return Uint8Array.of(...batch, ...encodeExtension({ number: 7 }));
    }, 40],
    // Each node responds once: it cannot know to how many the challenge went.
    ["path challenge", () => heartbeat({ position, path: 0, nonce: 1 }), 101],
    // Each sends its next heartbeats to that address, too.
    ["plain heartbeat", () => heartbeat(undefined), 140],
    // It looks as if a peer had published, moved or left: each node finds out by itself.
    ["heartbeat in the name of a peer", () => heartbeat({ position, path: 2 }, `${VICTIM}:1`, peer()), 400],
    ["path challenge in the name of a peer", () => heartbeat({ position, path: 0, nonce: 1 }, "", peer()), 400],
    ["state in the name of a peer", () => encodeControl(0x17, peer(), { position: { ...position, last: 9 } }), 300],
    ["leave in the name of a peer", () => encodeControl(0x12, peer(), { position }), 1300],
  ];
  for (const [name, make, most] of kinds) {
    test(`send fewer than ${most} datagrams for a forged ${name}`, async () => {
      for (let i = 0; i < 4; i++) {
        const sent = await provoke(make());
        assert(sent.length > 0 && sent.length < most, `${sent.length}`);
      }
    });
  }
});
