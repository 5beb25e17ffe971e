/**
 * A cache invalidation bus with no server: the copies of a service find each other by UDP multicast or seeds, and tell
 * each other which keys have changed. It speaks the protocol of go-warp's mesh.
 *
 * @example Drop what others have changed
 * ```ts
 * import { openMesh } from "@warp-mesh/bus";
 *
 * const cache = new Map<string, unknown>();
 * const mesh = await openMesh({ interface: "127.0.0.1" }); // this host only
 *
 * mesh.subscribe({ prefix: "user:" }, ({ key, cause, prefix }) => {
 *   if (cause === "publish" && prefix === undefined) cache.delete(key);
 *   else cache.clear(); // a gap, or a published prefix: anything under it may have changed
 * });
 * await mesh.publish("user:42");
 * await mesh.close();
 * ```
 *
 * @module
 */

import { systemPorts } from "./adapters/auto.ts";
import { isBuild, offlinePorts } from "./adapters/offline.ts";
import { MeshBus } from "./src/mesh_bus.ts";
import { checkNames, checkOptions, givenOptions, MESH_OPTIONS, type MeshOptions } from "./src/options.ts";
import { knownOptions } from "./src/platform/known_options.ts";
import { sharedMesh as shared } from "./src/shared_meshes.ts";

export {
  ClosedError,
  DecodeError,
  KeyTooLongError,
  MeshOpenError,
  PeersTimeoutError,
  QuorumNotSatisfiedError,
  QuorumUnsupportedError,
  TokenError,
  type TokenProblem,
} from "./src/errors.ts";
export type {
  DiagnoseOptions,
  Diagnosis,
  Finding,
  FindingCode,
  InterfaceDiagnosis,
  NodeDiagnosis,
  Observed,
  Paths,
  PeerDiagnosis,
  PeerSettings,
  Severity,
} from "./src/observability/diagnosis/diagnosis.ts";
export type { Acknowledgement, Outcome, PublishResult, Unacknowledged } from "./src/acknowledgement.ts";
export type { CloseReport } from "./src/close_report.ts";
export type { MeshEventListener, MeshEvents } from "./src/observability/event_stream.ts";
export type { GapReason, MeshEvent, Peer, Stage, Topic } from "./src/events.ts";
export { InProcessBus, type InProcessBusOptions, type ReplicaOptions } from "./src/pubsub/in_process_bus.ts";
export type { LoadGuard } from "./src/pubsub/load_guard.ts";
export { MeshBus } from "./src/mesh_bus.ts";
export type { MeshMetrics } from "./src/observability/metrics.ts";
export type { LostPeer } from "./src/membership/departed_peers.ts";
export type { MeshState, MeshStatus, PeerStatus } from "./src/observability/status.ts";
export type { Discover } from "./src/discovery/discover_hook.ts";
export type { Family } from "./src/platform/endpoint.ts";
export type { MeshOptions } from "./src/options.ts";
export type { ReachedOptions } from "./src/reliability/consistency_tokens.ts";
export type { WaitForPeersOptions } from "./src/membership/peer_waiters.ts";
export type { MeshPorts } from "./src/platform/ports.ts";
export type { Clock, Timer } from "./src/platform/clock.ts";
export type { Contexts, EnterContext } from "./src/platform/contexts.ts";
export { BindError } from "./src/platform/datagram_socket.ts";
export type {
  AdapterName,
  Bind,
  BindErrorCode,
  BindOptions,
  DatagramHandlers,
  DatagramSocket,
  Unsent,
} from "./src/platform/datagram_socket.ts";
export type {
  NetworkInterface,
  NetworkInterfaces,
  RandomBytes,
  Resolve,
  ResolveOptions,
  ResolveSrv,
  RouteTo,
  SrvRecord,
} from "./src/platform/host.ts";
export type {
  AwaitOptions,
  Cause,
  Metrics,
  PublishOptions,
  Scope,
  SubscribeOptions,
  Subscription,
  SyncBus,
  SyncCallback,
  SyncEvent,
  TopologyOptions,
  VectorClock,
} from "./src/pubsub/sync_bus.ts";
export type { Signal, SignalShape } from "./src/platform/abort_signal.ts";
export { decodeExtension, encodeExtension } from "./src/wire/extension.ts";
export type { Base, Extension, NumberRange, Position } from "./src/wire/extension.ts";
export type { ExchangedPeer } from "./src/wire/peer_exchange.ts";
export { decodePacket, encodePacket } from "./src/wire/packet.ts";
export type { EntryMetadata, Metadata } from "./src/wire/metadata.ts";
export type { NodeRecord } from "./src/wire/node_record.ts";
export type { DeliveredBatch, Outcomes } from "./src/wire/outcomes.ts";
export type { Measure, Report } from "./src/wire/probe_records.ts";
export type { BatchPacket, KeyPacket, Packet, UnknownPacket } from "./src/wire/packet.ts";

/**
 * Opens a node of a mesh on the UDP sockets of the current runtime: `Bun.udpSocket`, `Deno.listenDatagram` or
 * `node:dgram`. Resolves when the sockets are bound and the first heartbeat is on its way.
 *
 * Deno needs `--allow-net` and `--allow-sys=networkInterfaces`. Without `--unstable-net` the mesh uses Deno's
 * `node:dgram` and says so in a `fallback` event.
 *
 * @throws {TypeError | RangeError} when an option is unknown or out of range: the message names the option, the rule
 * and the value
 * @throws {MeshOpenError} when this host cannot meet an option: a port in use, an unknown interface, no multicast and
 * no seeds
 */
export async function openMesh(options: MeshOptions = {}): Promise<MeshBus> {
  checkNames(options);
  return await MeshBus.open({ ...givenOptions(options), ...systemPorts });
}

/** Options of {@linkcode sharedMesh}. There is no `signal`: that of the first caller would end the mesh of all. */
export interface SharedMeshOptions extends Omit<MeshOptions, "signal"> {
  /**
   * Whether the mesh has no network: it opens on any machine, sends nothing, and does not keep the process alive. For
   * code that a build evaluates.
   *
   * @default {true} while `next build` runs (`NEXT_PHASE` is `phase-production-build`), else false
   */
  readonly offline?: boolean | undefined;
}

type OwnOptions = Omit<SharedMeshOptions, keyof MeshOptions>;
const SHARED_OPTIONS = knownOptions<OwnOptions>({ offline: true }, MESH_OPTIONS);

/**
 * The mesh of that name in this process, however often the calling module is evaluated: bundlers and development
 * servers evaluate a module several times in one process, and each `openMesh` would be one more node. Concurrent calls
 * open one mesh. A mesh that failed to open, or that was closed, is replaced by the next call, once it is closed.
 *
 * The mesh is shared by all callers: `close()` closes it for all of them. Options must have the same values each time.
 * Functions (`discover`) cannot be compared: those of the first call stay.
 *
 * Each evaluation of a module makes its own subscriptions and has its own cache. A mesh of another copy of this package
 * is no `instanceof MeshBus`.
 *
 * @throws {TypeError | RangeError} when an option is unknown, out of range, differs from the mesh's, or is `signal`
 * @throws {MeshOpenError} as `openMesh`
 */
export async function sharedMesh(name: string, options: SharedMeshOptions = {}): Promise<MeshBus> {
  checkNames(options, SHARED_OPTIONS, "share a mesh");
  const { offline = isBuild() } = options;
  const given = givenOptions(options);
  if (typeof offline !== "boolean" || given.signal !== undefined) {
    const rule = given.signal === undefined ? "`offline` must be a boolean" : "`signal` must be left out";
    throw new TypeError(`Cannot share a mesh as ${rule}: current value is ${String(given.signal ?? offline)}`);
  }
  checkOptions(given);
  return await shared(name, { ...given, offline }, () => {
    if (!offline) return openMesh(given);
    const { interface: _, advertiseAddr: _address, peers: _peers, discover: _discover, ...others } = given;
    return MeshBus.open({ ...others, ...offlinePorts });
  });
}
