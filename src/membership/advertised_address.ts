/**
 * Where a node says it is.
 *
 * @module
 */

import { familyOf, hostLiteral } from "../net/address_family.ts";
import { type Endpoint, type Family, formatAddress, isUnspecified, parseAddress } from "../platform/endpoint.ts";

/** Where a node is taken to be. */
export interface AdvertisedAddress {
  /** As it is shown: `host:port`. */
  readonly address: string;
  /** Where it wants to be reached, as far as that can be known without a look-up. */
  readonly endpoint: Endpoint;
  /** Whether the host is the source's, and not one that the node advertises. */
  readonly bySource: boolean;
}

/** What decides whether a node may be where it says. */
export interface AddressRules {
  /** The family of the mesh. */
  readonly family: Family;
  /** Whether a node heard from `source` may be at `endpoint`. When not, it is taken to be at `source`. */
  readonly mayBeAt: (endpoint: Endpoint, source: Endpoint) => boolean;
}

/**
 * Where a node is that advertises `advertised` and was heard from `source`. A name is shown as it is but reached at
 * the source's address: looking up names that anyone may send would let strangers drive our resolver.
 */
export function locate(advertised: string, source: Endpoint, rules: AddressRules): AdvertisedAddress {
  const parsed = parseAddress(advertised);
  const heard = { address: formatAddress(source.host, source.port), endpoint: source, bySource: true };
  if (parsed === undefined || parsed.port === 0) return heard;
  const { host, port } = parsed;
  const usable = usableHost(host, rules.family);
  const endpoint = { host: usable ?? source.host, port };
  if (!rules.mayBeAt(endpoint, source)) return heard;
  const isNamed = familyOf(host) !== rules.family && !isUnspecified(host);
  return { address: formatAddress(isNamed ? host : endpoint.host, port), endpoint, bySource: usable === undefined };
}

/** An address that others can name: one with a zone is of use on one host only. */
export function usableHost(host: string, family: Family): string | undefined {
  const literal = hostLiteral(host, family);
  return literal?.includes("%") ? undefined : literal;
}
