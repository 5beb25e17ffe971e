/**
 * Meshes of many nodes in memory: how soon all know each other, and what they send while nothing happens.
 *
 * @module
 */

import { MemoryNetwork, type MemoryNetworkOptions } from "../../adapters/memory.ts";
import { MeshBus, type MeshOptions } from "../../mod.ts";

/** A heartbeat of the default length. */
export const HEARTBEAT = 5000;
const SEED = "10.0.0.1:7946";

/** How the nodes of a mesh find each other. */
export type Discovery =
  /** By multicast alone. */
  | "group"
  /** Without multicast, by the first node, which is a seed of all. */
  | "seed"
  /** The same, with all nodes on one host. */
  | "host";

/** A mesh whose nodes are opened all at once. */
export class BigMesh {
  readonly network: MemoryNetwork;
  readonly nodes: readonly MeshBus[];
  readonly #openedAt: number;
  #joined = 0;

  /** Opens the nodes. */
  static async open(
    count: number,
    discovery: Discovery,
    options: MeshOptions = {},
    faults: MemoryNetworkOptions = {},
  ): Promise<BigMesh> {
    const network = new MemoryNetwork({ delay: { min: 0.1, max: 0.5 }, receiveBuffer: 2 ** 23, ...faults });
    const all: MeshOptions = { heartbeat: HEARTBEAT, multicast: discovery === "group", ...options };
    const openOne = (i: number) => {
      const ports = network.host(addressOf(discovery === "host" ? 0 : i));
      const { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces } = ports;
      const peers = discovery === "group" ? {} : { peers: [SEED] };
      return MeshBus.open({ ...all, ...peers, bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces });
    };
    const first = await network.clock.run(openOne(0), 1000);
    await network.clock.advance(1000);
    const openedAt = network.clock.now();
    const others = Promise.all(Array.from({ length: count - 1 }, (_, i) => openOne(i + 1)));
    return new BigMesh(network, [first, ...await network.clock.run(others, 1000)], openedAt);
  }

  private constructor(network: MemoryNetwork, nodes: readonly MeshBus[], openedAt: number) {
    this.network = network;
    this.nodes = nodes;
    this.#openedAt = openedAt;
  }

  /** Milliseconds since the nodes were opened. */
  get age(): number {
    return this.network.clock.now() - this.#openedAt;
  }

  /** Whether all nodes know each other. */
  get isComplete(): boolean {
    const others = this.nodes.length - 1;
    // To count peers is much cheaper than to list them.
    return this.nodes.every((node) => node.metrics().peers >= others) &&
      this.nodes.every((node) => node.peers().length === others);
  }

  /** Milliseconds from the opening until all nodes know each other, to a tenth; `Infinity` after `limit`. */
  async complete(limit: number): Promise<number> {
    while (!this.isComplete) {
      if (this.age >= limit) return Infinity;
      await this.network.clock.advance(Math.max(1, this.age / 10));
    }
    return this.age;
  }

  /** Datagrams that a node sends and receives in a heartbeat. */
  async idle(
    heartbeats: number,
  ): Promise<{ readonly sent: number; readonly received: number; readonly bytes: number }> {
    const { clock, stats: before } = this.network;
    const received = this.nodes.reduce((sum, node) => sum + node.metrics().delivered, 0);
    await clock.advance(heartbeats * HEARTBEAT);
    const { stats } = this.network;
    const part = 1 / (heartbeats * this.nodes.length);
    return {
      sent: (stats.sent - before.sent) * part,
      received: (this.nodes.reduce((sum, node) => sum + node.metrics().delivered, 0) - received) * part,
      bytes: (stats.sentBytes - before.sentBytes) * part,
    };
  }

  /** Opens one more node. Returns after how many milliseconds all know it and it knows all, at most `limit`. */
  async join(limit: number): Promise<{ readonly time: number; readonly leave: () => Promise<void> }> {
    const { clock } = this.network;
    const options = { heartbeat: HEARTBEAT };
    const start = clock.now();
    const { bind, randomBytes, resolve, resolveSrv, networkInterfaces, ...host } = this.network.host(
      addressOf(this.nodes.length + this.#joined++),
    );
    const ports = { bind, randomBytes, resolve, resolveSrv, networkInterfaces, clock: host.clock };
    const node = await clock.run(MeshBus.open({ ...options, ...ports }), 100);
    const { address } = node;
    const isKnown = () =>
      node.metrics().peers >= this.nodes.length &&
      this.nodes.every((other) => node.peers().includes(other.address) && other.peers().includes(address));
    while (!isKnown() && clock.now() - start <= limit) await clock.advance(Math.max(2, (clock.now() - start) / 20));
    const time = isKnown() ? clock.now() - start : Infinity;
    return { time, leave: async () => void await clock.run(node.close(), 5000) };
  }

  /** Closes all nodes. */
  async close(): Promise<void> {
    await this.network.clock.run(Promise.all(this.nodes.map((node) => node.close())), 10_000);
  }
}

function addressOf(index: number): string {
  return `10.0.${index >> 7}.${index % 128 + 1}`;
}
