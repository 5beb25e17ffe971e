// Seeds: where they are, and when their names are looked up.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual, assertStrictEquals } from "@std/assert";
import { MemoryNetwork, VirtualClock } from "../../adapters/memory.ts";
import { MAX_SEED_ADDRESSES } from "../../src/discovery/seed_addresses.ts";
import { MeshBus } from "../../src/mesh_bus.ts";
import { FIRST_RETRY } from "../../src/platform/backoff.ts";
import type { Resolve, ResolveOptions } from "../../src/platform/host.ts";
import { PATIENCE, SingleFlight } from "../../src/platform/single_flight.ts";
import { settle, watch } from "../support/outcome.ts";
import { addresses, givenSeeds, records, script } from "../support/scripted_seeds.ts";

const INTERVAL = 30_000;

/** A pause, less up to a tenth at random. */
function assertPause(actual: number, most: number): void {
  assertLessOrEqual(actual, most);
  assertGreaterOrEqual(actual, 0.9 * most);
}

/** The pauses between look-ups. Each took no time. */
function pauses(lookUps: readonly { readonly at: number }[]): number[] {
  return lookUps.slice(1).map(({ at }, i) => at - (lookUps[i]?.at ?? 0));
}

describe("literals", () => {
  test("are known at once, are not looked up, and take the port of the mesh", async () => {
    const { seeds, clock, lookUps, found, places } = givenSeeds({ peers: ["10.0.0.1:1", "10.0.0.2"] });
    assertEquals(places(), ["10.0.0.1:1", "10.0.0.2:7946"]);
    seeds.start();
    await clock.advance(100_000);
    assertEquals([lookUps, found, clock.pending], [[], [], 0]);
  });

  test("that are given twice are contacted once", () => {
    const { places } = givenSeeds({ peers: ["10.0.0.1:7946", "10.0.0.2", "10.0.0.1", "10.0.0.1:1", "10.0.0.2"] });
    assertEquals(places(), ["10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.1:1"]);
  });

  test("that are given a thousand times take the room of one", async () => {
    const peers = [...new Array<string>(1023).fill("10.0.0.9"), "a"];
    const { seeds, clock, errors } = givenSeeds({ peers }, { a: [addresses(5)] });
    seeds.start();
    await clock.advance(0);
    assertEquals([seeds.endpoints().length, errors], [6, []]);
  });

  test("of IPv6 are one endpoint in any spelling", () => {
    const peers = ["[fd00::1]:7946", "FD00:0:0::1", "[fd00::2]", "fe80::1%eth0"];
    const { places } = givenSeeds({ family: 6, peers });
    assertEquals(places(), ["[fd00::1]:7946", "[fd00::2]:7946", "[fe80::1%eth0]:7946"]);
  });
});

describe("names", () => {
  test("are looked up in the background, all their IPv4 addresses taken", async () => {
    const { seeds, clock, lookUps, found, places, errors } = givenSeeds({ peers: ["a", "10.0.0.1", "b:1"] }, {
      a: [["10.0.1.1", "fd00::1", "10.0.1.2"]],
      b: [["10.0.2.1"]],
    });
    assertEquals([places(), lookUps], [["10.0.0.1:7946"], []]);
    seeds.start();
    await clock.advance(0);
    assertEquals(places(), ["10.0.0.1:7946", "10.0.1.1:7946", "10.0.1.2:7946", "10.0.2.1:1"]);
    assertEquals(found, [["10.0.1.1:7946", "10.0.1.2:7946"], ["10.0.2.1:1"]]);
    assertEquals(lookUps, [{ host: "a", at: 0 }, { host: "b", at: 0 }]);
    assertEquals([errors, seeds.counts.unusable], [[], 0]);
  });

  test("in a mesh of IPv6, all their IPv6 addresses, each once", async () => {
    const { seeds, clock, places } = givenSeeds({ family: 6, peers: ["a"] }, {
      a: [["10.0.1.1", "fd00::1", "FD00:0::1", "fd00::2"]],
    });
    seeds.start();
    await clock.advance(0);
    assertEquals(places(), ["[fd00::1]:7946", "[fd00::2]:7946"]);
  });

  test("are looked up again, and reported each time that they are named", async () => {
    const { seeds, clock, lookUps, named, found, places, errors } = givenSeeds({ peers: ["a"] }, {
      a: [["10.0.0.1"], ["10.0.0.2", "10.0.0.1"], ["10.0.0.2"]],
    });
    seeds.start();
    await clock.advance(INTERVAL);
    assertEquals(places(), ["10.0.0.2:7946", "10.0.0.1:7946"]);
    await clock.advance(INTERVAL);
    assertEquals([places(), errors], [["10.0.0.2:7946"], []]);
    assertEquals(found, [["10.0.0.1:7946"], ["10.0.0.2:7946"]]);
    assertEquals(named.length, lookUps.length);
    assertEquals(lookUps.length, 3);
  });

  for (const resolveInterval of [100, 1000, 86_400_000]) {
    test(`every ${resolveInterval} ms, less up to a tenth at random, when that is the interval`, async () => {
      const { seeds, clock, lookUps } = givenSeeds({ peers: ["a"], resolveInterval }, { a: script(["10.0.0.1"]) });
      seeds.start();
      await clock.advance(20 * resolveInterval);
      const all = pauses(lookUps);
      assertGreaterOrEqual(all.length, 20);
      for (const pause of all) assertPause(pause, resolveInterval);
      assertGreaterOrEqual(new Set(all).size, 15);
    });
  }

  test("are looked up at other times by each node", async () => {
    const times = await Promise.all([1, 2, 3, 4].map(async (seed) => {
      const { seeds, clock, lookUps } = givenSeeds({ peers: ["a"] }, { a: script(["10.0.0.1"]) }, { seed });
      seeds.start();
      await clock.advance(INTERVAL);
      return lookUps[1]?.at;
    }));
    assertEquals(new Set(times).size, 4);
  });

  test("that come back are found again, and the array stays the same while nothing changes", async () => {
    const { seeds, clock, found } = givenSeeds({ peers: ["a"] }, {
      a: [["10.0.0.1", "10.0.0.2"], ["10.0.0.2", "10.0.0.1"], ["10.0.0.1"], ["10.0.0.1", "10.0.0.2"]],
    });
    seeds.start();
    await clock.advance(0);
    const before = seeds.endpoints();
    await clock.advance(INTERVAL);
    assertStrictEquals(seeds.endpoints(), before);
    await clock.advance(2 * INTERVAL);
    assert(seeds.endpoints() !== before);
    assertEquals(found, [["10.0.0.1:7946", "10.0.0.2:7946"], ["10.0.0.2:7946"]]);
  });

  test("that resolve to the same endpoint are contacted there once", async () => {
    const same = ["10.0.0.1", "10.0.0.1"];
    const { seeds, clock, found, places } = givenSeeds({ peers: ["10.0.0.9", "a", "b"] }, {
      a: [same],
      b: [[...same, "10.0.0.9"]],
    });
    seeds.start();
    await clock.advance(0);
    assertEquals([places(), found], [["10.0.0.9:7946", "10.0.0.1:7946"], [["10.0.0.1:7946"]]]);
  });

  test("that are given twice are looked up once", async () => {
    const { seeds, clock, lookUps } = givenSeeds({ peers: ["a", "a", "a:7946"] }, { a: script(["10.0.0.1"]) });
    seeds.start();
    await clock.advance(0);
    assertEquals(lookUps.length, 2);
  });

  test("do not wait for each other", async () => {
    const { seeds, clock, places } = givenSeeds({ peers: ["a", "b"] }, { a: ["never"], b: [["10.0.0.2"]] });
    seeds.start();
    await clock.advance(0);
    assertEquals(places(), ["10.0.0.2:7946"]);
  });
});

describe("a look-up that fails", () => {
  test("is reported and tried again, at doubling pauses up to the interval", async () => {
    const cause = new Error("ENOTFOUND");
    const { seeds, clock, lookUps, errors, places } = givenSeeds({ peers: ["a"] }, { a: script(cause) });
    seeds.start();
    await clock.advance(121_000);
    const expected = [1, 2, 4, 8, 16, 30, 30, 30];
    pauses(lookUps).forEach((pause, i) => assertPause(pause / FIRST_RETRY, expected[i] ?? 30));
    assertGreaterOrEqual(lookUps.length, 9);
    assertEquals([errors.length, places()], [lookUps.length, []]);
    assertEquals(errors[0]?.message, 'Cannot look up the seed "a": ENOTFOUND');
    assertStrictEquals(errors[0]?.cause, cause);
  });

  test("is tried again after the interval, when that is shorter", async () => {
    const { seeds, clock, lookUps } = givenSeeds({ peers: ["a"], resolveInterval: 200 }, {
      a: script(new Error("no")),
    });
    seeds.start();
    await clock.advance(2000);
    for (const pause of pauses(lookUps)) assertPause(pause, 200);
    assertGreaterOrEqual(lookUps.length, 10);
  });

  test("keeps what was known, and starts with the short pause after each success", async () => {
    const failure = new Error("SERVFAIL");
    const { seeds, clock, lookUps, found, places } = givenSeeds({ peers: ["a"] }, {
      a: [failure, failure, ["10.0.0.1"], failure, failure, ["10.0.0.1"], failure, failure],
    });
    seeds.start();
    await clock.advance(3000);
    assertEquals(places(), ["10.0.0.1:7946"]);
    await clock.advance(33_000 + 31_000);
    const expected = [1, 2, 30, 1, 2, 30, 1];
    pauses(lookUps).slice(0, 7).forEach((pause, i) => assertPause(pause / 1000, expected[i] ?? NaN));
    assertGreaterOrEqual(lookUps.length, 8);
    assertEquals([places(), found], [["10.0.0.1:7946"], [["10.0.0.1:7946"]]]);
  });

  test("is one that throws at once", async () => {
    const { seeds, clock, errors } = givenSeeds({ peers: ["a"] }, { a: ["throw"] });
    seeds.start();
    await clock.advance(0);
    assertEquals(errors.map(({ message }) => message), ['Cannot look up the seed "a": thrown']);
  });

  const useless: Readonly<Record<string, readonly [readonly string[], number]>> = {
    "no address": [[], 0],
    "addresses of the other family only": [["fd00::1", "fd00::2"], 0],
    "unspecified, multicast, broadcast and reserved addresses": [
      ["0.0.0.0", "0.1.2.3", "224.0.0.1", "239.0.0.1", "255.255.255.255", "240.0.0.1"],
      6,
    ],
    "texts that are no addresses": [["", "10.0.0.256", "evil.example", "10.0.0.1\n", " 10.0.0.1", "10.0.0.1:1"], 6],
  };
  for (const [title, [answer, unusable]] of Object.entries(useless)) {
    test(`is one that returns ${title}, which does not replace what was known`, async () => {
      const { seeds, clock, errors, places } = givenSeeds({ peers: ["a"] }, { a: [["10.0.0.1"], answer] });
      seeds.start();
      await clock.advance(INTERVAL);
      const message = 'Cannot look up the seed "a": a mesh of IPv4 needs an address of IPv4: current addresses are [';
      assertEquals(errors[0]?.message.slice(0, message.length), message);
      assert(!/\n/.test(errors[0]?.message ?? "\n"));
      assertEquals([places(), seeds.counts.unusable], [["10.0.0.1:7946"], unusable]);
    });
  }

  test("of a mesh of IPv6 reports that there are IPv4 addresses only", async () => {
    const { seeds, clock, errors } = givenSeeds({ family: 6, peers: ["a"] }, { a: [["10.0.0.1", "10.0.0.2"]] });
    seeds.start();
    await clock.advance(0);
    assertEquals(
      errors[0]?.message,
      'Cannot look up the seed "a": a mesh of IPv6 needs an address of IPv6: current addresses are ["10.0.0.1","10.0.0.2"]',
    );
  });

  for (const [i, answer] of [undefined, null, 5, "10.0.0.1", {}, new Set(["10.0.0.1"])].entries()) {
    test(`is one that returns no array, such as no. ${i}: ${answer}`, async () => {
      const { seeds, clock, errors, places } = givenSeeds({ peers: ["a"] }, { a: [answer as unknown as string[]] });
      seeds.start();
      await clock.advance(0);
      const message = 'Cannot look up the seed "a": the answer must be an array: current value is ';
      assertEquals([errors[0]?.message.slice(0, message.length), places()], [message, []]);
    });
  }

  test("does not affect the other seeds", async () => {
    const { seeds, clock, places } = givenSeeds({ peers: ["a", "b"] }, { b: [["10.0.0.2"]] });
    seeds.start();
    await clock.advance(0);
    assertEquals(places(), ["10.0.0.2:7946"]);
  });
});

describe("addresses that no node can have are left out of an answer", () => {
  test("of IPv4", async () => {
    const bad = ["0.0.0.0", "239.0.0.1", "255.255.255.255", "x", 5, null, {}, "10.0.0.1;reboot"] as string[];
    const { seeds, clock, places, errors } = givenSeeds({ peers: ["a"] }, { a: [[...bad, "10.0.0.1", "::1"]] });
    seeds.start();
    await clock.advance(0);
    assertEquals([places(), errors, seeds.counts.unusable], [["10.0.0.1:7946"], [], bad.length]);
  });

  test("of IPv6", async () => {
    const bad = [
      "::",
      "ff02::1",
      "fe80::1",
      "fd00::1%eth0",
      "::ffff:10.0.0.1",
      "::ffff:a00:1",
      "fe80::1%a b",
      "fd00::g",
    ];
    const { seeds, clock, places, errors } = givenSeeds({ family: 6, peers: ["a"] }, {
      a: [[...bad, "fd00::1", "fe80::1%eth0", "10.0.0.1"]],
    });
    seeds.start();
    await clock.advance(0);
    assertEquals([places(), errors], [["[fd00::1]:7946", "[fe80::1%eth0]:7946"], []]);
    assertEquals(seeds.counts.unusable, bad.length);
  });
});

describe("a look-up that never settles", () => {
  test("does not stack up, is reported again and again, and its late result is taken", async () => {
    const { seeds, clock, lookUps, errors, places, answerLate } = givenSeeds({ peers: ["a"] }, {
      a: ["late", ["10.0.0.2"]],
    });
    seeds.start();
    await clock.advance(PATIENCE - 1);
    assertEquals([lookUps.length, errors.length], [1, 0]);
    await clock.advance(1);
    assertEquals(errors[0]?.message, 'Cannot look up the seed "a": there was no answer for 30 s');
    await clock.advance(10 * PATIENCE);
    assertEquals(lookUps.length, 1);
    assertGreaterOrEqual(errors.length, 5);
    answerLate(["10.0.0.1"]);
    await clock.advance(INTERVAL);
    assertEquals(places(), ["10.0.0.1:7946"]);
    await clock.advance(INTERVAL);
    assertEquals([places(), lookUps.length], [["10.0.0.2:7946"], 2]);
  });
});

describe("a look-up that waits for others", () => {
  /** A look-up whose resolver has a queue. */
  function queued() {
    const clock = new VirtualClock();
    const calls: ResolveOptions[] = [];
    const lookUp = new SingleFlight<readonly string[]>(clock, (options) => {
      calls.push(options);
      return new Promise(() => {});
    });
    return { clock, lookUp, calls, outcome: watch(lookUp.run()) };
  }

  test("times out after its turn has come, as others do", async () => {
    const { clock, calls, outcome } = queued();
    calls[0]?.onQueue?.(true);
    await clock.advance(10 * PATIENCE);
    assertEquals([outcome.state, clock.pending], ["waiting", 0]);
    calls[0]?.onQueue?.(false);
    await clock.advance(PATIENCE - 1);
    assertEquals(outcome.state, "waiting");
    await clock.advance(1);
    assertEquals(outcome, { state: "rejected", reason: new Error("there was no answer for 30 s") });
  });

  test("is aborted when the seeds close, and leaves no timer", async () => {
    const { clock, lookUp, calls, outcome } = queued();
    assertEquals(calls[0]?.signal?.aborted, false);
    lookUp.close();
    calls[0]?.onQueue?.(false);
    await clock.advance(10 * PATIENCE);
    assertEquals([calls[0]?.signal?.aborted, clock.pending, outcome.state], [true, 0, "waiting"]);
  });

  test("is aborted by anything that closes a seed: the mesh, a shorter list, a service that lost a target", async () => {
    const signals = new Map<string, AbortSignal>();
    const network = new MemoryNetwork();
    const host = network.host("10.0.0.1");
    network.services.set("_m._udp.s", [{ host: "target", port: 1 }]);
    const resolve: Resolve = (name, { signal } = {}) => {
      if (signal !== undefined) signals.set(name, signal);
      return new Promise(() => {});
    };
    const mesh = await MeshBus.open({
      ...host,
      resolve,
      peers: ["given", "srv:_m._udp.s"],
      discover: async function* () {
        yield ["listed"];
        yield [];
        await new Promise(() => {});
      },
    });
    await network.clock.advance(1000);
    const aborted = () => [...signals].filter(([, { aborted }]) => aborted).map(([name]) => name).sort();
    assertEquals([[...signals.keys()].sort(), aborted()], [["given", "listed", "target"], ["listed"]]);
    const closed = mesh.close();
    await network.clock.advance(2000);
    await closed;
    assertEquals(aborted(), ["given", "listed", "target"]);
  });
});

describe("too many addresses", () => {
  test("of one name are cut at random; those that stay are kept, and the cut is reported once", async () => {
    const all = addresses(10_000);
    const { seeds, clock, found, errors } = givenSeeds({ peers: ["a", "10.0.0.1:1"] }, { a: script(all) });
    seeds.start();
    await clock.advance(0);
    const before = seeds.endpoints();
    assertEquals([before.length, found.flat().length], [MAX_SEED_ADDRESSES, MAX_SEED_ADDRESSES - 1]);
    assertEquals(before[0], { host: "10.0.0.1", port: 1 });
    const late = before.filter(({ host }) => all.indexOf(host) >= 5000).length;
    assertGreaterOrEqual(late, 512 - 96);
    assertLessOrEqual(late, 512 + 96);
    await clock.advance(3 * INTERVAL);
    assertStrictEquals(seeds.endpoints(), before);
    assertGreaterOrEqual(seeds.counts.truncated, 4);
    assertEquals([found.length, errors.map(({ message }) => message)], [1, [
      'Cannot contact all addresses of "a" as there may be at most 1024 in all: current number is 10000',
    ]]);
  });

  test("of one name leave room for the others, whichever comes first", async () => {
    for (const peers of [["big", "small"], ["small", "big"]]) {
      const { seeds, clock, places } = givenSeeds({ peers }, {
        big: script(addresses(2000)),
        small: script(["192.168.0.1", "192.168.0.2", "192.168.0.3"]),
      });
      seeds.start();
      await clock.advance(0);
      assertEquals(places().filter((place) => place.startsWith("192.168.")).length, 3);
      assertEquals(seeds.endpoints().length, MAX_SEED_ADDRESSES);
    }
  });
});

describe("close", () => {
  test("ends all look-ups", async () => {
    const { seeds, clock, lookUps } = givenSeeds({ peers: ["a", "b", "srv:c", "srv:d"] }, {
      a: [["10.0.0.1"]],
      c: [records("e:1", "f:1")],
      e: ["never"],
      d: ["never"],
    });
    seeds.start();
    await clock.advance(0);
    seeds.close();
    assertEquals(clock.pending, 0);
    await clock.advance(100_000);
    assertEquals(lookUps.length, 6);
  });

  test("before the start, and twice, does nothing", () => {
    const { seeds, clock } = givenSeeds({ peers: ["a", "10.0.0.1"], discover: () => (async function* () {})() });
    seeds.close();
    seeds.close();
    assertEquals([clock.pending, seeds.endpoints().length], [0, 1]);
  });

  for (const [title, answer] of [["good", ["10.0.0.1"]], ["bad", new Error("late")]] as const) {
    test(`ignores answers that come later, ${title} ones`, async () => {
      const { seeds, clock, lookUps, found, errors, places, answerLate } = givenSeeds({ peers: ["a"] }, {
        a: ["late"],
      });
      seeds.start();
      await settle();
      seeds.close();
      answerLate(answer);
      await settle();
      assertEquals([lookUps.length, places(), found, errors, clock.pending], [1, [], [], [], 0]);
    });
  }

  for (const title of ["found", "reported"]) {
    test(`while several answers are there lets no more than one be ${title}`, async () => {
      const answer = (address: string) => [title === "found" ? [address] : new Error("no")];
      const { seeds, clock, found, errors, onError, onNamed } = givenSeeds({ peers: ["a", "b", "c"] }, {
        a: answer("10.0.0.1"),
        b: answer("10.0.0.2"),
        c: answer("10.0.0.3"),
      });
      onError(() => seeds.close());
      onNamed(() => seeds.close());
      seeds.start();
      await clock.advance(100_000);
      assertEquals([found.length + errors.length, clock.pending], [1, 0]);
    });
  }

  test("from within a report of an error leaves no timer", async () => {
    const { seeds, clock, onError } = givenSeeds({ peers: ["a"] }, { a: [new Error("no")] });
    onError(() => seeds.close());
    seeds.start();
    await clock.advance(0);
    assertEquals(clock.pending, 0);
  });
});
