/**
 * A seeded world of churn: its network, its nodes, and the operations on them. Times are milliseconds.
 *
 * @module
 */

import {
  type Faults,
  type MemoryHost,
  type MemoryHostOptions,
  MemoryNetwork,
  SeededRandom,
} from "../../../adapters/memory.ts";
import { MeshBus, type MeshEvent, type MeshOptions } from "../../../mod.ts";
import { describeDatagram } from "../storm/tap.ts";
import { ChurnNode, overlap, type Span } from "./node.ts";

/** Heartbeats of silence after which a peer is lost: the default of `peerTimeout`. */
export const PATIENCE = 3;

/** Stalls of a node that are kept. */
const STALLS_KEPT = 20;

/** The settings of a world. */
export interface ChurnSettings {
  readonly seed: number;
  /** The option of all nodes. */
  readonly heartbeat: number;
  readonly faults?: Partial<Faults>;
  /** Gets a line for each thing that happens. */
  readonly trace?: ((line: string) => void) | undefined;
}

/** A property does not hold, as the message describes. */
export class BrokenWorld extends Error {
  override readonly name = "BrokenWorld";
}

/** Two sides that do not hear each other: `isApart` tells which hosts. */
interface Separation extends Span {
  readonly isApart: (a: string, b: string) => boolean;
}

/** A world whose events are drawn from the seed, and from nothing else. */
export class ChurnWorld {
  readonly network: MemoryNetwork;
  readonly random: SeededRandom;
  readonly heartbeat: number;
  /** All nodes, departed ones included. */
  readonly nodes: ChurnNode[] = [];
  /** Descriptions of what has happened that must not. */
  readonly problems: string[] = [];
  /** Longest time for which a datagram is under way. */
  readonly longestDelay: number;
  readonly lossy: boolean;
  /** Whether two nodes may hear each other while a third hears only one of them. */
  isTangled = false;
  /** Whether unknown nodes fill the tables. */
  isUnderAttack = false;
  /** When a node last joined, departed or stalled, or the network changed. */
  lastChange = 0;
  /** Counts of what has happened. */
  readonly counts = { joins: 0, leaves: 0, crashes: 0, pauses: 0, partitions: 0, expired: 0 };
  readonly #byId = new Map<string, ChurnNode>();
  readonly #separations: Separation[] = [];
  readonly #trace: ((line: string) => void) | undefined;

  constructor({ seed, heartbeat, faults = {}, trace }: ChurnSettings) {
    this.network = new MemoryNetwork({ ...faults, seed });
    this.random = new SeededRandom(seed + 2 ** 41);
    this.heartbeat = heartbeat;
    const { delay = { max: 0.1 }, reorder = 0, reorderBy = 10, loss = 0 } = faults;
    this.longestDelay = delay.max + (reorder > 0 ? reorderBy : 0);
    this.lossy = loss > 0;
    this.#trace = trace;
    if (trace !== undefined) this.network.tap((datagram) => this.note(() => describeDatagram(datagram)));
  }

  get now(): number {
    return this.network.clock.now();
  }

  /** Silence after which a peer is lost. */
  get patience(): number {
    return PATIENCE * this.heartbeat;
  }

  note(line: () => string): void {
    this.#trace?.(`${this.now.toFixed(3).padStart(12)}  ${line()}`);
  }

  running(): ChurnNode[] {
    return this.nodes.filter(({ isRunning }) => isRunning);
  }

  /** The node with this id, whether it runs or not. */
  withId(id: string): ChurnNode | undefined {
    return this.#byId.get(id);
  }

  /**
   * Ends the world when a property does not hold: with what was found on the way, or with `problem`.
   *
   * @throws {BrokenWorld}
   */
  check(problem?: string): void {
    const problems = [...this.problems, ...(problem === undefined ? [] : [problem])];
    const [first] = problems;
    if (first === undefined) return;
    throw new BrokenWorld(problems.length > 1 ? `${first}, and ${problems.length - 1} more` : first);
  }

  /** Opens a node on a host. */
  async open(host: MemoryHost | string, options: MeshOptions, kind?: MemoryHostOptions): Promise<ChurnNode> {
    const place = typeof host === "string" ? this.network.host(host, kind) : host;
    const { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces } = place;
    const ports = { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces };
    const mesh = await MeshBus.open({ heartbeat: this.heartbeat, ...options, ...ports });
    const node = new ChurnNode(this.nodes.length, place, mesh, this.now);
    this.nodes.push(node);
    this.#byId.set(node.id, node);
    this.counts.joins++;
    this.lastChange = this.now;
    this.note(() => `${node.index} opens on ${place.address}: ${node.id} at ${mesh.address}`);
    mesh.events.listen((event) => this.#onEvent(node, event));
    return node;
  }

  /** Closes a node, without waiting for it. */
  async close(node: ChurnNode): Promise<void> {
    this.note(() => `${node.index} closes`);
    this.#end(node, "closed");
    this.counts.leaves++;
    await node.mesh.close();
  }

  crash(node: ChurnNode): void {
    this.note(() => `${node.index} crashes`);
    this.#end(node, "crashed");
    this.counts.crashes++;
    node.host.crash();
  }

  /** Stalls a running node for a time. */
  pause(node: ChurnNode, time: number): void {
    if (!node.isRunning || node.isPaused) return;
    this.note(() => `${node.index} stalls for ${time.toFixed(1)} ms`);
    node.host.pause();
    this.counts.pauses++;
    const stall: Span = { from: this.now, to: Infinity };
    node.stalls.push(stall);
    if (node.stalls.length > STALLS_KEPT) node.stalls.shift();
    this.network.clock.setTimer(() => {
      if (node.host.state !== "paused") return;
      this.note(() => `${node.index} goes on`);
      stall.to = this.lastChange = this.now;
      node.host.resume();
    }, time);
  }

  /** Gives the host of a node another address. Until the node has detected it, no other node hears it. */
  readdress(node: ChurnNode, address: string): void {
    this.note(() => `${node.index} moves from ${node.host.address} to ${address}`);
    node.host.readdress(address);
    node.movedAt = this.lastChange = this.now;
  }

  /** Partitions the hosts into groups; one in no group reaches all. Replaces the last partition. */
  part(groups: readonly (readonly string[])[]): void {
    this.heal();
    const sides = new Map(groups.flatMap((group, side) => group.map((address) => [address, side] as const)));
    this.#separate((a, b) => {
      const [one, other] = [sides.get(a), sides.get(b)];
      return one !== undefined && other !== undefined && one !== other;
    });
    this.network.partition(groups);
  }

  /** Cuts the path from one host to another; the opposite direction stays open. */
  cut(from: string, to: string): void {
    this.#separate((a, b) => (a === from && b === to) || (a === to && b === from));
    this.network.cut(from, to);
  }

  /** Ends the partition and all cuts. */
  heal(): void {
    const open = this.#separations.filter(({ to }) => to === Infinity);
    if (open.length === 0) return;
    this.note(() => "the network heals");
    this.lastChange = this.now;
    for (const separation of open) separation.to = this.now;
    this.network.heal();
  }

  /** Whether two nodes could not hear each other for a part of the time between two moments. */
  wereApart(a: ChurnNode, b: ChurnNode, from: number, to: number): boolean {
    return this.#separations.some((separation) =>
      overlap(separation, from, to) > 0 && separation.isApart(a.host.address, b.host.address)
    );
  }

  #separate(isApart: Separation["isApart"]): void {
    this.counts.partitions++;
    this.lastChange = this.now;
    this.#separations.push({ from: this.now, to: Infinity, isApart });
    this.note(() => "the network is partitioned");
  }

  #end(node: ChurnNode, state: "closed" | "crashed"): void {
    node.state = state;
    node.departedAt = this.lastChange = this.now;
  }

  #onEvent(node: ChurnNode, event: MeshEvent): void {
    // What a departed node knew in the end is left as it was.
    if (!node.isRunning) return;
    if (event.type === "peerJoined") this.#onJoined(node, event.peer.id, event.peer.address);
    else if (event.type === "peerLeft") this.#onLeft(node, event.peer.id, event.reason);
    else if (event.type === "error" && event.stage === "callback") {
      this.problems.push(`node ${node.index} has an error: ${event.error.stack}`);
    }
  }

  #onJoined(node: ChurnNode, id: string, address: string): void {
    const peer = this.#byId.get(id);
    this.note(() => `${node.index} knows ${peer?.index ?? id} at ${address}`);
    if (id === node.id) this.problems.push(`K4: node ${node.index} takes itself for a peer`);
    if (node.known.has(id)) this.problems.push(`K4: node ${node.index} has ${name(peer, id)} join a second time`);
    node.known.set(id, this.now);
    if (peer?.isForgotten) {
      this.problems.push(`K2: node ${node.index} gets to know node ${peer.index} that had departed and was forgotten`);
    }
  }

  #onLeft(node: ChurnNode, id: string, reason: string): void {
    const peer = this.#byId.get(id);
    this.note(() => `${node.index} sees ${peer?.index ?? id} leave: ${reason}`);
    const since = node.known.get(id) ?? -Infinity;
    if (!node.known.delete(id)) {
      this.problems.push(`K4: ${name(peer, id)} left node ${node.index}, which did not know it`);
    }
    if (reason === "expired") this.counts.expired++;
    if (!peer?.isRunning) return;
    // A node that was stalled waits longer.
    const stalled = node.stalledIn(this.now - 2 * this.patience, this.now);
    const silent = this.now - this.patience - this.longestDelay - stalled;
    if (reason === "expired" && this.wereApart(node, peer, silent, this.now)) return;
    // A node that probed another while only one direction worked is not probed for a minute, and sends nothing by
    // itself.
    if (this.isTangled && reason === "expired" && !peer.known.has(node.id)) return;
    // A full table has no room for nodes that have not yet responded.
    if (this.isUnderAttack && this.now - since < 4 * this.longestDelay) return;
    if (Math.max(node.movedAt, peer.movedAt) > silent - this.patience) return;
    const stall = peer.stalls.at(-1);
    this.problems.push(
      `K3: node ${node.index} has lost node ${peer.index} (${reason}), which runs` +
        (stall === undefined ? "" : `; its last stall was from ${stall.from} to ${stall.to}`),
    );
  }
}

function name(peer: ChurnNode | undefined, id: string): string {
  return peer === undefined ? `the unknown ${id}` : `node ${peer.index}`;
}
