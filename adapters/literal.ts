/** The family of an address, and of the socket that is bound to it. */
export type Family = 4 | 6;

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
const GROUPS = 8;
const MAX_TEXT = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".length;
const LINK_LOCAL = /^fe[89ab][0-9a-f]:/i;
const IPV4_MAPPED = /^::ffff:[^:]+:[^:]+$/;
// Names have up to 15 bytes on Linux; what may stand in them is for the systems to say.
const ZONE = /^[^%/\s]{1,64}$/;

/**
 * Whether `text` is an IPv4 literal of four decimal octets. The runtimes take other text too, and look it up, or (Bun)
 * read it as 0.0.0.0. About 25 ns.
 */
export function isIpv4(text: string): boolean {
  return IPV4.test(text);
}

/**
 * Whether `text` is an IPv6 literal that a socket of IPv6 alone can use: not one that stands for an IPv4 address
 * (`::ffff:0:0/96`), and with a zone only if it is link-local. About 2 µs.
 */
export function isIpv6(text: string): boolean {
  const at = text.indexOf("%");
  const address = at < 0 ? text : text.slice(0, at);
  const groups = groupsOf(address);
  if (groups === undefined || IPV4_MAPPED.test(format(groups))) return false;
  return at < 0 || (LINK_LOCAL.test(address) && ZONE.test(text.slice(at + 1)));
}

/** Which family a literal is of; undefined for what is none. */
export function familyOf(text: string): Family | undefined {
  if (isIpv4(text)) return 4;
  return isIpv6(text) ? 6 : undefined;
}

/** Whether `text` is a literal of the family. */
export function isOf(family: Family, text: string): boolean {
  return family === 4 ? isIpv4(text) : isIpv6(text);
}

/** Whether a literal is a multicast group: 224.0.0.0 to 239.255.255.255 (RFC 5771), `ff00::/8` (RFC 4291, 2.7). */
export function isGroup(literal: string): boolean {
  if (literal.includes(":")) return /^ff[0-9a-f]{2}:/i.test(literal);
  const first = Number.parseInt(literal, 10);
  return first >= 224 && first <= 239;
}

/** Whether an IPv6 literal has its meaning on one interface only: `fe80::/10`. */
export function isLinkLocal(ipv6: string): boolean {
  return LINK_LOCAL.test(ipv6);
}

/** The one text of an address: an IPv6 literal as RFC 5952, 4 wants it, with its zone; an IPv4 literal as it is. */
export function canonical(literal: string): string {
  if (!literal.includes(":")) return literal;
  const [address = "", zone] = literal.split("%");
  const groups = groupsOf(address);
  if (groups === undefined) return literal;
  return zone === undefined ? format(groups) : `${format(groups)}%${zone}`;
}

/** `host:port`, with brackets round an IPv6 literal. */
export function placeOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The eight numbers of an IPv6 literal without a zone; undefined when `text` is none. */
function groupsOf(text: string): readonly number[] | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const [head = "", tail, more] = text.split("::");
  const [before, after] = [partsOf(head), tail === undefined ? undefined : partsOf(tail)];
  if (more !== undefined || (tail !== undefined && head.includes("."))) return undefined;
  const given = before.length + (after?.length ?? 0);
  if (after === undefined ? given !== GROUPS : given >= GROUPS) return undefined;
  const groups = [...before, ...new Array<number>(GROUPS - given).fill(0), ...(after ?? [])];
  return groups.every((group) => group >= 0) ? groups : undefined;
}

/** The numbers of `a:b:…`, -1 for what is none. An IPv4 literal at the end is two. */
function partsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part, i, { length }) => {
    if (/^[0-9a-f]{1,4}$/i.test(part)) return [Number.parseInt(part, 16)];
    if (i < length - 1 || !isIpv4(part)) return [-1];
    const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

/** The longest run of zeros is left out, the first when two are as long, one zero never. */
function format(groups: readonly number[]): string {
  let [start, length] = [0, 1];
  for (let first = 0; first < GROUPS; first++) {
    let end = first;
    while (groups[end] === 0) end++;
    if (end - first > length) [start, length] = [first, end - first];
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  return length === 1 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}
