/**
 * The two families of addresses. A mesh is of one of them.
 *
 * @module
 */

import {
  canonical,
  type Family,
  isGroup,
  isIpv4,
  isIpv6,
  isLinkLocal,
  isMapped,
  isUnicast,
  isUnspecified,
  withoutZone,
} from "../platform/endpoint.ts";

/**
 * The group of a mesh that names none. That of IPv4 is the original's. That of IPv6 is transient, in one network (RFC 4291,
 * 2.7: flags 1, scope 2); its number begins with 57 52, "WR".
 */
export const DEFAULT_GROUPS: Readonly<Record<Family, string>> = { 4: "239.0.0.1", 6: "ff12::5752:1" };

/** The groups of a family, as messages name them. */
export const GROUP_RULES: Readonly<Record<Family, string>> = {
  4: "an IPv4 multicast address, 224.0.0.0 to 239.255.255.255",
  6: "an IPv6 multicast address, ff00::/8",
};

/** The family of a literal, which may have a zone; `undefined` when it is none. */
export function familyOf(text: string): Family | undefined {
  if (isIpv4(text)) return 4;
  return isIpv6(withoutZone(text)) ? 6 : undefined;
}

/** A multicast group as the mesh writes it; `undefined` when it is none of this family. */
export function groupLiteral(text: string, family: Family): string | undefined {
  if (family === 4) return isIpv4(text) && isGroup(text) ? text : undefined;
  return isIpv6(text) && isGroup(text) ? canonical(text) : undefined;
}

/**
 * An address that one host can have, as the mesh writes it: of this family, neither unspecified nor multicast nor
 * broadcast. A link-local IPv6 address has its zone, the name of an interface, as it can not be reached without; others
 * have none. An IPv4 address within an IPv6 one is not of this family: a socket of IPv6 does not send to it.
 */
export function hostLiteral(text: string, family: Family): string | undefined {
  if (family === 4) return isIpv4(text) && isUnicast(text) ? text : undefined;
  const bare = withoutZone(text);
  if (!isIpv6(bare)) return undefined;
  const literal = canonical(bare);
  if (isUnspecified(literal) || isGroup(literal) || isMapped(literal)) return undefined;
  const zone = text.slice(bare.length);
  const hasZone = /^%[\w.-]{1,32}$/.test(zone);
  if (isLinkLocal(literal) ? !hasZone : zone !== "") return undefined;
  return literal + zone;
}

/** Whether `text` can be the name of a host. Digits and dots alone are a literal gone wrong, such as 10.0.0.256. */
export function isHostName(text: string): boolean {
  return /^(?=.*[a-zA-Z_-])[a-zA-Z0-9_.-]{1,253}$/.test(text);
}
