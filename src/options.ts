/**
 * The options of a mesh: their defaults in one place, checked once.
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
import { MAX_BATCH_COUNT } from "./wire/layout.ts";

/** How a mesh is opened. Durations are in milliseconds. */
export interface MeshOptions {
  /**
   * UDP port of the mesh, the same on every node of it: 0 to 65535. Several processes of one host may share it. With 0
   * the system chooses a free one, which `mesh.port` tells.
   *
   * @default {7946}
   */
  readonly port?: number | undefined;
  /**
   * Multicast group of the mesh, the same on every node of it: an IPv4 literal from 224.0.0.0 to 239.255.255.255, or an
   * IPv6 literal from ff00:: up, without a zone.
   *
   * Several meshes on one host and network need a port each: a system may deliver the datagrams of one group to a socket
   * that has joined another on the same port.
   *
   * @default {"239.0.0.1"}, or `"ff12::5752:1"` in a mesh of IPv6
   */
  readonly group?: string | undefined;
  /**
   * Whether the mesh is one of IPv4 or of IPv6. A mesh has one family: its nodes talk by addresses of that alone. A
   * service in both opens two meshes, which may share the port.
   *
   * @default that of `group`, else 4
   */
  readonly family?: Family | undefined;
  /**
   * Interface to join the group on and to send from, by name (`"eth0"`) or by its address. `"127.0.0.1"` keeps the mesh on
   * this host. A list of them, at most 64, or `"all"` for those that have multicast: the group is joined on each, and
   * heard and sent to there.
   *
   * @default the one that the system's routes choose, at the moment; the first that is not loopback when they choose none
   */
  readonly interface?: string | readonly string[] | undefined;
  /**
   * Whether the mesh opens although an interface that `interface` names is not there yet, or, without `interface`, although
   * nothing but the loopback interface is: a service that starts before the network. An `interfaceMissing` event says which,
   * an `interfaceJoined` event when it has come up. With `false` a name that is not there is an error, as it may be
   * misspelt; one that goes later is waited for in any case.
   *
   * @default {false}
   */
  readonly waitForInterface?: boolean | undefined;
  /**
   * Seeds: nodes to contact at once, at most 1024 texts. `host:port`, or `host` for the port of the mesh: an address (of
   * IPv6: `[fd00::1]:7946`, `[fd00::1]`, `fd00::1`), or a name, all of whose addresses of the mesh's family are
   * contacted. `srv:name`: the hosts and ports of its SRV records, whatever their priority and weight; `.` as the only
   * target says that there are none.
   *
   * Names are looked up in the background and again every `resolveInterval`. What an answer names takes the place of what
   * the one before named. A look-up that fails leaves that as it is, is an `error` event and is tried again after 1, 2, 4 … s.
   * Addresses beyond 1024 in all, and targets beyond 256 of a service, are left out at random.
   *
   * @default {[]}
   */
  readonly peers?: readonly string[] | undefined;
  /**
   * Time after which names are looked up again, less up to a tenth at random: 100 to 86,400,000. The default is the
   * TTL that cluster DNS commonly gives: that of the `kubernetes` block in the Corefile of kubeadm.
   *
   * @default {30000}
   */
  readonly resolveInterval?: number | undefined;
  /**
   * Where else seeds come from: lists of texts as in `peers`, each of which takes the place of the one before. An
   * iterable, or a function that makes one and gets a signal that aborts when the mesh closes; `return()` of the iterator
   * is called then. A list is taken at most every 100 ms.
   *
   * What can not be used is left out and is an `error` event, and so is what is thrown: a function is then called again,
   * after 1, 2, 4 … s up to `resolveInterval`. The last list stays when there are no more.
   */
  readonly discover?: Discover | undefined;
  /**
   * Address under which others can reach this node, `host:port`.
   *
   * A node has a port of its own beside the shared `port`, from which it sends and at which it is reached. When this
   * names `port` itself, one socket serves as both. Any other port is bound as the own one; 0 lets the system choose
   * it. An empty or unspecified host (`":7946"`, `"0.0.0.0:7946"`) is filled in as in the default. A literal must be of the
   * mesh's family, one of IPv6 in brackets.
   *
   * @default the address of `interface`, else the one that the system's routes choose for `group`, else the first address of
   * this host that is of the mesh's family and not loopback; and a port that the system chooses
   */
  readonly advertiseAddr?: string | undefined;
  /**
   * Time between heartbeats: 10 to 3,600,000. The first goes out on opening.
   *
   * @default {5000}
   */
  readonly heartbeat?: number | undefined;
  /**
   * Longest that a key waits for others to share its datagram: 0 to 60,000. What is published in one turn of the event loop leaves
   * at the end of it at the latest, as long as the node sends at most 20,000 datagrams a second, copies to several peers counted
   * each, fewer after losses. Beyond that keys wait until the next datagram may leave, or is full. With 0 none ever waits.
   *
   * @default {100}
   */
  readonly batchInterval?: number | undefined;
  /**
   * Most keys in a datagram: 1 to 65,535. A datagram has at most 1,400 bytes in any case.
   *
   * @default {65535}, so as many as fit; 20 with `wire: "go-warp"`, as in the original
   */
  readonly batchSize?: number | undefined;
  /**
   * Most keys that may be pending before `publish` waits: 1 to 1,000,000.
   *
   * @default {1000}
   */
  readonly queueSize?: number | undefined;
  /**
   * Whether to use multicast. Without it the node finds others by its seeds, or is found as one.
   *
   * @default {true}
   */
  readonly multicast?: boolean | undefined;
  /**
   * Hops that multicast may take: 1 to 255. 1 stays in the local network.
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
   * datagrams: at 100,000 a second Node loses 0.9 % with it and none with 4 MiB. Linux grants at most
   * `net.core.rmem_max`. When this is set and the runtime's own socket cannot (Bun), the mesh uses `node:dgram`.
   *
   * @default 4,194,304 where the runtime's own socket can ask for it
   */
  readonly receiveBuffer?: number | undefined;
  /**
   * Silence after which a peer is lost: 20 to 86,400,000, and at least twice `heartbeat`. It was asked again and again by
   * then. A Go node, which cannot be asked, is lost after 60 s unless this is given, or after three heartbeats if those take longer.
   * All nodes of a mesh should have the same `heartbeat`.
   *
   * A peer that is lost is a gap: what it published last may not have arrived. A larger value rides out longer cuts.
   *
   * @default {15000}: three heartbeats
   */
  readonly peerTimeout?: number | undefined;
  /**
   * Most peers that are kept: 1 to 65,536. Newcomers beyond it are refused, so that heartbeats of invented nodes can
   * neither drive known peers out nor grow memory and traffic without limit; but one that answers takes the place of one
   * that never did. Go nodes, which answer nothing, may be half of them.
   *
   * @default {1024}
   */
  readonly maxPeers?: number | undefined;
  /**
   * What the node speaks. `"extended"` numbers its datagrams, so that losses are noticed and repaired; Go nodes do not
   * notice. `"go-warp"` sends what the original sends, byte for byte, heeds nothing else, and repairs nothing.
   *
   * @default {"extended"}
   */
  readonly wire?: "extended" | "go-warp" | undefined;
  /**
   * Memory for datagrams that were sent and may be asked for again, in bytes: 65,536 to 1,073,741,824. What has to give
   * way before a peer asks for it is a gap there. The default holds 23,400 full datagrams, half a second at full speed; memory is
   * taken as it is needed.
   *
   * @default {33554432}
   */
  readonly repairBytes?: number | undefined;
  /**
   * How long a datagram that was sent is kept for repair: 100 to 86,400,000. A peer that was cut off for longer gets a gap.
   *
   * @default {60000}
   */
  readonly repairAge?: number | undefined;
  /**
   * How long something of a peer that is heard may be missing, and a cache wait for it: 100 to 86,400,000. Then all that is
   * missing of that peer is one gap. While nothing is heard of it, no more than a second of the silence counts.
   *
   * @default {5000}
   */
  readonly maxRepairTime?: number | undefined;
  /**
   * Datagrams a second below which losses do not slow the node down: 1 to 1,000,000. A peer that cannot take that much
   * gets gaps, so that one slow peer does not stop the mesh.
   *
   * @default {2000}, or `maxSendRate` if that is less
   */
  readonly minSendRate?: number | undefined;
  /**
   * Datagrams a second that the node does not exceed in the long run, batches and repairs: 1 to 1,000,000. 2 ms of that, or
   * 16, may leave at a time. One that is sent to many peers counts once.
   *
   * @default {200000}, or `minSendRate` if that is more
   */
  readonly maxSendRate?: number | undefined;
  /** Closes the mesh when it aborts; while the mesh opens, `openMesh` rejects with its reason. */
  readonly signal?: Signal | undefined;
}

/** {@linkcode MeshOptions} with nothing left open. */
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
  /** The same for peers that cannot be asked. */
  readonly quietTimeout: number;
  readonly maxPeers: number;
  readonly extended: boolean;
  readonly repairBytes: number;
  readonly repairAge: number;
  readonly maxRepairTime: number;
  readonly minSendRate: number;
  readonly maxSendRate: number;
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

/** And those of the ports, which `MeshBus.open` takes with them. */
const OPTIONS_AND_PORTS = knownOptions<object>({}, MESH_OPTIONS, PORTS);

/** Most texts in `peers`: as many as there may be addresses of seeds, so that each has room. */
const MAX_PEERS = 1024;

/** Most interfaces in a list: beyond 20, which Linux joins with one socket, each has a membership of its own. */
const MAX_INTERFACES = 64;

/** Silence after which the original forgets a peer, in milliseconds. */
const QUIET_TIMEOUT = 60_000;

/** Receive buffer asked for by default, in bytes: with it, Node lost nothing at 100,000 datagrams a second. */
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
  const most = integer(options, "maxSendRate", 1_000_000, 1, 1_000_000);
  const extended = wire(options.wire) === "extended";
  const minSendRate = integer(options, "minSendRate", Math.min(2000, most), 1, 1_000_000);
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
    maxRepairTime: number(options, "maxRepairTime", 5000, 100, 86_400_000),
    minSendRate,
    maxSendRate: maxSendRate(options, minSendRate),
    signal: options.signal,
  };
}

/**
 * Checks that options are an object at all, before they are spread, and that each has a name that is known: those of all
 * options, unless told otherwise. `action` completes "Cannot …".
 *
 * @throws {TypeError} that names what is wrong
 */
export function checkNames(options: MeshOptions, known: KnownOptions = MESH_OPTIONS, action = "open the mesh"): void {
  checkKnown(action, options, known, noOption, true);
}

/**
 * The options in an object of their own. What was given may have them from a prototype, as that of a class with getters:
 * spread, they would be left out, and their defaults be in force.
 */
export function givenOptions(options: MeshOptions): MeshOptions {
  const names = Object.keys(MESH_OPTIONS) as (keyof MeshOptions)[];
  return Object.fromEntries(names.map((name) => [name, options[name]]).filter(([, value]) => value !== undefined));
}

function noOption(name: string): string | undefined {
  if (/^(on[A-Z]|log)/.test(name)) return "what happens is told by `mesh.events`";
  return PORTS[name] && "it is a port, which `MeshBus.open` takes";
}

/**
 * Checks that all ports are there.
 *
 * @throws {TypeError} that names the one that is not
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

function peerTimeout(options: MeshOptions, heartbeat: number): number {
  const value = number(options, "peerTimeout", 3 * heartbeat, 20, 86_400_000);
  if (value >= 2 * heartbeat) return value;
  throw invalid("peerTimeout", `at least 2 × \`heartbeat\`, ${2 * heartbeat} ms`, value, true);
}

function maxSendRate(options: MeshOptions, least: number): number {
  const value = integer(options, "maxSendRate", Math.max(200_000, least), 1, 1_000_000);
  if (value >= least) return value;
  throw invalid("maxSendRate", `at least \`minSendRate\`, ${least}`, value, true);
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
  // Without a group that is one, `family` is 4 unless it was given.
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
