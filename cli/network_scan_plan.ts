/**
 * Network scan plan: which probes to send outside the mesh, and what the acks mean.
 *
 * @module
 */

import type { Diagnosis, Finding, FindingCode, NetworkInterface } from "../mod.ts";
import { DEFAULT_GROUPS } from "../src/net/address_family.ts";
import { broadcastOf } from "../src/net/interfaces.ts";
import { inNumber, named } from "../src/observability/diagnosis/finding.ts";
import type { ScanProbe } from "./network_scan.ts";
import { isUsed, type UnknownNode } from "./unknown_nodes.ts";

/** Port of a mesh that was given none. */
const DEFAULT_PORT = 7946;
/** Largest number of interfaces that are scanned besides those of the node. */
const MOST_INTERFACES = 8;
/** The link-local address of all nodes, IPv6 (RFC 4291, section 2.7.1). */
const ALL_NODES = "ff02::1";

/** Probes to other interfaces, groups and ports. A mesh on the loopback interface is scanned there only. */
export function scanProbes(
  { node, interfaces }: Pick<Diagnosis, "node" | "interfaces">,
  list: readonly NetworkInterface[],
): readonly ScanProbe[] {
  const { family, group, port } = node;
  const used = oneOfEach(list, family).filter((one) => isUsed(one, interfaces));
  const isLocal = isLoopback(used);
  const others = othersOf({ node, interfaces }, list);
  const toAll = (from: NetworkInterface, port: number): readonly ScanProbe[] => {
    if (family === 6) return [{ by: "multicast", from, host: ALL_NODES, port }];
    const broadcast = broadcastOf(from.address, from.netmask);
    if (broadcast !== undefined) return [{ by: "broadcast", from, host: broadcast, port }];
    const other = otherEndOf(from);
    return other === undefined ? [] : [{ by: "unicast", from, host: other, port }];
  };
  const toGroup = (from: NetworkInterface, group: string, port: number): readonly ScanProbe[] =>
    isLocal && family === 6 ? [] : [{ by: "multicast", from, host: group, port }];
  const isOtherPort = port !== DEFAULT_PORT;
  return [
    ...used.flatMap((from) => [
      ...toAll(from, port),
      ...group === DEFAULT_GROUPS[family] ? [] : toGroup(from, DEFAULT_GROUPS[family], port),
      ...isOtherPort ? [...toAll(from, DEFAULT_PORT), ...toGroup(from, group, DEFAULT_PORT)] : [],
    ]),
    ...others.flatMap((from) => [...toGroup(from, group, port), ...toAll(from, port)]),
  ];
}

/** Interfaces of this host that the mesh does not use. None when it uses the loopback interface only. */
export function othersOf(
  { node, interfaces }: Pick<Diagnosis, "node" | "interfaces">,
  list: readonly NetworkInterface[],
): readonly NetworkInterface[] {
  const ours = oneOfEach(list, node.family);
  const used = ours.filter((one) => isUsed(one, interfaces));
  if (isLoopback(used)) return [];
  return ours.filter((one) => !one.internal && !used.includes(one)).slice(0, MOST_INTERFACES);
}

/**
 * Why unknown nodes are not part of the mesh. When the node has peers, they may well be another mesh, which is no
 * error.
 */
export function scanFindings(
  { node, interfaces, peers }: Pick<Diagnosis, "node" | "interfaces" | "peers">,
  unknownNodes: readonly UnknownNode[],
): readonly Finding[] {
  const isAlone = peers.length === 0;
  const left = new Set(unknownNodes);
  const found: Finding[] = [];
  /** Makes one finding for those of the remaining nodes for which `test` holds. */
  const sort = (
    code: FindingCode,
    test: (one: UnknownNode) => boolean,
    text: (some: readonly UnknownNode[]) => Text,
  ): void => {
    const some = [...left].filter(test);
    if (some.length === 0) return;
    for (const one of some) left.delete(one);
    const { message, remedy: all, apart = "set a different `port` for each" } = text(some);
    const remedy = inNumber(all, some.length);
    const advice = isAlone
      ? `${remedy[0]?.toUpperCase()}${remedy.slice(1)}`
      : `If it is another mesh, ${apart}. If it is this one, ${remedy}`;
    const subject = named(some.map(({ address }) => address));
    found.push({
      code,
      severity: isAlone ? "error" : "info",
      subject,
      message: inNumber(message, some.length),
      advice,
    });
  };
  const used = interfaces.map(({ name, address }) => name ?? address).join(", ");
  const addresses = (some: readonly UnknownNode[]) => JSON.stringify(some.slice(0, 3).map(seedOf));
  sort("port-mismatch", ({ port }) => port !== node.port, (some) => ({
    message: `${nodes(some)} ${values(some, "port")}; this node uses ${node.port}.`,
    remedy: "set the same `port` on all nodes of a mesh.",
    apart: "that is as it should be",
  }));
  sort("group-mismatch", ({ group }) => group !== node.group, (some) => ({
    message: `${nodes(some)} ${values(some, "group")} on port ${node.port}; this node uses ${node.group}.`,
    remedy: `set the same \`group\` on all nodes of a mesh${
      isAlone ? "; if there are two meshes, use a different port for each" : ""
    }.`,
  }));
  sort("wrong-interface", ({ isOnMesh }) => !isOnMesh, (some) => ({
    message: `${some.length} {node|nodes} of the mesh {was|were} found on ${
      interfacesOf(some)
    } of this host; this node uses ${used}.`,
    remedy: `set \`interface: ${JSON.stringify(some[0]?.interface)}\`, or \`interface: "all"\`.`,
  }));
  sort("multicast-off", ({ multicast }) => !multicast || !node.requested.multicast, (some) => ({
    message:
      `${nodes(some)} the same port and group, but ${
        some[0]?.multicast ? "this node does" : "{it does|they do}"
      } not use ` +
      "multicast, and neither has the other as a seed.",
    remedy: `name {it|one of them} as a seed, \`peers: ${addresses(some)}\`; or use multicast everywhere.`,
  }));
  sort("multicast-blocked", () => true, (some) => ({
    message: `${nodes(some)} the same port and group, and {answers|answer} unicast probes, but multicast to ` +
      `${node.group}:${node.port} does not pass between {it|them} and this node.`,
    remedy:
      `name {it|one of them} as a seed, \`peers: ${addresses(some)}\`; or let the network carry multicast, and let ` +
      `firewalls pass UDP to ${node.group}, port ${node.port}.`,
  }));
  return found;
}

interface Text {
  readonly message: string;
  /** What to do when all nodes are to be one mesh. */
  readonly remedy: string;
  /** What to do when there are two meshes. */
  readonly apart?: string;
}

function nodes(some: readonly UnknownNode[]): string {
  return some.length === 1 ? "A node was found that uses" : `${some.length} nodes were found that use`;
}

function values(some: readonly UnknownNode[], name: "port" | "group"): string {
  const all = [...new Set(some.map((one) => `${one[name]}`))];
  return `the ${name}${all.length === 1 ? "" : "s"} ${named(all)}`;
}

function interfacesOf(some: readonly UnknownNode[]): string {
  return named([...new Set(some.map((one) => one.interface))]);
}

/** The host and the port of its mesh: the node's own port changes when it is restarted. */
function seedOf({ address, port }: UnknownNode): string {
  return `${address.slice(0, address.lastIndexOf(":"))}:${port}`;
}

/** One address of each interface: with IPv6 rather the link-local one, which each has. */
function oneOfEach(list: readonly NetworkInterface[], family: 4 | 6): readonly NetworkInterface[] {
  const byName = new Map<string, NetworkInterface>();
  for (const one of list) {
    if (one.address.includes(":") === (family === 6) && !byName.has(one.name)) byName.set(one.name, one);
  }
  return [...byName.values()];
}

function isLoopback(used: readonly NetworkInterface[]): boolean {
  return used.length > 0 && used.every(({ internal }) => internal);
}

/** The other address of a network of two (/31), which has no broadcast address (RFC 3021). */
function otherEndOf({ address, netmask }: NetworkInterface): string | undefined {
  if (netmask !== "255.255.255.254") return undefined;
  return address.replace(/\d+$/, (byte) => `${Number(byte) ^ 1}`);
}
