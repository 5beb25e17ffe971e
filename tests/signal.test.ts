// One listener on a signal, however many wait for it.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { InProcessBus } from "../mod.ts";
import { onAbort } from "../src/signal.ts";
import { countListeners } from "./support/signals.ts";

describe("a signal", () => {
  test("has one listener for all that wait, and none when nobody does", () => {
    const { signal } = new AbortController();
    const listeners = countListeners(signal);
    const stops = Array.from({ length: 1000 }, () => onAbort(signal, () => {}));
    assertEquals(listeners.count, 1);
    for (const stop of stops) stop();
    assertEquals(listeners.count, 0);
    const stop = onAbort(signal, () => {});
    assertEquals(listeners.count, 1);
    stop();
    stop();
    assertEquals(listeners.count, 0);
  });

  test("calls all that wait, each once, and not those that have stopped", () => {
    const controller = new AbortController();
    const calls: string[] = [];
    const note = () => calls.push("twice");
    onAbort(controller.signal, note);
    onAbort(controller.signal, note);
    const stop = onAbort(controller.signal, () => calls.push("stopped"));
    // One that is called may stop another.
    onAbort(controller.signal, () => stopLast());
    const stopLast = onAbort(controller.signal, () => calls.push("stopped by another"));
    stop();
    controller.abort();
    assertEquals(calls, ["twice", "twice"]);
  });

  test("ends 10,000 subscriptions", async () => {
    const controller = new AbortController();
    const bus = new InProcessBus();
    const all = Array.from({ length: 10_000 }, (_, i) => bus.subscribe(`${i}`, { signal: controller.signal }));
    controller.abort();
    assertEquals(all.filter(({ closed }) => !closed).length, 0);
    await bus.close();
  });
});
