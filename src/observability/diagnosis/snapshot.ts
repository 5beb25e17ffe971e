/**
 * What is known of a node and its peers, after they were asked.
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
import { type Endpoint, formatAddress } from "../../platform/endpoint.ts";
import { messageOf } from "../../platform/error_message.ts";
import { withJson } from "../../platform/json_numbers.ts";
import type { MeshPorts } from "../../platform/ports.ts";
import { REQUESTER_AT_ADDRESS, REQUESTER_UNKNOWN, REQUESTER_VALIDATED } from "../../wire/layout.ts";
import type { ErrorReporter } from "../error_reporter.ts";
import type { MeshStatus } from "../status.ts";
import { isWhereItSays } from "./advertised_address_check.ts";
import type { NodeDiagnosis, Observed, Paths, PeerDiagnosis } from "./diagnosis.ts";
import { type PathSurvey, sharesGroup, type SurveyedPeer, type SurveyPath, type Track } from "./path_survey.ts";

/** Heartbeats for which what was heard shows that a way is open. */
const RECENT = 1.5;
/** Heartbeats after which a peer has had the time to hear of this node, and each of them to be reached where it has moved to. */
const NEW = 2;
/** Heartbeats after which a newcomer that was turned away is not there any more. */
const TURNED_AWAY_FOR = 3;

/** The options that a diagnosis tells of. */
export interface SnapshotSettings extends SocketSettings {
  readonly heartbeat: number;
  /** The time after which peers are lost that cannot be asked. */
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

/** What is looked at. */
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

/** Puts together what is known, and what a survey has found, if there was one. */
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
  const turnedAwayFor = clock.now() - membership.lastRefusedAt;
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
    sendError: lastSent !== undefined && clock.now() - lastSent.at <= RECENT * heartbeat
      ? lastSent.error.message
      : null,
    silentSeeds: silentSeeds(config).map(({ host, port }) => formatAddress(host, port)),
    unresolvedSeeds: seeds.unresolved,
    peersLost: membership.lost.map(({ address }) => address),
    peersRefused: turnedAwayFor <= Math.min(TURNED_AWAY_FOR * heartbeat, quietTimeout) ? membership.refused : 0,
  };
}

/**
 * Of a name with many addresses each is asked once, if at all: that one of them has not answered means nothing. So does
 * that the node, which may be among its own seeds when all have the same list, does not answer itself.
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
  const falseSince = (since: number) => clock.now() - since > NEW * heartbeat ? false : null;
  const surveyed = new Map(survey?.peers.map((peer) => [peer.entry.id, peer]));
  const states = new Map(config.node.status().peers.map((status) => [status.id, status]));
  return Array.from(config.membership.peers.all(), (entry) => {
    const { id, address, endpoint: { host, port }, extended } = entry;
    const peer = surveyed.get(id);
    const { report } = peer ?? {};
    const { state, staleness } = states.get(id) ?? {};
    const isHeard = peer !== undefined && peer.times.length > 0;
    const largestOf = (track: Track) => peer === undefined ? null : survey?.largestOf(peer, track) ?? null;
    const lost = peer === undefined ? 0 : survey?.lostOf(peer) ?? 0;
    const described: PeerDiagnosis = {
      id,
      address,
      endpoint: formatAddress(host, port),
      plain: !extended,
      probed: peer !== undefined,
      ...waysOf(config, entry, survey, peer),
      roundTrip: isHeard ? median(peer.times) : null,
      probes: isHeard ? peer.times.length + lost : lost,
      lost,
      largest: { in: largestOf("in"), out: largestOf("out") },
      largestToGroup: largestOf("group"),
      isKnownThere: report === undefined ? null : report.asker !== REQUESTER_UNKNOWN || falseSince(entry.joinedAt),
      isAtAddress: isWhereItSays(entry, { family, local }, falseSince(entry.movedAt)),
      reachesAddress: report !== undefined && report.asker >= REQUESTER_VALIDATED
        ? report.asker === REQUESTER_AT_ADDRESS || falseSince(movedAt)
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
 * What was answered shows the way there and the way back. What was not shows that one of them is closed, and when the
 * other is open it is known which. Of a peer that has answered nothing, and may have crashed just now, its heartbeats show
 * the way back, if they come during the survey or have come in vain before. One that has not met this node answers it
 * nothing by the group: there its heartbeats count in any case.
 */
function waysOf(
  { ports, localNode, settings, links }: SnapshotConfig,
  entry: PeerEntry,
  survey: PathSurvey | undefined,
  peer: SurveyedPeer | undefined,
): Pick<PeerDiagnosis, "unicast" | "multicast"> {
  const { aloneAt, endpoint, groupAt, heardAt, isValidated, joinedAt } = entry;
  const { heartbeat, group, multicastLoopback } = settings;
  const now = ports.clock.now();
  const answered = peer?.answered ?? new Set();
  const isThere = answered.size > 0 || heardAt >= (survey?.startedAt ?? now) ||
    (!isValidated && heardAt - joinedAt > heartbeat / 2);
  const isRecent = (time: number) => now - time <= RECENT * heartbeat;
  const isHeard = (time: number) => isThere && answered.size === 0 && isRecent(time);
  const has = (...ways: readonly SurveyPath[]) => ways.some((way) => answered.has(way));
  const alone = { in: has("there", "out") || isHeard(aloneAt), out: has("there", "in") };
  const { report } = peer ?? {};
  const isMet = report === undefined || report.asker >= REQUESTER_VALIDATED;
  const byGroup = {
    in: has("in", "group") || isHeard(groupAt) || (!isMet && isRecent(groupAt)),
    out: has("out", "group"),
  };
  const isAnyIn = alone.in || byGroup.in;
  const judge = (ways: typeof alone, isAsked: boolean, isAnswered: boolean): Paths => ({
    in: ways.in || (isAnswered && answered.size > 0 ? false : null),
    out: ways.out || (isAsked && isAnyIn ? false : null),
  });
  // Who is on this host hears it only when that is wanted.
  const isWanted = links.hasMulticast && (multicastLoopback || !localNode.local.isOwn(endpoint.host));
  const isShared = report === undefined || sharesGroup(report, { group, port: links.mesh.port });
  const isAsked = peer !== undefined;
  const isGroupAsked = isAsked && isWanted && isShared;
  return { unicast: judge(alone, isAsked, isAsked), multicast: judge(byGroup, isGroupAsked, isGroupAsked && isMet) };
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}
