// Delivery receipts: what is reported of the entries of a batch, and when.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { VirtualClock } from "../../adapters/memory.ts";
import { DeliveryReceipt, SettleWaits } from "../../src/pubsub/delivery_receipt.ts";
import { settle } from "../support/outcome.ts";

function setUp() {
  const reports: (readonly unknown[])[] = [];
  const receipt = new DeliveryReceipt((outcomes) => reports.push([...outcomes]));
  return { receipt, reports };
}

describe("a receipt", () => {
  test("reports when the subscribers of all entries have been called", () => {
    const { receipt, reports } = setUp();
    const [first, third] = [receipt.entry(0), receipt.entry(2)];
    receipt.seal(4);
    first.take();
    first.end();
    assertEquals(reports, []);
    third.end();
    assertEquals(reports, [["delivered", "unsubscribed", "unsubscribed", "unsubscribed"]]);
  });

  test("reports when it is sealed last, and of a batch of nothing", () => {
    const { receipt, reports } = setUp();
    const entry = receipt.entry(1);
    entry.take();
    entry.fail();
    entry.end();
    receipt.seal(2);
    const none = setUp();
    none.receipt.seal(0);
    assertEquals([reports, none.reports], [[["unsubscribed", "failed"]], [[]]]);
  });

  test("does not wait for promises, and reports again as they settle", async () => {
    const waits = new SettleWaits();
    const { receipt, reports } = setUp();
    const [slow, quick] = [receipt.entry(0), receipt.entry(1)];
    const ends: ((isGood: boolean) => void)[] = [];
    const work = () => new Promise<void>((resolve, reject) => ends.push((isGood) => isGood ? resolve() : reject()));
    for (let i = 0; i < 2; i++) slow.wait(work(), 1000, waits);
    slow.take();
    slow.end();
    quick.wait(Promise.resolve(), 1000, waits);
    quick.take();
    await settle();
    quick.end();
    receipt.seal(2);
    assertEquals(reports.splice(0), [[undefined, "delivered"]]);
    ends[0]?.(true);
    await settle();
    assertEquals(reports, []);
    ends[1]?.(false);
    await settle();
    assertEquals(reports, [["failed", "delivered"]]);
  });

  test("that a promise settles before it is sealed reports once", async () => {
    const waits = new SettleWaits();
    const { receipt, reports } = setUp();
    const entry = receipt.entry(0);
    entry.wait(Promise.resolve(), 1000, waits);
    entry.take();
    entry.end();
    await settle();
    assertEquals(reports, []);
    receipt.seal(1);
    assertEquals(reports, [["delivered"]]);
  });
});

describe("promises that are waited for", () => {
  test("end in time, or with false after their timeout, and leave no timer", async () => {
    const clock = new VirtualClock();
    const waits = new SettleWaits(clock);
    const ends: string[] = [];
    waits.add(Promise.resolve(), 100, (isGood) => ends.push(`quick ${isGood}`));
    waits.add(new Promise(() => {}), 100, (isGood) => ends.push(`never ${isGood}`));
    let late: () => void = () => {};
    waits.add(new Promise<void>((resolve) => late = resolve), 50, (isGood) => ends.push(`late ${isGood}`));
    await clock.advance(50);
    late();
    await clock.advance(50);
    assertEquals([ends, clock.pending], [["quick true", "late false", "never false"], 0]);
  });

  test("are 65,536 at most, and none once it is closed", () => {
    const clock = new VirtualClock();
    const waits = new SettleWaits(clock);
    let failed = 0;
    const add = () => waits.add(new Promise(() => {}), 100, () => failed++);
    for (let i = 0; i < 65_536; i++) add();
    assertEquals(failed, 0);
    add();
    assertEquals(failed, 1);
    waits.close();
    add();
    assertEquals([failed, clock.pending], [1, 0]);
  });
});
