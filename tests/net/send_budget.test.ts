// The send budget: how many datagrams a node spends on sending keys without delay.
import { describe, test } from "node:test";
import { assert, assertAlmostEquals, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { Pacer } from "../../src/net/pacer.ts";
import { SendBudget } from "../../src/net/send_budget.ts";

function makeBudget(pacer?: Pacer, clock = new VirtualClock()) {
  const budget = new SendBudget({ clock, pacer });
  /** Sends all that may leave now. Returns how many those were. */
  const drain = () => {
    let count = 0;
    for (; budget.wait() === 0; count++) budget.spend(1);
    return count;
  };
  return { budget, clock, drain };
}

describe("SendBudget", () => {
  test("lets 64 leave at once, and then 20 a millisecond", async () => {
    const { budget, clock, drain } = makeBudget();
    assertEquals([drain(), budget.wait()], [64, 0.05]);
    await clock.advance(1);
    assertEquals(drain(), 20);
    await clock.advance(60_000);
    assertEquals(drain(), 64);
  });

  test("owes what was sent beyond it, but no more than a burst, or than it had owed", async () => {
    const { budget, clock, drain } = makeBudget();
    for (let i = 0; i < 10; i++) budget.spend(60);
    assertEquals(budget.wait(), 65 / 20);
    await clock.advance(65 / 20);
    assertEquals(drain(), 1);
    budget.spend(1000);
    assertEquals(budget.wait(), 1001 / 20);
  });

  test("is the smaller, the slower losses have made the node", async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer({ min: 1000, max: 200_000, clock });
    const { budget, drain } = makeBudget(pacer, clock);
    assertEquals(budget.rate, 20_000);
    drain();
    pacer.onLoss();
    assertEquals(budget.rate, 0.7 * 20_000);
    for (let i = 0; i < 20; i++) {
      await clock.advance(20);
      pacer.onLoss();
    }
    drain();
    assertAlmostEquals(budget.rate, 667, 1);
    await clock.advance(30);
    assertEquals(drain(), 20);
  });

  test("makes a rate that has fallen rise again while keys wait for it, to the first one and no further", async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer({ min: 1000, max: 200_000, clock });
    const { budget, drain } = makeBudget(pacer, clock);
    for (let i = 0; i < 20; i++) {
      await clock.advance(20);
      pacer.onLoss();
    }
    assertEquals(pacer.rate, 1000);
    // It sends all that the budget allows, and calls the pacer before.
    for (let i = 0; i < 2000; i++) {
      await clock.advance(1);
      for (; budget.wait() === 0; budget.spend(1)) {
        if (pacer.wait() === 0) pacer.spend();
      }
    }
    assertEquals(budget.rate, 20_000);
    assertLessOrEqual(pacer.rate, 31_000);
    // A sender below its rate does not probe for more.
    pacer.onLoss();
    const { rate } = pacer;
    for (let i = 0; i < 100; i++) {
      await clock.advance(10);
      assertEquals(budget.wait(), 0);
      budget.spend(1);
      pacer.wait();
      pacer.spend();
    }
    assertEquals(pacer.rate, rate);
    drain();
  });

  test("never lets more leave than its rate and a burst, in any order of calls", async () => {
    const step = fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constant("send" as const));
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 200, size: "max" }), async (steps) => {
      const { budget, clock } = makeBudget();
      let sent = 0;
      for (const step of steps) {
        if (step !== "send") await clock.advance(step);
        else if (budget.wait() === 0) {
          budget.spend(1);
          sent++;
        }
        assertLessOrEqual(sent, 64 + clock.now() * 20 + 1e-6);
      }
    }));
  });

  test("waits to the microsecond: at the end of a wait one may leave", async () => {
    const { budget, clock, drain } = makeBudget();
    drain();
    for (let i = 0; i < 200; i++) {
      const wait = budget.wait();
      assert(wait > 0);
      await clock.advance(wait);
      assertEquals(budget.wait(), 0);
      budget.spend(1 + (i % 3));
    }
  });
});
