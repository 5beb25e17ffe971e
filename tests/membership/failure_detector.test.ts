// When a silent peer is asked, and when it is lost: in heartbeats of 1,600 ms, of which a 16th is 100 ms.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { FailureDetector } from "../../src/membership/failure_detector.ts";
import type { PeerEntry } from "../../src/membership/peer.ts";
import type { HeardPeer } from "../../src/membership/peer_table.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { heardFrom, join, nameOf, put, tableOn } from "../support/peers.ts";

const HEARTBEAT = 1600;
const PEER_TIMEOUT = 3 * HEARTBEAT;
const QUIET_TIMEOUT = 12 * HEARTBEAT;
/** 1.25 heartbeats. */
const SUSPECT = 2000;
/** A 16th. */
const EACH = 100;
/** How often all are looked at while nobody is suspected. */
const LOOK = 400;

interface Told {
  readonly at: number;
  readonly id: string;
}

/** A node that can stand still, what it asks, and whom it loses. */
function setUp({ heartbeat = HEARTBEAT, peerTimeout = PEER_TIMEOUT, quietTimeout = QUIET_TIMEOUT } = {}) {
  const network = new MemoryNetwork();
  const host = network.host("10.9.9.9");
  const { clock } = host;
  const { table } = tableOn(clock, { heartbeat, quietTimeout });
  const asked: Told[] = [];
  const lost: (Told & { readonly isReplaced: boolean })[] = [];
  const looks: number[] = [];
  const otherwise = new Map<string, number>();
  const failureDetector = new FailureDetector({
    heartbeat,
    peerTimeout,
    quietTimeout,
    clock,
    peers: table,
    heardAt: (id) => otherwise.get(id) ?? -Infinity,
    onLook: () => looks.push(clock.now()),
    probe: (entry) => asked.push({ at: clock.now(), id: entry.id }),
    onDown: (entry, isReplaced) => {
      lost.push({ at: clock.now(), id: entry.id, isReplaced });
      table.remove(entry.id);
    },
  });
  failureDetector.start();
  const hear = (index: number, rest: Partial<HeardPeer> = {}) => {
    table.onHeartbeat(heardFrom(index, rest));
    failureDetector.heard(table.get(nameOf(index)) as PeerEntry);
  };
  const advance = (ms: number) => network.clock.advance(ms);
  return { network, host, clock, table, failureDetector, asked, lost, looks, otherwise, hear, advance };
}

function systemOf(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    setTimer: (call, delay) => clock.setTimer(call, delay),
    setTurnEnd: (call) => clock.setTurnEnd(call),
  };
}

function times(list: readonly Told[], index?: number): number[] {
  return list.filter(({ id }) => index === undefined || id === nameOf(index)).map(({ at }) => at);
}

function series(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);
}

describe("a peer that has answered and falls silent", () => {
  test("is asked after 1.25 heartbeats, and then each 16th, until it is lost at peerTimeout", async () => {
    const { table, asked, lost, advance } = setUp();
    join(table, 1);
    await advance(SUSPECT - 0.001);
    assertEquals(asked, []);
    await advance(0.001);
    assertEquals(times(asked), [SUSPECT]);
    await advance(PEER_TIMEOUT - SUSPECT - 0.001);
    assertEquals([times(asked), lost], [series(SUSPECT, PEER_TIMEOUT - 1, EACH), []]);
    await advance(0.001);
    assertEquals(lost, [{ at: PEER_TIMEOUT, id: nameOf(1), isReplaced: false }]);
    // 28 questions.
    assertEquals(asked.length, 28);
    await advance(PEER_TIMEOUT);
    assertEquals([asked.length, lost.length], [28, 1]);
  });

  test("is asked at exactly that time, whenever it was heard last", async () => {
    const { table, asked, lost, advance, hear } = setUp();
    join(table, 1);
    for (const [i, pause] of [333, 1999, 1, 777].entries()) {
      await advance(pause);
      hear(1);
      assertEquals(asked.length, 0, `${i}`);
    }
    const heardAt = 333 + 1999 + 1 + 777;
    await advance(PEER_TIMEOUT);
    assertEquals([times(asked)[0], times(lost)], [heardAt + SUSPECT, [heardAt + PEER_TIMEOUT]]);
  });

  test("is asked no more when it is heard again, and suspected anew when it falls silent again", async () => {
    const { table, asked, lost, advance, hear } = setUp();
    join(table, 1);
    await advance(PEER_TIMEOUT - 50);
    const { length } = asked;
    hear(1);
    await advance(SUSPECT - 1);
    assertEquals([asked.length, lost], [length, []]);
    await advance(1);
    assertEquals(times(asked).at(-1), PEER_TIMEOUT - 50 + SUSPECT);
    await advance(PEER_TIMEOUT - SUSPECT);
    assertEquals(times(lost), [2 * PEER_TIMEOUT - 50]);
  });

  test("is not suspected while anything else is heard of it: batches, or where its stream is", async () => {
    const { table, asked, lost, otherwise, advance } = setUp();
    join(table, 1);
    await advance(1000);
    otherwise.set(nameOf(1), 1000);
    await advance(SUSPECT - 1);
    assertEquals(asked, []);
    await advance(1);
    assertEquals(times(asked), [1000 + SUSPECT]);
    otherwise.set(nameOf(1), 1000 + SUSPECT);
    await advance(SUSPECT - 1);
    assertEquals(asked.length, 1);
    await advance(PEER_TIMEOUT);
    assertEquals(times(lost), [1000 + SUSPECT + PEER_TIMEOUT]);
  });

  test("is suspected by itself: others that are heard make no difference", async () => {
    const { table, asked, lost, advance, hear } = setUp();
    for (const index of [1, 2, 3]) join(table, index);
    for (let i = 0; i < 8; i++) {
      await advance(1500);
      hear(2);
      if (i < 3) hear(3);
    }
    assertEquals([times(asked, 1).length, times(asked, 2).length, times(asked, 3)[0]], [28, 0, 4500 + SUSPECT]);
    assertEquals(lost.map(({ id, at }) => [id, at]), [[nameOf(1), PEER_TIMEOUT], [nameOf(3), 4500 + PEER_TIMEOUT]]);
  });

  test("is never lost before four questions, each of a look of its own", async () => {
    // With the shortest times that the options allow: a 16th is 0.625 ms, and a look is 2 ms after another at least.
    const { table, asked, lost, advance } = setUp({ heartbeat: 10, peerTimeout: 13, quietTimeout: 100 });
    join(table, 1);
    await advance(100);
    assertEquals([times(asked), times(lost)], [[12.5, 14.5, 16.5, 18.5], [20.5]]);
  });
});

test("a heartbeat takes back probes, and that another node has the place of a peer", async () => {
  const { table, failureDetector, advance, hear } = setUp();
  const entry = join(table, 1);
  failureDetector.replaced(entry, true);
  await advance(1);
  put(entry.liveness, { probes: 3 });
  hear(1);
  const { heardAt, probes, replacedAt, isSuperseded } = entry.liveness;
  assertEquals([heardAt, probes, replacedAt, isSuperseded], [1, 0, Infinity, false]);
});

describe("a peer that can not be asked", () => {
  const kinds = [
    ["as it is a plain one", "quietTimeout", QUIET_TIMEOUT, { extended: false, validated: false }],
    ["as it never answered", "peerTimeout", PEER_TIMEOUT, { validated: false }],
  ] as const;
  for (const [name, option, timeout, how] of kinds) {
    test(`${name}, is lost ${option} after it was last heard, and is not asked`, async () => {
      const { table, asked, lost, advance, hear } = setUp();
      join(table, 1, how);
      await advance(timeout - 1);
      hear(1, { extended: !("extended" in how) });
      await advance(timeout - 0.001);
      assertEquals(lost, []);
      await advance(0.001);
      const [{ at, id, isReplaced } = {}] = lost;
      // The verdict comes some turns of the event loop later, which take no time here.
      assertEquals([at, id, isReplaced, asked], [2 * timeout - 1, nameOf(1), false, []]);
    });
  }
});

describe("a node that stood still", () => {
  test("does not count that time, and asks at once", async () => {
    const { table, host, asked, lost, advance } = setUp();
    for (const index of [1, 2]) join(table, index);
    join(table, 3, { extended: false, validated: false });
    await advance(1000);
    host.pause();
    await advance(100_000);
    host.resume();
    await advance(0);
    const woke = 101_000;
    assertEquals([times(asked), lost], [[woke, woke], []]);
    // It was to look at 1200.
    const stalled = woke - 1200;
    await advance(PEER_TIMEOUT + stalled - woke - 0.001);
    assertEquals(lost, []);
    await advance(0.001);
    assertEquals(times(lost), [PEER_TIMEOUT + stalled, PEER_TIMEOUT + stalled]);
    assertEquals(times(asked, 1), series(woke, PEER_TIMEOUT + stalled - 1, EACH));
    await advance(QUIET_TIMEOUT);
    assertEquals(lost.at(-1), { at: QUIET_TIMEOUT + stalled, id: nameOf(3), isReplaced: false });
  });

  test("loses nobody who answers then", async () => {
    const { table, host, lost, advance, hear } = setUp();
    for (const index of [1, 2]) join(table, index);
    await advance(1000);
    host.pause();
    await advance(100_000);
    host.resume();
    await advance(SUSPECT - 1);
    hear(1);
    await advance(2000);
    assertEquals(lost.map(({ id }) => id), [nameOf(2)]);
  });

  test("again and again, for most of the time, loses who is silent for peerTimeout while it runs, and nobody else", async () => {
    const { table, host, lost, advance, hear } = setUp();
    for (const index of [1, 2]) join(table, index);
    for (let i = 0; i < 20; i++) {
      await advance(1000);
      if (i % 2 === 0) hear(2);
      host.pause();
      await advance(PEER_TIMEOUT);
      host.resume();
      await advance(0);
      // Up to a quarter of a heartbeat of each stall counts, as a look may have been due then.
      if (i < 3) assertEquals(lost, []);
    }
    assertEquals(lost.map(({ id }) => id), [nameOf(1)]);
  });

  test("for a third of a heartbeat in each one gives a verdict all the same", async () => {
    const { table, host, lost, advance } = setUp();
    join(table, 1);
    for (let i = 0; i < 10 && lost.length === 0; i++) {
      await advance(HEARTBEAT - 100);
      host.pause();
      await advance(LOOK + 100);
      host.resume();
      await advance(0);
    }
    assertEquals(lost.length, 1);
  });

  for (const [late, lostAt] of [[LOOK, PEER_TIMEOUT + LOOK], [LOOK + 0.001, PEER_TIMEOUT + LOOK + 0.001 + EACH]]) {
    test(`so that a look is ${late} ms late: the verdict comes at ${lostAt} ms`, async () => {
      const { table, host, lost, advance } = setUp();
      join(table, 1);
      await advance(PEER_TIMEOUT - 1);
      host.pause();
      await advance(1 + (late ?? 0));
      host.resume();
      await advance(3000);
      assertEquals(times(lost), [lostAt]);
    });
  }
});

describe("what has come when the time of a peer is over, and was not read yet", () => {
  /** Turns of the event loop between the end and the verdict. */
  const TURNS = 8;

  /** The node stands still for too short a time to notice, and reads a datagram so many turns after it goes on. */
  async function wakeAndRead(turns: number, read: (world: ReturnType<typeof setUp>) => void) {
    const world = setUp();
    const { table, host, network, advance } = world;
    join(table, 1);
    await advance(PEER_TIMEOUT - 1);
    host.pause();
    await advance(LOOK / 2);
    let left = turns;
    const turn = () => void (left-- === 0 ? read(world) : network.clock.setTimer(turn, 0));
    host.resume();
    network.clock.setTimer(turn, 0);
    await advance(0);
    return world;
  }

  for (const turns of [0, 1, 2, TURNS - 1]) {
    test(`counts, read ${turns} turns of the event loop later`, async () => {
      const { lost, advance } = await wakeAndRead(turns, ({ hear }) => hear(1));
      await advance(PEER_TIMEOUT - 0.001);
      assertEquals(lost, []);
      await advance(0.001);
      assertEquals(times(lost), [2 * PEER_TIMEOUT - 1 + LOOK / 2]);
    });
  }

  test("counts, whatever it is: a batch, too", async () => {
    const { lost, advance } = await wakeAndRead(3, ({ otherwise, clock }) => otherwise.set(nameOf(1), clock.now()));
    await advance(SUSPECT);
    assertEquals(lost, []);
  });

  test("is too late after that", async () => {
    const { lost } = await wakeAndRead(TURNS + 1, ({ hear }) => hear(1));
    assertEquals(times(lost), [PEER_TIMEOUT - 1 + LOOK / 2]);
  });

  test("is no matter to others: one that has left meanwhile is not lost, one that says nothing is", async () => {
    const { table, lost, network, advance } = setUp();
    for (const index of [1, 2]) join(table, index);
    await advance(PEER_TIMEOUT - 1);
    network.clock.setTimer(() => network.clock.setTimer(() => table.remove(nameOf(1)), 0), 1);
    await advance(1);
    assertEquals(lost, [{ at: PEER_TIMEOUT, id: nameOf(2), isReplaced: false }]);
  });

  test("is waited for by one look at a time: those whose time is over meanwhile are looked at again", async () => {
    const network = new MemoryNetwork();
    const { clock } = network;
    // A turn takes a millisecond, as it does in truth, and a look comes each 2 ms.
    const slow: Clock = { ...systemOf(clock), setTimer: (call, delay) => clock.setTimer(call, Math.max(1, delay)) };
    const { table } = tableOn(slow, { heartbeat: 10, quietTimeout: 100 });
    const lost: string[] = [];
    const failureDetector = new FailureDetector({
      heartbeat: 10,
      peerTimeout: 30,
      quietTimeout: 100,
      clock: slow,
      peers: table,
      heardAt: () => -Infinity,
      onLook: () => {},
      probe: () => {},
      onDown: ({ id }) => {
        lost.push(id);
        table.remove(id);
      },
    });
    failureDetector.start();
    join(table, 1);
    await clock.advance(3);
    join(table, 2);
    await clock.advance(30 - 3 + 5);
    assertEquals(lost, []);
    failureDetector.close();
    await clock.advance(100);
    assertEquals([lost, clock.pending], [[], 0]);
  });

  test("is not waited for when the node closes", async () => {
    const { table, lost, failureDetector, network, advance } = setUp();
    join(table, 1);
    await advance(PEER_TIMEOUT - 1);
    network.clock.setTimer(() => network.clock.setTimer(() => failureDetector.close(), 0), 1);
    await advance(PEER_TIMEOUT);
    assertEquals([lost, network.clock.pending], [[], 0]);
  });
});

describe("a peer whose place another has taken", () => {
  test("is lost 1.25 heartbeats after that", async () => {
    const { table, lost, advance, failureDetector } = setUp();
    const entry = join(table, 1);
    await advance(1500);
    failureDetector.replaced(entry, false);
    await advance(SUSPECT - 0.001);
    assertEquals(lost, []);
    await advance(0.001);
    assertEquals(lost, [{ at: 1500 + SUSPECT, id: nameOf(1), isReplaced: true }]);
  });

  test("is lost at once when no two can be there, unless it is heard after all", async () => {
    const { table, lost, advance, hear, failureDetector } = setUp();
    for (const index of [1, 2]) failureDetector.replaced(join(table, index), true);
    hear(2);
    await advance(5);
    assertEquals(lost, [{ at: 2, id: nameOf(1), isReplaced: true }]);
    await advance(SUSPECT);
    assertEquals(lost.length, 1);
  });

  test("is asked four times at least, so that it may say that it is there", async () => {
    const { table, asked, lost, advance, failureDetector } = setUp();
    failureDetector.replaced(join(table, 1), false);
    await advance(SUSPECT + 3 * EACH);
    assertEquals([times(asked), lost], [series(SUSPECT, SUSPECT + 3 * EACH, EACH), []]);
    await advance(EACH);
    assertEquals(times(lost), [SUSPECT + 4 * EACH]);
  });

  test("and that is heard after all is not lost", async () => {
    const { table, lost, advance, hear, failureDetector } = setUp();
    failureDetector.replaced(join(table, 1), false);
    for (let i = 0; i < 10; i++) {
      await advance(SUSPECT + 2 * EACH);
      hear(1);
    }
    assertEquals(lost, []);
    await advance(PEER_TIMEOUT);
    assertEquals(lost.map(({ isReplaced }) => isReplaced), [false]);
  });
});

describe("looks", () => {
  test("do not count while what has come meanwhile is yet to be read", async () => {
    const { host, looks, advance } = setUp();
    await advance(1000);
    host.pause();
    await advance(10 * HEARTBEAT);
    host.resume();
    await advance(2 * LOOK);
    const woke = 1000 + 10 * HEARTBEAT;
    assertEquals(looks, [LOOK, 2 * LOOK, woke + LOOK, woke + 2 * LOOK]);
  });

  test("are a quarter of a heartbeat apart while nobody is suspected, and a 16th while somebody is", async () => {
    const { table, looks, advance } = setUp();
    await advance(4 * LOOK);
    assertEquals(looks, series(LOOK, 4 * LOOK, LOOK));
    join(table, 1);
    await advance(SUSPECT + 4 * EACH);
    assertEquals(looks.slice(4), [
      ...series(5 * LOOK, 4 * LOOK + SUSPECT, LOOK),
      ...series(4 * LOOK + SUSPECT + EACH, 4 * LOOK + SUSPECT + 4 * EACH, EACH),
    ]);
  });

  test("count when two in a row are late: there may be no other", async () => {
    const { host, looks, advance } = setUp();
    for (let i = 0; i < 5; i++) {
      host.pause();
      await advance(HEARTBEAT);
      host.resume();
      await advance(1);
    }
    assertEquals(looks, [2, 3, 4, 5].map((round) => round * (HEARTBEAT + 1) - 1));
  });

  test("end when it is closed", async () => {
    const { table, failureDetector, looks, network, advance } = setUp();
    join(table, 1);
    await advance(SUSPECT);
    failureDetector.close();
    const { length } = looks;
    await advance(10 * PEER_TIMEOUT);
    assertEquals([looks.length, network.clock.pending], [length, 0]);
  });
});

test("however a peer is heard and the node stands still: asked and lost when the rule says, never before", async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("hear" as const), after: fc.nat(6000) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("stall" as const), after: fc.integer({ min: 0, max: 9000 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), after: fc.nat(3000) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12, size: "max" }), async (steps) => {
      const { table, host, clock, asked, lost, advance, hear } = setUp();
      join(table, 1);
      let heardAt = 0;
      /** At least so much of the silence the node stood still: a look may have been due up to a quarter of a heartbeat later. */
      let stalled = 0;
      for (const { do: what, after } of steps) {
        if (what === "stall") host.pause();
        await advance(after);
        if (what === "stall") {
          host.resume();
          await advance(0);
          if (after > 2 * LOOK) stalled += after - LOOK;
        }
        for (const { at } of lost) {
          assertGreaterOrEqual(at - heardAt, PEER_TIMEOUT + stalled);
          assertGreaterOrEqual(asked.filter((question) => question.at >= heardAt + SUSPECT).length, 4);
        }
        if (lost.length > 0) return;
        if (what === "hear") {
          hear(1);
          heardAt = clock.now();
          stalled = 0;
        }
      }
      await advance(PEER_TIMEOUT + SUSPECT + 2 * LOOK);
      assertEquals(lost.length, 1);
      const [{ at } = { at: NaN }] = lost;
      assertGreaterOrEqual(at, heardAt + PEER_TIMEOUT);
      assertLessOrEqual(at, Math.max(heardAt + PEER_TIMEOUT, clock.now()));
      const questions = times(asked).filter((time) => time >= heardAt + SUSPECT);
      assert(questions.length >= 4);
      for (const [i, time] of questions.entries()) {
        if (i > 0) assertGreaterOrEqual(time - (questions[i - 1] ?? 0), EACH - 1e-6);
      }
    }),
    { numRuns: 200 },
  );
});
