/**
 * A seeded world of nodes that come and go: its network, its nodes, and what can be done to them. Times are milliseconds.
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

/** Stalls of a node that are remembered. */
const STALLS_KEPT = 20;

/** What a world is made of. */
export interface ChurnSettings {
  readonly seed: number;
  /** The option of all nodes. */
  readonly heartbeat: number;
  readonly faults?: Partial<Faults>;
  /** Gets a line for each thing that happens. */
  readonly trace?: ((line: string) => void) | undefined;
}

/** What must hold does not: the message says what. */
export class BrokenWorld extends Error {
  override readonly name = "BrokenWorld";
}

/** Two sides that do not hear each other: `isApart` says which hosts. */
interface Separation extends Span {
  readonly isApart: (a: string, b: string) => boolean;
}

/** What happens in it is drawn from the seed, and from nothing else. */
export class ChurnWorld {
  readonly network: MemoryNetwork;
  readonly random: SeededRandom;
  readonly heartbeat: number;
  /** All that ever were. */
  readonly nodes: ChurnNode[] = [];
  /** What must not happen and has, in words. */
  readonly problems: string[] = [];
  /** Longest that a datagram is under way. */
  readonly longestWay: number;
  readonly lossy: boolean;
  /** Whether some may hear each other while a third hears one of them only. */
  isTangled = false;
  /** Whether strangers fill the tables. */
  isBesieged = false;
  /** When somebody came, went or stood still, or the network changed. */
  lastChange = 0;
  /** What has happened. */
  readonly counts = { joins: 0, leaves: 0, crashes: 0, pauses: 0, partitions: 0, expired: 0 };
  readonly #byId = new Map<string, ChurnNode>();
  readonly #separations: Separation[] = [];
  readonly #trace: ((line: string) => void) | undefined;

  constructor({ seed, heartbeat, faults = {}, trace }: ChurnSettings) {
    this.network = new MemoryNetwork({ ...faults, seed });
    this.random = new SeededRandom(seed + 2 ** 41);
    this.heartbeat = heartbeat;
    const { delay = { max: 0.1 }, reorder = 0, reorderBy = 10, loss = 0 } = faults;
    this.longestWay = delay.max + (reorder > 0 ? reorderBy : 0);
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

  /** The node with this id, be it gone or not. */
  withId(id: string): ChurnNode | undefined {
    return this.#byId.get(id);
  }

  /**
   * Ends the world when something does not hold: what was noticed on the way, or `problem`.
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

  /** Closes a node. Nobody waits for it. */
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

  /** Stops a running node, and lets it go on by itself. */
  pause(node: ChurnNode, time: number): void {
    if (!node.isRunning || node.isPaused) return;
    this.note(() => `${node.index} stands still for ${time.toFixed(1)} ms`);
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

  /** Gives the host of a node another address. Until it has noticed, nobody hears it. */
  readdress(node: ChurnNode, address: string): void {
    this.note(() => `${node.index} moves from ${node.host.address} to ${address}`);
    node.host.readdress(address);
    node.movedAt = this.lastChange = this.now;
  }

  /** Parts the hosts into groups; one in no group reaches all. Takes the place of the last partition. */
  part(groups: readonly (readonly string[])[]): void {
    this.heal();
    const sides = new Map(groups.flatMap((group, side) => group.map((address) => [address, side] as const)));
    this.#separate((a, b) => {
      const [one, other] = [sides.get(a), sides.get(b)];
      return one !== undefined && other !== undefined && one !== other;
    });
    this.network.partition(groups);
  }

  /** Cuts the way from one host to another; the way back stays open. */
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

  /** Longest that the network was parted or cut at a time. */
  get longestSeparation(): number {
    return this.#separations.reduce((longest, { from, to }) => Math.max(longest, Math.min(to, this.now) - from), 0);
  }

  #separate(isApart: Separation["isApart"]): void {
    this.counts.partitions++;
    this.lastChange = this.now;
    this.#separations.push({ from: this.now, to: Infinity, isApart });
    this.note(() => "the network is parted");
  }

  #end(node: ChurnNode, state: "closed" | "crashed"): void {
    node.state = state;
    node.goneAt = this.lastChange = this.now;
  }

  #onEvent(node: ChurnNode, event: MeshEvent): void {
    // What it knew when it went is still to be seen.
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
      this.problems.push(`K2: node ${node.index} gets to know node ${peer.index} that was gone and forgotten`);
    }
  }

  #onLeft(node: ChurnNode, id: string, reason: string): void {
    const peer = this.#byId.get(id);
    this.note(() => `${node.index} sees ${peer?.index ?? id} leave: ${reason}`);
    const since = node.known.get(id) ?? -Infinity;
    if (!node.known.delete(id)) {
      this.problems.push(`K4: ${name(peer, id)} left node ${node.index}, who did not know it`);
    }
    if (reason === "expired") this.counts.expired++;
    if (!peer?.isRunning) return;
    // Who wakes waits longer.
    const silent = this.now - this.patience - this.longestWay - node.stalledIn(this.now - 2 * this.patience, this.now);
    if (reason === "expired" && this.wereApart(node, peer, silent, this.now)) return;
    // One that asked another while it was heard one way only is not asked for a minute, and says nothing of its own accord.
    if (this.isTangled && reason === "expired" && !peer.known.has(node.id)) return;
    // A full table has no room for those that have not yet answered.
    if (this.isBesieged && this.now - since < 4 * this.longestWay) return;
    if (Math.max(node.movedAt, peer.movedAt) > silent - this.patience) return;
    const stall = peer.stalls.at(-1);
    this.problems.push(
      `K3: node ${node.index} takes node ${peer.index} for gone (${reason}), which runs` +
        (stall === undefined ? "" : `; it stood still last from ${stall.from} to ${stall.to}`),
    );
  }
}

function name(peer: ChurnNode | undefined, id: string): string {
  return peer === undefined ? `the unknown ${id}` : `node ${peer.index}`;
}
