// Path validation: how nodes validate each other's addresses, and what an unvalidated one gets (docs/wire.md).
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import type { MeshEvent } from "../../src/events.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { writeHeard } from "../../src/wire/peer_exchange.ts";
import { HEARTBEAT, MembershipRig, OWN, type SentHeartbeat, type Word } from "../support/membership_rig.ts";
import { addressOf, idOf, nameOf, placeOf, put } from "../support/peers.ts";

const ELSEWHERE: Endpoint = { host: "10.7.7.7", port: 7946 };
const ELSEWHERE_TEXT = "10.7.7.7:7946";
const MINUTE = 60_000;

function exchange(...indexes: readonly number[]) {
  return indexes.map((index) => ({ id: idOf(index), ...placeOf(index) }));
}

function isChallenge({ nonce, echo, peers, token, heard }: SentHeartbeat): boolean {
  return nonce !== undefined && echo === undefined && peers === undefined && token === undefined && heard === undefined;
}

describe("a joining node", () => {
  test("by multicast: is challenged, responds with a challenge, gets a response with the initial peer exchange, and sends its own", () => {
    const rig = new MembershipRig();
    rig.meet(2, 3);
    rig.hear(1, { extension: { path: 2 } });
    assertEquals(rig.sent, [{ at: 0, to: addressOf(1), path: 1, nonce: rig.nonceTo(addressOf(1)) as number }]);
    assertEquals(rig.membership.peers.endpoints(), [placeOf(2), placeOf(3)]);
    rig.answer(1, { nonce: 77, path: 1 });
    const token = idOf(1).slice(0, 8);
    assertEquals(rig.sent.slice(1), [{ at: 0, to: addressOf(1), path: 1, echo: 77, peers: exchange(2, 3, 1), token }]);
    assertEquals([rig.entry(1).isValidated, rig.entry(1).hearsUs], [true, true]);
    // Its initial peer exchange needs no response.
    rig.hear(1, { extension: { path: 1, token: new Uint8Array(8), peers: [] } });
    assertEquals(rig.sent.length, 2);
    assertEquals(rig.validated, [{ id: nameOf(1), to: addressOf(1), time: 0 }]);
    assertEquals(rig.events, [{ type: "peerJoined", peer: { id: nameOf(1), address: addressOf(1) } } as MeshEvent]);
  });

  test("that sends the first challenge gets a response with a challenge, and the initial peer exchange after its response", () => {
    const rig = new MembershipRig();
    rig.hear(1, { extension: { path: 0, nonce: 77 } });
    const nonce = rig.nonceTo(addressOf(1)) as number;
    assertEquals(rig.sent, [{ at: 0, to: addressOf(1), path: 0, echo: 77, nonce }]);
    assertEquals([rig.entry(1).isValidated, rig.membership.peers.endpoints()], [false, []]);
    rig.answer(1);
    assertEquals(rig.sent.slice(1), [
      { at: 0, to: addressOf(1), path: 0, peers: exchange(1), token: idOf(1).slice(0, 8) },
    ]);
  });

  test("gets 24 peers at most in a peer exchange, and the next one the next 24", () => {
    const rig = new MembershipRig();
    const all = Array.from({ length: 40 }, (_, i) => i + 1);
    rig.meet(...all);
    const listed = new Set<number>();
    for (const index of [50, 51]) {
      rig.hear(index, { extension: { nonce: index } });
      rig.answer(index);
      const indexes = (rig.sent.at(-1)?.peers ?? []).map(({ id }) => new DataView(id.buffer).getUint32(0));
      assertEquals([indexes.length, new Set(indexes).size], [24, 24]);
      for (const each of indexes) listed.add(each);
      rig.membership.leave(nameOf(index));
    }
    // Two initial peer exchanges list all 40: each joining node is the 41st, and may be listed itself.
    assertEquals(all.filter((index) => !listed.has(index)), []);
  });

  test("gets one initial peer exchange; challenges of a peer get a response with nothing but the echo", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    await rig.clock.advance(2000);
    rig.forget();
    for (const nonce of [5, 6]) rig.hear(1, { extension: { nonce } });
    assertEquals(rig.sent, [5, 6].map((echo) => ({ at: 2000, to: addressOf(1), path: 0, echo })));
  });

  test("that sends a challenge a moment later gets the initial peer exchange again, to the same address only", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    await rig.clock.advance(1999);
    rig.forget();
    rig.hear(1, { extension: { nonce: 5 } });
    rig.hear(1, { source: ELSEWHERE, extension: { nonce: 6 } });
    const shown = rig.sent.map(({ to, echo, peers, token }) => [to, echo, peers !== undefined, token !== undefined]);
    assertEquals(shown, [[addressOf(1), 5, true, true], [ELSEWHERE_TEXT, 6, false, false]]);
  });

  test("that responds with the nonce of another's challenge, or after another did, is not validated", () => {
    const rig = new MembershipRig();
    for (const index of [1, 2]) rig.hear(index);
    const [first, second] = [rig.nonceTo(addressOf(1)) as number, rig.nonceTo(addressOf(2)) as number];
    rig.forget();
    rig.hear(1, { extension: { echo: second } });
    rig.hear(2, { extension: { echo: first } });
    rig.hear(3, { extension: { echo: first } });
    rig.hear(1, { extension: { echo: 4_000_000_000 } });
    assertEquals([1, 2, 3].map((index) => rig.entry(index).isValidated), [false, false, false]);
    assertEquals([rig.validated, rig.membership.peers.endpoints()], [[], []]);
    rig.hear(1, { extension: { echo: first } });
    assertEquals([1, 2, 3].map((index) => rig.entry(index).isValidated), [true, false, false]);
  });

  test("that sends its challenge from elsewhere than it was challenged gets the peer exchange where it was challenged", () => {
    const rig = new MembershipRig();
    rig.hear(1);
    const echo = rig.nonceTo(addressOf(1)) as number;
    rig.forget();
    rig.hear(1, { source: ELSEWHERE, extension: { echo, nonce: 77 } });
    const shown = rig.sent.map(({ to, echo, peers, token }) => [to, echo, peers !== undefined, token !== undefined]);
    assertEquals(shown, [[ELSEWHERE_TEXT, 77, false, false], [addressOf(1), undefined, true, true]]);
  });

  test("is reached at the address of its response, though the datagrams with the response come from anywhere", () => {
    const rig = new MembershipRig();
    rig.hear(1);
    rig.hear(1, { source: ELSEWHERE, extension: { echo: rig.nonceTo(addressOf(1)) as number } });
    assertEquals(rig.membership.peers.endpoints(), [placeOf(1)]);
  });
});

describe("a node that was heard and does not respond", () => {
  const challenges = (rig: MembershipRig) => rig.sentTo(addressOf(1)).map(({ at }) => at);

  test("is challenged again after 0.1, 0.3 and 0.9 s, then no more by itself, and gets nothing else", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    await rig.clock.advance(50);
    rig.hear(1);
    await rig.clock.advance(20 * HEARTBEAT);
    // The check for those that are due comes each 100 ms.
    assertEquals(challenges(rig), [50, 150, 450, 1350]);
    assertEquals(rig.sentTo(addressOf(1)).every(isChallenge), true);
    const nonces = rig.sentTo(addressOf(1)).map(({ nonce }) => nonce);
    assertEquals(new Set(nonces).size, 4);
  });

  test("is challenged when it is heard half a heartbeat later or more", async () => {
    const rig = new MembershipRig();
    rig.hear(1);
    await rig.clock.advance(1300 + HEARTBEAT / 2 - 1);
    rig.forget();
    rig.hear(1);
    assertEquals(challenges(rig), []);
    await rig.clock.advance(1);
    for (let i = 0; i < 5; i++) rig.hear(1);
    assertEquals(challenges(rig), [1300 + HEARTBEAT / 2]);
    await rig.clock.advance(HEARTBEAT / 2);
    rig.hear(1);
    assertEquals(challenges(rig), [1300 + HEARTBEAT / 2, 1300 + HEARTBEAT]);
  });

  test("is not challenged after it has responded", async () => {
    const rig = new MembershipRig();
    rig.hear(1);
    await rig.clock.advance(100);
    rig.answer(1);
    rig.forget();
    await rig.clock.advance(10_000);
    assertEquals([rig.sent, rig.clock.pending], [[], 0]);
  });

  test("is not challenged after it has departed, or the node stops", async () => {
    for (const end of ["leave", "stop"] as const) {
      const rig = new MembershipRig();
      rig.hear(1);
      if (end === "leave") rig.membership.leave(nameOf(1));
      else rig.membership.stop();
      rig.forget();
      await rig.clock.advance(10_000);
      assertEquals([rig.sent, rig.clock.pending], [[], 0], end);
    }
  });

  test("that moves all the time gets 128 challenges a second in all", async () => {
    const rig = new MembershipRig({ maxPeers: 65_536 });
    for (let index = 1; index <= 1000; index++) rig.hear(index);
    assertEquals(rig.sent.length, 128);
    await rig.clock.advance(10_000);
    assertLessOrEqual(rig.sent.length, 128 + 1280);
    assert(rig.sent.every(isChallenge));
  });

  test("gets 1,024 responses to its challenges at once and a second", async () => {
    const rig = new MembershipRig();
    const challenge = (count: number) => {
      rig.forget();
      for (let i = 0; i < count; i++) rig.hear(1 + (i % 100), { extension: { nonce: i } });
      return rig.sent.length;
    };
    const counts = [challenge(2000), challenge(10)];
    await rig.clock.advance(50);
    counts.push(challenge(2000));
    assertEquals(counts, [1024, 0, 51]);
  });
});

describe("an advertised address that differs from the source", () => {
  const to = (rig: MembershipRig) => rig.sentTo(ELSEWHERE_TEXT).map(({ at }) => at);

  test("gets one datagram, a challenge for that node", () => {
    const rig = new MembershipRig();
    for (let i = 0; i < 10; i++) rig.hear(1, { advertised: ELSEWHERE_TEXT });
    assertEquals([to(rig), rig.sentTo(ELSEWHERE_TEXT).every(isChallenge)], [[0], true]);
    rig.hear(2, { extension: { echo: rig.nonceTo(ELSEWHERE_TEXT) as number } });
    assertEquals(rig.entry(2).isValidated, false);
  });

  test("gets one challenge, whichever nodes advertise it, under any ids: plain ones and validated ones", () => {
    const rig = new MembershipRig({ maxPeers: 65_536 });
    rig.meet(1);
    for (let index = 1; index < 5000; index++) {
      rig.hear(index, { advertised: ELSEWHERE_TEXT, extension: index % 2 === 0 ? undefined : {} });
    }
    assertEquals(to(rig), [0]);
  });

  test("gets another challenge after 1, 2, 4 minutes while it is advertised, and up to an hour", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i <= 4 * 60 * 6; i++) {
      rig.hear(1, { advertised: ELSEWHERE_TEXT });
      await rig.clock.advance(10_000);
    }
    assertEquals(to(rig).map((at) => at / MINUTE), [0, 1, 3, 7, 15, 31, 63, 123, 183]);
  });

  test("is where the node is reached once it responds there", () => {
    const rig = new MembershipRig();
    rig.hear(1, { advertised: ELSEWHERE_TEXT });
    const [here, there] = [rig.nonceTo(addressOf(1)) as number, rig.nonceTo(ELSEWHERE_TEXT) as number];
    rig.hear(1, { advertised: ELSEWHERE_TEXT, extension: { echo: here } });
    rig.forget();
    rig.hear(1, { advertised: ELSEWHERE_TEXT, extension: { echo: there } });
    assertEquals(rig.membership.peers.endpoints(), [ELSEWHERE]);
    // The initial peer exchange goes there, with the token for that address, and lists the old address.
    assertEquals(rig.sent.map(({ to, token }) => [to, token !== undefined]), [
      [ELSEWHERE_TEXT, false],
      [ELSEWHERE_TEXT, true],
    ]);
    assertEquals(rig.validated, [{ id: nameOf(1), to: ELSEWHERE_TEXT, time: 0 }]);
  });

  test("is a source when the node is heard from there", () => {
    const rig = new MembershipRig();
    rig.hear(1);
    rig.answer(1);
    assertEquals(rig.sent.filter(isChallenge).length, 1);
  });
});

describe("an address that a peer lists", () => {
  const tell = (rig: MembershipRig, by: number, ...indexes: readonly number[]) =>
    rig.hear(by, { extension: { peers: exchange(...indexes) } });

  test("gets one challenge, for any node that is there", () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 10; i++) tell(rig, 1, 2, 3);
    assertEquals(rig.sent.map(({ to, path }) => [to, path]), [[addressOf(2), 0], [addressOf(3), 0]]);
    assert(rig.sent.every(isChallenge));
    // Any node that responds is validated there: also a process that was started again, with an id that nobody listed.
    rig.answer(9, {}, addressOf(3));
    assertEquals(rig.membership.peers.endpoints(), [placeOf(1), placeOf(3)]);
    assertEquals(rig.membership.peers.size, 2);
  });

  test("gets one challenge, whichever peers list it, however often and under which ids", () => {
    const rig = new MembershipRig();
    rig.meet(1, 2, 3, 4);
    for (let i = 0; i < 1000; i++) {
      rig.hear(1 + (i % 4), { extension: { peers: [{ id: idOf(100 + i), ...ELSEWHERE }] } });
    }
    assertEquals(rig.sent.map(({ to }) => to), [ELSEWHERE_TEXT]);
    // And none more when a node advertises it.
    rig.hear(5, { advertised: ELSEWHERE_TEXT });
    assertEquals(rig.sentTo(ELSEWHERE_TEXT).length, 1);
  });

  test("gets nothing when the path of the peer is not validated", () => {
    const rig = new MembershipRig();
    rig.hear(1, { extension: { peers: exchange(2) } });
    rig.hear(1, { extension: { nonce: 3, peers: exchange(2) } });
    assertEquals(rig.sentTo(addressOf(2)), []);
    // Its response, and the peer exchange in it, is accepted.
    rig.answer(1, { peers: exchange(2) });
    assertEquals(rig.sentTo(addressOf(2)).length, 1);
  });

  test("gets nothing when it is that of this node, or of a known one", () => {
    const rig = new MembershipRig({}, { isElsewhere: () => false });
    rig.meet(1, 2);
    rig.hearPlain(3);
    rig.forget();
    tell(rig, 1, OWN, 1, 2, 3);
    assertEquals(rig.sent, []);
    // Of a node that is known at another address, too: that is challenged where it is heard.
    rig.hear(1, { extension: { peers: [{ id: idOf(2), ...ELSEWHERE }, { id: idOf(3), ...ELSEWHERE }] } });
    assertEquals(rig.sent, []);
  });

  test("gets one challenge when the node is known and has never responded, as it may be elsewhere", () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.hear(2, { source: ELSEWHERE });
    rig.forget();
    tell(rig, 1, 2);
    assertEquals(rig.sentTo(addressOf(2)).length, 0, "its advertised address was challenged already");
    rig.hear(1, { extension: { peers: [{ id: idOf(2), host: "10.8.8.8", port: 1 }] } });
    assertEquals(rig.sentTo("10.8.8.8:1").length, 1);
  });

  const unusable = ["239.0.0.1", "255.255.255.255", "0.0.0.0", "fd00::1", "10.0.0.255"];
  test(`gets nothing when no node can be there: ${unusable.join(", ")}`, () => {
    const mayBeAt = ({ host }: Endpoint) => host !== "10.0.0.255";
    const rig = new MembershipRig({}, { mayBeAt });
    rig.meet(1);
    rig.hear(1, { extension: { peers: unusable.map((host, i) => ({ id: idOf(50 + i), host, port: 7946 })) } });
    assertEquals(rig.sent, []);
  });

  test("gets another challenge after 1, 2, 4 … heartbeats while it is listed, and at once after a response from there", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 4 * 32; i++) {
      tell(rig, 1, 2);
      await rig.clock.advance(HEARTBEAT / 4);
    }
    assertEquals(rig.sentTo(addressOf(2)).map(({ at }) => at / HEARTBEAT), [0, 1, 3, 7, 15, 31]);
    rig.answer(2);
    rig.membership.leave(nameOf(2));
    rig.forget();
    tell(rig, 1, 2);
    assertEquals(rig.sentTo(addressOf(2)).length, 1);
  });

  test("of a lost peer gets one after 1, 2, 4 heartbeats: a third node may see both sides of a broken path", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    rig.meet(1, 2);
    const goOn = async (heartbeats: number) => {
      for (let i = 0; i < 4 * heartbeats; i++) {
        await rig.clock.advance(HEARTBEAT / 4);
        tell(rig, 1, 2);
      }
    };
    await goOn(3);
    assertEquals(rig.gone, [nameOf(2)]);
    rig.forget();
    const lostAt = rig.clock.now();
    await goOn(8);
    const challenges = rig.sentTo(addressOf(2)).map(({ at }) => (at - lostAt) / HEARTBEAT);
    // These are the probes of a departed peer; the lists cause no more.
    assertEquals(challenges, [1, 3, 7]);
    assert(rig.sentTo(addressOf(2)).every(isChallenge));
    rig.answer(2);
    assertEquals(rig.entry(2).isValidated, true);
  });

  test("from where that node was heard gets twelve, one in a heartbeat, as all challenges may have been lost", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    rig.hear(2);
    for (let i = 0; i < 40; i++) {
      await rig.clock.advance(HEARTBEAT / 2);
      tell(rig, 1, 2);
    }
    // The first, and those after 0.1, 0.3 and 0.9 s.
    const expected = [0, 100, 400, 1300, ...Array.from({ length: 8 }, (_, i) => HEARTBEAT * (2 + i) - HEARTBEAT / 2)];
    const challenges = rig.sentTo(addressOf(2)).map(({ at }) => at);
    assertEquals(challenges.length, expected.length);
    for (const [i, at] of challenges.entries()) assertLessOrEqual(Math.abs(at - (expected[i] ?? 0)), HEARTBEAT);
    // It can reach this node again.
    rig.hear(2, { extension: { nonce: 1 } });
    rig.answer(2);
    assertEquals(rig.entry(2).isValidated, true);
  });

  test("verifies 64 leaves at once and 8 a second; those beyond that count as unverified", async () => {
    const rig = new MembershipRig();
    const indexes = Array.from({ length: 70 }, (_, i) => 1 + i);
    rig.meet(...indexes);
    rig.departures.length = 0;
    const challenges = rig.sent.length;
    for (const index of indexes.slice(0, 66)) rig.membership.leave(nameOf(index));
    assertEquals(rig.departures, [...Array(64).fill("left"), "unverified", "unverified"]);
    assertEquals(rig.sent.length - challenges, 64);
    await rig.clock.advance(250);
    for (const index of indexes.slice(66)) rig.membership.leave(nameOf(index));
    assertEquals(rig.departures.slice(66), ["left", "left", "unverified", "unverified"]);
  });

  test("of a peer that has left gets no more, besides the one that verifies the leave", async () => {
    const rig = new MembershipRig();
    rig.meet(1, 2);
    rig.membership.leave(nameOf(2));
    for (let i = 0; i < 10; i++) {
      await rig.clock.advance(HEARTBEAT);
      tell(rig, 1, 2);
    }
    assertEquals(rig.sentTo(addressOf(2)).map(({ at }) => at / HEARTBEAT), [0, 1, 2, 4, 8]);
  });

  test("is one of 256 that are challenged at once; those beyond that are counted", () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 20; i++) tell(rig, 1, ...Array.from({ length: 20 }, (_, j) => 1000 + 20 * i + j));
    assertEquals([rig.sent.length, rig.membership.probesRefused], [256, 400 - 256]);
  });
});

describe("a peer that is heard from another address than it has responded from", () => {
  test("is not moved while it is heard at the old one too, or has responded there recently", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 20; i++) {
      await rig.clock.advance(HEARTBEAT / 2);
      rig.hear(1, { source: ELSEWHERE });
      rig.hear(1);
    }
    assertEquals([rig.sent, rig.membership.peers.endpoints()], [[], [placeOf(1)]]);
  });

  test("for more than a heartbeat is challenged at both, and moved when it responds at the new one alone for two", async () => {
    const rig = new MembershipRig();
    const answerThere = () => {
      const echo = rig.nonceTo(ELSEWHERE_TEXT) as number;
      rig.hear(1, { source: ELSEWHERE, extension: { echo } });
    };
    rig.meet(1);
    await rig.clock.advance(HEARTBEAT);
    rig.hear(1, { source: ELSEWHERE });
    assertEquals(rig.sent, []);
    await rig.clock.advance(1);
    rig.hear(1, { source: ELSEWHERE });
    assertEquals(rig.sent.map(({ to }) => to).sort(), [addressOf(1), ELSEWHERE_TEXT].sort());
    answerThere();
    assertEquals(rig.membership.peers.endpoints(), [placeOf(1)]);
    await rig.clock.advance(HEARTBEAT - 1);
    rig.hear(1, { source: ELSEWHERE });
    assertEquals(rig.membership.peers.endpoints(), [placeOf(1)]);
    rig.forget();
    await rig.clock.advance(1);
    rig.hear(1, { source: ELSEWHERE });
    assertEquals(rig.membership.peers.endpoints(), [ELSEWHERE]);
    // It has responded there already, so nothing has to arrive once more.
    const exchanged = { at: 2 * HEARTBEAT + 1, to: ELSEWHERE_TEXT, path: 0, peers: [{ id: idOf(1), ...ELSEWHERE }] };
    assertEquals(rig.sent, [{ ...exchanged, token: idOf(1).slice(0, 8) }]);
    assertEquals(rig.validated, [{ id: nameOf(1), to: ELSEWHERE_TEXT, time: 0 }]);
  });

  test("is not moved there when it has responded since at the old address", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    await rig.clock.advance(HEARTBEAT + 1);
    rig.hear(1, { source: ELSEWHERE });
    rig.hear(1, { source: ELSEWHERE, extension: { echo: rig.nonceTo(ELSEWHERE_TEXT) as number } });
    await rig.clock.advance(10);
    rig.answer(1);
    for (let i = 0; i < 3; i++) {
      await rig.clock.advance(HEARTBEAT);
      rig.hear(1, { source: ELSEWHERE });
      assertEquals(rig.membership.peers.endpoints(), [placeOf(1)], `${i}`);
    }
  });

  test("is not moved though two challenges to the old address are lost in a row, again and again", async () => {
    // Of 1.6 s, all four challenges are sent before the next.
    const heartbeat = 200;
    const rig = new MembershipRig({ heartbeat, peerTimeout: 10 * heartbeat });
    rig.meet(1);
    let answered = 0;
    for (let i = 0; i < 40; i++) {
      rig.hear(1, { source: ELSEWHERE });
      const echo = rig.nonceTo(ELSEWHERE_TEXT);
      if (echo !== undefined) rig.hear(1, { source: ELSEWHERE, extension: { echo } });
      for (let step = 0; step < 17; step++) {
        await rig.clock.advance(0.05 * heartbeat);
        if (rig.entry(1).validation.challengesSent < 3) continue;
        rig.answer(1);
        answered++;
      }
      assertEquals(rig.membership.peers.endpoints(), [placeOf(1)], `${i}`);
    }
    assert(answered >= 10, `${answered}`);
  });

  test("by multicast, from a host of its own, is not moved unless eight challenges to the old address are lost", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    // As IPv6 does: from a link-local address of the same socket.
    const aside = { host: "10.9.0.1", port: placeOf(1).port };
    let challenges = 0;
    let answered = 0;
    const goOn = async (lost: number) => {
      rig.forget();
      rig.hear(1, { source: aside, extension: { path: 2 } });
      const echo = rig.nonceTo(`${aside.host}:${aside.port}`);
      if (echo !== undefined) rig.hear(1, { source: aside, extension: { echo } });
      for (let i = 0; i < 9; i++) {
        await rig.clock.advance(HEARTBEAT / 10);
        challenges = rig.entry(1).validation.challengesSent;
        if (challenges <= lost) continue;
        answered++;
        rig.answer(1);
      }
    };
    for (let i = 0; i < 60; i++) {
      await goOn(6);
      assertEquals([rig.membership.peers.endpoints(), rig.events], [[placeOf(1)], []], `${i}`);
    }
    assert(answered >= 5, `${answered}`);
    for (let i = 0; i < 12; i++) await goOn(Infinity);
    assertEquals(rig.membership.peers.endpoints(), [aside]);
  });

  for (const [port, name] of [[placeOf(1).port, "its own port"], [33_333, "a port for multicast alone"]] as const) {
    test(`by multicast from another host and ${name}: what that says counts once it has responded there`, async () => {
      const rig = new MembershipRig();
      rig.meet(1);
      await rig.clock.advance(HEARTBEAT);
      const heardAt = rig.clock.now();
      rig.hear(1, { source: { host: "10.9.0.1", port }, extension: { path: 2, heard: writeHeard([idOf(OWN)]) } });
      await rig.clock.advance(5);
      assertEquals([rig.entry(1).multicast.groupAt, rig.entry(1).hearsUs], [-Infinity, false], "that may be forged");
      // Whether it hears this node is in its response, which is newer than the list.
      rig.answer(1, {}, `10.9.0.1:${placeOf(1).port}`);
      assertEquals([rig.entry(1).multicast.groupAt, rig.entry(1).hearsUs], [heardAt, false]);
      assertEquals(rig.membership.peers.endpoints(), [placeOf(1)]);
      // The host is known to be its own from now on.
      await rig.clock.advance(HEARTBEAT);
      rig.hear(1, { source: { host: "10.9.0.1", port }, extension: { path: 2 } });
      assertEquals(rig.entry(1).multicast.groupAt, rig.clock.now());
    });
  }

  test("by multicast from another host has not said it when it responds elsewhere, or when a heartbeat has passed", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    const [aside, there] = [placeOf(7), addressOf(7)];
    const say = () => rig.hear(1, { source: aside, extension: { path: 2, heard: writeHeard([idOf(OWN)]) } });
    await rig.clock.advance(HEARTBEAT + 1);
    say();
    rig.answer(1);
    assertEquals([rig.entry(1).multicast.groupAt, rig.entry(1).hearsUs], [-Infinity, false]);
    await rig.clock.advance(HEARTBEAT + 1);
    rig.answer(1, {}, there);
    assertEquals([rig.entry(1).multicast.groupAt, rig.entry(1).hearsUs], [-Infinity, false]);
    say();
    assertEquals([rig.entry(1).multicast.groupAt, rig.entry(1).hearsUs], [rig.clock.now(), true]);
  });

  test("by multicast from another host counts no longer when it was heard later, nor twice", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    const hear = (host: string) => rig.hear(1, { source: { ...placeOf(1), host }, extension: { path: 2 } });
    await rig.clock.advance(HEARTBEAT);
    hear("10.9.0.1");
    await rig.clock.advance(10);
    hear(placeOf(1).host);
    const latest = rig.clock.now();
    rig.answer(1, {}, `10.9.0.1:${placeOf(1).port}`);
    assertEquals([rig.entry(1).multicast.groupAt, rig.entry(1).multicast.alternate], [latest, undefined]);
  });

  test("by multicast from hosts of its own, and responds, is challenged in each fourth heartbeat", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    const aside = { host: "10.9.0.1", port: placeOf(1).port };
    const challenges: number[] = [];
    for (let i = 0; i < 40; i++) {
      rig.forget();
      rig.hear(1, { source: aside, extension: { path: 2 } });
      if (rig.sentTo(addressOf(1)).length > 0) {
        challenges.push(i);
        rig.answer(1);
      }
      const echo = rig.nonceTo(`${aside.host}:${aside.port}`);
      if (echo !== undefined) rig.hear(1, { source: aside, extension: { echo } });
      await rig.clock.advance(0.95 * HEARTBEAT);
    }
    assertEquals(challenges.slice(1).map((at, i) => at - (challenges[i] ?? 0)), Array(challenges.length - 1).fill(5));
    // At a socket for multicast alone it is not challenged at all.
    rig.forget();
    for (let i = 0; i < 20; i++) {
      rig.hear(1, { source: { ...aside, port: 33_333 }, extension: { path: 2 } });
      await rig.clock.advance(0.95 * HEARTBEAT);
    }
    assertEquals(rig.sent, []);
  });

  test("by multicast from its new host, on another port, is challenged at the new advertised address until it responds", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    const [host, port] = ["10.0.5.5", placeOf(1).port];
    const move = () =>
      rig.hear(1, { advertised: `${host}:${port}`, source: { host, port: 33_333 }, extension: { path: 2 } });
    for (let i = 0; i < 5; i++) {
      await rig.clock.advance(HEARTBEAT);
      rig.forget();
      move();
      assertEquals(rig.sentTo(`${host}:${port}`).length >= 1, true, `${i}`);
    }
    rig.hear(1, {
      source: { host, port },
      advertised: `${host}:${port}`,
      extension: { echo: rig.nonceTo(`${host}:${port}`) as number },
    });
    assertEquals(rig.membership.peers.endpoints(), [{ host, port }]);
  });

  test("is not moved to where it has not responded", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 10; i++) {
      await rig.clock.advance(0.85 * HEARTBEAT);
      rig.hear(1, { source: { ...ELSEWHERE, port: 1000 + i } });
    }
    // Each heartbeat but the first, after which it was silent for less than a heartbeat, is challenged at both; and the
    // old one is challenged again 0.1, 0.3 and 0.9 s later.
    assertEquals(rig.sentTo(`${ELSEWHERE.host}:1001`).length, 1);
    assert(rig.sentTo(addressOf(1)).length >= 9);
    assertEquals(rig.membership.peers.endpoints(), [placeOf(1)]);
  });

  test("is not moved when the heartbeats were forged and it responds at the old address", async () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 20; i++) {
      await rig.clock.advance(HEARTBEAT / 2);
      rig.hear(1, { source: ELSEWHERE, advertised: ELSEWHERE_TEXT });
      if (rig.sentTo(addressOf(1)).length > 0) {
        rig.answer(1);
        rig.forget();
      }
    }
    assertEquals(rig.membership.peers.endpoints(), [placeOf(1)]);
  });
});

test("a peer that is heard or responds from where it is reached was not challenged there since", async () => {
  const rig = new MembershipRig();
  rig.membership.start();
  rig.meet(1);
  await rig.clock.advance(1.3 * HEARTBEAT);
  const echo = rig.nonceTo(addressOf(1)) ?? 0;
  const count = (word: Word) => {
    put(rig.entry(1).validation, { challengesSent: 8 });
    rig.hear(1, word);
    return rig.entry(1).validation.challengesSent;
  };
  // It may have moved: it is challenged there once more.
  assertEquals(count({ source: ELSEWHERE }), 9);
  // The response to a challenge there may come by another socket.
  assertEquals(count({ source: ELSEWHERE, extension: { echo } }), 0);
  assertEquals(count({}), 0);
});

describe("multicast in the name of a peer from a host that is not validated as its own", () => {
  const group = { path: 2, heard: idOf(OWN).subarray(0, 4) };
  const OTHER_PORT = `${ELSEWHERE.host}:${placeOf(1).port}`;

  test("says nothing about reachability: the peer goes on getting copies, and path 0", () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (const extension of [{ path: 1 }, { path: 2 }, group]) rig.hear(1, { source: ELSEWHERE, extension });
    assertEquals(rig.membership.peers.copies(), [placeOf(1)]);
    rig.forget();
    rig.hear(1, { extension: { nonce: 5 } });
    assertEquals(rig.sent.map(({ path }) => path), [0]);
    rig.hear(1, { extension: group });
    assertEquals(rig.membership.peers.copies(), []);
    // Nor that the peer does not hear the group.
    rig.hear(1, { source: ELSEWHERE, extension: { path: 0 } });
    assertEquals(rig.membership.peers.copies(), []);
  });

  test("counts once the peer has responded there: with several interfaces, multicast leaves by each", () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 3; i++) rig.hear(1, { source: ELSEWHERE, extension: group });
    // At the port where it is reached: that of the socket for multicast may be closed to others.
    assertEquals(rig.sent.map(({ to }) => to), [OTHER_PORT]);
    assert(rig.sent.every(isChallenge));
    rig.hear(1, { extension: { echo: rig.nonceTo(OTHER_PORT) as number } });
    assertEquals([rig.membership.peers.endpoints(), rig.validated], [[placeOf(1)], []]);
    rig.hear(1, { source: ELSEWHERE, extension: group });
    assertEquals(rig.membership.peers.copies(), []);
    // The challenge goes to where it is reached, as another node may be there under the same id.
    assertEquals(rig.sent.slice(1).map(({ to, peers }) => [to, peers?.map(({ port }) => port)]), [
      [OTHER_PORT, [placeOf(1).port]],
    ]);
    assertEquals(rig.events, []);
  });

  test("causes challenges to no more than 64 addresses at once, and 17 hosts of a peer are kept", () => {
    const rig = new MembershipRig();
    rig.meet(1);
    for (let i = 0; i < 200; i++) {
      rig.hear(1, { source: { host: `10.8.0.${i}`, port: 7946 }, extension: group });
    }
    assertEquals(rig.sent.length, 64);
    for (const { to } of [...rig.sent]) rig.hear(1, { extension: { echo: rig.nonceTo(to) as number } });
    assertEquals(rig.entry(1).path.hosts.size, 16);
  });
});

test("a peer exchange is accepted from hosts of the peer alone", () => {
  const rig = new MembershipRig();
  rig.meet(1);
  rig.hear(1, { source: ELSEWHERE, extension: { peers: exchange(50) } });
  assertEquals(rig.sentTo(addressOf(50)), []);
  put(rig.entry(1).path, { hosts: new Set([ELSEWHERE.host]) });
  rig.hear(1, { source: ELSEWHERE, extension: { peers: exchange(50) } });
  assertEquals(rig.sentTo(addressOf(50)).length, 1);
});

test("a node that is heard from its advertised address, and never responds there, is challenged ever less often", async () => {
  const rig = new MembershipRig();
  rig.meet(1);
  const challenges: number[] = [];
  for (let i = 0; i < 400; i++) {
    rig.forget();
    rig.hear(1);
    rig.hear(1, { source: ELSEWHERE, advertised: ELSEWHERE_TEXT });
    if (rig.sentTo(ELSEWHERE_TEXT).length > 0) challenges.push(i);
    // It is heard where it has responded: there it is not challenged.
    assertEquals(rig.sentTo(addressOf(1)), []);
    await rig.clock.advance(0.9 * HEARTBEAT);
  }
  assertLessOrEqual(challenges.length, 18);
  assert(challenges.filter((i) => i < 12).length >= 8, `${challenges}`);
  rig.hear(1, { source: ELSEWHERE, advertised: ELSEWHERE_TEXT, extension: { echo: rig.nonceTo(ELSEWHERE_TEXT) ?? 0 } });
});

test("a peer that has responded elsewhere since is challenged at both addresses", async () => {
  const rig = new MembershipRig();
  rig.membership.start();
  rig.meet(1);
  await rig.clock.advance(HEARTBEAT + 1);
  rig.hear(1, { source: ELSEWHERE });
  rig.hear(1, { source: ELSEWHERE, extension: { echo: rig.nonceTo(ELSEWHERE_TEXT) as number } });
  rig.forget();
  await rig.clock.advance(1.3 * HEARTBEAT);
  assert(rig.sentTo(ELSEWHERE_TEXT).length > 0);
  assert(rig.sentTo(addressOf(1)).length > 0);
});

describe("a joining node for which there is no room", () => {
  const full = () => {
    const rig = new MembershipRig({ maxPeers: 2 });
    rig.meet(1, 2);
    return rig;
  };

  test("gets a response with a challenge in one datagram when it sends a challenge, however many others are refused", () => {
    const rig = full();
    for (let i = 0; i < 100; i++) rig.hear(100 + i);
    assertEquals(rig.sent.length, 16);
    assert(rig.sent.every(isChallenge));
    rig.forget();
    for (let i = 0; i < 100; i++) rig.hear(300 + i, { extension: { nonce: i } });
    assertEquals(rig.sent.map(({ echo }) => echo), Array.from({ length: 100 }, (_, i) => i));
    assert(
      rig.sent.every(({ nonce, peers, token }) => nonce !== undefined && peers === undefined && token === undefined),
    );
  });

  test("gets a response and no more challenges when it has responded in vain: two full tables do not go on for ever", () => {
    const rig = full();
    rig.hear(3);
    const echo = rig.nonceTo(addressOf(3)) as number;
    rig.forget();
    rig.hear(3, { extension: { echo, nonce: 9 } });
    assertEquals(rig.sent, [{ at: 0, to: addressOf(3), path: 0, echo: 9 }]);
    rig.hear(4);
    const other = rig.nonceTo(addressOf(4)) as number;
    rig.forget();
    rig.hear(4, { extension: { echo: other } });
    assertEquals(rig.sent, []);
  });
});

describe("a process that was started again at the address of another", () => {
  test("at a port of its own replaces it at once", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    rig.meet(1);
    await rig.clock.advance(1000);
    rig.hear(2, { source: placeOf(1), advertised: addressOf(1) });
    rig.answer(2, {}, addressOf(1));
    assertEquals(rig.gone, []);
    await rig.clock.advance(10);
    assertEquals([rig.gone, rig.membership.peers.size], [[nameOf(1)], 1]);
    assertEquals(rig.membership.lost, []);
  });

  test("does not replace a node in whose name a heartbeat came from there before it was met itself", async () => {
    const rig = new MembershipRig();
    rig.membership.start();
    // In its name, without the extension and with it, from where the other is.
    rig.hear(1, { source: placeOf(2), advertised: addressOf(2), extension: undefined });
    rig.hear(1, { source: placeOf(2), advertised: addressOf(2) });
    rig.hear(2, {});
    rig.answer(2);
    await rig.clock.advance(HEARTBEAT / 2);
    assertEquals([rig.gone, rig.entry(2).isValidated], [[], true]);
    rig.hear(1, { extension: { nonce: 7 } });
    rig.answer(1);
    assertEquals([rig.gone, rig.entry(1).endpoint, rig.entry(2).endpoint], [[], placeOf(1), placeOf(2)]);
  });

  // Processes of a host may share it.
  const SHARED = { port: placeOf(1).port };

  test("replaces it: the other is lost after 1.25 heartbeats of silence", async () => {
    const rig = new MembershipRig(SHARED);
    rig.membership.start();
    rig.meet(1);
    await rig.clock.advance(1000);
    rig.hear(2, { source: placeOf(1), advertised: addressOf(1) });
    rig.answer(2, {}, addressOf(1));
    assertEquals([rig.membership.peers.size, rig.membership.peers.endpoints()], [2, [placeOf(1)]]);
    const validatedAt = rig.clock.now();
    await rig.clock.advance(1.25 * HEARTBEAT - 1);
    rig.hear(2, { source: placeOf(1), advertised: addressOf(1) });
    assertEquals(rig.gone, []);
    await rig.clock.advance(1);
    const peer = { id: nameOf(1), address: addressOf(1) };
    assertEquals(rig.events.filter(({ type }) => type === "peerLeft"), [{
      type: "peerLeft",
      peer,
      reason: "replaced",
    }]);
    assertEquals([rig.clock.now(), rig.membership.peers.size], [validatedAt + 1.25 * HEARTBEAT, 1]);
  });

  test("does not replace it when the other is heard: they share a port", async () => {
    const rig = new MembershipRig(SHARED);
    rig.membership.start();
    rig.meet(1);
    rig.hear(2, { source: placeOf(1), advertised: addressOf(1) });
    rig.answer(2, {}, addressOf(1));
    for (let i = 0; i < 20; i++) {
      await rig.clock.advance(HEARTBEAT / 2);
      for (const index of [1, 2]) rig.hear(index, { source: placeOf(1), advertised: addressOf(1) });
    }
    assertEquals([rig.gone, rig.membership.peers.size], [[], 2]);
  });
});

describe("the node behind a seed", () => {
  const SEED: Endpoint = { host: placeOf(1).host, port: 7946 };
  const SEEDS = [SEED];
  const SEED_TEXT = "10.0.0.1:7946";

  /** It has responded at the seed, and then at its own address. */
  const settled = async () => {
    const rig = new MembershipRig({ seeds: { few: () => SEEDS } });
    rig.membership.start();
    rig.answer(1, {}, SEED_TEXT);
    assertEquals(rig.membership.openSeeds(), []);
    for (let i = 0; i < 3 && rig.nonceTo(addressOf(1)) === undefined; i++) {
      await rig.clock.advance(HEARTBEAT);
      rig.hear(1);
    }
    rig.answer(1);
    rig.forget();
    return rig;
  };

  test("is challenged at its own address as soon as it responds from there: another may get what goes to the seed", () => {
    const rig = new MembershipRig({ seeds: { few: () => SEEDS } });
    rig.membership.start();
    rig.answer(1, {}, SEED_TEXT);
    assertEquals([rig.membership.peers.endpoints(), rig.sentTo(addressOf(1)).map(isChallenge)], [[SEED], [true]]);
    rig.answer(1);
    assertEquals([rig.membership.peers.endpoints(), rig.clock.now()], [[placeOf(1)], 0]);
  });

  test("is reached at its own address once it has responded there: the seed may be shared", async () => {
    const rig = await settled();
    assertEquals(rig.membership.peers.endpoints(), [placeOf(1)]);
  });

  test("is silent for 1.25 heartbeats: the seed is challenged at once, as another process may be there", async () => {
    const rig = await settled();
    const start = rig.clock.now();
    await rig.clock.advance(1.25 * HEARTBEAT);
    assertEquals(rig.sentTo(SEED_TEXT).map(({ at }) => at), [start + 1.25 * HEARTBEAT]);
    assertEquals([rig.sentTo(SEED_TEXT).every(isChallenge), rig.membership.openSeeds()], [true, [SEED]]);
    rig.hear(2, { extension: { echo: rig.nonceTo(SEED_TEXT) as number } });
    assertEquals(rig.membership.openSeeds(), []);
  });

  test("covers it: the seed is not challenged while the node is known", async () => {
    const rig = await settled();
    for (let i = 0; i < 20; i++) {
      await rig.clock.advance(HEARTBEAT);
      rig.hear(1);
    }
    assertEquals(rig.sentTo(SEED_TEXT), []);
  });
});

describe("round trips", () => {
  test("are the times from a challenge to its response, smoothed by an eighth", async () => {
    const rig = new MembershipRig();
    rig.hear(1);
    await rig.clock.advance(40);
    rig.answer(1);
    assertEquals([rig.entry(1).validation.roundTrip, rig.validated], [40, [{
      id: nameOf(1),
      to: addressOf(1),
      time: 40,
    }]]);
    rig.membership.start();
    await rig.clock.advance(1.25 * HEARTBEAT);
    await rig.clock.advance(80);
    rig.answer(1);
    assertEquals(rig.entry(1).validation.roundTrip, 45);
  });
});

test("whatever is heard: an unvalidated node gets challenges alone, and a listed address one of them each heartbeat", async () => {
  const place = fc.nat(5);
  const word = fc.record({
    pause: fc.constantFrom(0, 0, 0, 50, 400, HEARTBEAT),
    index: fc.nat(4),
    source: place,
    advertised: fc.integer({ min: 6, max: 9 }),
    challenges: fc.boolean(),
    responses: fc.option(place, { nil: undefined }),
    lists: fc.array(fc.integer({ min: 10, max: 14 }), { maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 40, size: "max" }), async (words) => {
      const rig = new MembershipRig();
      rig.membership.start();
      /** Addresses from which a response ever came. */
      const answered = new Set<string>();
      for (const { pause, index, source, advertised, challenges, responses, lists } of words) {
        await rig.clock.advance(pause);
        const echo = responses === undefined ? undefined : rig.nonceTo(addressOf(responses));
        if (echo !== undefined) answered.add(addressOf(responses ?? 0));
        const peers = lists.map((index) => ({ id: idOf(index), ...placeOf(index) }));
        rig.hear(index, {
          source: placeOf(source),
          advertised: addressOf(advertised),
          extension: { peers, ...challenges && { nonce: 1 }, ...echo !== undefined && { echo } },
        });
      }
      await rig.clock.advance(HEARTBEAT);
      for (const each of rig.sent) {
        if (each.to === "group" || answered.has(each.to)) continue;
        // A peer gets a response at any source of its challenges.
        const { nonce, echo, peers, token } = each;
        assertEquals([(nonce ?? echo) !== undefined, peers, token], [true, undefined, undefined], each.to);
      }
      // From 6 up no node was ever heard: their addresses are from lists alone.
      for (let index = 6; index <= 14; index++) {
        const times = rig.sentTo(addressOf(index)).map(({ at }) => at);
        for (const [i, at] of times.entries()) {
          if (i > 0) assertGreaterOrEqual(at - (times[i - 1] ?? NaN), HEARTBEAT * 2 ** (i - 1));
        }
      }
    }),
    { numRuns: 200 },
  );
});
