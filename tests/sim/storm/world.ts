/**
 * A seeded world: its network, its nodes, and the operations on them.
 *
 * @module
 */

import { type Direction, type Faults, MemoryNetwork, SeededRandom } from "../../../adapters/memory.ts";
import { ClosedError, MeshBus, type MeshEvent, type MeshOptions, type Topic } from "../../../mod.ts";
import { MemoryPlainPeer } from "../../support/memory_plain_peer.ts";
import { hostAddress } from "../worlds.ts";
import { StormAwaits } from "./awaits.ts";
import { guardProblem, wakeProblem } from "./checks.ts";
import { ExcuseBook } from "./excuses.ts";
import { LateCopies, partingProblem } from "./late.ts";
import { StormLedger } from "./ledger.ts";
import { LEAST_SLEEP, Order, type Overhearer, type Skew, StormNode, StormSubscription } from "./node.ts";
import { StormDelays } from "./path_delays.ts";
import { drawOptions, type Kind, pick, type StormPlan } from "./plan.ts";
import { describeDatagram, StormTap } from "./tap.ts";
import { StormUnknownNode } from "./unknown_node.ts";
import { HEARTBEAT } from "./wire.ts";

const PORT = 7946;
/**
 * When a node opens later than this before another leaves, the leave may be the first datagram that it hears, and no
 * probe is answered any more, in milliseconds: two round trips with the longest delay and reordering of a calm world.
 */
const ACQUAINTANCE = 500;
/** Largest relative difference between the speeds of a host's clock and the network's. */
const MAX_DRIFT = 0.001;
/** Longer than any world lasts, in milliseconds. */
const KEEPS_ALL = 86_400_000;
/** For how long nodes keep what they have sent for retransmission: nodes that meet later get a gap. */
const REPAIR_AGE = 60_000;
const NONE: Skew = { start: 0, rate: 1 };
const NON_ASCII = ["é", "ключ", "鍵", "🙂"];

interface Appointment {
  readonly at: number;
  /** Whether it ends a fault, and so happens also when the storm ends first. */
  readonly ends: boolean;
  readonly call: () => unknown;
}

/** Options of a node, and the id that it begins with if that is another node's. */
type OpenOptions = MeshOptions & { readonly beginsAs?: string };

/** How often a node has published something, and when last. */
export interface StormCall {
  readonly count: number;
  readonly order: number;
}

/** A world whose events are drawn from the plan's seed, and from nothing else. */
export class StormWorld {
  readonly plan: StormPlan;
  readonly network: MemoryNetwork;
  readonly random: SeededRandom;
  readonly nodes: StormNode[] = [];
  readonly tap: StormTap = new StormTap();
  readonly excuses: ExcuseBook = new ExcuseBook();
  readonly ledger: StormLedger = new StormLedger();
  readonly delays: StormDelays;
  readonly late: LateCopies | undefined;
  readonly unknownNode: StormUnknownNode | undefined;
  readonly awaits: StormAwaits;
  /** The delay of a datagram without faults, in milliseconds. */
  readonly delay: Faults["delay"];
  /** The nodes that called `publish` for each key. */
  readonly publishers: Map<string, Set<StormNode>> = new Map();
  /** Descriptions of what has happened that must not. */
  readonly problems: string[] = [];
  /** Keys that were accepted, each as often as it was. */
  keys = 0;
  /** Gaps of meshes, by reason. */
  readonly gaps = { overwritten: 0, lost: 0, left: 0, late: 0, reused: 0 };
  /** How many hosts there are. */
  hosts = 0;
  storming = true;
  /** The storm does not end before this, in milliseconds. */
  until = 0;
  readonly #order = new Order();
  readonly #trace: ((line: string) => void) | undefined;
  #appointments: Appointment[] = [];
  #serial = 0;

  /** Properties that are not checked. */
  readonly without: readonly string[];

  constructor(plan: StormPlan, trace?: (line: string) => void, without: readonly string[] = []) {
    this.plan = plan;
    this.without = without;
    this.delay = plan.pathDelay > 1 ? { min: plan.pathDelay, max: plan.pathDelay * 1.02 } : { min: 0.1, max: 0.1 };
    this.network = new MemoryNetwork({ seed: plan.seed, delay: this.delay });
    this.random = new SeededRandom(plan.seed + 2 ** 40);
    this.delays = new StormDelays(this.delay);
    this.tap.measuresDelays = plan.pathDelay > 1;
    this.late = plan.late ? new LateCopies(this) : undefined;
    this.unknownNode = plan.unknownNode ? new StormUnknownNode(this) : undefined;
    this.awaits = new StormAwaits(this);
    this.tap.onBatch = (sender, number, keys) => {
      const publisher = this.nodes.find(({ id }) => id === sender);
      if (publisher !== undefined) this.ledger.send(publisher, number, keys, this.now);
    };
    this.#trace = trace;
    if (trace !== undefined) {
      this.network.tap((datagram) => {
        if (datagram.data[1] !== HEARTBEAT) this.note(() => describeDatagram(datagram));
      });
    }
  }

  get now(): number {
    return this.network.clock.now();
  }

  note(line: () => string): void {
    this.#trace?.(`${this.now.toFixed(3).padStart(10)}  ${line()}`);
  }

  /** Changes the faults of the network. */
  set(faults: Partial<Faults>, direction: Direction = {}): void {
    this.delays.note(faults, direction, this.now);
    this.network.set(faults, direction);
  }

  /** The next moment, in order. */
  moment(): number {
    return this.#order.next();
  }

  /** Calls back after a delay in milliseconds, between two steps of the storm. */
  later(delay: number, ends: boolean, call: () => unknown): void {
    this.#appointments.push({ at: this.now + delay, ends, call });
  }

  /** Makes the calls that are due, or all those that end something. */
  async keepAppointments(all: boolean): Promise<void> {
    const due = this.#appointments.filter(({ at }) => all || at <= this.now);
    if (due.length === 0) return;
    this.#appointments = this.#appointments.filter((appointment) => !due.includes(appointment));
    for (const { call, ends } of due) {
      if (ends || !all) await call();
    }
  }

  /** Nodes that can be called. */
  up(): StormNode[] {
    return this.nodes.filter((node) => node.isUp);
  }

  anyHost(): string {
    return hostAddress(this.random.below(this.hosts));
  }

  async open(kind: Kind, hostIndex: number, { beginsAs, ...options }: OpenOptions = {}): Promise<StormNode> {
    const { random } = this;
    const skew = this.plan.skewed
      ? { start: random.next() * 1e6, rate: 1 + random.between(-MAX_DRIFT, MAX_DRIFT) }
      : NONE;
    const node = new StormNode(this.nodes.length, kind, this.network.host(hostAddress(hostIndex)), skew);
    node.beginsAs = beginsAs;
    if (kind === "original") await this.#openOriginal(node, hostIndex);
    else await this.#openMesh(node, hostIndex, options);
    node.openedAt = this.now;
    this.nodes.push(node);
    this.note(() => `${node.index} opens on ${node.host.address}: ${kind}, ${node.nodeId}`);
    return node;
  }

  publish(node: StormNode): void {
    this.publishKey(node, this.#anyKey(node));
  }

  #anyKey(node: StormNode): string {
    const { random } = this;
    let key = random.chance(0.2) ? `shared:${random.below(10)}` : `${node.index}:${this.#serial++}`;
    if (random.chance(0.1)) key += pick(random, NON_ASCII);
    // A go-warp node would fill datagrams beyond what it reads itself.
    if (this.plan.longest > 100 && node.peer === undefined) key = key.padEnd(random.below(this.plan.longest), "-");
    return key;
  }

  /** Nothing was published after all, as it was refused at once. */
  unpublished(node: StormNode, topic: Topic, before: StormCall): void {
    if (typeof topic !== "string") {
      if (before.order === 0) node.prefixCalls.delete(topic.prefix);
      else node.prefixCalls.set(topic.prefix, before.order);
      return;
    }
    if (before.count > 0) node.calls.set(topic, before);
    else {
      node.calls.delete(topic);
      this.publishers.get(topic)?.delete(node);
    }
  }

  /** Notes that a node publishes something. Returns the moment. */
  published(node: StormNode, topic: Topic): number {
    const order = this.#order.next();
    if (typeof topic !== "string") {
      node.prefixCalls.set(topic.prefix, order);
      return order;
    }
    const publishers = this.publishers.get(topic);
    if (publishers === undefined) this.publishers.set(topic, new Set([node]));
    else publishers.add(node);
    const count = (node.calls.get(topic)?.count ?? 0) + 1;
    node.calls.set(topic, { count, order });
    return order;
  }

  publishKey(node: StormNode, key: string): void {
    this.published(node, key);
    if (node.peer !== undefined) return node.peer.publish(key);
    this.note(() => `${node.index} publishes ${short(key)}`);
    node.mesh?.publish(key).then(() => {
      if (node.state === "crashed") return;
      node.accepted.set(key, this.#order.next());
      // A callback that has blocked its host continues, and publishes, when that is over.
      if (node.kind === "extended") this.ledger.accept(node, key, node.now);
      this.keys++;
    }, (error) => {
      if (!(error instanceof ClosedError)) this.problems.push(`publish of ${short(key)} failed: ${error}`);
    });
  }

  /** Publishes so many keys, mostly on one node. */
  traffic(count: number): void {
    const { random } = this;
    const publishers = this.up();
    if (publishers.length === 0) return;
    const node = pick(random, publishers);
    for (let i = 0; i < count; i++) this.publish(random.chance(0.2) ? pick(random, publishers) : node);
  }

  subscribe(node: StormNode, topic: Topic, withCallback: boolean): void {
    const { mesh } = node;
    if (mesh === undefined) return;
    const subscription = new StormSubscription(topic, this.#order.next(), withCallback);
    node.subscriptions.push(subscription);
    if (withCallback) {
      const isAll = typeof topic !== "string" && topic.prefix === "" && node.kind === "extended";
      if (isAll) this.ledger.open(node);
      mesh.subscribe(topic, (event) => {
        this.note(() => `${node.index} gets ${event.cause} ${short(event.key)}`);
        subscription.take(event, this.#order.next());
        if (isAll && event.prefix !== undefined) this.ledger.settlePrefix(node, event.prefix);
        else if (isAll && event.cause === "publish") this.ledger.settle(node, event.key);
        else if (isAll && event.key === "") this.ledger.cover(node);
        if (node.busyFor > 0) this.#block(node);
        // An answer to what was heard, from within the callback.
        if (this.storming && event.cause === "publish" && this.random.chance(0.01) && node.isUp) this.publish(node);
      });
      return;
    }
    const pause = this.random.chance(0.3) ? this.random.between(1, 50) : 0;
    const iterated = mesh.subscribe(topic, { capacity: pick(this.random, [1, 2, 8, 32, 1000]) });
    void (async () => {
      for await (const event of iterated) {
        subscription.take(event, this.#order.next());
        if (pause === 0 || !this.storming) continue;
        await new Promise<void>((resolve) => this.network.clock.setTimer(resolve, pause));
      }
    })();
  }

  anyTopic(): Topic {
    const { random } = this;
    const node = random.below(this.nodes.length + 1);
    return pick<Topic>(random, [
      `shared:${random.below(10)}`,
      `${node}:${this.#serial + random.below(20)}`,
      { prefix: `${node}:` },
      { prefix: "shared:" },
      { prefix: "" },
    ]);
  }

  /** Takes a load guard on some node, or checks one that was taken. */
  guard(): void {
    const { random } = this;
    const nodes = this.up().filter(({ mesh }) => mesh !== undefined);
    if (nodes.length === 0) return;
    const node = pick(random, nodes);
    if (node.guards.length > 3 || (node.guards.length > 0 && random.chance(0.5))) {
      for (const taken of node.guards.splice(random.below(node.guards.length), 1)) {
        const problem = guardProblem(node, taken, this.now);
        if (problem !== undefined) this.problems.push(problem);
      }
      return;
    }
    const key = random.chance(0.5) ? `shared:${random.below(10)}` : `${node.index ^ 1}:${this.#serial}`;
    const guard = node.mesh?.guard(key);
    if (guard === undefined) return;
    if (!guard.isFresh() && !node.isDrowsy(this.now)) {
      this.problems.push(`P9: a new guard of ${key} on node ${node.index} is not fresh`);
    }
    this.note(() => `${node.index} guards ${short(key)}`);
    node.guards.push({ key, guard, order: this.#order.next(), time: this.now });
  }

  pause(node: StormNode, time: number): void {
    this.note(() => `${node.index} is paused for ${time.toFixed()} ms`);
    node.paused = true;
    node.host.pause();
    const begun = this.now;
    this.later(time, true, () => {
      this.note(() => `${node.index} goes on`);
      node.paused = false;
      node.longestStall = Math.max(node.longestStall, this.now - begun);
      node.wokeAt = this.now;
      node.host.resume();
    });
  }

  /** Suspends the machine of a node: for the node no time passes. */
  suspend(node: StormNode, time: number): void {
    this.note(() => `${node.index} is suspended for ${time.toFixed()} ms`);
    node.paused = true;
    node.asleep = true;
    node.host.suspend();
    const begun = this.now;
    // Anything shorter is not detected.
    this.until = Math.max(this.until, begun + (this.until === 0 ? time : LEAST_SLEEP));
    this.later(time, true, () => {
      if (node.state === "crashed") return;
      this.note(() => `${node.index} wakes`);
      node.paused = node.asleep = false;
      node.longestStall = Math.max(node.longestStall, this.now - begun);
      node.wokeAt = this.now;
      node.host.resume();
      node.awakeSince = this.#order.next();
      node.isUnaware = true;
      const problem = wakeProblem(node, this.now - begun);
      if (problem !== undefined) this.problems.push(problem);
    });
  }

  #block(node: StormNode): void {
    const { host } = node;
    if (!("block" in host) || typeof host.block !== "function") return;
    host.block(node.busyFor);
    node.longestStall = Infinity;
  }

  crash(node: StormNode): void {
    this.note(() => `${node.index} crashes`);
    node.state = "crashed";
    node.endedAt = this.now;
    node.host.crash();
    this.ledger.close(node);
    this.#maybeRestart(node);
  }

  leave(node: StormNode): void {
    this.note(() => `${node.index} leaves`);
    this.#maybeRestart(node);
    if (node.peer !== undefined) {
      node.state = "left";
      void node.peer.close();
      return;
    }
    node.state = "leaving";
    node.leavesAt = this.now;
    node.peersAtLeave = new Set(node.mesh?.peers());
    this.ledger.close(node);
    void node.mesh?.close().then((report) => {
      node.report = report;
      if (node.state === "leaving") {
        node.state = "left";
        node.endedAt = this.now;
      }
      this.note(() => `${node.index} has left`);
    });
    if (!this.plan.troubles.has("crash") || this.random.chance(0.7)) return;
    this.later(this.random.between(0, 100), false, () => node.state === "leaving" && this.crash(node));
  }

  #maybeRestart(node: StormNode): void {
    if (node.isReplaced || !this.plan.troubles.has("restart") || this.random.chance(0.3)) return;
    node.isReplaced = true;
    const host = Number(node.host.address.split(".")[3]) - 1;
    this.later(this.random.between(0, 2000), false, () => this.open(node.kind, host));
  }

  async #openOriginal(node: StormNode, hostIndex: number): Promise<void> {
    const { heartbeat } = this.plan;
    const group = this.#hasMulticast ? "239.0.0.1" : undefined;
    node.peer = await MemoryPlainPeer.open(node.host.address, node.ports(this.#order, this.tap), {
      heartbeat,
      group,
      peers: this.#seedsOf(hostIndex),
    });
    node.identify(node.peer.nodeId);
    // Which plain node answers at a seed is not known before it is heard.
    if (this.plan.reach === "multicast") this.tap.plainAddresses.add(node.peer.address);
  }

  async #openMesh(node: StormNode, hostIndex: number, own: MeshOptions): Promise<void> {
    const { random } = this;
    node.zone = this.awaits.zone();
    const options: MeshOptions = {
      ...drawOptions(random, this.plan),
      ...node.zone !== undefined && { zone: node.zone },
      multicast: this.#hasMulticast,
      peers: this.#seedsOf(hostIndex),
      ...(node.kind === "go-warp" ? { wire: "go-warp" } : {}),
      ...own,
    };
    node.heartbeat = options.heartbeat ?? this.plan.heartbeat;
    node.peerTimeout = options.peerTimeout ?? 3 * node.heartbeat;
    node.minSendRate = options.minSendRate ?? node.minSendRate;
    node.batchInterval = options.batchInterval ?? 100;
    node.repairBytes = options.repairBytes ?? node.repairBytes;
    const isShort = this.plan.kind === "storm" || this.plan.kind === "crowd";
    const keepsLong = (options.repairAge ?? (isShort ? Infinity : 0)) >= KEEPS_ALL;
    node.keepsAll = options.repairBytes === undefined && keepsLong;
    const mesh = await MeshBus.open({ ...options, ...node.ports(this.#order, this.tap, this.#overhearer) });
    node.mesh = mesh;
    node.identify(mesh.nodeId);
    if (node.kind === "go-warp") this.tap.plainAddresses.add(mesh.address);
    mesh.events.listen((event) => this.#onMeshEvent(node, event));
    if (this.plan.kind !== "storm" || random.chance(0.9)) this.subscribe(node, { prefix: "" }, true);
    for (let i = random.below(4); i > 0; i--) this.subscribe(node, this.anyTopic(), random.chance(0.5));
  }

  get #hasMulticast(): boolean {
    return this.plan.reach === "multicast" || this.plan.reach === "both";
  }

  #seedsOf(hostIndex: number): string[] {
    const { reach, kinds } = this.plan;
    if (reach === "multicast") return [];
    const count = reach === "star" ? this.plan.seeds : Math.max(kinds.length, this.hosts);
    const hosts = Array.from({ length: count }, (_, i) => i).filter((i) => i !== hostIndex);
    return hosts.map((i) => `${hostAddress(i)}:${PORT}`);
  }

  #onMeshEvent(node: StormNode, event: MeshEvent): void {
    if (event.type === "gap") {
      this.gaps[event.reason]++;
      node.lastMeshGap = this.#order.next();
      node.gapOf.set(event.node, node.lastMeshGap);
      node.gaps.push(`${event.reason} ${event.from} to ${event.to ?? "?"} of ${event.node} at ${this.now} ms`);
      const mishap = partingProblem(node, event.node, this.now);
      const isCrowded = this.plan.maxPeers !== undefined;
      const publisher = this.nodes.find(({ nodeId }) => nodeId === event.node);
      if (mishap !== undefined && !isCrowded && publisher?.hasRefused !== true) {
        this.problems.push(`P17: node ${node.index} has ${node.gaps.at(-1)}: ${mishap}`);
      }
      // They may have met late, as the only node that both knew was absent.
      const together = node.metAt.get(event.node) ?? Infinity;
      if (publisher === undefined) this.#gapOfNobody(node, event.node);
      else {
        this.ledger.cover(node, publisher);
        const isUnknown = publisher.peersAtLeave?.has(node.mesh?.address ?? "") === false;
        const hadNoRoom = isCrowded && (isUnknown || mishap !== undefined);
        if (hadNoRoom) this.excuses.use("no room");
        if (hadNoRoom || together > publisher.leavesAt - ACQUAINTANCE) node.excusedGaps++;
      }
      // A node that leaves skips what it cannot send in time.
      const isHeld = publisher?.keepsAll && publisher.state === "running" && this.now - publisher.openedAt < REPAIR_AGE;
      if (isHeld && event.reason === "overwritten") {
        this.problems.push(`P10: node ${node.index} has ${node.gaps.at(-1)}`);
      }
      this.note(() => `${node.index} has a gap: ${node.gaps.at(-1)}`);
    } else if (event.type === "stalled") node.isUnaware = false;
    else if (event.type === "peerLeft") {
      const { reason } = event;
      const other = this.nodes.find(({ nodeId }) => nodeId === event.peer.id);
      const isWrong = this.plan.calm && this.plan.maxPeers === undefined && reason === "expired" &&
        other?.kind === "extended" && other.state === "running" && node.longestStall === 0;
      if (isWrong) this.problems.push(`P2: node ${node.index} has lost node ${other.index}, which is there`);
      const heardAt = other === undefined ? this.now : node.heard.get(other.id)?.lastAt ?? this.now;
      node.partings.set(event.peer.id, { reason, at: this.now, heardAt, order: this.#order.next(), upTo: 0, gaps: 0 });
      this.note(() => `${node.index} sees ${event.peer.id} leave: ${event.reason}`);
    } else if (event.type === "identityChanged") {
      node.renamings++;
      node.identify(event.to);
      this.note(() => `${node.index} is ${event.to}`);
    } else if (event.type === "error" && event.stage === "callback") {
      this.problems.push(`node ${node.index} has an error: ${event.error.stack}`);
    } else if (event.type === "peerJoined") {
      const other = this.nodes.find(({ nodeId }) => nodeId === event.peer.id);
      if (other !== undefined && !node.heard.has(other.id)) node.metAsPlain.add(event.peer.id);
      if (!node.metAt.has(event.peer.id)) {
        node.metAt.set(event.peer.id, this.now);
        node.joinedAt = this.now;
      }
      node.partings.delete(event.peer.id);
      const phantom = this.#phantom(node, event.peer.id);
      if (phantom !== undefined) this.problems.push(phantom);
      this.note(() => `${node.index} sees ${event.peer.id}`);
    }
  }

  readonly #overhearer: Overhearer = {
    arrives: (node, data, host, port, again) => {
      this.late?.keep(node, data, host, port, again);
      this.unknownNode?.keep(data);
    },
    sends: (node, data, host, port) => this.unknownNode?.copied(node, data, host, port),
  };

  #gapOfNobody(node: StormNode, id: string): void {
    if (this.unknownNode?.isExcused(node, id)) {
      node.excusedGaps++;
      this.excuses.use("forged new node");
    } else this.problems.push(`P16: node ${node.index} has a gap of ${id}, which is no node`);
  }

  /**
   * Describes a peer that cannot be there: a node with an unknown id, or one that ended before all that is under way
   * was sent.
   */
  #phantom(node: StormNode, id: string): string | undefined {
    const other = this.nodes.find(({ nodeId }) => nodeId === id);
    if (other === undefined) {
      // A node whose extension was truncated on the way, or is not read, is plain.
      if (node.kind !== "extended" || this.plan.troubles.has("truncate")) return undefined;
      return this.unknownNode?.isSilent(id)
        ? `P16: node ${node.index} sees ${id}, which has answered nothing`
        : undefined;
    }
    // A node that blocks reads datagrams long after they have come.
    if (node.kind !== "extended" || other.kind !== "extended" || node.longestStall === Infinity) return undefined;
    const latest = Math.max(other.endedAt + this.delays.longest(this.now), node.wokeAt) + 50;
    return this.now > latest
      ? `P17: node ${node.index} sees ${other.index} ${this.now - other.endedAt} ms after its end`
      : undefined;
  }
}

function short(key: string): string {
  return key.length > 40 ? `${key.slice(0, 40)}… (${key.length})` : key;
}
