// The stand-in for `@std/async`: `delay` and `deadline`.
import { describe, test } from "node:test";
import { assertEquals, assertGreaterOrEqual, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import { deadline, delay } from "@std/async";

describe("@std/async", () => {
  test("delay waits at least as long as asked", async () => {
    const start = performance.now();
    await delay(20);
    // Timers count whole milliseconds from a clock of their own, so one may be missing.
    assertGreaterOrEqual(performance.now() - start, 19);
  });

  test("delay rejects with the signal's reason, before and during the wait", async () => {
    const reason = new Error("stop");
    assertStrictEquals(await assertRejects(() => delay(60_000, { signal: AbortSignal.abort(reason) })), reason);
    const controller = new AbortController();
    const waiting = assertRejects(() => delay(60_000, { signal: controller.signal }));
    controller.abort(reason);
    assertStrictEquals(await waiting, reason);
  });

  test("deadline passes on what the promise does", async () => {
    assertEquals(await deadline(Promise.resolve(7), 60_000), 7);
    await assertRejects(() => deadline(Promise.reject(new RangeError("x")), 60_000), RangeError, "x");
  });

  test("deadline rejects with a TimeoutError, or with the signal's reason", async () => {
    const never = new Promise(() => {});
    const error = await assertRejects(() => deadline(never, 1));
    assertInstanceOf(error, DOMException);
    assertEquals(error.name, "TimeoutError");
    const reason = new Error("stop");
    const signal = AbortSignal.abort(reason);
    assertStrictEquals(await assertRejects(() => deadline(never, 60_000, { signal })), reason);
  });
});
