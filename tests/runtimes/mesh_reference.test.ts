// The tests of go-warp's mesh package, under their own names.

import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { freePort } from "../support/free_port.ts";
import { allOf, happened, next, openMany, patient, peersKnown, withMeshes } from "../support/meshes.ts";

test("TestMeshIntegration: what one node publishes, another gets", () =>
  withMeshes(async (open) => {
    const [a, b] = await openMany(open, 2);
    assert(a && b);
    const events = b.subscribe("test-key");
    await a.publish("test-key");
    assertEquals(await next(events), { key: "test-key", cause: "publish" });
  }));

test("TestMeshLoopback: a node does not get what it published itself", () =>
  withMeshes(async (open) => {
    const [a, b] = await openMany(open, 2);
    assert(a && b);
    let own = 0;
    a.subscribe("loop-key", () => own++);
    const answer = a.subscribe("answer");
    const heard = b.subscribe("loop-key");
    await a.publish("loop-key");
    await next(heard);
    // The answer is sent after the key came back to its sender by multicast, so both have arrived.
    await b.publish("answer");
    await next(answer);
    assertEquals(own, 0);
  }));

test("TestMeshGossip: a seed learns of the node that knows it", () =>
  withMeshes(async (open) => {
    const [portA, portB] = [await freePort(), await freePort()];
    const addressA = `127.0.0.1:${portA}`;
    const addressB = `127.0.0.1:${portB}`;
    const a = await open({ port: portA, advertiseAddr: addressA, heartbeat: 500 });
    const b = await open({ port: portB, advertiseAddr: addressB, peers: [addressA], heartbeat: 500 });
    await peersKnown(a, 1);
    await peersKnown(b, 1);
    assertEquals(a.peers(), [addressB]);
    assertEquals(b.peers(), [addressA]);
  }));

test("TestMeshMultiNode: ten nodes with a port each and one seed, and every one of nine gets the key", () =>
  withMeshes(async (open) => {
    const ports = await Promise.all(Array.from({ length: 10 }, freePort));
    const seed = `127.0.0.1:${ports[0]}`;
    const options = (port: number) => ({ port, advertiseAddr: `127.0.0.1:${port}`, heartbeat: 500 });
    const first = await open(options(ports[0] as number));
    const others = await Promise.all(ports.slice(1).map((port) => open({ ...options(port), peers: [seed] })));
    await peersKnown(first, 9);
    const subscriptions = others.map((node) => node.subscribe("multi-node-sync"));
    await first.publish("multi-node-sync");
    const events = await Promise.all(subscriptions.map(next));
    assertEquals(events.map((event) => event.key), Array(9).fill("multi-node-sync"));
  }));

test("TestMeshMultiNode on one shared port: ten nodes without a seed all know and hear each other", () =>
  withMeshes(async (open) => {
    const nodes = await openMany(open, 10);
    const subscriptions = nodes.map((node) => node.subscribe({ prefix: "" }, { capacity: 1000 }));
    await Promise.all(nodes.map((node, i) => node.publish(`from-${i}`)));
    const keys = nodes.map((_, i) => `from-${i}`);
    await Promise.all(subscriptions.map((events, i) => allOf(events, keys.filter((key) => key !== `from-${i}`))));
  }));

test("BenchmarkMeshPublish: a key that is pending is not queued again", () =>
  withMeshes(async (open) => {
    const [a, b] = await openMany(open, 2);
    assert(a && b);
    const done = b.subscribe("done");
    // All of this is one turn of the event loop, so nothing leaves before its end.
    for (let i = 0; i < 1000; i++) void a.publish("bench-key");
    assertEquals(a.metrics().pending, 1);
    await a.publish("done");
    await next(done);
    assertEquals(a.metrics().keysPublished, 2);
  }));

test("a peer that falls silent is forgotten after peerTimeout", () =>
  withMeshes(async (open) => {
    const options = { peerTimeout: 1000, heartbeat: 250 };
    const a = await open(options);
    // With go-warp's wire there is no leave.
    const b = await open({ ...options, port: a.port, wire: "go-warp" });
    await Promise.all([a, b].map((mesh) => peersKnown(mesh, 1)));
    const left = happened(a, (event) => event.type === "peerLeft");
    await b.close();
    const event = await left;
    assertEquals(event, { type: "peerLeft", peer: { id: b.nodeId, address: b.address }, reason: "expired" });
    assertEquals(a.peers(), []);
  }));

test("a peer that closes is forgotten at once, which go-warp cannot detect", () =>
  withMeshes(async (open) => {
    const [a, b] = await openMany(open, 2, { heartbeat: 3_600_000 });
    assert(a && b);
    const left = happened(a, (event) => event.type === "peerLeft");
    await b.close();
    assertEquals(await left, { type: "peerLeft", peer: { id: b.nodeId, address: b.address }, reason: "left" });
    assertEquals(a.peers(), []);
  }));

test("a mesh on another port hears nothing", () =>
  withMeshes(async (open) => {
    const [a, b] = await openMany(open, 2);
    const other = await open();
    assert(a && b);
    assert(other.port !== a.port);
    const got = b.subscribe("key");
    let heard = 0;
    other.subscribe({ prefix: "" }, () => heard++);
    await a.publish("key");
    await patient(next(got), () => "the key");
    assertEquals([heard, other.peers()], [0, []]);
  }));
