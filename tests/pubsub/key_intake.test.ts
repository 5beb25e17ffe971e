// The key intake: what is delivered of a batch that has more than keys.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { VirtualClock } from "../../adapters/memory.ts";
import { Receiver } from "../../src/net/receiver.ts";
import { DeliveryReceipt } from "../../src/pubsub/delivery_receipt.ts";
import { Dispatcher } from "../../src/pubsub/dispatcher.ts";
import { KeyIntake } from "../../src/pubsub/key_intake.ts";
import { LoadGuards } from "../../src/pubsub/load_guard.ts";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import { encodeExtension, type Extension } from "../../src/wire/extension.ts";
import { encodePacket } from "../../src/wire/packet.ts";
import { controlSink, numberSink } from "../support/receiver_sinks.ts";

const FROM = new Uint8Array(16).fill(9);
const encoder = new TextEncoder();

function batch(keys: readonly (string | Uint8Array)[], extension: Extension): Uint8Array {
  const bytes = keys.map((key) => typeof key === "string" ? encoder.encode(key) : key);
  return Uint8Array.of(...encodePacket({ type: 3, nodeId: FROM, keys: bytes }), ...encodeExtension(extension));
}

function setUp({ region }: { readonly region?: string } = {}) {
  const clock = new VirtualClock();
  const events: string[] = [];
  const reports: (readonly unknown[])[] = [];
  const subscriptions = new Subscriptions((error) => {
    throw error;
  });
  const dispatcher = new Dispatcher({ clock, subscriptions, patience: 1000, onSlow() {}, onDropped() {} });
  const guards = new LoadGuards(clock);
  const receipts = { receipt: undefined as DeliveryReceipt | undefined };
  const keys = new KeyIntake({ guards, subscriptions, dispatcher, streams: undefined, receipts, region });
  const receiver = new Receiver({
    nodeId: new Uint8Array(16),
    extended: true,
    keys,
    streams: numberSink((_id, _number, _numbering, _host, _port, _fingerprint, isAwaited) => {
      receipts.receipt = isAwaited ? new DeliveryReceipt((outcomes) => reports.push([...outcomes])) : undefined;
      return true;
    }),
    control: controlSink(),
  });
  const hear = (prefix = "") =>
    subscriptions.add(
      { prefix },
      (event) => events.push([event.key, event.prefix, event.region].filter((x) => x !== undefined).join("|")),
    );
  const receive = (data: Uint8Array) => receiver.receive(data, "10.0.0.9", 5000);
  return { clock, dispatcher, events, guards, hear, receive, receiver, reports, subscriptions };
}

describe("a batch with notes", () => {
  test("delivers its keys with their metadata, then its prefixes", () => {
    const { events, hear, receive, reports } = setUp();
    hear();
    receive(batch(["a", "b"], {
      number: 1,
      prefixes: ["user:"],
      metadata: [
        { index: 1, isForGo: false, region: "eu" },
        { index: 2, isForGo: false, region: "us" },
        // Of several with one index the first counts, and there is no fourth entry.
        { index: 1, isForGo: true, region: "later" },
        { index: 3, isForGo: true },
      ],
    }));
    assertEquals([events, reports], [["a", "b|eu", "user:|user:|us"], []]);
  });

  test("keeps metadata at its key though another one is not UTF-8", () => {
    const { events, hear, receive, receiver, reports } = setUp();
    hear();
    receive(batch([Uint8Array.of(0xff), "b"], {
      number: 1,
      isAwaited: true,
      metadata: [{ index: 0, isForGo: false, region: "no" }, { index: 1, isForGo: false, region: "eu" }],
    }));
    assertEquals([events, receiver.invalidKeys, reports], [["b|eu"], 1, [["unsubscribed", "delivered"]]]);
  });

  test("does not deliver what stays in another region, nor keys for Go nodes, and leaves their guards fresh", () => {
    const { events, guards, hear, receive, reports } = setUp({ region: "us" });
    hear();
    const taken = ["here", "there", "go", "where"].map((key) => guards.guard(key));
    const local = { isForGo: false, scope: "local" } as const;
    receive(batch(["here", "there", "go", "where"], {
      number: 1,
      isAwaited: true,
      metadata: [
        { index: 0, ...local, region: "us" },
        { index: 1, ...local, region: "eu" },
        { index: 2, isForGo: true },
        { index: 3, ...local },
      ],
    }));
    assertEquals(events, ["here|us", "where"]);
    assertEquals(taken.map((guard) => guard.isFresh()), [false, true, true, false]);
    assertEquals(reports, [["delivered", "unsubscribed", "unsubscribed", "delivered"]]);
  });

  test("delivers what stays in a region where this node has none", () => {
    const { events, hear, receive } = setUp();
    hear();
    receive(batch(["k"], { number: 1, metadata: [{ index: 0, isForGo: false, scope: "local", region: "eu" }] }));
    assertEquals(events, ["k|eu"]);
  });

  test("makes guards of the keys of a prefix stale", () => {
    const { guards, receive } = setUp();
    const taken = ["user:1", "user", "order:1"].map((key) => guards.guard(key));
    receive(batch([], { number: 1, prefixes: ["user:"] }));
    assertEquals(taken.map((guard) => guard.isFresh()), [false, true, true]);
  });

  test("with metadata that cannot be read delivers its keys, and is counted", () => {
    const { events, hear, receive, receiver } = setUp();
    hear();
    const good = batch(["k"], { number: 1, metadata: [{ index: 0, isForGo: false, region: "eu" }] });
    const at = good.indexOf(24, 20);
    // The region has no bytes.
    good[at + 6] = 0;
    receive(good);
    assertEquals([events, receiver.invalidMetadata, receiver.malformedExtensions], [["k"], 1, 0]);
  });
});

describe("an awaited batch", () => {
  test("that arrives within a callback of another leaves that one its receipt", () => {
    const { events, hear, receive, reports, subscriptions } = setUp();
    hear("inner");
    let isFirst = true;
    subscriptions.add("outer", () => {
      if (isFirst) receive(batch(["inner:1", "inner:2"], { number: 2, isAwaited: true }));
      isFirst = false;
    });
    hear("last");
    receive(batch(["outer", "last"], { number: 1, isAwaited: true }));
    assertEquals(events, ["inner:1", "inner:2", "last"]);
    assertEquals(reports, [["delivered", "delivered"], ["delivered", "delivered"]]);
  });

  test("of which nobody hears anything is unsubscribed", () => {
    const { receive, reports } = setUp();
    receive(batch(["a", "b"], { number: 1, isAwaited: true, prefixes: ["c"] }));
    receive(batch([], { number: 2, isAwaited: true }));
    assertEquals(reports, [["unsubscribed", "unsubscribed", "unsubscribed"], []]);
  });
});
