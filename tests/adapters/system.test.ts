// The ports of the system: its clock, random bytes, look-ups and list of interfaces.
import { assert, assertEquals, assertGreaterOrEqual, assertInstanceOf, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { networkInterfaces, randomBytes, resolve, systemClock } from "../../adapters/system.ts";
import type { Timer } from "../../src/platform/clock.ts";

describe("systemClock", () => {
  test("never goes back", () => {
    let last = systemClock.now();
    for (let i = 0; i < 10_000; i++) {
      const now = systemClock.now();
      assertGreaterOrEqual(now, last);
      last = now;
    }
  });

  test("has the wall time", () => {
    const before = Date.now();
    const told = systemClock.wall?.() ?? NaN;
    assertEquals([told >= before, told <= Date.now()], [true, true]);
  });

  test("fires no timer early, whatever fraction of a millisecond it is set to", async () => {
    const early: number[] = [];
    await Promise.all(Array.from({ length: 200 }, (_, i) => {
      const delay = i * 0.137;
      const due = systemClock.now() + delay;
      return new Promise<void>((resolve) =>
        systemClock.setTimer(() => {
          if (systemClock.now() < due) early.push(due - systemClock.now());
          resolve();
        }, delay)
      );
    }));
    assertEquals(early, []);
  });

  test("does not fire a timer at once whose delay is too long for the runtime", async () => {
    let fired = false;
    const long = systemClock.setTimer(() => fired = true, 2 ** 31 + 1000);
    await wait(20);
    long.cancel();
    assertEquals(fired, false);
  });

  test("takes a negative delay as 0", async () => {
    await wait(-5);
  });

  test("does not call cancelled callbacks, and a later cancel does nothing", async () => {
    const calls: string[] = [];
    const cancelled = [
      systemClock.setTimer(() => calls.push("timer"), 0),
      systemClock.setTurnEnd(() => calls.push("end of turn")),
    ];
    for (const timer of cancelled) timer.cancel();
    const kept = await new Promise<Timer>((resolve) => {
      const timer = systemClock.setTurnEnd(() => {
        calls.push("kept");
        resolve(timer);
      });
    });
    await wait(5);
    for (const timer of [...cancelled, kept]) timer.cancel();
    assertEquals(calls, ["kept"]);
  });

  test("calls the end of the turn after all promises and before the next turn", async () => {
    const order: string[] = [];
    const ended = new Promise<void>((resolve) =>
      systemClock.setTurnEnd(() => {
        order.push("end of turn");
        systemClock.setTurnEnd(() => {
          order.push("end of the next");
          resolve();
        });
        void Promise.resolve().then(() => order.push("promise of the next"));
      })
    );
    for (let i = 0; i < 3; i++) await Promise.resolve().then(() => order.push("promise"));
    await ended;
    assertEquals(order, ["promise", "promise", "promise", "end of turn", "promise of the next", "end of the next"]);
  });
});

describe("randomBytes", () => {
  test("returns as many as requested, and others each time", () => {
    assertEquals(randomBytes(0).length, 0);
    const [one, other] = [randomBytes(16), randomBytes(16)];
    assertEquals([one.length, other.length], [16, 16]);
    assert(`${one}` !== `${other}`, "twice the same 128 random bits");
  });
});

describe("resolve", () => {
  test("resolves a literal to itself", async () => {
    assertEquals(await resolve("127.0.0.1"), ["127.0.0.1"]);
    assertEquals(await resolve("::1"), ["::1"]);
  });

  test("resolves a name in the hosts file", async () => {
    const addresses = await resolve("localhost");
    assert(addresses.includes("127.0.0.1") || addresses.includes("::1"), `${addresses}`);
  });

  test("does not delay others by one that fails, and rejects when it is aborted", async () => {
    const signal = AbortSignal.abort(new Error("off"));
    const lookUps = ["a".repeat(300), "127.0.0.1", "::1"].map((host) => resolve(host).catch(() => "failed"));
    await assertRejects(() => resolve("localhost", { signal }), Error, "off");
    assertEquals(await Promise.all(lookUps), ["failed", ["127.0.0.1"], ["::1"]]);
  });

  test("rejects an impossible name", async () => {
    // Longer than a name in the DNS may be, so that there is no query.
    assertInstanceOf(await assertRejects(() => resolve("a".repeat(300))), Error);
  });
});

describe("networkInterfaces", () => {
  test("has the loopback interface", () => {
    const loopback = networkInterfaces().find(({ address }) => address === "127.0.0.1");
    assertEquals(loopback?.internal, true);
    assert(loopback !== undefined && loopback.name.length > 0, "an interface has a name");
  });
});

function wait(delay: number): Promise<void> {
  return new Promise((resolve) => systemClock.setTimer(resolve, delay));
}
