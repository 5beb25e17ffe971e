/**
 * Bind errors: validates the addresses of bind options, and makes one kind of error from the runtimes' errors.
 *
 * @module
 */

import { BindError, type BindErrorCode, type BindOptions } from "../src/platform/datagram_socket.ts";
import { type Family, formatAddress, isLinkLocal } from "../src/platform/endpoint.ts";
import { asError, codeOf } from "../src/platform/error_message.ts";
import { familyOf } from "./address_literal.ts";

// Deno's own API has names where the others have codes, and sometimes neither.
const CODES: Readonly<Record<string, BindErrorCode>> = {
  EADDRINUSE: "EADDRINUSE",
  AddrInUse: "EADDRINUSE",
  EADDRNOTAVAIL: "EADDRNOTAVAIL",
  AddrNotAvailable: "EADDRNOTAVAIL",
  EACCES: "EACCES",
  EPERM: "EACCES",
  PermissionDenied: "EACCES",
  NotCapable: "EACCES",
  // Node's permission model: its message says to pass --allow-net.
  ERR_ACCESS_DENIED: "EACCES",
};

/**
 * Throws a {@linkcode BindError} when an address in `options` is not valid, before a runtime interprets it as something
 * else. Returns the family of the socket.
 */
export function checkAddresses(options: BindOptions): Family {
  const { host, port, joinGroup, multicastInterface } = options;
  if (!(Number.isInteger(port) && port >= 0 && port < 65_536)) {
    throw new BindError(
      "EUNKNOWN",
      `Cannot bind a UDP socket as its port must be an integer from 0 to 65535: current value is ${port}`,
    );
  }
  const family = familyOf(host);
  if (family === undefined) {
    throw new BindError(
      "EADDRNOTAVAIL",
      `Cannot bind a UDP socket as its host must be an IPv4 or IPv6 literal: current value is "${host}"`,
    );
  }
  if (isLinkLocal(host) && !host.includes("%")) {
    throw new BindError(
      "EADDRNOTAVAIL",
      `Cannot bind a UDP socket as a link-local host must name its interface after a "%": current value is "${host}"`,
    );
  }
  if (joinGroup !== undefined) checkMembership(family, joinGroup, multicastInterface);
  else checkInterface(family, multicastInterface);
  return family;
}

/** Throws a {@linkcode BindError} when the group or interface to join or leave is no address. */
export function checkMembership(family: Family, group: string, multicastInterface: string | undefined): void {
  if (familyOf(group) !== family) {
    throw new BindError(
      "EMULTICAST",
      `Cannot join a multicast group as it must be an IPv${family} literal: current value is "${group}"`,
    );
  }
  checkInterface(family, multicastInterface);
}

function checkInterface(family: Family, multicastInterface: string | undefined): void {
  if (multicastInterface === undefined || family === 6) return;
  // 0.0.0.0 means "the system's choice" to every runtime: the caller says that by leaving out the interface.
  if (familyOf(multicastInterface) === 4 && multicastInterface !== "0.0.0.0") return;
  throw new BindError(
    "EMULTICAST",
    `Cannot set up multicast as the interface must be the IPv4 literal of one of its addresses: ` +
      `current value is "${multicastInterface}"`,
  );
}

/** Makes one kind of error from the runtimes' errors when a socket cannot be bound. */
export function bindError(cause: unknown, options: BindOptions): BindError {
  const { host, port, shared } = options;
  const action = `Cannot bind a UDP socket to ${formatAddress(host, port)}${shared ? " (shared)" : ""}`;
  const code = bindErrorCode(cause);
  return new BindError(code, `${action}${reason(code, shared, host.includes(":"))}: ${messageOf(cause)}`, { cause });
}

/** The multicast options that could not be set up. */
export type MulticastPlan = Pick<BindOptions, "joinGroup" | "multicastInterface">;

/**
 * Makes one kind of error from the runtimes' errors when multicast cannot be set up: ENODEV, EINVAL, EADDRNOTAVAIL, or
 * an error without a code.
 */
export function multicastError(cause: unknown, { joinGroup, multicastInterface }: MulticastPlan): BindError {
  if (cause instanceof BindError) return cause;
  const action = joinGroup === undefined ? "set up the sending of multicast" : `join the multicast group ${joinGroup}`;
  const place = multicastInterface === undefined ? "the system's default interface" : `interface ${multicastInterface}`;
  const code = bindErrorCode(cause) === "EACCES" ? "EACCES" : "EMULTICAST";
  const limit = codeOf(cause) === "ENOBUFS"
    ? " (a socket has joined as many groups as the system allows, on Linux net.ipv4.igmp_max_memberships)"
    : "";
  return new BindError(code, `Cannot ${action} on ${place}: ${messageOf(cause)}${limit}`, { cause });
}

function bindErrorCode(cause: unknown): BindErrorCode {
  return CODES[String(codeOf(cause))] ?? CODES[asError(cause).name] ?? "EUNKNOWN";
}

function reason(code: BindErrorCode, shared: boolean, isIpv6: boolean): string {
  if (code === "EADDRINUSE") {
    return shared ? " as a socket that does not share it has the port" : " as another socket has the port";
  }
  if (code === "EADDRNOTAVAIL") {
    return ` as that is not an address of this host${isIpv6 ? ", or not ready yet (duplicate address detection)" : ""}`;
  }
  if (code === "EACCES") return " as that is not permitted";
  return "";
}

function messageOf(cause: unknown): string {
  return asError(cause).message;
}
