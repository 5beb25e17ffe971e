/**
 * What to ask besides what the node asks, and what the answers mean.
 *
 * @module
 */

import type { Diagnosis, Finding, FindingCode, NetworkInterface } from "../mod.ts";
import { DEFAULT_GROUPS } from "../src/family.ts";
import type { Heard } from "./listen.ts";
import type { Answer, Question } from "./scout.ts";

/** Port of a mesh that was given none. */
const DEFAULT_PORT = 7946;
/** Interfaces that are looked at besides those of the node. */
const MOST_INTERFACES = 8;
/** All nodes of a network, of IPv6 (RFC 4291, 2.7.1). */
const ALL_NODES = "ff02::1";

/** A node that is none of the mesh's. */
export interface Stranger {
  readonly id: string;
  /** Where it answered from, `host:port`. */
  readonly address: string;
  /** The interface of this host at which its answer came in. */
  readonly interface: string;
  /** Whether the mesh uses that interface. */
  readonly isOnMesh: boolean;
  readonly port: number;
  readonly group: string;
  /** Milliseconds; null when it answers nothing, as a Go node. */
  readonly heartbeat: number | null;
  readonly multicast: boolean;
}

/**
 * Questions to other interfaces, groups and ports. A mesh that keeps to the loopback interface is looked for there only.
 */
export function questionsOf(
  { node, interfaces }: Pick<Diagnosis, "node" | "interfaces">,
  list: readonly NetworkInterface[],
): readonly Question[] {
  const { family, group, port } = node;
  const used = oneOfEach(list, family).filter((one) => isUsed(one, interfaces));
  const isLocal = isLoopback(used);
  const others = othersOf({ node, interfaces }, list);
  const toAll = (from: NetworkInterface, port: number): readonly Question[] => {
    const host = family === 6 ? ALL_NODES : broadcastOf(from);
    return host === undefined ? [] : [{ by: family === 6 ? "multicast" : "broadcast", from, host, port }];
  };
  const toGroup = (from: NetworkInterface, group: string, port: number): readonly Question[] =>
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

/** Interfaces of this host that the mesh does not use. None when it keeps to the loopback interface. */
export function othersOf(
  { node, interfaces }: Pick<Diagnosis, "node" | "interfaces">,
  list: readonly NetworkInterface[],
): readonly NetworkInterface[] {
  const ours = oneOfEach(list, node.family);
  const used = ours.filter((one) => isUsed(one, interfaces));
  if (isLoopback(used)) return [];
  return ours.filter((one) => !one.internal && !used.includes(one)).slice(0, MOST_INTERFACES);
}

/** Who has answered and is neither the node itself nor one of `known`, each once, rather where the mesh is. */
export function strangersOf(
  answers: readonly Answer[],
  { interfaces }: Pick<Diagnosis, "interfaces">,
  known: ReadonlySet<string>,
): Stranger[] {
  const found = new Map<string, Stranger>();
  for (const { id, host, port, report, question: { from } } of answers) {
    const isOnMesh = isUsed(from, interfaces);
    if (known.has(id) || (found.has(id) && !isOnMesh)) continue;
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const { port: meshPort, group, heartbeat, multicast } = report;
    found.set(id, { id, address, interface: from.name, isOnMesh, port: meshPort, group, heartbeat, multicast });
  }
  return [...found.values()];
}

/** Nodes that were heard on other interfaces, in the group of the mesh, and have answered nothing. */
export function heardStrangers(heard: readonly Heard[], { node }: Pick<Diagnosis, "node">): readonly Stranger[] {
  const { group, port: meshPort } = node;
  return heard.map(({ id, host, port, from }) => ({
    id,
    address: `${host}:${port}`,
    interface: from.name,
    isOnMesh: false,
    port: meshPort,
    group,
    heartbeat: null,
    multicast: true,
  }));
}

/** Why the strangers are none of the mesh's. */
export function scoutFindings(
  { node, interfaces, peers }: Pick<Diagnosis, "node" | "interfaces" | "peers">,
  strangers: readonly Stranger[],
): readonly Finding[] {
  const severity = peers.length === 0 ? "error" : "warning";
  const left = new Set(strangers);
  const found: Finding[] = [];
  /** One finding for those of the rest that `test` holds for. */
  const sort = (
    code: FindingCode,
    test: (one: Stranger) => boolean,
    text: (some: readonly Stranger[]) => Text,
  ): void => {
    const some = [...left].filter(test);
    if (some.length === 0) return;
    for (const one of some) left.delete(one);
    // With a mesh around, another on another port is one of its own.
    const weight = code === "other-port" && severity !== "error" ? "info" : severity;
    const subject = some.map(({ address }) => address).slice(0, 3).join(", ");
    found.push({ code, severity: weight, subject, ...text(some) });
  };
  const used = interfaces.map(({ name, address }) => name ?? address).join(", ");
  const addresses = (some: readonly Stranger[]) => JSON.stringify(some.slice(0, 3).map(seedOf));
  sort("other-port", ({ port }) => port !== node.port, (some) => ({
    message: `${nodes(some)} the port ${values(some, "port")}; this node uses ${node.port}.`,
    advice: "Give all nodes of a mesh the same `port`.",
  }));
  sort("other-group", ({ group }) => group !== node.group, (some) => ({
    message: `${nodes(some)} the group ${values(some, "group")} on port ${node.port}; this node uses ${node.group}.`,
    advice: "Give all nodes of a mesh the same `group`, or the port of its own that each of two meshes needs.",
  }));
  sort("wrong-interface", ({ isOnMesh }) => !isOnMesh, (some) => ({
    message: `${many(some)} on ${values(some, "interface")} of this host; this node uses ${used}.`,
    advice: `Set \`interface: ${JSON.stringify(some[0]?.interface)}\`, or "all".`,
  }));
  sort("multicast-off", ({ multicast }) => !multicast || !node.asked.multicast, (some) => ({
    message:
      `${nodes(some)} the same port and group, but ${some[0]?.multicast ? "this node does" : "they do"} not use ` +
      "multicast, and neither has the other as a seed.",
    advice: `Name one of them as a seed, \`peers: ${addresses(some)}\`, or use multicast everywhere.`,
  }));
  sort("multicast-blocked", () => true, (some) => ({
    message: `${nodes(some)} the same port and group and answer when they are asked directly, but multicast to ` +
      `${node.group}:${node.port} does not pass between them and this node.`,
    advice:
      `Name one of them as a seed, \`peers: ${addresses(some)}\`; or let the network carry multicast, and firewalls ` +
      `pass UDP to ${node.group}, port ${node.port}.`,
  }));
  return found;
}

type Text = Pick<Finding, "message" | "advice">;

function nodes(some: readonly Stranger[]): string {
  return some.length === 1 ? "A node is there that uses" : `${some.length} nodes are there that use`;
}

function many(some: readonly Stranger[]): string {
  return some.length === 1 ? "A node of the mesh answers" : `${some.length} nodes of the mesh answer`;
}

function values(some: readonly Stranger[], name: "port" | "group" | "interface"): string {
  return [...new Set(some.map((one) => one[name]))].join(", ");
}

/** Its host, and the port of its mesh: its own port is another when it is started again. */
function seedOf({ address, port }: Stranger): string {
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

function isUsed({ name, address }: NetworkInterface, interfaces: Diagnosis["interfaces"]): boolean {
  return interfaces.some((one) => one.name === name || one.address === address);
}

function broadcastOf({ address, netmask }: NetworkInterface): string | undefined {
  if (netmask === "255.255.255.255") return undefined;
  const mask = netmask.split(".").map(Number);
  return address.split(".").map((byte, i) => Number(byte) | (~(mask[i] ?? 255) & 255)).join(".");
}
