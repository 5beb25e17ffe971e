// Failure detection: when a silent peer is probed and lost, with heartbeats of 1,600 ms, a 16th of which is 100 ms.
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
/** A 16th of a heartbeat: the time between two probes. */
const EACH = 100;
/** The time between two checks of all peers while none is suspect. */
const CHECK = 400;

interface Action {
  readonly at: number;
  readonly id: string;
}

/** A node that can stall, the probes that it sends, and the peers that it loses. */
function setUp({ heartbeat = HEARTBEAT, peerTimeout = PEER_TIMEOUT, quietTimeout = QUIET_TIMEOUT } = {}) {
  const network = new MemoryNetwork();
  const host = network.host("10.9.9.9");
  const { clock } = host;
  const { table } = tableOn(clock, { heartbeat, quietTimeout });
  const probes: Action[] = [];
  const lost: (Action & { readonly isReplaced: boolean })[] = [];
  const checks: number[] = [];
  const otherwise = new Map<string, number>();
  const failureDetector = new FailureDetector({
    heartbeat,
    peerTimeout,
    quietTimeout,
    clock,
    peers: table,
    streams: { heardAt: (id) => otherwise.get(id) ?? -Infinity },
    membership: {
      onLook: () => checks.push(clock.now()),
      probe: (entry) => probes.push({ at: clock.now(), id: entry.id }),
      onDown: (entry, isReplaced) => {
        lost.push({ at: clock.now(), id: entry.id, isReplaced });
        table.remove(entry.id);
      },
    },
  });
  failureDetector.start();
  const hear = (index: number, rest: Partial<HeardPeer> = {}) => {
    table.onHeartbeat(heardFrom(index, rest));
    failureDetector.heard(table.get(nameOf(index)) as PeerEntry);
  };
  const advance = (ms: number) => network.clock.advance(ms);
  return { network, host, clock, table, failureDetector, probes, lost, checks, otherwise, hear, advance };
}

function systemOf(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    setTimer: (call, delay) => clock.setTimer(call, delay),
    setTurnEnd: (call) => clock.setTurnEnd(call),
  };
}

function times(list: readonly Action[], index?: number): number[] {
  return list.filter(({ id }) => index === undefined || id === nameOf(index)).map(({ at }) => at);
}

function series(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);
}

describe("a validated peer that falls silent", () => {
  test("is probed after 1.25 heartbeats, and then each 16th, until it is lost at peerTimeout", async () => {
    const { table, probes, lost, advance } = setUp();
    join(table, 1);
    await advance(SUSPECT - 0.001);
    assertEquals(probes, []);
    await advance(0.001);
    assertEquals(times(probes), [SUSPECT]);
    await advance(PEER_TIMEOUT - SUSPECT - 0.001);
    assertEquals([times(probes), lost], [series(SUSPECT, PEER_TIMEOUT - 1, EACH), []]);
    await advance(0.001);
    assertEquals(lost, [{ at: PEER_TIMEOUT, id: nameOf(1), isReplaced: false }]);
    // 28 probes.
    assertEquals(probes.length, 28);
    await advance(PEER_TIMEOUT);
    assertEquals([probes.length, lost.length], [28, 1]);
  });

  test("is probed at exactly that time, whenever it was heard last", async () => {
    const { table, probes, lost, advance, hear } = setUp();
    join(table, 1);
    for (const [i, pause] of [333, 1999, 1, 777].entries()) {
      await advance(pause);
      hear(1);
      assertEquals(probes.length, 0, `${i}`);
    }
    const heardAt = 333 + 1999 + 1 + 777;
    await advance(PEER_TIMEOUT);
    assertEquals([times(probes)[0], times(lost)], [heardAt + SUSPECT, [heardAt + PEER_TIMEOUT]]);
  });

  test("is not probed after it is heard again, and is suspect anew when it falls silent again", async () => {
    const { table, probes, lost, advance, hear } = setUp();
    join(table, 1);
    await advance(PEER_TIMEOUT - 50);
    const { length } = probes;
    hear(1);
    await advance(SUSPECT - 1);
    assertEquals([probes.length, lost], [length, []]);
    await advance(1);
    assertEquals(times(probes).at(-1), PEER_TIMEOUT - 50 + SUSPECT);
    await advance(PEER_TIMEOUT - SUSPECT);
    assertEquals(times(lost), [2 * PEER_TIMEOUT - 50]);
  });

  test("is not suspect while anything else is heard of it: batches, or the position of its stream", async () => {
    const { table, probes, lost, otherwise, advance } = setUp();
    join(table, 1);
    await advance(1000);
    otherwise.set(nameOf(1), 1000);
    await advance(SUSPECT - 1);
    assertEquals(probes, []);
    await advance(1);
    assertEquals(times(probes), [1000 + SUSPECT]);
    otherwise.set(nameOf(1), 1000 + SUSPECT);
    await advance(SUSPECT - 1);
    assertEquals(probes.length, 1);
    await advance(PEER_TIMEOUT);
    assertEquals(times(lost), [1000 + SUSPECT + PEER_TIMEOUT]);
  });

  test("is suspect by its own silence: other peers make no difference", async () => {
    const { table, probes, lost, advance, hear } = setUp();
    for (const index of [1, 2, 3]) join(table, index);
    for (let i = 0; i < 8; i++) {
      await advance(1500);
      hear(2);
      if (i < 3) hear(3);
    }
    assertEquals([times(probes, 1).length, times(probes, 2).length, times(probes, 3)[0]], [28, 0, 4500 + SUSPECT]);
    assertEquals(lost.map(({ id, at }) => [id, at]), [[nameOf(1), PEER_TIMEOUT], [nameOf(3), 4500 + PEER_TIMEOUT]]);
  });

  test("is never lost before four probes, each in a check of its own", async () => {
    // With the shortest times that the options allow: a 16th is 0.625 ms, and checks are 2 ms apart at least.
    const { table, probes, lost, advance } = setUp({ heartbeat: 10, peerTimeout: 13, quietTimeout: 100 });
    join(table, 1);
    await advance(100);
    assertEquals([times(probes), times(lost)], [[12.5, 14.5, 16.5, 18.5], [20.5]]);
  });
});

test("a heartbeat resets the count of probes and the replacement of a peer", async () => {
  const { table, failureDetector, advance, hear } = setUp();
  const entry = join(table, 1);
  failureDetector.replaced(entry, true);
  await advance(1);
  put(entry.liveness, { probes: 3 });
  hear(1);
  const { heardAt, probes, replacedAt, isSuperseded } = entry.liveness;
  assertEquals([heardAt, probes, replacedAt, isSuperseded], [1, 0, Infinity, false]);
});

describe("a peer that cannot be probed", () => {
  const kinds = [
    ["as it is a plain one", "quietTimeout", QUIET_TIMEOUT, { extended: false, validated: false }],
    ["as it never answered", "peerTimeout", PEER_TIMEOUT, { validated: false }],
  ] as const;
  for (const [name, option, timeout, how] of kinds) {
    test(`${name}, is lost ${option} after it was last heard, and is not probed`, async () => {
      const { table, probes, lost, advance, hear } = setUp();
      join(table, 1, how);
      await advance(timeout - 1);
      hear(1, { extended: !("extended" in how) });
      await advance(timeout - 0.001);
      assertEquals(lost, []);
      await advance(0.001);
      const [{ at, id, isReplaced } = {}] = lost;
      // It is down some turns of the event loop later, which take no time here.
      assertEquals([at, id, isReplaced, probes], [2 * timeout - 1, nameOf(1), false, []]);
    });
  }
});

describe("a node whose event loop stalled", () => {
  test("does not count that time, and sends probes at once", async () => {
    const { table, host, probes, lost, advance } = setUp();
    for (const index of [1, 2]) join(table, index);
    join(table, 3, { extended: false, validated: false });
    await advance(1000);
    host.pause();
    await advance(100_000);
    host.resume();
    await advance(0);
    const woke = 101_000;
    assertEquals([times(probes), lost], [[woke, woke], []]);
    // The next check was due at 1200.
    const stalled = woke - 1200;
    await advance(PEER_TIMEOUT + stalled - woke - 0.001);
    assertEquals(lost, []);
    await advance(0.001);
    assertEquals(times(lost), [PEER_TIMEOUT + stalled, PEER_TIMEOUT + stalled]);
    assertEquals(times(probes, 1), series(woke, PEER_TIMEOUT + stalled - 1, EACH));
    await advance(QUIET_TIMEOUT);
    assertEquals(lost.at(-1), { at: QUIET_TIMEOUT + stalled, id: nameOf(3), isReplaced: false });
  });

  test("loses no peer that responds then", async () => {
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

  test("again and again, for most of the time, loses a peer that is silent for peerTimeout of its own running time, and no other", async () => {
    const { table, host, lost, advance, hear } = setUp();
    for (const index of [1, 2]) join(table, index);
    for (let i = 0; i < 20; i++) {
      await advance(1000);
      if (i % 2 === 0) hear(2);
      host.pause();
      await advance(PEER_TIMEOUT);
      host.resume();
      await advance(0);
      // Up to a quarter of a heartbeat of each stall counts, as a check may have been due then.
      if (i < 3) assertEquals(lost, []);
    }
    assertEquals(lost.map(({ id }) => id), [nameOf(1)]);
  });

  test("for a third of a heartbeat in each one still detects a lost peer", async () => {
    const { table, host, lost, advance } = setUp();
    join(table, 1);
    for (let i = 0; i < 10 && lost.length === 0; i++) {
      await advance(HEARTBEAT - 100);
      host.pause();
      await advance(CHECK + 100);
      host.resume();
      await advance(0);
    }
    assertEquals(lost.length, 1);
  });

  for (const [late, lostAt] of [[CHECK, PEER_TIMEOUT + CHECK], [CHECK + 0.001, PEER_TIMEOUT + CHECK + 0.001 + EACH]]) {
    test(`so that a check is ${late} ms late finds the peer down at ${lostAt} ms`, async () => {
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

describe("a datagram that had arrived, unread, when the time of its peer was over", () => {
  /** Turns of the event loop between the end of the time and the decision. */
  const TURNS = 8;

  /** The node stalls for too short a time to notice, and reads a datagram so many turns after it resumes. */
  async function wakeAndRead(turns: number, read: (world: ReturnType<typeof setUp>) => void) {
    const world = setUp();
    const { table, host, network, advance } = world;
    join(table, 1);
    await advance(PEER_TIMEOUT - 1);
    host.pause();
    await advance(CHECK / 2);
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
      assertEquals(times(lost), [2 * PEER_TIMEOUT - 1 + CHECK / 2]);
    });
  }

  test("counts, whatever its type: a batch, too", async () => {
    const { lost, advance } = await wakeAndRead(3, ({ otherwise, clock }) => otherwise.set(nameOf(1), clock.now()));
    await advance(SUSPECT);
    assertEquals(lost, []);
  });

  test("is too late after that", async () => {
    const { lost } = await wakeAndRead(TURNS + 1, ({ hear }) => hear(1));
    assertEquals(times(lost), [PEER_TIMEOUT - 1 + CHECK / 2]);
  });

  test("does not matter to others: a peer that has left meanwhile is not lost, a silent one is", async () => {
    const { table, lost, network, advance } = setUp();
    for (const index of [1, 2]) join(table, index);
    await advance(PEER_TIMEOUT - 1);
    network.clock.setTimer(() => network.clock.setTimer(() => table.remove(nameOf(1)), 0), 1);
    await advance(1);
    assertEquals(lost, [{ at: PEER_TIMEOUT, id: nameOf(2), isReplaced: false }]);
  });

  test("is waited for by one check at a time: peers whose time is over meanwhile are checked again", async () => {
    const network = new MemoryNetwork();
    const { clock } = network;
    // A turn takes a millisecond, as in a real process, and a check comes each 2 ms.
    const slow: Clock = { ...systemOf(clock), setTimer: (call, delay) => clock.setTimer(call, Math.max(1, delay)) };
    const { table } = tableOn(slow, { heartbeat: 10, quietTimeout: 100 });
    const lost: string[] = [];
    const failureDetector = new FailureDetector({
      heartbeat: 10,
      peerTimeout: 30,
      quietTimeout: 100,
      clock: slow,
      peers: table,
      streams: { heardAt: () => -Infinity },
      membership: {
        onLook() {},
        probe() {},
        onDown({ id }) {
          lost.push(id);
          table.remove(id);
        },
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

describe("a peer whose address another node has taken", () => {
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

  test("is lost at once when two nodes cannot be there, unless it is heard after all", async () => {
    const { table, lost, advance, hear, failureDetector } = setUp();
    for (const index of [1, 2]) failureDetector.replaced(join(table, index), true);
    hear(2);
    await advance(5);
    assertEquals(lost, [{ at: 2, id: nameOf(1), isReplaced: true }]);
    await advance(SUSPECT);
    assertEquals(lost.length, 1);
  });

  test("is probed four times at least, so that it can respond", async () => {
    const { table, probes, lost, advance, failureDetector } = setUp();
    failureDetector.replaced(join(table, 1), false);
    await advance(SUSPECT + 3 * EACH);
    assertEquals([times(probes), lost], [series(SUSPECT, SUSPECT + 3 * EACH, EACH), []]);
    await advance(EACH);
    assertEquals(times(lost), [SUSPECT + 4 * EACH]);
  });

  test("is not lost when it is heard after all", async () => {
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

describe("checks", () => {
  test("do not count before the datagrams that have arrived meanwhile are read", async () => {
    const { host, checks, advance } = setUp();
    await advance(1000);
    host.pause();
    await advance(10 * HEARTBEAT);
    host.resume();
    await advance(2 * CHECK);
    const woke = 1000 + 10 * HEARTBEAT;
    assertEquals(checks, [CHECK, 2 * CHECK, woke + CHECK, woke + 2 * CHECK]);
  });

  test("are a quarter of a heartbeat apart while no peer is suspect, and a 16th while one is", async () => {
    const { table, checks, advance } = setUp();
    await advance(4 * CHECK);
    assertEquals(checks, series(CHECK, 4 * CHECK, CHECK));
    join(table, 1);
    await advance(SUSPECT + 4 * EACH);
    assertEquals(checks.slice(4), [
      ...series(5 * CHECK, 4 * CHECK + SUSPECT, CHECK),
      ...series(4 * CHECK + SUSPECT + EACH, 4 * CHECK + SUSPECT + 4 * EACH, EACH),
    ]);
  });

  test("count when two in a row are late, as there may be no other ones", async () => {
    const { host, checks, advance } = setUp();
    for (let i = 0; i < 5; i++) {
      host.pause();
      await advance(HEARTBEAT);
      host.resume();
      await advance(1);
    }
    assertEquals(checks, [2, 3, 4, 5].map((round) => round * (HEARTBEAT + 1) - 1));
  });

  test("end when the failure detector is closed", async () => {
    const { table, failureDetector, checks, network, advance } = setUp();
    join(table, 1);
    await advance(SUSPECT);
    failureDetector.close();
    const { length } = checks;
    await advance(10 * PEER_TIMEOUT);
    assertEquals([checks.length, network.clock.pending], [length, 0]);
  });
});

test("however a peer is heard and the node stalls, it is probed and lost when the rule says, never before", async () => {
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
      const { table, host, clock, probes, lost, advance, hear } = setUp();
      join(table, 1);
      let heardAt = 0;
      /** The part of the silence that was a stall: a check may have been due up to a quarter of a heartbeat later. */
      let stalled = 0;
      for (const { do: what, after } of steps) {
        if (what === "stall") host.pause();
        await advance(after);
        if (what === "stall") {
          host.resume();
          await advance(0);
          if (after > 2 * CHECK) stalled += after - CHECK;
        }
        for (const { at } of lost) {
          assertGreaterOrEqual(at - heardAt, PEER_TIMEOUT + stalled);
          assertGreaterOrEqual(probes.filter((probe) => probe.at >= heardAt + SUSPECT).length, 4);
        }
        if (lost.length > 0) return;
        if (what === "hear") {
          hear(1);
          heardAt = clock.now();
          stalled = 0;
        }
      }
      await advance(PEER_TIMEOUT + SUSPECT + 2 * CHECK);
      assertEquals(lost.length, 1);
      const [{ at } = { at: NaN }] = lost;
      assertGreaterOrEqual(at, heardAt + PEER_TIMEOUT);
      assertLessOrEqual(at, Math.max(heardAt + PEER_TIMEOUT, clock.now()));
      const sent = times(probes).filter((time) => time >= heardAt + SUSPECT);
      assert(sent.length >= 4);
      for (const [i, time] of sent.entries()) {
        if (i > 0) assertGreaterOrEqual(time - (sent[i - 1] ?? 0), EACH - 1e-6);
      }
    }),
    { numRuns: 200 },
  );
});
