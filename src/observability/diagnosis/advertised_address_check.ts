/**
 * Advertised address check: whether an advertised address can be right, as far as that shows without probing.
 *
 * When a node's advertised address cannot be right, nodes of this package use the source address of its datagrams. Go
 * nodes use the advertised address unchecked.
 *
 * @module
 */

import { usableHost } from "../../membership/advertised_address.ts";
import type { PeerEntry } from "../../membership/peer.ts";
import { familyOf } from "../../net/address_family.ts";
import type { LocalAddresses } from "../../net/interfaces.ts";
import { type Endpoint, type Family, isSameEndpoint, isUnspecified, parseAddress } from "../../platform/endpoint.ts";

/**
 * What is wrong with an advertised address: it is the loopback address of every host, a broadcast address, no host's
 * address, the address of another node, or a name.
 */
export type Flaw = "loopback" | "broadcast" | "unspecified" | "taken" | "name";

/** What is known of this host and its mesh. */
export interface Surroundings {
  readonly family: Family;
  readonly local: LocalAddresses;
}

/** What is wrong with the address that this node advertises. Nothing when all of its peers are on its own host. */
export function flawOf(
  advertised: string,
  peers: Iterable<PeerEntry>,
  { family, local }: Surroundings,
): Flaw | undefined {
  const { host, port } = parseAddress(advertised) ?? { host: "", port: 0 };
  const endpoints = Array.from(peers, ({ endpoint }) => endpoint);
  if (endpoints.some((endpoint) => isSameEndpoint(endpoint, { host, port }))) return "taken";
  if (endpoints.every((endpoint) => local.isOwn(endpoint.host))) return undefined;
  if (isUnspecified(host)) return "unspecified";
  if (isLoopback(host)) return "loopback";
  if (familyOf(host) !== family) return "name";
  return local.mayBeAt(host, { host, port }) ? undefined : "broadcast";
}

/**
 * Whether a peer is reached at the address that it advertises; null when that is not known, `otherwise` when it is
 * reached elsewhere.
 */
export function isWhereItSays(
  entry: PeerEntry,
  { family, local }: Surroundings,
  otherwise: false | null,
): boolean | null {
  const { advertised, endpoint, isValidated } = entry;
  const { host, port } = parseAddress(advertised.text) ?? { host: "", port: 0 };
  const isElsewhere = !local.isOwn(endpoint.host);
  if (isElsewhere && (isLoopback(host) || !local.mayBeAt(host, endpoint))) return false;
  if (!isValidated) return null;
  // A name or a zone means nothing on this host: the peer is taken to be at its source address.
  const isLiteral = familyOf(host) !== undefined && !isUnspecified(host) && !host.includes("%");
  const said: Endpoint = isLiteral ? { host: usableHost(host, family) ?? host, port } : advertised.endpoint;
  // When another address is used in place of the advertised one, the peer cannot be there, however new that is.
  return entry.isAt(said) || (isSameEndpoint(said, advertised.endpoint) && otherwise);
}

function isLoopback(host: string): boolean {
  return /^127(?:\.\d+){3}$/.test(host) || host === "::1" || /^(?:.+\.)?localhost\.?$/i.test(host);
}
