// The hook `discover`: lists that replace each other, and all errors that a hook may make.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual, assertStrictEquals } from "@std/assert";
import { LIST_PAUSE } from "../../src/discovery/discover_hook.ts";
import type { Discover } from "../../src/discovery/discover_hook.ts";
import { MAX_LISTED } from "../../src/discovery/seeds.ts";
import { settle } from "../support/outcome.ts";
import { addresses, givenSeeds, records, script } from "../support/scripted_seeds.ts";

type Step = readonly unknown[] | Error | "end" | (() => Promise<IteratorResult<readonly string[]>>);

/** An iterable under the test's control: it yields what is put in, and counts calls of `next` and `return`. */
class Lists implements AsyncIterable<readonly string[]> {
  /** The number of calls of `return`. */
  returned = 0;
  /** The number of calls of `next`. */
  requested = 0;
  readonly #steps: Step[];
  #wake: (() => void) | undefined;

  constructor(...steps: readonly Step[]) {
    this.#steps = [...steps];
  }

  put(step: Step): void {
    this.#steps.push(step);
    this.#wake?.();
  }

  [Symbol.asyncIterator](): AsyncIterator<readonly string[]> {
    return {
      next: async () => {
        this.requested++;
        if (this.#steps.length === 0) await new Promise<void>((resolve) => this.#wake = resolve);
        const step = this.#steps.shift() as Step;
        if (step instanceof Error) throw step;
        if (typeof step === "function") return await step();
        return step === "end" ? { done: true, value: undefined } : { done: false, value: step as readonly string[] };
      },
      return: async () => {
        this.returned++;
        return { done: true, value: undefined };
      },
    };
  }
}

/** A hook that TypeScript would not accept. */
function asDiscover(value: unknown): Discover {
  return value as Discover;
}

describe("discover", () => {
  for (const kind of ["an iterable", "a function that makes one"]) {
    test(`${kind}: each list replaces the one before, and new seeds are found`, async () => {
      const lists = new Lists(["10.0.0.1", "10.0.0.2:5"]);
      const discover = kind === "an iterable" ? lists : () => lists;
      const { seeds, clock, found, places, errors } = givenSeeds({ peers: ["10.0.0.9"], discover });
      assertEquals(lists.requested, 0);
      seeds.start();
      await clock.advance(0);
      assertEquals(places(), ["10.0.0.9:7946", "10.0.0.1:7946", "10.0.0.2:5"]);
      await clock.advance(1000);
      lists.put(["10.0.0.2:5", "10.0.0.3"]);
      await clock.advance(0);
      assertEquals(places(), ["10.0.0.9:7946", "10.0.0.2:5", "10.0.0.3:7946"]);
      await clock.advance(1000);
      lists.put([]);
      await clock.advance(0);
      assertEquals(places(), ["10.0.0.9:7946"]);
      assertEquals([found, errors], [[["10.0.0.1:7946", "10.0.0.2:5"], ["10.0.0.3:7946"]], []]);
    });
  }

  test("names and services of a list are looked up as those of `peers` are, until they are not listed any more", async () => {
    const lists = new Lists(["a", "srv:s", "10.0.0.3"]);
    const { seeds, clock, lookUps, places } = givenSeeds({ discover: lists }, {
      a: script(["10.0.0.1"]),
      s: script(records("b:2")),
      b: script(["10.0.0.2"]),
    });
    seeds.start();
    await clock.advance(30_000);
    assertEquals(places(), ["10.0.0.3:7946", "10.0.0.1:7946", "10.0.0.2:2"]);
    assertEquals(lookUps.map(({ host }) => host).sort(), ["a", "a", "b", "b", "s", "s"]);
    lists.put(["a"]);
    await clock.advance(0);
    assertEquals(places(), ["10.0.0.1:7946"]);
    // It is the same seed as before: it is not looked up earlier.
    assertEquals(lookUps.length, 6);
    lists.put([]);
    await clock.advance(1000);
    assertEquals(places(), []);
    await clock.advance(100_000);
    assertEquals(lookUps.length, 6);
  });

  test("an answer to a look-up of a name that is not listed any more is ignored", async () => {
    const lists = new Lists(["a"]);
    const { seeds, clock, places, errors, answerLate } = givenSeeds({ discover: lists }, { a: ["late"] });
    seeds.start();
    await clock.advance(LIST_PAUSE);
    lists.put([]);
    await clock.advance(0);
    answerLate(["10.0.0.1"]);
    await clock.advance(0);
    assertEquals([places(), errors, clock.pending], [[], [], 1]);
    seeds.close();
  });

  test("what is in `peers` as well stays when it is not listed any more, and is looked up once", async () => {
    const lists = new Lists(["a", "10.0.0.9"], []);
    const { seeds, clock, lookUps, places } = givenSeeds({ peers: ["a", "10.0.0.9"], discover: lists }, {
      a: script(["10.0.0.1"]),
    });
    seeds.start();
    await clock.advance(10 * LIST_PAUSE);
    assertEquals([places(), lookUps.length], [["10.0.0.9:7946", "10.0.0.1:7946"], 1]);
  });

  test("an iterable that ends keeps its last list, and no timer", async () => {
    const { seeds, clock, places, errors } = givenSeeds({ discover: new Lists(["10.0.0.1"], "end") });
    seeds.start();
    await clock.advance(100_000);
    assertEquals([places(), errors, clock.pending], [["10.0.0.1:7946"], [], 0]);
  });

  test("a function that ends is not called again", async () => {
    let calls = 0;
    const discover = () => {
      calls++;
      return new Lists(["10.0.0.1"], "end");
    };
    const { seeds, clock, places } = givenSeeds({ discover });
    seeds.start();
    await clock.advance(100_000);
    assertEquals([calls, places()], [1, ["10.0.0.1:7946"]]);
  });

  test("an iterable that always has a list does not block the event loop", async () => {
    let lists = 0;
    async function* endless(): AsyncGenerator<readonly string[]> {
      for (;;) yield [`10.0.${++lists >> 8}.${lists & 255}`];
    }
    const { seeds, clock, found } = givenSeeds({ discover: endless() });
    seeds.start();
    await clock.advance(10 * LIST_PAUSE);
    assertEquals([lists, found.length], [11, 11]);
    seeds.close();
  });
});

describe("a list", () => {
  test("loses items that are no seeds: one error for all of them, and they are counted", async () => {
    const bad = [
      "",
      "10.0.0.256",
      "a b",
      "[::1]:7946",
      5,
      null,
      undefined,
      {},
      ["10.0.0.1"],
      "239.0.0.1",
      "x:0",
      Symbol(),
    ];
    const { seeds, clock, places, errors } = givenSeeds({ discover: new Lists([...bad, "10.0.0.1"]) });
    seeds.start();
    await clock.advance(0);
    assertEquals([places(), seeds.counts.unusable, errors.length], [["10.0.0.1:7946"], bad.length, 1]);
    assertEquals(
      errors[0]?.message,
      "Cannot use 12 of the 13 items that `discover` lists as all items must be `host:port` texts with an IPv4 " +
        "literal or a name as host and a port from 1 to 65535, or `srv:name`: current value of the first is " + '""',
    );
    assert(errors[0] instanceof TypeError);
  });

  for (const [i, value] of [undefined, null, "10.0.0.1", 5, {}, new Set(["10.0.0.1"])].entries()) {
    test(`that is none, such as no. ${i}, leaves the one before`, async () => {
      const wrong = async () => ({ done: false, value }) as unknown as IteratorResult<readonly string[]>;
      const { seeds, clock, places, errors } = givenSeeds({ discover: new Lists(["10.0.0.1"], wrong, ["10.0.0.2"]) });
      seeds.start();
      await clock.advance(LIST_PAUSE);
      assertEquals(places(), ["10.0.0.1:7946"]);
      const message = "Cannot list seeds as `discover` must give arrays: current value is ";
      assertEquals(errors.map((error) => error.message.slice(0, message.length)), [message]);
      await clock.advance(LIST_PAUSE);
      assertEquals(places(), ["10.0.0.2:7946"]);
    });
  }

  test("of 10,000 addresses is cut at random; those that stay are kept", async () => {
    const all = addresses(10_000);
    const { seeds, clock, found, errors, places } = givenSeeds({
      peers: ["192.168.0.1"],
      discover: new Lists(all, all),
    });
    seeds.start();
    await clock.advance(0);
    const first = seeds.endpoints();
    assertEquals([first.length, places()[0]], [MAX_LISTED, "192.168.0.1:7946"]);
    const late = first.filter(({ host }) => all.indexOf(host) >= 5000).length;
    assertGreaterOrEqual(late, 512 - 96);
    assertLessOrEqual(late, 512 + 96);
    await clock.advance(LIST_PAUSE);
    // One of the items made room for the literal of `peers`.
    const kept = seeds.endpoints().filter(({ host }) => first.some((endpoint) => endpoint.host === host)).length;
    assertGreaterOrEqual(kept, MAX_LISTED - 1);
    assertLessOrEqual(found.flat().length, MAX_LISTED);
    assertEquals(errors.map(({ message }) => message), [
      'Cannot contact all items of "discover" as there may be at most 1024 in all: current number is 10000',
    ]);
    assertGreaterOrEqual(seeds.counts.truncated, 2);
  });

  test("of 10,000 names has 1024 looked up", async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `n${i}`);
    const { seeds, clock, lookUps } = givenSeeds({ discover: new Lists(names, names) });
    seeds.start();
    await clock.advance(LIST_PAUSE);
    assertEquals(lookUps.length, MAX_LISTED);
    seeds.close();
    assertEquals(clock.pending, 0);
  });
});

describe("a hook that fails", () => {
  test("keeps its last list, is reported, and is not read again when it is an iterable", async () => {
    const cause = new Error("registry gone");
    const lists = new Lists(["10.0.0.1"], cause);
    const { seeds, clock, places, errors } = givenSeeds({ discover: lists });
    seeds.start();
    await clock.advance(100_000);
    assertEquals(errors.map(({ message }) => message), ["Cannot list seeds as `discover` failed: registry gone"]);
    assertStrictEquals(errors[0]?.cause, cause);
    assertEquals([places(), lists.requested, clock.pending], [["10.0.0.1:7946"], 2, 0]);
  });

  const failing: Readonly<Record<string, () => unknown>> = {
    "throws at once": () => {
      throw new Error("no");
    },
    "returns nothing": () => undefined,
    "returns an array": () => [["10.0.0.1"]],
    "returns a promise of an iterable": async () => new Lists(["10.0.0.1"]),
    "returns an iterable whose first step rejects": () => new Lists(new Error("no")),
    "returns an iterable that gives no iterator": () => ({ [Symbol.asyncIterator]: () => 5 }),
    "returns an iterable that throws": () => ({
      [Symbol.asyncIterator]() {
        throw new Error("no");
      },
    }),
    "returns an iterator whose `next` gives nothing": () => ({
      [Symbol.asyncIterator]: () => ({ next: () => undefined }),
    }),
    "throws what is no error": () => {
      throw Object.create(null);
    },
  };
  for (const [title, fail] of Object.entries(failing)) {
    test(`is called again after 1, 2, 4 … s when it is a function that ${title}`, async () => {
      const times: number[] = [];
      const { seeds, clock, errors } = givenSeeds({
        resolveInterval: 5000,
        discover: asDiscover(() => {
          times.push(clock.now());
          return fail();
        }),
      });
      seeds.start();
      await clock.advance(30_000);
      const pauses = times.slice(1).map((time, i) => time - (times[i] ?? 0));
      assertGreaterOrEqual(pauses.length, 6);
      for (const [i, pause] of pauses.entries()) {
        const most = [1000, 2000, 4000][i] ?? 5000;
        assertLessOrEqual(pause, most);
        assertGreaterOrEqual(pause, 0.9 * most);
      }
      assertEquals(errors.length, times.length);
      const message = "Cannot list seeds as `discover` failed: ";
      assertEquals(errors.filter((error) => !error.message.startsWith(message)), []);
      seeds.close();
      assertEquals(clock.pending, 0);
    });
  }

  test("starts with the short pause again after a list", async () => {
    const times: number[] = [];
    const { seeds, clock } = givenSeeds({
      discover: () => {
        times.push(clock.now());
        return times.length === 4 ? new Lists(["10.0.0.1"], new Error("no")) : new Lists(new Error("no"));
      },
    });
    seeds.start();
    await clock.advance(8000 + 2 * LIST_PAUSE);
    // 0, 1, 3, 7 s, then 1 s after the list.
    assertGreaterOrEqual(times.length, 5);
    assertLessOrEqual((times[4] ?? Infinity) - (times[3] ?? 0), 1000 + LIST_PAUSE);
  });
});

describe("close", () => {
  test("aborts the signal, calls `return`, and ignores everything that comes later", async () => {
    const lists = new Lists(["10.0.0.1"]);
    const signals: AbortSignal[] = [];
    const { seeds, clock, places, errors, lookUps } = givenSeeds({
      discover: (signal) => {
        signals.push(signal);
        return lists;
      },
    });
    seeds.start();
    await clock.advance(LIST_PAUSE);
    assertEquals(signals[0]?.aborted, false);
    seeds.close();
    assertEquals([signals[0]?.aborted, lists.returned, clock.pending], [true, 1, 0]);
    lists.put(["10.0.0.2", "name", "no seed"]);
    await settle();
    assertEquals([places(), errors, lookUps, lists.requested, clock.pending], [["10.0.0.1:7946"], [], [], 2, 0]);
  });

  test("lets a generator clean up that waits for its signal, as a function is meant to do", async () => {
    const steps: string[] = [];
    async function* watch(signal: AbortSignal): AsyncGenerator<readonly string[]> {
      try {
        yield ["10.0.0.1"];
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      } finally {
        steps.push("cleaned up");
      }
    }
    const { seeds, clock, errors } = givenSeeds({ discover: watch });
    seeds.start();
    await clock.advance(LIST_PAUSE);
    seeds.close();
    await settle();
    assertEquals([steps, errors, clock.pending], [["cleaned up"], [], 0]);
  });

  const rude: Readonly<Record<string, unknown>> = {
    "throws": () => {
      throw new Error("no");
    },
    "rejects": () => Promise.reject(new Error("no")),
    "never settles": () => new Promise(() => {}),
    "is no function": 5,
    "gives a thenable that throws": () => ({
      then() {
        throw new Error("no");
      },
    }),
  };
  for (const [title, end] of Object.entries(rude)) {
    test(`is not affected by a \`return\` that ${title}`, async () => {
      const iterator = { next: () => new Promise(() => {}), return: end };
      const { seeds, clock, errors } = givenSeeds({ discover: asDiscover({ [Symbol.asyncIterator]: () => iterator }) });
      seeds.start();
      await settle();
      seeds.close();
      await settle();
      assertEquals([errors, clock.pending], [[], 0]);
    });
  }

  test("is not affected by a `next` that rejects afterwards", async () => {
    let fail: (error: Error) => void = () => {};
    const iterator = { next: () => new Promise((_, reject) => fail = reject) };
    const { seeds, clock, errors } = givenSeeds({ discover: asDiscover({ [Symbol.asyncIterator]: () => iterator }) });
    seeds.start();
    await settle();
    seeds.close();
    fail(new Error("aborted"));
    await settle();
    assertEquals([errors, clock.pending], [[], 0]);
  });

  test("between two calls of a function that fails ends them", async () => {
    let calls = 0;
    const discover = asDiscover(() => {
      calls++;
      throw new Error("no");
    });
    const { seeds, clock, onError } = givenSeeds({ discover });
    onError(() => seeds.close());
    seeds.start();
    await clock.advance(100_000);
    assertEquals([calls, clock.pending], [1, 0]);
  });

  test("from within the function itself, or from within `onNamed`, leaves no timer", async () => {
    const lists = new Lists(["10.0.0.1"]);
    const closing = givenSeeds({
      discover: () => {
        closing.seeds.close();
        return lists;
      },
    });
    closing.seeds.start();
    await closing.clock.advance(0);
    assertEquals([closing.clock.pending, closing.places(), lists.returned, lists.requested], [0, [], 1, 0]);
  });
});
