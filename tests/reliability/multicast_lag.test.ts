// The multicast lag: how much later a node reads multicast than unicast.
import { describe, test } from "node:test";
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { VirtualClock } from "../../adapters/memory.ts";
import { MulticastLag } from "../../src/reliability/multicast_lag.ts";

function setUp() {
  const clock = new VirtualClock();
  const lag = new MulticastLag(clock);
  const stream = {};
  let next = 1;
  /** An answer reports a number, which comes so much later. */
  const late = async (time: number) => {
    const number = next++;
    lag.onPosition(stream, number, number);
    await clock.advance(time);
    return lag.onMulticast(stream, number);
  };
  return { clock, lag, late, stream };
}

describe("the lag of the group", () => {
  test("is the longest that was seen, from 100 ms to 1 s, and half of that a second later", async () => {
    const { clock, lag, late } = setUp();
    assertEquals([await late(99), lag.value], [false, 0]);
    assertEquals([await late(400), lag.value], [true, 400]);
    assertEquals(await late(100), true);
    assertAlmostEquals(lag.value, 400 * 2 ** -0.1, 0.01);
    await clock.advance(900);
    assertAlmostEquals(lag.value, 200, 0.01);
    await late(5000);
    assertEquals(lag.value, 1000);
    await clock.advance(10_000);
    assertEquals([lag.value, await late(1)], [0, false]);
  });

  test("is measured with numbers that an answer reported, whatever came meanwhile", async () => {
    const { clock, lag, stream } = setUp();
    lag.onPosition(stream, 5, 7);
    lag.onPosition({}, 1, 10);
    lag.onPosition(stream, 8, 7);
    await clock.advance(300);
    for (const number of [4, 8]) {
      assertEquals([lag.onMulticast(stream, number), lag.onMulticast({}, 6)], [false, false]);
    }
    // A number may come twice, or out of order: earlier ones say nothing then.
    lag.onMulticast(stream, 6);
    assertEquals(lag.value, 300);
    await clock.advance(500);
    lag.onMulticast(stream, 6);
    lag.onMulticast(stream, 5);
    assertAlmostEquals(lag.value, 300 * 2 ** -0.5, 0.01);
    lag.onMulticast(stream, 7);
    assertEquals(lag.value, 800);
  });

  test("is not measured with numbers that come hours later, nor with more than 64 answers", async () => {
    const { clock, lag, stream } = setUp();
    lag.onPosition(stream, 1, 1);
    lag.onPosition(stream, 2, 3);
    await clock.advance(3_600_000);
    // The first number that comes then is used, and others as old are forgotten.
    assertEquals(lag.onMulticast({}, 1), false);
    assertEquals([lag.onMulticast(stream, 1), lag.onMulticast(stream, 2)], [false, false]);
    for (let number = 1; number <= 65; number++) lag.onPosition(stream, number, number);
    await clock.advance(500);
    assertEquals([lag.onMulticast(stream, 1), lag.onMulticast(stream, 2)], [false, true]);
  });
});
