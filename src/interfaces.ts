/**
 * Which address of this host the mesh uses.
 *
 * @module
 */

import { type Endpoint, isIpv4 } from "./address.ts";
import { MeshOpenError } from "./errors.ts";
import type { NetworkInterface, NetworkInterfaces } from "./host.ts";

/** The IPv4 address of the interface that the option `interface` names; `undefined` when it names none. */
export function findInterface(option: string | undefined, list: NetworkInterfaces): string | undefined {
  if (option === undefined) return undefined;
  let all: readonly NetworkInterface[];
  try {
    all = list();
  } catch (cause) {
    if (isIpv4(option)) return option;
    throw new MeshOpenError(
      "interface",
      option,
      "looking up an `interface` by name must be permitted (on Deno --allow-sys=networkInterfaces), or be given as address",
      cause,
    );
  }
  const ipv4 = all.filter(({ address }) => isIpv4(address));
  const found = ipv4.find(({ name, address }) => name === option || address === option);
  if (found !== undefined) return found.address;
  const known = ipv4.map(({ name, address }) => `${name} (${address})`).join(", ");
  throw new MeshOpenError(
    "interface",
    option,
    `\`interface\` must name one that is up and has an IPv4 address: ${known}`,
  );
}

/**
 * The host that a node advertises unless told otherwise: a loopback address only when there is no other, and `0.0.0.0`,
 * which receivers replace by the datagram's source, when interfaces cannot be listed.
 */
export function advertisedHost(chosen: string | undefined, list: NetworkInterfaces): string {
  if (chosen !== undefined) return chosen;
  try {
    const ipv4 = list().filter(({ address }) => isIpv4(address));
    return (ipv4.find(({ internal }) => !internal) ?? ipv4[0])?.address ?? "0.0.0.0";
  } catch {
    return "0.0.0.0";
  }
}

/** What is known of this host's addresses, to tell where a node must not be made to send. */
export class LocalAddresses {
  readonly #own = new Set(["127.0.0.1"]);
  readonly #broadcast = new Set(["127.255.255.255"]);

  /** `list` may throw: then only the loopback network is known. */
  constructor(list: NetworkInterfaces) {
    let all: readonly NetworkInterface[] = [];
    try {
      all = list();
    } catch { /* not permitted: see above */ }
    for (const { address, netmask } of all) {
      if (!isIpv4(address)) continue;
      this.#own.add(address);
      if (isIpv4(netmask) && netmask !== "255.255.255.255") this.#broadcast.add(broadcastOf(address, netmask));
    }
  }

  /**
   * Whether a node that was heard from `source` may be at `host`: not at the broadcast address of a network of this host,
   * and at a loopback address only if it is on this host itself. Heartbeats can be forged.
   */
  mayBeAt(host: string, source: Endpoint): boolean {
    if (this.#broadcast.has(host)) return false;
    return !host.startsWith("127.") || source.host.startsWith("127.") || this.#own.has(source.host);
  }

  /** Whether `host` is an address of this host. */
  isOwn(host: string): boolean {
    return this.#own.has(host);
  }
}

function broadcastOf(address: string, netmask: string): string {
  const mask = netmask.split(".").map(Number);
  return address.split(".").map((byte, i) => Number(byte) | (~(mask[i] as number) & 255)).join(".");
}
