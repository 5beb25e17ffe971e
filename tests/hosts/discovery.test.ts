// Discovery: five hosts, of all three runtimes, find each other by multicast, by a seed, by both, with IPv4 and IPv6.

import { assertEquals } from "@std/assert";
import type { MeshOptions } from "../../mod.ts";
import { type HostNode, type HostProcess, withHostProcesses } from "../support/host_process.ts";
import { assertWithin, FIVE, fullMesh, heartbeats, openedAt, since, startCast, Talk } from "./support/host_mesh.ts";
import { hostTest, withHosts } from "./support/netns.ts";

const HEARTBEAT = 500;
const OPTIONS: MeshOptions = { heartbeat: HEARTBEAT };
const NONE = [0, 0, 0, 0, 0];
const SIX: readonly (readonly [string])[] = [1, 2, 3, 4, 5].map((i) => [`fd77::${i}`]);

/** Time from the opening of the last of `late` until each of these nodes knows all others. */
async function meshTime(nodes: readonly HostNode[], late: readonly HostNode[]): Promise<number> {
  const formed = await fullMesh(nodes);
  return formed - Math.max(...await Promise.all(late.map(openedAt)));
}

hostTest(
  "five hosts by multicast, then ten nodes: all know each other, and a publish is one datagram on the wire",
  () =>
    withHosts(FIVE, (hosts, wire) =>
      withHostProcesses(async (start) => {
        const cast = await startCast(start, hosts);
        const nodes = await Promise.all(cast.slice(1).map((process) => process.open(OPTIONS)));
        nodes.push(...await Promise.all(cast.slice(0, 1).map((process) => process.open(OPTIONS))));
        assertWithin("five by multicast", await meshTime(nodes, nodes.slice(-1)), 100);
        const talk = new Talk(nodes);
        const begin = wire.batches(hosts);
        await heartbeats(wire, hosts, 2);
        await talk.round();
        assertEquals(since(begin, wire.batches(hosts)), { group: 5, copies: NONE });

        const late = await Promise.all(cast.map((process) => process.open(OPTIONS)));
        nodes.push(...late);
        talk.join(late);
        assertWithin("ten by multicast", await meshTime(nodes, late), 100);
        // There are two nodes on each host.
        await heartbeats(wire, hosts, 5);
        const beginTen = wire.batches(hosts);
        for (const node of nodes) {
          const before = wire.batches(hosts);
          await talk.say(node);
          assertEquals(since(before, wire.batches(hosts)), { group: 1, copies: NONE }, node.name);
        }
        await talk.end();
        assertEquals(since(beginTen, wire.batches(hosts)), { group: 10, copies: NONE });
      })),
);

hostTest(
  "five hosts by one seed: ten nodes without multicast, and three hosts with multicast and two without",
  () =>
    withHosts(FIVE, (hosts, wire) =>
      withHostProcesses(async (start) => {
        const cast = await startCast(start, hosts);
        const options: MeshOptions = { ...OPTIONS, peers: ["10.77.1.1"] };
        const open = (processes: readonly HostProcess[]): Promise<HostNode[]> =>
          Promise.all(processes.map((process) => process.open(options)));

        const pass = wire.block("multicast");
        const [seed, others] = [cast.slice(0, 1), [...cast.slice(1), ...cast]];
        for (const [when, first, second] of [["first", seed, others], ["last", others, seed]] as const) {
          const nodes = await open(first);
          const late = await open(second);
          nodes.push(...late);
          assertWithin(`ten by a seed that opens ${when}`, await meshTime(nodes, late), 2 * HEARTBEAT);
          await heartbeats(wire, hosts, 5);
          const talk = new Talk(nodes);
          const before = wire.batches(hosts);
          await talk.round();
          await talk.end();
          // Of ten publishers, eight are not on the same host; they get multicast there.
          assertEquals(since(before, wire.batches(hosts)), { group: 10, copies: NONE.map(() => 2 * 8) });
        }
        pass();

        wire.block("multicast", { from: hosts.slice(3) });
        wire.block("multicast", { to: hosts.slice(3) });
        const nodes = await open(cast);
        assertWithin("half and half", await meshTime(nodes, nodes), 2 * HEARTBEAT);
        await heartbeats(wire, hosts, 2);
        const talk = new Talk(nodes);
        const before = wire.batches(hosts);
        for (const node of nodes.slice(0, 3)) await talk.say(node);
        assertEquals(since(before, wire.batches(hosts)), { group: 3, copies: [0, 0, 0, 3, 3] });
        for (const node of nodes.slice(3)) await talk.say(node);
        await talk.end();
        assertEquals(since(before, wire.batches(hosts)), { group: 5, copies: [2, 2, 2, 4, 4] });
      })),
);

hostTest(
  "five hosts with IPv6: by multicast, and by a seed without it",
  () =>
    withHosts(SIX, (hosts, wire) =>
      withHostProcesses(async (start) => {
        const cast = await startCast(start, hosts);
        const options: MeshOptions = { ...OPTIONS, family: 6 };
        const nodes = await Promise.all(cast.map((process) => process.open(options)));
        assertWithin("five by multicast with IPv6", await meshTime(nodes, nodes), 100);
        assertEquals(nodes.map(({ address }) => address.replace(/:\d+$/, "")), SIX.map(([address]) => `[${address}]`));
        await heartbeats(wire, hosts, 2);
        const begin = wire.batches(hosts);
        const talk = new Talk(nodes);
        await talk.round();
        await talk.end();
        assertEquals(since(begin, wire.batches(hosts)), { group: 5, copies: NONE });

        wire.block("multicast");
        const seeded = { ...options, peers: ["[fd77::1]:7946"] };
        const others = await Promise.all(cast.map((process) => process.open(seeded)));
        assertWithin("five by one seed with IPv6", await meshTime(others, others), 2 * HEARTBEAT);
        const copied = new Talk(others);
        await copied.round();
        await copied.end();
        assertEquals(since(begin, wire.batches(hosts)), { group: 10, copies: NONE.map(() => 4) });
      })),
);
