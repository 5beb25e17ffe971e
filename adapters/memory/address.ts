/**
 * Memory addresses: validates the addresses that simulated hosts can have.
 *
 * @module
 */

import { canonical, type Family, isGroup, isLinkLocal, isLoopback } from "../../src/platform/endpoint.ts";
import { familyOf } from "../address_literal.ts";

/**
 * The canonical text of an address that a host can have: unicast, valid on the whole network, and of `family` if it is
 * given.
 *
 * @throws {TypeError} when it is none; the message says what could not be done
 */
export function checkHost(address: string, action: string, family?: Family): string {
  const found = familyOf(address);
  const text = canonical(address);
  if (found !== undefined && (family ?? found) === found && isUnicast(text)) return text;
  const kind = family === undefined ? "a unicast IPv4 or IPv6 literal" : `a unicast IPv${family} literal`;
  throw new TypeError(`Cannot ${action} as its address must be ${kind}: current value is ${address}`);
}

function isUnicast(text: string): boolean {
  if (text.includes(":")) return text !== "::" && text !== "::1" && !isGroup(text) && !isLinkLocal(text);
  return !text.startsWith("0.") && !isLoopback(text) && Number.parseInt(text, 10) < 224;
}
