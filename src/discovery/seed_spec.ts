/**
 * Seed specifications: the parser of the texts that name seeds.
 *
 * @module
 */

import { familyOf, hostLiteral, isHostName } from "../net/address_family.ts";
import { type Family, isUnspecified } from "../platform/endpoint.ts";

/** A parsed seed. */
export interface SeedSpec {
  /** The text as it was given. */
  readonly text: string;
  /** An address, a name that has addresses, or one that has SRV records. */
  readonly kind: "literal" | "name" | "srv";
  /** The address, without brackets, or the name. */
  readonly host: string;
  /** 1 to 65535; 0 stands for the port of the mesh, or for those in the SRV records. */
  readonly port: number;
}

/**
 * Parses the text of a seed: `host:port`, `host`, `[::1]:7946`, `[::1]`, `::1` or `srv:name`. For a text that is no
 * seed of a mesh of this family it returns the rule that is broken, which completes "must be …".
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

/** The rule for the texts of seeds. */
function generalRule(family: Family): string {
  const literal = family === 4 ? "an IPv4 literal" : "an IPv6 literal in brackets, a link-local one with its zone,";
  return `\`host:port\` texts with ${literal} or a name as host and a port from 1 to 65535, or \`srv:name\``;
}

/** Splits host and port. The port is 0 when there is none, and -1 when it is 0. */
function split(text: string): { readonly host: string; readonly port: number } | undefined {
  // An IPv6 literal without brackets has no port: `fd00::1:7946` is an address.
  if (familyOf(text) === 6) return { host: text, port: 0 };
  const [, bracketed, plain = "", port] = /^(?:\[([^[\]]{1,80})\]|([^:[\]]{1,253}))(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (bracketed !== undefined && familyOf(bracketed) !== 6) return undefined;
  const host = bracketed ?? plain;
  if (port === undefined) return { host, port: 0 };
  return { host, port: Number(port) || -1 };
}
