/**
 * What measurements mean: each cause by its name, and what to do about it.
 *
 * @module
 */

import type { Flaw } from "./advertised.ts";
import type { Finding, FindingCode, Observed, PeerDiagnosis } from "./diagnosis.ts";
import { about, finding, inOrder, named } from "./finding.ts";
import { isAtSharedPortOnly, localMulticast, losses, multicast, sizes, unicast } from "./way_findings.ts";

/** Heartbeats for which what a peer has published may be outstanding without a word. */
const FRESH = 3;
/** Peers that are asked. Each gets about ten datagrams, and up to 150 when much is lost. */
export const MOST_ASKED = 32;

/** What follows for nodes that take an address as it is. */
const FLAWS: Readonly<Record<Flaw, string>> = {
  broadcast: "It is the address of all hosts of a network.",
  loopback: "Each host is there itself, and sends to itself.",
  name: "It is a name: nodes of this package look none up, and take the address that this node sends from.",
  taken: "Another node has that address too, and takes what is sent there.",
  unspecified: "It names no host, as none of this one's interfaces can be named to others.",
};

const JUDGES: readonly ((seen: Observed, flaw: Flaw | undefined) => readonly Finding[])[] = [
  sending,
  unicast,
  localMulticast,
  presence,
  sizes,
  addresses,
  multicast,
  options,
  losses,
  freshness,
  system,
];

const NOTHING: ReadonlySet<FindingCode> = new Set();
/** What follows when another process has the address of the node. */
const OF_TWINS: ReadonlySet<FindingCode> = new Set(["unicast-in-closed", "unicast-out-closed"] as const);
/** What follows when a host sends nothing. */
const OF_MUTE: ReadonlySet<FindingCode> = new Set(
  [
    "multicast-blocked",
    "multicast-loopback",
    "multicast-out-closed",
    "peer-hears-nothing",
    "peer-silent",
    "seed-silent",
    "unicast-out-closed",
  ] as const,
);

/** Findings, worst first. */
export function findings(seen: Observed, flaw?: Flaw): readonly Finding[] {
  if (!seen.node.isHealthy) return [closed(seen)];
  const list = inOrder(JUDGES.flatMap((judge) => judge(seen, flaw)));
  // Two processes that share a port take each other's datagrams.
  const twins = flaw === "taken" ? OF_TWINS : NOTHING;
  const isMute = list.some(({ code, severity }) => code === "cannot-send" && severity === "error");
  return list.filter(({ code }) => !twins.has(code) && !(isMute && OF_MUTE.has(code)));
}

function closed({ node }: Observed): Finding {
  return finding("closed", "error", node.address, [
    "The node is closed, or its sockets can not receive any more.",
    'Open it again. The last `error` event of the stage "receive" says why a socket broke.',
  ]);
}

/** Who does not get what was not sent is not to blame for it. */
function sending({ node: { address, sendError }, interfaces, peers }: Observed): readonly Finding[] {
  if (sendError === null) return [];
  const ways = peers.flatMap(({ unicast, multicast }) => [unicast.out, multicast.out]);
  // What it sends to itself comes back, or not.
  const seen = [...ways, ...interfaces.map(({ returned }) => returned)].filter((isOut) => isOut !== null);
  const isMute = seen.length > 0 && !seen.includes(true);
  return [finding("cannot-send", isMute ? "error" : "warning", address, [
    `This host does not send ${isMute ? "" : "all of "}what it is given: ${sendError}.`,
    "See what its firewall does with output (EPERM: nft list ruleset), and whether it has a route to everybody " +
    "(ENETUNREACH, EHOSTUNREACH: ip route get ADDRESS).",
  ])];
}

function addresses({ node, interfaces, peers }: Observed, flaw: Flaw | undefined): readonly Finding[] {
  return [
    ...advertised({ node, interfaces, peers }, flaw),
    ...about(
      "peer-advertised-unreachable",
      "warning",
      peers,
      peers.filter((peer) => peer.isAtAddress === false && !isAtSharedPortOnly(peer, node.port)),
      [
        "They are reached where they send from, but not at the addresses that they advertise.",
        "Give them the option `advertiseAddr` with an address and port that others can reach, or leave it out.",
      ],
    ),
  ];
}

function advertised({ node, interfaces, peers }: Observed, flaw: Flaw | undefined): readonly Finding[] {
  const cannot = peers.filter(({ reachesAddress }) => reachesAddress === false);
  const hasPlain = peers.some(({ plain }) => plain);
  // Without interfaces to list there is nothing better to advertise, and nodes of this package know what is meant.
  const isFlawed = flaw !== undefined && flaw !== "name" && (hasPlain || flaw !== "unspecified");
  if (!isFlawed && cannot.length === 0) {
    return flaw !== "name" ? [] : [finding("advertised-unreachable", hasPlain ? "warning" : "info", node.address, [
      FLAWS.name,
      "Go nodes look it up: see that their hosts know it, as this one's.",
    ])];
  }
  // Of several networks, a node advertises its address in one.
  const isNobody = interfaces.length < 2 && cannot.length > 0 &&
    peers.every(({ reachesAddress }) => reachesAddress !== true);
  const why = isFlawed
    ? FLAWS[flaw]
    : `${count(cannot)} answered where this node sends from, but can not reach it at the address that it advertises.`;
  const isError = isNobody || (isFlawed && (hasPlain || flaw === "taken"));
  return [finding("advertised-unreachable", isError ? "error" : "warning", node.address, [
    `${why} Go nodes that do not hear its multicast do not reach it at all.`,
    flaw === "taken"
      ? "Of several processes of a host that advertise one port, one gets all that is sent there. Leave `advertiseAddr` " +
        "out, or give each process a port of its own in it."
      : "Give `advertiseAddr` an address and port of this node that they can reach, or leave it out.",
  ])];
}

function options({ node, peers }: Observed): readonly Finding[] {
  // It is told in whole milliseconds.
  const own = { ...node, heartbeat: Math.floor(node.heartbeat) };
  const differing = (name: "group" | "port" | "heartbeat") =>
    peers.filter(({ settings }) => settings !== null && settings[name] !== own[name]);
  const theirs = (name: "group" | "port" | "heartbeat") =>
    [...new Set(differing(name).map(({ settings }) => settings?.[name]))].join(", ");
  const groups = differing("group").filter(({ settings }) => settings?.multicast && node.asked.multicast);
  const portsOfMesh = differing("port").filter((peer) => !groups.includes(peer) && peer.settings?.multicast);
  return [
    about("other-group", "warning", peers, groups, [
      `They use the group ${theirs("group")}, this node ${node.group}.`,
      "Give all nodes of a mesh the same `group`, and each of two meshes a port of its own.",
    ]),
    about("other-port", "warning", peers, node.asked.multicast ? portsOfMesh : [], [
      `The port of their mesh is ${
        theirs("port")
      }, of this node's ${node.port}: they do not hear each other's multicast.`,
      "Give all nodes of a mesh the same `port`.",
    ]),
    about("other-heartbeat", "warning", peers, differing("heartbeat"), [
      `They have a heartbeat of ${
        theirs("heartbeat")
      } ms, this node of ${node.heartbeat} ms: losses are judged wrongly.`,
      "Give all nodes of a mesh the same `heartbeat`.",
    ]),
  ].flat();
}

function presence({ node, peers }: Observed): readonly Finding[] {
  const { silentSeeds, unresolvedSeeds, group, port, asked, heartbeat, peersLost } = node;
  const isLonely = peers.length === 0;
  const ways = [
    ...asked.multicast ? [`multicast to ${group}:${port}`] : [],
    ...silentSeeds.length > 0 ? ["seeds"] : [],
  ];
  const found: Finding[] = [];
  if (unresolvedSeeds.length > 0) {
    found.push(finding("seed-unresolved", isLonely ? "error" : "warning", named(unresolvedSeeds), [
      "No address was found so far: the resolver knows none, or does not answer.",
      "See that the name is spelt right, and that this host's resolver knows it. It is asked again and again.",
    ]));
  }
  if (isLonely) {
    found.push(finding("nobody-there", "error", node.address, [
      `No other node was heard${
        ways.length > 0 ? `, by ${ways.join(" or ")}` : ": there is neither multicast nor a seed"
      }.`,
      `Start another node with the same \`port\` and \`group\`, and wait for ${heartbeat} ms. If there is one, name it ` +
      "in `peers`, and run `npx @warp-mesh/bus doctor` with the options of the node: it looks further.",
    ]));
  }
  if (silentSeeds.length > 0) {
    found.push(finding("seed-silent", "warning", named(silentSeeds), [
      "Nobody has answered there.",
      "See that a node runs there, that this is the `port` of its mesh or what it advertises, and that firewalls let " +
      "UDP to it pass; or take it out of `peers`.",
    ]));
  }
  if (peersLost.length > 0) {
    found.push(finding("peers-lost", "warning", named(peersLost), [
      `${peersLost.length === 1 ? "A peer was" : `${peersLost.length} peers were`} lost, and nobody has come instead.`,
      "Start what has crashed, or see why the network is cut. Each is asked again by itself.",
    ]));
  }
  if (node.peersRefused > 0) {
    found.push(finding("peers-refused", "warning", "maxPeers", [
      `Newcomers were turned away ${node.peersRefused} times, and just now, as there is no room for them.`,
      "Raise `maxPeers`; if there are not that many nodes, somebody invents some.",
    ]));
  }
  return found;
}

function freshness({ node, peers }: Observed): readonly Finding[] {
  const stale = peers.filter(({ staleness, state }) => (staleness ?? 0) > FRESH * node.heartbeat || state === "doubt");
  return about("stale", "warning", peers, stale, [
    `What they published in the last ${Math.round(Math.max(...stale.map(({ staleness }) => staleness ?? 0)))} ms may ` +
    "not have arrived here.",
    "See the other findings: without any, wait for it to be repaired, or for a `gap` event.",
  ]);
}

function system({ node, peers }: Observed): readonly Finding[] {
  const { asked, interfacesError, receiveBuffer, receiveBufferRequired, extended } = node;
  const plain = extended ? peers.filter((peer) => peer.plain) : [];
  // Of fewer, those that were not asked have come meanwhile.
  const left = peers.length > MOST_ASKED ? peers.filter((peer) => !peer.asked && !peer.plain) : [];
  const found: Finding[] = [];
  if (interfacesError !== null) {
    found.push(finding("interfaces-hidden", "warning", node.address, [
      `The interfaces of this host can not be listed (${interfacesError}): no address can be advertised but one that is ` +
      "given, and a change of address is not noticed.",
      "Permit it: on Deno --allow-sys=networkInterfaces; in a sandbox (seccomp, or RestrictAddressFamilies of systemd) " +
      "sockets of AF_NETLINK.",
    ]));
  }
  if (receiveBuffer !== null && receiveBuffer < asked.receiveBuffer) {
    found.push(finding("receive-buffer", receiveBufferRequired ? "warning" : "info", "receiveBuffer", [
      `The system has granted ${receiveBuffer} bytes of ${asked.receiveBuffer}: bursts above that are lost, and repaired.`,
      `On Linux: sysctl -w net.core.rmem_max=${asked.receiveBuffer}, and open the node again.`,
    ]));
  }
  return [
    ...found,
    ...about("plain-peers", "info", peers, plain, [
      "They speak go-warp's wire only: they can not be asked, and what they send can be lost silently.",
      'Nothing to do for Go nodes. Nodes of this package have the option `wire: "go-warp"`: leave it out.',
    ]),
    ...about("not-known-there", "error", peers, peers.filter(({ isKnownThere }) => isKnownThere === false), [
      "They answer, but do not know this node: there is no room for it. They send it no copies.",
      "Raise `maxPeers` there; if there are not that many nodes, somebody invents some.",
    ]),
    ...about("not-measured", "info", peers, extended ? left : [], [
      `They were not asked, as there are more than ${MOST_ASKED}.`,
      "Run it again, or on other nodes as well: each time it asks others.",
    ]),
  ];
}

function count(peers: readonly PeerDiagnosis[]): string {
  return peers.length === 1 ? "1 peer has" : `${peers.length} peers have`;
}
