/**
 * Scene: a few nodes that know each other, for a test of single datagrams.
 *
 * @module
 */

import { type MemoryDatagram, type MemoryHost, MemoryNetwork, type TappedDatagram } from "../../../adapters/memory.ts";
import { MeshBus, type MeshEvent, type MeshOptions, type SyncEvent } from "../../../mod.ts";
import { hostAddress } from "../worlds.ts";
import { BATCH, numberOf, senderNumber, senderOf } from "./wire.ts";

/** A node, and the events of its subscriber to everything. */
export interface SceneNode {
  readonly host: MemoryHost;
  readonly mesh: MeshBus;
  readonly got: SyncEvent[];
  readonly events: MeshEvent[];
}

/** Nodes on hosts of their own that have heard each other; every datagram takes 1 ms. */
export class Scene {
  readonly network: MemoryNetwork = new MemoryNetwork({ seed: 42, delay: { min: 1, max: 1 } });
  readonly nodes: SceneNode[] = [];
  /** Every datagram that a socket has sent. */
  readonly sent: TappedDatagram[] = [];

  static async open(count: number, options: (index: number) => MeshOptions = () => ({})): Promise<Scene> {
    const scene = new Scene();
    scene.network.tap((datagram) => {
      if (datagram.fate === "sent") scene.sent.push(datagram);
    });
    for (let i = 0; i < count; i++) await scene.add({ batchInterval: 0, ...options(i) });
    await scene.network.clock.advance(100);
    return scene;
  }

  async add(options: MeshOptions = {}): Promise<SceneNode> {
    const host = this.network.host(hostAddress(this.nodes.length));
    const { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces } = host;
    const mesh = await MeshBus.open({ ...options, bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces });
    const node: SceneNode = { host, mesh, got: [], events: [] };
    mesh.subscribe({ prefix: "" }, (event) => node.got.push(event));
    mesh.events.listen((event) => node.events.push(event));
    this.nodes.push(node);
    return node;
  }

  get now(): number {
    return this.network.clock.now();
  }

  advance(ms: number): Promise<void> {
    return this.network.clock.advance(ms);
  }

  /**
   * Loses the batches of a node with these numbers the first time that each is sent to a host: the copy to the group
   * and the unicast one.
   */
  loseFirst(from: SceneNode, ...numbers: number[]): void {
    const id = senderNumber(from.mesh.nodeId);
    this.network.set({
      drop: ({ data }: MemoryDatagram) =>
        data[1] === BATCH && senderOf(data) === id && numbers.includes(numberOf(data)) &&
        this.now <= this.#firstSent(id, numberOf(data)) + 1,
    });
  }

  /** When a node's batch with this number was sent, and to which addresses. */
  sendsOf(from: SceneNode, number: number): readonly TappedDatagram[] {
    const id = senderNumber(from.mesh.nodeId);
    return this.sent.filter(({ data }) => data[1] === BATCH && senderOf(data) === id && numberOf(data) === number);
  }

  async close(): Promise<void> {
    const { clock } = this.network;
    await clock.run(
      Promise.all(this.nodes.map(({ host, mesh }) => host.state === "crashed" ? undefined : mesh.close())),
      5000,
    );
  }

  #firstSent(id: number, number: number): number {
    const first = this.sent.find(({ data }) => data[1] === BATCH && senderOf(data) === id && numberOf(data) === number);
    return first?.time ?? this.now;
  }
}

/** The gaps of a mesh. */
export function gapsOf({ events }: SceneNode): readonly (MeshEvent & { readonly type: "gap" })[] {
  return events.filter((event) => event.type === "gap");
}

/** The keys that were published to it, in the order of their arrival. */
export function keysOf({ got }: SceneNode): string[] {
  return got.filter(({ cause }) => cause === "publish").map(({ key }) => key);
}

/** How many gap events its subscriber got. */
export function gapEvents({ got }: SceneNode): number {
  return got.filter(({ cause }) => cause === "gap").length;
}
