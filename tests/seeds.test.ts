// Where the seeds are, and when their names are looked up.
import { describe, test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import { VirtualClock } from "../adapters/memory_clock.ts";
import { formatAddress } from "../src/address.ts";
import { checkOptions } from "../src/options.ts";
import { RESOLVE_INTERVAL, RESOLVE_RETRY, Seeds } from "../src/seeds.ts";
import { settle } from "./support/outcome.ts";

type Answer = readonly string[] | Error | Promise<readonly string[]>;

/** Seeds given as the option `peers` gives them. `answers` are what the look-ups of a name end with, in turn. */
function setUp(peers: readonly string[], answers: Readonly<Record<string, Answer[]>> = {}) {
  const clock = new VirtualClock();
  const lookUps: { readonly host: string; readonly at: number }[] = [];
  const found: string[][] = [];
  const errors: Error[] = [];
  const seeds = new Seeds({
    seeds: checkOptions({ peers }).seeds,
    port: 7946,
    clock,
    resolve: async (host) => {
      lookUps.push({ host, at: clock.now() });
      const answer = answers[host]?.shift() ?? new Error("ENOTFOUND");
      if (answer instanceof Error) throw answer;
      return answer;
    },
    onFound: (endpoints) => found.push(endpoints.map(({ host, port }) => formatAddress(host, port))),
    onError: (error) => errors.push(error),
  });
  const places = () => seeds.endpoints().map(({ host, port }) => formatAddress(host, port));
  return { seeds, clock, lookUps, found, errors, places };
}

describe("literals", () => {
  test("are known at once, are not looked up, and take the port of the mesh", async () => {
    const { seeds, clock, lookUps, found, places } = setUp(["10.0.0.1:1", "10.0.0.2"]);
    assertEquals(places(), ["10.0.0.1:1", "10.0.0.2:7946"]);
    seeds.start();
    await clock.advance(100_000);
    assertEquals([lookUps, found, clock.pending], [[], [], 0]);
  });

  test("that are given twice are contacted once", () => {
    const { places } = setUp(["10.0.0.1:7946", "10.0.0.2", "10.0.0.1", "10.0.0.1:1"]);
    assertEquals(places(), ["10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.1:1"]);
  });
});

describe("names", () => {
  test("are looked up in the background, all their IPv4 addresses taken", async () => {
    const { seeds, clock, lookUps, found, places } = setUp(["a", "10.0.0.1", "b:1"], {
      a: [["10.0.1.1", "fe80::1", "10.0.1.2"]],
      b: [["10.0.2.1"]],
    });
    assertEquals([places(), lookUps], [["10.0.0.1:7946"], []]);
    seeds.start();
    await clock.advance(0);
    assertEquals(new Set(places()), new Set(["10.0.0.1:7946", "10.0.1.1:7946", "10.0.1.2:7946", "10.0.2.1:1"]));
    assertEquals(found, [["10.0.1.1:7946", "10.0.1.2:7946"], ["10.0.2.1:1"]]);
    assertEquals(lookUps, [{ host: "a", at: 0 }, { host: "b", at: 0 }]);
  });

  test("are looked up again, and only new places are found", async () => {
    const { seeds, clock, lookUps, found, places, errors } = setUp(["a"], {
      a: [["10.0.0.1"], ["10.0.0.2", "10.0.0.1"], ["10.0.0.2"]],
    });
    seeds.start();
    await clock.advance(RESOLVE_INTERVAL);
    assertEquals(places(), ["10.0.0.2:7946", "10.0.0.1:7946"]);
    await clock.advance(RESOLVE_INTERVAL);
    assertEquals([places(), errors], [["10.0.0.2:7946"], []]);
    assertEquals(found, [["10.0.0.1:7946"], ["10.0.0.2:7946"]]);
    assertEquals(lookUps.map(({ at }) => at), [0, RESOLVE_INTERVAL, 2 * RESOLVE_INTERVAL]);
  });

  test("that lead to the same place are contacted there once", async () => {
    const same = ["10.0.0.1", "10.0.0.1"];
    const { seeds, clock, found, places } = setUp(["10.0.0.9", "a", "b"], { a: [same], b: [[...same, "10.0.0.9"]] });
    seeds.start();
    await clock.advance(0);
    assertEquals([places(), found], [["10.0.0.9:7946", "10.0.0.1:7946"], [["10.0.0.1:7946"]]]);
  });

  test("do not wait for each other", async () => {
    const never = new Promise<never>(() => {});
    const { seeds, clock, places } = setUp(["a", "b"], { a: [never], b: [["10.0.0.2"]] });
    seeds.start();
    await clock.advance(0);
    assertEquals(places(), ["10.0.0.2:7946"]);
  });
});

describe("a look-up that fails", () => {
  test("is reported and tried again, at doubling pauses up to the interval", async () => {
    const cause = new Error("ENOTFOUND");
    const { seeds, clock, lookUps, errors, places } = setUp(["a"], { a: new Array(8).fill(cause) });
    seeds.start();
    await clock.advance(121_000);
    assertEquals(lookUps.map(({ at }) => at / RESOLVE_RETRY), [0, 1, 3, 7, 15, 31, 61, 91, 121]);
    assertEquals([errors.length, errors[0]?.message, places()], [9, 'Cannot look up the seed "a"', []]);
    assertStrictEquals(errors[0]?.cause, cause);
  });

  test("keeps what was known, and starts with the short pause after each success", async () => {
    const failure = new Error("SERVFAIL");
    const { seeds, clock, lookUps, found, places } = setUp(["a"], {
      a: [failure, failure, ["10.0.0.1"], failure, failure, ["10.0.0.1"], failure],
    });
    seeds.start();
    await clock.advance(3000);
    assertEquals(places(), ["10.0.0.1:7946"]);
    await clock.advance(33_000 + 31_000);
    const seconds = lookUps.map(({ at }) => at / 1000);
    assertEquals(seconds, [0, 1, 3, 33, 34, 36, 66, 67]);
    assertEquals([places(), found], [["10.0.0.1:7946"], [["10.0.0.1:7946"]]]);
  });

  test("is one that brings no IPv4 address", async () => {
    const { seeds, clock, errors } = setUp(["a"], { a: [["fe80::1"], []] });
    seeds.start();
    await clock.advance(1000);
    assertEquals(errors.length, 2);
  });

  test("leaves the other seeds alone", async () => {
    const { seeds, clock, places } = setUp(["a", "b"], { b: [["10.0.0.2"]] });
    seeds.start();
    await clock.advance(0);
    assertEquals(places(), ["10.0.0.2:7946"]);
  });
});

describe("close", () => {
  test("ends all look-ups", async () => {
    const { seeds, clock, lookUps } = setUp(["a", "b"], { a: [["10.0.0.1"]] });
    seeds.start();
    await clock.advance(0);
    seeds.close();
    assertEquals(clock.pending, 0);
    await clock.advance(100_000);
    assertEquals(lookUps.length, 2);
  });

  test("ignores answers that come later, good or bad", async () => {
    // Promise.withResolvers is not there on Node 20.
    const calls: (() => void)[] = [];
    const good = new Promise<readonly string[]>((resolve) => calls.push(() => resolve(["10.0.0.1"])));
    const bad = new Promise<readonly string[]>((_, reject) => calls.push(() => reject(new Error("late"))));
    const { seeds, clock, lookUps, found, errors, places } = setUp(["a", "b"], { a: [good], b: [bad] });
    seeds.start();
    await settle();
    seeds.close();
    assertEquals(lookUps.length, 2);
    for (const call of calls) call();
    await settle();
    assertEquals([places(), found, errors, clock.pending], [[], [], [], 0]);
  });
});
