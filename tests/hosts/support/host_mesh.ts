/**
 * Meshes of nodes on several hosts, and the conditions that must hold.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async";
import type { HostNode, HostProcess, StartHostProcess } from "../../support/host_process.ts";
import { PATIENCE } from "../../support/meshes.ts";
import type { Runtime } from "../../support/programs.ts";
import { IS_FULL } from "../../support/size.ts";
import type { Batches, Wire } from "../../support/wire.ts";
import type { Host } from "./netns.ts";

const REST: Runtime = IS_FULL ? "node" : "bun";

/** The runtimes of the hosts, in order: each one, and on the rest Node, or at small size Bun, which starts faster. */
export const CAST: readonly Runtime[] = ["node", "deno", "bun", REST, REST];

/** Five hosts on one network. */
export const FIVE: readonly (readonly [string])[] = [1, 2, 3, 4, 5].map((i) => [`10.77.1.${i}`]);

/** Milliseconds that a machine under load may add to a promised time. */
export const SLACK_MS = 1_000;

/** One process on each host. */
export async function startCast(start: StartHostProcess, hosts: readonly Host[]): Promise<HostProcess[]> {
  const cast = hosts.map(({ within }, i) => start(CAST[i % CAST.length] as Runtime, { within }));
  await Promise.all(cast.map((process) => process.started()));
  return cast;
}

/**
 * Resolves when all nodes know each other, for the first time later than `after`, and asserts that they know no other
 * node. Resolves with the time of the last.
 */
export async function fullMesh(nodes: readonly HostNode[], after?: number): Promise<number> {
  const times = await Promise.all(nodes.map((node) => node.knows(nodes.filter((other) => other !== node), after)));
  for (const node of nodes) {
    const others = nodes.filter((other) => other !== node).map(({ address }) => address);
    assertEquals(await node.peers(), others.sort(), node.name);
  }
  return Math.max(...times);
}

/** When the node was opened. */
export async function openedAt(node: HostNode): Promise<number> {
  return (await node.happened(({ type }) => type === "opened", "opening")).at;
}

/** Prints a measured time, and asserts that it is within the limit and a slack for a machine under load. */
export function assertWithin(what: string, ms: number, limit: number): void {
  console.log(`  ${what}: ${ms.toFixed(1)} ms, of at most ${limit} ms`);
  assert(ms <= limit + SLACK_MS, `${what}: ${ms} ms`);
}

/** Polls until `test` holds. */
export async function until(test: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!await test()) {
    if (performance.now() > end) throw new Error(`Waited in vain for ${what}`);
    await delay(50);
  }
}

/** Resolves when each host has sent so many more heartbeats to the group. */
export async function heartbeats(wire: Wire, hosts: readonly Host[], count: number): Promise<void> {
  const before = wire.heartbeats(hosts);
  await until(
    () => wire.heartbeats(hosts).every((sent, i) => sent >= (before[i] ?? 0) + count),
    `${count} heartbeats of each host`,
  );
}

/** The keys that the nodes of a mesh publish, to assert that each gets everything of the others once. */
export class Talk {
  #nodes: readonly HostNode[];
  readonly #expected = new Map<HostNode, string[]>();
  readonly #early = new Map<HostNode, readonly string[]>();
  readonly #said: string[] = [];

  constructor(nodes: readonly HostNode[]) {
    this.#nodes = [...nodes];
  }

  /** Adds nodes. They may get keys that were published shortly before they were opened. */
  join(late: readonly HostNode[]): void {
    for (const node of late) this.#early.set(node, [...this.#said]);
    this.#nodes = [...this.#nodes, ...late];
  }

  /** A node publishes a key, which `audience` must get. Resolves when `first`, by default all of them, have. */
  async say(
    speaker: HostNode,
    audience: readonly HostNode[] = this.#nodes.filter((node) => node !== speaker),
    first: readonly HostNode[] = audience,
  ): Promise<void> {
    const key = `${speaker.nodeId} says ${this.#said.length}`;
    this.#said.push(key);
    for (const listener of audience) this.#expected.set(listener, [...this.#expected.get(listener) ?? [], key]);
    await speaker.publish(key);
    await Promise.all(first.map((listener) => listener.heard(key)));
  }

  /** Each node publishes a key, one after the other. */
  async round(): Promise<void> {
    for (const node of this.#nodes) await this.say(node);
  }

  /** Resolves when every node has got everything. */
  async settled(): Promise<void> {
    await Promise.all(
      Array.from(this.#expected, ([listener, keys]) => Promise.all(keys.map((key) => listener.heard(key)))),
    );
  }

  /**
   * Closes all nodes, and asserts that none has got anything else, or anything twice. A gap is something else unless
   * gaps are allowed.
   */
  async end({ gaps = false }: { readonly gaps?: boolean } = {}): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.close()));
    for (const node of this.#nodes) {
      const heard = node.keys().filter((key) => !gaps || !key.startsWith("gap: "));
      const early = (this.#early.get(node) ?? []).filter((key) => heard.includes(key));
      assertEquals([...heard].sort(), [...this.#expected.get(node) ?? [], ...early].sort(), node.name);
    }
  }
}

/** The batches that were sent since `before`. */
export function since(before: Batches, { group, copies }: Batches): Batches {
  return { group: group - before.group, copies: copies.map((count, i) => count - (before.copies[i] ?? 0)) };
}
