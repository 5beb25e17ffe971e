/**
 * `host:port` texts: the addresses that nodes advertise, and seeds.
 *
 * @module
 */

import { IP_LENGTH, readIp, writeIp } from "./wire/ip.ts";

/** A place to send to: an IPv4 literal and a port from 1 to 65535. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Takes `host:port` apart. The host may be empty, a name (letters, digits, `_`, `.` and `-`, at most 253 characters: RFC
 * 1035) or an IPv4 literal, or an IPv6 literal in brackets (at most 45 characters); the port is 0 to 65535. `undefined` when the text is something
 * else: others send these texts, and they end up in logs.
 */
export function parseAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(\[[0-9a-fA-F:.%]{1,45}\]|[\w.-]{0,253}):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[2]);
  const host = match[1] as string;
  if (port > 65535) return undefined;
  return { host: host.startsWith("[") ? host.slice(1, -1) : host, port };
}

/** Whether `text` is an IPv4 literal: four decimal numbers, none above 255, no leading zeros. */
export function isIpv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text);
}

/**
 * Whether `text` is an IPv6 literal (RFC 4291, 2.2): eight numbers of up to four hexadecimal digits, or fewer with one
 * `::`, the last two written as an IPv4 literal or not. One with a zone, such as `fe80::1%eth0`, is none.
 */
export function isIpv6(text: string): boolean {
  const [head = "", tail, more] = text.split("::", 3);
  if (text.length > 45 || more !== undefined) return false;
  if (tail === undefined) return countGroups(head, true) === 8;
  return countGroups(head, false) + countGroups(tail, true) < 8;
}

/**
 * The one text of an IPv6 literal: small letters, no leading zeros, and `::` for the longest run of zeros (RFC 5952, 4),
 * also where an IPv4 literal might stand at the end. `text` must be such a literal, without a zone.
 */
export function canonicalIpv6(text: string): string {
  const bytes = new Uint8Array(IP_LENGTH[6]);
  writeIp(bytes, 0, text, 6);
  return readIp(bytes, 0, 6);
}

/** Whether an IPv4 literal is a multicast group: 224.0.0.0 to 239.255.255.255 (RFC 5771). */
export function isMulticast(ipv4: string): boolean {
  const first = Number.parseInt(ipv4, 10);
  return first >= 224 && first <= 239;
}

/** Whether an IPv4 literal can be one host: neither unspecified (0.x), multicast, reserved nor broadcast (from 224 up). */
export function isUnicast(ipv4: string): boolean {
  const first = Number.parseInt(ipv4, 10);
  return first > 0 && first < 224;
}

/** Whether a host names no host: empty, `0.0.0.0` or `::`. */
export function isUnspecified(host: string): boolean {
  return host === "" || host === "0.0.0.0" || /^[0:]+$/.test(host);
}

/** How many of the eight numbers are written in a part of an IPv6 literal; NaN when something else is. */
function countGroups(text: string, isEnd: boolean): number {
  if (text === "") return 0;
  return text.split(":").reduce((count, part, i, { length }) => {
    if (/^[\da-fA-F]{1,4}$/.test(part)) return count + 1;
    return isEnd && i === length - 1 && isIpv4(part) ? count + 2 : NaN;
  }, 0);
}

/** `host:port`, with brackets round an IPv6 literal. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether two endpoints are the same. */
export function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.host === b.host;
}
