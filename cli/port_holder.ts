/**
 * Port holder: a node on this host that uses the port of the mesh as its only port. The system delivers unicast
 * datagrams to the newest socket on a shared port, so binding the port as well would take them from that node. The
 * doctor therefore uses another port beside such a node.
 *
 * @module
 */

import { networkInterfaces } from "../adapters/system.ts";
import type { Diagnosis, Finding, FindingCode, MeshOptions, NetworkInterface } from "../mod.ts";
import { MAX_SEED_ADDRESSES } from "../src/discovery/seed_addresses.ts";
import { linksOf, listed, UNSPECIFIED } from "../src/net/interfaces.ts";
import { findings } from "../src/observability/diagnosis/findings.ts";
import { checkOptions, type Settings } from "../src/options.ts";
import { onAbort } from "../src/platform/abort_signal.ts";
import { formatAddress } from "../src/platform/endpoint.ts";
import { scan, type ScanAck, type ScanProbe } from "./network_scan.ts";

/**
 * Interfaces on which the holder is probed. A node acknowledges 16 such probes a second, and the doctor sends more of
 * them later.
 */
const MAX_INTERFACES = 3;
/** Findings about the address of the doctor's own node, which no other node has. */
const OF_ADDRESS: ReadonlySet<FindingCode> = new Set(["advertised-unreachable", "unicast-inbound-blocked"] as const);
/** Findings that follow from not using multicast here. */
const OF_MULTICAST: ReadonlySet<FindingCode> = new Set(["multicast-off", "multicast-blocked"] as const);

/**
 * Finds the node that uses the port of the mesh as its only port, if there is one. A node that has a port of its own
 * beside it sends acks from that port. Acks are awaited for `time` milliseconds.
 *
 * @throws {TypeError | RangeError} when the options are wrong
 */
export async function findHolder(
  options: MeshOptions,
  time: number,
  signal: AbortSignal | undefined,
): Promise<PortHolder | undefined> {
  const settings = checkOptions(options);
  const { port } = settings;
  if (port === 0) return undefined;
  const probes = holderProbes(settings);
  const acks = new Map<string, ScanAck>();
  const controller = new AbortController();
  const end = () => controller.abort();
  const detach = signal && onAbort(signal, end);
  await scan(probes, time, (ack) => {
    acks.set(ack.probe.host, ack);
    if (acks.size === probes.length) end();
  }, controller.signal);
  detach?.();
  // A node of another mesh may have the port as its own: no other process can bind that one.
  const holders = [...acks.values()].filter((ack) => ack.port === port && ack.report.port === port);
  // Prefers the address at which other hosts reach the holder over the loopback address.
  const holder = holders.find(({ probe }) => probe.from !== probes[0]?.from) ?? holders[0];
  return holder === undefined ? undefined : new PortHolder(settings, holder);
}

/** The node that holds the port, and how the mesh is examined beside it. */
export class PortHolder {
  /** Address of the node, `host:port`. */
  readonly address: string;
  readonly #settings: Settings;
  readonly #isOfGroup: boolean;

  /** Takes the settings of the doctor's node, and the holder's ack. */
  constructor(settings: Settings, { probe: { host, port }, report: { group } }: ScanAck) {
    this.address = formatAddress(host, port);
    this.#settings = settings;
    this.#isOfGroup = group === settings.group;
  }

  /** The options of the node to open instead. A holder with another group is no seed: two meshes would merge. */
  options({ advertiseAddr: _, ...options }: MeshOptions): MeshOptions {
    const { port, seeds } = this.#settings;
    const texts = seeds.map((seed) => seed.kind === "srv" ? seed.text : formatAddress(seed.host, seed.port || port));
    const all = new Set([...this.#isOfGroup ? [this.address] : [], ...texts]);
    return { ...options, port: 0, multicast: false, peers: [...all].slice(0, MAX_SEED_ADDRESSES) };
  }

  /** The diagnosis as judged for the port that the options name: findings about the replacement port are of no use. */
  judged({ node, interfaces, peers }: Diagnosis): Diagnosis {
    const seen = { node: { ...node, port: this.#settings.port }, interfaces, peers };
    const found = findings(seen).filter(({ code }) => !OF_ADDRESS.has(code));
    return { ...seen, ok: found.every(({ severity }) => severity !== "error"), findings: found };
  }

  /** Drops findings that would differ if multicast were used, when the options ask for multicast. */
  withoutMulticast(found: readonly Finding[]): readonly Finding[] {
    return this.#settings.multicast ? found.filter(({ code }) => !OF_MULTICAST.has(code)) : found;
  }

  /** The finding that tells the user about the holder. */
  get finding(): Finding {
    const { advertise, multicast, port } = this.#settings;
    const left = [...multicast ? ["multicast"] : [], ...advertise === undefined ? [] : ["the address of --advertise"]];
    const seedsText = this.#isOfGroup ? "that node as a seed" : "the given seeds only";
    return {
      code: "port-shared",
      severity: "info",
      subject: this.address,
      message:
        `A node on this host uses port ${port} only, and would receive nothing while the doctor used it too: the ` +
        `doctor has joined on another port, with ${seedsText}.` +
        (left.length === 0 ? "" : ` Not examined: ${left.join(", ")}.`),
      advice:
        "Run the doctor on a host without a node to see everything; or call `mesh.diagnose()` on that node itself.",
    };
  }
}

/** Probes that reach this host only: to its loopback address, and to the addresses that the mesh would use. */
function holderProbes(settings: Settings): readonly ScanProbe[] {
  const { family, port } = settings;
  const loopback: NetworkInterface = {
    name: "lo",
    address: family === 4 ? "127.0.0.1" : "::1",
    internal: true,
    netmask: "",
  };
  const links = linksOf(settings, listed(networkInterfaces)).flatMap(({ name = "?", address }) =>
    address === UNSPECIFIED[family] || address === loopback.address
      ? []
      : [{ name, address, internal: false, netmask: "" }]
  );
  return [loopback, ...links.slice(0, MAX_INTERFACES)].map((from) => ({
    by: "unicast",
    from,
    host: from.address,
    port,
  }));
}
