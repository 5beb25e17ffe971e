/**
 * Address literals: decides which socket family can use a literal.
 *
 * @module
 */

import { type Family, isIpv4, isIpv6, isLinkLocal, isMapped, withoutZone } from "../src/platform/endpoint.ts";

// Names have up to 15 bytes on Linux. The system decides which characters they may have.
const ZONE = /^%[^%/\s]{1,64}$/;

/**
 * The socket family that can use a literal; `undefined` when none can. An IPv6-only socket cannot use a literal that
 * stands for an IPv4 address (`::ffff:0:0/96`), nor one with a zone unless it is link-local.
 */
export function familyOf(text: string): Family | undefined {
  if (isIpv4(text)) return 4;
  const address = withoutZone(text);
  if (!isIpv6(address) || isMapped(address)) return undefined;
  const zone = text.slice(address.length);
  return zone === "" || isLinkLocal(address) && ZONE.test(zone) ? 6 : undefined;
}
