// The load guard: whether a loaded value may be stored, what makes a guard stale, and what guards cost.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { type LoadGuard, LoadGuards } from "../../src/pubsub/load_guard.ts";

function makeGuards() {
  const clock = new VirtualClock();
  return { clock, guards: new LoadGuards(clock) };
}

const MINUTE = 60_000;
/** Keys in a generation. */
const FLOOD = 65_536;

function flood(guards: LoadGuards, count: number, name = "flood"): void {
  for (let index = 0; index < count; index++) guards.guard(`${name}:${index}`);
}

describe("a guard", () => {
  test("is fresh until its key is touched, and never again", () => {
    const { guards } = makeGuards();
    const guard = guards.guard("a");
    assertEquals([guard.key, guard.isFresh()], ["a", true]);
    guards.touch("b");
    assert(guard.isFresh());
    guards.touch("a");
    assertEquals([guard.isFresh(), guard.isFresh()], [false, false]);
  });

  test("is fresh when its key was touched before", () => {
    const { guards } = makeGuards();
    const before = guards.guard("a");
    guards.touch("a");
    const after = guards.guard("a");
    assertEquals([before.isFresh(), after.isFresh()], [false, true]);
    guards.touch("a");
    assertEquals([before.isFresh(), after.isFresh()], [false, false]);
  });

  test("is stale together with the others of its key", () => {
    const { guards } = makeGuards();
    const many = Array.from({ length: 100 }, () => guards.guard("a"));
    const other = guards.guard("b");
    assert(many.every((guard) => guard.isFresh()));
    guards.touch("a");
    assert(many.every((guard) => !guard.isFresh()));
    assert(other.isFresh());
  });

  test("is stale when anything may have been touched, and a later one is not", () => {
    const { guards } = makeGuards();
    const before = ["a", "b", "a"].map((key) => guards.guard(key));
    guards.touchAll();
    const after = guards.guard("a");
    assertEquals(before.map((guard) => guard.isFresh()), [false, false, false]);
    assert(after.isFresh());
  });

  test("may be of any key, even a name that objects inherit", () => {
    const { guards } = makeGuards();
    for (const key of ["", "__proto__", "constructor", "é", "x".repeat(1366)]) {
      guards.touch(key);
      const guard = guards.guard(key);
      assert(guard.isFresh());
      guards.touch(key);
      assert(!guard.isFresh());
    }
  });

  test("is refused when the key is no well-formed string", () => {
    const { clock, guards } = makeGuards();
    const cases: [unknown, string][] = [[undefined, "undefined"], [7, "7"], [null, "null"], [["a"], '["a"]'], [
      "\ud800",
      '"\\ud800"',
    ]];
    for (const [key, shown] of cases) {
      const message = `Cannot guard as the key must be a well-formed string: current value is ${shown}`;
      assertThrows(() => guards.guard(key as string), TypeError, message);
    }
    assertEquals([guards.idle, clock.pending], [true, 0]);
  });
});

describe("a published prefix", () => {
  /** Prefixes that are remembered. */
  const RING = 1024;

  test("makes the guards of its keys stale, and those alone, and no later one", () => {
    const { guards } = makeGuards();
    const keys = ["user:1", "user:", "user", "use", "éa", "x"];
    const before = keys.map((key) => guards.guard(key));
    guards.touchPrefix("user:");
    guards.touchPrefix("é");
    assertEquals(before.map((guard) => guard.isFresh()), [false, false, true, true, false, true]);
    const after = keys.map((key) => guards.guard(key));
    assert(after.every((guard) => guard.isFresh()));
    guards.touchPrefix("user:1");
    assertEquals(after.map((guard) => guard.isFresh()), [false, true, true, true, true, true]);
  });

  test("makes one of two guards of a key stale when only the other was taken after it", () => {
    const { guards } = makeGuards();
    const before = guards.guard("k1");
    guards.touchPrefix("k");
    const after = guards.guard("k1");
    assertEquals([before.isFresh(), after.isFresh()], [false, true]);
  });

  test("that is empty makes all guards stale, and leaves nothing held", () => {
    const { clock, guards } = makeGuards();
    const before = ["a", ""].map((key) => guards.guard(key));
    guards.touchPrefix("");
    assertEquals([before.map((guard) => guard.isFresh()), guards.idle, clock.pending], [[false, false], true, 0]);
    assert(guards.guard("a").isFresh());
  });

  test("makes guards stale that are not of its keys only after 1,024 others", () => {
    const { guards } = makeGuards();
    const old = guards.guard("a");
    guards.touchPrefix("x");
    const young = guards.guard("a");
    for (let i = 1; i < RING; i++) guards.touchPrefix(`x${i}`);
    assertEquals([old.isFresh(), young.isFresh()], [true, true]);
    guards.touchPrefix("y");
    assertEquals([old.isFresh(), young.isFresh()], [false, true]);
    guards.touchPrefix("y");
    assertEquals([old.isFresh(), young.isFresh(), guards.guard("a").isFresh()], [false, false, true]);
  });

  test("that was overwritten by later ones makes no guard fresh again", () => {
    const { guards } = makeGuards();
    const guard = guards.guard("a1");
    guards.touchPrefix("a");
    assertEquals(guard.isFresh(), false);
    for (let i = 0; i < 3 * RING; i++) {
      guards.touchPrefix("x");
      assertEquals(guard.isFresh(), false);
    }
  });

  test("takes no room while no key is guarded, and none after `close`", () => {
    const { guards } = makeGuards();
    for (let i = 0; i < 2 * RING; i++) guards.touchPrefix("x");
    const guard = guards.guard("a");
    for (let i = 0; i < RING; i++) guards.touchPrefix("x");
    assert(guard.isFresh());
    guards.close();
    guards.touchPrefix("a");
    assertEquals([guard.isFresh(), guards.idle], [false, true]);
  });

  test("of any text, among touches, makes exactly the guards of its keys stale", () => {
    const key = fc.constantFrom("", "a", "ab", "abc", "b", "é");
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant("guard" as const), key }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("touch" as const), key }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("prefix" as const), key }) },
      // Many of one that no key begins with: after 1,024 of them an older guard is stale.
      { weight: 1, arbitrary: fc.record({ do: fc.constant("many" as const), key: fc.nat(700).map(String) }) },
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
      const { guards } = makeGuards();
      let published = 0;
      const taken: { readonly guard: LoadGuard; readonly since: number; isStale: boolean }[] = [];
      const touch = (isTouched: (key: string) => boolean) => {
        for (const item of taken) item.isStale ||= isTouched(item.guard.key);
      };
      for (const { do: what, key } of steps) {
        // What is published while no key is guarded is not counted.
        const isIdle = guards.idle;
        if (what === "guard") taken.push({ guard: guards.guard(key), since: published, isStale: false });
        else if (what === "touch") {
          guards.touch(key);
          touch((other) => other === key);
        } else if (what === "prefix") {
          guards.touchPrefix(key);
          if (!isIdle && key !== "") published++;
          touch((other) => other.startsWith(key));
        } else {
          for (let i = 0; i < Number(key); i++) guards.touchPrefix("x");
          if (!isIdle) published += Number(key);
        }
        for (const item of taken) {
          item.isStale ||= published - item.since > RING;
          assertEquals(item.guard.isFresh(), !item.isStale);
        }
      }
    }));
  });
});

describe("time", () => {
  test("leaves a guard fresh for a minute, and makes it stale after two", async () => {
    for (const offset of [0, 1, 30_000, 59_999]) {
      const { clock, guards } = makeGuards();
      guards.guard("first");
      await clock.advance(offset);
      const guard = guards.guard("a");
      await clock.advance(MINUTE - 1);
      assert(guard.isFresh(), `${offset} ms after the first`);
      await clock.advance(MINUTE + 1);
      assert(!guard.isFresh(), `${offset} ms after the first`);
    }
  });

  test("does not make a guard fresh again that grew too old, nor lose a touch", async () => {
    const { clock, guards } = makeGuards();
    const old = guards.guard("a");
    await clock.advance(3 * MINUTE);
    const young = guards.guard("a");
    assertEquals([old.isFresh(), young.isFresh()], [false, true]);
    await clock.advance(MINUTE);
    assert(young.isFresh());
    guards.touch("a");
    assertEquals([old.isFresh(), young.isFresh()], [false, false]);
  });

  test("counts anew when the key is guarded again, and one touch still reaches all", async () => {
    const { clock, guards } = makeGuards();
    const all: LoadGuard[] = [];
    for (let count = 0; count < 10; count++) {
      all.push(guards.guard("a"));
      await clock.advance(MINUTE);
    }
    assert(all.every((guard) => guard.isFresh()));
    guards.touch("a");
    assert(all.every((guard) => !guard.isFresh()));
  });
});

describe("the cost of guards", () => {
  test("is one timer while keys are guarded, none after", async () => {
    const { clock, guards } = makeGuards();
    assertEquals([guards.idle, clock.pending], [true, 0]);
    flood(guards, 1000);
    assertEquals([guards.idle, clock.pending], [false, 1]);
    await clock.advance(MINUTE);
    assertEquals([guards.idle, clock.pending], [false, 1]);
    await clock.advance(MINUTE);
    assertEquals([guards.idle, clock.pending], [true, 0]);
    guards.guard("a");
    assertEquals([guards.idle, clock.pending], [false, 1]);
  });

  test("is nothing when the last guarded key is touched, in any generation", async () => {
    for (const age of [0, MINUTE]) {
      const { clock, guards } = makeGuards();
      guards.guard("a");
      guards.guard("b");
      await clock.advance(age);
      guards.guard("b");
      guards.touch("a");
      assertEquals([guards.idle, clock.pending], [false, 1]);
      guards.touch("b");
      assertEquals([guards.idle, clock.pending], [true, 0]);
    }
  });

  test("is nothing when all are touched", () => {
    const { clock, guards } = makeGuards();
    flood(guards, 10);
    guards.touchAll();
    assertEquals([guards.idle, clock.pending], [true, 0]);
  });

  test("is a bounded number of keys: beyond it the oldest are stale, never wrongly fresh", () => {
    const { clock, guards } = makeGuards();
    const first = guards.guard("a");
    flood(guards, FLOOD - 1);
    assert(first.isFresh());
    const second = guards.guard("b");
    flood(guards, FLOOD - 1, "more");
    assertEquals([first.isFresh(), second.isFresh(), clock.pending], [true, true, 1]);
    guards.guard("the last straw");
    assertEquals([first.isFresh(), second.isFresh()], [false, true]);
    flood(guards, 2 * FLOOD, "again");
    assert(!second.isFresh());
  });

  test("is no more keys for guarding the same ones again and again", () => {
    const { guards } = makeGuards();
    const first = guards.guard("a");
    for (let round = 0; round < 40; round++) flood(guards, 10_000);
    assert(first.isFresh());
  });
});

describe("without a clock", () => {
  test("guards are as fresh, and the number of keys is bounded", () => {
    const guards = new LoadGuards();
    const [a, b] = [guards.guard("a"), guards.guard("b")];
    guards.touch("a");
    assertEquals([a.isFresh(), b.isFresh(), guards.idle], [false, true, false]);
    flood(guards, 2 * FLOOD);
    assert(!b.isFresh());
    guards.close();
    assert(guards.idle);
  });
});

describe("closing", () => {
  test("makes every guard stale, later ones too, and leaves no timer", async () => {
    const { clock, guards } = makeGuards();
    const before = guards.guard("a");
    guards.close();
    const after = guards.guard("a");
    assertEquals([before.isFresh(), after.isFresh(), guards.idle, clock.pending], [false, false, true, 0]);
    guards.touch("a");
    guards.touchAll();
    guards.close();
    await clock.advance(3 * MINUTE);
    assertEquals([after.isFresh(), guards.guard("b").isFresh(), clock.pending], [false, false, 0]);
    assertThrows(() => guards.guard(1 as unknown as string), TypeError);
  });
});

describe("with any guards and touches at any time", () => {
  const key = fc.constantFrom("a", "b", "c");
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant("guard" as const), key }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("touch" as const), key }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("pass" as const),
        ms: fc.oneof(fc.nat(70_000), fc.constantFrom(1, 29_999, 30_000, 59_999, 60_000, 120_000)),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("touchAll" as const) }) },
  );

  test("a fresh guard was not touched, a young one that was not touched is fresh, and none outlives two minutes", async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
      const { clock, guards } = makeGuards();
      let taken: { guard: LoadGuard; at: number; touched: boolean; wasFresh: boolean }[] = [];
      for (const step of steps) {
        if (step.do === "guard") {
          taken.push({ guard: guards.guard(step.key), at: clock.now(), touched: false, wasFresh: true });
        } else if (step.do === "pass") {
          await clock.advance(step.ms);
        } else if (step.do === "touch") {
          guards.touch(step.key);
          for (const item of taken) item.touched ||= item.guard.key === step.key;
        } else {
          guards.touchAll();
          for (const item of taken) item.touched = true;
        }
        for (const item of taken) {
          const isFresh = item.guard.isFresh();
          const age = clock.now() - item.at;
          // The age of the last guard of the same key that shares its entry.
          const renewed = Math.max(...taken.filter(({ guard }) => guard.key === item.guard.key).map(({ at }) => at));
          if (item.touched) assert(!isFresh, "fresh though touched");
          else if (age < MINUTE) assert(isFresh, "stale though young");
          if (clock.now() - renewed >= 2 * MINUTE) assert(!isFresh, "fresh though old");
          if (!item.wasFresh) assert(!isFresh, "fresh again");
          item.wasFresh = isFresh;
        }
        const anyFresh = taken.some(({ wasFresh }) => wasFresh);
        if (anyFresh) assert(!guards.idle);
        assertEquals(clock.pending, guards.idle ? 0 : 1);
        assertLessOrEqual(clock.pending, 1);
        taken = taken.filter(({ at }) => clock.now() - at < 5 * MINUTE);
      }
      await clock.advance(2 * MINUTE);
      assertEquals([guards.idle, clock.pending], [true, 0]);
    }));
  });
});

describe("a published prefix", () => {
  test("makes the guards of its keys stale that were taken before, and no others", () => {
    const key = fc.constantFrom("", "a", "ab", "abc", "b", "ba", "é", "éa");
    const step = fc.oneof(
      fc.record({ what: fc.constantFrom("guard", "touch", "prefix"), text: key }),
      fc.constant({ what: "guard" as const, text: "abc" }),
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { guards } = makeGuards();
      const taken: { guard: LoadGuard; isFresh: boolean }[] = [];
      for (const { what, text } of steps) {
        if (what === "guard") taken.push({ guard: guards.guard(text), isFresh: true });
        else if (what === "touch") guards.touch(text);
        else guards.touchPrefix(text);
        for (const each of taken) {
          const isMeant = what === "touch" ? each.guard.key === text : each.guard.key.startsWith(text);
          if (what !== "guard" && isMeant) each.isFresh = false;
        }
        assertEquals(taken.map(({ guard }) => guard.isFresh()), taken.map(({ isFresh }) => isFresh));
      }
    }));
  });

  test("is remembered with 1,024 others: a guard that is older than all of them is stale", () => {
    const { guards } = makeGuards();
    const guard = guards.guard("k");
    for (let i = 0; i < 1024; i++) guards.touchPrefix(`other:${i}`);
    assert(guard.isFresh());
    guards.touchPrefix("one more");
    const later = guards.guard("k");
    assertEquals([guard.isFresh(), later.isFresh()], [false, true]);
    guards.touchPrefix("k");
    assertEquals(later.isFresh(), false);
  });
});
