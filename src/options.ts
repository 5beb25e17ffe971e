/**
 * The options of a mesh: their defaults in one place, checked once.
 *
 * @module
 */

import { isIpv4, isMulticast, isUnicast, isUnspecified, parseAddress } from "./address.ts";
import { show } from "./errors.ts";
import type { MeshPorts } from "./ports.ts";
import { checkSignal } from "./signal.ts";
import { MAX_BATCH_COUNT } from "./wire/layout.ts";

/** How a mesh is opened. Durations are in milliseconds. */
export interface MeshOptions {
  /**
   * UDP port of the mesh, the same on every node of it: 0 to 65535. Several processes of one host may share it. With 0
   * the system chooses a free one, which `mesh.port` tells.
   *
   * @default {7946}
   */
  readonly port?: number;
  /**
   * Multicast group of the mesh, the same on every node of it: an IPv4 literal from 224.0.0.0 to 239.255.255.255.
   *
   * Several meshes on one host and network need a port each: a system may deliver the datagrams of one group to a socket
   * that has joined another on the same port.
   *
   * @default {"239.0.0.1"}
   */
  readonly group?: string;
  /**
   * Interface to join the group on and to send from, by name (`"eth0"`) or by its IPv4 address. `"127.0.0.1"` keeps the
   * mesh on this host.
   *
   * @default the one that the system's routes choose
   */
  readonly interface?: string;
  /**
   * Seeds: nodes to contact at once, `host:port`, or `host` for the port of the mesh. A host is an IPv4 literal or a
   * name; all its IPv4 addresses are contacted, and it is looked up again every 30 s. One that cannot be looked up is
   * an `error` event and is tried again.
   *
   * @default {[]}
   */
  readonly peers?: readonly string[];
  /**
   * Address under which others can reach this node, `host:port`.
   *
   * A node has a port of its own beside the shared `port`, from which it sends and at which it is reached. When this
   * names `port` itself, one socket serves as both. Any other port is bound as the own one; 0 lets the system choose
   * it. An empty or unspecified host (`":7946"`, `"0.0.0.0:7946"`) is filled in as in the default.
   *
   * @default the address of `interface`, else the first IPv4 address of this host that is not loopback, and a port that
   * the system chooses
   */
  readonly advertiseAddr?: string;
  /**
   * Time between heartbeats: 10 to 3,600,000. The first goes out on opening.
   *
   * @default {5000}
   */
  readonly heartbeat?: number;
  /**
   * Longest that a key waits for others to share its datagram: 0 to 60,000. On an idle mesh it does not wait: what is
   * published in one turn of the event loop leaves at the end of it. With 0 that is always so.
   *
   * @default {100}
   */
  readonly batchInterval?: number;
  /**
   * Most keys in a datagram: 1 to 65,535. A datagram has at most 1,400 bytes in any case, so a large number here fills
   * each.
   *
   * @default {20}
   */
  readonly batchSize?: number;
  /**
   * Most keys that may be pending before `publish` waits: 1 to 1,000,000.
   *
   * @default {1000}
   */
  readonly queueSize?: number;
  /**
   * Whether to use multicast. Without it the mesh consists of its seeds and of those who have it as a seed.
   *
   * @default {true}
   */
  readonly multicast?: boolean;
  /**
   * Hops that multicast may take: 1 to 255. 1 stays in the local network.
   *
   * @default {1}
   */
  readonly multicastTtl?: number;
  /**
   * Whether other processes of this host hear the node's multicast.
   *
   * @default {true}
   */
  readonly multicastLoopback?: boolean;
  /**
   * Receive buffer to ask the system for, in bytes: 4,096 to 1,073,741,824. The system's default holds about 92 full
   * datagrams: at 100,000 a second Node loses 0.9 % with it and none with 4 MiB. Linux grants at most
   * `net.core.rmem_max`. When this is set and the runtime's own socket cannot (Bun), the mesh uses `node:dgram`.
   *
   * @default 4,194,304 where the runtime's own socket can ask for it
   */
  readonly receiveBuffer?: number;
  /**
   * Silence after which a peer is forgotten: 20 to 86,400,000, and at least twice `heartbeat`. All nodes of a mesh
   * should have the same `heartbeat`.
   *
   * @default {60000}, or three heartbeats if that is more
   */
  readonly peerTimeout?: number;
  /**
   * Most peers that are kept: 1 to 65,536. Newcomers beyond it are refused, so that heartbeats of invented nodes can
   * neither drive known peers out nor grow memory and traffic without limit.
   *
   * @default {1024}
   */
  readonly maxPeers?: number;
  /**
   * What the node speaks. `"extended"` numbers its datagrams, so that losses are noticed and repaired; Go nodes do not
   * notice. `"go-warp"` sends what the original sends, byte for byte, heeds nothing else, and repairs nothing.
   *
   * @default {"extended"}
   */
  readonly wire?: "extended" | "go-warp";
  /**
   * Memory for datagrams that were sent and may be asked for again, in bytes: 65,536 to 1,073,741,824. What has to give
   * way before a peer asks for it is a gap there. The default holds 23,400 full datagrams, half a second at full speed; memory is
   * taken as it is needed.
   *
   * @default {33554432}
   */
  readonly repairBytes?: number;
  /**
   * How long a datagram that was sent is kept for repair: 100 to 86,400,000. A peer that was cut off for longer gets a gap.
   *
   * @default {60000}
   */
  readonly repairAge?: number;
  /**
   * Datagrams a second below which losses do not slow the node down: 1 to 1,000,000. A peer that cannot take that much
   * gets gaps, so that one slow peer does not stop the mesh.
   *
   * @default {2000}, or `maxSendRate` if that is less
   */
  readonly minSendRate?: number;
  /**
   * Datagrams a second that the node does not exceed in the long run, batches and repairs: 1 to 1,000,000. 2 ms of that, or
   * 16, may leave at a time. One that is sent to many peers counts once.
   *
   * @default {200000}, or `minSendRate` if that is more
   */
  readonly maxSendRate?: number;
  /** Closes the mesh when it aborts; while the mesh opens, `openMesh` rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** {@linkcode MeshOptions} with nothing left open. */
export interface Settings {
  readonly port: number;
  readonly group: string;
  readonly interface: string | undefined;
  readonly seeds: readonly Seed[];
  readonly advertise: { readonly host: string; readonly port: number } | undefined;
  readonly heartbeat: number;
  readonly batchInterval: number;
  readonly batchSize: number;
  readonly queueSize: number;
  readonly multicast: boolean;
  readonly multicastTtl: number;
  readonly multicastLoopback: boolean;
  readonly receiveBuffer: number;
  readonly receiveBufferRequired: boolean;
  readonly peerTimeout: number;
  readonly maxPeers: number;
  readonly extended: boolean;
  readonly repairBytes: number;
  readonly repairAge: number;
  readonly minSendRate: number;
  readonly maxSendRate: number;
  readonly signal: AbortSignal | undefined;
}

/** A seed as it was given, taken apart. The port 0 stands for the port of the mesh. */
export interface Seed {
  readonly text: string;
  readonly host: string;
  readonly port: number;
}

/** Receive buffer asked for by default, in bytes: with it, Node lost nothing at 100,000 datagrams a second. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;

/**
 * Checks options and fills in the defaults.
 *
 * @throws {TypeError | RangeError} that names the option, the rule and the value
 */
export function checkOptions(options: MeshOptions): Settings {
  checkIsObject(options);
  const seeds = options.peers ?? [];
  if (options.signal !== undefined) checkSignal("open the mesh", options.signal);
  if (!Array.isArray(seeds)) throw misuse(TypeError, "peers", "an array of `host:port` texts", seeds);
  const heartbeat = number(options, "heartbeat", 5000, 10, 3_600_000);
  const most = integer(options, "maxSendRate", 1_000_000, 1, 1_000_000);
  const minSendRate = integer(options, "minSendRate", Math.min(2000, most), 1, 1_000_000);
  return {
    port: integer(options, "port", 7946, 0, 65535),
    group: group(options.group ?? "239.0.0.1"),
    interface: interfaceText(options.interface),
    seeds: seeds.map(seed),
    advertise: advertise(options.advertiseAddr),
    heartbeat,
    batchInterval: number(options, "batchInterval", 100, 0, 60_000),
    batchSize: integer(options, "batchSize", 20, 1, MAX_BATCH_COUNT),
    queueSize: integer(options, "queueSize", 1000, 1, 1_000_000),
    multicast: boolean(options, "multicast"),
    multicastTtl: integer(options, "multicastTtl", 1, 1, 255),
    multicastLoopback: boolean(options, "multicastLoopback"),
    receiveBuffer: integer(options, "receiveBuffer", RECEIVE_BUFFER, 4096, 2 ** 30),
    receiveBufferRequired: (options.receiveBuffer ?? undefined) !== undefined,
    peerTimeout: peerTimeout(options, heartbeat),
    maxPeers: integer(options, "maxPeers", 1024, 1, 65_536),
    extended: wire(options.wire) === "extended",
    repairBytes: integer(options, "repairBytes", 32 * 1024 * 1024, 65_536, 2 ** 30),
    repairAge: number(options, "repairAge", 60_000, 100, 86_400_000),
    minSendRate,
    maxSendRate: maxSendRate(options, minSendRate),
    signal: options.signal,
  };
}

/**
 * Checks that options are an object at all, before they are spread.
 *
 * @throws {TypeError} when they are not
 */
export function checkIsObject(options: MeshOptions): void {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return;
  throw new TypeError(`Cannot open the mesh as the options must be an object: current value is ${show(options)}`);
}

/**
 * Checks that all ports are there.
 *
 * @throws {TypeError} that names the one that is not
 */
export function checkPorts(ports: MeshPorts): void {
  for (const name of ["bind", "randomBytes", "resolve", "networkInterfaces"] as const) {
    if (typeof ports[name] !== "function") throw misuse(TypeError, name, "a function", ports[name]);
  }
  if (typeof ports.clock?.setTimer !== "function") throw misuse(TypeError, "clock", "a clock", ports.clock);
}

type NumberOption =
  | "port"
  | "heartbeat"
  | "batchInterval"
  | "batchSize"
  | "queueSize"
  | "multicastTtl"
  | "receiveBuffer"
  | "peerTimeout"
  | "maxPeers"
  | "repairBytes"
  | "repairAge"
  | "minSendRate"
  | "maxSendRate";

function integer(options: MeshOptions, name: NumberOption, fallback: number, min: number, max: number): number {
  const value = options[name] ?? fallback;
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw misuse(typeof value === "number" ? RangeError : TypeError, name, `an integer from ${min} to ${max}`, value);
}

function number(options: MeshOptions, name: NumberOption, fallback: number, min: number, max: number): number {
  const value = options[name] ?? fallback;
  if (typeof value === "number" && value >= min && value <= max) return value;
  const type = typeof value === "number" ? RangeError : TypeError;
  throw misuse(type, name, `a number of milliseconds from ${min} to ${max}`, value);
}

function peerTimeout(options: MeshOptions, heartbeat: number): number {
  const value = number(options, "peerTimeout", Math.max(60_000, 3 * heartbeat), 20, 86_400_000);
  if (value >= 2 * heartbeat) return value;
  throw misuse(RangeError, "peerTimeout", `at least 2 × \`heartbeat\`, ${2 * heartbeat} ms`, value);
}

function maxSendRate(options: MeshOptions, least: number): number {
  const value = integer(options, "maxSendRate", Math.max(200_000, least), 1, 1_000_000);
  if (value >= least) return value;
  throw misuse(RangeError, "maxSendRate", `at least \`minSendRate\`, ${least}`, value);
}

function wire(option: MeshOptions["wire"]): "extended" | "go-warp" {
  const value = option ?? "extended";
  if (value === "extended" || value === "go-warp") return value;
  throw misuse(TypeError, "wire", '"extended" or "go-warp"', value);
}

function boolean(options: MeshOptions, name: "multicast" | "multicastLoopback"): boolean {
  const value = options[name] ?? true;
  if (typeof value === "boolean") return value;
  throw misuse(TypeError, name, "true or false", value);
}

function group(value: string): string {
  if (typeof value === "string" && isIpv4(value) && isMulticast(value)) return value;
  throw misuse(TypeError, "group", "an IPv4 multicast address, 224.0.0.0 to 239.255.255.255", value);
}

function interfaceText(value: string | undefined): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string") return value;
  throw misuse(TypeError, "interface", "the name or the IPv4 address of an interface", value);
}

function seed(text: string): Seed {
  const full = typeof text === "string" ? parseAddress(text) : undefined;
  const parsed = typeof text === "string" && full?.port !== 0 ? full ?? parseAddress(`${text}:0`) : undefined;
  if (parsed !== undefined && !isUnspecified(parsed.host) && !parsed.host.includes(":") && isHost(parsed.host)) {
    return { text, ...parsed };
  }
  throw misuse(
    TypeError,
    "peers",
    "`host:port` texts with an IPv4 literal or a name as host and a port from 1 to 65535",
    text,
  );
}

function advertise(text: string | undefined): Settings["advertise"] {
  if (text === undefined || text === "") return undefined;
  const parsed = typeof text === "string" ? parseAddress(text) : undefined;
  if (parsed !== undefined && (isUnspecified(parsed.host) || isHost(parsed.host))) return parsed;
  throw misuse(TypeError, "advertiseAddr", "`host:port` with an IPv4 literal or a name as host", text);
}

/** A host is an IPv4 literal or a name; digits and dots alone are a literal gone wrong, such as 10.0.0.256. */
function isHost(host: string): boolean {
  return isIpv4(host) ? isUnicast(host) : /^(?=.*[a-zA-Z_-])[a-zA-Z0-9_.-]+$/.test(host);
}

function misuse(type: TypeErrorConstructor | RangeErrorConstructor, name: string, rule: string, value: unknown): Error {
  return new type(`Cannot open the mesh as \`${name}\` must be ${rule}: current value is ${show(value)}`);
}
