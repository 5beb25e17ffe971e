/**
 * Asks the peers, and says what the answers mean.
 *
 * @module
 */

import { formatAddress } from "./address.ts";
import type { DiagnoseOptions, Diagnosis, NodeDiagnosis, Observed, PeerDiagnosis, Ways } from "./diagnosis.ts";
import { show } from "./errors.ts";
import { findings } from "./findings.ts";
import type { LocalAddresses } from "./interfaces.ts";
import type { Links } from "./links.ts";
import type { Membership } from "./membership.ts";
import type { MeshStatus } from "./mesh_status.ts";
import type { Settings } from "./options.ts";
import type { PeerEntry } from "./peer.ts";
import type { MeshPorts } from "./ports.ts";
import type { Seeds } from "./seeds.ts";
import type { Probes } from "./probes.ts";
import { checkSignal } from "./signal.ts";
import { sharesGroup, Survey, type SurveyedPeer, type Way } from "./survey.ts";
import { ASKER_AT_ADDRESS, ASKER_PROVEN } from "./wire/layout.ts";

/** Peers that are asked. Each gets about ten datagrams, and a hundred when nothing is answered. */
const MOST = 32;
/** Heartbeats for which what was heard shows that a way is open. */
const RECENT = 1.5;
const TIMEOUT = { default: 2000, min: 100, max: 60_000 };

/** What is looked at. */
export interface DiagnoseConfig {
  readonly nodeId: Uint8Array;
  readonly id: string;
  readonly address: () => string;
  readonly isHealthy: () => boolean;
  readonly settings: Settings;
  readonly ports: MeshPorts;
  readonly links: Links;
  readonly local: LocalAddresses;
  readonly membership: Membership;
  readonly seeds: Seeds;
  /** Absent when the node speaks the original's wire only. */
  readonly probes: Probes | undefined;
  readonly status: () => MeshStatus;
}

/** Rejects for misuse and when `signal` aborts, never for what the network does. */
export async function diagnose(config: DiagnoseConfig, options: DiagnoseOptions = {}): Promise<Diagnosis> {
  const { timeout = TIMEOUT.default, signal } = options;
  if (!(timeout >= TIMEOUT.min && timeout <= TIMEOUT.max)) {
    const rule = `a number of milliseconds from ${TIMEOUT.min} to ${TIMEOUT.max}`;
    throw new RangeError(`Cannot diagnose as \`timeout\` must be ${rule}: current value is ${show(timeout)}`);
  }
  if (signal !== undefined) checkSignal("diagnose", signal);
  signal?.throwIfAborted();
  const { links, membership, nodeId, ports, settings } = config;
  const probes = config.isHealthy() ? config.probes : undefined;
  const { clock } = ports;
  const { group, multicastLoopback } = settings;
  const asked = [...membership.peers.all()].filter(({ extended }) => extended && probes !== undefined).slice(0, MOST);
  const open = links.all.filter(({ sender }) => sender !== undefined);
  const loops = multicastLoopback && probes !== undefined ? open : [];
  const survey = probes === undefined ? undefined : new Survey({
    clock,
    probes,
    nodeId,
    peers: asked,
    hasGroup: links.hasMulticast,
    group,
    port: links.mesh.port,
    // What cannot be sent does not come back, and that is found.
    loops: loops.map(({ sender }) => (packet) => void sender?.send(packet, group, links.mesh.port).catch(() => {})),
    timeout,
  });
  const stop = () => survey?.stop();
  signal?.addEventListener("abort", stop);
  probes?.onClose.add(stop);
  await survey?.end;
  probes?.onClose.delete(stop);
  signal?.removeEventListener("abort", stop);
  signal?.throwIfAborted();
  const seen: Observed = {
    node: describe(config),
    interfaces: links.all.map(({ link: { name, address }, sender }) => {
      const i = loops.findIndex((one) => one.sender === sender && sender !== undefined);
      return { name: name ?? null, address, multicast: sender !== undefined, returned: survey?.returned[i] ?? null };
    }),
    peers: describePeers(config, survey),
  };
  const found = findings(seen);
  return { ok: found.every(({ severity }) => severity !== "error"), findings: found, ...seen };
}

function describe(config: DiagnoseConfig): NodeDiagnosis {
  const { address, id, isHealthy, links, local, membership, seeds, settings } = config;
  // A node that has itself among its seeds, as when all have the same list, does not answer itself.
  const others = seeds.endpoints().filter(({ host, port }) =>
    !local.isOwn(host) || (port !== links.mesh.port && port !== links.own.port)
  );

  const { family, group, heartbeat, extended, multicast, multicastLoopback, receiveBuffer } = settings;
  return {
    id,
    address: address(),
    isHealthy: isHealthy(),
    port: links.mesh.port,
    adapter: links.own.adapter,
    family,
    group,
    heartbeat,
    extended,
    asked: { multicast, multicastLoopback, receiveBuffer },
    receiveBuffer: links.mesh.receiveBuffer ?? null,
    receiveBufferRequired: settings.receiveBufferRequired,
    multicastError: links.multicastError?.message ?? null,
    silentSeeds: membership.silent(others).map(({ host, port }) => formatAddress(host, port)),
    unresolvedSeeds: seeds.unresolved,
    peersRefused: membership.refused,
  };
}

function describePeers(config: DiagnoseConfig, survey: Survey | undefined): PeerDiagnosis[] {
  const surveyed = new Map(survey?.peers.map((peer) => [peer.entry.id, peer]));
  const states = new Map(config.status().peers.map((status) => [status.id, status]));
  return Array.from(config.membership.peers.all(), (entry) => {
    const { id, address, endpoint: { host, port }, extended, isProven, wanted } = entry;
    const peer = surveyed.get(id);
    const { report } = peer ?? {};
    const { state, staleness = Infinity } = states.get(id) ?? {};
    const isHeard = peer !== undefined && peer.times.length > 0;
    const lost = peer === undefined ? 0 : survey?.lostOf(peer) ?? 0;
    return {
      id,
      address,
      endpoint: formatAddress(host, port),
      plain: !extended,
      asked: peer !== undefined,
      ...waysOf(config, entry, survey, peer),
      roundTrip: isHeard ? median(peer.times) : null,
      questions: isHeard ? peer.times.length + lost : lost,
      lost,
      // Nothing is too short to pass: it is not known why nothing came.
      largest: { in: peer?.in || null, out: peer?.out || null },
      isAtAddress: isProven ? entry.isAt(wanted) : null,
      reachesAddress: report === undefined || report.asker < ASKER_PROVEN ? null : report.asker === ASKER_AT_ADDRESS,
      settings: report === undefined ? null : {
        port: report.port,
        group: report.group,
        heartbeat: report.heartbeat,
        multicast: report.multicast,
      },
      state: state ?? null,
      staleness: Number.isFinite(staleness) ? staleness : null,
    };
  });
}

/**
 * What was answered shows the way there and the way back. What was not shows that one of them is closed, and when the
 * other is open it is known which. Of a peer that has answered nothing, and may have crashed just now, its heartbeats show
 * the way back, if they come during the survey or have come in vain before.
 */
function waysOf(
  { ports, settings, links, local }: DiagnoseConfig,
  entry: PeerEntry,
  survey: Survey | undefined,
  peer: SurveyedPeer | undefined,
): Pick<PeerDiagnosis, "unicast" | "multicast"> {
  const { aloneAt, endpoint, groupAt, heardAt, isProven, joinedAt } = entry;
  const { heartbeat, group, multicastLoopback } = settings;
  const now = ports.clock.now();
  const answered = peer?.answered ?? new Set();
  const isThere = answered.size > 0 || heardAt >= (survey?.startedAt ?? now) ||
    (!isProven && heardAt - joinedAt > heartbeat / 2);
  const isHeard = (time: number) => isThere && answered.size === 0 && now - time <= RECENT * heartbeat;
  const has = (...ways: readonly Way[]) => ways.some((way) => answered.has(way));
  const alone = { in: has("there", "out") || isHeard(aloneAt), out: has("there", "in") };
  const byGroup = { in: has("in", "group") || isHeard(groupAt), out: has("out", "group") };
  const isAnyIn = alone.in || byGroup.in;
  const judge = (ways: typeof alone, isAsked: boolean): Ways => ({
    in: ways.in || (isAsked && answered.size > 0 ? false : null),
    out: ways.out || (isAsked && isAnyIn ? false : null),
  });
  const { report } = peer ?? {};
  // Who is on this host hears it only when that is wanted.
  const isWanted = links.hasMulticast && (multicastLoopback || !local.isOwn(endpoint.host));
  const isShared = report === undefined || sharesGroup(report, { group, port: links.mesh.port });
  const isAsked = peer !== undefined;
  return { unicast: judge(alone, isAsked), multicast: judge(byGroup, isAsked && isWanted && isShared) };
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}
