// Response suppression: which of many nodes challenge an unknown node that all of them have heard.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { SeededRandom } from "../../adapters/memory.ts";
import { ResponseSuppression } from "../../src/membership/response_suppression.ts";
import { Jitter } from "../../src/platform/jitter.ts";
import { HEARTBEAT, MembershipRig } from "../support/membership_rig.ts";
import { addressOf } from "../support/peers.ts";

const GROUP = { path: 2 };

function newJitter(seed: number): Jitter {
  const random = new SeededRandom(seed);
  return new Jitter((length) => Uint8Array.from({ length }, () => random.below(256)));
}

/** A node with so many validated peers. */
function rigWith(count: number, seed = 1): MembershipRig {
  const rig = new MembershipRig({ jitter: newJitter(seed) });
  rig.meet(...Array.from({ length: count }, (_, i) => i + 1));
  return rig;
}

describe("a node that is heard for the first time", () => {
  test("is challenged at once by a node with up to eight validated peers", () => {
    const rig = rigWith(8);
    rig.hear(1000, { extension: GROUP });
    assertEquals(rig.sent.map(({ to }) => to), [addressOf(1000)]);
  });

  test("is challenged by 8 of 100 within 100 ms, by twice as many when it is heard again", async () => {
    const counts = [0, 0];
    for (let seed = 1; seed <= 10; seed++) {
      const rig = rigWith(100, seed);
      // Each seed stands for another node.
      const unknownNodes = Array.from({ length: 100 }, (_, i) => 1000 + i);
      for (const round of [0, 1]) {
        rig.forget();
        for (const index of unknownNodes) rig.hear(index, { extension: GROUP });
        assertEquals(rig.sent, []);
        await rig.clock.advance(100);
        counts[round] = (counts[round] ?? 0) + rig.sent.length;
      }
    }
    const [first = 0, second = 0] = counts;
    assert(first > 40 && first < 120, `${counts}`);
    assert(second > 80 && second < 240, `${counts}`);
  });

  test("is not challenged when the delay ends if it has sent a challenge itself", async () => {
    for (let index = 1000; index < 1200; index++) {
      const rig = rigWith(20, index);
      rig.hear(index, { extension: GROUP });
      rig.hear(index, { extension: { path: 0, nonce: 7 } });
      await rig.clock.advance(100);
      assertEquals(rig.sentTo(addressOf(index)).map(({ echo }) => echo), [7]);
    }
  });

  test("and sends many challenges in a short while is challenged soon again, and after a minute at the latest in any case", async () => {
    const rig = rigWith(20);
    rig.hear(1000, { extension: GROUP });
    await rig.clock.advance(100);
    // This node is suspect to it, and does not respond: 16 challenges in a heartbeat.
    for (let nonce = 1; nonce <= 16; nonce++) {
      rig.hear(1000, { extension: { path: 0, nonce } });
      await rig.clock.advance(HEARTBEAT / 16);
    }
    const challengedAt: number[] = [];
    rig.forget();
    for (let i = 0; i < 400; i++) {
      rig.hear(1000, { extension: GROUP });
      if (rig.sentTo(addressOf(1000)).length > 0) challengedAt.push(rig.clock.now());
      rig.forget();
      await rig.clock.advance(HEARTBEAT);
    }
    const pauses = challengedAt.slice(1).map((at, i) => at - (challengedAt[i] ?? 0));
    assertLessOrEqual(pauses[0] ?? Infinity, 2 * HEARTBEAT);
    assertLessOrEqual(Math.max(...pauses), 60_000 + HEARTBEAT);
    assert(pauses.length < 25, "and ever less");
  });

  test("is challenged as in a small mesh when validated peers list it", async () => {
    const rig = rigWith(100);
    const peers = [{ id: new Uint8Array(16).fill(9), host: "10.0.3.232", port: 5000 }];
    assertEquals(addressOf(1000), "10.0.3.232:5000");
    rig.hear(1, { extension: { path: 0, peers } });
    await rig.clock.advance(HEARTBEAT / 2);
    rig.forget();
    rig.hear(1000, { extension: GROUP });
    assertEquals(rig.sent.map(({ to }) => to), [addressOf(1000)]);
    await rig.clock.advance(1400);
    assertEquals(rig.sentTo(addressOf(1000)).length, 4);
  });
});

test("a mesh is small with up to eight validated peers, or without multicast, and then no challenge is suppressed", () => {
  for (const [validated, multicast, isSmall] of [[8, true, true], [9, true, false], [900, false, true]] as const) {
    const suppression = new ResponseSuppression({
      multicast: () => multicast,
      validated: () => validated,
      jitter: newJitter(1),
    });
    assertEquals(suppression.isSmall, isSmall);
    if (isSmall) assertEquals([suppression.isChosen(0), suppression.delay()], [true, 0]);
    for (let i = 0; i < 100; i++) assertLessOrEqual(suppression.delay(), validated);
  }
});
