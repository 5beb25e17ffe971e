/**
 * Advertised addresses: the address in a heartbeat, and the address at which its sender can be reached.
 *
 * @module
 */

import { familyOf, hostLiteral } from "../net/address_family.ts";
import { type Endpoint, type Family, formatAddress, isUnspecified, parseAddress } from "../platform/endpoint.ts";

/** An advertised address, once it is judged. */
export interface AdvertisedAddress {
  /** As it is shown: `host:port`. */
  readonly address: string;
  /** Where the node wants to be reached, as far as that can be known without a look-up. */
  readonly endpoint: Endpoint;
  /** Whether the host is that of the datagram's source, and not one that the node advertises. */
  readonly bySource: boolean;
}

/** What decides whether a node may be at the address that it advertises. */
export interface AddressRules {
  /** The family of the mesh. */
  readonly family: Family;
  /** Whether a node heard from `source` may be at `endpoint`. If not, its advertised address is `source`. */
  readonly mayBeAt: (endpoint: Endpoint, source: Endpoint) => boolean;
}

/**
 * The address of a node that advertises `advertised` and was heard from `source`. A host name is shown as it is, and
 * the node is reached at the address of `source`: anybody can send a heartbeat with any name, so a look-up would let
 * unknown nodes drive this host's resolver.
 */
export function locate(advertised: string, source: Endpoint, rules: AddressRules): AdvertisedAddress {
  const parsed = parseAddress(advertised);
  const atSource = { address: formatAddress(source.host, source.port), endpoint: source, bySource: true };
  if (parsed === undefined || parsed.port === 0) return atSource;
  const { host, port } = parsed;
  const usable = usableHost(host, rules.family);
  const endpoint = { host: usable ?? source.host, port };
  if (!rules.mayBeAt(endpoint, source)) return atSource;
  const isNamed = familyOf(host) !== rules.family && !isUnspecified(host);
  return { address: formatAddress(isNamed ? host : endpoint.host, port), endpoint, bySource: usable === undefined };
}

/** The host as an address that other nodes can use: one with a zone is valid on one host only. */
export function usableHost(host: string, family: Family): string | undefined {
  const literal = hostLiteral(host, family);
  return literal?.includes("%") ? undefined : literal;
}
