/**
 * Address families: a mesh is of IPv4 or of IPv6, and its groups and addresses are literals of that family.
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
 * The default group of each family. That of IPv4 is go-warp's. That of IPv6 is transient and link-local (RFC 4291, 2.7:
 * flags 1, scope 2); its number begins with 57 52, "WR".
 */
export const DEFAULT_GROUPS: Readonly<Record<Family, string>> = { 4: "239.0.0.1", 6: "ff12::5752:1" };

/** The rule for the groups of a family, as messages state it. */
export const GROUP_RULES: Readonly<Record<Family, string>> = {
  4: "an IPv4 multicast address, 224.0.0.0 to 239.255.255.255",
  6: "an IPv6 multicast address, ff00::/8",
};

/** The family of a literal, which may have a zone. `undefined` when the text is no literal. */
export function familyOf(text: string): Family | undefined {
  if (isIpv4(text)) return 4;
  return isIpv6(withoutZone(text)) ? 6 : undefined;
}

/** A multicast group in the form that the mesh uses. `undefined` when the text is no group of this family. */
export function groupLiteral(text: string, family: Family): string | undefined {
  if (family === 4) return isIpv4(text) && isGroup(text) ? text : undefined;
  return isIpv6(text) && isGroup(text) ? canonical(text) : undefined;
}

/**
 * An address that one host can have, in the form that the mesh uses. It is of this family, neither unspecified nor
 * multicast nor broadcast. A link-local IPv6 address has its zone, the name of an interface, as it cannot be reached
 * without; others have none. An IPv4-mapped IPv6 address is not accepted: an IPv6 socket does not send to it.
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

/** Whether `text` can be the name of a host. Digits and dots alone are a mistyped literal, such as 10.0.0.256. */
export function isHostName(text: string): boolean {
  return /^(?=.*[a-zA-Z_-])[a-zA-Z0-9_.-]{1,253}$/.test(text);
}
