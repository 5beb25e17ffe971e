// Process groups: several processes of one host on one port, as the workers of a cluster are. Each has its own address,
// and all receive.

import { assertEquals } from "@std/assert";
import { test } from "node:test";
import type { MeshOptions } from "../../mod.ts";
import { fullMesh, Talk } from "../hosts/support/host_mesh.ts";
import { freePort } from "../support/free_port.ts";
import { type HostNode, withHostProcesses } from "../support/host_process.ts";
import { RUNTIMES, STARTED } from "../support/programs.ts";

const WORKERS = 3;

/** All know each other at addresses of their own, and each gets every key of the others once. */
async function assertGroup(nodes: readonly HostNode[]): Promise<void> {
  await fullMesh(nodes);
  assertEquals(new Set(nodes.map(({ address }) => address)).size, nodes.length, "Each must have an address of its own");
  const talk = new Talk(nodes);
  await talk.round();
  await talk.end();
}

const WAYS: readonly [string, (port: number) => MeshOptions][] = [
  ["by multicast", () => ({})],
  // The system decides which of them gets a datagram to the shared port.
  ["by the port that they share as the only seed", (port) => ({ multicast: false, peers: [`127.0.0.1:${port}`] })],
];

test("the workers of a Node cluster, and processes of each runtime beside them, on one port", () =>
  withHostProcesses(async (start, startCluster) => {
    const cluster = startCluster(WORKERS);
    const others = RUNTIMES.map((runtime) => start(runtime));
    const processes = [...Array.from({ length: WORKERS }, () => cluster), ...others];
    for (const [way, options] of WAYS) {
      const port = await freePort();
      const opened = processes.map((process) =>
        process.open({ interface: "127.0.0.1", heartbeat: 500, port, ...options(port) })
      );
      const nodes = await Promise.all(opened);
      assertEquals(nodes.map((node) => node.port), nodes.map(() => port), way);
      await assertGroup(nodes);
    }
  }));

for (const runtime of STARTED) {
  test(`three processes on ${runtime}, on one port`, () =>
    withHostProcesses(async (start) => {
      const processes = [start(runtime), start(runtime), start(runtime)];
      for (const [, options] of WAYS) {
        const port = await freePort();
        await assertGroup(
          await Promise.all(
            processes.map((process) =>
              process.open({ interface: "127.0.0.1", heartbeat: 500, port, ...options(port) })
            ),
          ),
        );
      }
    }));
}
