/**
 * Storm node: a node of a seeded world, with all that was done to it and all that it received.
 *
 * @module
 */

import type { MemoryHost } from "../../../adapters/memory.ts";
import type {
  Clock,
  CloseReport,
  DatagramSocket,
  LoadGuard,
  MeshBus,
  MeshPorts,
  SyncEvent,
  Topic,
} from "../../../mod.ts";
import { nodeIdBytes } from "../../support/hex.ts";
import type { MemoryPlainPeer } from "../../support/memory_plain_peer.ts";
import type { Kind } from "./plan.ts";
import type { StormTap } from "./tap.ts";
import { progressOf, senderNumber, senderOf } from "./wire.ts";

/** Orders what happens within one moment of the virtual clock, in which much may happen. */
export class Order {
  #last = 0;

  next(): number {
    return ++this.#last;
  }
}

/** A subscription and the events that it got. An `order` is one of {@linkcode Order}. */
export class StormSubscription {
  readonly topic: Topic;
  readonly openedAt: number;
  readonly isCallback: boolean;
  /** When it last got an event of a key. */
  readonly lastEvent = new Map<string, number>();
  /** How often it got a key with the cause `"publish"`. */
  readonly published = new Map<string, number>();
  /** When it last got an event of each prefix that was published. */
  readonly lastPrefix = new Map<string, number>();
  /** When it last got a gap or an overflow. */
  lastCover = 0;
  lastGap = 0;
  gaps = 0;
  overflows = 0;

  constructor(topic: Topic, openedAt: number, isCallback: boolean) {
    this.topic = topic;
    this.openedAt = openedAt;
    this.isCallback = isCallback;
  }

  covers(key: string): boolean {
    return typeof this.topic === "string" ? this.topic === key : key.startsWith(this.topic.prefix);
  }

  /** Whether something that was published is of it. */
  overlaps(topic: Topic): boolean {
    if (typeof topic === "string") return this.covers(topic);
    const name = typeof this.topic === "string" ? this.topic : this.topic.prefix;
    return name.startsWith(topic.prefix) || typeof this.topic !== "string" && topic.prefix.startsWith(name);
  }

  take({ key, cause, prefix }: SyncEvent, order: number): void {
    const name = typeof this.topic === "string" ? this.topic : this.topic.prefix;
    if (prefix !== undefined) {
      this.lastPrefix.set(prefix, order);
      return;
    }
    if (cause === "publish") {
      this.lastEvent.set(key, order);
      this.published.set(key, (this.published.get(key) ?? 0) + 1);
      return;
    }
    // Only an event that names the whole subscription covers it.
    if (key !== name) return;
    this.lastCover = order;
    if (cause === "gap") {
      this.gaps++;
      this.lastGap = order;
    } else this.overflows++;
  }

  /** Whether it got an event of the key, or one that covers it, after a moment. */
  hasSince(key: string, order: number): boolean {
    if (this.lastCover > order || (this.lastEvent.get(key) ?? 0) > order) return true;
    for (const [prefix, at] of this.lastPrefix) if (at > order && key.startsWith(prefix)) return true;
    return false;
  }

  /** The same for a prefix: one that it begins with stands for it. */
  hasPrefixSince(published: string, order: number): boolean {
    if (this.lastCover > order) return true;
    for (const [prefix, at] of this.lastPrefix) if (at > order && published.startsWith(prefix)) return true;
    return false;
  }
}

/** A guard that was taken, and the moment. */
export interface TakenGuard {
  readonly key: string;
  readonly guard: LoadGuard;
  readonly order: number;
  readonly time: number;
}

/** What a node heard of another's stream. `last` is of {@linkcode Order}. */
export interface Heard {
  last: number;
  /** The highest number of a batch that has arrived, and how often a number was passed over. */
  highest: number;
  holes: number;
  /** The highest number that the node has heard of. */
  known: number;
  /** When it was first heard, in milliseconds, and whether its stream was empty then. */
  readonly firstAt: number;
  /** When it was last heard, in milliseconds. */
  lastAt: number;
  readonly isNewborn: boolean;
}

/** How a node notices that another has departed. */
export interface Parting {
  readonly reason: "expired" | "left" | "replaced";
  /** In milliseconds, and of {@linkcode Order}. */
  readonly at: number;
  readonly order: number;
  /** When a datagram of it last arrived. */
  readonly heardAt: number;
  /** The highest number of it that was heard at the last gap since. */
  upTo: number;
  /** Gaps of it since. */
  gaps: number;
}

/** Gets what arrives at a node, with a function that lets it arrive again, and what a node sends. */
export interface Overhearer {
  arrives(node: StormNode, data: Uint8Array, host: string, port: number, again: Arrive): void;
  sends(node: StormNode, data: Uint8Array, host: string, port: number): void;
}
export type Arrive = (data: Uint8Array, host: string, port: number) => void;

/** Longest time in which a node detects that its machine was suspended, in milliseconds. */
export const NOTICED_WITHIN = 251;
/** Shortest suspension that is detected, in milliseconds. */
export const LEAST_SLEEP = 1005;

/** How a host's clock differs from that of the network. */
export interface Skew {
  /** What it shows at the network's time 0, in milliseconds. */
  readonly start: number;
  /** How fast it runs: 1 is as fast as the network's. */
  readonly rate: number;
}

/** One process: a restart on the same host is another node. */
export class StormNode {
  readonly index: number;
  readonly kind: Kind;
  readonly host: MemoryHost;
  mesh: MeshBus | undefined;
  peer: MemoryPlainPeer | undefined;
  /** See {@linkcode senderNumber}. */
  id = 0;
  nodeId = "";
  /** The id that it begins with when that is another node's, and how often it has taken a new one. */
  beginsAs: string | undefined;
  renamings = 0;
  readonly formerIds = new Set<string>();
  /** The option. */
  zone: string | undefined;
  /** Whether it has refused a key after it had left: that is a gap to its peers. */
  hasRefused = false;
  /** The report of its `close`. */
  report: CloseReport | undefined;
  state: "running" | "leaving" | "left" | "crashed" = "running";
  /** When it last got a gap of a node, by that node's id, in the order of events. */
  readonly gapOf: Map<string, number> = new Map();
  /** `host:port` of the peers that it knew when it left. */
  peersAtLeave: ReadonlySet<string> | undefined;
  paused = false;
  /** Whether its machine is suspended: it cannot be called. */
  asleep = false;
  /** Whether it has woken and has not shown that it detected the suspension. */
  isUnaware = false;
  /** Whether another node is to follow it on its host. */
  isReplaced = false;
  /** The options, in milliseconds. */
  heartbeat = 0;
  peerTimeout = 0;
  /** In datagrams a second. */
  minSendRate = 2000;
  batchInterval = 0;
  /** For how long each event keeps its callbacks busy, in milliseconds. */
  busyFor = 0;
  /** Its longest stall, and when the last one ended. */
  longestStall = 0;
  wokeAt = 0;
  /** When its machine last woke from a suspension, of {@linkcode Order}; 0 for never. */
  awakeSince = 0;
  /** When it ended, in milliseconds. */
  endedAt = Infinity;
  /** The option, in bytes. */
  repairBytes = 33_554_432;
  /** Whether it keeps all that is sent in a world for retransmission: 32 MiB for a minute. */
  keepsAll = true;
  readonly subscriptions: StormSubscription[] = [];
  /** When each key was last accepted. */
  readonly accepted = new Map<string, number>();
  /** How often `publish` was called for each key, and when last. */
  readonly calls = new Map<string, { count: number; order: number }>();
  /** The same for prefixes: when last. */
  readonly prefixCalls = new Map<string, number>();
  /** The nodes whose position it heard, and when. */
  readonly heard = new Map<number, Heard>();
  /** Peers that it has seen depart. */
  readonly partings = new Map<string, Parting>();
  /** Nodes of which it had only heard heartbeats without their extension when it met them. */
  readonly metAsPlain = new Set<string>();
  /** When it was opened, and when it began to leave, in milliseconds. */
  openedAt = 0;
  leavesAt = Infinity;
  /** When it first heard of each other node, by id. */
  readonly metAt = new Map<string, number>();
  /** When it met the last node that joined. */
  joinedAt = 0;
  /** How many of its gaps are allowed in a calm world. */
  excusedGaps = 0;
  /** Gaps of the mesh, in words. */
  readonly gaps: string[] = [];
  lastMeshGap = 0;
  guards: TakenGuard[] = [];

  readonly #skew: Skew;

  constructor(index: number, kind: Kind, host: MemoryHost, skew: Skew) {
    this.index = index;
    this.kind = kind;
    this.host = host;
    this.#skew = skew;
  }

  /** Whether it can be called. */
  get isUp(): boolean {
    return this.state === "running" && !this.paused;
  }

  /** The network's time, or ahead of it, as the node sees it: its own clock stops while its machine is suspended. */
  get now(): number {
    const { clock } = this.host;
    return clock.wall?.() ?? clock.now();
  }

  /** Whether its machine has just woken and the node may not have detected it. Guards of that moment are not fresh. */
  isDrowsy(now: number): boolean {
    // A callback may take longer than that.
    return this.isUnaware && (this.longestStall === Infinity || now - this.wokeAt <= NOTICED_WITHIN);
  }

  /** The host's ports, which report what is sent and what arrives. The tap of the network would cost more. */
  ports(order: Order, tap: StormTap, overhearer?: Overhearer): MeshPorts {
    const { bind, randomBytes, resolve, resolveSrv, networkInterfaces } = this.host;
    const watchedBind: MeshPorts["bind"] = async (options, handlers) => {
      const socket = await bind(options, {
        message: (data, host, port) => {
          this.#hear(data, order);
          overhearer?.arrives(this, data, host, port, handlers.message);
          handlers.message(data, host, port);
        },
        error: (error, fatal) => handlers.error(error, fatal),
      });
      const send: DatagramSocket["send"] = (data, host, port) => {
        if (this.host.state !== "crashed") {
          tap.see(data, host, port, this.now);
          overhearer?.sends(this, data, host, port);
        }
        return socket.send(data, host, port);
      };
      const { adapter, unmet, host, port, receiveBuffer } = socket;
      const join: DatagramSocket["join"] = (group, on) => socket.join(group, on);
      const leave: DatagramSocket["leave"] = (group, on) => socket.leave(group, on);
      return { adapter, unmet, host, port, receiveBuffer, send, join, leave, close: () => socket.close() };
    };
    return {
      bind: watchedBind,
      clock: this.#ownClock(),
      randomBytes: this.beginsAs === undefined ? randomBytes : beginningWith(this.beginsAs, randomBytes),
      resolve,
      resolveSrv,
      networkInterfaces,
    };
  }

  #ownClock(): Clock {
    const { clock } = this.host;
    const { start, rate } = this.#skew;
    return {
      now: () => start + clock.now() * rate,
      wall: () => start + this.now * rate,
      setTimer: (callback, delay) => clock.setTimer(callback, delay / rate),
      setTurnEnd: (callback) => clock.setTurnEnd(callback),
    };
  }

  /** When `publish` was last called for a key, or for a prefix of it, of {@linkcode Order}; 0 for never. */
  calledAt(key: string): number {
    let last = this.calls.get(key)?.order ?? 0;
    for (const [prefix, order] of this.prefixCalls) if (key.startsWith(prefix)) last = Math.max(last, order);
    return last;
  }

  identify(nodeId: string): void {
    if (this.nodeId !== "") this.formerIds.add(this.nodeId);
    this.nodeId = nodeId;
    this.id = senderNumber(nodeId);
  }

  #hear(data: Uint8Array, order: Order): void {
    const progress = progressOf(data);
    if (progress === undefined) return;
    const { number, last } = progress;
    const sender = senderOf(data);
    let heard = this.heard.get(sender);
    if (heard === undefined) {
      const firstAt = this.now;
      heard = { last: 0, highest: 0, holes: 0, known: 0, firstAt, lastAt: firstAt, isNewborn: last === 0 };
      this.heard.set(sender, heard);
    }
    heard.last = order.next();
    heard.lastAt = this.now;
    heard.known = Math.max(heard.known, last);
    if (number === 0) return;
    if (number > heard.highest + 1) heard.holes++;
    heard.highest = Math.max(heard.highest, number);
  }
}

/** Random bytes, of which the first are an id. */
function beginningWith(id: string, randomBytes: (length: number) => Uint8Array): (length: number) => Uint8Array {
  let isFirst = true;
  return (length) => {
    const bytes = randomBytes(length);
    if (isFirst) bytes.set(nodeIdBytes(id));
    isFirst = false;
    return bytes;
  };
}
