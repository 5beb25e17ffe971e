/**
 * Interface names: the names by which the runtimes take an interface.
 *
 * @module
 */

import { networkInterfaces, platform } from "node:os";
import { BindError } from "../src/platform/datagram_socket.ts";
import { type Family, isLinkLocal } from "../src/platform/endpoint.ts";

const IS_WINDOWS = platform() === "win32";

/**
 * The name by which the runtimes take an interface: for IPv4 its address, for IPv6 the unspecified address with its
 * zone, which is its name, or its index on Windows.
 *
 * Throws a {@linkcode BindError} when this host has no IPv6 interface of that name: all runtimes would take the
 * system's choice. Listing the interfaces takes 40 µs, and a permission on Deno.
 */
export function runtimeName(family: Family, multicastInterface: string): string {
  if (family === 4) return multicastInterface;
  const [first, ...more] = addressesOf(multicastInterface);
  if (first !== undefined) {
    // Addresses of global scope have the index 0.
    const index = IS_WINDOWS ? [first, ...more].find(({ scopeid }) => scopeid !== 0)?.scopeid : undefined;
    return `::%${index ?? multicastInterface}`;
  }
  throw new BindError(
    "EMULTICAST",
    `Cannot set up multicast as the interface must be the name of one of this host's that has IPv6: ` +
      `current value is "${multicastInterface}"`,
  );
}

/** Whether this host has the interface now: by its address for IPv4, by its name for IPv6, with an IPv6 address. */
export function hasInterface(family: Family, multicastInterface: string): boolean {
  if (family === 6) return addressesOf(multicastInterface).length > 0;
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === multicastInterface));
}

/** The names of the interfaces with a link-local address, which every interface has that uses IPv6. */
export function linkLocalInterfaces(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([, list]) => list?.some(({ address }) => isLinkLocal(address)))
    .map(([name]) => name);
}

function addressesOf(name: string): readonly { readonly scopeid: number }[] {
  return (networkInterfaces()[name] ?? []).flatMap((each) => each.family === "IPv6" ? [{ scopeid: each.scopeid }] : []);
}
