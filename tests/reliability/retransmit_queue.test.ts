// The retransmit queue: what is retransmitted, to which requesters, and how often.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { RetransmitQueue } from "../../src/reliability/retransmit_queue.ts";

const HOLD = 4;
const GATHER = 3;

function at(id: string): Endpoint {
  return { host: `host-${id}`, port: 1 };
}

function setUp({ multicast = true } = {}) {
  const clock = new VirtualClock();
  const ready: number[] = [];
  const retransmits = new RetransmitQueue({
    clock,
    multicast: () => multicast,
    onReady: () => ready.push(clock.now()),
  });
  const request = (number: number, id = "a", alone = false) => retransmits.add(number, id, at(id), alone);
  const takeAll = () => {
    const taken: string[] = [];
    for (let next = retransmits.take(); next !== undefined; next = retransmits.take()) {
      taken.push(`${next.number} to ${next.to?.host ?? "group"}`);
    }
    return taken;
  };
  return { retransmits, clock, ready, request, takeAll };
}

describe("a number that is requested", () => {
  test("by the only peer is ready at once", () => {
    const { request, takeAll, ready, clock } = setUp();
    assertEquals([request(5, "a", true), request(3, "a", true), ready, takeAll()], [
      true,
      true,
      [0, 0],
      ["5 to host-a", "3 to host-a"],
    ]);
    assertEquals(clock.pending, 0);
  });

  test("is held back for 3 ms, and goes to the group when another has requested it by then", async () => {
    const { request, takeAll, ready, clock } = setUp();
    request(1, "a");
    request(2, "a");
    await clock.advance(2);
    request(2, "b");
    request(3, "b");
    assertEquals([takeAll(), ready], [[], []]);
    await clock.advance(1);
    assertEquals([ready, takeAll()], [[GATHER], ["1 to host-a", "2 to group", "3 to host-b"]]);
    assertEquals(clock.pending, 0);
  });

  test("after `close` is held back anew, also when something was held back then", async () => {
    const { request, retransmits, takeAll, clock } = setUp();
    request(1);
    retransmits.close();
    request(2);
    await clock.advance(GATHER);
    assertEquals([takeAll(), clock.pending], [["2 to host-a"], 0]);
  });

  test("twice by the same requester counts as once", async () => {
    const { request, takeAll, clock } = setUp();
    request(1, "a");
    request(1, "a");
    await clock.advance(GATHER);
    assertEquals(takeAll(), ["1 to host-a"]);
  });

  test("by several goes to each where there is no group", async () => {
    const { request, takeAll, clock } = setUp({ multicast: false });
    for (const id of ["a", "b", "c"]) request(1, id);
    await clock.advance(GATHER);
    assertEquals(takeAll(), ["1 to host-a", "1 to host-b", "1 to host-c"]);
  });
});

describe("a number that was retransmitted", () => {
  test("is not sent to the same requester while it may be under way", async () => {
    const { request, takeAll, clock } = setUp();
    request(1, "a", true);
    await clock.advance(50);
    assertEquals([request(1, "a", true), takeAll()], [false, ["1 to host-a"]]);
    await clock.advance(HOLD - 0.001);
    assertEquals([request(1, "a", true), takeAll()], [false, []]);
    await clock.advance(0.001);
    assertEquals([request(1, "a", true), takeAll()], [true, ["1 to host-a"]]);
  });

  test("is sent to another at once", async () => {
    const { request, takeAll, clock } = setUp();
    request(1, "a", true);
    takeAll();
    assertEquals(request(1, "b"), true);
    await clock.advance(GATHER);
    assertEquals(takeAll(), ["1 to host-b"]);
  });

  test("to the group counts for all, and is then sent to each that requests it again, as they do not hear the group", async () => {
    const { request, takeAll, clock } = setUp();
    const all = () => ["a", "b"].map((id) => request(1, id));
    all();
    await clock.advance(GATHER);
    assertEquals(takeAll(), ["1 to group"]);
    assertEquals([all(), request(1, "c")], [[false, false], false]);
    await clock.advance(HOLD);
    assertEquals(all(), [true, true]);
    await clock.advance(GATHER);
    assertEquals(takeAll(), ["1 to host-a", "1 to host-b"]);
    await clock.advance(2000);
    all();
    await clock.advance(GATHER);
    assertEquals(takeAll(), ["1 to group"]);
  });
});

describe("a flood", () => {
  test("of numbers: 8,192 wait, and more are refused until some are sent", async () => {
    const { request, takeAll, clock } = setUp();
    const accepted = Array.from({ length: 10_000 }, (_, i) => request(i + 1, String(i % 100)));
    assertEquals(accepted.filter(Boolean).length, 8192);
    await clock.advance(GATHER);
    assertEquals(request(20_000), false);
    assertEquals(takeAll().length, 8192);
    assertEquals(request(20_000), true);
  });

  test("of requesters: what waits is bounded by the requesters, not by what each requests", async () => {
    const { request, takeAll, clock } = setUp({ multicast: false });
    for (let requester = 0; requester < 100; requester++) {
      for (let number = 1; number <= 1000; number++) request(number, String(requester));
    }
    await clock.advance(GATHER);
    assertLessOrEqual(takeAll().length, 8192 + 100);
  });

  test("that is over is forgotten: nothing is refused after it", async () => {
    const { request, takeAll, clock } = setUp();
    for (let round = 0; round < 5; round++) {
      for (let number = 1; number <= 8192; number++) request(round * 8192 + number, String(number % 50));
      await clock.advance(GATHER);
      assertEquals(takeAll().length, 8192);
    }
    // The last went to 8192 % 50.
    assertEquals([request(1), request(5 * 8192, "42")], [true, false]);
    await clock.advance(GATHER + HOLD);
    assertEquals(takeAll(), ["1 to host-a"]);
  });

  test("of many ids at one address counts as that of one requester", () => {
    const { retransmits, request } = setUp();
    const accepted = Array.from({ length: 1000 }, (_, i) => retransmits.add(i, `id-${i}`, at("a"), false));
    assertEquals(accepted.filter(Boolean).length, 512);
    assertEquals([request(2000), request(2000, "b")], [false, true]);
  });

  test("of one requester leaves room for the others: 512 of it wait, and as many again once those are sent", async () => {
    for (const multicast of [true, false]) {
      const { request, takeAll, clock } = setUp({ multicast });
      for (const round of [0, 1, 2]) {
        const accepted = Array.from({ length: 1000 }, (_, i) => request(1000 * round + i));
        assertEquals(accepted.filter(Boolean).length, 512);
        // Half of it to both.
        const others = Array.from({ length: 64 }, (_, i) => request(1000 * round + i, "b"));
        assert(others.every(Boolean));
        await clock.advance(GATHER);
        assertEquals(takeAll().length, multicast ? 512 : 576);
      }
    }
  });
});

test("a closed queue returns nothing more, and has no timer", async () => {
  const { retransmits, request, takeAll, clock, ready } = setUp();
  request(1, "a", true);
  request(2, "b");
  retransmits.close();
  await clock.advance(100);
  assertEquals([takeAll(), ready, clock.pending], [[], [0], 0]);
});

test("with any requests at any time, all are served, and no requester too often", async () => {
  const step = fc.record({
    number: fc.integer({ min: 1, max: 6 }),
    id: fc.constantFrom("a", "b", "c"),
    pause: fc.oneof(fc.constant(0), fc.nat(8), fc.nat(1500)),
    takes: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 50, size: "max" }), async (multicast, steps) => {
      const { retransmits, clock, request } = setUp({ multicast });
      /** Requests that were taken and are not served yet. */
      const open = new Set<string>();
      /** When a number was last sent to a requester. */
      const sentAt = new Map<string, number>();
      const take = () => {
        for (let next = retransmits.take(); next !== undefined; next = retransmits.take()) {
          const { number, to } = next;
          const hosts = to === undefined ? ["host-a", "host-b", "host-c"] : [to.host];
          assert(hosts.some((host) => open.has(`${number} ${host}`)), `${number} for no requester`);
          assert(to !== undefined || multicast);
          for (const host of hosts) {
            open.delete(`${number} ${host}`);
            sentAt.set(`${number} ${host}`, clock.now());
          }
        }
      };
      for (const { number, id, pause, takes } of steps) {
        const name = `${number} host-${id}`;
        const isTaken = request(number, id);
        if (isTaken) open.add(name);
        const since = clock.now() - (sentAt.get(name) ?? -Infinity);
        // Refused only when it has just been sent there, or waits already.
        const waits = [...open].some((other) => other === name || (multicast && other.startsWith(`${number} `)));
        if (!isTaken) assert(since < HOLD || waits, `${name} was refused after ${since} ms`);
        await clock.advance(pause);
        // What waits is taken within a second, as by any sender that sends at all.
        if (takes || pause > 8) take();
      }
      await clock.advance(GATHER);
      take();
      assertEquals([...open], []);
      assertEquals(clock.pending, 0);
    }),
    { numRuns: 200 },
  );
});
