// Properties of the batcher for any keys, and any speed at which its batches are taken.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { ClosedError } from "../../src/errors.ts";
import { decodeExtension } from "../../src/wire/extension.ts";
import { decodePacket } from "../../src/wire/packet.ts";
import { anyKey } from "../support/arbitraries.ts";
import { keysOf, makeBatcher } from "../support/batches.ts";
import { type Outcome, settle, watch } from "../support/outcome.ts";

/** The clock counts whole microseconds, and a timer of it may be late by one; there may be two, one after the other. */
const GRAIN = 0.001;

const config = fc.record({
  batchInterval: fc.oneof(fc.nat(50), fc.double({ min: 0, max: 50, noNaN: true })),
  batchSize: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(20, 65_535)),
  queueSize: fc.integer({ min: 1, max: 12 }),
  numbered: fc.boolean(),
});
/** Few enough names that the same is published again and again, and some that fill a datagram. */
const someKey = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "é", "🙂") },
  { weight: 1, arbitrary: anyKey },
  { weight: 1, arbitrary: fc.integer({ min: 300, max: 1366 }).map((length) => "x".repeat(length)) },
);
const pause = fc.oneof(fc.constant(0), fc.nat(60), fc.double({ min: 0, max: 60, noNaN: true }));

function checkDatagram(datagram: Uint8Array, batchSize: number): string[] {
  const keys = keysOf(datagram);
  assertLessOrEqual(datagram.length, 1400);
  assertGreater(keys.length, 0);
  assertLessOrEqual(keys.length, batchSize);
  return keys;
}

describe("with a sender that keeps up", () => {
  const burst = fc.tuple(pause, fc.array(someKey, { maxLength: 8 }), fc.oneof(fc.constant(0), fc.nat(64)));
  const bursts = fc.array(burst, { maxLength: 20, size: "max" });
  /** What is owed at most, 64 datagrams, and the next one at 20 a millisecond. */
  const MOST_OWED = 65 / 20;

  test("every key leaves once, in order, within the interval and the budget, and at once while that lasts", async () => {
    await fc.assert(fc.asyncProperty(config, bursts, async ({ batchInterval, batchSize }, bursts) => {
      const accepted: { readonly key: string; readonly at: number; readonly atOnce: boolean }[] = [];
      const sent: { readonly key: string; readonly at: number }[] = [];
      const rig = makeBatcher({
        batchInterval,
        batchSize,
        transmit: { wake: () => void Promise.resolve().then(send) },
      });
      const { batcher, budget, clock } = rig;
      const send = () => {
        for (let datagram = batcher.take(); datagram !== undefined; datagram = batcher.take()) {
          budget.spend(1);
          for (const key of checkDatagram(datagram, batchSize)) sent.push({ key, at: clock.now() });
          batcher.release();
        }
      };
      for (const [pause, keys, spent] of bursts) {
        await clock.advance(pause);
        // What is spent while a key waits makes it wait longer.
        if (batcher.pending === 0) budget.spend(spent);
        for (const key of keys) {
          const pending = accepted.slice(sent.length).some((each) => each.key === key);
          const atOnce = batcher.pending === 0 && (batchInterval === 0 || budget.wait() === 0);
          assert(batcher.tryAdd(key));
          if (!pending) accepted.push({ key, at: clock.now(), atOnce });
        }
      }
      await clock.advance(batchInterval + GRAIN);
      assertEquals(sent.map(({ key }) => key), accepted.map(({ key }) => key));
      accepted.forEach(({ at, atOnce }, i) => {
        const waited = (sent[i]?.at ?? NaN) - at;
        assertLessOrEqual(waited, atOnce ? 0 : Math.min(batchInterval, MOST_OWED) + 2 * GRAIN);
      });
      assertEquals([batcher.pending, batcher.accepted, clock.pending], [0, accepted.length, 0]);
    }));
  });
});

type Step =
  | { readonly do: "publish"; readonly key: string }
  | { readonly do: "take" }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "abort"; readonly which: number };

describe("with a sender that is slow", () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: someKey.map((key) => ({ do: "publish" as const, key })) },
    { weight: 2, arbitrary: fc.constant({ do: "take" as const }) },
    { weight: 2, arbitrary: pause.map((ms) => ({ do: "pass" as const, ms })) },
    { weight: 1, arbitrary: fc.nat(5).map((which) => ({ do: "abort" as const, which })) },
  );

  test("no key is lost, made up or sent twice, and waiting publishers are served in order", async () => {
    await fc.assert(
      fc.asyncProperty(config, fc.array(step, { maxLength: 60, size: "max" }), async (config, steps) => {
        const { batchSize, queueSize, numbered } = config;
        const { batcher, clock } = makeBatcher(config);
        let taken = 0;
        // The model: names in the order of acceptance, and the waiting publishers.
        const pending: string[] = [];
        const waiting: { readonly key: string; readonly abort: () => void; readonly outcome: Outcome }[] = [];
        const settled: { readonly outcome: Outcome; readonly expected: Outcome["state"] }[] = [];

        const publish = (key: string) => {
          const room = waiting.length === 0 && pending.length < queueSize;
          assertEquals(batcher.tryAdd(key), pending.includes(key) || room);
          if (pending.includes(key)) return;
          if (room) {
            pending.push(key);
            return;
          }
          const controller = new AbortController();
          const outcome = watch(batcher.wait(key, controller.signal));
          waiting.push({ key, outcome, abort: () => controller.abort() });
        };
        const take = () => {
          const datagram = batcher.take(numbered ? ++taken : undefined);
          if (datagram === undefined) return false;
          const keys = checkDatagram(datagram, batchSize);
          assertEquals(keys, pending.splice(0, keys.length));
          while (waiting[0] !== undefined) {
            const { key, outcome } = waiting[0];
            if (!pending.includes(key)) {
              if (pending.length >= queueSize) break;
              pending.push(key);
            }
            settled.push({ outcome, expected: "fulfilled" });
            waiting.shift();
          }
          // The record tells whether that was all: what was accepted now counts.
          const record = pending.length > 0 ? { more: taken } : { number: taken };
          assertEquals(decodeExtension(decodePacket(datagram).rest), numbered ? record : undefined);
          assertEquals(batcher.pendingAge === undefined, pending.length === 0);
          batcher.release();
          return true;
        };

        for (const step of steps) {
          if (step.do === "publish") publish(step.key);
          else if (step.do === "take") take();
          else if (step.do === "pass") await clock.advance(step.ms);
          else {
            const [waiter] = waiting.splice(step.which, 1);
            waiter?.abort();
            if (waiter !== undefined) settled.push({ outcome: waiter.outcome, expected: "rejected" });
          }
          assertEquals([batcher.pending, batcher.waiting], [pending.length, waiting.length]);
        }

        batcher.close();
        for (const { outcome } of waiting.splice(0)) settled.push({ outcome, expected: "rejected" });
        while (take());
        await settle();
        assertEquals([pending, batcher.pending, batcher.waiting, clock.pending], [[], 0, 0, 0]);
        for (const { outcome, expected } of settled) {
          assertEquals(outcome.state, expected);
          if (expected === "rejected") {
            assert(outcome.reason instanceof ClosedError || (outcome.reason as Error).name === "AbortError");
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
