/**
 * Path findings: derives from measurements what is wrong with the unicast and multicast paths to the peers.
 *
 * @module
 */

import { MAX_DATAGRAM } from "../../wire/layout.ts";
import type { Finding, Observed, PeerDiagnosis } from "./diagnosis.ts";
import { about, finding, named } from "./finding.ts";

/** Share of the small probes that may be lost without a finding. */
const TOLERATED_LOSS = 0.25;
/**
 * Lost probes beyond that share from which on it is a finding: eleven of 24. When each direction loses 10 %, that
 * happens to one peer in 400; when each loses 40 %, to 49 in 50.
 */
const TOLERATED_PROBES = 4;

/** Multicast that does not even come back to its own host. */
export function localMulticast({ node, interfaces, peers }: Observed): readonly Finding[] {
  const { requested, port, group, multicastError } = node;
  if (!requested.multicast) return [];
  const without = interfaces.filter(({ multicast }) => !multicast);
  const deaf = interfaces.filter(({ returned }) => returned === false);
  const isAnyWell = interfaces.some(({ multicast, returned }) => multicast && returned !== false);
  const severity = peers.length === 0 && !isAnyWell ? "error" : "warning";
  const found: Finding[] = [];
  if (without.length > 0) {
    found.push(finding("interface-without-multicast", severity, namesOf(without), [
      `The group ${group} cannot be joined there${multicastError === null ? "" : ` (${multicastError})`}.`,
      "Name an `interface` that has multicast; or use `multicast: false`, and name seeds in `peers`.",
    ]));
  }
  if (deaf.length > 0) {
    found.push(finding("multicast-loopback", severity, namesOf(deaf), [
      `What this node sends by multicast to ${group}:${port} there does not come back to this host.`,
      `Let this host's firewall pass UDP to and from ${group}, port ${port}.`,
    ]));
  }
  return found;
}

/** Multicast that passes within this host, but not between hosts. */
export function multicast({ node, interfaces, peers }: Observed): readonly Finding[] {
  const isOwnFault = interfaces.length > 0 && interfaces.every(({ returned }) => returned === false);
  if (isOwnFault) return [];
  const list = peers.filter((peer) => !hearsNothing(peer));
  const isBlocked = ({ multicast }: PeerDiagnosis) => multicast.in === false && multicast.out === false;
  const copies = "{It gets|Each of them gets} a copy of each publish instead.";
  const network = "Let the network carry multicast (IGMP snooping needs a querier; routers forward it only with " +
    "`multicastTtl` above 1). Where it cannot, as in most clouds and overlay networks, use `multicast: false`.";
  return [
    about("multicast-blocked", "warning", peers, list.filter(isBlocked), [
      `Multicast to ${node.group}:${node.port} passes in neither direction, though {it answers|they answer}. ${copies}`,
      network,
    ]),
    about(
      "multicast-outbound-blocked",
      "warning",
      peers,
      list.filter((peer) => peer.multicast.out === false && !isBlocked(peer)),
      [
        `{It does|They do} not receive this node's multicast to ${node.group}:${node.port}. ${copies}`,
        `Let this host send multicast, and {that of the peer|their hosts} receive UDP to ${node.group}, port ` +
        `${node.port}. ${network}`,
      ],
    ),
    about(
      "multicast-inbound-blocked",
      "warning",
      peers,
      list.filter((peer) => peer.multicast.in === false && !isBlocked(peer)),
      [
        `This node does not receive {its|their} multicast to ${node.group}:${node.port}.`,
        `Let this host receive UDP to ${node.group}, port ${node.port}, and {that of the peer|their hosts} send ` +
        `multicast. ${network}`,
      ],
    ),
  ].flat();
}

/** Unicast between this node and each peer. */
export function unicast({ node, peers }: Observed): readonly Finding[] {
  const deaf = peers.filter(hearsNothing);
  const silent = peers.filter(({ probed, settings, unicast, multicast }) =>
    probed && settings === null && unicast.out === null && multicast.out === null
  );
  const out = peers.filter((peer) => peer.unicast.out === false && !hearsNothing(peer));
  const into = peers.filter((peer) => peer.unicast.in === false);
  const shared = peers.filter((peer) => isAtSharedPortOnly(peer, node.port));
  const onePort = `\`advertiseAddr: ":${node.port}"\``;
  return [
    about("peer-receives-nothing", "error", peers, deaf, [
      "{It is|They are} heard, but nothing that this node sends arrives there.",
      `Let {its host|their hosts} receive UDP from ${hostOf(node.address)} to port ${node.port} and to ${ports(deaf)}.`,
    ]),
    about("unicast-outbound-blocked", "error", peers, out, [
      "Nothing that this node sends to {its address|their addresses} arrives there, though {it is|they are} heard " +
      "here.",
      `Let {its host|their hosts} receive UDP from ${hostOf(node.address)} to ${ports(out)}; or give {it|them} ` +
      `the option ${onePort}, with which port ${node.port} is enough.`,
    ]),
    about("unicast-outbound-blocked", "error", peers, shared, [
      "{It is|They are} reached at the port of the mesh only, and not at {its own port|their own ports} " +
      `(${addressesOf(shared)}), to which others send.`,
      `Let {its host|their hosts} receive UDP to {that port|those ports}; or give {it|them} the option ` +
      `${onePort}, with which port ${node.port} is enough.`,
    ]),
    about("unicast-inbound-blocked", "error", peers, into, [
      `Nothing that {it sends|they send} to ${node.address} arrives, though {it hears|they hear} this node.`,
      `Let this host receive UDP to port ${portOf(node.address)}. With ${onePort}, port ${node.port} is enough.`,
    ]),
    // An error when the node is cut off from all probed peers.
    about(
      "peer-unresponsive",
      silent.length === peers.filter(({ probed }) => probed).length ? "error" : "warning",
      peers,
      silent,
      [
        "{It was heard before, and answers|They were heard before, and answer} nothing now.",
        "Check that {its process runs and its event loop is|their processes run and their event loops are} not " +
        "blocked, and that the network is not partitioned. {It is|They are} declared lost after `peerTimeout`.",
      ],
    ),
  ].flat();
}

/** Datagrams that are too large for the path. */
export function sizes({ peers }: Observed): readonly Finding[] {
  const cut = peers.filter(({ largest }) => [largest.in, largest.out].some(isShort));
  const cutByGroup = peers.filter(({ largest, largestToGroup }) =>
    isShort(largestToGroup) && largestToGroup < (largest.out ?? MAX_DATAGRAM)
  );
  const least = (direction: "in" | "out") =>
    Math.min(MAX_DATAGRAM, ...cut.map(({ largest }) => largest[direction] ?? MAX_DATAGRAM));
  const leastByGroup = Math.min(...cutByGroup.map(({ largestToGroup }) => largestToGroup ?? MAX_DATAGRAM));
  const remedy = (most: number) =>
    `Raise the MTU of the path (a tunnel, an overlay network, a VPN) to ${MAX_DATAGRAM + 28} or more, or let routers ` +
    'send "fragmentation needed" (ICMP 3/4, ICMPv6 2). Until then keep 32 + `batchSize` × (2 + bytes of a key) ' +
    `at or below ${most} on every node.`;
  return [
    ...about("mtu", "error", peers, cut, [
      `Datagrams of at most ${least("out")} bytes arrive there, and of at most ${least("in")} from there: larger ` +
      `ones are dropped. A full one has ${MAX_DATAGRAM}.`,
      remedy(Math.min(least("in"), least("out"))),
    ]),
    // A batch lost by multicast is retransmitted to each peer by unicast.
    ...about("mtu", "warning", peers, cutByGroup, [
      `By multicast, datagrams of at most ${leastByGroup} bytes arrive there: larger ones are dropped, and ` +
      `retransmitted to each peer by unicast. A full one has ${MAX_DATAGRAM}.`,
      remedy(leastByGroup),
    ]),
  ];
}

function isShort(size: number | null): size is number {
  return size !== null && size < MAX_DATAGRAM;
}

/** Lost probes. */
export function losses({ peers }: Observed): readonly Finding[] {
  const lossy = peers.filter(({ roundTrip, lost, probes }) =>
    roundTrip !== null && lost > TOLERATED_LOSS * probes + TOLERATED_PROBES
  );
  const [lost, all] = [sum(lossy, "lost"), sum(lossy, "probes")];
  return about("loss", "warning", peers, lossy, [
    `${lost} of ${all} small probes to {it|them} got no ack.`,
    "Check for a saturated link, a full receive buffer (`receiveBuffer`) or a process whose event loop is blocked.",
  ]);
}

function hearsNothing({ unicast, multicast }: PeerDiagnosis): boolean {
  return unicast.out === false && multicast.out === false;
}

/**
 * Whether a peer that advertises a port of its own answers only at the shared port: the path to its own port is closed.
 */
export function isAtSharedPortOnly({ address, endpoint, isAtAddress, settings }: PeerDiagnosis, port: number): boolean {
  const meshPort = `${settings?.port ?? port}`;
  const isSameHost = hostOf(address) === hostOf(endpoint);
  return isAtAddress === false && isSameHost && portOf(endpoint) === meshPort && portOf(address) !== meshPort;
}

function addressesOf(peers: readonly PeerDiagnosis[]): string {
  return named(peers.map(({ address }) => address));
}

function namesOf(interfaces: Observed["interfaces"]): string {
  return named(interfaces.map(({ name, address }) => name === null ? address : `${name} (${address})`));
}

function ports(peers: readonly PeerDiagnosis[]): string {
  return `{the port that it advertises|the ports that they advertise} (${
    named(peers.map(({ endpoint }) => endpoint))
  })`;
}

function sum(peers: readonly PeerDiagnosis[], name: "lost" | "probes"): number {
  return peers.reduce((sum, peer) => sum + peer[name], 0);
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}
