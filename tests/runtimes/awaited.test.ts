// Awaited publishes, prefixes, metadata and tokens between processes: each runtime as publisher and as replica.

import { assert, assertEquals, assertRejects } from "@std/assert";
import process from "node:process";
import { describe, test } from "node:test";
import { QuorumUnsupportedError } from "../../mod.ts";
import { happened, openMany, patient, peersKnown, withMeshes } from "../support/meshes.ts";
import { type MeshProcess, type StartNode, startTrio, withProcesses } from "../support/mesh_process.ts";
import { PlainPeer } from "../support/plain_peer.ts";
import { RUNTIMES } from "../support/programs.ts";

/** Longest wait in a process, in milliseconds: the machine may be busy. */
const TIMEOUT = 40_000;
const HEARTBEAT = 100;

const skip = process.platform === "win32" ? "Windows has no signals that stop a process" : false;

/** A process on each runtime, each in a zone of its own, which know each other. */
async function trioOf(start: StartNode): Promise<readonly [MeshProcess, MeshProcess, MeshProcess]> {
  const trio = await startTrio(start);
  const [first, ...others] = trio;
  const { port } = await first.open({ zone: "zone 0" });
  await Promise.all(others.map((child, i) => child.open({ port, zone: `zone ${i + 1}` })));
  await Promise.all(
    trio.map((child) => child.knows(...trio.filter((other) => other !== child).map(({ node }) => node))),
  );
  return trio;
}

describe("a Node, a Deno and a Bun process", () => {
  test("each hands to its subscribers what another one awaits, before that goes on", () =>
    withProcesses(async (start) => {
      const trio = await trioOf(start);
      for (const [i, publisher] of trio.entries()) {
        const others = trio.filter((child) => child !== publisher);
        const all = Object.fromEntries(others.map(({ node }) => [node.nodeId, "delivered"]));
        const wish = { timeout: TIMEOUT };
        assertEquals(await publisher.publishAndAwait(`key ${i}`, wish), { outcomes: all });
        assertEquals(await publisher.publishAndAwait({ prefix: `user ${i}:` }, wish), { outcomes: all });
        const byZone = await publisher.publishAndAwait(`zones ${i}`, { ...wish, zones: 2 });
        assertEquals(byZone, { outcomes: all });
        for (const child of others) {
          const received = await child.received();
          for (const each of [`key ${i}`, `user ${i}:*`, `zones ${i}`]) assert(received.includes(each), each);
        }
        const few = await publisher.publishAndAwait("nobody", { ...wish, zones: 3 });
        assertEquals([few.error, few.outcomes], ["QuorumNotSatisfiedError", {}]);
        const { awaiting } = await publisher.metrics();
        assertEquals(awaiting, 0);
      }
    }));

  test("each gets vector clocks as they were given", () =>
    withProcesses(async (start) => {
      const trio = await trioOf(start);
      const clock = { small: "5", exact: "9007199254740991", large: "18446744073709551615" };
      for (const [i, publisher] of trio.entries()) {
        await publisher.publishAndAwait(`clock ${i}`, { timeout: TIMEOUT, clock });
        for (const child of trio.filter((other) => other !== publisher)) {
          const got = await child.line((line) => line.key === `clock ${i}` ? line.clock : undefined, `clock ${i}`);
          assertEquals(got, clock);
        }
      }
    }));

  test("each reaches the tokens of the others when it has heard of what they stand for", () =>
    withProcesses(async (start) => {
      const trio = await trioOf(start);
      let token: string | undefined;
      for (const [i, writer] of trio.entries()) {
        const keys = Array.from({ length: 50 }, (_, j) => `token ${i}:${j}`);
        await writer.publish(...keys);
        token = await writer.token(token);
        for (const reader of trio) {
          await reader.reached(token);
          const received = new Set(await reader.received());
          for (let k = 0; k <= i; k++) {
            if (trio[k] === reader) continue;
            for (let j = 0; j < 50; j++) {
              assert(received.has(`token ${k}:${j}`), `token ${k}:${j} at ${reader.runtime}`);
            }
          }
        }
      }
    }));

  test("each is waited for until the promise of a callback is settled", () =>
    withProcesses(async (start) => {
      const trio = await trioOf(start);
      const [first, second] = trio;
      await second.settleAfter("slow", 300);
      const begun = performance.now();
      const { outcomes } = await first.publishAndAwait("slow", { timeout: TIMEOUT });
      assertEquals(Object.values(outcomes), ["delivered", "delivered"]);
      // A timer may fire a millisecond early.
      assert(performance.now() - begun >= 290);
    }));
});

for (const runtime of RUNTIMES) {
  test(
    `a ${runtime} process that is stopped has not acknowledged, and does when it goes on`,
    { skip },
    () =>
      withProcesses(async (start) => {
        const [publisher, stopped] = [start("node"), start(runtime)];
        await Promise.all([publisher.started(), stopped.started()]);
        // It must not be down while it is stopped.
        const options = { heartbeat: 2000, peerTimeout: 60_000 };
        const { port } = await publisher.open(options);
        await stopped.open({ ...options, port });
        await Promise.all([publisher.knows(stopped.node), stopped.knows(publisher.node)]);
        stopped.signal("SIGSTOP");
        const refused = await publisher.publishAndAwait("while it is stopped", { timeout: 300 });
        assertEquals(refused, {
          outcomes: {},
          error: "QuorumNotSatisfiedError",
          missing: { [stopped.node.nodeId]: "pending" },
        });
        const later = publisher.publishAndAwait("until it goes on", { timeout: TIMEOUT });
        stopped.signal("SIGCONT");
        assertEquals(await later, { outcomes: { [stopped.node.nodeId]: "delivered" } });
        const received = await stopped.received();
        assert(received.includes("until it goes on") && received.includes("while it is stopped"));
      }),
  );
}

describe("beside a Go node", () => {
  /** Nodes, and a peer that behaves as go-warp does, which know each other. */
  async function withPlain(
    count: number,
    body: (nodes: Awaited<ReturnType<typeof openMany>>, plain: PlainPeer) => Promise<void>,
  ) {
    await withMeshes(async (open) => {
      const nodes = await openMany(open, count);
      const plain = await PlainPeer.open({ heartbeat: HEARTBEAT, port: nodes[0]?.port ?? 0 });
      try {
        await Promise.all(nodes.map((node) => peersKnown(node, count)));
        await body(nodes, plain);
      } finally {
        await plain.close();
      }
    });
  }

  test("alone, nothing can be acknowledged", () =>
    withPlain(1, async ([node]) => {
      assert(node);
      for (const replicas of [1, "all"] as const) {
        await assertRejects(() => node.publishAndAwait("key", replicas), QuorumUnsupportedError);
      }
      assertEquals(node.metrics().keysPublished, 0);
    }));

  test("the others acknowledge, and it gets the keys", () =>
    withPlain(2, async ([a, b], plain) => {
      assert(a && b);
      const { acknowledgements } = await a.publishAndAwait("key", "all", { region: "eu", vectorClock: { a: 1 } });
      assertEquals(acknowledgements.map(({ node }) => node), [b.nodeId]);
      await patient(plain.until(() => plain.keys.includes("key")), () => "the key");
    }));

  test("it hears the keys that stand for a prefix, and others do not; a prefix without them is counted", () =>
    withPlain(2, async ([a, b], plain) => {
      assert(a && b);
      const got: string[] = [];
      b.subscribe({ prefix: "" }, ({ key }) => got.push(key));
      await a.publishAndAwait({ prefix: "user:" }, "all", { goKeys: ["user:1", "user:2"] });
      await Promise.all(
        ["user:1", "user:2"].map((key) => patient(plain.until(() => plain.keys.includes(key)), () => key)),
      );
      await a.publishAndAwait("last", "all");
      assertEquals([got, a.metrics().prefixesUnheard], [["user:", "last"], 0]);
      await a.publish({ prefix: "user:" });
      assertEquals(a.metrics().prefixesUnheard, 1);
    }));
});

test("a peer that leaves while it is awaited counts no longer", () =>
  withMeshes(async (open) => {
    const [a, b] = await openMany(open, 2);
    assert(a && b);
    b.subscribe("key", () => new Promise(() => {}), { deliveredWhen: "settled", settleTimeout: 600_000 });
    const awaited = a.publishAndAwait("key", "all", { timeout: TIMEOUT });
    await b.close();
    assertEquals(await awaited, { acknowledgements: [] });
    await happened(a, ({ type }) => type === "peerLeft");
  }));
