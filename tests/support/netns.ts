/**
 * Hosts in network namespaces of the test's own, joined by switches in another one: nothing of this machine's network
 * is touched, and nothing leaves.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";

/** A namespace that programs can be run in. */
export interface Host {
  /** Its IPv4 addresses, one for each network that it is on; empty when it is on none. */
  readonly addresses: readonly string[];
  /** The command to put before another for that to run here. */
  readonly within: readonly string[];
  /** Runs a command here. Throws when it fails. */
  run(...command: string[]): void;
  /** Drops all multicast that comes in here, unseen by the sender, or that would go out, which the sender is told. */
  blockMulticast(way: "input" | "output"): void;
  /** Drops this share of the UDP datagrams that come in here, from 0 to 1, each by chance, unseen by the sender. */
  lose(share: number): void;
  /** How many datagrams {@linkcode Host.lose} has dropped so far. */
  lost(): number;
}

/** A host's interfaces: the first address of a network (`10.77.1.1` is of `10.77.1.0/24`) is `eth0`, the next `eth1`. */
export type HostPlan = readonly string[];

// The namespaces of a process that was killed are found by its id in their names, and deleted by the next.
const PREFIX = "warp-mesh-";
const FOLDER = "/run/netns";
const MULTICAST = "224.0.0.0/4";

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

/** Runs `body` with hosts, whose `lo` is up, and deletes them whatever comes of it. */
export async function withHosts(
  plans: readonly HostPlan[],
  body: (hosts: readonly Host[]) => Promise<void>,
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
    for (const network of new Set(plans.flat().map(networkOf))) {
      run("ip", "-n", center, "link", "add", bridgeOf(network), "type", "bridge", "mcast_snooping", "0");
      run("ip", "-n", center, "link", "set", bridgeOf(network), "up");
    }
    const hosts = plans.map((plan) => {
      const name = add();
      run("ip", "-n", name, "link", "set", "lo", "up");
      plan.forEach((address, i) => connect(center, name, `eth${i}`, address));
      return hostIn(name, plan);
    });
    await body(hosts);
  } finally {
    for (const name of names) spawnSync("ip", ["netns", "delete", name]);
  }
}

/** A cable from a host to the switch of a network, by way of which it reaches everything else if it is the first. */
function connect(center: string, name: string, device: string, address: string): void {
  const port = `port${count++}`;
  run("ip", "link", "add", device, "netns", name, "type", "veth", "peer", "name", port, "netns", center);
  run("ip", "-n", center, "link", "set", port, "master", bridgeOf(networkOf(address)), "up");
  run("ip", "-n", name, "address", "add", `${address}/24`, "dev", device);
  run("ip", "-n", name, "link", "set", device, "up");
  if (device === "eth0") run("ip", "-n", name, "route", "add", "default", "via", `${networkOf(address)}.254`);
}

function hostIn(name: string, addresses: readonly string[]): Host {
  const within = ["ip", "netns", "exec", name];
  return {
    addresses,
    within,
    run: (...command) => void run(...within, ...command),
    blockMulticast(way) {
      run(...within, "nft", "add", "table", "inet", "block");
      run(...within, "nft", `add chain inet block ${way} { type filter hook ${way} priority 0; }`);
      run(...within, "nft", `add rule inet block ${way} ip daddr ${MULTICAST} drop`);
    },
    lose(share) {
      const rule = `meta l4proto udp numgen random mod 10000 < ${Math.round(share * 10_000)} counter drop`;
      run(...within, "nft", "add table inet loss");
      run(...within, "nft", "add chain inet loss input { type filter hook input priority 0; }");
      run(...within, "nft", `add rule inet loss input ${rule}`);
    },
    lost() {
      const rules = run(...within, "nft", "list", "table", "inet", "loss");
      return Number(/counter packets (\d+)/.exec(rules)?.[1]);
    },
  };
}

function networkOf(address: string): string {
  return address.slice(0, address.lastIndexOf("."));
}

function bridgeOf(network: string): string {
  return `br${network.replaceAll(".", "-")}`;
}

function nextName(): string {
  return `${PREFIX}${process.pid}-${count++}`;
}

function deleteStale(): void {
  if (!existsSync(FOLDER)) return;
  for (const name of readdirSync(FOLDER).filter((name) => name.startsWith(PREFIX))) {
    const [pid] = name.slice(PREFIX.length).split("-");
    if (!existsSync(`/proc/${pid}`)) spawnSync("ip", ["netns", "delete", name]);
  }
}

function run(...command: string[]): string {
  const [file = "", ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(file, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}
