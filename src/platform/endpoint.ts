/**
 * Network addresses as text: IPv4 and IPv6 literals, and `host:port` as nodes advertise it and seeds are given.
 *
 * @module
 */

/** IPv4 or IPv6. */
export type Family = 4 | 6;

/** A destination: an IPv4 or IPv6 literal and a port from 1 to 65535. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
/** 16-bit groups of an IPv6 address. */
const GROUPS = 8;
const MAX_TEXT = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".length;

/**
 * Parses `host:port`. The host may be empty, a name (letters, digits, `_`, `.` and `-`, at most 253 characters: RFC
 * 1035), an IPv4 literal, or an IPv6 literal in brackets (at most 45 characters); the port is 0 to 65535. `undefined`
 * when the text is anything else. The rules are strict as the texts come from the network and end up in logs.
 */
export function parseAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(\[[0-9a-fA-F:.%]{1,45}\]|[\w.-]{0,253}):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[2]);
  const host = match[1] as string;
  if (port > 65535) return undefined;
  return { host: host.startsWith("[") ? host.slice(1, -1) : host, port };
}

/** `host:port`, with brackets around an IPv6 literal. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** {@linkcode formatAddress} of an endpoint: its name for users, and in maps and sets. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return formatAddress(host, port);
}

/** Whether two endpoints are the same. */
export function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.host === b.host;
}

/**
 * Whether `text` is an IPv4 literal: four decimal numbers, none above 255, no leading zeros. The runtimes accept other
 * text too, and look it up, or (Bun) read it as 0.0.0.0. Takes about 25 ns.
 */
export function isIpv4(text: string): boolean {
  return IPV4.test(text);
}

/** Whether `text` is an IPv6 literal, see {@linkcode groupsOf}. Takes about 2 µs. */
export function isIpv6(text: string): boolean {
  return groupsOf(text) !== undefined;
}

/**
 * The eight groups of an IPv6 literal (RFC 4291, 2.2). Each is of up to four hexadecimal digits; one `::` may stand for
 * some of them, and the last two may be written as an IPv4 literal. `undefined` when `text` is no such literal; one
 * with a zone, `fe80::1%eth0`, is none.
 */
export function groupsOf(text: string): readonly number[] | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const [head = "", tail, more] = text.split("::");
  const [before, after] = [partsOf(head), tail === undefined ? undefined : partsOf(tail)];
  if (more !== undefined || (tail !== undefined && head.includes("."))) return undefined;
  const given = before.length + (after?.length ?? 0);
  if (after === undefined ? given !== GROUPS : given >= GROUPS) return undefined;
  const groups = [...before, ...new Array<number>(GROUPS - given).fill(0), ...(after ?? [])];
  return groups.every((group) => group >= 0) ? groups : undefined;
}

/** The groups of `a:b:…`, -1 for a part that is none. An IPv4 literal at the end counts as two. */
function partsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part, i, { length }) => {
    if (/^[0-9a-f]{1,4}$/i.test(part)) return [Number.parseInt(part, 16)];
    if (i < length - 1 || !isIpv4(part)) return [-1];
    const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

/**
 * The canonical text of an IPv6 address (RFC 5952, 4): small letters, no leading zeros, and `::` for the longest run of
 * at least two zeros, the first of several. An IPv4 literal is never written at the end.
 */
export function formatIpv6(groups: readonly number[]): string {
  let [start, length] = [0, 1];
  for (let first = 0; first < GROUPS; first++) {
    let end = first;
    while (groups[end] === 0) end++;
    if (end - first > length) [start, length] = [first, end - first];
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  return length === 1 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** The canonical text of a literal; a zone stays as it is. Text that is no IPv6 literal is returned unchanged. */
export function canonical(literal: string): string {
  if (!literal.includes(":")) return literal;
  const address = withoutZone(literal);
  const groups = groupsOf(address);
  return groups === undefined ? literal : formatIpv6(groups) + literal.slice(address.length);
}

/** A literal without its zone: what stands before a `%`. */
export function withoutZone(literal: string): string {
  const end = literal.indexOf("%");
  return end < 0 ? literal : literal.slice(0, end);
}

/**
 * Whether a literal is a multicast group: 224.0.0.0 to 239.255.255.255 (RFC 5771), or `ff00::/8` (RFC 4291, 2.7). The
 * first group of the IPv6 literal must have four digits, as `ff::1` is 00ff::1.
 */
export function isGroup(literal: string): boolean {
  if (literal.includes(":")) return /^ff[0-9a-f]{2}:/i.test(literal);
  const first = Number.parseInt(literal, 10);
  return first >= 224 && first <= 239;
}

/** Whether an IPv6 literal is link-local, so that it is valid on one interface only: `fe80::/10`. */
export function isLinkLocal(ipv6: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(ipv6);
}

/**
 * Whether an IPv6 literal is an IPv4-mapped address: `::ffff:0:0/96` (RFC 4291, 2.5.5.2). An IPv6 socket does not send
 * to it.
 */
export function isMapped(ipv6: string): boolean {
  return /^::ffff:[^:]+:[^:]+$/.test(canonical(ipv6));
}

/**
 * Whether an IPv4 literal can be the address of one host: neither unspecified (0.x) nor multicast, reserved or
 * broadcast (224 and above).
 */
export function isUnicast(ipv4: string): boolean {
  const first = Number.parseInt(ipv4, 10);
  return first > 0 && first < 224;
}

/** Whether a literal never leaves the host: 127.0.0.0 to 127.255.255.255, and ::1. */
export function isLoopback(literal: string): boolean {
  return literal.startsWith("127.") || literal === "::1";
}

/** Whether a host is unspecified: empty, `0.0.0.0` or `::`. */
export function isUnspecified(host: string): boolean {
  return host === "" || host === "0.0.0.0" || /^[0:]+$/.test(host);
}
