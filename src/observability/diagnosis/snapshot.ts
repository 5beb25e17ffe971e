/**
 * Snapshot: puts together what a node knows of itself and its peers, with what a path survey measured.
 *
 * @module
 */

import type { Seeds } from "../../discovery/seeds.ts";
import type { LocalNode } from "../../membership/local_node.ts";
import type { Membership } from "../../membership/membership.ts";
import type { PeerEntry } from "../../membership/peer.ts";
import { unknownEndpoints } from "../../net/fanout.ts";
import type { InterfaceSockets, SocketSettings } from "../../net/interface_sockets.ts";
import { absentInterfaces, listed } from "../../net/interfaces.ts";
import { type Endpoint, formatEndpoint } from "../../platform/endpoint.ts";
import { messageOf } from "../../platform/error_message.ts";
import { withJson } from "../../platform/json_numbers.ts";
import type { MeshPorts } from "../../platform/ports.ts";
import { REQUESTER_AT_ADDRESS, REQUESTER_UNKNOWN, REQUESTER_VALIDATED } from "../../wire/layout.ts";
import type { ErrorReporter } from "../error_reporter.ts";
import type { MeshStatus } from "../status.ts";
import { isWhereItSays } from "./advertised_address_check.ts";
import type { NodeDiagnosis, Observed, Paths, PeerDiagnosis } from "./diagnosis.ts";
import { type PathSurvey, sharesGroup, type SurveyedPeer, type SurveyPath, type Track } from "./path_survey.ts";

/** A datagram heard within this many heartbeats shows that a path is open. */
const RECENT_HEARTBEATS = 1.5;
/**
 * Heartbeats after which a peer must have heard of this node, and after which both must reach each other at a changed
 * address.
 */
const SETTLED_AFTER = 2;
/** Heartbeats after which a node that was refused counts as absent. */
const REFUSED_FOR = 3;

/** The options that a diagnosis reports. */
export interface SnapshotSettings extends SocketSettings {
  readonly heartbeat: number;
  /** The time, in milliseconds, after which peers that cannot be probed are lost. */
  readonly quietTimeout: number;
  /** Whether the node speaks the extension. */
  readonly extended: boolean;
}

/** The node itself. */
export interface DiagnosedNode {
  readonly nodeId: string;
  isHealthy(): boolean;
  status(): MeshStatus;
}

/** What the snapshot reads. */
export interface SnapshotConfig {
  readonly node: DiagnosedNode;
  readonly settings: SnapshotSettings;
  readonly ports: MeshPorts;
  readonly links: InterfaceSockets;
  readonly localNode: LocalNode;
  readonly membership: Membership;
  readonly seeds: Seeds;
  readonly errorReporter: ErrorReporter;
}

/** Describes the node, its interfaces and its peers. `survey` is absent when nothing was probed. */
export function snapshotOf(config: SnapshotConfig, survey: PathSurvey | undefined): Observed {
  return {
    node: describe(config),
    interfaces: config.links.all.map(({ link: { name, address }, sender }) => {
      const returned = sender === undefined ? null : survey?.returned.get(sender) ?? null;
      return { name: name ?? null, address, multicast: sender !== undefined, returned };
    }),
    peers: describePeers(config, survey),
  };
}

function describe(config: SnapshotConfig): NodeDiagnosis {
  const { node, links, membership, ports: { clock, networkInterfaces }, localNode, seeds, settings } = config;
  const { family, group, heartbeat, extended, multicast, multicastLoopback, quietTimeout, receiveBuffer } = settings;
  let interfacesError: string | null = null;
  const list = listed(networkInterfaces, (cause) => interfacesError = messageOf(cause));
  const lastSent = config.errorReporter.last("send");
  const refusedFor = clock.now() - membership.lastRefusedAt;
  return {
    id: node.nodeId,
    address: localNode.address,
    isHealthy: node.isHealthy(),
    port: links.mesh.port,
    adapter: links.own.adapter,
    family,
    group,
    heartbeat,
    extended,
    requested: { multicast, multicastLoopback, receiveBuffer },
    receiveBuffer: links.mesh.receiveBuffer ?? null,
    receiveBufferRequired: settings.receiveBufferRequired,
    multicastError: links.multicastError?.message ?? null,
    interfacesError,
    interfacesMissing: absentInterfaces(settings, list).map((name) => name ?? null),
    sendError: lastSent !== undefined && clock.now() - lastSent.at <= RECENT_HEARTBEATS * heartbeat
      ? lastSent.error.message
      : null,
    silentSeeds: silentSeeds(config).map(formatEndpoint),
    unresolvedSeeds: seeds.unresolved,
    peersLost: membership.lost.map(({ address }) => address),
    peersRefused: refusedFor <= Math.min(REFUSED_FOR * heartbeat, quietTimeout) ? membership.refused : 0,
  };
}

/**
 * Seeds that have not answered. Of a name with many addresses each is tried once, if at all, so one silent address
 * means nothing. The node's own address is left out: it may be among its own seeds when all nodes have the same list.
 */
function silentSeeds({ links, membership, localNode, seeds }: SnapshotConfig): readonly Endpoint[] {
  const others = seeds.endpoints().filter(({ host, port }) =>
    !localNode.local.isOwn(host) || (port !== links.mesh.port && port !== links.own.port)
  );
  const many = unknownEndpoints(others, seeds.few());
  const hosts = new Set(Array.from(membership.peers.all(), ({ endpoint: { host } }) => host));
  const isAnyThere = membership.unansweredSeeds(many).length < many.length || many.some(({ host }) => hosts.has(host));
  return membership.unansweredSeeds(isAnyThere ? unknownEndpoints(others, many) : others);
}

function describePeers(config: SnapshotConfig, survey: PathSurvey | undefined): PeerDiagnosis[] {
  const { ports: { clock }, localNode: { local, movedAt }, settings: { family, heartbeat } } = config;
  const falseSince = (since: number) => clock.now() - since > SETTLED_AFTER * heartbeat ? false : null;
  const surveyed = new Map(survey?.peers.map((peer) => [peer.entry.id, peer]));
  const states = new Map(config.node.status().peers.map((status) => [status.id, status]));
  return Array.from(config.membership.peers.all(), (entry) => {
    const { id, address, endpoint, extended } = entry;
    const peer = surveyed.get(id);
    const { report } = peer ?? {};
    const { state, staleness } = states.get(id) ?? {};
    const isHeard = peer !== undefined && peer.times.length > 0;
    const largestOf = (track: Track) => peer === undefined ? null : survey?.largestOf(peer, track) ?? null;
    const lost = peer === undefined ? 0 : survey?.lostOf(peer) ?? 0;
    const described: PeerDiagnosis = {
      id,
      address,
      endpoint: formatEndpoint(endpoint),
      plain: !extended,
      probed: peer !== undefined,
      ...pathsOf(config, entry, survey, peer),
      roundTrip: isHeard ? median(peer.times) : null,
      probes: isHeard ? peer.times.length + lost : lost,
      lost,
      largest: { in: largestOf("in"), out: largestOf("out") },
      largestToGroup: largestOf("group"),
      isKnownThere: report === undefined ? null : report.requester !== REQUESTER_UNKNOWN || falseSince(entry.joinedAt),
      isAtAddress: isWhereItSays(entry, { family, local }, falseSince(entry.advertised.movedAt)),
      reachesAddress: report !== undefined && report.requester >= REQUESTER_VALIDATED
        ? report.requester === REQUESTER_AT_ADDRESS || falseSince(movedAt)
        : null,
      settings: report === undefined ? null : {
        port: report.port,
        group: report.group,
        heartbeat: report.heartbeat,
        multicast: report.multicast,
      },
      state: state ?? null,
      staleness: staleness ?? null,
    };
    return staleness === Infinity ? withJson(described) : described;
  });
}

/**
 * Which paths of a peer are open. An ack shows that the paths of the probe and of the ack are open. A missing ack shows
 * that one of the two is closed; when the other is known to be open, it is known which.
 *
 * A peer that has sent no ack may have just crashed. Its heartbeats show the inbound path if they arrive during the
 * survey, or have arrived before without the node validating its path. A peer that does not know this node sends it no
 * ack by multicast, so there its heartbeats always count.
 */
function pathsOf(
  { ports, localNode, settings, links }: SnapshotConfig,
  entry: PeerEntry,
  survey: PathSurvey | undefined,
  peer: SurveyedPeer | undefined,
): Pick<PeerDiagnosis, "unicast" | "multicast"> {
  const { endpoint, heardAt, isValidated, joinedAt, multicast: { groupAt, unicastAt } } = entry;
  const { heartbeat, group, multicastLoopback } = settings;
  const now = ports.clock.now();
  const answered = peer?.acked ?? new Set();
  const isThere = answered.size > 0 || heardAt >= (survey?.startedAt ?? now) ||
    (!isValidated && heardAt - joinedAt > heartbeat / 2);
  const isRecent = (time: number) => now - time <= RECENT_HEARTBEATS * heartbeat;
  const isHeard = (time: number) => isThere && answered.size === 0 && isRecent(time);
  const has = (...paths: readonly SurveyPath[]) => paths.some((path) => answered.has(path));
  const unicast = { in: has("there", "out") || isHeard(unicastAt), out: has("there", "in") };
  const { report } = peer ?? {};
  const isKnownThere = report === undefined || report.requester >= REQUESTER_VALIDATED;
  const multicast = {
    in: has("in", "group") || isHeard(groupAt) || (!isKnownThere && isRecent(groupAt)),
    out: has("out", "group"),
  };
  const isAnyIn = unicast.in || multicast.in;
  const judge = (paths: typeof unicast, isAsked: boolean, isAnswered: boolean): Paths => ({
    in: paths.in || (isAnswered && answered.size > 0 ? false : null),
    out: paths.out || (isAsked && isAnyIn ? false : null),
  });
  // A node on this host hears it only when multicast loopback is on.
  const isWanted = links.hasMulticast && (multicastLoopback || !localNode.local.isOwn(endpoint.host));
  const isShared = report === undefined || sharesGroup(report, { group, port: links.mesh.port });
  const isAsked = peer !== undefined;
  const isGroupAsked = isAsked && isWanted && isShared;
  return {
    unicast: judge(unicast, isAsked, isAsked),
    multicast: judge(multicast, isGroupAsked, isGroupAsked && isKnownThere),
  };
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}
