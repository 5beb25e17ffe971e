// Host shapes: the interfaces, addresses and routes that a node infers, for a table of hosts, each in a namespace.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { runCommand } from "../support/runtime.ts";
import { IS_NODE } from "../support/own_runtime.ts";
import { IS_SMALL } from "../support/size.ts";
import type { ShapeResult, ShapeTask } from "./support/host_shape.ts";
import { inNamespace, namespaceTest } from "./support/namespace.ts";

const PROGRAM = runCommand(new URL("support/host_shape.ts", import.meta.url));

/** A cable whose other end has no address. */
const cable = (name: string, ...addresses: readonly string[]) =>
  `ip link add ${name} type veth peer name x-${name}; ip link set x-${name} addrgenmode none up; ` +
  `ip link set ${name} addrgenmode none up; ` +
  addresses.map((address) => `ip address add ${address} dev ${name}; `).join("");

async function runShape(host: string, task: ShapeTask): Promise<ShapeResult> {
  const text = JSON.stringify(task).replaceAll("'", `'\\''`);
  const { code, stdout, stderr } = await inNamespace(`ip link set lo up; ${host} ${PROGRAM} '${text}'`);
  assertEquals(code, 0, `${stdout}\n${stderr}`);
  return JSON.parse(stdout) as ShapeResult;
}

/** A host, and the state of a node with these options on it. */
interface Shape extends ShapeTask {
  readonly host: string;
  /** The hosts that it advertises, in succession. */
  readonly hosts: readonly string[];
  /** The interfaces that it uses in the end. */
  readonly uses: readonly string[];
  /** Those of `places` at which a peer may be. @default {none} */
  readonly allowed?: readonly string[];
  /** Events that it must have, in this order. */
  readonly events?: readonly string[];
}

const DOCKER = "ip link add docker0 type bridge; ip address add 172.17.0.1/16 dev docker0; ip link set docker0 up; " +
  "ip link add c0 type veth peer name c1; ip link set c0 addrgenmode none master docker0 up; " +
  "ip link set c1 addrgenmode none up; ";

const SHAPES: Readonly<Record<string, Shape>> = {
  "a bridge with an address that all hosts have, before the interface of the default route": {
    host: `${DOCKER}${cable("eth0", "10.9.0.1/24")} ip route add default via 10.9.0.254;`,
    options: {},
    hosts: ["10.9.0.1"],
    uses: ["eth0"],
  },
  "no default route": {
    host: cable("eth0", "10.3.0.1/24"),
    options: {},
    hosts: ["10.3.0.1"],
    uses: ["eth0"],
  },
  "no default route, then one by another interface, and none again": {
    host: cable("eth0", "10.3.0.1/24") + cable("eth1", "10.4.0.1/24"),
    options: {},
    change: "ip route add default via 10.4.0.254",
    until: "addressChanged",
    hosts: ["10.3.0.1", "10.4.0.1"],
    uses: ["eth1"],
    events: ["interfaceGone eth0", "interfaceJoined eth1", "addressChanged"],
  },
  "a default route that moves to another interface": {
    host: `${cable("eth0", "10.8.0.1/24")}${cable("eth1", "10.9.0.1/24")} ip route add default via 10.8.0.9;`,
    options: {},
    change: "ip route replace default via 10.9.0.9",
    until: "addressChanged",
    hosts: ["10.8.0.1", "10.9.0.1"],
    uses: ["eth1"],
    events: ["interfaceGone eth0", "interfaceJoined eth1", "addressChanged"],
  },
  "a route for the group alone": {
    host: `${cable("eth0", "10.8.0.1/24")}${cable("eth1", "10.9.0.1/24")} ip route add default via 10.8.0.9; ` +
      "ip route add 239.0.0.0/8 dev eth1;",
    options: {},
    hosts: ["10.9.0.1"],
    uses: ["eth1"],
  },
  "several addresses on one interface, one of them with a label": {
    host: `${cable("eth0", "10.9.0.1/24", "10.9.0.2/24")} ip address add 10.10.0.1/24 dev eth0 label eth0:1;`,
    options: { interface: "all" },
    places: ["10.9.0.255", "10.10.0.255", "10.9.0.7"],
    hosts: ["10.9.0.1"],
    uses: ["eth0"],
    allowed: ["10.9.0.7"],
  },
  "the label of an address as the name": {
    host: `${cable("eth0", "10.9.0.1/24")} ip address add 10.10.0.1/24 dev eth0 label eth0:1;`,
    options: { interface: "eth0:1" },
    hosts: ["10.10.0.1"],
    uses: ["eth0:1"],
  },
  "an interface all of whose addresses have labels": {
    host: `${cable("eth0")} ip address add 10.10.0.1/24 dev eth0 label eth0:7;`,
    options: { interface: "eth0" },
    hosts: ["10.10.0.1"],
    uses: ["eth0:7"],
  },
  "networks of two addresses and of one, which have no broadcast address": {
    host: cable("eth0", "10.9.0.0/31") + cable("eth1", "10.9.1.1/32") + cable("eth2", "10.9.2.1/30"),
    options: { interface: "all" },
    places: ["10.9.0.1", "10.9.1.1", "10.9.2.2", "10.9.2.3"],
    hosts: ["10.9.0.0"],
    uses: ["eth0", "eth1", "eth2"],
    allowed: ["10.9.0.1", "10.9.1.1", "10.9.2.2"],
  },
  "a point-to-point address": {
    host: `${cable("eth0")} ip address add 10.9.0.1 peer 10.9.7.1 dev eth0; ip route add default via 10.9.7.1;`,
    options: {},
    places: ["10.9.7.1"],
    hosts: ["10.9.0.1"],
    uses: ["eth0"],
    allowed: ["10.9.7.1"],
  },
  "an interface on top of another, named as VLANs are": {
    host: `${cable("eth0", "10.9.6.1/24")} ip link add link eth0 name eth0.7 type macvlan mode bridge; ` +
      "ip link set eth0.7 up; ip address add 10.9.7.1/24 dev eth0.7;",
    options: { interface: "eth0.7" },
    hosts: ["10.9.7.1"],
    uses: ["eth0.7"],
  },
  "a tunnel by which the default route goes": {
    host:
      `${cable("eth0", "10.9.6.1/24")} ip link add tunnel0 type vxlan id 5 remote 10.9.6.2 dstport 4789 dev eth0; ` +
      "ip link set tunnel0 up; ip address add 10.9.7.1/32 dev tunnel0; ip route add default dev tunnel0;",
    options: {},
    places: ["10.9.6.2", "10.9.6.255"],
    hosts: ["10.9.7.1"],
    uses: ["tunnel0"],
    allowed: ["10.9.6.2"],
  },
  "IPv6 alone, with an address that is deprecated": {
    host: `${cable("eth0")} ip address add fd99::1/64 dev eth0 nodad preferred_lft 0; ` +
      "ip address add fd99::2/64 dev eth0 nodad;",
    options: { family: 6, interface: "eth0" },
    hosts: ["[fd99::2]"],
    uses: ["eth0"],
  },
  "IPv6, with an address that is not ready yet": {
    host: cable("eth0", "fd99::1/64"),
    options: { family: 6, interface: "fd99::1" },
    hosts: ["[fd99::1]"],
    uses: ["eth0"],
  },
  "IPv6 on a loopback interface with a route for its groups": {
    host: "ip -6 route add local ff00::/8 dev lo table local;",
    options: { family: 6, interface: "lo" },
    hosts: ["[::1]"],
    uses: ["lo"],
  },
  "24 interfaces, more than one socket may join on": {
    host: Array.from({ length: 24 }, (_, i) => cable(`eth${i}`, `10.8.${i}.1/24`)).join(""),
    options: { interface: "all" },
    hosts: ["10.8.0.1"],
    uses: Array.from({ length: 24 }, (_, i) => `eth${i}`),
  },
  "an interface that is waited for": {
    host: "",
    options: { interface: "eth7", waitForInterface: true },
    change: cable("eth7", "10.4.0.1/24"),
    until: "peerJoined",
    hosts: ["0.0.0.0", "10.4.0.1"],
    uses: ["eth7"],
    events: ["interfaceMissing eth7", "interfaceJoined eth7", "addressChanged", "peerJoined"],
  },
  "any interface that is waited for": {
    host: "",
    options: { waitForInterface: true },
    change: cable("eth7", "10.4.0.1/24"),
    until: "peerJoined",
    hosts: ["127.0.0.1", "10.4.0.1"],
    uses: ["eth7"],
    events: ["interfaceMissing undefined", "interfaceGone lo", "interfaceJoined eth7", "addressChanged"],
  },
};

/** At small size two thirds run on Node, and the others elsewhere. */
const TABLE = Object.entries(SHAPES).filter((_, i) => !IS_SMALL || IS_NODE === (i % 3 !== 0));

for (const [title, { host, hosts, uses, allowed = [], events = [], ...task }] of TABLE) {
  namespaceTest(`host: ${title}`, async () => {
    const result = await runShape(host, task);
    assertEquals(result.error, undefined);
    assertEquals(result.hosts, hosts);
    assertEquals(result.interfaces.map(([name]) => name), [...uses]);
    assertEquals(result.interfaces.filter(([, , isHeard]) => isHeard !== true), []);
    assertEquals([result.multicast, result.findings], [{ in: true, out: true }, []], JSON.stringify(result));
    assertEquals(result.places, allowed);
    assertEquals(inOrder(events, result.events), events, result.events.join());
  });
}

const DEAF: Readonly<Record<string, string>> = {
  "without a route for its groups": "",
  "with a route that takes what is sent and brings nothing back": "ip -6 route add ff00::/8 dev lo;",
};

for (const [title, host] of Object.entries(DEAF)) {
  namespaceTest(`host: IPv6 on a loopback interface ${title} is refused with the remedy`, async () => {
    const { error } = await runShape(host, { options: { family: 6, interface: "lo" } });
    assertStringIncludes(error ?? "", "a host without multicast needs seeds");
    assertStringIncludes(error ?? "", "ip -6 route add local ff00::/8 dev lo table local");
  });
}

namespaceTest("host: an IPv6 address that is not ready for long is refused with the reason", async () => {
  const host = `${
    cable("eth0")
  } echo 60 > /proc/sys/net/ipv6/conf/eth0/dad_transmits; ip address add fd99::1/64 dev eth0;`;
  const { error = "" } = await runShape(host, { options: { family: 6, interface: "fd99::1" } });
  assertStringIncludes(error, "duplicate address detection");
});

function inOrder(wanted: readonly string[], all: readonly string[]): readonly string[] {
  let from = 0;
  return wanted.filter((each) => {
    const at = all.indexOf(each, from);
    if (at >= 0) from = at + 1;
    return at >= 0;
  });
}
