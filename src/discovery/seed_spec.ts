/**
 * The texts that name seeds.
 *
 * @module
 */

import { familyOf, hostLiteral, isHostName } from "../net/address_family.ts";
import { type Family, isUnspecified } from "../platform/endpoint.ts";

/** A seed as it was given, taken apart. */
export interface SeedSpec {
  /** As it was given. */
  readonly text: string;
  /** An address, a name that has addresses, or one that has SRV records. */
  readonly kind: "literal" | "name" | "srv";
  /** The address, without brackets, or the name. */
  readonly host: string;
  /** 1 to 65535; 0 stands for the port of the mesh, or for those in the SRV records. */
  readonly port: number;
}

/**
 * Takes the text of a seed apart: `host:port`, `host`, `[::1]:7946`, `[::1]`, `::1` or `srv:name`. For what is none of a
 * mesh of this family it returns the rule that is broken, which completes "must be …".
 */
export function parseSeed(text: unknown, family: Family): SeedSpec | string {
  if (typeof text !== "string") return generalRule(family);
  const service = text.startsWith("srv:") ? text.slice(4) : "";
  if (isHostName(service)) return { text, kind: "srv", host: service, port: 0 };
  const { host, port } = split(text) ?? { host: "", port: -1 };
  if (host === "" || isUnspecified(host) || !(port >= 0 && port <= 65535)) return generalRule(family);
  const found = familyOf(host);
  if (found === undefined) {
    return isHostName(host) ? { text, kind: "name", host, port } : generalRule(family);
  }
  if (found !== family) return `of the mesh's family, IPv${family} (\`family\` says which)`;
  const literal = hostLiteral(host, family);
  return literal === undefined ? generalRule(family) : { text, kind: "literal", host: literal, port };
}

/** What the texts of seeds must be. */
function generalRule(family: Family): string {
  const literal = family === 4 ? "an IPv4 literal" : "an IPv6 literal in brackets, a link-local one with its zone,";
  return `\`host:port\` texts with ${literal} or a name as host and a port from 1 to 65535, or \`srv:name\``;
}

/** The port is 0 when there is none, and -1 when it is 0. */
function split(text: string): { readonly host: string; readonly port: number } | undefined {
  // A literal of IPv6 without brackets has no port: `fd00::1:7946` is an address.
  if (familyOf(text) === 6) return { host: text, port: 0 };
  const [, bracketed, plain = "", port] = /^(?:\[([^[\]]{1,80})\]|([^:[\]]{1,253}))(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (bracketed !== undefined && familyOf(bracketed) !== 6) return undefined;
  const host = bracketed ?? plain;
  if (port === undefined) return { host, port: 0 };
  return { host, port: Number(port) || -1 };
}
