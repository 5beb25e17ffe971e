/**
 * Options of a mesh: their defaults in one place, and their only check.
 *
 * @module
 */

import type { Discover } from "./discovery/discover_hook.ts";
import { parseSeed, type SeedSpec } from "./discovery/seed_spec.ts";
import { misuse } from "./errors.ts";
import { DEFAULT_GROUPS, familyOf, GROUP_RULES, groupLiteral, hostLiteral, isHostName } from "./net/address_family.ts";
import { checkSignal, type Signal } from "./platform/abort_signal.ts";
import { type Family, isUnspecified, parseAddress } from "./platform/endpoint.ts";
import { checkKnown, type KnownOptions, knownOptions } from "./platform/known_options.ts";
import type { MeshPorts } from "./platform/ports.ts";
import { MAX_BATCH_COUNT, MAX_REGION, MAX_ZONE } from "./wire/layout.ts";
import { checkName } from "./wire/metadata.ts";

/** The options with which a mesh is opened. Durations are in milliseconds. */
export interface MeshOptions {
  /**
   * UDP port of the mesh, the same on every node: 0 to 65535. Several processes of one host may share it. With 0 the
   * system chooses a free one, which `mesh.port` returns.
   *
   * @default {7946}
   */
  readonly port?: number | undefined;
  /**
   * Multicast group of the mesh, the same on every node: an IPv4 literal from 224.0.0.0 to 239.255.255.255, or an IPv6
   * literal from ff00:: up, without a zone.
   *
   * Several meshes on one host and network need a port each: a system may deliver the datagrams of one group to a
   * socket that has joined another group on the same port.
   *
   * @default {"239.0.0.1"}, or `"ff12::5752:1"` in an IPv6 mesh
   */
  readonly group?: string | undefined;
  /**
   * Address family of the mesh, 4 or 6. A mesh has one family: its nodes use addresses of that family only. A service
   * that needs both opens two meshes, which may share the port.
   *
   * @default that of `group`, else 4
   */
  readonly family?: Family | undefined;
  /**
   * Interface on which to join the group and from which to send, by its name (`"eth0"`) or its address. `"127.0.0.1"`
   * keeps the mesh on this host. It may also be a list of 1 to 64 interfaces, or `"all"` for those that have multicast:
   * the group is joined on each of them, and multicast is sent from each.
   *
   * @default the interface that the system's routes choose at the moment; the first that is not loopback when they
   * choose none
   */
  readonly interface?: string | readonly string[] | undefined;
  /**
   * Whether the mesh opens although an interface that `interface` names is missing, or, without `interface`, although
   * there is none but the loopback interface: for a service that starts before the network. An `interfaceMissing` event
   * names the missing interface, and an `interfaceJoined` event follows when it has come up.
   *
   * With `false` a missing interface is an error, as its name may be misspelt. An interface that goes down later is
   * waited for in any case.
   *
   * @default {false}
   */
  readonly waitForInterface?: boolean | undefined;
  /**
   * Seeds: nodes to contact at once. At most 1024 texts, each of which is
   *
   * - `host:port`, or `host` for the port of the mesh. The host is an address (IPv6: `[fd00::1]:7946`, `[fd00::1]`,
   *   `fd00::1`), or a name, all of whose addresses of the mesh's family are contacted;
   * - `srv:name` for the hosts and ports of the SRV records of that name, whatever their priority and weight. `.` as
   *   the only target says that there are none.
   *
   * Names are looked up in the background, and again every `resolveInterval`. An answer replaces the one before. A
   * look-up that fails changes nothing, is an `error` event, and is tried again after 1, 2, 4 … s. Addresses beyond
   * 1024 in all, and targets beyond 256 of a service, are left out at random.
   *
   * @default {[]}
   */
  readonly peers?: readonly string[] | undefined;
  /**
   * Time after which names are looked up again, less up to a tenth at random: 100 to 86,400,000. The default is the
   * usual TTL of cluster DNS: that of the `kubernetes` block in the Corefile of kubeadm.
   *
   * @default {30000}
   */
  readonly resolveInterval?: number | undefined;
  /**
   * Another source of seeds: lists of texts as in `peers`, each of which replaces the one before. It is an async
   * iterable, or a function that makes one. The function gets a signal that aborts when the mesh closes; `return()` of
   * the iterator is called then. A list is taken at most every 100 ms.
   *
   * Items that cannot be used are left out and are an `error` event. What is thrown is an `error` event as well: a
   * function is then called again, after 1, 2, 4 … s up to `resolveInterval`. The last list stays in force when no more
   * follow.
   */
  readonly discover?: Discover | undefined;
  /**
   * Address at which others can reach this node, `host:port`.
   *
   * A node has a port of its own beside the shared `port`, from which it sends and at which it is reached. When this
   * option names `port` itself, one socket serves as both. Any other port is bound as the node's own one; 0 lets the
   * system choose it. An empty or unspecified host (`":7946"`, `"0.0.0.0:7946"`) is filled in as in the default. A
   * literal must be of the mesh's family, an IPv6 literal in brackets.
   *
   * @default the address of `interface`, else the one that the system's routes choose for `group`, else the first
   * address of this host that is of the mesh's family and not loopback; and a port that the system chooses
   */
  readonly advertiseAddr?: string | undefined;
  /**
   * Time between heartbeats: 10 to 3,600,000. The first one is sent on opening. All nodes of a mesh should have the
   * same value.
   *
   * @default {5000}
   */
  readonly heartbeat?: number | undefined;
  /**
   * Longest time that a key waits for others to share its datagram: 0 to 60,000. With 0 no key waits.
   *
   * Keys that are published in one turn of the event loop leave at the end of it at the latest, as long as the node
   * sends at most 20,000 datagrams a second, copies to several peers counted each, and fewer after losses. Beyond that
   * rate keys wait until the next datagram may leave, or is full.
   *
   * @default {100}
   */
  readonly batchInterval?: number | undefined;
  /**
   * Most keys in a datagram: 1 to 65,535. A datagram has at most 1,400 bytes in any case.
   *
   * @default {65535}, so as many as fit; 20 with `wire: "go-warp"`, as in go-warp
   */
  readonly batchSize?: number | undefined;
  /**
   * Most keys that may be pending before `publish` waits: 1 to 1,000,000.
   *
   * @default {1000}
   */
  readonly queueSize?: number | undefined;
  /**
   * Whether to use multicast. Without it the node finds others by its seeds, or is found as a seed.
   *
   * @default {true}
   */
  readonly multicast?: boolean | undefined;
  /**
   * Hop limit of multicast: 1 to 255. With 1 it stays in the local network.
   *
   * @default {1}
   */
  readonly multicastTtl?: number | undefined;
  /**
   * Whether other processes of this host hear the node's multicast.
   *
   * @default {true}
   */
  readonly multicastLoopback?: boolean | undefined;
  /**
   * Receive buffer to ask the system for, in bytes: 4,096 to 1,073,741,824. The system's default holds about 92 full
   * datagrams: at 100,000 a second Node loses 0.9 % with it, and none with 4 MiB. Linux grants at most
   * `net.core.rmem_max`. When this option is set and the runtime's own socket cannot set it (Bun), the mesh uses
   * `node:dgram`.
   *
   * @default 4,194,304 where the runtime's own socket can ask for it
   */
  readonly receiveBuffer?: number | undefined;
  /**
   * Silence after which a peer is down: 20 to 86,400,000, and at least twice `heartbeat`. The peer is probed again and
   * again before that. A Go node cannot be probed: it is down after 60 s, or three heartbeats if that is more, unless
   * this option is given.
   *
   * A peer that is down is a gap, as what it published last may not have arrived. A larger value survives longer
   * interruptions of the network.
   *
   * @default {15000}: three heartbeats
   */
  readonly peerTimeout?: number | undefined;
  /**
   * Most peers that are known at a time: 1 to 65,536. Further nodes are refused, so that heartbeats of invented nodes
   * can neither displace known peers nor grow memory and traffic without limit. But a node that responds to a path
   * challenge replaces one that never did. Go nodes, which respond to nothing, may be half of the peers.
   *
   * @default {1024}
   */
  readonly maxPeers?: number | undefined;
  /**
   * The wire format of the node. `"extended"` numbers its batches, so that losses are detected and retransmitted; Go
   * nodes ignore the extension. `"go-warp"` sends what go-warp sends, byte for byte, ignores everything else, and
   * recovers no losses.
   *
   * @default {"extended"}
   */
  readonly wire?: "extended" | "go-warp" | undefined;
  /**
   * Memory for sent datagrams that may have to be retransmitted, in bytes: 65,536 to 1,073,741,824. A datagram that is
   * dropped from it before a peer requests it is a gap at that peer. The default holds 23,400 full datagrams, half a
   * second at full speed. Memory is allocated as it is needed.
   *
   * @default {33554432}
   */
  readonly repairBytes?: number | undefined;
  /**
   * How long a sent datagram is held for retransmission: 100 to 86,400,000. A peer that was cut off for longer gets a
   * gap.
   *
   * @default {60000}
   */
  readonly repairAge?: number | undefined;
  /**
   * How long batches of a peer that is heard may be missing, while caches wait for them: 100 to 86,400,000. After that,
   * everything that is missing of that peer is one gap. While the peer is silent, no more than a second of the silence
   * counts.
   *
   * @default {5000}
   */
  readonly maxRepairTime?: number | undefined;
  /**
   * Rate below which losses do not slow the node down, in datagrams a second: 1 to 1,000,000. A peer that cannot
   * receive that much gets gaps, so that one slow peer does not stop the mesh.
   *
   * @default {2000}, or `maxSendRate` if that is less
   */
  readonly minSendRate?: number | undefined;
  /**
   * Highest rate of the node in the long run, batches and retransmissions, in datagrams a second: 1 to 1,000,000. 2 ms
   * of that, or 16 datagrams, may leave at a time. A datagram that is sent to many peers counts once.
   *
   * @default {200000}, or `minSendRate` if that is more
   */
  readonly maxSendRate?: number | undefined;
  /**
   * The zone that this node is in, such as an availability zone: 1 to 64 bytes of UTF-8. Heartbeats carry it, and
   * `publishAndAwaitTopology` counts zones.
   */
  readonly zone?: string | undefined;
  /**
   * The region that this node is in: 1 to 64 bytes of UTF-8. What others publish with the scope `"local"` in another
   * region is not delivered here; what this node publishes with it stays in this region.
   */
  readonly region?: string | undefined;
  /**
   * A signal that closes the mesh when it aborts. When it aborts while the mesh opens, `openMesh` rejects with its
   * reason.
   */
  readonly signal?: Signal | undefined;
}

/** {@linkcode MeshOptions}, checked, with all defaults filled in. */
export interface Settings {
  readonly port: number;
  readonly group: string;
  readonly family: Family;
  /** The one interface that was named. */
  readonly interface: string | undefined;
  /** All interfaces, or those of a list, each once. */
  readonly interfaces: "all" | readonly string[] | undefined;
  readonly waitForInterface: boolean;
  readonly seeds: readonly SeedSpec[];
  readonly resolveInterval: number;
  readonly discover: Discover | undefined;
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
  /** `peerTimeout` of peers that cannot be probed. */
  readonly quietTimeout: number;
  readonly maxPeers: number;
  readonly extended: boolean;
  readonly repairBytes: number;
  readonly repairAge: number;
  readonly maxRepairTime: number;
  readonly minSendRate: number;
  readonly maxSendRate: number;
  readonly zone: string | undefined;
  readonly region: string | undefined;
  readonly signal: Signal | undefined;
}

/** The names of all options. */
export const MESH_OPTIONS: KnownOptions = knownOptions<MeshOptions>({
  port: true,
  group: true,
  family: true,
  interface: true,
  waitForInterface: true,
  peers: true,
  resolveInterval: true,
  discover: true,
  advertiseAddr: true,
  heartbeat: true,
  batchInterval: true,
  batchSize: true,
  queueSize: true,
  multicast: true,
  multicastTtl: true,
  multicastLoopback: true,
  receiveBuffer: true,
  peerTimeout: true,
  maxPeers: true,
  wire: true,
  repairBytes: true,
  repairAge: true,
  maxRepairTime: true,
  minSendRate: true,
  maxSendRate: true,
  zone: true,
  region: true,
  signal: true,
});

const PORTS = knownOptions<MeshPorts>({
  bind: true,
  clock: true,
  randomBytes: true,
  resolve: true,
  resolveSrv: true,
  networkInterfaces: true,
  contexts: true,
  routeTo: true,
});

/** The names of all options and ports, as `MeshBus.open` takes both. */
const OPTIONS_AND_PORTS = knownOptions<object>({}, MESH_OPTIONS, PORTS);

/** Most texts in `peers`: as many as there may be addresses of seeds, so that each has room. */
const MAX_PEERS = 1024;

/**
 * Most interfaces in a list. Beyond 20, which Linux joins with one socket, each has a membership by a socket of its
 * own.
 */
const MAX_INTERFACES = 64;

/** Silence after which go-warp forgets a peer, in milliseconds. */
const QUIET_TIMEOUT = 60_000;

/** Default receive buffer, in bytes: with it, Node lost nothing at 100,000 datagrams a second. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;

/**
 * Checks options and fills in the defaults.
 *
 * @throws {TypeError | RangeError} that names the option, the rule and the value
 */
export function checkOptions(options: MeshOptions & Partial<MeshPorts>): Settings {
  checkNames(options, OPTIONS_AND_PORTS);
  if (options.signal !== undefined) checkSignal("open the mesh", options.signal);
  const family = familyOption(options);
  const heartbeat = number(options, "heartbeat", 5000, 10, 3_600_000);
  const highestRate = integer(options, "maxSendRate", 1_000_000, 1, 1_000_000);
  const extended = wire(options.wire) === "extended";
  const minSendRate = integer(options, "minSendRate", Math.min(2000, highestRate), 1, 1_000_000);
  return {
    port: integer(options, "port", 7946, 0, 65535),
    group: group(options.group ?? DEFAULT_GROUPS[family], family),
    family,
    ...interfaces(options.interface),
    waitForInterface: boolean(options, "waitForInterface", false),
    seeds: seeds(options.peers ?? [], family),
    resolveInterval: number(options, "resolveInterval", 30_000, 100, 86_400_000),
    discover: discover(options.discover ?? undefined),
    advertise: advertise(options.advertiseAddr, family),
    heartbeat,
    batchInterval: number(options, "batchInterval", 100, 0, 60_000),
    batchSize: integer(options, "batchSize", extended ? MAX_BATCH_COUNT : 20, 1, MAX_BATCH_COUNT),
    queueSize: integer(options, "queueSize", 1000, 1, 1_000_000),
    multicast: boolean(options, "multicast"),
    multicastTtl: integer(options, "multicastTtl", 1, 1, 255),
    multicastLoopback: boolean(options, "multicastLoopback"),
    receiveBuffer: integer(options, "receiveBuffer", RECEIVE_BUFFER, 4096, 2 ** 30),
    receiveBufferRequired: (options.receiveBuffer ?? undefined) !== undefined,
    peerTimeout: peerTimeout(options, heartbeat),
    quietTimeout: options.peerTimeout ?? Math.max(QUIET_TIMEOUT, 3 * heartbeat),
    maxPeers: integer(options, "maxPeers", 1024, 1, 65_536),
    extended,
    repairBytes: integer(options, "repairBytes", 32 * 1024 * 1024, 65_536, 2 ** 30),
    repairAge: number(options, "repairAge", 60_000, 100, 86_400_000),
    zone: name(options, "zone", MAX_ZONE),
    region: name(options, "region", MAX_REGION),
    maxRepairTime: number(options, "maxRepairTime", 5000, 100, 86_400_000),
    minSendRate,
    maxSendRate: maxSendRate(options, minSendRate),
    signal: options.signal,
  };
}

/**
 * Checks that options are an object, before they are spread, and that each has a known name: by default those of all
 * options. `action` completes "Cannot …".
 *
 * @throws {TypeError} that names what is wrong
 */
export function checkNames(options: MeshOptions, known: KnownOptions = MESH_OPTIONS, action = "open the mesh"): void {
  checkKnown(action, options, known, optionHint, true);
}

/**
 * A copy of the options as own properties. The given object may inherit them, such as from a class with getters:
 * spreading it would lose them, and their defaults would be in force.
 */
export function givenOptions(options: MeshOptions): MeshOptions {
  const names = Object.keys(MESH_OPTIONS) as (keyof MeshOptions)[];
  return Object.fromEntries(names.map((name) => [name, options[name]]).filter(([, value]) => value !== undefined));
}

function optionHint(name: string): string | undefined {
  if (/^(on[A-Z]|log)/.test(name)) return "`mesh.events` reports what happens";
  return PORTS[name] && "it is a port, which `MeshBus.open` takes";
}

/**
 * Checks that all ports are given.
 *
 * @throws {TypeError} that names the missing one
 */
export function checkPorts(ports: MeshPorts): void {
  for (const name of ["bind", "randomBytes", "resolve", "resolveSrv", "networkInterfaces"] as const) {
    if (typeof ports[name] !== "function") throw invalid(name, "a function", ports[name]);
  }
  if (ports.routeTo !== undefined && typeof ports.routeTo !== "function") {
    throw invalid("routeTo", "a function", ports.routeTo);
  }
  const isClock = typeof ports.clock?.setTimer === "function" &&
    [ports.clock.wall ?? null, ports.clock.holdWhile ?? null].every((each) =>
      each === null || typeof each === "function"
    );
  if (!isClock) throw invalid("clock", "a clock", ports.clock);
  const { contexts } = ports;
  if (contexts === undefined) return;
  if (typeof contexts?.capture === "function" && typeof contexts.leave === "function") return;
  throw invalid("contexts", "an object with `capture` and `leave`", contexts);
}

type NumberOption =
  | "port"
  | "resolveInterval"
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
  | "maxRepairTime"
  | "minSendRate"
  | "maxSendRate";

function integer(options: MeshOptions, name: NumberOption, fallback: number, min: number, max: number): number {
  const value = options[name] ?? fallback;
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(name, `an integer from ${min} to ${max}`, value, true);
}

function number(options: MeshOptions, name: NumberOption, fallback: number, min: number, max: number): number {
  const value = options[name] ?? fallback;
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw invalid(name, `a number of milliseconds from ${min} to ${max}`, value, true);
}

function name(options: MeshOptions, option: "zone" | "region", limit: number): string | undefined {
  const value = options[option];
  if (value !== undefined) checkName("open the mesh", option, value, limit);
  return value;
}

function peerTimeout(options: MeshOptions, heartbeat: number): number {
  const value = number(options, "peerTimeout", 3 * heartbeat, 20, 86_400_000);
  if (value >= 2 * heartbeat) return value;
  throw invalid("peerTimeout", `at least 2 × \`heartbeat\`, ${2 * heartbeat} ms`, value, true);
}

function maxSendRate(options: MeshOptions, lowestRate: number): number {
  const value = integer(options, "maxSendRate", Math.max(200_000, lowestRate), 1, 1_000_000);
  if (value >= lowestRate) return value;
  throw invalid("maxSendRate", `at least \`minSendRate\`, ${lowestRate}`, value, true);
}

function wire(option: MeshOptions["wire"]): "extended" | "go-warp" {
  const value = option ?? "extended";
  if (value === "extended" || value === "go-warp") return value;
  throw invalid("wire", '"extended" or "go-warp"', value);
}

type BooleanOption = "multicast" | "multicastLoopback" | "waitForInterface";

function boolean(options: MeshOptions, name: BooleanOption, fallback = true): boolean {
  const value = options[name] ?? fallback;
  if (typeof value === "boolean") return value;
  throw invalid(name, "true or false", value);
}

function familyOption({ family, group }: MeshOptions): Family {
  const value = family ?? (typeof group === "string" ? familyOf(group) : undefined) ?? 4;
  if (value === 4 || value === 6) return value;
  throw invalid("family", "4 or 6", value);
}

function group(value: string, family: Family): string {
  const literal = typeof value === "string" ? groupLiteral(value, family) : undefined;
  if (literal !== undefined) return literal;
  // Without a valid group, `family` is 4 unless it was given.
  const other = typeof value === "string" && groupLiteral(value, family === 4 ? 6 : 4) !== undefined;
  throw invalid("group", other ? `${GROUP_RULES[family]}, as \`family\` is ${family}` : ANY_GROUP, value);
}

const ANY_GROUP = `${GROUP_RULES[4]}, or ${GROUP_RULES[6]}`;

function interfaces(value: MeshOptions["interface"]): Pick<Settings, "interface" | "interfaces"> {
  if (value === undefined || value === "") return { interface: undefined, interfaces: undefined };
  if (value === "all") return { interface: undefined, interfaces: "all" };
  if (typeof value === "string") return { interface: value, interfaces: undefined };
  const isList = Array.isArray(value) && value.length > 0 && value.length <= MAX_INTERFACES &&
    value.every((item) => typeof item === "string" && item !== "" && item !== "all");
  if (isList) return { interface: undefined, interfaces: [...new Set(value)] };
  const rule = `the name or an address of an interface, a list of 1 to ${MAX_INTERFACES} of those, or "all"`;
  throw invalid("interface", rule, value);
}

function seeds(texts: readonly string[], family: Family): readonly SeedSpec[] {
  if (!Array.isArray(texts)) throw invalid("peers", "an array of `host:port` texts", texts);
  if (texts.length > MAX_PEERS) throw invalid("peers", `at most ${MAX_PEERS} texts`, texts.length, true);
  return texts.map((text) => {
    const seed = parseSeed(text, family);
    if (typeof seed === "string") throw invalid("peers", seed, text);
    return seed;
  });
}

function discover(value: Discover | undefined): Discover | undefined {
  if (value === undefined || typeof value === "function") return value;
  if (typeof value === "object" && typeof value[Symbol.asyncIterator] === "function") return value;
  throw invalid("discover", "an async iterable of arrays of texts, or a function that returns one", value);
}

function advertise(text: string | undefined, family: Family): Settings["advertise"] {
  if (text === undefined || text === "") return undefined;
  const parsed = typeof text === "string" ? parseAddress(text) : undefined;
  if (parsed !== undefined) {
    if (isUnspecified(parsed.host)) return parsed;
    const literal = hostLiteral(parsed.host, family);
    if (literal !== undefined) return { host: literal, port: parsed.port };
    if (familyOf(parsed.host) === undefined && isHostName(parsed.host)) return parsed;
  }
  const literal = family === 4 ? "an IPv4 literal" : "an IPv6 literal in brackets";
  throw invalid("advertiseAddr", `\`host:port\` with ${literal} or a name as host`, text);
}

function invalid(name: string, rule: string, value: unknown, isNumber = false): Error {
  return misuse("open the mesh", `\`${name}\` must be ${rule}`, value, isNumber);
}
