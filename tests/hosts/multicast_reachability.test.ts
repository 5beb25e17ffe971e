// Multicast reachability: five hosts, of all three runtimes, where multicast works in one direction only, or stops.
// Nodes that do not hear it get copies, and no others.

import { assertEquals } from "@std/assert";
import { type HostNode, type HostProcess, withHostProcesses } from "../support/host_process.ts";
import { assertWithin, FIVE, fullMesh, heartbeats, since, startCast, Talk, until } from "./support/host_mesh.ts";
import { hostTest, withHosts } from "./support/netns.ts";

const HEARTBEAT = 500;

/** Copies that each host gets when all publish a key, if multicast works in one direction only for one of them. */
const WAYS = [
  { title: "Bun does not hear multicast", block: { to: 2 }, copies: [0, 0, 4, 0, 0] },
  { title: "Deno is not heard by multicast", block: { from: 1 }, copies: [1, 0, 1, 1, 1] },
  { title: "Node hears none, Bun is not heard", block: { to: 0, from: 2 }, copies: [4, 1, 0, 1, 1] },
];

hostTest(
  "nodes that do not hear multicast get copies: one direction from the start, or a path that is lost and works again",
  () =>
    withHosts(FIVE, (hosts, wire) =>
      withHostProcesses(async (start) => {
        const cast = await startCast(start, hosts);
        for (const { title, block: { to, from }, copies } of WAYS) {
          const passes = [
            ...(to === undefined ? [] : [wire.block("multicast", { to: hosts.slice(to, to + 1) })]),
            ...(from === undefined ? [] : [wire.block("multicast", { from: hosts.slice(from, from + 1) })]),
          ];
          const nodes = await openMesh(cast);
          await heartbeats(wire, hosts, 2);
          const talk = new Talk(nodes);
          const before = wire.batches(hosts);
          await talk.round();
          await talk.end();
          assertEquals(since(before, wire.batches(hosts)), { group: 5, copies }, title);
          passes.forEach((pass) => pass());
        }

        const nodes = await openMesh(cast);
        await heartbeats(wire, hosts, 2);
        const talk = new Talk(nodes);
        const speaker = nodes[4] as HostNode;
        // Copies of one key to each of the hosts. A lost one is retransmitted on request, and that is no copy.
        const copies = async (): Promise<string> => {
          const [before, { retransmitsSent }] = [wire.batches(hosts), await speaker.metrics()];
          await talk.say(speaker);
          const again = (await speaker.metrics()).retransmitsSent - retransmitsSent;
          return again > 0 ? "retransmissions" : since(before, wire.batches(hosts)).copies.join(" ");
        };
        const [none, three] = ["0 0 0 0 0", "1 1 1 0 0"];
        assertEquals(await copies(), none);
        const [lostAt, pass] = [performance.now(), wire.block("multicast", { to: hosts.slice(0, 3) })];
        await until(async () => await copies() === three, "copies for those who have lost the path");
        assertWithin("paths are lost: copies after", performance.now() - lostAt, 2 * HEARTBEAT);
        assertEquals(await copies(), three);
        pass();
        const backAt = performance.now();
        await until(async () => await copies() === none, "no copies any more");
        assertWithin("paths are back: no copies after", performance.now() - backAt, 2 * HEARTBEAT);
        assertEquals(await copies(), none);
        assertEquals(nodes.flatMap((node) => node.events().filter(({ value }) => value.type === "peerLeft")), []);
        await talk.end();
      })),
);

async function openMesh(cast: readonly HostProcess[]): Promise<HostNode[]> {
  const nodes = await Promise.all(cast.map((process) => process.open({ heartbeat: HEARTBEAT })));
  await fullMesh(nodes);
  return nodes;
}
