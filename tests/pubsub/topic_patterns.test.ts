// Topics that end in `*`: such a topic is a key like any other, and nearly always a mistake, so it is reported.
import { describe, test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { InProcessBus, MeshBus, type MeshEvent, type Topic } from "../../mod.ts";

const [A, B] = ["10.0.0.1", "10.0.0.2"] as const;

async function withPair(body: (mesh: MeshBus, other: MeshBus, network: MemoryNetwork) => Promise<void>): Promise<void> {
  const network = new MemoryNetwork();
  const open = (address: string) =>
    network.clock.run(MeshBus.open({ ...network.host(address), batchInterval: 0 }), 1000);
  const pair = [await open(A), await open(B)] as const;
  await network.clock.runUntil(() => pair.every((mesh) => mesh.peers().length === 1), 5000);
  try {
    await body(...pair, network);
  } finally {
    await network.clock.run(Promise.all(pair.map((mesh) => mesh.close())), 5000);
  }
}

/** The errors of subscribing that a mesh reports. */
function reportedBy(mesh: MeshBus): { readonly messages: string[]; readonly suppressed: number[] } {
  const messages: string[] = [];
  const suppressed: number[] = [];
  mesh.events.listen((event: MeshEvent) => {
    if (event.type !== "error" || event.stage !== "subscribe") return;
    messages.push(event.error.message);
    suppressed.push(event.suppressed);
  });
  return { messages, suppressed };
}

function message(text: string, prefix: string): string {
  return `Cannot match keys by a pattern as \`*\` is no wildcard: current value is "${text}" ` +
    `(did you mean { prefix: "${prefix}" }?)`;
}

describe("a topic that ends in *", () => {
  const topics: readonly (readonly [Topic, string, string])[] = [
    ["user:*", "user:*", "user:"],
    ["user:**", "user:**", "user:"],
    ["*", "*", ""],
    [{ prefix: "user:*" }, "user:*", "user:"],
  ];
  for (const [topic, text, prefix] of topics) {
    test(`is an error event of a mesh: ${JSON.stringify(topic)}`, () =>
      withPair(async (mesh) => {
        const { messages } = reportedBy(mesh);
        mesh.subscribe(topic, () => {});
        assertEquals(messages, [message(text, prefix)]);
      }));
  }

  test("is one of a lease too, and of a subscription that is iterated", () =>
    withPair(async (mesh, _, network) => {
      const { messages } = reportedBy(mesh);
      mesh.subscribeLease("job:*");
      await network.clock.advance(1000);
      mesh.subscribe("user:*");
      assertEquals(messages, [message("lease:job:*", "lease:job:"), message("user:*", "user:")]);
    }));

  test("is subscribed to all the same: to the key of that name", () =>
    withPair(async (mesh, other, network) => {
      const heard: string[] = [];
      mesh.subscribe("user:*", ({ key, cause }) => heard.push(`${cause} ${key}`));
      await other.publish("user:1");
      await other.publish("user:*");
      await network.clock.advance(100);
      assertEquals(heard, ["publish user:*"]);
    }));

  test("is kept for a later listener, and reported once a second at most", () =>
    withPair(async (mesh, _, network) => {
      for (let i = 0; i < 1000; i++) mesh.subscribe(`${i}:*`, () => {}).close();
      const { messages, suppressed } = reportedBy(mesh);
      assertEquals(messages, [message("0:*", "0:")]);
      await network.clock.advance(1000);
      mesh.subscribe("last:*", () => {});
      assertEquals([messages.length, suppressed], [2, [0, 999]]);
    }));

  test("is no error when the star is elsewhere, or the subscription refused", () =>
    withPair(async (mesh) => {
      const { messages } = reportedBy(mesh);
      for (const topic of ["*:user", "us*er", "user:"]) mesh.subscribe(topic, () => {});
      mesh.subscribe({ prefix: "" }, () => {});
      assertThrows(() => mesh.subscribe("user:*", { capacity: 0 }), RangeError);
      assertEquals(messages, []);
    }));

  test("goes to `onError` of a bus in one process, and of its replicas", async () => {
    const reported: unknown[] = [];
    const bus = new InProcessBus({ onError: (error) => reported.push(error instanceof TypeError && error.message) });
    const heard: string[] = [];
    bus.replica().subscribe("user:*", ({ key }) => heard.push(key));
    bus.subscribe({ prefix: "user:*" }, { capacity: 1 });
    await bus.publish("user:*");
    assertEquals(reported, [message("user:*", "user:"), message("user:*", "user:")]);
    assertEquals(heard, ["user:*"]);
    assertEquals(new InProcessBus().subscribe("user:*").closed, false);
  });

  test("leaves no subscription when `onError` throws", async () => {
    const bus = new InProcessBus({
      onError(error) {
        throw error;
      },
    });
    assertThrows(() => bus.subscribe("user:*", () => {}, { self: true }), TypeError, "is no wildcard");
    await bus.publishAndAwait("user:*", 0);
    assertEquals(bus.metrics().delivered, 0);
  });
});
