import { type Family, isIpv4, isIpv6, isLinkLocal, isMapped, withoutZone } from "../src/platform/endpoint.ts";

// Names have up to 15 bytes on Linux; what may stand in them is for the systems to say.
const ZONE = /^%[^%/\s]{1,64}$/;

/**
 * Which family of socket can use a literal. One of IPv6 alone can use none that stands for an IPv4 address (`::ffff:0:0/96`), nor one
 * with a zone unless it is link-local. `undefined` for what none can use.
 */
export function familyOf(text: string): Family | undefined {
  if (isIpv4(text)) return 4;
  const address = withoutZone(text);
  if (!isIpv6(address) || isMapped(address)) return undefined;
  const zone = text.slice(address.length);
  return zone === "" || isLinkLocal(address) && ZONE.test(zone) ? 6 : undefined;
}
