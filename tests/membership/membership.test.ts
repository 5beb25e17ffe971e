// Membership: the heartbeats of a node, and its reactions to those of others. Path validation has a file of its own.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import type { MeshEvent } from "../../src/events.ts";
import { Jitter } from "../../src/platform/jitter.ts";
import { writeHeard } from "../../src/wire/peer_exchange.ts";
import { HEARTBEAT, MembershipRig, OWN, PEER_TIMEOUT, QUIET_TIMEOUT } from "../support/membership_rig.ts";
import { addressOf, idOf, nameOf, placeOf } from "../support/peers.ts";
import { sized } from "../support/size.ts";

/** Heard by multicast, and validated. */
const GROUP = { path: 2 } as const;

function left(index: number, reason: "expired" | "left" | "replaced"): MeshEvent {
  return { type: "peerLeft", peer: { id: nameOf(index), address: addressOf(index) }, reason };
}

/** The short ids in a list, as numbers. */
function shortIds(heard: Uint8Array | undefined): readonly number[] {
  const view = new DataView(heard?.slice().buffer ?? new ArrayBuffer(0));
  return Array.from({ length: view.byteLength / 4 }, (_, i) => view.getUint32(4 * i));
}

describe("heartbeats", () => {
  test("are sent at once and at intervals, to the group, until closed", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    await rig.clock.advance(3 * HEARTBEAT - 0.001);
    // No node has responded, so the first is followed by three more.
    const times = [0, 100, 400, 1300, HEARTBEAT, 2 * HEARTBEAT];
    assertEquals(rig.sent, times.map((at) => ({ at, to: "group", path: 2, heard: new Uint8Array() })));
    assertEquals(rig.beats, [0, HEARTBEAT, 2 * HEARTBEAT]);
    rig.membership.close();
    await rig.clock.advance(60_000);
    assertEquals([rig.sent.length, rig.clock.pending], [6, 0]);
  });

  test("are repeated after 0.1, 0.3 and 0.9 s until a node has responded", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    await rig.clock.advance(100);
    rig.hear(1);
    rig.hearPlain(2);
    await rig.clock.advance(300);
    assertEquals(rig.sentTo("group").map(({ at }) => at), [0, 100, 400]);
    rig.answer(1);
    await rig.clock.advance(HEARTBEAT - 400);
    assertEquals(rig.sentTo("group").map(({ at }) => at), [0, 100, 400, HEARTBEAT]);
  });

  test("are not repeated by a node with go-warp's wire, nor without multicast", async () => {
    for (const config of [{ isPlain: true }, { multicast: () => false }]) {
      const rig = new MembershipRig(config);
      rig.membership.start();
      await rig.clock.advance(HEARTBEAT - 1);
      assertEquals(rig.sent.length, config.isPlain ? 1 : 0);
    }
  });

  test("are sent after 0.85 to 1 times the interval, so that nodes do not synchronize", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 4, maxLength: 4 }), async (seed) => {
        const rig = new MembershipRig({ jitter: new Jitter(() => seed) });
        rig.membership.start();
        await rig.clock.advance(40 * HEARTBEAT);
        const times = rig.beats.slice(1).map((at, i) => (at - (rig.beats[i] ?? 0)) / HEARTBEAT);
        assertGreaterOrEqual(times.length, 40);
        for (const time of times) assert(time >= 0.85 && time <= 1, `${time}`);
        assertGreaterOrEqual(Math.max(...times) - Math.min(...times), 0.05);
      }),
      { numRuns: 20 },
    );
  });

  test("stop while the peers stay known", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    rig.meet(1);
    rig.membership.stop();
    await rig.clock.advance(20_000);
    assertEquals([rig.sent, rig.membership.peers.size, rig.clock.pending], [[], 1, 0]);
    rig.membership.close();
    assertEquals(rig.membership.peers.size, 0);
  });

  test("go to the peers that do not hear the group as well, and say whether theirs are heard", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    rig.meet(1, 2, 3);
    await rig.clock.advance(HEARTBEAT - 1);
    rig.hear(1, { extension: { path: 1 } });
    rig.hear(2, { extension: GROUP });
    rig.hear(3);
    rig.hearPlain(4);
    rig.forget();
    await rig.clock.advance(1);
    const paths = rig.sent.map(({ to, path, nonce }) => [to, path, nonce]).sort();
    assertEquals(
      paths,
      [[addressOf(2), 1], [addressOf(3), 0], [addressOf(4), 0], ["group", 2]]
        .map((each) => [...each, undefined]).sort(),
    );
  });

  test("go to peers alone without multicast", async () => {
    const rig = new MembershipRig({ multicast: () => false });
    rig.membership.start();
    assertEquals(rig.sent, []);
    rig.meet(1);
    await rig.clock.advance(HEARTBEAT);
    assertEquals(rig.sent.map(({ to, path }) => [to, path]), [[addressOf(1), 0]]);
  });

  test("list the peers that were heard by multicast in the last 1.5 heartbeats", async () => {
    const rig = new MembershipRig();
    rig.meet(1, 2);
    rig.hear(1, { extension: GROUP });
    rig.membership.start();
    assertEquals(rig.sentTo("group").map(({ heard }) => heard), [writeHeard([idOf(1)])]);
    await rig.clock.advance(HEARTBEAT);
    assertEquals(rig.sentTo("group").at(-1)?.heard, writeHeard([idOf(1)]));
    await rig.clock.advance(HEARTBEAT);
    assertEquals(rig.sentTo("group").at(-1)?.heard, new Uint8Array());
  });

  for (const [count, rounds] of [[255, 1], [256, 1], [257, 2], [600, 3]] as const) {
    test(`to the group are one a round, and list ${count} peers that are heard in ${rounds}, at most 256 each`, async () => {
      const rig = new MembershipRig();
      const ids = Array.from({ length: count }, (_, i) => i + 1);
      const hearAll = () => ids.forEach((index) => rig.hear(index, { extension: GROUP }));
      rig.meet(...ids);
      hearAll();
      rig.forget();
      rig.membership.start();
      for (let round = 1; round < rounds; round++) {
        await rig.clock.advance(HEARTBEAT - 1);
        // In another order.
        ids.reverse();
        hearAll();
        await rig.clock.advance(1);
      }
      const lists = rig.sentTo("group").map(({ heard }) => shortIds(heard));
      assertEquals([lists.length, Math.max(...lists.map(({ length }) => length))], [rounds, Math.min(count, 256)]);
      assertEquals(new Set(lists.flat()).size, count);
      if (count <= 256) assertEquals(lists.flat(), shortIds(writeHeard(ids.map(idOf))));
    });
  }

  test("list validated peers before nodes whose id may be forged, when not all can be listed", async () => {
    const rig = new MembershipRig();
    const [unvalidated, validated] = [Array.from({ length: 600 }, (_, i) => i + 1), [700, 701, 702]];
    for (const index of unvalidated) rig.hear(index, { extension: GROUP });
    rig.meet(...validated);
    for (const index of validated) rig.hear(index, { extension: GROUP });
    rig.forget();
    rig.membership.start();
    await rig.clock.advance(HEARTBEAT);
    const lists = rig.sentTo("group").map(({ heard }) => shortIds(heard));
    for (const list of lists) {
      assertEquals(shortIds(writeHeard(validated.map(idOf))).filter((id) => !list.includes(id)), []);
    }
    // The others take turns.
    assertEquals([lists.length, new Set(lists.flat()).size], [2, 2 * 253 + 3]);
  });

  test("list four peers each for peer exchange, all in turn, and none that was silent for 1.25 heartbeats", async () => {
    const rig = new MembershipRig();
    rig.meet(1, 2, 3, 4, 5, 6);
    rig.forget();
    rig.membership.start();
    const goOn = async (...indexes: readonly number[]) => {
      await rig.clock.advance(HEARTBEAT - 1);
      for (const index of indexes) rig.hear(index);
      await rig.clock.advance(1);
    };
    await goOn(1, 2, 3, 4, 5, 6);
    await goOn(1, 2, 3, 4, 5, 6);
    await goOn(1, 2, 3, 4);
    // Five and six were heard 1 ms before the heartbeat then, and now 1,601 ms; then 3,201.
    await goOn(1, 2, 3, 4);
    const lists = rig.sentTo("group").map(({ peers }) => peers ?? []);
    const listed = lists.map((peers) => peers.map(({ id }) => new DataView(id.buffer).getUint32(0)));
    assertEquals(listed.map(({ length }) => length), [4, 4, 4, 4, 4]);
    const times = [1, 2, 3, 4, 5, 6].map((index) => listed.slice(0, 3).flat().filter((each) => each === index).length);
    assertEquals(times, [2, 2, 2, 2, 2, 2]);
    assertEquals(listed[4]?.slice().sort(), [1, 2, 3, 4]);
    assertEquals(lists.flat().find(({ id }) => id[3] === 1), { id: idOf(1), ...placeOf(1) });
  });

  test("carry the same peer exchange to all in one round", async () => {
    const rig = new MembershipRig();
    rig.meet(1, 2, 3, 4, 5, 6);
    rig.membership.start();
    const [group, ...others] = rig.sent.filter(({ at }) => at === 0);
    assertEquals(others.length, 6);
    for (const each of others) assertEquals(each.peers, group?.peers);
  });

  test("list no node that has not responded, and none by an address with a zone", async () => {
    const rig = new MembershipRig({ family: 6 });
    const linkLocal = { host: "fe80::1%eth0", port: 5000 };
    rig.hear(1);
    rig.hear(2, { source: linkLocal, advertised: "[fd00::2]:5000" });
    rig.answer(2, {}, "[fe80::1%eth0]:5000");
    rig.forget();
    rig.membership.start();
    assertEquals(rig.sentTo("group").map(({ peers }) => peers), [undefined]);
  });
});

describe("a joining node that speaks go-warp's wire", () => {
  test("gets a heartbeat at once, where it was heard, once only", async () => {
    const rig = new MembershipRig();
    rig.hearPlain(1);
    rig.hearPlain(2, { advertised: "0.0.0.0:7946", source: placeOf(2) });
    const responses = [1, 2].map((index) => ({ at: 0, to: addressOf(index), path: 0 }));
    // The second advertises a port from which it was not heard: that address is unvalidated.
    assertEquals(rig.sent.filter(({ nonce }) => nonce === undefined), responses);
    assertEquals(rig.sent.flatMap(({ to, nonce }) => nonce === undefined ? [] : [to]), ["10.0.0.2:7946"]);
    rig.forget();
    await rig.clock.advance(1000);
    rig.hearPlain(1);
    rig.hearPlain(2, { advertised: "0.0.0.0:7946" });
    assertEquals(rig.sent, []);
  });

  test("is reached where it was heard, and gets copies whatever it hears", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    rig.hearPlain(1, { advertised: "10.7.7.7:7946" });
    assertEquals([rig.membership.peers.copies(), rig.membership.peers.extendedCopies()], [[placeOf(1)], []]);
    await rig.clock.advance(2 * HEARTBEAT);
    assertEquals(rig.sentTo(addressOf(1)).map(({ at }) => at), [0, HEARTBEAT, 2 * HEARTBEAT]);
    // One datagram has gone to its advertised address.
    assertEquals(rig.sentTo("10.7.7.7:7946").length, 1);
  });

  test("gets a response with 127 others in a burst, and 128 in a second", async () => {
    const rig = new MembershipRig({ maxPeers: 65_536 });
    const forge = (count: number) => {
      const before = rig.sent.length;
      const first = rig.membership.peers.size;
      for (let i = 0; i < count; i++) rig.hearPlain(first + i);
      return rig.sent.length - before;
    };
    const counts = [forge(1000), forge(1000)];
    await rig.clock.advance(500);
    counts.push(forge(1000));
    await rig.clock.advance(10_000);
    counts.push(forge(1000));
    assertEquals([counts, rig.membership.peers.size], [[128, 0, 64, 128], 4000]);
  });

  test("is lost after quietTimeout, and gets a heartbeat again when it comes back", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    rig.hearPlain(1);
    await rig.clock.advance(QUIET_TIMEOUT - 0.001);
    assertEquals(rig.membership.peers.size, 1);
    await rig.clock.advance(0.001);
    assertEquals([rig.membership.peers.size, rig.gone, rig.events.at(-1)], [0, [nameOf(1)], left(1, "expired")]);
    rig.forget();
    rig.hearPlain(1);
    assertEquals(rig.sent, [{ at: QUIET_TIMEOUT, to: addressOf(1), path: 0 }]);
  });
});

describe("a peer that falls silent", () => {
  test("is probed after 1.25 heartbeats, 16 times a heartbeat, and lost after peerTimeout", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.membership.start();
    await rig.clock.advance(PEER_TIMEOUT - 0.001);
    const challenges = rig.sentTo(addressOf(1)).filter(({ nonce }) => nonce !== undefined);
    assertEquals(challenges.map(({ at }) => at), Array.from({ length: 28 }, (_, i) => 2000 + 100 * i));
    assertEquals(new Set(challenges.map(({ nonce }) => nonce)).size, 28);
    assertEquals(rig.gone, []);
    await rig.clock.advance(0.001);
    assertEquals([rig.gone, rig.events], [[nameOf(1)], [left(1, "expired")]]);
  });

  test("is kept when it responds to any of those probes", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.membership.start();
    await rig.clock.advance(2350);
    const [first] = rig.sentTo(addressOf(1)).filter(({ nonce }) => nonce !== undefined);
    rig.hear(1, { extension: { echo: first?.nonce ?? 0 } });
    await rig.clock.advance(PEER_TIMEOUT - 1);
    assertEquals(rig.gone, []);
    await rig.clock.advance(1);
    assertEquals(rig.gone, [nameOf(1)]);
  });
});

test("a peer that was heard by multicast and falls silent is probed as any other, and not twice", async () => {
  const rig = new MembershipRig();
  rig.meet(1);
  rig.membership.start();
  rig.hear(1, { extension: GROUP });
  await rig.clock.advance(PEER_TIMEOUT - 1);
  const challenges = rig.sentTo(addressOf(1)).filter(({ nonce }) => nonce !== undefined);
  assertEquals(challenges.map(({ at }) => at), Array.from({ length: 28 }, (_, i) => 2000 + 100 * i));
  // The first say that it is heard by multicast, the others that it is not.
  assertEquals(challenges.map(({ path, at }) => path === (at <= 2400 ? 1 : 0)), challenges.map(() => true));
});

describe("a peer whose multicast is not heard any more", () => {
  /** It is heard by unicast to this node, twice in a heartbeat. */
  const goOn = async (rig: MembershipRig, heartbeats: number) => {
    for (let i = 0; i < 2 * heartbeats; i++) {
      await rig.clock.advance(HEARTBEAT / 2);
      rig.hear(1, { extension: { path: 1 } });
    }
  };
  const challenges = (rig: MembershipRig) => rig.sentTo(addressOf(1)).filter(({ nonce }) => nonce !== undefined);

  test("is notified after 1.5 heartbeats, each quarter of one, until it responds", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.membership.start();
    rig.hear(1, { extension: { path: 2, heard: writeHeard([idOf(OWN)]) } });
    await goOn(rig, 1.5);
    assertEquals(challenges(rig), []);
    await goOn(rig, 1.5);
    // The check at 1.5 heartbeats finds it heard, that at 1.75 does not.
    assertEquals(
      challenges(rig).map(({ at, path }) => [at, path]),
      [2800, 3200, 3600, 4000, 4400, 4800].map((at) => [at, 0]),
    );
    rig.hear(1, { extension: { path: 1, echo: challenges(rig).at(-1)?.nonce ?? 0 } });
    rig.forget();
    await goOn(rig, 3);
    assertEquals(challenges(rig), []);
  });

  test("is not notified after it is heard by multicast again", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.membership.start();
    rig.hear(1, { extension: GROUP });
    await goOn(rig, 2);
    assertEquals(challenges(rig).length, 2);
    rig.hear(1, { extension: GROUP });
    await goOn(rig, 1.5);
    assertEquals(challenges(rig).length, 2);
  });
});

describe("copies", () => {
  const copies = (rig: MembershipRig) => rig.membership.peers.copies().map(({ host }) => host);

  test("go to a peer again within two heartbeats after it last said that it hears us", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.membership.start();
    rig.hear(1, { extension: { path: 2, heard: writeHeard([idOf(OWN)]) } });
    for (let i = 0; i < 7; i++) {
      assertEquals(copies(rig), []);
      await rig.clock.advance(HEARTBEAT / 4);
      rig.hear(1, { extension: GROUP });
    }
    // 1.75 heartbeats are over, which the next check finds, a quarter later at most.
    await rig.clock.advance(HEARTBEAT / 4);
    assertEquals([copies(rig), rig.clock.now()], [[placeOf(1).host], 2 * HEARTBEAT]);
  });

  test("go to it at once when it says that it does not", () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.hear(1, { extension: { path: 1 } });
    assertEquals(copies(rig), []);
    rig.hear(1, { extension: { path: 0 } });
    assertEquals(copies(rig), [placeOf(1).host]);
  });
});

describe("events", () => {
  test("report the peers that joined, moved and expired", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    rig.hear(1);
    rig.hear(1);
    assertEquals([rig.events, rig.membership.peers.addresses()], [[], []], "before it has responded it is no peer");
    rig.answer(1);
    rig.hear(1, { advertised: "name:5000" });
    await rig.clock.advance(PEER_TIMEOUT);
    const id = nameOf(1);
    assertEquals(rig.events, [
      { type: "peerJoined", peer: { id, address: addressOf(1) } },
      { type: "peerMoved", peer: { id, address: "name:5000" } },
      { type: "peerLeft", peer: { id, address: "name:5000" }, reason: "expired" },
    ]);
  });

  test("report a peer that has left, once", () => {
    const rig = new MembershipRig();
    rig.meet(1, 2);
    for (const id of [nameOf(1), nameOf(1), "nobody"]) rig.membership.leave(id);
    assertEquals([rig.events, rig.gone, rig.membership.peers.size], [[left(1, "left")], [nameOf(1)], 1]);
  });

  test("report that a peer has moved 16 times in a second, whatever its id", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 100; i++) rig.hear(1, { advertised: `10.7.7.7:${i + 1}` });
    assertEquals(rig.events.length, 16);
    await rig.clock.advance(1000);
    for (let i = 0; i < 100; i++) rig.hear(1, { advertised: `10.7.7.8:${i + 1}` });
    assertEquals(rig.events.length, 32);
    assertEquals(rig.membership.peers.addresses(), ["10.7.7.8:100"]);
  });

  test("report refused nodes once a second, while all are counted", async () => {
    const rig = new MembershipRig({ maxPeers: 1 });
    rig.hearPlain(1);
    for (const index of [2, 3]) rig.hearPlain(index);
    await rig.clock.advance(999);
    rig.hearPlain(4);
    assertEquals([rig.membership.lastRefusedAt, rig.membership.refusedAt], [999, -Infinity]);
    await rig.clock.advance(1);
    rig.hearPlain(5);
    const refusals = rig.events.filter(({ type }) => type === "peerRefused");
    const peers = [2, 5].map((index) => ({ id: nameOf(index), address: addressOf(index) }));
    assertEquals(refusals, peers.map((peer) => ({ type: "peerRefused", peer })));
    assertEquals([rig.membership.refused, rig.sent.length, rig.membership.peers.size], [4, 1, 1]);
  });

  test("show a refused node's address as a peer's: the advertised one, if it is an address, else the source", async () => {
    const rig = new MembershipRig({ maxPeers: 1 });
    rig.hearPlain(1);
    for (const advertised of ["", "\u001b[2J\n", "0.0.0.0:1", "x".repeat(1000)]) {
      rig.hearPlain(2, { advertised });
      await rig.clock.advance(2000);
    }
    const addresses = rig.events.flatMap((event) => event.type === "peerRefused" ? [event.peer.address] : []);
    assertEquals(addresses, [addressOf(2), addressOf(2), "10.0.0.2:1", addressOf(2)]);
  });
});

describe("a full table", () => {
  test("challenges joining nodes with the extension, 16 at once and in a second", async () => {
    const rig = new MembershipRig({ maxPeers: 1 });
    rig.meet(1);
    for (let index = 2; index < 102; index++) rig.hear(index);
    assertEquals(rig.sent.map(({ to, path, nonce }) => [to, path, nonce !== undefined]), [
      ...Array.from({ length: 16 }, (_, i) => [addressOf(2 + i), 0, true]),
    ]);
    await rig.clock.advance(1000);
    for (let index = 2; index < 102; index++) rig.hear(index);
    assertEquals([rig.sent.length, rig.membership.refused, rig.membership.refusedAt], [32, 200, -Infinity]);
  });

  test("responds to the challenges of joining nodes, so that they know that it is there", () => {
    const rig = new MembershipRig({ maxPeers: 1 });
    rig.meet(1);
    for (let index = 2; index < 22; index++) rig.hear(index, { extension: { nonce: index } });
    const shown = rig.sent.map((
      { to, path, echo, nonce, peers, token },
    ) => [to, path, echo, nonce !== undefined, peers, token]);
    const expected = Array.from({ length: 20 }, (_, i) => [addressOf(2 + i), 0, 2 + i, true, undefined, undefined]);
    assertEquals(shown, expected);
  });

  test("of which half are plain refuses other plain ones", () => {
    const rig = new MembershipRig({ maxPeers: 5 });
    for (let index = 1; index <= 4; index++) rig.hearPlain(index);
    rig.meet(5, 6);
    assertEquals([rig.membership.peers.size, rig.membership.refused], [5, 1]);
  });

  test("evicts for one that responds the one that was heard longest ago and never did: that is no loss", async () => {
    const rig = new MembershipRig({ maxPeers: 3 });
    rig.meet(1);
    rig.hear(2);
    await rig.clock.advance(1);
    rig.hear(3);
    rig.forget();
    rig.hear(4);
    rig.answer(4);
    assertEquals(rig.events.filter(({ type }) => type !== "peerRefused"), [
      { type: "peerJoined", peer: { id: nameOf(4), address: addressOf(4) } },
    ]);
    assertEquals([rig.gone, rig.evicted, rig.entry(4).isValidated], [[], [nameOf(2)], true]);
  });

  for (const isFollowed of [true, false]) {
    test(`has no room for a node that responds when all have responded, or cannot: it is ${isFollowed ? "" : "not "}followed`, () => {
      const rig = new MembershipRig({ maxPeers: 2 }, { isFollowed: () => isFollowed });
      rig.meet(1);
      rig.hearPlain(2);
      rig.hear(3);
      rig.forget();
      rig.hear(3, { extension: { nonce: 1 } });
      rig.answer(3);
      assertEquals([rig.membership.peers.get(nameOf(3)), rig.gone], [undefined, []]);
      assertEquals(rig.validated, [{ id: nameOf(3), to: addressOf(3), time: 0 }]);
      assertEquals(rig.membership.refusedAt, isFollowed ? -Infinity : 0);
    });
  }
});

const FORGED = sized(100_000, 20_000);

describe(`${FORGED} forged heartbeats`, () => {
  // Plain nodes cannot respond, so they get half of the table, unless the node is one itself.
  const kinds = [
    ["plain ones", { extension: undefined, isPlain: false, room: 512, timers: 3, datagrams: 128 }],
    ["plain ones, to a plain node", { extension: undefined, isPlain: true, room: 1024, timers: 2, datagrams: 128 }],
    // 16 of those that speak the extension and found no room are challenged.
    ["extended ones", { extension: {}, isPlain: false, room: 1024, timers: 4, datagrams: 128 + 16 }],
  ] as const;
  for (const [name, { extension, isPlain, room, timers, datagrams }] of kinds) {
    test(`${name}, cost ${room} places, ${datagrams} datagrams, ${timers} timers and one event beyond those of the table`, () => {
      const rig = new MembershipRig({ isPlain });
      rig.membership.start();
      for (let i = 0; i < FORGED; i++) rig.hear(i, { extension });
      const { membership, clock, sent, events } = rig;
      assertEquals([membership.peers.size, membership.refused], [room, FORGED - room]);
      // A node without the extension cannot be challenged, and is taken for a peer.
      const joined = extension === undefined ? room : 0;
      assertEquals([sent.length, events.length, clock.pending], [1 + datagrams, joined + 1, timers]);
      membership.close();
      assertEquals([membership.peers.size, clock.pending], [0, 0]);
    });
  }

  test("cause no more than 128 responses and 128 a second, however they are timed", async () => {
    const bursts = fc.array(fc.tuple(fc.double({ min: 0, max: 1500, noNaN: true }), fc.nat(300), fc.boolean()), {
      maxLength: 12,
      size: "max",
    });
    await fc.assert(
      fc.asyncProperty(bursts, async (bursts) => {
        const rig = new MembershipRig({ maxPeers: 65_536 });
        for (const [pause, count, isPlain] of bursts) {
          await rig.clock.advance(pause);
          for (let i = 0; i < count; i++) {
            rig.hear(rig.membership.peers.size, { extension: isPlain ? undefined : {} });
          }
        }
        const end = rig.sent.at(-1)?.at ?? 0;
        for (const [i, { at }] of rig.sent.entries()) {
          assertLessOrEqual(rig.sent.length - i, 128 + 0.128 * (end - at) + 1e-6);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("a heartbeat with the node's own id", () => {
  const ELSEWHERE = { host: "10.0.7.7", port: 7777 };

  test("that comes from elsewhere is challenged, and gets a response; another node responds to the challenge", () => {
    const rig = new MembershipRig();
    rig.membership.onOwnHeartbeat({}, ELSEWHERE);
    const nonce = rig.nonceTo("10.0.7.7:7777");
    assert(nonce !== undefined);
    rig.membership.onOwnHeartbeat({ nonce: 4711 }, ELSEWHERE);
    assertEquals(rig.sentTo("10.0.7.7:7777").at(-1)?.echo, 4711);
    assertEquals(rig.duplicatesMet, 0);
    rig.membership.onOwnHeartbeat({ echo: 4711 }, ELSEWHERE);
    assertEquals(rig.duplicatesMet, 0);
    rig.membership.onOwnHeartbeat({ echo: nonce }, ELSEWHERE);
    assertEquals(rig.duplicatesMet, 1);
    rig.membership.onOwnHeartbeat({ echo: nonce }, ELSEWHERE);
    assertEquals(rig.duplicatesMet, 1);
  });

  test("is its own when its own challenge comes back, as behind a translated address", () => {
    const rig = new MembershipRig();
    rig.membership.onOwnHeartbeat({}, ELSEWHERE);
    const nonce = rig.nonceTo("10.0.7.7:7777") ?? 0;
    rig.forget();
    rig.membership.onOwnHeartbeat({ nonce }, ELSEWHERE);
    assertEquals([rig.sentTo(), rig.duplicatesMet], [[], 0]);
    // The network has duplicated it: it gets a response, which is ignored.
    rig.membership.onOwnHeartbeat({ nonce }, ELSEWHERE);
    rig.membership.onOwnHeartbeat({ echo: nonce }, ELSEWHERE);
    assertEquals(rig.duplicatesMet, 0);
  });

  test("gets a bounded number of responses where all that it sends comes back several times", async () => {
    const rig = new MembershipRig();
    rig.membership.onOwnHeartbeat({}, ELSEWHERE);
    let count = 0;
    for (let round = 0; round < 10; round++) {
      const sent = rig.sentTo();
      count += sent.length;
      rig.forget();
      await rig.clock.advance(5);
      for (const saying of sent) for (let i = 0; i < 3; i++) rig.membership.onOwnHeartbeat(saying, ELSEWHERE);
    }
    // The challenge, and responses to two copies of it.
    assertEquals([count, rig.duplicatesMet], [3, 0]);
  });

  test("that comes from this process is ignored", () => {
    const rig = new MembershipRig({}, { isElsewhere: () => false });
    rig.membership.onOwnHeartbeat({}, ELSEWHERE);
    rig.membership.onOwnHeartbeat({ nonce: 4711 }, ELSEWHERE);
    assertEquals(rig.sentTo(), []);
  });

  test("causes a challenge to where peers list it", () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.hear(1, { extension: { peers: [{ id: idOf(OWN), ...ELSEWHERE }] } });
    assert(rig.nonceTo("10.0.7.7:7777") !== undefined);
    const nonce = rig.nonceTo("10.0.7.7:7777") ?? 0;
    rig.membership.onOwnHeartbeat({ echo: nonce }, ELSEWHERE);
    assertEquals(rig.duplicatesMet, 1);
  });

  test("causes no challenge to where no node of another host can be, whatever peers list", () => {
    const rig = new MembershipRig({}, { mayBeAt: ({ host }) => host !== "127.0.0.1" });
    rig.meet(1);
    rig.forget();
    for (const host of ["127.0.0.1", "239.0.0.1", "255.255.255.255", "2001:db8::7"]) {
      rig.hear(1, { extension: { peers: [{ id: idOf(OWN), host, port: 7777 }] } });
    }
    assertEquals([rig.sentTo(), rig.duplicatesMet], [[], 0]);
  });

  test("is detected when a peer responds from two addresses: each gets the address of the other", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    const there = { host: "10.0.7.7", port: 7777 };
    for (let i = 0; i < 4 && rig.nonceTo("10.0.7.7:7777") === undefined; i++) {
      await rig.clock.advance(HEARTBEAT);
      rig.hear(1, { source: there, extension: { path: 0 } });
    }
    assert(rig.nonceTo("10.0.7.7:7777") !== undefined);
    rig.answer(1, {}, "10.0.7.7:7777");
    const listed = rig.sentTo("10.0.7.7:7777").flatMap(({ peers }) => peers ?? []);
    assertEquals(listed.map(({ host, port }) => ({ host, port })), [placeOf(1)]);
    // Its multicast was not heard: it must not take that for a reason to send no copies.
    assertEquals(rig.sentTo("10.0.7.7:7777").filter(({ path }) => path !== 0), []);
  });

  test("is challenged 16 times at once and a second, and gets 1,024 responses, as anybody can forge it", () => {
    const rig = new MembershipRig();
    for (let i = 0; i < 2000; i++) rig.membership.onOwnHeartbeat({}, { host: "10.0.7.7", port: 1 + i });
    assertEquals(rig.sentTo().length, 16);
    rig.forget();
    for (let i = 0; i < 2000; i++) rig.membership.onOwnHeartbeat({ nonce: i }, { host: "10.0.7.7", port: 1 + i });
    assertEquals(rig.sentTo().length, 1024);
  });
});
