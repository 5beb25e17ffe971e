// The amplification limit: how often an unvalidated address that others name is challenged.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { type AddressSource, AmplificationLimit } from "../../src/membership/amplification_limit.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { placeOf } from "../support/peers.ts";

const A: Endpoint = { host: "10.0.0.1", port: 7946 };
const MINUTE = 60_000;
const HEARTBEAT = 5000;

function setUp() {
  const clock = new VirtualClock();
  return { clock, amplification: new AmplificationLimit(clock, HEARTBEAT) };
}

describe("an address", () => {
  test("is challenged once, however often it is named", () => {
    const { amplification } = setUp();
    assertEquals(Array.from({ length: 100 }, () => amplification.allow(A, "peer")).filter(Boolean).length, 1);
    assertEquals(amplification.refused, 0);
  });

  test("includes the port: another port of the host is another address, as is an IPv6 literal", () => {
    const { amplification } = setUp();
    const others = [{ ...A, port: 7947 }, { host: "::1", port: 7946 }, { host: "::", port: 17946 }];
    assertEquals([A, ...others, A].map((endpoint) => amplification.allow(endpoint, "peer")), [
      true,
      true,
      true,
      true,
      false,
    ]);
  });

  for (
    const [source, minutes] of [
      // The pauses: 5, 10, 20 … seconds, then an hour.
      ["peer", [0, 5, 15, 35, 75, 155, 315, 635, 1275, 2555, 5115, 8715, 12_315].map((seconds) => seconds / 60)],
      ["claim", [0, 1, 3, 7, 15, 31, 63, 123, 183]],
    ] as const
  ) {
    test(`that a ${source} names all the time is challenged after pauses that double up to an hour`, async () => {
      const { amplification, clock } = setUp();
      const challengedAt: number[] = [];
      for (let i = 0; i <= 4 * 60 * 60; i++) {
        if (amplification.allow(A, source)) challengedAt.push(clock.now() / MINUTE);
        await clock.advance(1000);
      }
      assertEquals(challengedAt, minutes);
    });
  }

  test("that is named again only later is challenged then", async () => {
    const { amplification, clock } = setUp();
    amplification.allow(A, "peer");
    await clock.advance(HEARTBEAT - 1);
    assertEquals(amplification.allow(A, "peer"), false);
    await clock.advance(10 * HEARTBEAT);
    assertEquals([amplification.allow(A, "peer"), amplification.allow(A, "peer")], [true, false]);
    await clock.advance(2 * HEARTBEAT - 1);
    assertEquals(amplification.allow(A, "peer"), false);
    await clock.advance(1);
    assertEquals(amplification.allow(A, "peer"), true);
  });

  test("that has responded is challenged as one that is named for the first time", async () => {
    const { amplification, clock } = setUp();
    amplification.allow(A, "peer");
    await clock.advance(HEARTBEAT);
    amplification.allow(A, "peer");
    amplification.validated(A);
    assertEquals([amplification.allow(A, "peer"), amplification.allow(A, "peer")], [true, false]);
    await clock.advance(HEARTBEAT);
    assertEquals(amplification.allow(A, "peer"), true);
  });

  test("that the user's resolver names is challenged each time", () => {
    const { amplification } = setUp();
    assertEquals([amplification.allow(A, "resolver"), amplification.allow(A, "resolver")], [true, true]);
    // It also counts as challenged for the other sources.
    assertEquals(amplification.allow(A, "peer"), false);
  });

  test("is unknown again after the limit is cleared", () => {
    const { amplification } = setUp();
    amplification.allow(A, "peer");
    amplification.clear();
    assertEquals(amplification.allow(A, "peer"), true);
  });
});

describe("all addresses together", () => {
  const name = (amplification: AmplificationLimit, from: number, count: number) =>
    Array.from({ length: count }, (_, i) => amplification.allow(placeOf(from + i), "peer")).filter(Boolean).length;

  test("are challenged 256 at once and 64 a second; those beyond that are counted", async () => {
    const { amplification, clock } = setUp();
    assertEquals([name(amplification, 0, 300), amplification.refused], [256, 44]);
    await clock.advance(1000);
    assertEquals([name(amplification, 1000, 300), amplification.refused], [64, 280]);
    await clock.advance(60_000);
    assertEquals(name(amplification, 2000, 300), 256);
  });

  test("are not counted as challenged when the rate refused them", async () => {
    const { amplification, clock } = setUp();
    name(amplification, 0, 256);
    assertEquals(amplification.allow(A, "peer"), false);
    await clock.advance(1000);
    assertEquals(amplification.allow(A, "peer"), true);
  });

  test("are remembered up to 4,096: the count of the one that was challenged longest ago is forgotten", async () => {
    const { amplification, clock } = setUp();
    assertEquals([amplification.allow(A, "peer"), amplification.allow(placeOf(9999), "peer")], [true, true]);
    for (const pause of [HEARTBEAT, 2 * HEARTBEAT, 4 * HEARTBEAT, 8 * HEARTBEAT, 16 * HEARTBEAT, 32 * HEARTBEAT]) {
      await clock.advance(pause);
      assertEquals(amplification.allow(A, "peer"), true);
    }
    const start = clock.now();
    // Its next pause is more than five minutes. At a rate of 64 a second, 4,094 other challenges take one minute.
    const challengeOthers = async (from: number, count: number) => {
      for (let i = from; i < from + count; i++) {
        while (!amplification.allow(placeOf(i), "peer")) await clock.advance(1000 / 64);
      }
    };
    await challengeOthers(0, 4094);
    await clock.advance(1000);
    // The next address evicts the one that was challenged longest ago, which may be challenged again then.
    await challengeOthers(4094, 1);
    assertEquals([amplification.allow(A, "peer"), clock.now() - start < 5 * MINUTE], [false, true]);
    await challengeOthers(4095, 1);
    assertEquals([amplification.allow(A, "peer"), clock.now() - start < 5 * MINUTE], [true, true]);
  });

  test("are not challenged above that rate, however they are named", async () => {
    const step = fc.tuple(
      fc.oneof(fc.nat(2000), fc.constantFrom(0, HEARTBEAT, 2 * HEARTBEAT, 60_000)),
      fc.nat(400),
      fc.nat(300),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12, size: "max" }), async (steps) => {
        const { amplification, clock } = setUp();
        const times: number[] = [];
        const last = new Map<number, { at: number; times: number }>();
        for (const [pause, first, count] of steps) {
          await clock.advance(pause);
          for (let i = first; i < first + count; i++) {
            if (!amplification.allow(placeOf(i), "peer")) continue;
            const now = clock.now();
            times.push(now);
            const before = last.get(i);
            if (before !== undefined) {
              assertGreaterOrEqual(now - before.at, Math.min(HEARTBEAT * 2 ** (before.times - 1), 60 * MINUTE));
            }
            last.set(i, { at: now, times: (before?.times ?? 0) + 1 });
          }
        }
        const end = clock.now();
        for (const [i, at] of times.entries()) {
          assertLessOrEqual(times.length - i, 256 + 0.064 * (end - at) + 1e-6);
        }
      }),
      { numRuns: 50 },
    );
  });
});

test("an address that does not respond is challenged at most 35 times a day", async () => {
  const { amplification, clock } = setUp();
  let count = 0;
  for (let i = 0; i < 24 * 60; i++) {
    if (amplification.allow(A, "peer")) count++;
    await clock.advance(MINUTE);
  }
  assert(count <= 35, `${count}`);
});

describe("the sources of addresses", () => {
  const at = (host: string, port: number): Endpoint => ({ host, port });

  test("have budgets of their own: heartbeats of unknown nodes, peers, and the resolver", () => {
    const { amplification } = setUp();
    const challenge = (source: AddressSource, from: number) =>
      Array.from({ length: 2000 }, (_, i) => amplification.allow(placeOf(from + i), source)).filter(Boolean)
        .length;
    assertEquals([challenge("claim", 0), challenge("peer", 2000), challenge("resolver", 4000)], [64, 256, 512]);
  });

  test("share the count of an address: what an unknown node has advertised is not challenged again because a peer lists it", () => {
    const { amplification } = setUp();
    assertEquals([amplification.allow(A, "claim"), amplification.allow(A, "peer")], [true, false]);
    // The resolver is the user's own.
    assertEquals([amplification.allow(A, "resolver"), amplification.allow(A, "claim")], [true, false]);
  });

  for (const [source, burst, inTenSeconds] of [["claim", 8, 1], ["peer", 64, 10]] as const) {
    test(`allow challenges to ${burst} ports of one host at once, for a ${source}`, async () => {
      const { amplification, clock } = setUp();
      const challenge = (from: number) =>
        Array.from({ length: 500 }, (_, i) => amplification.allow(at("10.0.0.9", from + i), source))
          .filter(Boolean).length;
      assertEquals(challenge(1), burst);
      await clock.advance(10_000);
      assertEquals(challenge(1001), inTenSeconds);
      // Another host is challenged all the same, and this one after a response from there.
      assertEquals(amplification.allow(at("10.0.0.8", 1), source), true);
      amplification.validated(at("10.0.0.9", 1));
      assertEquals(amplification.allow(at("10.0.0.9", 3001), source), true);
    });
  }

  test("allow challenges to all ports of a host on which a node has responded, for a peer: many nodes may run there", () => {
    const { amplification } = setUp();
    const challenge = (source: AddressSource, from: number) =>
      Array.from({ length: 500 }, (_, i) => amplification.allow(at("10.0.0.9", from + i), source))
        .filter(Boolean).length;
    amplification.validated(at("10.0.0.9", 1));
    assertEquals([challenge("claim", 1000), challenge("peer", 2000)], [8, 256]);
  });

  test("get back the budget of addresses that responded, as these were valid", () => {
    const { amplification } = setUp();
    const all = Array.from({ length: 1000 }, (_, i) => placeOf(i));
    for (const endpoint of all) {
      assertEquals(amplification.allow(endpoint, "peer"), true);
      amplification.validated(endpoint);
    }
    assertEquals(amplification.refused, 0);
    // No more than was spent is given back.
    amplification.validated(placeOf(5000));
    assertEquals(all.filter((_, i) => amplification.allow(placeOf(2000 + i), "peer")).length, 256);
  });
});
