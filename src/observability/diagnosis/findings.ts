/**
 * Findings of a diagnosis: derives from measurements what is wrong with a node and its peers, and what to do about it.
 *
 * @module
 */

import type { Flaw } from "./advertised_address_check.ts";
import type { Finding, FindingCode, Observed, PeerDiagnosis } from "./diagnosis.ts";
import { about, either, finding, inNumber, inOrder, named } from "./finding.ts";
import { isAtSharedPortOnly, localMulticast, losses, multicast, sizes, unicast } from "./path_findings.ts";

/** Staleness, in heartbeats, up to which a peer is not reported as stale. */
const FRESH_HEARTBEATS = 3;
/** Largest number of peers that are probed. Each gets about ten datagrams, and up to 150 when many are lost. */
export const MAX_PROBED = 32;

/** What is wrong with an advertised address, for nodes that use it unchecked. */
const FLAWS: Readonly<Record<Flaw, string>> = {
  broadcast: "It is the broadcast address of a network.",
  loopback: "It is a loopback address: a node that sends there sends to its own host.",
  name: "It is a name: nodes of this package do not resolve it, and use the address that this node sends from.",
  taken: "Another node has the same address, and gets what is sent there.",
  unspecified: "It names no host, as this host has no address that others could use.",
};

/** Another possible cause of too many peers. */
const FORGED = "If there are not that many nodes, somebody sends forged heartbeats.";

const CHECKS: readonly ((seen: Observed, flaw: Flaw | undefined) => readonly Finding[])[] = [
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
/** Findings that follow when another process has the node's address. */
const OF_TAKEN_ADDRESS: ReadonlySet<FindingCode> = new Set(
  ["unicast-inbound-blocked", "unicast-outbound-blocked"] as const,
);
/** Findings that follow when a host sends nothing. */
const OF_SENDING_NOTHING: ReadonlySet<FindingCode> = new Set(
  [
    "multicast-blocked",
    "multicast-loopback",
    "multicast-outbound-blocked",
    "peer-receives-nothing",
    "peer-unresponsive",
    "seed-unresponsive",
    "unicast-outbound-blocked",
  ] as const,
);

/** Derives the findings, worst first. */
export function findings(seen: Observed, flaw?: Flaw): readonly Finding[] {
  if (!seen.node.isHealthy) return [closed(seen)];
  const list = inOrder(CHECKS.flatMap((check) => check(seen, flaw)));
  // Two processes that share a port take each other's datagrams.
  const explained = flaw === "taken" ? OF_TAKEN_ADDRESS : NOTHING;
  const isSendingNothing = list.some(({ code, severity }) => code === "send-failed" && severity === "error");
  return list.filter(({ code }) => !explained.has(code) && !(isSendingNothing && OF_SENDING_NOTHING.has(code)));
}

function closed({ node }: Observed): Finding {
  return finding("closed", "error", node.address, [
    "The node is closed, or its sockets can no longer receive.",
    'Open another node. The last `error` event of the stage "receive" says why a socket failed.',
  ]);
}

/** Sending failures. A peer that did not get what was never sent is not at fault. */
function sending({ node: { address, sendError }, interfaces, peers }: Observed): readonly Finding[] {
  if (sendError === null) return [];
  const paths = peers.flatMap(({ unicast, multicast }) => [unicast.out, multicast.out]);
  // The node's own multicast, which should come back, counts too.
  const seen = [...paths, ...interfaces.map(({ returned }) => returned)].filter((isOut) => isOut !== null);
  const isSendingNothing = seen.length > 0 && !seen.includes(true);
  return [finding("send-failed", isSendingNothing ? "error" : "warning", address, [
    `This host refuses to send ${isSendingNothing ? "" : "some of "}the datagrams of this node: ${sendError}.`,
    "Check this host's firewall rules for output (EPERM: nft list ruleset), and its routes (ENETUNREACH, " +
    "EHOSTUNREACH: ip route get ADDRESS).",
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
        "{It is|They are} reached at the address that {it sends|they send} from, but not at the advertised one.",
        "There, set the option `advertiseAddr` to an address and a port at which others reach the node, or leave it " +
        "out.",
      ],
    ),
  ];
}

function advertised({ node, interfaces, peers }: Observed, flaw: Flaw | undefined): readonly Finding[] {
  const cannot = peers.filter(({ reachesAddress }) => reachesAddress === false);
  const hasPlain = peers.some(({ plain }) => plain);
  // When no interface can be listed there is no better address to advertise, and nodes of this package handle it.
  const isFlawed = flaw !== undefined && flaw !== "name" && (hasPlain || flaw !== "unspecified");
  if (!isFlawed && cannot.length === 0) {
    return flaw !== "name" ? [] : [finding("advertised-unreachable", hasPlain ? "warning" : "info", node.address, [
      FLAWS.name,
      "Go nodes resolve it: make sure that on their hosts it resolves to this host.",
    ])];
  }
  // A node on several networks advertises its address in one of them.
  const isNobody = interfaces.length < 2 && cannot.length > 0 &&
    !peers.some(({ reachesAddress }) => reachesAddress);
  const why = isFlawed ? FLAWS[flaw] : inNumber(
    `${cannot.length} {peer reaches|peers reach} this node at the address that it sends from, but not at the ` +
      "advertised one.",
    cannot.length,
  );
  const isError = isNobody || (isFlawed && (hasPlain || flaw === "taken"));
  return [finding("advertised-unreachable", isError ? "error" : "warning", node.address, [
    `${why} Go nodes that do not receive this node's multicast do not reach it.`,
    flaw === "taken"
      ? "Of several processes on a host that advertise one port, only one gets what is sent there. Leave out " +
        "`advertiseAddr`, or set a different port in it for each process."
      : "Set `advertiseAddr` to an address and a port at which others reach the node, or leave it out.",
  ])];
}

function options({ node, peers }: Observed): readonly Finding[] {
  // Peers report their heartbeat in whole milliseconds.
  const own = { ...node, heartbeat: Math.floor(node.heartbeat) };
  const differing = (name: "group" | "port" | "heartbeat") =>
    peers.filter(({ settings }) => settings !== null && settings[name] !== own[name]);
  const theirs = (name: "group" | "port" | "heartbeat") =>
    either([...new Set(differing(name).map(({ settings }) => `${settings?.[name]}`))]);
  const groups = differing("group").filter(({ settings }) => settings?.multicast && node.requested.multicast);
  const portsOfMesh = differing("port").filter((peer) => !groups.includes(peer) && peer.settings?.multicast);
  return [
    about("group-mismatch", "warning", peers, groups, [
      `{It uses|They use} the group ${theirs("group")}; this node uses ${node.group}.`,
      "Set the same `group` on all nodes of a mesh. If there are two meshes, use a different port for each.",
    ]),
    about("port-mismatch", "warning", peers, node.requested.multicast ? portsOfMesh : [], [
      `The port of {its|their} mesh is ${theirs("port")}, the port of this node's mesh is ${node.port}: they do not ` +
      "receive each other's multicast.",
      "Set the same `port` on all nodes of a mesh.",
    ]),
    about("heartbeat-mismatch", "warning", peers, differing("heartbeat"), [
      `{It has|They have} a heartbeat interval of ${theirs("heartbeat")} ms, this node has one of ` +
      `${node.heartbeat} ms: peers are suspected too early or too late.`,
      "Set the same `heartbeat` on all nodes of a mesh.",
    ]),
  ].flat();
}

function localNode({ node, peers }: Observed): readonly Finding[] {
  const { silentSeeds, unresolvedSeeds, group, port, requested, heartbeat, peersLost } = node;
  const isAlone = peers.length === 0;
  const paths = [
    ...requested.multicast ? [`by multicast to ${group}:${port}`] : [],
    ...silentSeeds.length > 0 ? ["at the addresses of seeds"] : [],
  ];
  const found: Finding[] = [];
  if (unresolvedSeeds.length > 0) {
    found.push(finding("seed-unresolved", isAlone ? "error" : "warning", named(unresolvedSeeds), [
      "No address was found so far: the resolver knows none, or does not answer.",
      inNumber(
        "Check that the {name is|names are} spelt right, and that this host's resolver knows {it|them}. {It is|They " +
          "are} looked up again automatically.",
        unresolvedSeeds.length,
      ),
    ]));
  }
  if (isAlone) {
    found.push(finding("no-peers", "error", node.address, [
      `No other node was heard${
        paths.length > 0 ? ` ${paths.join(" or ")}` : ": there is neither multicast nor a seed that has an address"
      }.`,
      `Start another node with the same \`port\` and \`group\`, and wait for ${heartbeat} ms. If one is running, ` +
      "name it in `peers`, or run `npx @warp-mesh/bus doctor` with the options of this node: it looks further.",
    ]));
  }
  if (silentSeeds.length > 0) {
    found.push(finding("seed-unresponsive", "warning", named(silentSeeds), [
      "No node has answered there.",
      "Check that a node is running there, that the port is the `port` of its mesh or the one that it advertises, " +
      "and that firewalls let UDP to it pass; or remove it from `peers`.",
    ]));
  }
  if (peersLost.length > 0) {
    found.push(finding("peers-lost", "warning", named(peersLost), [
      inNumber(
        `${peersLost.length} {peer was|peers were} lost, and no new node has replaced {it|them}.`,
        peersLost.length,
      ),
      inNumber(
        "Restart what has crashed, or check why the network is partitioned. {It is|They are} probed again " +
          "automatically.",
        peersLost.length,
      ),
    ]));
  }
  if (node.peersRefused > 0) {
    found.push(finding("peers-refused", "warning", "maxPeers", [
      `New nodes were refused ${node.peersRefused === 1 ? "once" : `${node.peersRefused} times`}, the last time just ` +
      "now, as there is no room for them.",
      `Raise \`maxPeers\`. ${FORGED}`,
    ]));
  }
  return found;
}

function freshness({ node, peers }: Observed): readonly Finding[] {
  const isStale = ({ staleness, state }: PeerDiagnosis) =>
    (staleness ?? 0) > FRESH_HEARTBEATS * node.heartbeat || state === "doubt";
  const stale = peers.filter((peer) => peer.state !== "plain" && isStale(peer));
  const milliseconds = Math.round(Math.max(...stale.map(({ staleness }) => staleness ?? 0)));
  return about("stale", "warning", peers, stale, [
    `What {it|they} published in the last ${milliseconds} ms may not have arrived here.`,
    "See the other findings. If there are none, wait until it is retransmitted, or until a `gap` event says that it " +
    "is lost.",
  ]);
}

function system({ node, peers }: Observed): readonly Finding[] {
  const { requested, interfacesError, receiveBuffer, receiveBufferRequired, extended } = node;
  const plain = extended ? peers.filter((peer) => peer.plain) : [];
  // With fewer peers, those that were not probed have joined meanwhile.
  const left = peers.length > MAX_PROBED ? peers.filter((peer) => !peer.probed && !peer.plain) : [];
  const found: Finding[] = [];
  if (interfacesError !== null) {
    found.push(finding("interfaces-unlisted", "warning", node.address, [
      `The interfaces of this host cannot be listed (${interfacesError}): only an address that is given can be ` +
      "advertised, and a change of address is not noticed.",
      "Permit it: on Deno by --allow-sys=networkInterfaces; in a sandbox (seccomp, or RestrictAddressFamilies of " +
      "systemd) by allowing sockets of AF_NETLINK.",
    ]));
  }
  if (receiveBuffer !== null && receiveBuffer < requested.receiveBuffer) {
    found.push(finding("receive-buffer", receiveBufferRequired ? "warning" : "info", "receiveBuffer", [
      `The system granted ${receiveBuffer} of ${requested.receiveBuffer} bytes: larger bursts are lost, and ` +
      "retransmitted.",
      `On Linux: sysctl -w net.core.rmem_max=${requested.receiveBuffer}, and open the node again.`,
    ]));
  }
  return [
    ...found,
    ...about("plain-peers", "info", peers, plain, [
      "{It speaks|They speak} go-warp's wire format only: {it|they} cannot be probed, and what {it sends|they send} " +
      "can be lost silently.",
      'Nothing to do for Go nodes. On a node of this package, leave out the option `wire: "go-warp"`.',
    ]),
    ...about("unknown-to-peer", "error", peers, peers.filter(({ isKnownThere }) => isKnownThere === false), [
      "{It answers, but does|They answer, but do} not know this node, as there is no room for it, and {sends|send} " +
      "it no copies.",
      `Raise \`maxPeers\` there. ${FORGED}`,
    ]),
    ...about("not-measured", "info", peers, extended ? left : [], [
      `{It was|They were} not probed, as there are more than ${MAX_PROBED} peers.`,
      "Run it again, or on other nodes as well: each run probes others.",
    ]),
  ];
}
