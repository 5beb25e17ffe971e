/**
 * Hosts in network namespaces of the test's own, joined by switches in another one: this machine's network is not
 * changed, and nothing leaves.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { type Cable, Wire } from "../../support/wire.ts";

/** A namespace that programs can be run in. */
export interface Host {
  /** Its addresses, one for each network that it is on; empty when it is on none. */
  readonly addresses: readonly string[];
  /** Its links to those networks, in the same order. */
  readonly cables: readonly Cable[];
  /** The command that runs the command after it here. */
  readonly within: readonly string[];
  /** Runs a command here. Throws when it fails. */
  run(...command: string[]): void;
  /** Drops all incoming multicast here without an error at the sender, and all outgoing multicast with one. */
  blockMulticast(direction: "input" | "output"): void;
  /** Drops this share of the incoming UDP datagrams here, from 0 to 1, at random, without an error at the sender. */
  lose(share: number): void;
  /** How many datagrams {@linkcode Host.lose} has dropped so far. */
  lost(): number;
  /** Gives the interface `eth0` another address, after removing the old one. */
  move(address: string): void;
  /** Adds a cable to the network of this address, with that address: the interface has this name. */
  attach(device: string, address: string): void;
  /** Removes an interface. */
  detach(device: string): void;
  /**
   * Makes programs that are started here from now on use a name server, and the search domain `search`. They wait for
   * an answer for `patience` seconds, 1 by default.
   */
  resolveBy(server: string, search: string, patience?: number): void;
}

/**
 * A host's interfaces: the first address of a network (`10.77.1.1` is of `10.77.1.0/24`, `fd77::1` of `fd77::/64`) is
 * `eth0`, the next `eth1`.
 */
export type HostPlan = readonly string[];

// The namespaces of a killed process are found by its id in their names, and deleted by the next process.
const PREFIX = "warp-mesh-";
const FOLDER = "/run/netns";
const MULTICAST = "224.0.0.0/4";
// The files that `ip netns exec` puts in the place of those in /etc.
const ETC = "/etc/netns";
// An IPv6 address cannot be used for a second or two while the system checks whether another host has it, by default.
const USE_AT_ONCE = "for name in all default; do echo 0 > /proc/sys/net/ipv6/conf/$name/accept_dad; done";

let count = 0;

/** Why no hosts can be made here; undefined when they can. */
export function unavailable(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are there on Linux only";
  if (process.getuid?.() !== 0) return "making network namespaces takes root";
  const name = nextName();
  try {
    run("ip", "netns", "add", name);
    run("ip", "netns", "exec", name, "nft", "list", "ruleset");
    return undefined;
  } catch (error) {
    return `network namespaces take iproute2, nftables and the right to use them: ${(error as Error).message}`;
  } finally {
    spawnSync("ip", ["netns", "delete", name]);
  }
}

/**
 * Registers a test that makes hosts. It is skipped where that cannot be done, or fails there if
 * `WARP_MESH_REQUIRE_NETNS` is 1.
 */
export function hostTest(title: string, body: () => Promise<void>): void {
  reason ??= unavailable() ?? "";
  if (reason === "") test(title, body);
  else if (process.env["WARP_MESH_REQUIRE_NETNS"] === "1") {
    const text = reason;
    test(title, () => Promise.reject(new Error(`WARP_MESH_REQUIRE_NETNS is 1, but ${text}`)));
  } else test(title, { skip: reason }, () => {});
}

let reason: string | undefined;

/** Runs `body` with hosts, whose `lo` is up, and their links, and deletes all of it in any case. */
export async function withHosts(
  plans: readonly HostPlan[],
  body: (hosts: readonly Host[], wire: Wire) => Promise<void>,
): Promise<void> {
  deleteStale();
  const names: string[] = [];
  const add = (): string => {
    const name = nextName();
    names.push(name);
    run("ip", "netns", "add", name);
    return name;
  };
  try {
    const center = add();
    const wire = new Wire((...command) => run(...within(center), ...command));
    const hosts = plans.map((plan) => {
      const name = add();
      run("ip", "-n", name, "link", "set", "lo", "up");
      if (plan.some((address) => address.includes(":"))) run(...within(name), "sh", "-e", "-c", USE_AT_ONCE);
      const host = hostIn(name, center);
      plan.forEach((address, i) => host.attach(`eth${i}`, address));
      return host;
    });
    await body(hosts, wire);
  } finally {
    for (const name of names) remove(name);
  }
}

function within(name: string): readonly string[] {
  return ["ip", "netns", "exec", name];
}

function hostIn(name: string, center: string): Host {
  const inside = within(name);
  const nft = (command: string): string => run(...inside, "nft", command);
  const cables: Cable[] = [];
  const addresses: string[] = [];
  return {
    cables,
    addresses,
    within: inside,
    run: (...command) => void run(...inside, ...command),
    blockMulticast(direction) {
      nft("add table inet block");
      nft(`add chain inet block ${direction} { type filter hook ${direction} priority 0; }`);
      nft(`add rule inet block ${direction} ip daddr ${MULTICAST} drop`);
    },
    lose(share) {
      const rule = `meta l4proto udp numgen random mod 10000 < ${Math.round(share * 10_000)} counter drop`;
      nft("add table inet loss");
      nft("add chain inet loss input { type filter hook input priority 0; }");
      nft(`add rule inet loss input ${rule}`);
    },
    lost() {
      const rules = run(...inside, "nft", "list", "table", "inet", "loss");
      return Number(/counter packets (\d+)/.exec(rules)?.[1]);
    },
    move(address) {
      // In one step: a node that checked in between would find a host without an address.
      const old = `address delete ${prefixed(addresses[0] ?? "")} dev eth0`;
      batch(name, [old, ...assigning("eth0", address)]);
      addresses[0] = address;
    },
    attach(device, address) {
      const cable = connect(center, name, device, networkOf(address));
      assign(name, device, address);
      cables.push(cable);
      addresses.push(address);
    },
    detach(device) {
      run("ip", "-n", name, "link", "delete", device);
      const i = cables.findIndex((cable) => cable.device === device);
      cables.splice(i, 1);
      addresses.splice(i, 1);
    },
    resolveBy(server, search, patience = 1) {
      mkdirSync(`${ETC}/${name}`, { recursive: true });
      // A query without an answer within a second has none: nothing is lost here.
      const lines = [`nameserver ${server}`, `search ${search}`, `options timeout:${patience} attempts:1`, ""];
      writeFileSync(`${ETC}/${name}/resolv.conf`, lines.join("\n"));
      writeFileSync(`${ETC}/${name}/nsswitch.conf`, "hosts: files dns\n");
    },
  };
}

/** A cable from a host to the switch of a network, which exists from the first cable on. */
function connect(center: string, name: string, device: string, network: string): Cable {
  const bridge = bridgeOf(network);
  if (spawnSync("ip", ["-n", center, "link", "show", bridge]).status !== 0) {
    run("ip", "-n", center, "link", "add", bridge, "type", "bridge", "mcast_snooping", "0");
    run("ip", "-n", center, "link", "set", bridge, "up");
  }
  const number = count++;
  const port = `port${number}`;
  const mac = `02:00:00:00:${hex(number >> 8)}:${hex(number & 255)}`;
  const ends = ["address", mac, "netns", name, "type", "veth", "peer", "name", port, "netns", center];
  run("ip", "link", "add", device, ...ends);
  run("ip", "-n", center, "link", "set", port, "master", bridge, "up");
  run("ip", "-n", name, "link", "set", device, "up");
  return { device, port, mac };
}

/** Gives an interface an address. The first one has the default route. */
function assign(name: string, device: string, address: string): void {
  batch(name, assigning(device, address));
}

/** Commands of `ip` that give a device an address, and the default route to `eth0`. */
function assigning(device: string, address: string): readonly string[] {
  const isIpv6 = address.includes(":");
  const add = `address add ${prefixed(address)} dev ${device}${isIpv6 ? " nodad" : ""}`;
  const via = `${networkOf(address)}${isIpv6 ? "::" : "."}254`;
  return device === "eth0" ? [add, `route replace default via ${via}`] : [add];
}

/** Runs commands of `ip` in a namespace, one after the other. */
function batch(name: string, commands: readonly string[]): void {
  runWith(commands.join("\n"), "ip", "-n", name, "-batch", "-");
}

function prefixed(address: string): string {
  return `${address}/${address.includes(":") ? 64 : 24}`;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function networkOf(address: string): string {
  return address.includes(":") ? address.slice(0, address.indexOf("::")) : address.slice(0, address.lastIndexOf("."));
}

function bridgeOf(network: string): string {
  return `br${network.replaceAll(/[.:]/g, "-")}`;
}

function nextName(): string {
  return `${PREFIX}${process.pid}-${count++}`;
}

function deleteStale(): void {
  if (!existsSync(FOLDER)) return;
  for (const name of readdirSync(FOLDER).filter((name) => name.startsWith(PREFIX))) {
    const [pid] = name.slice(PREFIX.length).split("-");
    if (!existsSync(`/proc/${pid}`)) remove(name);
  }
}

function remove(name: string): void {
  spawnSync("ip", ["netns", "delete", name]);
  rmSync(`${ETC}/${name}`, { recursive: true, force: true });
  // The folder itself is deleted with the last one in it.
  spawnSync("rmdir", [ETC], { stdio: "ignore" });
}

function run(...command: string[]): string {
  return runWith("", ...command);
}

function runWith(input: string, ...command: string[]): string {
  const [file = "", ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(file, args, { encoding: "utf8", input });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}
