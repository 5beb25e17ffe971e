// The status: how far a cache can be trusted, for each peer and for all.
import { describe, test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { MemoryNetwork, VirtualClock } from "../../adapters/memory.ts";
import { MeshBus } from "../../mod.ts";
import type { LostPeer } from "../../src/membership/departed_peers.ts";
import { meshStatus } from "../../src/observability/status.ts";
import { Jitter } from "../../src/platform/jitter.ts";
import { ReceiveStreams } from "../../src/reliability/receive_streams.ts";
import type { Extension } from "../../src/wire/extension.ts";
import { formatNodeId } from "../../src/wire/node_id.ts";
import { put, tableOn } from "../support/peers.ts";

const SOURCE = { host: "10.0.0.9", port: 5000 };
const HEARTBEAT = 1000;
const QUIET_TIMEOUT = 10_000;
const PEER_TIMEOUT = 3000;
const [A, B] = [1, 2].map((byte) => new Uint8Array(16).fill(byte)) as [Uint8Array, Uint8Array];
const [ID_A, ID_B] = [formatNodeId(A), formatNodeId(B)];

function setUp({ extended = true } = {}) {
  const clock = new VirtualClock();
  const streams = new ReceiveStreams({
    progress: { isAwaited: false, changed() {} },
    clock,
    jitter: new Jitter(() => Uint8Array.of(1, 2, 3, 4)),
    doubtAfter: 2 * HEARTBEAT,
    quietTimeout: QUIET_TIMEOUT,
    peerTimeout: PEER_TIMEOUT,
    maxRepairTime: 5000,
    readerAfter: 60_000,
    capacity: 1,
    peers: () => peers,
    naks: { schedule() {}, probe() {} },
    acks: { onSettled() {}, onReused() {} },
    losses: { gap() {} },
    backlog: { antedate() {} },
    membership: { leave: (id) => peers.remove(id) },
  });
  const { table: peers } = tableOn(clock, { capacity: 9, heartbeat: HEARTBEAT, quietTimeout: QUIET_TIMEOUT });
  const lost: LostPeer[] = [];
  const refused = { at: -Infinity };
  const stall: { since: number | undefined } = { since: undefined };
  const backlog: { age: number | undefined } = { age: undefined };
  const status = () =>
    meshStatus({
      clock,
      heartbeat: HEARTBEAT,
      peerTimeout: PEER_TIMEOUT,
      streams: extended ? streams : undefined,
      peers,
      lost,
      refusedAt: refused.at,
      waiting: backlog.age,
      loopStall: stall.since === undefined ? undefined : { since: stall.since, suspended: 0 },
    });
  const hear = (nodeId: Uint8Array, extended: boolean) => {
    peers.onHeartbeat({ id: formatNodeId(nodeId), nodeId, advertised: "10.0.0.1:7946", source: SOURCE, extended });
    const entry = peers.get(formatNodeId(nodeId));
    if (entry !== undefined) put(entry.joining, { isJoined: true });
  };
  /** A heartbeat of a node that has published `last` batches, and has answered. */
  const beat = (id: Uint8Array, last = 0, rest: Extension = {}) => {
    streams.onPosition(id, SOURCE, { position: { last, oldest: 1, age: last === 0 ? Infinity : 0 }, ...rest });
    hear(id, true);
    if (streams.get(formatNodeId(id))?.isValidated === false) streams.validate(formatNodeId(id), SOURCE, 0);
  };
  const batch = (id: Uint8Array, number: number) =>
    streams.accept(id, number, "number", SOURCE.host, SOURCE.port, number);
  return { clock, streams, peers, lost, refused, backlog, stall, status, hear, beat, batch };
}

describe("a mesh without peers", () => {
  test("is current", () => {
    assertEquals(setUp().status(), { state: "current", staleness: 0, peers: [], lost: [], plain: 0 });
  });
});

describe("a peer", () => {
  test("from which all has arrived is current, as stale as its last position is old", async () => {
    const { clock, status, beat, batch } = setUp();
    beat(A);
    await clock.advance(400);
    batch(A, 1);
    await clock.advance(300);
    const peer = { id: ID_A, address: "10.0.0.1:7946", state: "current", stateFor: 700, position: 1, missing: 0 };
    const peers = [{ ...peer, staleness: 300 }];
    assertEquals(
      status(),
      { state: "current", staleness: 300, peers, lost: [], plain: 0 } as ReturnType<typeof status>,
    );
  });

  test("of which something is missing is repairing, and as stale as the last position when nothing was", async () => {
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
    // The retransmission says nothing of what was published since the third.
    assertEquals([state, staleness, after?.stateFor, after?.position, after?.missing], ["current", 110, 10, 3, 0]);
  });

  test("of which it is not known what is missing is repairing, and stale since the opening", async () => {
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

  test("that has not answered yet, and may be forged, is not in the status", async () => {
    const { clock, status, streams, beat, batch } = setUp();
    beat(A);
    batch(B, 1);
    streams.onPosition(B, SOURCE, { position: { last: 7, oldest: 1, age: 0 } });
    await clock.advance(100);
    assertEquals([status().state, status().staleness, status().peers.map(({ id }) => id)], ["current", 100, [ID_A]]);
  });

  test("that has accepted keys and not sent them is repairing when that takes long, and as stale as they are old", async () => {
    const { clock, status, beat } = setUp();
    await clock.advance(10_000);
    for (
      const [pending, state] of [[500, "current"], [501, "repairing"], [4000, "repairing"], [0, "current"]] as const
    ) {
      beat(A, 0, { pending });
      await clock.advance(10);
      const { state: found, staleness } = status();
      assertEquals(found, state, `${pending}`);
      // What arrives is as old as the oldest key, unless it was known better before.
      assert(staleness <= pending + 10, `${staleness}`);
    }
    await clock.advance(5000);
    beat(A, 0, { pending: 4000 });
    assertEquals(status().staleness, 4000);
  });

  test("heard while the event loop stalls is as stale as the stall, as it may have come at any time", async () => {
    const { clock, status, beat, stall } = setUp();
    await clock.advance(5000);
    stall.since = 1000;
    beat(A);
    assertEquals([status().staleness, status().peers[0]?.staleness], [4000, 4000]);
    stall.since = undefined;
    assertEquals(status().staleness, 0);
  });

  test("whose keys wait for slow callbacks is as stale as the oldest of them", async () => {
    const { clock, status, streams, beat, backlog } = setUp();
    beat(A);
    await clock.advance(100);
    backlog.age = 3000;
    assertEquals([status().state, status().staleness, status().peers[0]?.staleness], ["repairing", 3000, 3000]);
    backlog.age = 0;
    assertEquals([status().state, status().staleness], ["repairing", 100]);
    streams.leave(A, SOURCE, { position: { last: 0, oldest: 1, age: Infinity } });
    backlog.age = 700;
    assertEquals(
      [status().state, status().staleness, status().peers],
      ["repairing", 700, []],
      "though its node has left",
    );
    backlog.age = undefined;
    assertEquals(status().state, "current");
  });

  test("that has left is not in the status; nor is a lost one, unless no other is left", async () => {
    const { clock, status, beat, streams, lost } = setUp();
    beat(A);
    beat(B);
    streams.leave(A, SOURCE, { position: { last: 0, oldest: 1, age: Infinity } });
    assertEquals(status().peers.map(({ id }) => id), [ID_B]);
    const stream = streams.get(ID_B);
    assert(stream !== undefined);
    await clock.advance(PEER_TIMEOUT);
    streams.lose(stream);
    lost.push({ id: ID_B, address: "10.0.0.1:7946", lostFor: 0 });
    await clock.advance(500);
    const { state, staleness, peers: list } = status();
    // A node that has lost all others may be cut off itself.
    assertEquals([state, staleness, list.map(({ id }) => id)], ["doubt", 500, [ID_B]]);
    await clock.advance(100 * 3_600_000);
    assertEquals(status().state, "doubt");
    const third = new Uint8Array(16).fill(3);
    beat(third);
    // It goes on without the lost one, which has crashed or is cut off.
    assertEquals([status().state, status().peers.map(({ id }) => id)], ["partial", [formatNodeId(third)]]);
    lost.length = 0;
    assertEquals(status().state, "current");
  });

  test("whose heartbeat was not heard yet has no address", () => {
    const { status, batch, streams } = setUp();
    batch(A, 1);
    streams.validate(ID_A, SOURCE, 0);
    assertEquals(status().peers.map(({ id, address, state }) => [id, address, state]), [[ID_A, undefined, "current"]]);
  });

  test("that is plain is as stale as can be, and does not make the mesh any worse", async () => {
    const { clock, status, beat, hear } = setUp();
    beat(A);
    hear(B, false);
    await clock.advance(100);
    const plain = { id: ID_B, address: "10.0.0.1:7946", state: "plain", stateFor: 100, position: 0, missing: 0 };
    const { state, staleness, peers: list } = status();
    assertEquals([state, staleness, list.length, status().plain], ["current", 100, 2, 1]);
    assertEquals(list[1] as unknown, { ...plain, staleness: Infinity });
  });

  test("is plain in any case when the node speaks go-warp's wire", () => {
    const { status, hear } = setUp({ extended: false });
    hear(A, true);
    const { state, staleness, peers: [peer] } = status();
    assertEquals([state, staleness, peer?.state, peer?.id], ["current", Infinity, "plain", ID_A]);
  });
});

describe("as JSON", () => {
  const INFINITE = Number.MAX_SAFE_INTEGER;

  test("infinite values are a number above all limits, in the mesh and in each peer; the rest is unchanged", async () => {
    const { clock, status, beat, hear, refused } = setUp();
    beat(A);
    hear(B, false);
    await clock.advance(100);
    const finite = JSON.parse(JSON.stringify({ nested: [status()] })).nested[0];
    const { peers: [first, second] } = finite;
    assertEquals([finite.staleness, first.staleness, second.staleness], [100, 100, INFINITE]);
    assertEquals({ ...finite, peers: [first, { ...second, staleness: Infinity }] }, { ...status() });
    refused.at = clock.now();
    const infinite = JSON.parse(JSON.stringify(status(), null, 2));
    assertEquals([infinite.staleness > 1e12, infinite.peers[1].staleness > 1e12], [true, true]);
    assertEquals(infinite, { ...finite, staleness: INFINITE });
  });

  test("values are infinite for a closed node, and for one with go-warp's wire; its rate too", async () => {
    const network = new MemoryNetwork();
    const mesh = await MeshBus.open({ ...network.host("10.0.0.1"), wire: "go-warp" });
    assertEquals(mesh.metrics().sendRate, Infinity);
    assertEquals(JSON.parse(JSON.stringify(mesh.metrics())), { ...mesh.metrics(), sendRate: INFINITE });
    assertEquals(JSON.parse(JSON.stringify(mesh.status())), { ...mesh.status(), staleness: INFINITE });
    await network.clock.run(mesh.close(), 5000);
    const closed = { state: "doubt", staleness: INFINITE, peers: [], lost: [], plain: 0 };
    assertEquals(JSON.parse(JSON.stringify(mesh.status())), closed);
  });

  test("a status is plain data: it has no other properties, and can be copied to another thread", () => {
    const { status, hear } = setUp({ extended: false });
    hear(A, true);
    const { peers: [peer] } = status();
    assertEquals(Object.keys(status()), ["state", "staleness", "peers", "lost", "plain"]);
    assertEquals(Object.keys(peer ?? {}).includes("toJSON"), false);
    const copy = structuredClone(status());
    assertEquals(copy, status());
    assertEquals([copy.staleness, copy.peers[0]?.staleness], [Infinity, Infinity]);
  });
});

describe("the mesh", () => {
  test("has the state of its worst peer, and is as stale as its stalest", async () => {
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

  test("that had no room for a node that had responded cannot be trusted until that would be lost", async () => {
    const { clock, status, beat, refused } = setUp();
    beat(A);
    beat(B);
    await clock.advance(HEARTBEAT);
    refused.at = clock.now();
    assertEquals([status().staleness, status().peers.length], [Infinity, 2]);
    await clock.advance(PEER_TIMEOUT - 1);
    assertEquals(status().staleness, Infinity);
    await clock.advance(1);
    assertEquals(status().staleness, HEARTBEAT + PEER_TIMEOUT);
  });
});
