// Bootstrap: how often seeds are challenged, and until when.
import { describe, test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { AmplificationLimit } from "../../src/membership/amplification_limit.ts";
import { Bootstrap } from "../../src/membership/bootstrap.ts";
import { type Endpoint, formatEndpoint } from "../../src/platform/endpoint.ts";
import { addressOf, join, nameOf, placeOf, tableOn } from "../support/peers.ts";

/** The shared port of a node's host. */
function seedOf(index: number): Endpoint {
  return { host: placeOf(index).host, port: 7946 };
}

/** The port that this node alone has. */
const OWN_PORT = 1234;

function setUp(seeds: readonly Endpoint[]) {
  const clock = new VirtualClock();
  const { table } = tableOn(clock);
  const amplification = new AmplificationLimit(clock, 1000);
  const challenges: { readonly at: number; readonly to: string }[] = [];
  const bootstrap = new Bootstrap({
    seeds: { few: () => seeds },
    local: { isOwn: ({ port }) => port === OWN_PORT },
    clock,
    peers: table,
    amplification,
    pathValidation: { send: (to) => challenges.push({ at: clock.now(), to: formatEndpoint(to) }) },
  });
  const to = () => challenges.map(({ to }) => to);
  const times = () => challenges.map(({ at }) => at);
  return { clock, table, amplification, bootstrap, challenges, to, times };
}

describe("a seed", () => {
  test("is challenged with each round, and 0.1, 0.3 and 0.9 s after the start and after it is uncovered again", async () => {
    const { bootstrap, clock, times } = setUp([seedOf(1)]);
    bootstrap.round();
    bootstrap.start();
    await clock.advance(60_000);
    assertEquals([times(), clock.pending], [[0, 100, 400, 1300], 0]);
    bootstrap.round();
    assertEquals(times().at(-1), 60_000);
  });

  test("is not challenged while a peer that responded there is known", async () => {
    const { bootstrap, table, clock, to, times } = setUp([seedOf(1), seedOf(2)]);
    bootstrap.start();
    await clock.advance(100);
    join(table, 1);
    bootstrap.onAnswer(seedOf(1), nameOf(1));
    assertEquals(bootstrap.open(), [seedOf(2)]);
    await clock.advance(300);
    assertEquals(to().slice(2), ["10.0.0.2:7946"]);
    join(table, 2);
    bootstrap.onAnswer(seedOf(2), nameOf(2));
    await clock.advance(60_000);
    // While every seed is covered, nothing is checked.
    assertEquals([times(), clock.pending], [[100, 100, 400], 0]);
    // It is challenged at once when its peer departs.
    table.remove(nameOf(1));
    bootstrap.reopen(nameOf(1));
    assertEquals([bootstrap.open(), times().slice(3), to().at(-1)], [[seedOf(1)], [60_400], "10.0.0.1:7946"]);
  });

  test("stays covered, whichever other nodes respond there, by the last of them", () => {
    const { bootstrap, table } = setUp([seedOf(1)]);
    for (const index of [1, 2]) {
      join(table, index);
      bootstrap.onAnswer(seedOf(1), nameOf(index));
    }
    bootstrap.reopen(nameOf(1));
    assertEquals(bootstrap.open(), []);
    bootstrap.reopen(nameOf(2));
    assertEquals(bootstrap.open(), [seedOf(1)]);
  });

  test("whose peer is silent is challenged at once, once, as another process may be there", async () => {
    const { bootstrap, table, clock, challenges } = setUp([1, 2, 3].map(seedOf));
    for (const index of [1, 2]) {
      join(table, index);
      bootstrap.onAnswer(seedOf(index), nameOf(index));
    }
    assertEquals(bootstrap.open(), [seedOf(3)]);
    await clock.advance(10);
    for (const id of [nameOf(1), nameOf(1), nameOf(7)]) bootstrap.reopen(id);
    assertEquals([challenges, bootstrap.open()], [[{ at: 10, to: "10.0.0.1:7946" }], [seedOf(1), seedOf(3)]]);
    bootstrap.onAnswer(seedOf(1), nameOf(1));
    assertEquals(bootstrap.open(), [seedOf(3)]);
  });

  test("is not challenged when a peer is known at that very address, though it is uncovered", () => {
    const { bootstrap, table, to } = setUp([placeOf(1), placeOf(2)]);
    join(table, 1);
    bootstrap.round();
    assertEquals([to(), bootstrap.open()], [[addressOf(2)], [placeOf(1), placeOf(2)]]);
  });

  test("where the node that responded is not known, as the table is full, stays uncovered", () => {
    const { bootstrap } = setUp([seedOf(1)]);
    bootstrap.onAnswer(seedOf(1), nameOf(1));
    assertEquals(bootstrap.open(), [seedOf(1)]);
  });

  test("is not challenged after the bootstrap is closed", async () => {
    const { bootstrap, clock, challenges } = setUp([seedOf(1)]);
    bootstrap.start();
    await clock.advance(150);
    bootstrap.close();
    await clock.advance(60_000);
    assertEquals([challenges.length, clock.pending], [1, 0]);
  });
});

describe("many seeds", () => {
  test("are challenged 128 in a round, in turn", () => {
    const seeds = Array.from({ length: 300 }, (_, i) => seedOf(i + 1));
    const { bootstrap, challenges, to } = setUp(seeds);
    const counts = [1, 2, 3, 4, 5].map(() => {
      const { length } = challenges;
      bootstrap.round();
      return challenges.length - length;
    });
    assertEquals(counts, [128, 128, 128, 128, 128]);
    const all = seeds.map(formatEndpoint);
    assertEquals(to(), [...all, ...all, ...all].slice(0, 640));
  });

  test("up to that number are challenged once each in a round", () => {
    const { bootstrap, to } = setUp([1, 2, 3].map(seedOf));
    bootstrap.round();
    bootstrap.round();
    assertEquals(to(), [1, 2, 3, 1, 2, 3].map((index) => `10.0.0.${index}:7946`));
  });

  test("are the same array while nothing changes, as each batch reads it", () => {
    const { bootstrap, table } = setUp([1, 2].map(seedOf));
    const before = bootstrap.open();
    bootstrap.round();
    assertStrictEquals(bootstrap.open(), before);
    join(table, 1);
    bootstrap.onAnswer(seedOf(1), nameOf(1));
    assertEquals(bootstrap.open(), [seedOf(2)]);
  });
});

describe("addresses that a resolver names", () => {
  test("are challenged once each time, unless their node is known", () => {
    const { bootstrap, table, to } = setUp([]);
    join(table, 1);
    join(table, 2);
    bootstrap.onAnswer(seedOf(2), nameOf(2));
    for (let i = 0; i < 2; i++) bootstrap.probe([placeOf(1), seedOf(2), seedOf(3)]);
    assertEquals([to(), bootstrap.open()], [["10.0.0.3:7946", "10.0.0.3:7946"], []]);
  });

  test("are challenged again when the node that responded there has departed", () => {
    const { bootstrap, table, to } = setUp([]);
    join(table, 1);
    bootstrap.onAnswer(seedOf(1), nameOf(1));
    bootstrap.probe([seedOf(1)]);
    assertEquals(to(), []);
    table.remove(nameOf(1));
    bootstrap.reopen(nameOf(1));
    assertEquals(to(), []);
    bootstrap.probe([seedOf(1)]);
    assertEquals(to(), ["10.0.0.1:7946"]);
  });

  test("are challenged 512 at once, and the others when they are named again", async () => {
    const { bootstrap, clock, challenges } = setUp([]);
    const all = Array.from({ length: 1100 }, (_, i) => seedOf(i));
    bootstrap.probe(all);
    for (const sum of [512, 1024]) {
      assertEquals(challenges.length, sum);
      await clock.advance(30_000);
      bootstrap.probe(all);
    }
    assertEquals(new Set(challenges.map(({ to }) => to)).size, 1100);
  });

  test("are challenged again after 0.1, 0.4 and 1.3 s when they are seeds", async () => {
    const { bootstrap, clock, challenges } = setUp([seedOf(1), seedOf(2)]);
    bootstrap.probe([seedOf(1), seedOf(2), seedOf(3)]);
    assertEquals(challenges.length, 3);
    await clock.advance(100);
    assertEquals(challenges.length, 5);
    await clock.advance(10_000);
    assertEquals([challenges.length, clock.pending], [9, 0]);
  });

  test("at which this node hears itself are challenged with each round, as others may share the port, and get nothing else", () => {
    const { bootstrap, table, to } = setUp([seedOf(1), { ...seedOf(2), port: OWN_PORT }]);
    assertEquals(bootstrap.open(), [seedOf(1)]);
    bootstrap.onAnswer(seedOf(1));
    assertEquals([bootstrap.open(), bootstrap.isAnswered(seedOf(1))], [[], true]);
    for (let i = 0; i < 3; i++) bootstrap.round();
    assertEquals(to(), Array(3).fill("10.0.0.1:7946"));
    join(table, 1);
    bootstrap.onAnswer(seedOf(1), nameOf(1));
    bootstrap.round();
    assertEquals([to().length, bootstrap.open()], [3, []]);
  });
});
