// Own keys: which own subscriptions get what the bus has published, and which guards it makes stale.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { Dispatcher } from "../../src/pubsub/dispatcher.ts";
import { LoadGuards } from "../../src/pubsub/load_guard.ts";
import { OwnKeys } from "../../src/pubsub/own_keys.ts";
import type { Entry } from "../../src/pubsub/pending_entries.ts";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { SyncEvent } from "../../src/pubsub/sync_bus.ts";
import { settle } from "../support/outcome.ts";

/** A bus with a subscription that gets its own keys, and one that does not. */
function setUp({ self = true } = {}) {
  const clock = new VirtualClock();
  const subscriptions = new Subscriptions((error) => {
    throw error;
  });
  const guards = new LoadGuards(clock);
  const dispatcher = new Dispatcher({ clock, subscriptions, patience: 1000, onSlow: () => {}, onDropped: () => {} });
  const own = new OwnKeys({ guards, subscriptions, dispatcher });
  const log: string[] = [];
  const note = (name: string) => ({ key, prefix, region }: SyncEvent) => log.push(`${name} ${key} ${prefix} ${region}`);
  subscriptions.add({ prefix: "k" }, note("other"));
  if (self) subscriptions.add({ prefix: "k" }, note("self"), { self: true });
  return { own, guards, log };
}

const entry = (text: string, rest: Partial<Entry> = {}): Entry => ({
  text,
  isPrefix: false,
  isForGo: false,
  metadata: undefined,
  awaiter: undefined,
  ...rest,
});

describe("a publication that was accepted", () => {
  test("is delivered with its metadata to those that `self` says", () => {
    const { own, log } = setUp();
    const prefix = { text: "k:", isPrefix: true, metadata: { region: "eu" } };
    for (const self of [undefined, false, true]) own.accepted(prefix, self);
    const selfOnly = "self k: k: eu";
    assertEquals(log, [selfOnly, "other k: k: eu", selfOnly]);
    log.length = 0;
    for (const self of [undefined, false, true]) own.accepted(entry("k1", { metadata: { region: "eu" } }), self);
    assertEquals(log, ["self k1 undefined eu", "other k1 undefined eu", "self k1 undefined eu"]);
  });

  test("is delivered to none without a subscription that gets it", () => {
    const { own, log } = setUp({ self: false });
    own.accepted(entry("k", { isPrefix: true }), undefined);
    own.accepted("k", undefined);
    assertEquals(log, []);
  });

  test("makes the guards of its key stale, or of the keys of its prefix", () => {
    const { own, guards } = setUp();
    const held = ["k", "k1", "l"].map((key) => guards.guard(key));
    own.touch(entry("k1"));
    assertEquals(held.map((guard) => guard.isFresh()), [true, false, true]);
    own.touch(entry("k", { isPrefix: true }));
    assertEquals(held.map((guard) => guard.isFresh()), [false, false, true]);
  });
});

describe("a publication that was accepted late", () => {
  test("makes guards stale at once, and is delivered after the turn of the sender", async () => {
    const { own, guards, log } = setUp();
    const held = ["k", "k1", "k2"].map((key) => guards.guard(key));
    own.acceptedLate("k", undefined);
    own.acceptedLate(entry("k1", { isPrefix: true }), true);
    assertEquals([held.map((guard) => guard.isFresh()), log], [[false, false, true], []]);
    await settle();
    assertEquals(log, [
      "self k undefined undefined",
      "other k1 k1 undefined",
      "self k1 k1 undefined",
    ]);
  });

  test("that is a key for Go nodes is nobody's here", async () => {
    const { own, guards, log } = setUp();
    const guard = guards.guard("k");
    own.acceptedLate(entry("k", { isForGo: true }), true);
    await settle();
    assertEquals([guard.isFresh(), log], [true, []]);
  });
});
