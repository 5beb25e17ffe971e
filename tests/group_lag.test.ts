// How much later a node reads what is sent to the group than what is sent to it alone.
import { describe, test } from "node:test";
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { VirtualClock } from "../adapters/memory.ts";
import { GroupLag } from "../src/group_lag.ts";

describe("the lag of the group", () => {
  test("is the longest that was seen, from 100 ms to 1 s, and half of that a second later", async () => {
    const clock = new VirtualClock();
    const lag = new GroupLag(clock);
    assertEquals(lag.value, 0);
    lag.note(99.9);
    assertEquals(lag.value, 0);
    lag.note(100);
    lag.note(400);
    lag.note(200);
    assertEquals(lag.value, 400);
    await clock.advance(1000);
    assertAlmostEquals(lag.value, 200, 0.01);
    lag.note(150);
    assertAlmostEquals(lag.value, 200, 0.01);
    lag.note(3_600_000);
    assertEquals(lag.value, 1000);
  });

  test("is none after 10 s without news", async () => {
    const clock = new VirtualClock();
    const lag = new GroupLag(clock);
    lag.note(1000);
    await clock.advance(10_000);
    assertEquals(lag.value, 0);
    await clock.advance(1);
    lag.note(100);
    assertEquals(lag.value, 100);
  });
});
