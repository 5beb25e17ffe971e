// The peer table: which nodes are known, where they are reached, and which are refused.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import type { PeerEntry } from "../../src/membership/peer.ts";
import type { HeardPeer, PeerTableConfig } from "../../src/membership/peer_table.ts";
import { type Endpoint, formatAddress } from "../../src/platform/endpoint.ts";
import { addressOf, heardFrom, idOf, join, nameOf, placeOf, put, tableOn } from "../support/peers.ts";

const SOURCE: Endpoint = { host: "192.168.1.9", port: 5000 };
const OTHER: Endpoint = { host: "172.17.0.1", port: 5000 };
const HEARTBEAT = 1000;
const QUIET_TIMEOUT = 60_000;
/** A quarter of that. */
const SETTLED = 15_000;

function setUp(config: Partial<PeerTableConfig> = {}) {
  const clock = new VirtualClock();
  const { table, evicted } = tableOn(clock, { heartbeat: HEARTBEAT, quietTimeout: QUIET_TIMEOUT, ...config });
  /** The first node advertises this, and is heard from there. */
  const hear = (advertised: string, source: Endpoint = SOURCE, rest: Partial<HeardPeer> = {}) =>
    table.onHeartbeat(heardFrom(1, { advertised, source, ...rest }));
  const entry = (index = 1) => table.get(nameOf(index)) as PeerEntry;
  const at = () => formatAddress(entry().endpoint.host, entry().endpoint.port);
  return { table, clock, evicted, hear, entry, at };
}

function shown(endpoints: readonly Endpoint[]): string[] {
  return endpoints.map(({ host, port }) => formatAddress(host, port));
}

describe("hearing a node", () => {
  test("reports whether it has joined, moved or was known, by its advertised address", () => {
    const { table, hear, entry } = setUp();
    assertEquals(
      [hear("10.0.0.1:1"), hear("10.0.0.1:1"), hear("10.0.0.1:1", OTHER), hear("10.0.0.2:1"), hear("10.0.0.2:2")],
      ["joined", "known", "known", "moved", "moved"],
    );
    assertEquals([hear("name:3"), table.addresses(), table.size], ["moved", [], 1]);
    put(entry().joining, { isJoined: true });
    assertEquals(table.addresses(), ["name:3"]);
  });

  test("keeps a copy of its id, not the view of the datagram", () => {
    const { table, hear, entry } = setUp();
    const view = idOf(1);
    hear("", SOURCE, { nodeId: view });
    view.fill(9);
    assertEquals([entry().nodeId, [...table.all()].length], [idOf(1), 1]);
  });

  test("that was sent from port 0, to which nothing can be sent, is refused", () => {
    const { table, hear } = setUp();
    assertEquals([hear("", { host: "10.0.0.1", port: 0 }), table.size], ["refused", 0]);
  });

  test("records when it was first heard, and keeps the order in which nodes were last heard", async () => {
    const { table, clock, entry } = setUp();
    for (const index of [1, 2, 3]) join(table, index);
    await clock.advance(10);
    table.onHeartbeat(heardFrom(1));
    assertEquals([entry().joinedAt, entry().heardAt], [0, 0]);
    assertEquals([...table.all()].map(({ id }) => id), [2, 3, 1].map(nameOf));
  });

  for (const advertised of [":7946", "", "name:7946"]) {
    test(`which advertises ${JSON.stringify(advertised)} from two hosts in turn moves it when the first was silent for 15 s`, async () => {
      const { hear, entry, clock } = setUp();
      const heard = (source: Endpoint) => [hear(advertised, source), entry().advertised.endpoint.host];
      heard(SOURCE);
      for (let i = 0; i < 10; i++) {
        await clock.advance(5000);
        assertEquals([heard(OTHER), heard(SOURCE)], [["known", SOURCE.host], ["known", SOURCE.host]]);
      }
      await clock.advance(SETTLED - 0.001);
      assertEquals(heard(OTHER), ["known", SOURCE.host]);
      await clock.advance(0.001);
      assertEquals([heard(OTHER), heard(SOURCE)], [["moved", OTHER.host], ["known", OTHER.host]]);
    });
  }

  test("from the same host with another port moves it at once, as it may be another socket of it", () => {
    const { hear } = setUp();
    assertEquals([hear(":7946"), hear(":7947"), hear("", { ...SOURCE, port: 5001 })], ["joined", "moved", "moved"]);
  });
});

describe("a node is reached", () => {
  test("where it was heard, whatever it advertises, as that is unvalidated", () => {
    const { hear, entry, at } = setUp();
    hear("10.0.0.1:7946");
    assertEquals([at(), entry().address, entry().advertised.endpoint], [
      "192.168.1.9:5000",
      "10.0.0.1:7946",
      { host: "10.0.0.1", port: 7946 },
    ]);
  });

  test("not at all before it has responded when it speaks the extension; a plain one cannot respond", () => {
    const { table } = setUp();
    join(table, 1, { validated: false });
    join(table, 2, { validated: false, extended: false });
    assertEquals(shown(table.endpoints()), [addressOf(2)]);
    table.validate(table.get(nameOf(1)) as PeerEntry, placeOf(1));
    assertEquals(shown(table.endpoints()), [addressOf(1), addressOf(2)]);
  });

  test("not any more when it is found to speak the extension, until it responds", () => {
    const { table } = setUp();
    join(table, 1, { validated: false, extended: false });
    assertEquals(shown(table.endpoints()), [addressOf(1)]);
    table.onHeartbeat(heardFrom(1));
    assertEquals(shown(table.endpoints()), []);
    // A truncated datagram makes it no plain one again.
    table.onHeartbeat(heardFrom(1, { extended: false }));
    assertEquals([shown(table.endpoints()), table.extended().length], [[], 1]);
  });

  test("before it has responded, where it was heard first, and at its advertised address once it is heard there", async () => {
    const { hear, at, clock } = setUp();
    hear("10.0.0.1:7946");
    hear("10.0.0.1:7946", OTHER);
    assertEquals(at(), "192.168.1.9:5000");
    hear("10.0.0.1:7946", { host: "10.0.0.1", port: 7946 });
    assertEquals(at(), "10.0.0.1:7946");
    hear("10.0.0.1:7946");
    assertEquals(at(), "10.0.0.1:7946");
    // Elsewhere only when it was silent there for 15 s.
    await clock.advance(SETTLED - 0.001);
    hear("10.0.0.1:7946", OTHER);
    assertEquals(at(), "10.0.0.1:7946");
    await clock.advance(0.001);
    hear("10.0.0.1:7946", OTHER);
    assertEquals(at(), "172.17.0.1:5000");
  });

  test("after it has responded, where it did, wherever it is heard, as ids can be forged", async () => {
    const { table, hear, entry, at, clock } = setUp();
    hear("10.0.0.1:7946");
    table.validate(entry(), SOURCE);
    for (let i = 0; i < 100; i++) {
      await clock.advance(1000);
      hear("172.17.0.1:5000", OTHER);
      assertEquals(at(), "192.168.1.9:5000");
    }
  });
});

describe("a response", () => {
  const places: readonly [string, Endpoint][] = [
    ["from where the node is taken to be validates it", SOURCE],
    ["from the advertised address validates it and moves it there", { host: "10.0.0.1", port: 7946 }],
    ["from anywhere validates it and moves it there when it was not validated", OTHER],
  ];
  for (const [name, endpoint] of places) {
    test(name, () => {
      const { table, hear, entry, at } = setUp();
      hear("10.0.0.1:7946");
      assertEquals(table.validate(entry(), endpoint), true);
      assertEquals([at(), entry().isValidated], [formatAddress(endpoint.host, endpoint.port), true]);
      assertEquals(table.validate(entry(), endpoint), false);
    });
  }

  test("from elsewhere moves a validated peer only when it is heard there, and its old address did not respond for long", async () => {
    const { table, hear, entry, at, clock } = setUp();
    hear("10.0.0.1:7946");
    table.validate(entry(), SOURCE);
    await clock.advance(2 * HEARTBEAT);
    assertEquals(table.validate(entry(), OTHER), false);
    put(entry().validation, { challengesSent: 3 });
    assertEquals([table.follow(entry(), OTHER, 3), at()], [false, "192.168.1.9:5000"]);
    await clock.advance(0.001);
    assertEquals(table.follow(entry(), { ...OTHER, port: 1 }, 3), false);
    assertEquals(table.follow(entry(), OTHER, 4), false);
    assertEquals([table.follow(entry(), OTHER, 3), at()], [true, "172.17.0.1:5000"]);
    assertEquals(entry().path.reachedAt, clock.now());
    assertEquals(table.follow(entry(), OTHER, 0), false);
  });

  test("from elsewhere counts for two heartbeats", async () => {
    const { table, hear, entry, clock } = setUp();
    hear("10.0.0.1:7946");
    table.validate(entry(), SOURCE);
    table.validate(entry(), OTHER);
    put(entry().validation, { challengesSent: 8 });
    await clock.advance(2 * HEARTBEAT + 0.001);
    assertEquals(table.follow(entry(), OTHER, 3), false);
    table.validate(entry(), OTHER);
    assertEquals(table.follow(entry(), OTHER, 3), true);
  });

  test("validates a host as the peer's own, wherever it is reached", () => {
    const { table, hear, entry } = setUp();
    hear("10.0.0.1:7946");
    const owns = () => [SOURCE, OTHER, { host: "10.0.0.1" }].map(({ host }) => entry().isOn(host));
    table.validate(entry(), SOURCE);
    assertEquals(owns(), [true, false, false]);
    table.validate(entry(), OTHER);
    assertEquals(owns(), [true, true, false]);
    table.validate(entry(), { host: "10.0.0.1", port: 7946 });
    assertEquals(owns(), [true, true, true]);
  });

  test("validates up to 17 hosts, the last ones", () => {
    const { table, hear, entry } = setUp();
    hear("10.0.0.1:7946");
    table.validate(entry(), SOURCE);
    const hostOf = (i: number) => `10.8.0.${i}`;
    for (let i = 0; i < 20; i++) {
      table.validate(entry(), { host: hostOf(i), port: 1 });
      // One that is validated again and again stays.
      table.validate(entry(), { host: hostOf(0), port: 1 });
    }
    const owned = Array.from({ length: 20 }, (_, i) => i).filter((i) => entry().isOn(hostOf(i)));
    assertEquals(owned, [0, ...Array.from({ length: 15 }, (_, i) => 5 + i)]);
    assertEquals([entry().path.hosts.size, entry().isOn(SOURCE.host)], [16, true]);
  });

  test("from the advertised address moves it at once, and from there it is not moved back for two heartbeats", async () => {
    const { table, hear, entry, at, clock } = setUp();
    const wanted = { host: "10.0.0.1", port: 7946 };
    hear("10.0.0.1:7946");
    table.validate(entry(), SOURCE);
    assertEquals([table.validate(entry(), wanted), at()], [true, "10.0.0.1:7946"]);
    await clock.advance(2 * HEARTBEAT);
    assertEquals([table.validate(entry(), SOURCE), at()], [false, "10.0.0.1:7946"]);
  });

  test("counts as heard there, as does a heartbeat from there", async () => {
    const { table, hear, entry, clock } = setUp();
    hear("10.0.0.1:7946");
    table.validate(entry(), SOURCE);
    await clock.advance(1500);
    table.validate(entry(), SOURCE);
    assertEquals(entry().path.reachedAt, 1500);
    await clock.advance(100);
    hear("10.0.0.1:7946", OTHER);
    assertEquals(entry().path.reachedAt, 1500);
    hear("10.0.0.1:7946");
    assertEquals(entry().path.reachedAt, 1600);
  });
});

describe("the lists", () => {
  test("have each endpoint once, and each peer's address: several nodes may share both", () => {
    const { table } = setUp();
    const shared = placeOf(9);
    for (const index of [1, 2, 3]) {
      const advertised = index === 3 ? "name:1" : "10.0.0.9:5000";
      table.onHeartbeat(heardFrom(index, { advertised, source: shared }));
      const entry = table.get(nameOf(index)) as PeerEntry;
      table.validate(entry, shared);
      put(entry.joining, { isJoined: true });
    }
    assertEquals([table.size, shown(table.endpoints()), table.addresses()], [3, ["10.0.0.9:5000"], [
      "10.0.0.9:5000",
      "10.0.0.9:5000",
      "name:1",
    ]]);
    assertEquals(table.addresses().length, table.joined().length);
    assertEquals([shown(table.copies()), shown(table.extendedCopies())], [["10.0.0.9:5000"], ["10.0.0.9:5000"]]);
  });

  test("of copies leave out peers that hear us; those of the extension leave out plain peers too", () => {
    const { table, entry } = setUp();
    join(table, 1);
    join(table, 2);
    join(table, 3, { validated: false, extended: false });
    join(table, 4, { validated: false });
    put(entry(1).multicast, { hearsUs: true });
    table.changed();
    assertEquals(table.withoutGroup().map(({ id }) => id), [2, 3].map(nameOf));
    assertEquals([shown(table.copies()), shown(table.extendedCopies())], [[addressOf(2), addressOf(3)], [
      addressOf(2),
    ]]);
    assertEquals(shown(table.endpoints()), [1, 2, 3].map(addressOf));
    assertEquals(table.extended().map(({ id }) => id), [1, 2, 4].map(nameOf));
  });

  test("are the same arrays while nothing changes, as each datagram reads them", () => {
    const { table, entry } = setUp();
    const lists = () => [table.endpoints(), table.copies(), table.extendedCopies(), table.extended()];
    const areSame = (before: readonly unknown[]) => lists().every((list, i) => list === before[i]);
    join(table, 1);
    let before = lists();
    table.onHeartbeat(heardFrom(1));
    table.validate(entry(), placeOf(1));
    table.remove("nobody");
    assert(areSame(before));
    for (
      const change of [
        () => join(table, 2),
        () => table.changed(),
        () => table.remove(nameOf(2)),
      ]
    ) {
      before = lists();
      change();
      assert(lists().every((list, i) => list !== before[i]), `${change}`);
    }
  });

  test("forget a node that is removed, and all nodes when they are cleared", () => {
    const { table } = setUp();
    for (const index of [1, 2]) join(table, index);
    assertEquals([table.remove(nameOf(1))?.id, table.remove(nameOf(1)), shown(table.endpoints())], [
      nameOf(1),
      undefined,
      [addressOf(2)],
    ]);
    table.clear();
    assertEquals([table.size, table.endpoints(), table.addresses(), table.nextForExchange(4)], [0, [], [], []]);
  });
});

describe("the peers of a peer exchange", () => {
  const indexes = (peers: readonly { readonly id: string }[]) => peers.map(({ id }) => parseInt(id.slice(0, 8), 16));

  test("are the next few of those that can be reached, all in turn", () => {
    const { table } = setUp();
    for (let index = 1; index <= 5; index++) join(table, index);
    join(table, 6, { validated: false });
    assertEquals(Array.from({ length: 5 }, () => indexes(table.nextForExchange(2))), [[1, 2], [3, 4], [5, 1], [2, 3], [
      4,
      5,
    ]]);
  });

  test("are all of them, each once, when they are fewer", () => {
    const { table } = setUp();
    assertEquals(table.nextForExchange(4), []);
    for (let index = 1; index <= 3; index++) join(table, index);
    assertEquals([
      indexes(table.nextForExchange(4)),
      indexes(table.nextForExchange(24)),
      indexes(table.nextForExchange(0)),
    ], [[1, 2, 3], [1, 2, 3], []]);
  });

  test("are none that was silent for 1.25 heartbeats, as it may have departed, and others would challenge it", async () => {
    const { table, clock, entry } = setUp();
    for (const index of [1, 2]) join(table, index);
    await clock.advance(1.25 * HEARTBEAT - 0.001);
    put(entry(2).liveness, { heardAt: clock.now() });
    assertEquals(indexes(table.nextForExchange(4)).sort(), [1, 2]);
    await clock.advance(0.001);
    assertEquals(indexes(table.nextForExchange(4)), [2]);
    put(entry(1).liveness, { heardAt: clock.now() });
    assertEquals(indexes(table.nextForExchange(4)).sort(), [1, 2]);
  });

  test("are plain ones until they were silent for 15 s: their heartbeats may be rarer", async () => {
    const { table, clock } = setUp();
    join(table, 1, { validated: false, extended: false });
    await clock.advance(SETTLED - 0.001);
    assertEquals(indexes(table.nextForExchange(4)), [1]);
    await clock.advance(0.001);
    assertEquals(indexes(table.nextForExchange(4)), []);
  });

  test("are plain ones only where there is room, as their addresses are not validated, and one of each endpoint", () => {
    const { table } = setUp();
    for (const index of [1, 2, 3]) join(table, index);
    for (let index = 10; index < 20; index++) {
      table.onHeartbeat(heardFrom(index, { extended: false, source: index < 18 ? placeOf(10) : placeOf(index) }));
    }
    assertEquals([indexes(table.nextForExchange(2)), indexes(table.nextForExchange(3))], [[1, 2], [3, 1, 2]]);
    const listed = indexes(table.nextForExchange(6));
    assertEquals([listed.slice(0, 3).sort(), listed.length], [[1, 2, 3], 6]);
    const places = listed.slice(3).map((index) => table.get(nameOf(index))?.endpoint.host);
    assertEquals(new Set(places).size, 3);
    // In turn, too.
    assertEquals(new Set([0, 1, 2].flatMap(() => indexes(table.nextForExchange(4)).slice(3))).size, 3);
  });

  test("are none that was replaced at its address", () => {
    const { table, entry } = setUp();
    for (const index of [1, 2]) join(table, index);
    put(entry(1).liveness, { replacedAt: 0 });
    assertEquals(indexes(table.nextForExchange(4)), [2]);
  });

  test("are listed equally often, give or take one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.nat(30), { maxLength: 30 }), (size, counts) => {
        const { table } = setUp();
        const listed = new Map<number, number>();
        for (let index = 1; index <= size; index++) {
          join(table, index);
          listed.set(index, 0);
        }
        for (const count of counts) {
          const few = indexes(table.nextForExchange(count));
          assertEquals([few.length, new Set(few).size], [Math.min(count, size), Math.min(count, size)]);
          for (const index of few) listed.set(index, (listed.get(index) ?? 0) + 1);
        }
        assertLessOrEqual(Math.max(...listed.values()) - Math.min(...listed.values()), 1);
      }),
    );
  });
});

describe("a full table", () => {
  test("refuses joining nodes, not known ones, and has room again when one is removed", () => {
    const { table, evicted } = setUp({ capacity: 2 });
    for (const index of [1, 2]) join(table, index);
    assertEquals([3, 1, 2].map((index) => table.onHeartbeat(heardFrom(index))), ["refused", "known", "known"]);
    assertEquals([table.size, table.get(nameOf(3))], [2, undefined]);
    table.remove(nameOf(1));
    assertEquals([table.onHeartbeat(heardFrom(3)), table.onHeartbeat(heardFrom(1)), evicted], [
      "joined",
      "refused",
      [],
    ]);
  });

  test("has room for one that responds: the one that was heard longest ago and never responded is evicted", async () => {
    const { table, evicted, clock } = setUp({ capacity: 4 });
    join(table, 1);
    join(table, 2, { validated: false, extended: false });
    join(table, 3, { validated: false });
    join(table, 4, { validated: false });
    await clock.advance(1);
    table.onHeartbeat(heardFrom(3));
    assertEquals(table.onHeartbeat(heardFrom(5, { isResponse: true })), "joined");
    assertEquals([evicted.map(({ id }) => id), table.size], [[nameOf(4)], 4]);
    assertEquals([table.onHeartbeat(heardFrom(6, { isResponse: true })), evicted.length], ["joined", 2]);
  });

  test("has room for a plain one, which cannot respond, in the place of one that never did", () => {
    const { table, evicted } = setUp({ capacity: 3, plainCapacity: 2 });
    join(table, 1);
    join(table, 2, { validated: false });
    join(table, 3, { validated: false });
    const hear = (index: number) => table.onHeartbeat(heardFrom(index, { extended: false }));
    assertEquals([4, 5, 6].map(hear), ["joined", "joined", "refused"]);
    assertEquals([evicted.map(({ id }) => id), table.size], [[2, 3].map(nameOf), 3]);
  });

  test("of plain peers refuses more of them, and accepts those that speak the extension", () => {
    const { table } = setUp({ capacity: 4, plainCapacity: 2 });
    const hear = (index: number, extended: boolean) => table.onHeartbeat(heardFrom(index, { extended }));
    assertEquals([1, 2, 3].map((index) => hear(index, false)), ["joined", "joined", "refused"]);
    assertEquals([hear(4, true), hear(5, true), hear(6, true)], ["joined", "joined", "refused"]);
    table.remove(nameOf(5));
    assertEquals(hear(3, false), "refused");
    // One that is found to speak the extension makes room for a plain one, and so does one that departs.
    assertEquals([hear(1, true), hear(3, false), hear(6, false)], ["known", "joined", "refused"]);
    table.remove(nameOf(2));
    assertEquals(hear(6, false), "joined");
    table.clear();
    assertEquals([1, 2, 3].map((index) => hear(index, false)), ["joined", "joined", "refused"]);
  });

  test("of peers that have responded, and of plain ones, which cannot, has no room", () => {
    const { table, evicted } = setUp({ capacity: 2 });
    join(table, 1);
    join(table, 2, { validated: false, extended: false });
    assertEquals([table.onHeartbeat(heardFrom(3, { isResponse: true })), evicted], ["refused", []]);
  });

  test("bounds the effect of 100,000 forged ids", () => {
    const { table } = setUp();
    join(table, 100_001);
    let refused = 0;
    for (let i = 0; i < 100_000; i++) if (table.onHeartbeat(heardFrom(i)) === "refused") refused++;
    assertEquals([table.size, refused, shown(table.endpoints())], [1024, 100_000 - 1023, [addressOf(100_001)]]);
  });
});

test("whatever is heard and responded: the table is bounded, validated peers stay, and only they are reached", () => {
  const step = fc.record({
    index: fc.nat(8),
    from: fc.nat(8),
    advertised: fc.nat(8),
    extended: fc.boolean(),
    does: fc.constantFrom("hear", "validate", "hear a response", "remove"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const { table, evicted } = setUp({ capacity: 4 });
      const validated = new Set<string>();
      for (const { index, from, advertised, extended, does } of steps) {
        const id = nameOf(index);
        const entry = table.get(id);
        if (does === "remove") {
          table.remove(id);
          validated.delete(id);
        } else if (does === "validate" && entry !== undefined) {
          table.validate(entry, placeOf(from));
          validated.add(id);
        } else if (does !== "validate") {
          const isResponse = does === "hear a response";
          table.onHeartbeat(
            heardFrom(index, { source: placeOf(from), advertised: addressOf(advertised), extended, isResponse }),
          );
        }
        assertLessOrEqual(table.size, 4);
        for (const each of validated) assert(table.get(each) !== undefined);
        const reached = [...table.all()].filter(({ id, extended }) => !extended || validated.has(id));
        const places = [...new Set(shown(reached.map(({ endpoint }) => endpoint)))].sort();
        assertEquals(shown(table.endpoints()).sort(), places);
        for (const { extended, isValidated } of evicted) assertEquals([extended, isValidated], [true, false]);
      }
    }),
    { numRuns: 500 },
  );
});

describe("peers that acknowledge deliveries", () => {
  const namesOf = ({ all }: { readonly all: readonly PeerEntry[] }) => all.map(({ id }) => id);

  test("are those with a validated path that say so, with their zones", () => {
    const { table } = setUp();
    const [first, second, third] = [
      join(table, 1),
      join(table, 2, { validated: false }),
      join(table, 3),
    ];
    // A node without the extension says nothing of itself.
    table.report(join(table, 4, { extended: false, validated: false }), { acknowledges: true });
    assertEquals(table.acknowledging(), { all: [], ids: new Set<string>() });
    table.report(first, { acknowledges: true, zone: "z1" });
    table.report(second, { acknowledges: true });
    table.report(third, { acknowledges: false, zone: "z3" });
    assertEquals(namesOf(table.acknowledging()), [nameOf(1)]);
    assertEquals([...table.acknowledging().ids], [nameOf(1)]);
    assertEquals([first.zone, second.zone, third.zone], ["z1", undefined, "z3"]);
    table.validate(second, placeOf(2));
    table.report(third, { acknowledges: true });
    assertEquals([namesOf(table.acknowledging()), third.zone], [[nameOf(1), nameOf(2), nameOf(3)], undefined]);
  });

  test("are the same object until a peer comes, goes, is validated or says something else", () => {
    const { table } = setUp();
    const first = join(table, 1);
    table.report(first, { acknowledges: true, zone: "z1" });
    const before = table.acknowledging();
    table.report(first, { acknowledges: true, zone: "z1" });
    table.onHeartbeat(heardFrom(1));
    assertEquals(table.acknowledging() === before, true);
    table.report(first, { acknowledges: true, zone: "z2" });
    const moved = table.acknowledging();
    assertEquals([moved === before, namesOf(moved), first.zone], [false, [nameOf(1)], "z2"]);
    const second = join(table, 2, { validated: false });
    table.report(second, { acknowledges: true });
    assertEquals(namesOf(table.acknowledging()), [nameOf(1)]);
    table.validate(second, placeOf(2));
    assertEquals(namesOf(table.acknowledging()), [nameOf(1), nameOf(2)]);
    table.remove(nameOf(1));
    assertEquals([namesOf(table.acknowledging()), [...table.acknowledging().ids]], [[nameOf(2)], [nameOf(2)]]);
    table.report(second, { acknowledges: false });
    assertEquals(namesOf(table.acknowledging()), []);
    // What was returned before does not change.
    assertEquals(namesOf(before), [nameOf(1)]);
  });
});

test("a plain node is known as long as there is one", () => {
  const { table } = setUp();
  assertEquals(table.hasPlain, false);
  join(table, 1);
  assertEquals(table.hasPlain, false);
  join(table, 2, { extended: false, validated: false });
  assertEquals(table.hasPlain, true);
  table.remove(nameOf(2));
  assertEquals(table.hasPlain, false);
});
