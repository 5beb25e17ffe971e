// Every method of the reference, with a test of its name, on real sockets.

import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { describe, test } from "node:test";
import {
  ClosedError,
  KeyTooLongError,
  MeshBus,
  type MeshOptions,
  type MeshPorts,
  openMesh,
  QuorumNotSatisfiedError,
  QuorumUnsupportedError,
  type SubscribeOptions,
} from "../../mod.ts";
import { allOf, happened, next, type Open, openMany, peersKnown, withMeshes } from "../support/meshes.ts";

async function pair(open: Open): Promise<[MeshBus, MeshBus]> {
  const [a, b] = await openMany(open, 2);
  assert(a && b);
  return [a, b];
}

describe("openMesh", () => {
  test("opens with the defaults of go-warp", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      assert(mesh.isHealthy());
      assertEquals(mesh.address, `127.0.0.1:${mesh.address.split(":")[1]}`);
      assertEquals(mesh.nodeId.length, 36);
      assertEquals(mesh.nodeId[14], "4");
    }));

  test("describes what it opened in its first event, even to a late listener", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      const event = await happened(mesh, ({ type }) => type === "opened");
      assert(event.type === "opened");
      assertEquals([event.nodeId, event.address, event.multicast], [mesh.nodeId, mesh.address, true]);
    }));
});

test("openMesh refuses options that are no object, and opens nothing", async () => {
  for (const options of [null, 5, "127.0.0.1", [1]]) {
    await assertRejects(() => openMesh(options as unknown as MeshOptions), TypeError, "the options must be an object");
  }
  const ports = {} as MeshPorts;
  await assertRejects(() => MeshBus.open(ports), TypeError, "`bind` must be a function: current value is undefined");
});

describe("publish", () => {
  test("resolves when the key is accepted, with or without receivers", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      assertEquals(await mesh.publish("nobody"), undefined);
    }));

  test("carries any well-formed key that fits, byte for byte", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      const keys = ["", "a", "ключ", "日本", "😀", "\u0000", "\uFEFFbom", "x".repeat(1366), "é".repeat(683)];
      const events = b.subscribe({ prefix: "" }, { capacity: 100 });
      for (const key of keys) await a.publish(key);
      await allOf(events, keys);
    }));

  test("refuses a key that fits no datagram, and names the limit", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      const error = await assertRejects(() => mesh.publish("x".repeat(1367)), KeyTooLongError, "1366 bytes");
      assertEquals([error.bytes, error.limit], [1367, 1366]);
      await assertRejects(() => mesh.publish("é".repeat(684)), KeyTooLongError, "1368 bytes");
      assertEquals(mesh.metrics().pending, 0);
    }));

  test("accepts keys of go-warp's length with go-warp's wire, and refuses longer ones", () =>
    withMeshes(async (open) => {
      const [a, b] = await openMany(open, 2, { wire: "go-warp" });
      assert(a && b);
      const keys = ["x".repeat(1378), "é".repeat(689)];
      const events = b.subscribe({ prefix: "" });
      for (const key of keys) await a.publish(key);
      await allOf(events, keys);
      const error = await assertRejects(() => a.publish("x".repeat(1379)), KeyTooLongError, "1378 bytes");
      assertEquals([error.bytes, error.limit], [1379, 1378]);
    }));

  test("refuses values other than well-formed strings", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      await assertRejects(
        () => mesh.publish(42 as unknown as string),
        TypeError,
        "must be a well-formed string or { prefix: string }: current value is 42",
      );
      await assertRejects(() => mesh.publish("\uD800"), TypeError, "well-formed");
    }));

  test("limits datagrams by bytes, so that long keys arrive where go-warp loses them", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      const keys = Array.from({ length: 40 }, (_, i) => `${i}:${"k".repeat(200)}`);
      const events = b.subscribe({ prefix: "" }, { capacity: 100 });
      await Promise.all(keys.map((key) => a.publish(key)));
      await allOf(events, keys);
      assertEquals(b.metrics().decodeErrors, 0);
    }));

  test("waits when the queue is full, and a signal ends the wait and withdraws the key", () =>
    withMeshes(async (open) => {
      const a = await open({ queueSize: 2 });
      const b = await open({ port: a.port });
      const events = b.subscribe({ prefix: "" });
      void a.publish("1");
      void a.publish("2");
      const controller = new AbortController();
      const third = a.publish("3", { signal: controller.signal });
      assertEquals([a.metrics().pending, a.metrics().waiting], [2, 1]);
      controller.abort(new Error("enough"));
      await assertRejects(() => third, Error, "enough");
      assertEquals(a.metrics().waiting, 0);
      await a.publish("4");
      await allOf(events, ["1", "2", "4"]);
      assertEquals(a.metrics().keysPublished, 3);
    }));
});

describe("publishAndAwait", () => {
  test("with 0 replicas equals publish", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      const events = b.subscribe("key");
      await a.publishAndAwait("key", 0);
      assertEquals((await next(events)).key, "key");
    }));

  test("alone it rejects as go-warp does, and publishes nothing", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      const error = await assertRejects(
        () => mesh.publishAndAwait("key", 1),
        QuorumUnsupportedError,
        "quorum unsupported",
      );
      assertInstanceOf(error, Error);
      assertEquals(mesh.metrics().keysPublished, 0);
      await assertRejects(() => mesh.publishAndAwait("key", -1), RangeError, "current value is -1");
    }));

  test("resolves when the others have handed the event to their subscribers, with their answers", () =>
    withMeshes(async (open) => {
      const [a, b, c] = await openMany(open, 3);
      assert(a && b && c);
      let called = 0;
      b.subscribe("key", () => called++);
      const { acknowledgements } = await a.publishAndAwait("key", "all");
      assertEquals(called, 1);
      const outcomes = new Map(acknowledgements.map(({ node, outcome }) => [node, outcome]));
      assertEquals(outcomes, new Map([[b.nodeId, "delivered"], [c.nodeId, "unsubscribed"]]));
      const error = await assertRejects(() => a.publishAndAwait("other", 3), QuorumNotSatisfiedError);
      assertEquals([error.required, error.acknowledged, error.missing.length], [3, 0, 2]);
      assertEquals(a.metrics().keysPublished, 1);
    }));

  test("with go-warp's wire rejects, as no peer can acknowledge", () =>
    withMeshes(async (open) => {
      const [a] = await openMany(open, 2, { wire: "go-warp" });
      assert(a);
      await assertRejects(() => a.publishAndAwait("key", 1), QuorumUnsupportedError);
      assertEquals(a.metrics().keysPublished, 0);
    }));
});

describe("publishAndAwaitTopology", () => {
  test("alone it rejects as go-warp does, and with 0 zones equals publish", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      await assertRejects(() => mesh.publishAndAwaitTopology("key", 2), QuorumUnsupportedError);
      await assertRejects(() => mesh.publishAndAwaitTopology("key", 1.5), RangeError, "current value is 1.5");
      assertEquals(mesh.metrics().keysPublished, 0);
      assertEquals(await mesh.publishAndAwaitTopology("key", 0), { acknowledgements: [] });
      assertEquals(mesh.metrics().keysPublished, 1);
    }));

  test("resolves when replicas in as many zones have acknowledged", () =>
    withMeshes(async (open) => {
      const a = await open({ zone: "a" });
      const b = await open({ zone: "b", port: a.port });
      await Promise.all([peersKnown(a, 1), peersKnown(b, 1)]);
      const { acknowledgements } = await a.publishAndAwaitTopology("key", 1);
      assertEquals(acknowledgements, [{ node: b.nodeId, zone: "b", outcome: "unsubscribed" }]);
      const error = await assertRejects(() => a.publishAndAwaitTopology("key", 2), QuorumNotSatisfiedError);
      assertEquals([error.required, error.acknowledged], [2, 0]);
      assertEquals((await a.publishAndAwaitTopology("key", 2, { ownZone: true })).acknowledgements.length, 1);
    }));
});

describe("subscribe", () => {
  test("with a callback", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      const got = new Promise((resolve) => b.subscribe("user:42", resolve));
      await a.publish("user:42");
      assertEquals(await got, { key: "user:42", cause: "publish" });
    }));

  test("to a prefix, and to everything", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      const users = b.subscribe({ prefix: "user:" });
      const all = b.subscribe({ prefix: "" });
      await a.publish("order:1");
      await a.publish("user:1");
      assertEquals((await next(users)).key, "user:1");
      await allOf(all, ["order:1", "user:1"]);
    }));

  test("a signal ends it and its loop", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      const controller = new AbortController();
      const subscription = mesh.subscribe("key", { signal: controller.signal });
      controller.abort();
      for await (const _ of subscription) throw new Error("nothing was published");
      assert(subscription.closed);
    }));

  test("a callback that throws is counted, and does not affect others", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      b.subscribe("key", () => {
        throw new Error("mine");
      });
      b.subscribe("key", () => Promise.reject(new Error("mine too")));
      const events = b.subscribe("key");
      const reported = happened(b, (event) => event.type === "error" && event.stage === "callback");
      await a.publish("key");
      assertEquals((await next(events)).key, "key");
      await reported;
      assert(b.metrics().callbackErrors >= 1);
      assert(b.isHealthy());
    }));
});

test("unsubscribe ends a subscription, and only one of its own key", () =>
  withMeshes(async (open) => {
    const [a, b] = await pair(open);
    const events = b.subscribe("key");
    b.unsubscribe("other", events);
    assert(!events.closed);
    b.unsubscribe("key", events);
    assert(events.closed);
    const after = b.subscribe("key");
    await a.publish("key");
    await next(after);
    assertEquals(await events[Symbol.asyncIterator]().next(), { done: true, value: undefined });
  }));

describe("leases", () => {
  test("revokeLease publishes the key lease:id", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      const events = b.subscribe("lease:session-1");
      await a.revokeLease("session-1");
      assertEquals(await next(events), { key: "lease:session-1", cause: "publish" });
    }));

  test("subscribeLease subscribes to the key lease:id, to iterate or with a callback", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      const events = b.subscribeLease("session-1");
      const called = new Promise((resolve) => b.subscribeLease("session-1", resolve));
      await a.publish("lease:session-1");
      assertEquals(await next(events), { key: "lease:session-1", cause: "publish" });
      assertEquals(await called, { key: "lease:session-1", cause: "publish" });
    }));

  test("unsubscribeLease ends a subscription to the lease, and to no other", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      const [events, others] = [mesh.subscribeLease("session-1"), mesh.subscribe("session-1")];
      mesh.unsubscribeLease("session-1", events);
      mesh.unsubscribeLease("session-1", others);
      assertEquals([events.closed, others.closed], [true, false]);
    }));
});

test("an invalid lease, signal or callback is refused", () =>
  withMeshes(async (open) => {
    const mesh = await open();
    const lease = { prefix: "x" } as unknown as string;
    assertThrows(() => mesh.subscribeLease(lease), TypeError, "its id must be a string");
    await assertRejects(() => mesh.revokeLease(undefined as unknown as string), TypeError, "its id must be a string");
    const signal = new AbortController() as unknown as AbortSignal;
    await assertRejects(() => mesh.publish("key", { signal }), TypeError, "`signal` must be an AbortSignal");
    const swapped = mesh.subscribe.bind(mesh) as unknown as (topic: string, first: unknown, second?: unknown) => void;
    const options: SubscribeOptions = { capacity: 3 };
    assertThrows(() => swapped("key", options, () => {}), TypeError, "the callback must be a function");
    assertThrows(() => swapped("key", null), TypeError, "the callback must be a function");
    assertEquals(mesh.metrics().keysPublished, 0);
  }));

test("isHealthy is true from opening until closing", () =>
  withMeshes(async (open) => {
    const mesh = await open();
    assert(mesh.isHealthy());
    const closing = mesh.close();
    assert(!mesh.isHealthy());
    await closing;
  }));

test("metrics counts datagrams in published and delivered, as go-warp does", () =>
  withMeshes(async (open) => {
    const [a, b] = await pair(open);
    const before = [a.metrics(), b.metrics()] as const;
    const events = b.subscribe("c");
    await Promise.all(["a", "b", "c"].map((key) => a.publish(key)));
    await next(events);
    // One batch of three keys, which b gets by multicast and by unicast.
    await a.close();
    assertEquals(a.metrics().published - before[0].published, 1);
    assertEquals(a.metrics().keysPublished, 3);
    assert(b.metrics().delivered > before[1].delivered);
    assertEquals(b.metrics().decodeErrors, 0);
  }));

test("peers lists the addresses that others advertise, each once, without its own", () =>
  withMeshes(async (open) => {
    const nodes = await openMany(open, 3);
    for (const node of nodes) {
      const others = nodes.filter((other) => other !== node).map((other) => other.address);
      assertEquals(node.peers().sort(), others.sort());
    }
  }));

describe("close", () => {
  test("sends what is pending, ends everything, and is the same when called again", () =>
    withMeshes(async (open) => {
      const [a, b] = await pair(open);
      const got = b.subscribe("last words");
      const own = a.subscribe({ prefix: "" });
      const loop = (async () => {
        for await (const _ of own) { /* nothing comes */ }
      })();
      void a.publish("last words");
      const closing = a.close();
      assertEquals(a.close(), closing);
      await Promise.all([closing, loop, a[Symbol.asyncDispose]()]);
      assertEquals((await next(got)).key, "last words");
      await happened(a, ({ type }) => type === "closed");
    }));

  test("afterwards publish and subscribe fail, and the other methods still work", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      const subscription = mesh.subscribe("key");
      await mesh.close();
      await assertRejects(() => mesh.publish("key"), ClosedError, "Cannot publish as the bus is closed");
      await assertRejects(() => mesh.publishAndAwait("key", 0), ClosedError);
      await assertRejects(() => mesh.revokeLease("id"), ClosedError);
      assertThrows(() => mesh.subscribe("key"), ClosedError, "Cannot subscribe as the bus is closed");
      assertThrows(() => mesh.subscribeLease("id"), ClosedError);
      mesh.unsubscribe("key", subscription);
      assertEquals([mesh.peers(), mesh.metrics().pending, mesh.isHealthy()], [[], 0, false]);
    }));

  test("a signal closes the mesh, and stops one that is opening", () =>
    withMeshes(async (open) => {
      const controller = new AbortController();
      const mesh = await open({ signal: controller.signal });
      const closed = happened(mesh, ({ type }) => type === "closed");
      controller.abort(new Error("shutdown"));
      await closed;
      await assertRejects(() => open({ signal: controller.signal }), Error, "shutdown");
      const late = new AbortController();
      const opening = openMesh({ interface: "127.0.0.1", port: 0, signal: late.signal });
      late.abort(new Error("changed my mind"));
      await assertRejects(() => opening, Error, "changed my mind");
    }));
});
