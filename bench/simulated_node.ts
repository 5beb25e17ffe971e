/**
 * Simulated node: a node on a simulated network, with many peers.
 *
 * @module
 */

import { MemoryNetwork } from "../adapters/memory.ts";
import { MeshBus, type MeshOptions } from "../mod.ts";
import { PATH_DEAF, PATH_GROUP } from "../src/wire/layout.ts";
import { writeHeard } from "../src/wire/peer_exchange.ts";
import { parseNodeId, SilentPeer } from "./silent_peer.ts";
import { withSend } from "./socket_wrapper.ts";

// Heartbeats and expiries of the node itself are no part of the measurement.
const OPTIONS: MeshOptions = { heartbeat: 3_600_000, peerTimeout: 86_400_000, maxPeers: 65_536 };
// Peers send heartbeats at this interval until they are known: a node challenges only so many unknown addresses at a
// time.
const GREETING_MS = 1_000;
const LIMIT_MS = 600_000;

/** A node on a simulated network, with peers that are present and publish nothing. */
export class Simulated {
  readonly mesh: MeshBus;
  readonly #network: MemoryNetwork;
  readonly #greet: () => void;
  readonly #count: number;
  readonly #mute: () => void;

  /**
   * Opens the node. The peers have their sockets, and have sent nothing yet. With `multicast` they receive the group,
   * so that a batch takes one datagram, else one for each peer.
   */
  static async open(count: number, multicast = true): Promise<Simulated> {
    const network = new MemoryNetwork({ poison: false });
    const host = network.host("10.0.0.1");
    let muted = false;
    const mesh = await MeshBus.open({
      ...OPTIONS,
      multicast,
      ...host,
      async bind(options, handlers) {
        const socket = await host.bind(options, handlers);
        return withSend(socket, (data, to, port) => muted ? Promise.resolve() : socket.send(data, to, port));
      },
    });
    const heard = writeHeard([parseNodeId(mesh.nodeId)]);
    const greetings = await Promise.all(Array.from({ length: count }, async (_, i) => {
      const address = `10.1.${Math.floor(i / 250)}.${1 + (i % 250)}`;
      const peer = new SilentPeer(`${address}:7946`, multicast);
      const unicast = { sendsMulticast: false, multicastLoopback: false, multicastTtl: 1 };
      const socket = await network.host(address).bind(
        { host: "0.0.0.0", port: 7946, shared: false, ...unicast },
        {
          message(data, from, port) {
            const answer = peer.answer(data);
            if (answer !== undefined) void socket.send(answer, from, port);
          },
          error() {},
        },
      );
      const greeting = peer.heartbeat(multicast ? { path: PATH_GROUP, heard } : { path: PATH_DEAF });
      return () => void socket.send(greeting, "10.0.0.1", 7946);
    }));
    return new Simulated(mesh, network, count, () => greetings.forEach((greet) => greet()), () => muted = true);
  }

  private constructor(mesh: MeshBus, network: MemoryNetwork, count: number, greet: () => void, mute: () => void) {
    this.mesh = mesh;
    this.#network = network;
    this.#count = count;
    this.#greet = greet;
    this.#mute = mute;
  }

  /** The peers send heartbeats until the node knows all of them. */
  async meet(): Promise<void> {
    for (let ms = 0; this.mesh.metrics().peers < this.#count; ms += GREETING_MS) {
      if (ms > LIMIT_MS) throw new Error(`The node knows ${this.mesh.metrics().peers} of ${this.#count} peers`);
      this.#greet();
      await this.#network.clock.advance(GREETING_MS);
    }
  }

  /** From now on the node's datagrams are dropped at almost no cost. */
  mute(): void {
    this.#mute();
  }

  /** Publishes keys, and lets time pass until the node has sent all of them. */
  async publish(keys: readonly string[]): Promise<void> {
    for (const key of keys) void this.mesh.publish(key);
    while (this.mesh.metrics().pending > 0) await this.#network.clock.advance(10);
  }
}
