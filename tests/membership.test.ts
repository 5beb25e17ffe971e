// Heartbeats of the node, and answers to those of others.
import { describe, test } from "node:test";
import { assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../adapters/memory_clock.ts";
import { type Endpoint, formatAddress } from "../src/address.ts";
import type { MeshEvent } from "../src/events.ts";
import { Membership, type MembershipConfig } from "../src/membership.ts";

const SOURCE: Endpoint = { host: "192.168.1.9", port: 5000 };

function setUp(config: Partial<MembershipConfig> = {}) {
  const clock = new VirtualClock();
  const events: MeshEvent[] = [];
  const gone: string[] = [];
  const beats: number[] = [];
  /** Whom a heartbeat went to, and when. */
  const sent: { readonly to: string; readonly at: number }[] = [];
  const membership = new Membership({
    heartbeat: 5000,
    peerTimeout: 60_000,
    maxPeers: 1024,
    clock,
    mayBeAt: () => true,
    announce: (to) => {
      const where = to === undefined ? "all" : formatAddress(to.endpoint.host, to.endpoint.port);
      sent.push({ to: where, at: clock.now() });
    },
    onBeat: () => beats.push(clock.now()),
    onGone: (id) => gone.push(id),
    emit: (event) => events.push(event),
    ...config,
  });
  return { membership, clock, events, sent, gone, beats };
}

describe("heartbeats", () => {
  test("go out at once and at intervals, until closed", async () => {
    const { membership, clock, sent } = setUp();
    membership.start();
    await clock.advance(14_999);
    assertEquals(sent, [0, 5000, 10_000].map((at) => ({ to: "all", at })));
    membership.close();
    await clock.advance(60_000);
    assertEquals([sent.length, clock.pending], [3, 0]);
  });

  test("are told of as they go out, and not those that are for one", async () => {
    const { membership, clock, beats } = setUp();
    membership.start();
    await clock.advance(10_000);
    membership.hear("a", "10.0.0.1:7946", SOURCE);
    assertEquals(beats, [0, 5000, 10_000]);
  });

  test("stop while those that are there are still known", async () => {
    const { membership, clock, sent } = setUp();
    membership.start();
    membership.hear("a", "10.0.0.1:7946", SOURCE);
    membership.stop();
    await clock.advance(20_000);
    assertEquals([sent.map(({ to }) => to), membership.peers.size], [["all", "10.0.0.1:7946"], 1]);
    membership.close();
    assertEquals([membership.peers.size, clock.pending], [0, 0]);
  });
});

describe("a newcomer", () => {
  test("is answered at once, where it is reached, and once only", async () => {
    const { membership, clock, sent } = setUp();
    membership.hear("a", "10.0.0.1:7946", SOURCE);
    membership.hear("b", "0.0.0.0:7946", SOURCE);
    membership.hear("c", "239.0.0.1:7946", SOURCE);
    const answers = ["10.0.0.1:7946", "192.168.1.9:7946", "192.168.1.9:7946"].map((to) => ({ to, at: 0 }));
    assertEquals(sent, answers);
    await clock.advance(1000);
    membership.hear("a", "10.0.0.1:7946", SOURCE);
    membership.hear("a", "10.0.0.2:7946", SOURCE);
    assertEquals(sent, answers);
  });

  test("is answered again when it comes back", async () => {
    const { membership, clock, sent } = setUp({ peerTimeout: 100 });
    membership.hear("a", "10.0.0.1:7946", SOURCE);
    await clock.advance(100);
    membership.hear("a", "10.0.0.1:7946", SOURCE);
    assertEquals(sent.map(({ at }) => at), [0, 100]);
  });

  test("is answered with 127 others in a burst, and 128 in a second", async () => {
    const { membership, clock, sent } = setUp({ maxPeers: 65_536 });
    const forge = (count: number) => {
      const before = sent.length;
      const first = membership.peers.size;
      for (let i = 0; i < count; i++) membership.hear(`${first + i}`, "10.0.0.1:7946", SOURCE);
      return sent.length - before;
    };
    const counts = [forge(1000), forge(1000)];
    await clock.advance(500);
    counts.push(forge(1000));
    await clock.advance(10_000);
    counts.push(forge(1000));
    assertEquals([counts, membership.peers.size], [[128, 0, 64, 128], 4000]);
  });

  test("can draw no more answers than that, however it times them", async () => {
    const bursts = fc.array(fc.tuple(fc.double({ min: 0, max: 1500, noNaN: true }), fc.nat(300)), {
      maxLength: 12,
      size: "max",
    });
    await fc.assert(
      fc.asyncProperty(bursts, async (bursts) => {
        const { membership, clock, sent } = setUp({ maxPeers: 65_536 });
        for (const [pause, count] of bursts) {
          await clock.advance(pause);
          for (let i = 0; i < count; i++) membership.hear(`${membership.peers.size}`, "10.0.0.1:7946", SOURCE);
        }
        for (const [i, { at }] of sent.entries()) {
          const sinceThen = sent.length - i;
          assertLessOrEqual(sinceThen, 128 + 0.128 * ((sent.at(-1)?.at ?? at) - at) + 1e-6);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("events", () => {
  test("say who joined, moved and expired", async () => {
    const { membership, clock, events } = setUp({ peerTimeout: 100 });
    membership.hear("a", ":7946", SOURCE);
    membership.hear("a", ":7946", SOURCE);
    membership.hear("a", "name:7946", SOURCE);
    await clock.advance(100);
    assertEquals(events, [
      { type: "peerJoined", peer: { id: "a", address: "192.168.1.9:7946" } },
      { type: "peerMoved", peer: { id: "a", address: "name:7946" } },
      { type: "peerLeft", peer: { id: "a", address: "name:7946" }, reason: "expired" },
    ]);
  });

  test("say who has left, once, and that is not told again when it would have expired", async () => {
    const { membership, clock, events, gone } = setUp({ peerTimeout: 100 });
    for (const id of ["a", "b"]) membership.hear(id, "10.0.0.1:7946", SOURCE);
    membership.leave("a");
    membership.leave("a");
    membership.leave("nobody");
    const left = (id: string, reason: "left" | "expired") => ({
      type: "peerLeft" as const,
      peer: { id, address: "10.0.0.1:7946" },
      reason,
    });
    assertEquals([events.slice(2), gone, membership.peers.size], [[left("a", "left")], ["a"], 1]);
    await clock.advance(100);
    assertEquals([events.slice(3), gone, clock.pending], [[left("b", "expired")], ["a", "b"], 0]);
  });

  test("say who was refused, once a second, while all are counted", async () => {
    const { membership, clock, events, sent } = setUp({ maxPeers: 1 });
    membership.hear("a", "10.0.0.1:1", SOURCE);
    for (const id of ["b", "c"]) membership.hear(id, "10.0.0.2:1", SOURCE);
    await clock.advance(999);
    membership.hear("d", "10.0.0.2:1", SOURCE);
    await clock.advance(1);
    membership.hear("e", "10.0.0.2:1", SOURCE);
    const refusals = events.filter(({ type }) => type === "peerRefused");
    const peers = ["b", "e"].map((id) => ({ id, address: "10.0.0.2:1" }));
    assertEquals(refusals, peers.map((peer) => ({ type: "peerRefused", peer })));
    assertEquals([membership.refused, sent.length, membership.peers.size], [4, 1, 1]);
  });

  test("show a refused newcomer's address as a peer's: what it says, if that is one, else where it was heard", async () => {
    const { membership, clock, events } = setUp({ maxPeers: 1 });
    membership.hear("a", "10.0.0.1:1", SOURCE);
    for (const advertised of ["", "\u001b[2J\n", "0.0.0.0:1", "x".repeat(1000)]) {
      membership.hear("b", advertised, SOURCE);
      await clock.advance(2000);
    }
    const addresses = events.flatMap((event) => event.type === "peerRefused" ? [event.peer.address] : []);
    assertEquals(addresses, ["192.168.1.9:5000", "192.168.1.9:5000", "192.168.1.9:1", "192.168.1.9:5000"]);
  });
});

describe("100,000 forged heartbeats", () => {
  test("cost a bounded table, 128 answers, two timers and one event beyond those of the table", () => {
    const { membership, clock, events, sent } = setUp();
    membership.start();
    for (let i = 0; i < 100_000; i++) membership.hear(`${i}`, `10.0.${(i >> 8) & 255}.${i & 255}:7946`, SOURCE);
    assertEquals([membership.peers.size, membership.refused], [1024, 98_976]);
    assertEquals([sent.length, events.length, clock.pending], [1 + 128, 1024 + 1, 2]);
    membership.close();
    assertEquals([membership.peers.size, clock.pending], [0, 0]);
  });
});
