// How far a cache can be trusted: what is said of each peer, and of all.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { VirtualClock } from "../adapters/memory.ts";
import { Jitter } from "../src/jitter.ts";
import { meshStatus } from "../src/mesh_status.ts";
import { PeerStreams } from "../src/peer_streams.ts";
import { formatNodeId } from "../src/wire/node_id.ts";
import { tableOn } from "./support/peers.ts";

const SOURCE = { host: "10.0.0.9", port: 5000 };
const HEARTBEAT = 1000;
const QUIET_TIMEOUT = 10_000;
const [A, B] = [1, 2].map((byte) => new Uint8Array(16).fill(byte)) as [Uint8Array, Uint8Array];
const [ID_A, ID_B] = [formatNodeId(A), formatNodeId(B)];

function setUp({ extended = true } = {}) {
  const clock = new VirtualClock();
  const streams = new PeerStreams({
    clock,
    jitter: new Jitter(() => Uint8Array.of(1, 2, 3, 4)),
    doubtAfter: 2 * HEARTBEAT,
    quietTimeout: QUIET_TIMEOUT,
    isPeer: (id) => peers.get(id) !== undefined,
    capacity: 1,
    onWanting: () => {},
    onDoubt: () => {},
    onGap: () => {},
    onSettled: () => {},
    onLeft: (id) => peers.remove(id),
  });
  const { table: peers } = tableOn(clock, { capacity: 9, heartbeat: HEARTBEAT, quietTimeout: QUIET_TIMEOUT });
  const status = () =>
    meshStatus({
      clock,
      heartbeat: HEARTBEAT,
      quietTimeout: QUIET_TIMEOUT,
      streams: extended ? streams : undefined,
      peers,
      refusedAt: -Infinity,
    });
  const hear = (nodeId: Uint8Array, extended: boolean) =>
    peers.hear({ id: formatNodeId(nodeId), nodeId, advertised: "10.0.0.1:7946", source: SOURCE, extended });
  /** A heartbeat of a node that has published `last` batches. */
  const beat = (id: Uint8Array, last = 0) => {
    streams.hear(id, SOURCE, { position: { last, oldest: 1, age: last === 0 ? Infinity : 0 } });
    hear(id, true);
  };
  const batch = (id: Uint8Array, number: number) => streams.accept(id, number, false, SOURCE.host, SOURCE.port);
  return { clock, streams, peers, status, hear, beat, batch };
}

describe("a mesh without peers", () => {
  test("is current", () => {
    assertEquals(setUp().status(), { state: "current", staleness: 0, peers: [] });
  });
});

describe("a peer", () => {
  test("from which all has arrived is current, as stale as its last word is old", async () => {
    const { clock, status, beat, batch } = setUp();
    beat(A);
    await clock.advance(400);
    batch(A, 1);
    await clock.advance(300);
    const peer = { id: ID_A, address: "10.0.0.1:7946", state: "current", stateFor: 700, position: 1, missing: 0 };
    assertEquals(
      status(),
      { state: "current", staleness: 300, peers: [{ ...peer, staleness: 300 }] } as ReturnType<typeof status>,
    );
  });

  test("of which something is missing is being repaired, and as stale as the last word when nothing was", async () => {
    const { clock, status, beat, batch } = setUp();
    beat(A);
    await clock.advance(400);
    batch(A, 3);
    await clock.advance(50);
    batch(A, 1);
    await clock.advance(50);
    const [peer] = status().peers;
    assertEquals([peer?.state, peer?.stateFor, peer?.position, peer?.missing], ["repairing", 100, 1, 1]);
    assertEquals([status().state, status().staleness], ["repairing", 500]);
    batch(A, 2);
    await clock.advance(10);
    const { state, staleness, peers: [after] } = status();
    // The repair says nothing of what was published since the third.
    assertEquals([state, staleness, after?.stateFor, after?.position, after?.missing], ["current", 110, 10, 3, 0]);
  });

  test("of which it is not known what is missing is being repaired, and stale from the opening on", async () => {
    const { clock, status, beat } = setUp();
    await clock.advance(5000);
    beat(A, 7);
    await clock.advance(100);
    const { state, staleness, peers } = status();
    assertEquals([state, staleness, peers[0]?.position, peers[0]?.missing], ["repairing", 5100, 0, 7]);
  });

  test("that was not heard for more than two heartbeats is in doubt", async () => {
    const { clock, status, beat } = setUp();
    beat(A);
    await clock.advance(2 * HEARTBEAT);
    assertEquals(status().state, "current");
    await clock.advance(1);
    const { state, staleness, peers } = status();
    assertEquals([state, staleness, peers[0]?.state, peers[0]?.stateFor], ["doubt", 2001, "doubt", 1]);
    beat(A);
    await clock.advance(3);
    assertEquals([status().state, status().staleness, status().peers[0]?.stateFor], ["current", 3, 3]);
  });

  test("that has left is none; one that is lost is none either, unless no other is left", async () => {
    const { clock, status, beat, streams, peers } = setUp();
    beat(A);
    beat(B);
    streams.leave(A, SOURCE, { position: { last: 0, oldest: 1, age: Infinity } });
    assertEquals(status().peers.map(({ id }) => id), [ID_B]);
    await clock.advance(QUIET_TIMEOUT);
    streams.expire();
    assertEquals(status().peers.map(({ id, state }) => [id, state]), [[ID_B, "doubt"]]);
    peers.remove(ID_B);
    streams.expire();
    await clock.advance(500);
    const { state, staleness, peers: list } = status();
    // Who has lost all others may be cut off itself.
    assertEquals([state, staleness, list.map(({ id }) => id)], ["doubt", 500, [ID_B]]);
    const third = new Uint8Array(16).fill(3);
    beat(third);
    assertEquals([status().state, status().peers.map(({ id }) => id)], ["current", [formatNodeId(third)]]);
  });

  test("whose heartbeat was not heard yet has no address", () => {
    const { status, batch } = setUp();
    batch(A, 1);
    assertEquals(status().peers.map(({ id, address, state }) => [id, address, state]), [[ID_A, undefined, "current"]]);
  });

  test("that is plain is as stale as can be, and does not make the mesh any worse", async () => {
    const { clock, status, beat, hear } = setUp();
    beat(A);
    hear(B, false);
    await clock.advance(100);
    const plain = { id: ID_B, address: "10.0.0.1:7946", state: "plain", stateFor: 100, position: 0, missing: 0 };
    const { state, staleness, peers: list } = status();
    assertEquals([state, staleness, list.length], ["current", Infinity, 2]);
    assertEquals(list[1] as unknown, { ...plain, staleness: Infinity });
  });

  test("is plain whoever it is when the node speaks the original's wire", () => {
    const { status, hear } = setUp({ extended: false });
    hear(A, true);
    const { state, staleness, peers: [peer] } = status();
    assertEquals([state, staleness, peer?.state, peer?.id], ["current", Infinity, "plain", ID_A]);
  });
});

describe("the mesh", () => {
  test("is as its worst peer is, and as stale as its stalest", async () => {
    const { clock, status, beat, batch } = setUp();
    beat(A);
    beat(B);
    await clock.advance(1500);
    beat(A);
    batch(A, 2);
    assertEquals([status().state, status().staleness], ["repairing", 1500]);
    await clock.advance(600);
    // A was heard 0.6 s ago, B 2.1 s ago.
    assertEquals(status().peers.map(({ state }) => state), ["repairing", "doubt"]);
    assertEquals([status().state, status().staleness], ["doubt", 2100]);
  });

  test("that had no room for a newcomer can not be trusted until it would be lost", async () => {
    const { clock, status, beat, batch } = setUp();
    beat(A);
    beat(B);
    await clock.advance(HEARTBEAT);
    batch(new Uint8Array(16).fill(3), 1);
    assertEquals([status().staleness, status().peers.length], [Infinity, 2]);
    await clock.advance(QUIET_TIMEOUT - 1);
    assertEquals(status().staleness, Infinity);
    await clock.advance(1);
    assertEquals(status().staleness, HEARTBEAT + QUIET_TIMEOUT);
  });
});
