import { networkInterfaces, platform } from "node:os";
import { BindError } from "../src/platform/datagram_socket.ts";
import { type Family, isLinkLocal } from "../src/platform/endpoint.ts";

const IS_WINDOWS = platform() === "win32";

/**
 * How the runtimes want an interface named: one of IPv4 by its address, as it is; one of IPv6 as the zone of the
 * unspecified address, which is its name, or its index on Windows.
 *
 * Throws a {@linkcode BindError} when this host has none of that name with IPv6: asked for one, all runtimes take the
 * system's choice. Looking takes 40 µs, and a permission on Deno.
 */
export function runtimeName(family: Family, multicastInterface: string): string {
  if (family === 4) return multicastInterface;
  const [first, ...more] = addressesOf(multicastInterface);
  if (first !== undefined) {
    // Addresses that are valid everywhere have the index 0.
    const index = IS_WINDOWS ? [first, ...more].find(({ scopeid }) => scopeid !== 0)?.scopeid : undefined;
    return `::%${index ?? multicastInterface}`;
  }
  throw new BindError(
    "EMULTICAST",
    `Cannot set up multicast as the interface must be the name of one of this host's that has IPv6: ` +
      `current value is "${multicastInterface}"`,
  );
}

/** Whether this host has the interface now: the address, for IPv4, or the name, with an address of IPv6. */
export function hasInterface(family: Family, multicastInterface: string): boolean {
  if (family === 6) return addressesOf(multicastInterface).length > 0;
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === multicastInterface));
}

/** The names of the interfaces with a link-local address, which every one has that takes part in IPv6. */
export function linkLocalInterfaces(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([, list]) => list?.some(({ address }) => isLinkLocal(address)))
    .map(([name]) => name);
}

function addressesOf(name: string): readonly { readonly scopeid: number }[] {
  return (networkInterfaces()[name] ?? []).flatMap((each) => each.family === "IPv6" ? [{ scopeid: each.scopeid }] : []);
}
