/**
 * What measurements mean: each cause by its name, and what to do about it.
 *
 * @module
 */

import type { Flaw } from "./advertised_address_check.ts";
import type { Finding, FindingCode, Observed, PeerDiagnosis } from "./diagnosis.ts";
import { about, either, finding, inNumber, inOrder, named } from "./finding.ts";
import { isAtSharedPortOnly, localMulticast, losses, multicast, sizes, unicast } from "./path_findings.ts";

/** Heartbeats for which what a peer has published may be outstanding without a word. */
const FRESH = 3;
/** Peers that are asked. Each gets about ten datagrams, and up to 150 when much is lost. */
export const MOST_ASKED = 32;

/** What follows for nodes that take an address as it is. */
const FLAWS: Readonly<Record<Flaw, string>> = {
  broadcast: "It is the broadcast address of a network.",
  loopback: "It is a loopback address: whoever sends there sends to its own host.",
  name: "It is a name: nodes of this package do not look it up, and take the address that this node sends from.",
  taken: "Another node has that address too, and gets what is sent there.",
  unspecified: "It names no host, as this one has no address that others could use.",
};

/** What else too many peers may be. */
const INVENTED = "If there are not that many nodes, somebody sends heartbeats in the name of invented ones.";

const JUDGES: readonly ((seen: Observed, flaw: Flaw | undefined) => readonly Finding[])[] = [
  sending,
  missing,
  unicast,
  localMulticast,
  localNode,
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
    "The node is closed, or its sockets cannot receive any more.",
    'Open another one. The last `error` event of the stage "receive" says why a socket failed.',
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
    `This host refuses to send ${isMute ? "" : "some of "}what the node gives it: ${sendError}.`,
    "Look at its firewall's rules for output (EPERM: nft list ruleset), and at its routes (ENETUNREACH, EHOSTUNREACH: " +
    "ip route get ADDRESS).",
  ])];
}

function missing({ node: { family, interfacesMissing }, peers }: Observed): readonly Finding[] {
  const names = interfacesMissing.map((name) => name ?? "any but the loopback interface");
  const inTheirNumber = (text: string) => inNumber(text, names.length);
  return names.length === 0 ? [] : [
    finding("interface-missing", peers.length === 0 ? "error" : "warning", named(names), [
      inTheirNumber(
        `{It is|They are} not there, or {has|have} no IPv${family} address. The node waits for {it|them}.`,
      ),
      inTheirNumber("Bring {it|them} up, or correct `interface`."),
    ]),
  ];
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
        "{It is|They are} reached where {it sends|they send} from, but not where {it advertises|they advertise} to be.",
        "There, give the option `advertiseAddr` an address and a port at which others reach the node, or leave it out.",
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
      "Go nodes look it up: see that their hosts know it as the name of this one.",
    ])];
  }
  // Of several networks, a node advertises its address in one.
  const isNobody = interfaces.length < 2 && cannot.length > 0 &&
    !peers.some(({ reachesAddress }) => reachesAddress);
  const why = isFlawed ? FLAWS[flaw] : inNumber(
    `${cannot.length} {peer reaches|peers reach} this node where it sends from, but not where it advertises to be.`,
    cannot.length,
  );
  const isError = isNobody || (isFlawed && (hasPlain || flaw === "taken"));
  return [finding("advertised-unreachable", isError ? "error" : "warning", node.address, [
    `${why} Go nodes that do not hear this node's multicast do not reach it.`,
    flaw === "taken"
      ? "Of several processes on a host that advertise one port, only one gets what is sent there. Leave `advertiseAddr` " +
        "out, or give each process a port of its own in it."
      : "Give `advertiseAddr` an address and a port at which others reach the node, or leave it out.",
  ])];
}

function options({ node, peers }: Observed): readonly Finding[] {
  // It is told in whole milliseconds.
  const own = { ...node, heartbeat: Math.floor(node.heartbeat) };
  const differing = (name: "group" | "port" | "heartbeat") =>
    peers.filter(({ settings }) => settings !== null && settings[name] !== own[name]);
  const theirs = (name: "group" | "port" | "heartbeat") =>
    either([...new Set(differing(name).map(({ settings }) => `${settings?.[name]}`))]);
  const groups = differing("group").filter(({ settings }) => settings?.multicast && node.requested.multicast);
  const portsOfMesh = differing("port").filter((peer) => !groups.includes(peer) && peer.settings?.multicast);
  return [
    about("other-group", "warning", peers, groups, [
      `{It uses|They use} the group ${theirs("group")}; this node uses ${node.group}.`,
      "Give all nodes of a mesh the same `group`, and each of two meshes a port of its own.",
    ]),
    about("other-port", "warning", peers, node.requested.multicast ? portsOfMesh : [], [
      `The port of {its|their} mesh is ${
        theirs("port")
      }, that of this node's mesh is ${node.port}: they do not hear each ` +
      "other's multicast.",
      "Give all nodes of a mesh the same `port`.",
    ]),
    about("other-heartbeat", "warning", peers, differing("heartbeat"), [
      `{It has|They have} a heartbeat of ${
        theirs("heartbeat")
      } ms, this node has one of ${node.heartbeat} ms: losses are ` +
      "judged wrongly.",
      "Give all nodes of a mesh the same `heartbeat`.",
    ]),
  ].flat();
}

function localNode({ node, peers }: Observed): readonly Finding[] {
  const { silentSeeds, unresolvedSeeds, group, port, requested: asked, heartbeat, peersLost } = node;
  const isLonely = peers.length === 0;
  const ways = [
    ...asked.multicast ? [`by multicast to ${group}:${port}`] : [],
    ...silentSeeds.length > 0 ? ["at the addresses of seeds"] : [],
  ];
  const found: Finding[] = [];
  if (unresolvedSeeds.length > 0) {
    found.push(finding("seed-unresolved", isLonely ? "error" : "warning", named(unresolvedSeeds), [
      "No address has been found so far: the resolver knows none, or does not answer.",
      inNumber(
        "See that the {name is|names are} spelt right, and that this host's resolver knows {it|them}. {It is|They are} " +
          "looked up again and again.",
        unresolvedSeeds.length,
      ),
    ]));
  }
  if (isLonely) {
    found.push(finding("nobody-there", "error", node.address, [
      `No other node was heard${
        ways.length > 0 ? ` ${ways.join(" or ")}` : ": there is neither multicast nor a seed that has an address"
      }.`,
      `Start another node with the same \`port\` and \`group\`, and wait for ${heartbeat} ms. If one is running, name it ` +
      "in `peers`, or run `npx @warp-mesh/bus doctor` with the options of this node: it looks further.",
    ]));
  }
  if (silentSeeds.length > 0) {
    found.push(finding("seed-silent", "warning", named(silentSeeds), [
      "Nobody has answered there.",
      "See that a node is running there, that the port is the `port` of its mesh or the one that it advertises, and that " +
      "firewalls let UDP to it pass; or take it out of `peers`.",
    ]));
  }
  if (peersLost.length > 0) {
    found.push(finding("peers-lost", "warning", named(peersLost), [
      inNumber(
        `${peersLost.length} {peer was|peers were} lost, and nobody has come in {its|their} place.`,
        peersLost.length,
      ),
      inNumber(
        "Start what has crashed, or see why the network is cut. {It is|They are} asked again automatically.",
        peersLost.length,
      ),
    ]));
  }
  if (node.peersRefused > 0) {
    found.push(finding("peers-refused", "warning", "maxPeers", [
      `Newcomers were turned away ${
        node.peersRefused === 1 ? "once" : `${node.peersRefused} times`
      }, the last time just ` +
      "now, as there is no room for them.",
      `Raise \`maxPeers\`. ${INVENTED}`,
    ]));
  }
  return found;
}

function freshness({ node, peers }: Observed): readonly Finding[] {
  const isStale = ({ staleness, state }: PeerDiagnosis) =>
    (staleness ?? 0) > FRESH * node.heartbeat || state === "doubt";
  const stale = peers.filter((peer) => peer.state !== "plain" && isStale(peer));
  return about("stale", "warning", peers, stale, [
    `What {it|they} published in the last ${
      Math.round(Math.max(...stale.map(({ staleness }) => staleness ?? 0)))
    } ms may ` +
    "not have arrived here.",
    "See the other findings. If there are none, wait until it is repaired, or until a `gap` event says that it cannot be.",
  ]);
}

function system({ node, peers }: Observed): readonly Finding[] {
  const { requested: asked, interfacesError, receiveBuffer, receiveBufferRequired, extended } = node;
  const plain = extended ? peers.filter((peer) => peer.plain) : [];
  // Of fewer, those that were not asked have come meanwhile.
  const left = peers.length > MOST_ASKED ? peers.filter((peer) => !peer.probed && !peer.plain) : [];
  const found: Finding[] = [];
  if (interfacesError !== null) {
    found.push(finding("interfaces-hidden", "warning", node.address, [
      `The interfaces of this host cannot be listed (${interfacesError}): no address can be advertised but one that is ` +
      "given, and a change of address is not noticed.",
      "Permit it: on Deno by --allow-sys=networkInterfaces; in a sandbox (seccomp, or RestrictAddressFamilies of systemd) " +
      "by allowing sockets of AF_NETLINK.",
    ]));
  }
  if (receiveBuffer !== null && receiveBuffer < asked.receiveBuffer) {
    found.push(finding("receive-buffer", receiveBufferRequired ? "warning" : "info", "receiveBuffer", [
      `The system has granted ${receiveBuffer} bytes of ${asked.receiveBuffer}: larger bursts are lost, and repaired.`,
      `On Linux: sysctl -w net.core.rmem_max=${asked.receiveBuffer}, and open the node again.`,
    ]));
  }
  return [
    ...found,
    ...about("plain-peers", "info", peers, plain, [
      "{It speaks|They speak} go-warp's wire format only: {it|they} cannot be asked, and what {it sends|they send} can be lost silently.",
      'Nothing to do for Go nodes. A node of this package has the option `wire: "go-warp"`: leave it out.',
    ]),
    ...about("not-known-there", "error", peers, peers.filter(({ isKnownThere }) => isKnownThere === false), [
      "{It answers, but does|They answer, but do} not know this node, as there is no room for it, and {sends|send} it no copies.",
      `Raise \`maxPeers\` there. ${INVENTED}`,
    ]),
    ...about("not-measured", "info", peers, extended ? left : [], [
      `{It was|They were} not asked, as there are more than ${MOST_ASKED} peers.`,
      "Run it again, or on other nodes as well: each time others are asked.",
    ]),
  ];
}
