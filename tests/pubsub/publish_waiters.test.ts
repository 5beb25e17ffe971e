// The queue of publishers that wait for room.
import { describe, test } from "node:test";
import { assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import { PublishWaiters, type Waiter } from "../../src/pubsub/publish_waiters.ts";

function waiter(key: string, detach?: () => void): Waiter {
  return { key, self: undefined, resolve() {}, reject() {}, detach, isOver: false };
}

describe("WaitQueue", () => {
  test("returns waiting publishers in order, as a model does", () => {
    const step = fc.oneof(fc.constant("add" as const), fc.constant("first" as const), fc.nat(30));
    fc.assert(fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const queue = new PublishWaiters();
      const model: Waiter[] = [];
      for (const [i, step] of steps.entries()) {
        if (step === "add") {
          model.push(waiter(String(i)));
          queue.add(model.at(-1) as Waiter);
        } else {
          const index = step === "first" ? 0 : step;
          const [removed] = model.splice(index, 1);
          if (removed !== undefined) queue.remove(removed);
        }
        assertEquals([queue.size, queue.first?.key], [model.length, model[0]?.key]);
      }
    }));
  });

  test("removes one once, and its listener at its signal", () => {
    const queue = new PublishWaiters();
    let detached = 0;
    const one = waiter("a", () => detached++);
    queue.add(one);
    queue.add(waiter("b"));
    queue.remove(one);
    queue.remove(one);
    assertEquals([queue.size, detached, queue.first?.key], [1, 1, "b"]);
  });

  test("of 100,000 is emptied in the time of a few steps for each", () => {
    const queue = new PublishWaiters();
    let looks = 0;
    const watched = (key: string): Waiter => {
      let isOver = false;
      return {
        ...waiter(key),
        get isOver() {
          looks++;
          return isOver;
        },
        set isOver(value) {
          isOver = value;
        },
      };
    };
    const count = 100_000;
    for (let i = 0; i < count; i++) queue.add(watched(String(i)));
    for (let first = queue.first; first !== undefined; first = queue.first) queue.remove(first);
    assertEquals(queue.size, 0);
    assertLessOrEqual(looks, 10 * count);
  });
});
