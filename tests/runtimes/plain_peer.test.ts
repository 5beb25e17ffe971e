// Plain peers: in one mesh with a peer that behaves as go-warp does.

import { assert, assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import type { MeshBus } from "../../mod.ts";
import { freePort } from "../support/free_port.ts";
import { allOf, happened, type Open, openMany, patient, peersKnown, withMeshes } from "../support/meshes.ts";
import { PlainPeer, type PlainPeerOptions } from "../support/plain_peer.ts";

// As short as go-warp allows in practice: it sends nothing before the first of them.
const HEARTBEAT = 100;

/** Runs `body` with functions that open nodes and plain peers, and closes all of them. */
async function withPeers(
  body: (open: Open, openPlain: (options: PlainPeerOptions) => Promise<PlainPeer>) => Promise<void>,
): Promise<void> {
  const peers: PlainPeer[] = [];
  try {
    await withMeshes((open) =>
      body(open, async (options) => {
        const peer = await PlainPeer.open({ heartbeat: HEARTBEAT, ...options });
        peers.push(peer);
        return peer;
      })
    );
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
  }
}

/** Asserts that keys of each arrive at each other. */
async function assertBothWays(plain: PlainPeer, nodes: readonly MeshBus[]): Promise<void> {
  const subscriptions = nodes.map((node) => node.subscribe({ prefix: "from plain:" }, { capacity: 1000 }));
  const plainKeys = Array.from({ length: 50 }, (_, i) => `from plain:${i}`);
  for (const key of plainKeys) plain.publish(key);
  await Promise.all(subscriptions.map((events) => allOf(events, plainKeys)));

  const nodeKeys = nodes.flatMap((_, i) => Array.from({ length: 50 }, (_, j) => `from ${i}:${j}:${"k".repeat(80)}`));
  await Promise.all(nodeKeys.map((key) => nodes[Number(key.slice(5, 6))]?.publish(key)));
  await patient(
    plain.until(() => nodeKeys.every((key) => plain.keys.includes(key))),
    () => "all keys at the plain peer",
  );
  assertEquals(plain.malformed, 0);
  for (const node of nodes) assertEquals([node.metrics().decodeErrors, node.metrics().unknownTypes], [0, 0]);
}

describe("with a peer like go-warp", () => {
  test("on one shared port by multicast, where it advertises 0.0.0.0: it is reached at its source address", () =>
    withPeers(async (open, openPlain) => {
      const [a, b] = await openMany(open, 2);
      assert(a && b);
      const plain = await openPlain({ port: a.port });
      const address = `127.0.0.1:${a.port}`;
      for (const node of [a, b]) {
        await happened(node, (event) => event.type === "peerJoined" && event.peer.address === address);
        assert(node.peers().includes(address), `${node.peers()}`);
      }
      await patient(plain.until(() => plain.peers().length >= 2), () => "both nodes at the plain peer");
      assertEquals(plain.peers().sort(), [a.address, b.address].sort());
      await assertBothWays(plain, [a, b]);
    }));

  test("which advertises an address", () =>
    withPeers(async (open, openPlain) => {
      const a = await open();
      const plain = await openPlain({ port: a.port, advertiseAddr: `127.0.0.1:${a.port}` });
      await peersKnown(a, 1);
      assertEquals(a.peers(), [`127.0.0.1:${a.port}`]);
      await patient(plain.until(() => plain.peers().length >= 1), () => "the node at the plain peer");
      await assertBothWays(plain, [a]);
    }));

  test("whose address is a name: it is reached at its source host", () =>
    withPeers(async (open, openPlain) => {
      const [port, plainPort] = [await freePort(), await freePort()];
      const a = await open({ port, multicast: false });
      // The name is not looked up.
      const name = `cache-0.invalid:${plainPort}`;
      const plain = await openPlain({ port: plainPort, advertiseAddr: name, peers: [`127.0.0.1:${port}`] });
      await peersKnown(a, 1);
      assertEquals(a.peers(), [name]);
      await patient(plain.until(() => plain.peers().includes(a.address)), () => "the answer at the plain peer");
      await assertBothWays(plain, [a]);
      assertEquals(a.metrics().resolveErrors, 0);
    }));

  for (const seeded of ["node", "plain peer", "each"] as const) {
    test(`by seeds alone, on a port each, where ${seeded} has the other as a seed`, () =>
      withPeers(async (open, openPlain) => {
        const [port, plainPort] = [await freePort(), await freePort()];
        const plain = await openPlain({ port: plainPort, peers: seeded === "node" ? [] : [`127.0.0.1:${port}`] });
        const a = await open({
          port,
          multicast: false,
          peers: seeded === "plain peer" ? [] : [`127.0.0.1:${plainPort}`],
        });
        await peersKnown(a, 1);
        assertEquals(a.peers(), [`127.0.0.1:${plainPort}`]);
        await patient(plain.until(() => plain.peers().includes(a.address)), () => "the node at the plain peer");
        await assertBothWays(plain, [a]);
      }));
  }

  test("an invalidate packet, which go-warp receives but never sends, is an event", () =>
    withPeers(async (open, openPlain) => {
      const a = await open();
      const plain = await openPlain({ port: a.port });
      const events = a.subscribe("alone");
      plain.invalidate("alone");
      await allOf(events, ["alone"]);
    }));

  test("a node responds to it at once, and not only with the next heartbeat", () =>
    withPeers(async (open, openPlain) => {
      const [port, plainPort] = [await freePort(), await freePort()];
      // The only heartbeat within the test is sent on opening, when no peer is known.
      const a = await open({ port, multicast: false, heartbeat: 3_600_000 });
      const plain = await openPlain({ port: plainPort, peers: [`127.0.0.1:${port}`] });
      await patient(plain.until(() => plain.peers().includes(a.address)), () => "the answer");
    }));

  test("it falls silent and is forgotten", () =>
    withPeers(async (open, openPlain) => {
      const a = await open({ heartbeat: 250, peerTimeout: 1000 });
      const plain = await openPlain({ port: a.port });
      await peersKnown(a, 1);
      const left = happened(a, ({ type }) => type === "peerLeft");
      await plain.close();
      await left;
      assertEquals(a.peers(), []);
    }));
});
