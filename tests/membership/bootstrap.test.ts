// How often seeds are greeted, and until when.
import { describe, test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { AmplificationLimit } from "../../src/membership/amplification_limit.ts";
import { Bootstrap } from "../../src/membership/bootstrap.ts";
import { type Endpoint, formatAddress } from "../../src/platform/endpoint.ts";
import { addressOf, join, nameOf, placeOf, tableOn } from "../support/peers.ts";

/** The shared port of the host of a node. */
function seedOf(index: number): Endpoint {
  return { host: placeOf(index).host, port: 7946 };
}

/** Where this node alone is reached. */
const OWN_PORT = 1234;

function setUp(seeds: readonly Endpoint[]) {
  const clock = new VirtualClock();
  const { table } = tableOn(clock);
  const amplification = new AmplificationLimit(clock, 1000);
  const asked: { readonly at: number; readonly to: string }[] = [];
  const greeter = new Bootstrap({
    seeds: () => seeds,
    isOwn: ({ port }) => port === OWN_PORT,
    clock,
    peers: table,
    amplification,
    challenge: ({ host, port }) => asked.push({ at: clock.now(), to: formatAddress(host, port) }),
  });
  const to = () => asked.map(({ to }) => to);
  const times = () => asked.map(({ at }) => at);
  return { clock, table, amplification, greeter, asked, to, times };
}

describe("a seed", () => {
  test("is greeted with each round, and 0.1, 0.3 and 0.9 s after the start and after another", async () => {
    const { greeter, clock, times } = setUp([seedOf(1)]);
    greeter.round();
    greeter.start();
    await clock.advance(60_000);
    assertEquals([times(), clock.pending], [[0, 100, 400, 1300], 0]);
    greeter.round();
    assertEquals(times().at(-1), 60_000);
  });

  test("is greeted no more when somebody has answered there, until that one is gone", async () => {
    const { greeter, table, clock, to, times } = setUp([seedOf(1), seedOf(2)]);
    greeter.start();
    await clock.advance(100);
    join(table, 1);
    greeter.onAnswer(seedOf(1), nameOf(1));
    assertEquals(greeter.open(), [seedOf(2)]);
    await clock.advance(300);
    assertEquals(to().slice(2), ["10.0.0.2:7946"]);
    join(table, 2);
    greeter.onAnswer(seedOf(2), nameOf(2));
    await clock.advance(60_000);
    // With none open it is not looked again.
    assertEquals([times(), clock.pending], [[100, 100, 400], 0]);
    // Then it is greeted at once.
    table.remove(nameOf(1));
    greeter.reopen(nameOf(1));
    assertEquals([greeter.open(), times().slice(3), to().at(-1)], [[seedOf(1)], [60_400], "10.0.0.1:7946"]);
  });

  test("stays answered whoever else answers there, and by the last of them", () => {
    const { greeter, table } = setUp([seedOf(1)]);
    for (const index of [1, 2]) {
      join(table, index);
      greeter.onAnswer(seedOf(1), nameOf(index));
    }
    greeter.reopen(nameOf(1));
    assertEquals(greeter.open(), []);
    greeter.reopen(nameOf(2));
    assertEquals(greeter.open(), [seedOf(1)]);
  });

  test("whose node is silent is greeted at once, once: another process may be there", async () => {
    const { greeter, table, clock, asked } = setUp([1, 2, 3].map(seedOf));
    for (const index of [1, 2]) {
      join(table, index);
      greeter.onAnswer(seedOf(index), nameOf(index));
    }
    assertEquals(greeter.open(), [seedOf(3)]);
    await clock.advance(10);
    for (const id of [nameOf(1), nameOf(1), nameOf(7)]) greeter.reopen(id);
    assertEquals([asked, greeter.open()], [[{ at: 10, to: "10.0.0.1:7946" }], [seedOf(1), seedOf(3)]]);
    greeter.onAnswer(seedOf(1), nameOf(1));
    assertEquals(greeter.open(), [seedOf(3)]);
  });

  test("is not greeted when a peer is known to be at that very address, though it is open", () => {
    const { greeter, table, to } = setUp([placeOf(1), placeOf(2)]);
    join(table, 1);
    greeter.round();
    assertEquals([to(), greeter.open()], [[addressOf(2)], [placeOf(1), placeOf(2)]]);
  });

  test("where one answered who is not known, as the table is full, is still open", () => {
    const { greeter } = setUp([seedOf(1)]);
    greeter.onAnswer(seedOf(1), nameOf(1));
    assertEquals(greeter.open(), [seedOf(1)]);
  });

  test("is greeted no more when it is closed", async () => {
    const { greeter, clock, asked } = setUp([seedOf(1)]);
    greeter.start();
    await clock.advance(150);
    greeter.close();
    await clock.advance(60_000);
    assertEquals([asked.length, clock.pending], [1, 0]);
  });
});

describe("many seeds", () => {
  test("are greeted 128 in a round, all in turn", () => {
    const seeds = Array.from({ length: 300 }, (_, i) => seedOf(i + 1));
    const { greeter, asked, to } = setUp(seeds);
    const counts = [1, 2, 3, 4, 5].map(() => {
      const { length } = asked;
      greeter.round();
      return asked.length - length;
    });
    assertEquals(counts, [128, 128, 128, 128, 128]);
    const all = seeds.map(({ host, port }) => formatAddress(host, port));
    assertEquals(to(), [...all, ...all, ...all].slice(0, 640));
  });

  test("up to that are greeted once each in a round", () => {
    const { greeter, to } = setUp([1, 2, 3].map(seedOf));
    greeter.round();
    greeter.round();
    assertEquals(to(), [1, 2, 3, 1, 2, 3].map((index) => `10.0.0.${index}:7946`));
  });

  test("are the same array while nothing changes, as each batch asks for it", () => {
    const { greeter, table } = setUp([1, 2].map(seedOf));
    const before = greeter.open();
    greeter.round();
    assertStrictEquals(greeter.open(), before);
    join(table, 1);
    greeter.onAnswer(seedOf(1), nameOf(1));
    assertEquals(greeter.open(), [seedOf(2)]);
  });
});

describe("addresses that a resolver names", () => {
  test("are asked once each time, unless who is there is known", () => {
    const { greeter, table, to } = setUp([]);
    join(table, 1);
    join(table, 2);
    greeter.onAnswer(seedOf(2), nameOf(2));
    for (let i = 0; i < 2; i++) greeter.probe([placeOf(1), seedOf(2), seedOf(3)]);
    assertEquals([to(), greeter.open()], [["10.0.0.3:7946", "10.0.0.3:7946"], []]);
  });

  test("are asked again when the one that answered there is gone", () => {
    const { greeter, table, to } = setUp([]);
    join(table, 1);
    greeter.onAnswer(seedOf(1), nameOf(1));
    greeter.probe([seedOf(1)]);
    assertEquals(to(), []);
    table.remove(nameOf(1));
    greeter.reopen(nameOf(1));
    assertEquals(to(), []);
    greeter.probe([seedOf(1)]);
    assertEquals(to(), ["10.0.0.1:7946"]);
  });

  test("are asked 512 at once, and the others when they are named again", async () => {
    const { greeter, clock, asked } = setUp([]);
    const all = Array.from({ length: 1100 }, (_, i) => seedOf(i));
    greeter.probe(all);
    for (const sum of [512, 1024]) {
      assertEquals(asked.length, sum);
      await clock.advance(30_000);
      greeter.probe(all);
    }
    assertEquals(new Set(asked.map(({ to }) => to)).size, 1100);
  });

  test("are asked again after 0.1, 0.4 and 1.3 s when they are seeds", async () => {
    const { greeter, clock, asked } = setUp([seedOf(1), seedOf(2)]);
    greeter.probe([seedOf(1), seedOf(2), seedOf(3)]);
    assertEquals(asked.length, 3);
    await clock.advance(100);
    assertEquals(asked.length, 5);
    await clock.advance(10_000);
    assertEquals([asked.length, clock.pending], [9, 0]);
  });

  test("at which this node hears itself are greeted with each round, as others may share the port, and sent nothing else", () => {
    const { greeter, table, to } = setUp([seedOf(1), { ...seedOf(2), port: OWN_PORT }]);
    assertEquals(greeter.open(), [seedOf(1)]);
    greeter.onAnswer(seedOf(1));
    assertEquals([greeter.open(), greeter.isAnswered(seedOf(1))], [[], true]);
    for (let i = 0; i < 3; i++) greeter.round();
    assertEquals(to(), Array(3).fill("10.0.0.1:7946"));
    join(table, 1);
    greeter.onAnswer(seedOf(1), nameOf(1));
    greeter.round();
    assertEquals([to().length, greeter.open()], [3, []]);
  });
});
