/**
 * Which address of this host the mesh uses.
 *
 * @module
 */

import { isIpv4 } from "./address.ts";
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
