// Mixed runtimes: a Node, a Deno and a Bun process in one mesh, each with its own runtime's sockets.

import { assertEquals, assertMatch } from "@std/assert";
import { createSocket } from "node:dgram";
import { describe, test } from "node:test";
import { encodePacket } from "../../mod.ts";
import { assertMesh } from "../support/assert_mesh.ts";
import { freePort } from "../support/free_port.ts";
import { startTrio, withProcesses } from "../support/mesh_process.ts";
import { RUNTIMES } from "../support/programs.ts";

describe("a mesh of a Node, a Deno and a Bun process", () => {
  test("each uses its runtime's own sockets, or has the reason why not", () =>
    withProcesses(async (start) => {
      for (const child of await startTrio(start)) {
        await child.open();
        const { adapter } = await child.event("opened");
        if (adapter === child.runtime) continue;
        assertEquals([child.runtime, adapter], ["deno", "node"]);
        const { reason } = await child.event("fallback");
        assertMatch(reason, /^Deno\.listenDatagram (is only there with --unstable-net|cannot )/);
      }
    }));

  test("by multicast on one shared port", () =>
    withProcesses(async (start) => {
      const [first, second, third] = await startTrio(start);
      const { port } = await first.open();
      await Promise.all([second.open({ port }), third.open({ port })]);
      await assertMesh([first, second, third]);
    }));

  test("by seeds only, on a port each", () =>
    withProcesses(async (start) => {
      const trio = await startTrio(start);
      const ports = await Promise.all(trio.map(() => freePort()));
      const seeds = ports.map((port) => `127.0.0.1:${port}`);
      await Promise.all(trio.map((child, i) =>
        child.open({
          multicast: false,
          port: ports[i] as number,
          peers: seeds.filter((_, j) => j !== i),
          // The nodes that open last do not exist yet when the first one probes them.
          heartbeat: 500,
        })
      ));
      await assertMesh(trio);
    }));

  for (const [i, runtime] of RUNTIMES.entries()) {
    test(`by seeds only, on one shared port, with the address of ${runtime} as the first seed`, () =>
      withProcesses(async (start) => {
        const trio = await startTrio(start);
        const [first, second, third] = [trio[i], trio[(i + 1) % 3], trio[(i + 2) % 3]] as typeof trio;
        const { port, address } = await first.open({ multicast: false });
        await second.open({ multicast: false, port, peers: [address] });
        await third.open({ multicast: false, port, peers: [address, second.node.address] });
        await assertMesh(trio);
        const addresses = trio.map(({ node }) => node.address);
        assertEquals(new Set(addresses).size, 3);
      }));

    test(`by multicast and seeds together, on one shared port, with ${runtime} by seeds only`, () =>
      withProcesses(async (start) => {
        const trio = await startTrio(start);
        const [alone, second, third] = [trio[i], trio[(i + 1) % 3], trio[(i + 2) % 3]] as typeof trio;
        const { port } = await second.open();
        await third.open({ port });
        await alone.open({ port, multicast: false, peers: [second.node.address, third.node.address] });
        await assertMesh(trio);
      }));
  }

  test("each process can be addressed alone, though all share one port", () =>
    withProcesses(async (start) => {
      const trio = await startTrio(start);
      const [first, second, third] = trio;
      const { port } = await first.open();
      await Promise.all([second.open({ port }), third.open({ port })]);
      for (const child of trio) await sendBatch(`for ${child.runtime} alone`, child.node.address);
      // A later datagram in the same socket shows that all earlier ones have arrived.
      for (const child of trio) await sendBatch("the end", child.node.address);
      for (const child of trio) {
        await child.heard("the end");
        assertEquals(child.keys(), [`for ${child.runtime} alone`, "the end"]);
      }
    }));

  test("one process leaves and comes back on the same port, and the others hear it again", () =>
    withProcesses(async (start) => {
      const trio = await startTrio(start);
      const [first, second, third] = trio;
      const options = { heartbeat: 1000 };
      const { port } = await first.open(options);
      await Promise.all([second.open({ ...options, port }), third.open({ ...options, port })]);
      await assertMesh(trio);
      const before = third.node;
      await third.close();
      await Promise.all([first.forgets(before), second.forgets(before)]);
      await third.open({ ...options, port });
      await Promise.all([first.knows(third.node), second.knows(third.node)]);
      await third.publish("back again");
      await Promise.all([first.heard("back again"), second.heard("back again")]);
    }));
});

/** Sends one key, in the wire's form, to one address alone. */
function sendBatch(key: string, address: string): Promise<void> {
  const [host, port] = address.split(":");
  const data = encodePacket({ type: 3, nodeId: new Uint8Array(16).fill(7), keys: [new TextEncoder().encode(key)] });
  const socket = createSocket("udp4");
  return new Promise((resolve, reject) => {
    socket.send(data, Number(port), host, (error) => {
      socket.close();
      if (error) reject(error);
      else resolve();
    });
  });
}
