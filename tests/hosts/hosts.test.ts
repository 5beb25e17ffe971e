// Several hosts, each in a network namespace of its own, for what the loopback interface cannot show.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { MeshEvent, MeshOptions } from "../../mod.ts";
import { assertMesh } from "../support/assert_mesh.ts";
import { type MeshProcess, RemoteFailure, type StartNode, withProcesses } from "../support/mesh_process.ts";
import { RUNTIMES } from "../support/programs.ts";
import { some } from "../support/size.ts";
import { type Host, hostTest, withHosts } from "./support/netns.ts";

const ADDRESSES = ["10.77.1.1", "10.77.1.2", "10.77.1.3"] as const;
const THREE = ADDRESSES.map((address) => [address]);

/** One process on each host, on a runtime of its own. */
async function startOn(start: StartNode, hosts: readonly Host[]): Promise<MeshProcess[]> {
  const members = hosts.map(({ within }, i) => start(RUNTIMES[i % RUNTIMES.length] ?? "node", { within }));
  await Promise.all(members.map((member) => member.started()));
  return members;
}

function hostsOf(members: readonly MeshProcess[]): readonly (string | undefined)[] {
  return members.map(({ node }) => node.address.split(":")[0]);
}

hostTest(
  "three hosts: by multicast, with the defaults alone",
  () =>
    withHosts(THREE, (hosts) =>
      withProcesses(async (start) => {
        const members = await startOn(start, hosts);
        await Promise.all(members.map((member) => member.openAnywhere({})));
        await assertMesh(members);
        assertEquals(hostsOf(members), ADDRESSES);
        assertEquals(members.map(({ node }) => node.port), [7946, 7946, 7946]);
      })),
);

hostTest(
  "three hosts: by multicast, with one socket each",
  () =>
    withHosts(THREE, (hosts) =>
      withProcesses(async (start) => {
        const members = await startOn(start, hosts);
        await Promise.all(members.map((member) => member.openAnywhere({ advertiseAddr: ":7946" })));
        await assertMesh(members);
        assertEquals(members.map(({ node }) => node.address), ADDRESSES.map((address) => `${address}:7946`));
      })),
);

hostTest(
  "three hosts: by multicast, on an interface given by its name",
  () =>
    withHosts(THREE, (hosts) =>
      withProcesses(async (start) => {
        const members = await startOn(start, hosts);
        await Promise.all(members.map((member) => member.openAnywhere({ interface: "eth0" })));
        await assertMesh(members);
        assertEquals(hostsOf(members), ADDRESSES);
      })),
);

// One seed is enough, as peers list their peers.
for (
  const [direction, title] of [["input", "where none comes through"], ["output", "that may not send any"]] as const
) {
  hostTest(
    `three hosts: by seeds, ${title} of multicast`,
    () =>
      withHosts(THREE, (hosts) =>
        withProcesses(async (start) => {
          for (const host of hosts) host.blockMulticast(direction);
          const members = await startOn(start, hosts);
          for (const [i, member] of members.entries()) {
            await member.openAnywhere({ peers: i === 0 ? [] : [ADDRESSES[0]] });
          }
          if (direction === "input") await assertMesh(members);
          else {
            await assertMesh(members, { sendErrors: true });
            for (const member of members) {
              const { sendErrors } = await member.metrics();
              assert(sendErrors > 0, `${member.runtime}: ${sendErrors}`);
              await member.happened(
                (event): event is MeshEvent => event.type === "error" && event.stage === "send",
                "error",
              );
            }
          }
          assertEquals(hostsOf(members), ADDRESSES);
        })),
  );
}

hostTest(
  "two hosts with two processes each: by multicast, all on one port",
  () =>
    withHosts(THREE.slice(0, 2), ([first, second]) =>
      withProcesses(async (start) => {
        assert(first !== undefined && second !== undefined);
        const members = await startOn(start, [first, second, second, first]);
        await Promise.all(members.map((member) => member.openAnywhere({})));
        await assertMesh(members);
      })),
);

hostTest(
  "a host on two networks is in the mesh of the one that `interface` names",
  () =>
    withHosts([["10.77.1.1"], ["10.77.1.2", "10.78.1.2"], ["10.78.1.3"]], (hosts) =>
      withProcesses(async (start) => {
        const members = await startOn(start, hosts);
        const [first, both, second] = members;
        assert(first && both && second);
        await Promise.all([first.openAnywhere({}), second.openAnywhere({}), both.openAnywhere({ interface: "eth1" })]);
        await assertMesh([both, second]);
        assertEquals(both.node.address.split(":")[0], "10.78.1.2");
        assertEquals(await first.peers(), []);
        // The same on the other interface, which is not that of the default route, in the opposite direction.
        await both.close();
        await both.openAnywhere({ interface: "10.77.1.2" });
        await Promise.all([first.knows(both.node), both.knows(first.node)]);
        await both.publish("to the first");
        await first.heard("to the first");
        assertEquals(second.keys().includes("to the first"), false);
      })),
);

hostTest(
  "a host that is cut off is forgotten, and found again when it is reachable",
  () =>
    withHosts(THREE, (hosts) =>
      withProcesses(async (start) => {
        const options: MeshOptions = { heartbeat: 500, peerTimeout: 2000 };
        const members = await startOn(start, hosts);
        const [first, second, third] = members;
        assert(first && second && third);
        await Promise.all(members.map((member) => member.openAnywhere(options)));
        await assertMesh(members);
        hosts[2]?.run("ip", "link", "set", "eth0", "down");
        await Promise.all([first.forgets(third.node), second.forgets(third.node), third.forgets(first.node)]);
        hosts[2]?.run("ip", "link", "set", "eth0", "up");
        hosts[2]?.run("ip", "route", "replace", "default", "via", "10.77.1.254");
        await first.knowsAgain(third.node);
        await third.publish("back again");
        await Promise.all([first.heard("back again"), second.heard("back again")]);
      })),
);

// At small size on this Node alone.
for (const runtime of some(RUNTIMES, (runtime) => runtime === "node")) {
  hostTest(
    `a host with lo alone, on ${runtime}: without multicast it requires seeds, and the error says so`,
    () =>
      withHosts([[]], ([host]) =>
        withProcesses(async (start) => {
          const within = host?.within ?? [];
          const [first, second] = [start(runtime, { within }), start(runtime, { within })];
          await assertNeedsSeeds(first);
          await first.openAnywhere({ multicast: false });
          await second.openAnywhere({ peers: [first.node.address] });
          const { error } = await second.event("multicastUnavailable");
          assertEquals((error as { readonly code?: string }).code, "EMULTICAST");
          assertEquals((await second.event("opened")).multicast, false);
          await assertMesh([first, second]);
        })),
  );

  hostTest(
    `a host with no interface up, on ${runtime}: it opens with seeds, and reports it`,
    () =>
      withHosts([[]], ([host]) =>
        withProcesses(async (start) => {
          assert(host !== undefined);
          host.run("ip", "link", "set", "lo", "down");
          const [first, second] = [start(runtime, host), start(runtime, host)];
          await assertNeedsSeeds(first);
          const { address } = await first.openAnywhere({ multicast: false });
          // Deno also lists the addresses of interfaces that are down.
          assertEquals(address.split(":")[0], runtime === "deno" ? "127.0.0.1" : "0.0.0.0");
          await second.openAnywhere({ peers: ["10.77.1.1"] });
          await second.event("multicastUnavailable");
          await second.publish("goes nowhere");
          const failed = await second.happened(
            (event): event is Extract<MeshEvent, { type: "error" }> => event.type === "error",
            "error",
          );
          assertEquals(failed.stage, "send");
        })),
  );
}

async function assertNeedsSeeds(member: MeshProcess): Promise<void> {
  const { error } = await assertRejects(() => member.openAnywhere({}), RemoteFailure);
  assertEquals([error.name, error.option, error.value], ["MeshOpenError", "peers", []]);
  assertStringIncludes(
    error.message,
    "a host without multicast needs seeds: give `peers`, or an `interface` that has multicast, or `multicast: false`",
  );
  assertEquals(error.cause?.code, "EMULTICAST");
}
