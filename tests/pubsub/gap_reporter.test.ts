// The gap reporter: how often gaps are reported to subscriptions.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory.ts";
import { GapReporter } from "../../src/pubsub/gap_reporter.ts";

function setUp() {
  const clock = new VirtualClock();
  const reportedAt: number[] = [];
  const reporter = new GapReporter(clock, () => reportedAt.push(clock.now()));
  return { clock, reportedAt, reporter };
}

describe("gaps", () => {
  test("are reported at once, and counted", () => {
    const { clock, reportedAt, reporter } = setUp();
    reporter.report();
    assertEquals([reportedAt, reporter.count, clock.pending], [[0], 1, 0]);
  });

  test("within 100 ms of a round share the next one, at the end of them", async () => {
    const { clock, reportedAt, reporter } = setUp();
    reporter.report();
    await clock.advance(1);
    for (let i = 0; i < 1000; i++) reporter.report();
    await clock.advance(98.999);
    assertEquals([reportedAt, clock.pending], [[0], 1]);
    await clock.advance(0.001);
    assertEquals([reportedAt, reporter.count, clock.pending], [[0, 100], 1001, 0]);
    reporter.report();
    await clock.advance(1000);
    assertEquals(reportedAt, [0, 100, 200]);
  });

  test("are reported at once again 100 ms after the last round", async () => {
    const { clock, reportedAt, reporter } = setUp();
    reporter.report();
    await clock.advance(100);
    reporter.report();
    assertEquals([reportedAt, clock.pending], [[0, 100], 0]);
  });

  test("are not reported when closed", async () => {
    const { clock, reportedAt, reporter } = setUp();
    reporter.report();
    reporter.report();
    reporter.close();
    await clock.advance(1000);
    assertEquals([reportedAt, clock.pending], [[0], 0]);
  });

  test("are each covered by a round that comes with it or within 100 ms, and rounds are 100 ms apart", async () => {
    const pauses = fc.array(fc.oneof(fc.constant(0), fc.nat(150), fc.double({ min: 0, max: 150, noNaN: true })), {
      maxLength: 40,
      size: "max",
    });
    await fc.assert(fc.asyncProperty(pauses, async (pauses) => {
      const { clock, reportedAt, reporter } = setUp();
      const reported: number[] = [];
      for (const pause of pauses) {
        reported.push(clock.now());
        reporter.report();
        await clock.advance(pause);
      }
      await clock.advance(100);
      for (const time of reported) {
        assert(reportedAt.some((at) => at >= time && at <= time + 100.001), `${time} of ${reportedAt}`);
      }
      reportedAt.slice(1).forEach((at, i) => assertGreaterOrEqual(at - (reportedAt[i] ?? 0), 99.999));
      for (const at of reportedAt) assert(reported.some((time) => time <= at && at <= time + 100.001));
      assertEquals([reporter.count, clock.pending], [reported.length, 0]);
    }));
  });
});
