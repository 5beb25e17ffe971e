// Membership: five hosts, of all three runtimes, are cut off, leave, crash and come back, by multicast and by seeds
// without it.

import { assertEquals } from "@std/assert";
import type { MeshOptions } from "../../mod.ts";
import { type HostNode, type HostProcess, now, withHostProcesses } from "../support/host_process.ts";
import { assertWithin, FIVE, fullMesh, openedAt, startCast, Talk } from "./support/host_mesh.ts";
import { hostTest, withHosts } from "./support/netns.ts";

const HEARTBEAT = 500;

/** Two meshes of the same processes. The second has one seed on either side of a partition. */
const MESHES: readonly MeshOptions[] = [
  { heartbeat: HEARTBEAT },
  { heartbeat: HEARTBEAT, port: 7947, multicast: false, peers: ["10.77.1.1:7947", "10.77.1.4:7947"] },
];
const NAMES = ["by multicast", "by seeds"];

/** Both meshes, complete: the nodes in the order of the processes. */
async function openBoth(cast: readonly HostProcess[]): Promise<HostNode[][]> {
  const meshes = await Promise.all(
    MESHES.map((options) => Promise.all(cast.map((process) => process.open(options)))),
  );
  await Promise.all(meshes.map((nodes) => fullMesh(nodes)));
  return meshes;
}

hostTest(
  "two and three hosts that are partitioned for longer than the timeout lose each other, and find each other again",
  () =>
    withHosts(FIVE, (hosts, wire) =>
      withHostProcesses(async (start) => {
        const meshes = await openBoth(await startCast(start, hosts));
        const talks = meshes.map((nodes) => new Talk(nodes));
        await Promise.all(talks.map((talk) => talk.round()));
        const partedAt = now();
        const join = wire.part(hosts.slice(0, 2), hosts.slice(2));
        await Promise.all(meshes.map(async (nodes, i) => {
          const sides = [nodes.slice(0, 2), nodes.slice(2)];
          for (const [side, others] of [sides, [...sides].reverse()] as [HostNode[], HostNode[]][]) {
            const lost = await Promise.all(side.map((node) => Promise.all(others.map((other) => node.forgets(other)))));
            assertEquals(new Set(lost.flat().map(({ reason }) => reason)), new Set(["expired"]));
            const last = Math.max(...lost.flat().map(({ at }) => at));
            assertWithin(
              `${NAMES[i]}: ${side.length} hosts have lost ${others.length}`,
              last - partedAt,
              3 * HEARTBEAT,
            );
            for (const node of side) assertEquals(await node.peers(), addressesOf(side, node), node.name);
          }
          // What is published meanwhile is heard on the other side later.
          for (const side of sides) {
            for (const node of side) await talks[i]?.say(node, undefined, side.filter((other) => other !== node));
          }
        }));
        const joinedAt = now();
        join();
        await Promise.all(meshes.map(async (nodes, i) => {
          assertWithin(`${NAMES[i]}: all know each other`, await fullMesh(nodes, joinedAt) - joinedAt, 2 * HEARTBEAT);
          await talks[i]?.round();
          await talks[i]?.settled();
          // No node knew whether the lost peers had published anything.
          await talks[i]?.end({ gaps: true });
        }));
      })),
);

hostTest(
  "a leave is known at once, a restarted process replaces its predecessor, and a crash is detected",
  () =>
    withHosts(FIVE, (hosts) =>
      withHostProcesses(async (start) => {
        const cast = await startCast(start, hosts);
        // They run already: the start time of a process does not matter here.
        const successors = await startCast(start, hosts.slice(0, 3));
        const meshes = await openBoth(cast);
        for (const [i, nodes] of meshes.entries()) {
          for (const leaver of nodes.slice(0, 3)) {
            const others = nodes.filter((node) => node !== leaver);
            const closedAt = await leaver.close();
            assertWithin(
              `${NAMES[i]}: ${leaver.process.runtime} has left`,
              await forgotten(leaver, others, "left") - closedAt,
              100,
            );
            nodes[nodes.indexOf(leaver)] = await leaver.process.open(MESHES[i]);
            await fullMesh(nodes, closedAt);
          }
        }
        await Promise.all(meshes.flat().map((node) => node.close()));

        const open = (process: HostProcess, i: number): Promise<HostNode> =>
          process.open({ heartbeat: HEARTBEAT, peerTimeout: 60_000, advertiseAddr: `10.77.1.${i + 1}:7000` });
        const nodes = await Promise.all(cast.map(open));
        await fullMesh(nodes);
        for (const [i, successor] of successors.entries()) {
          const predecessor = nodes[i] as HostNode;
          await predecessor.process.kill();
          const node = nodes[i] = await open(successor, i);
          assertEquals(node.address, predecessor.address);
          const others = nodes.filter((other) => other !== node);
          const replacedAt = await forgotten(predecessor, others, "replaced");
          assertWithin(`${successor.runtime} has been replaced`, replacedAt - await openedAt(node), 2 * HEARTBEAT);
          await Promise.all([node.knows(others), ...others.map((other) => other.knows([node]))]);
          for (const other of nodes) assertEquals(await other.peers(), addressesOf(nodes, other), other.name);
        }
        const talk = new Talk(nodes);
        await talk.round();
        await talk.end({ gaps: true });

        const again = await openBoth([...successors, ...cast.slice(3)]);
        for (const [i, process] of successors.entries()) {
          const killedAt = await process.kill();
          await Promise.all(again.map(async (nodes, j) => {
            const lostAt = await forgotten(nodes[i] as HostNode, nodes.slice(i + 1), "expired");
            assertWithin(`${NAMES[j]}: ${process.runtime} was killed`, lostAt - killedAt, 3 * HEARTBEAT);
          }));
        }
      })),
);

/** Resolves when all `others` have forgotten a node for this reason, with the time of the last. */
async function forgotten(node: HostNode, others: readonly HostNode[], reason: string): Promise<number> {
  const left = await Promise.all(others.map((other) => other.forgets(node)));
  assertEquals(left.map((each) => each.reason), others.map(() => reason), node.name);
  return Math.max(...left.map(({ at }) => at));
}

/** The addresses of all but `node`. */
function addressesOf(nodes: readonly HostNode[], node: HostNode): readonly string[] {
  return nodes.filter((other) => other !== node).map(({ address }) => address).sort();
}
