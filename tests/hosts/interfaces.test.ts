// Interfaces: hosts, of all three runtimes, whose addresses change, and whose interfaces appear and disappear.

import { assertEquals } from "@std/assert";
import type { MeshEvent, MeshOptions } from "../../mod.ts";
import { type HostNode, type HostProcess, now, withHostProcesses } from "../support/host_process.ts";
import { FIVE, fullMesh, heartbeats, since, startCast, Talk, until } from "./support/host_mesh.ts";
import { hostTest, withHosts } from "./support/netns.ts";

const HEARTBEAT = 500;

hostTest(
  "a host that changes its address, with the default interface and with one by name: others reach it at the new one",
  () =>
    withHosts(FIVE, (hosts) =>
      withHostProcesses(async (start) => {
        const cast = await startCast(start, hosts);
        const options: readonly MeshOptions[] = [
          { heartbeat: HEARTBEAT },
          { heartbeat: HEARTBEAT, port: 7947, interface: "eth0" },
        ];
        const meshes = await Promise.all(options.map((each) => Promise.all(cast.map((process) => process.open(each)))));
        await Promise.all(meshes.map((nodes) => fullMesh(nodes)));
        const talks = meshes.map((nodes) => new Talk(nodes));
        for (const i of [0, 1, 2]) {
          const moved = `10.77.1.${i + 11}`;
          hosts[i]?.move(moved);
          await Promise.all(meshes.map(async (nodes, j) => {
            const mover = nodes[i] as HostNode;
            const { address } = await mover.event("addressChanged");
            assertEquals(address.split(":")[0], moved, mover.name);
            for (const other of nodes.filter((node) => node !== mover)) {
              await until(async () => (await other.peers()).includes(address), `${address} at ${other.name}`);
            }
            await talks[j]?.round();
          }));
        }
        for (const [j, nodes] of meshes.entries()) {
          for (const node of nodes) {
            assertEquals((await node.peers()).length, 4, node.name);
            assertEquals(node.events().filter(({ value }) => value.type === "peerLeft"), [], node.name);
          }
          await talks[j]?.end();
        }
      })),
);

/**
 * The first host is on one network, the last on another, and those between them on both, as far as they have both
 * interfaces.
 */
const TWO_NETWORKS = [["10.77.1.1"], ["10.77.1.2"], ["10.77.1.3"], ["10.77.1.4", "10.78.1.4"], ["10.78.1.5"]];

hostTest(
  "hosts on two networks, with all interfaces or a list of them: these appear, disappear and reappear",
  () =>
    withHosts(TWO_NETWORKS, (hosts, wire) =>
      withHostProcesses(async (start) => {
        const cast = await startCast(start, hosts);
        const between = hosts.slice(1, 4);

        const all = await openWith(cast, 7946, "all");
        await Promise.all([all.left.knows(all.between), all.right.knows(all.between.slice(2))]);
        assertEquals([(await all.left.peers()).length, (await all.right.peers()).length], [3, 1]);
        // The others have not heard of the one on the right yet: they get this key as soon as they have.
        await all.talk.say(all.right, all.between, all.between.slice(2));

        // Interfaces that appear.
        let at = now();
        between.slice(0, 2).forEach((host, i) => host.attach("eth1", `10.78.1.${i + 2}`));
        await all.happened(all.between.slice(0, 2), "interfaceJoined", at);
        await all.complete();
        await heartbeats(wire, hosts, 2);
        const before = wire.batches(hosts);
        await all.round();
        assertEquals(since(before, wire.batches(hosts)), { group: 2 + 3 * 2, copies: [0, 0, 0, 0, 0] });

        // Interfaces that disappear.
        const list = await openWith(cast, 7947, ["eth0", "eth1"]);
        await list.complete();
        await list.round();
        const meshes = [all, list];
        at = now();
        for (const host of between) host.detach("eth1");
        await Promise.all(meshes.map(async (mesh) => {
          await mesh.happened(mesh.between, "interfaceGone", at);
          await Promise.all(mesh.between.map((node) => mesh.right.forgets(node)));
          for (const node of mesh.between) {
            // The one on the right gets it when it is reached again.
            await mesh.talk.say(node, undefined, [mesh.left, ...mesh.between].filter((other) => other !== node));
          }
        }));

        // Interfaces that reappear.
        at = now();
        between.forEach((host, i) => host.attach("eth1", `10.78.1.${i + 2}`));
        await Promise.all(meshes.map(async (mesh) => {
          await mesh.happened(mesh.between, "interfaceJoined", at);
          await mesh.complete(at);
          await mesh.round();
          await mesh.talk.settled();
          const left = mesh.left.events().filter(({ value }) => value.type === "peerLeft");
          assertEquals(left, []);
          await mesh.talk.end({ gaps: true });
        }));
      })),
);

/** A mesh on two networks. */
class Split {
  readonly left: HostNode;
  readonly between: readonly HostNode[];
  readonly right: HostNode;
  readonly talk: Talk;

  constructor(nodes: readonly HostNode[]) {
    this.left = nodes[0] as HostNode;
    this.between = nodes.slice(1, 4);
    this.right = nodes[4] as HostNode;
    this.talk = new Talk(nodes);
  }

  /** Resolves when all nodes know those whose network they share. `right` does so again, later than `after`. */
  async complete(after?: number): Promise<void> {
    const { left, between, right } = this;
    await Promise.all([left.knows(between), right.knows(between, after)]);
    await Promise.all(between.map((node) => node.knows([left, right, ...between].filter((other) => other !== node))));
  }

  /** Each publishes a key, which all nodes whose network it shares get. */
  async round(): Promise<void> {
    await this.talk.say(this.left, this.between);
    await this.talk.say(this.right, this.between);
    for (const node of this.between) await this.talk.say(node);
  }

  /** Resolves when these nodes have had an event about their interface `eth1` later than `after`. */
  async happened(nodes: readonly HostNode[], type: MeshEvent["type"], after: number): Promise<void> {
    await Promise.all(nodes.map((node) =>
      until(
        () =>
          node.events().some(({ at, value }) =>
            at > after && value.type === type && "name" in value && value.name === "eth1"
          ),
        `${type} at ${node.name}`,
      )
    ));
  }
}

async function openWith(cast: readonly HostProcess[], port: number, name: MeshOptions["interface"]): Promise<Split> {
  const nodes = cast.map((process, i) => {
    const isBetween = i > 0 && i < 4;
    return process.open({ heartbeat: HEARTBEAT, port, ...(isBetween && name !== undefined && { interface: name }) });
  });
  return new Split(await Promise.all(nodes));
}
