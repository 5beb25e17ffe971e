/**
 * Socket capabilities: describes what the socket API of each runtime can do, and why it cannot do what options ask.
 *
 * @module
 */

import type { BindOptions } from "../src/platform/datagram_socket.ts";

/** What the sockets of one API can do on this runtime, where the APIs differ. */
export interface Abilities {
  /** The name of the API, as users know it. */
  readonly api: string;
  /** Whether it has IPv6 sockets that carry no IPv4. */
  readonly ipv6: boolean;
  /** Whether the system's receive buffer can be set. */
  readonly receiveBuffer: boolean;
  /**
   * From which interface it can send multicast: one of the caller's choice, only the one whose address the socket is
   * bound to, or the one that the system's routes choose.
   */
  readonly multicastFrom: "any" | "bound" | "default";
  /** Whether the TTL of multicast can be set on a socket that has joined no group. */
  readonly ttlWithoutJoin: boolean;
}

// The system's default (RFC 1112, section 6.1).
const DEFAULT_MULTICAST_TTL = 1;

/**
 * Why an API cannot do what `options` ask; undefined when it can. A receive buffer that cannot be set is no reason:
 * {@linkcode DatagramSocket.unmet} reports it.
 */
export function cannot(abilities: Abilities, options: BindOptions): string | undefined {
  const { api, ipv6, multicastFrom, ttlWithoutJoin } = abilities;
  const { host, joinGroup, multicastInterface, multicastTtl, sendsMulticast } = options;
  if (!ipv6 && host.includes(":")) return `${api} cannot keep IPv4 out of a socket of IPv6`;
  if (!sendsMulticast) return undefined;
  if (multicastInterface !== undefined && multicastFrom !== "any") {
    if (multicastFrom === "default") return `${api} cannot choose the interface that multicast leaves by`;
    if (host !== multicastInterface) {
      return `${api} can send multicast from ${multicastInterface} only when bound to that address, not to ${host}`;
    }
  }
  if (!ttlWithoutJoin && joinGroup === undefined && multicastTtl !== DEFAULT_MULTICAST_TTL) {
    return `${api} can set the TTL of multicast only on a socket that has joined a group`;
  }
  return undefined;
}
