// Directed storms: each part of the promise "nothing is lost silently", in a scene of its own.

import { assert, assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { decodePacket, encodeExtension, encodePacket } from "../../mod.ts";
import { MAX_NUMBER } from "../../src/wire/layout.ts";
import { nodeIdBytes } from "../support/hex.ts";
import { sized } from "../support/size.ts";
import { gapEvents, gapsOf, keysOf, Scene, type SceneNode } from "./storm/scene.ts";
import { BATCH, CATCH_UP, HEARTBEAT, LEAVE, NAK, STATE } from "./storm/wire.ts";
import { hostAddress } from "./worlds.ts";

const ALL_STILL = { heartbeat: 3_600_000 };

async function scene(count: number, options: Parameters<typeof Scene.open>[1] = () => ({})) {
  const made = await Scene.open(count, options);
  const [a, b] = made.nodes as [SceneNode, SceneNode];
  return { made, a, b, clock: made.network.clock };
}

/** Publishes keys, each in a batch of its own. */
async function publishAll(made: Scene, { mesh }: SceneNode, keys: readonly string[], pause = 1): Promise<void> {
  for (const key of keys) {
    await made.network.clock.run(mesh.publish(key), 1000);
    await made.advance(pause);
  }
}

function names(count: number, start = 1): string[] {
  return Array.from({ length: count }, (_, i) => `key:${start + i}`);
}

function statusOf(node: SceneNode, of: SceneNode) {
  return node.mesh.status().peers.find(({ id }) => id === of.mesh.nodeId);
}

describe("retransmission", () => {
  test("the loss of the last batch is detected and mended within 250 ms, without a heartbeat", async () => {
    const { made, a, b, clock } = await scene(2, () => ALL_STILL);
    made.loseFirst(a, 1);
    await publishAll(made, a, ["lost"], 0);
    const time = await clock.runUntil(() => keysOf(b).includes("lost"), 250);
    assert(time > 25, "it was not lost");
    assertEquals([gapsOf(b).length, b.mesh.metrics().missing, b.mesh.metrics().recovered], [0, 1, 1]);
    await made.close();
  });

  test("a node that publishes every 100 ms sends little else, and the loss of the last batch is detected within 250 ms", async () => {
    const { made, a, b, clock } = await scene(3, () => ALL_STILL);
    await publishAll(made, a, names(10), 100);
    const before = made.sent.length;
    await publishAll(made, a, names(100, 11), 100);
    assertEquals(made.sent.slice(before).filter(({ data }) => data[1] === STATE), []);
    made.loseFirst(a, 111);
    await publishAll(made, a, ["lost"], 0);
    const time = await clock.runUntil(() => keysOf(b).includes("lost"), 300);
    assert(time > 100, "it was not lost");
    assert(time < 200, `${time} ms`);
    await made.close();
  });

  test("a hole in the middle of a stream is filled within 50 ms", async () => {
    const { made, a, b, clock } = await scene(2, () => ALL_STILL);
    made.loseFirst(a, 3, 4);
    await publishAll(made, a, names(4), 2);
    assertEquals(keysOf(b), ["key:1", "key:2"]);
    await publishAll(made, a, names(2, 5), 2);
    await clock.runUntil(() => keysOf(b).length === 6, 50);
    assertEquals(keysOf(b).sort(), names(6));
    assertEquals([gapEvents(b), b.mesh.metrics().missing, b.mesh.metrics().recovered], [0, 2, 2]);
    await made.close();
  });

  test("each of many holes is found, and nothing else is requested", async () => {
    const { made, a, b } = await scene(2, () => ALL_STILL);
    const lost = [2, 3, 5, 9, 10, 11, 20, 39];
    made.loseFirst(a, ...lost);
    await publishAll(made, a, names(40), 2);
    await made.advance(500);
    assertEquals(keysOf(b).sort(), names(40).sort());
    assertEquals([b.mesh.metrics().missing, b.mesh.metrics().recovered], [lost.length, lost.length]);
    for (let number = 1; number <= 40; number++) {
      // To the group and to the only peer, and the retransmission to it.
      assertEquals(made.sendsOf(a, number).length, lost.includes(number) ? 3 : 2, `batch ${number}`);
    }
    await made.close();
  });

  test("a batch that several nodes have lost is retransmitted once, to the group", async () => {
    const { made, a } = await scene(8, () => ALL_STILL);
    made.loseFirst(a, 2);
    await publishAll(made, a, names(3), 2);
    await made.advance(500);
    for (const node of made.nodes.slice(1)) assertEquals(keysOf(node).sort(), names(3));
    const retransmits = made.sendsOf(a, 2).slice(8);
    assert(retransmits.some(({ multicast }) => multicast));
    assert(retransmits.length <= 2, `${retransmits.length} retransmissions`);
    await made.close();
  });

  test("a NAK that is lost is repeated", async () => {
    const { made, a, b, clock } = await scene(2, () => ALL_STILL);
    made.loseFirst(a, 1);
    await publishAll(made, a, ["one"], 2);
    let naks = 0;
    // Announcements of the position would cause another NAK too.
    const isAnnouncement = (data: Uint8Array) => data[1] === STATE && data.length === 18 + 3 + 3 + 16;
    made.network.set({ drop: ({ data }) => isAnnouncement(data) || (data[1] === NAK && ++naks <= 3) });
    await publishAll(made, a, ["two"], 0);
    await clock.runUntil(() => keysOf(b).length === 2, 200);
    assertEquals(naks, 4);
    await made.close();
  });

  test("batches that arrive twice, or late, are delivered once", async () => {
    const { made, a, b } = await scene(2);
    made.network.set({ duplicate: 1, reorder: 0.5, reorderBy: 20 });
    await publishAll(made, a, names(50), 2);
    await made.advance(200);
    assertEquals(keysOf(b).sort(), names(50).sort());
    assert(b.mesh.metrics().duplicates >= 100);
    await made.close();
  });

  test("a burst of which a quarter is lost on a path with a long delay arrives within 5 s, each key once", async () => {
    const count = sized(8000, 3000);
    const { made, a, b, clock } = await scene(2, () => ({ batchSize: 1, queueSize: 100, minSendRate: 30_000 }));
    // The publisher has answered a request once: requests to one that has not are limited.
    made.loseFirst(a, 1);
    await publishAll(made, a, ["first"], 300);
    // Both the copy to the group and the unicast one must be lost.
    made.network.set({ loss: 0.5, delay: { min: 10, max: 12 } });
    let done = false;
    let most = 0;
    const publishing = (async () => {
      for (const key of names(count)) await a.mesh.publish(key);
      done = true;
    })();
    while (!done) {
      await made.advance(5);
      most = Math.max(most, statusOf(b, a)?.missing ?? 0);
    }
    await publishing;
    assert(most > 256, `at most ${most} were missing`);
    await clock.runUntil(() => keysOf(b).length > count, 5000);
    assertEquals([keysOf(b).length, new Set(keysOf(b)).size, gapEvents(b)], [count + 1, count + 1, 0]);
    await made.close();
  });

  test("batches that are too long for the path do not delay others", async () => {
    const { made, a, b, clock } = await scene(2, () => ({ batchSize: 1, maxRepairTime: 60_000 }));
    await publishAll(made, a, ["first"], 300);
    const isLong = (data: Uint8Array) => data.length > 1000;
    made.network.set({ drop: ({ data }) => isLong(data) }, { to: b.host.address });
    await publishAll(made, a, names(1300).map((name) => name.padEnd(1200, "-")), 1);
    await made.advance(1000);
    for (let i = 0; i < 20; i++) {
      const key = `short:${i}`;
      const small = { left: i % 2 === 0 ? 2 : 0 };
      const drop = ({ data }: { readonly data: Uint8Array }) => isLong(data) || (data[1] === BATCH && small.left-- > 0);
      made.network.set({ drop }, { to: b.host.address });
      await publishAll(made, a, [key], 0);
      await clock.runUntil(() => keysOf(b).includes(key), 500);
      await made.advance(200);
    }
    assertEquals(gapEvents(b), 0);
    // The path works again: nothing was given up.
    made.network.set({ drop: () => false }, { to: b.host.address });
    await clock.runUntil(() => keysOf(b).length === 1 + 1300 + 20, 8000);
    assertEquals([gapEvents(b), statusOf(b, a)?.state], [0, "current"]);
    await made.close();
  });

  test("forged numbers are not counted as missing in the end", async () => {
    const { made, a, b } = await scene(2);
    await publishAll(made, a, names(3), 300);
    const nodeId = nodeIdBytes(a.mesh.nodeId);
    const forged = [
      ...encodePacket({ type: BATCH, nodeId, keys: [] }),
      ...encodeExtension({ number: MAX_NUMBER }),
    ];
    const at = { host: "0.0.0.0", port: 5000, shared: false, sendsMulticast: false, multicastLoopback: false };
    const unknownNode = await made.network.host("10.0.0.66").bind({ ...at, multicastTtl: 1 }, {
      message() {},
      error() {},
    });
    made.network.set({ drop: ({ data }) => data[1] === STATE });
    void unknownNode.send(Uint8Array.from(forged), b.host.address, b.mesh.port);
    await made.advance(100);
    assert(b.mesh.metrics().missing > 0);
    made.network.set({ drop: () => false });
    await made.advance(2000);
    const { missing, recovered } = b.mesh.metrics();
    assertEquals([missing, recovered, gapEvents(b), statusOf(b, a)?.state], [0, 0, 0, "current"]);
    await made.close();
  });

  test("an answer that was late because of a stall does not delay retransmissions for long", async () => {
    for (const index of [0, 1]) {
      const { made, a, b, clock } = await scene(2, () => ({ batchSize: 1, queueSize: 5000, minSendRate: 20_000 }));
      const still = made.nodes[index] as SceneNode;
      // The second shows that the first is missing, and the answer to its NAK is late.
      made.loseFirst(a, 1);
      await publishAll(made, a, ["first"], 0);
      await publishAll(made, a, ["second"], 0);
      await clock.runUntil(() => b.mesh.metrics().naksSent > 0, 1000);
      still.host.pause();
      await made.advance(3000);
      still.host.resume();
      await made.advance(3000);
      assertEquals(keysOf(b).length, 2);
      // Both the copy to the group and the unicast one must be lost.
      made.network.set({ loss: 0.5 });
      const count = sized(4000, 1500);
      for (const key of names(count)) await a.mesh.publish(key);
      await clock.runUntil(() => keysOf(b).length === count + 2, 5000);
      assertEquals(gapEvents(b), 0);
      await made.close();
    }
  });

  test("the random loss of one datagram in fifty does not slow the sender down", async () => {
    const { made, a, b, clock } = await scene(2, () => ({ batchSize: 1 }));
    await publishAll(made, a, ["first"], 300);
    // Both the copy to the group and the unicast one must be lost.
    made.network.set({ loss: Math.sqrt(0.02) }, { to: b.host.address });
    const publishing = (async () => {
      for (const key of names(5000)) await a.mesh.publish(key);
    })();
    for (let i = 0; i < 20; i++) {
      await made.advance(10);
      assert(a.mesh.metrics().sendRate >= 30_000, `${a.mesh.metrics().sendRate} a second`);
    }
    await publishing;
    assert(b.mesh.metrics().missing > 50);
    await clock.runUntil(() => keysOf(b).length === 5001, 1000);
    await made.close();
  });

  test("a slow receiver cannot push the sender below `minSendRate`, nor delay the other receivers", async () => {
    const [min, count] = [1000, 3000];
    const options = { minSendRate: min, maxSendRate: 20_000, batchSize: 1, queueSize: 10 };
    const { made, a, b, clock } = await scene(3, () => options);
    const c = made.nodes[2] as SceneNode;
    made.network.set({ loss: 0.6 }, { to: b.host.address });
    const rates: number[] = [];
    let done = false;
    const publishing = (async () => {
      for (const key of names(count)) await a.mesh.publish(key);
      done = true;
    })();
    const start = clock.now();
    while (!done && clock.now() < start + 10_000) {
      await made.advance(50);
      rates.push(a.mesh.metrics().sendRate);
    }
    await publishing;
    // Retransmissions and batches are sent in turn, so that at worst half of the rate is left for batches.
    assert(clock.now() - start <= 2 * (count / min) * 1000 + 100, `${clock.now() - start} ms`);
    assert(Math.min(...rates) >= min);
    assert(Math.min(...rates) < 20_000, "loss did not slow the sender down");
    await made.advance(100);
    assertEquals(keysOf(c).length, count);
    made.network.set({ loss: 0 });
    await made.advance(5000);
    assert(gapEvents(b) > 0 || new Set(keysOf(b)).size === count);
    await made.close();
  });
});

describe("first contact", () => {
  test("keys that a node published before it was heard, and after the receiver opened, arrive", async () => {
    const { made, a } = await scene(1, () => ({ heartbeat: 1000 }));
    await publishAll(made, a, names(5));
    await made.advance(3000);
    made.network.partition([[hostAddress(0)], [hostAddress(1)]]);
    const b = await made.add({ heartbeat: 1000 });
    await made.advance(500);
    await publishAll(made, a, names(20, 6));
    await made.advance(300);
    made.network.heal();
    await made.advance(1500);
    assertEquals(keysOf(b).sort(), names(20, 6).sort());
    assertEquals([gapsOf(b).length, statusOf(b, a)?.state], [0, "current"]);
    await made.close();
  });

  test("a node that has long been silent gets one request, and there is no gap", async () => {
    const { made, a } = await scene(1, () => ({ heartbeat: 1000 }));
    await publishAll(made, a, names(5));
    await made.advance(3000);
    const b = await made.add({ heartbeat: 1000 });
    await made.advance(1500);
    assertEquals(keysOf(b), []);
    assertEquals(gapsOf(b).length, 0);
    assertEquals(made.sent.filter(({ data }) => data[1] === CATCH_UP).length, 1);
    assertEquals(made.sent.filter(({ data }) => data[1] === NAK).length, 0);
    await made.close();
  });

  test("batches that the retransmit buffer no longer holds are a gap", async () => {
    const { made, a } = await scene(1, () => ({ heartbeat: 1000, repairAge: 200 }));
    made.network.partition([[hostAddress(0)], [hostAddress(1)]]);
    const b = await made.add({ heartbeat: 1000 });
    await made.advance(500);
    await publishAll(made, a, names(5));
    await made.advance(500);
    made.network.heal();
    await made.advance(1500);
    assertEquals(keysOf(b), []);
    assertEquals(gapEvents(b), 1);
    assertEquals(gapsOf(b).map(({ reason, node }) => [reason, node]), [["overwritten", a.mesh.nodeId]]);
    await made.close();
  });
});

describe("a partition", () => {
  test("that is shorter than the buffer's time and the timeout leaves no gap", async () => {
    const { made, a, b } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 10_000 }));
    made.network.partition([[hostAddress(0)], [hostAddress(1)]]);
    await publishAll(made, a, names(200), 20);
    await publishAll(made, b, names(100, 1000), 20);
    assertEquals([keysOf(a).length, keysOf(b).length], [0, 0]);
    made.network.heal();
    await made.advance(2500);
    assertEquals([keysOf(a).sort(), keysOf(b).sort()], [names(100, 1000).sort(), names(200).sort()]);
    assertEquals([gapEvents(a), gapEvents(b)], [0, 0]);
    assertEquals([statusOf(a, b)?.state, statusOf(b, a)?.state], ["current", "current"]);
    await made.close();
  });

  test("that outlasts the buffer is a gap of only what is no longer held, as soon as it ends", async () => {
    const count = 200;
    const { made, a, b, clock } = await scene(2, (i) => ({
      heartbeat: 1000,
      peerTimeout: 60_000,
      batchSize: 1,
      ...(i === 0 ? { repairBytes: 65_536 } : {}),
    }));
    made.network.partition([[hostAddress(0)], [hostAddress(1)]]);
    await publishAll(made, a, names(count).map((name) => name.padEnd(1000, "-")), 5);
    made.network.heal();
    await clock.runUntil(() => gapsOf(b).length > 0, 1100);
    await made.advance(1000);
    const [gap] = gapsOf(b);
    assert(gap !== undefined && gap.to !== undefined);
    assertEquals([gap.from, gap.reason, gap.node, gapsOf(b).length], [1, "overwritten", a.mesh.nodeId, 1]);
    // The buffer holds 65,536 bytes, that is 62 datagrams of 1,036 at most.
    assert(gap.to >= count - 63 && gap.to < count - 10, `to ${gap.to}`);
    assertEquals(keysOf(b).length, count - gap.to);
    assertEquals(gapEvents(b), 1);
    await made.close();
  });

  test("that is longer than the timeout is a gap at the timeout, and the stream continues where it was", async () => {
    const { made, a, b } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 5000 }));
    await publishAll(made, a, names(3));
    made.network.partition([[hostAddress(0)], [hostAddress(1)]]);
    await made.advance(7000);
    await publishAll(made, a, names(3, 4));
    assertEquals(gapsOf(b).map(({ reason, to }) => [reason, to]), [["lost", undefined]]);
    assertEquals(gapEvents(b), 1);
    made.network.heal();
    await made.advance(2500);
    assertEquals(keysOf(b), names(6));
    assertEquals([gapEvents(b), statusOf(b, a)?.state], [1, "current"]);
    await made.close();
  });
});

describe("the end of a node", () => {
  test("that crashes is one gap, after its timeout", async () => {
    const { made, a, b } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 5000 }));
    await publishAll(made, a, names(3));
    await made.advance(1000);
    a.host.crash();
    await made.advance(3900);
    assertEquals(gapsOf(b), []);
    await made.advance(2000);
    assertEquals(gapsOf(b).map(({ reason, node, to }) => [reason, node, to]), [["lost", a.mesh.nodeId, undefined]]);
    assertEquals(b.got.filter(({ cause }) => cause !== "publish"), [{ key: "", cause: "gap" }]);
    assertEquals(b.events.filter(({ type }) => type === "peerLeft").map((event) => "reason" in event && event.reason), [
      "expired",
    ]);
    await made.advance(60_000);
    assertEquals([gapsOf(b).length, gapEvents(b)], [1, 1]);
    await made.close();
  });

  test("that leaves is no gap, though its last batches were lost", async () => {
    const { made, a, b, clock } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 5000 }));
    made.loseFirst(a, 2, 3);
    await publishAll(made, a, names(2));
    void a.mesh.publish("key:3");
    const start = clock.now();
    await clock.run(a.mesh.close(), 1000);
    assert(clock.now() - start < 300, `${clock.now() - start} ms`);
    assertEquals(keysOf(b).sort(), names(3));
    await made.advance(60_000);
    assertEquals([gapsOf(b).length, gapEvents(b)], [0, 0]);
    assertEquals(b.events.filter(({ type }) => type === "peerLeft").map((event) => "reason" in event && event.reason), [
      "left",
    ]);
    assertEquals(b.mesh.peers(), []);
    await made.close();
  });

  test("that leaves waits for peers that miss something, though their NAKs are lost", async () => {
    const { made, a, b, clock } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 5000 }));
    const start = clock.now();
    made.network.set({ drop: ({ data }) => data[1] === BATCH || data[1] === NAK });
    void a.mesh.publish("late");
    const closing = a.mesh.close();
    await made.advance(200);
    made.network.set({ drop: undefined });
    await clock.run(closing, 1000);
    assert(clock.now() - start < 800, `${clock.now() - start} ms`);
    await made.advance(3000);
    assertEquals([keysOf(b), gapEvents(b)], [["late"], 0]);
    await made.close();
  });

  test("that leaves after its time to send waits for its peers, however short its heartbeats are", async () => {
    const slow = { batchSize: 1, queueSize: 1000, minSendRate: 1, maxSendRate: 5 };
    const scene = await Scene.open(2, () => ({ heartbeat: 200, ...slow }));
    const [publisher, receiver] = scene.nodes as [SceneNode, SceneNode];
    const { clock } = scene.network;
    await scene.advance(1000);
    for (let i = 0; i < 60; i++) void publisher.mesh.publish(`key:${i}`);
    await scene.advance(1);
    scene.network.set({ delay: { min: 40, max: 40 } });
    await clock.run(publisher.mesh.close(), 5000);
    await scene.advance(500);
    // What could not be sent is a gap, which the publisher has stayed to report.
    assertEquals(gapsOf(receiver).map(({ reason }) => reason), ["overwritten"]);
    await clock.run(receiver.mesh.close(), 5000);
  });

  test("that leaves does not wait for a peer that left while it was still sending", async () => {
    const scene = await Scene.open(2, () => ({ batchSize: 1, queueSize: 1000, minSendRate: 1, maxSendRate: 5 }));
    const [publisher, other] = scene.nodes as [SceneNode, SceneNode];
    const { clock } = scene.network;
    await scene.advance(1000);
    for (let i = 0; i < 60; i++) void publisher.mesh.publish(`key:${i}`);
    await scene.advance(1);
    const begun = scene.now;
    await clock.run(Promise.all([publisher.mesh.close(), other.mesh.close()]), 5000);
    // 0.6 s to send, and 30 ms for a probe.
    assert(scene.now - begun < 700, `${scene.now - begun}`);
  });

  test("that leaves unheard is a gap after its timeout", async () => {
    const { made, a, b, clock } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 5000 }));
    made.network.partition([[hostAddress(0)], [hostAddress(1)]]);
    void a.mesh.publish("unheard");
    await clock.run(a.mesh.close(), 3000);
    await made.advance(6000);
    assertEquals(gapsOf(b).map(({ reason }) => reason), ["lost"]);
    assertEquals(keysOf(b), []);
    await made.close();
  });

  test("that leaves during a long retransmission is a gap within 4 s", async () => {
    const { made, a, b, clock } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 60_000 }));
    made.network.set({ drop: ({ data }) => data[1] === BATCH });
    await publishAll(made, a, names(5));
    await clock.run(a.mesh.close(), 3000);
    await made.advance(3000);
    assertEquals(gapsOf(b).map(({ reason, from, to }) => [reason, from, to]), [["left", 1, 5]]);
    assertEquals(gapEvents(b), 1);
    await made.close();
  });
});

test("gaps soon after another come in one more round, and are not dropped", async () => {
  const options = { heartbeat: 1000, peerTimeout: 5000 };
  const { made, a } = await scene(1, () => options);
  for (let i = 0; i < 3; i++) {
    await made.advance(20);
    await made.add(options);
  }
  await made.advance(2000);
  const times: number[] = [];
  a.mesh.subscribe({ prefix: "" }, ({ cause }) => cause === "gap" && times.push(made.now));
  // Each is lost a while after its last batch, so they are lost 20 ms one after another.
  for (const node of made.nodes.slice(1)) {
    await publishAll(made, node, [`last of ${node.mesh.nodeId}`], 20);
    node.host.crash();
  }
  await made.advance(7000);
  assertEquals([gapsOf(a).length, gapEvents(a), a.mesh.metrics().gaps], [3, 2, 3]);
  const [first = 0, second = 0] = times;
  assert(Math.abs(second - first - 100) < 0.01, `${times}`);
  await made.close();
});

describe("status", () => {
  test("shows what is missing, and since when nothing is known", async () => {
    const { made, a, b } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 10_000 }));
    assertEquals([statusOf(b, a)?.state, statusOf(b, a)?.position, statusOf(b, a)?.missing], ["current", 0, 0]);
    made.network.set({ drop: ({ data }) => data[1] === BATCH });
    await publishAll(made, a, names(3), 60);
    assertEquals([statusOf(b, a)?.state, statusOf(b, a)?.position, statusOf(b, a)?.missing], ["repairing", 0, 3]);
    assertEquals(b.mesh.status().state, "repairing");
    made.network.set({ drop: undefined });
    await made.advance(2000);
    assertEquals([statusOf(b, a)?.state, statusOf(b, a)?.position, statusOf(b, a)?.missing], ["current", 3, 0]);
    made.network.cut(a.host.address, b.host.address);
    await made.advance(5000);
    const { staleness } = b.mesh.status();
    assert(staleness >= 4900 && staleness <= 6100, `${staleness}`);
    made.network.heal();
    await made.advance(1100);
    assert(b.mesh.status().staleness <= 1100);
    await made.close();
  });

  test("of a mesh alone is current, and a plain peer, whose losses cannot be known, is counted apart", async () => {
    const alone = await scene(1);
    assertEquals([alone.a.mesh.status().state, alone.a.mesh.status().staleness], ["current", 0]);
    await alone.made.close();
    const { made, a, b } = await scene(2, (i) => i === 0 ? {} : { wire: "go-warp" });
    const { state, staleness, plain } = a.mesh.status();
    assertEquals([state, staleness, plain], ["current", 0, 1]);
    assertEquals([statusOf(a, b)?.state, statusOf(a, b)?.staleness], ["plain", Infinity]);
    assertEquals(b.mesh.status().staleness, Infinity, "a node without numbers knows of no loss");
    await made.close();
  });
});

describe("a load guard", () => {
  test("is fresh until its key is touched by another node, by the node itself, by a gap or by close", async () => {
    const { made, a, b } = await scene(2, () => ({ heartbeat: 1000, peerTimeout: 5000 }));
    const guards = ["other", "own", "untouched"].map((key) => b.mesh.guard(key));
    const fresh = () => guards.map((guard) => guard.isFresh());
    await publishAll(made, a, ["something"]);
    assertEquals(fresh(), [true, true, true]);
    await publishAll(made, a, ["other"], 5);
    assertEquals(fresh(), [false, true, true]);
    await publishAll(made, b, ["own"], 5);
    assertEquals(fresh(), [false, false, true]);
    assert(b.mesh.guard("other").isFresh());
    a.host.crash();
    await made.advance(7000);
    assertEquals(fresh(), [false, false, false]);
    const last = b.mesh.guard("last");
    assert(last.isFresh());
    await made.close();
    assert(!last.isFresh());
  });
});

describe('with `wire: "go-warp"`', () => {
  test("a node sends what go-warp would, byte for byte, and nothing else", async () => {
    const { made, a, b } = await scene(3, (i) => i === 0 ? { wire: "go-warp" } : {});
    made.network.set({ loss: 0.3 });
    for (const [node, start] of [[a, 1], [b, 100]] as const) await publishAll(made, node, names(20, start), 5);
    await made.advance(6000);
    await made.close();
    const own = made.sent.filter(({ from }) => from.host === a.host.address);
    assertEquals([...new Set(own.map(({ data }) => data[1]))].sort(), [HEARTBEAT, BATCH]);
    for (const { data } of own) {
      const packet = decodePacket(data);
      assertEquals(packet.rest.length, 0);
      assert("key" in packet || "keys" in packet);
      assertEquals(encodePacket(packet), data);
      if ("keyHash" in packet) assertEquals(packet.keyHash, 0n);
    }
    const others = new Set(made.sent.filter(({ from }) => from.host !== a.host.address).map(({ data }) => data[1]));
    assert(others.has(LEAVE) && others.has(STATE));
  });

  test("a node gets keys of the others without a gap or a NAK, whatever is lost", async () => {
    const { made, a, b } = await scene(
      2,
      (i) => ({ heartbeat: 500, peerTimeout: 2000, ...(i === 0 ? { wire: "go-warp" } : {}) }),
    );
    made.network.set({ loss: 0.5 });
    await publishAll(made, b, names(20), 5);
    await made.advance(1000);
    b.host.crash();
    await made.advance(5000);
    assertEquals([gapsOf(a).length, gapEvents(a)], [0, 0]);
    assert(keysOf(a).length > 0);
    await made.close();
  });
});

test("nothing but heartbeats is sent on an idle mesh", async () => {
  const { made, a } = await scene(4, () => ({ heartbeat: 1000 }));
  await publishAll(made, a, names(10));
  await made.advance(1000);
  const before = made.sent.length;
  await made.advance(20_000);
  const types = new Set(made.sent.slice(before).map(({ data }) => data[1]));
  assertEquals([...types], [HEARTBEAT]);
  await made.close();
});
