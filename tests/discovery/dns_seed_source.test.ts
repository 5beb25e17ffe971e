// Seeds that are services: their SRV records, and the targets of these.
import { describe, test } from "node:test";
import { assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { MAX_TARGETS } from "../../src/discovery/dns_seed_source.ts";
import type { SrvRecord } from "../../src/platform/host.ts";
import { PATIENCE } from "../../src/platform/single_flight.ts";
import { givenSeeds, records, script } from "../support/scripted_seeds.ts";

const INTERVAL = 30_000;

describe("a service", () => {
  const peers = ["srv:_warp-mesh._udp.cache"];
  const service = "_warp-mesh._udp.cache";

  test("resolves to the hosts and ports of its records", async () => {
    const { seeds, clock, lookUps, found, places, errors } = givenSeeds({ peers }, {
      [service]: [records("a:1", "b:2", "b:3", "a:1", "10.0.0.9:4")],
      a: [["10.0.1.1", "10.0.1.2", "fd00::1"]],
      b: [["10.0.2.1"]],
      "10.0.0.9": [["10.0.0.9"]],
    });
    seeds.start();
    await clock.advance(0);
    const expected = ["10.0.1.1:1", "10.0.1.2:1", "10.0.2.1:2", "10.0.2.1:3", "10.0.0.9:4"];
    assertEquals([places(), found.flat(), errors], [expected, expected, []]);
    assertEquals(lookUps.map(({ host }) => host), [service, "a", "b", "10.0.0.9"]);
  });

  test("is looked up again with its targets, and forgets targets that are not listed any more", async () => {
    const { seeds, clock, lookUps, places, errors } = givenSeeds({ peers }, {
      [service]: [records("a:1", "b:2"), records("b:3", "c:4")],
      a: [["10.0.0.1"]],
      b: [["10.0.0.2"], ["10.0.0.2", "10.0.0.3"]],
      c: [["10.0.0.4"]],
    });
    seeds.start();
    await clock.advance(INTERVAL);
    assertEquals(places(), ["10.0.0.2:3", "10.0.0.3:3", "10.0.0.4:4"]);
    assertEquals([lookUps.map(({ host }) => host), errors], [[service, "a", "b", service, "b", "c"], []]);
    assertLessOrEqual(lookUps[3]?.at ?? Infinity, INTERVAL);
    assertGreaterOrEqual(lookUps[3]?.at ?? 0, 0.9 * INTERVAL);
  });

  test("keeps the addresses of targets that cannot be looked up, takes those of others, and is tried again soon", async () => {
    const { seeds, clock, lookUps, places, errors } = givenSeeds({ peers }, {
      [service]: script(records("a:1", "b:2", "c:3")),
      a: [["10.0.0.1"], new Error("SERVFAIL"), ["10.0.0.5"]],
      b: [["10.0.0.2"], ["10.0.0.3"], ["10.0.0.3"]],
      c: [["10.0.0.4"], ["fd00::1"], ["10.0.0.4"]],
    });
    seeds.start();
    await clock.advance(INTERVAL);
    assertEquals(places(), ["10.0.0.1:1", "10.0.0.4:3", "10.0.0.3:2"]);
    assertEquals(errors.map(({ message }) => message), [
      `Cannot look up the seed "srv:${service}": 2 of its 3 targets failed, the first is "a": SERVFAIL`,
    ]);
    await clock.advance(1000);
    assertEquals([places().sort(), errors.length], [["10.0.0.3:2", "10.0.0.4:3", "10.0.0.5:1"], 1]);
    assertEquals(lookUps.length, 12);
  });

  test("leaves its addresses as they are when its look-up fails", async () => {
    const { seeds, clock, places, errors } = givenSeeds({ peers }, {
      [service]: [records("a:1"), new Error("SERVFAIL"), []],
      a: script(["10.0.0.1"]),
    });
    seeds.start();
    await clock.advance(INTERVAL + 1000);
    assertEquals([places(), errors.map(({ message }) => message)], [["10.0.0.1:1"], [
      `Cannot look up the seed "srv:${service}": SERVFAIL`,
      `Cannot look up the seed "srv:${service}": an SRV record must name a host and a port from 1 to 65535: ` +
      "0 of 0 records do",
    ]]);
  });

  for (const root of [".", ""]) {
    test(`with the only target ${JSON.stringify(root)} is not there: that is an answer and no failure`, async () => {
      const { seeds, clock, lookUps, places, errors } = givenSeeds({ peers }, {
        [service]: [records("a:1"), [{ host: root, port: 0 }], records("a:1")],
        a: script(["10.0.0.1"]),
      });
      seeds.start();
      await clock.advance(INTERVAL);
      assertEquals([places(), errors], [[], []]);
      await clock.advance(INTERVAL);
      assertEquals([places(), lookUps.length], [["10.0.0.1:1"], 5]);
    });
  }

  test("is a failure when its records name no host or no port; they are counted", async () => {
    const bad = [
      { host: "a", port: 0 },
      { host: "a", port: 65536 },
      { host: "a", port: 1.5 },
      { host: "10.0.0.256", port: 1 },
      {
        host: "a b",
        port: 1,
      },
      { host: "fd00::1", port: 1 },
      { port: 1 },
      null,
      5,
    ] as readonly SrvRecord[];
    const { seeds, clock, lookUps, errors } = givenSeeds({ peers }, { [service]: [bad] });
    seeds.start();
    await clock.advance(0);
    assertEquals([lookUps.length, seeds.counts.unusable], [1, bad.length]);
    assertEquals(errors[0]?.message.split(": ").at(-1), `0 of ${bad.length} records do`);
  });

  test("with one target that never answers has the others at once, and goes on after a while", async () => {
    const { seeds, clock, lookUps, places, errors } = givenSeeds({ peers }, {
      [service]: [records("a:1", "b:2"), records("a:1", "b:2", "c:3")],
      a: ["never"],
      b: script(["10.0.0.2"]),
      c: script(["10.0.0.3"]),
    });
    seeds.start();
    await clock.advance(0);
    assertEquals(places(), ["10.0.0.2:2"]);
    await clock.advance(PATIENCE + 1000);
    assertEquals([places().sort(), errors.length], [["10.0.0.2:2", "10.0.0.3:3"], 1]);
    assertEquals(lookUps.filter(({ host }) => host === "a").length, 1);
  });

  test("with 10,000 targets has some looked up, chosen at random and kept", async () => {
    const all = records(...Array.from({ length: 10_000 }, (_, i) => `t${i}:1`));
    const { seeds, clock, lookUps, errors } = givenSeeds({ peers }, {
      [service]: script(all),
      ...Object.fromEntries(all.map(({ host }, i) => [host, script([`10.1.${i >> 8}.${i & 255}`])])),
    });
    seeds.start();
    await clock.advance(0);
    const first = lookUps.slice(1).map(({ host }) => host);
    assertEquals([first.length, new Set(first).size, seeds.endpoints().length], [
      MAX_TARGETS,
      MAX_TARGETS,
      MAX_TARGETS,
    ]);
    // Those above number 5,000 are half of them, give or take six standard deviations.
    const high = first.filter((host) => Number(host.slice(1)) >= 5000).length;
    assertGreaterOrEqual(high, MAX_TARGETS / 2 - 48);
    assertLessOrEqual(high, MAX_TARGETS / 2 + 48);
    await clock.advance(INTERVAL);
    assertEquals(new Set(lookUps.map(({ host }) => host)).size, MAX_TARGETS + 1);
    assertEquals([seeds.counts.truncated, errors.map(({ message }) => message)], [2, [
      `Cannot contact all targets of "srv:${service}" as there may be at most 256 in all: current number is 10000`,
    ]]);
  });
});
