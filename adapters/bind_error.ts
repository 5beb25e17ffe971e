import { BindError, type BindErrorCode, type BindOptions } from "../src/datagram_socket.ts";
import { isIpv4 } from "./ipv4.ts";

// Deno native has names where the others have codes, and sometimes neither.
const CODES: Readonly<Record<string, BindErrorCode>> = {
  EADDRINUSE: "EADDRINUSE",
  AddrInUse: "EADDRINUSE",
  EADDRNOTAVAIL: "EADDRNOTAVAIL",
  AddrNotAvailable: "EADDRNOTAVAIL",
  EACCES: "EACCES",
  EPERM: "EACCES",
  PermissionDenied: "EACCES",
  NotCapable: "EACCES",
};

/** Throws a {@linkcode BindError} when an address in `options` is none, before a runtime makes something else of it. */
export function checkAddresses(options: BindOptions): void {
  const { host, port, joinGroup, multicastInterface } = options;
  if (!(Number.isInteger(port) && port >= 0 && port < 65_536)) {
    throw new BindError(
      "EUNKNOWN",
      `Cannot bind a UDP socket as its port must be an integer from 0 to 65535: current value is ${port}`,
    );
  }
  if (!isIpv4(host)) {
    throw new BindError(
      "EADDRNOTAVAIL",
      `Cannot bind a UDP socket as its host must be an IPv4 literal: it is "${host}"`,
    );
  }
  if (joinGroup !== undefined && !isIpv4(joinGroup)) {
    throw new BindError(
      "EMULTICAST",
      `Cannot join a multicast group as it must be an IPv4 literal: current value is "${joinGroup}"`,
    );
  }
  // 0.0.0.0 means "the system's choice" to every runtime: the caller says that by leaving the interface out.
  if (multicastInterface !== undefined && (!isIpv4(multicastInterface) || multicastInterface === "0.0.0.0")) {
    throw new BindError(
      "EMULTICAST",
      `Cannot set up multicast as the interface must be the IPv4 literal of one of its addresses: ` +
        `current value is "${multicastInterface}"`,
    );
  }
}

/** Makes one error of what the runtimes say when a socket cannot be bound. */
export function bindError(cause: unknown, options: BindOptions): BindError {
  const { host, port, shared } = options;
  const action = `Cannot bind a UDP socket to ${host}:${port}${shared ? " (shared)" : ""}`;
  const code = codeOf(cause);
  return new BindError(code, `${action}${reason(code, shared)}: ${messageOf(cause)}`, { cause });
}

/**
 * Makes one error of what the runtimes say when multicast cannot be set up: ENODEV, EINVAL, EADDRNOTAVAIL, or an error
 * without a code.
 */
export function multicastError(cause: unknown, options: BindOptions): BindError {
  const { joinGroup, multicastInterface } = options;
  const action = joinGroup === undefined ? "set up the sending of multicast" : `join the multicast group ${joinGroup}`;
  const place = multicastInterface === undefined ? "the system's default interface" : `interface ${multicastInterface}`;
  const code = codeOf(cause) === "EACCES" ? "EACCES" : "EMULTICAST";
  return new BindError(code, `Cannot ${action} on ${place}: ${messageOf(cause)}`, { cause });
}

/** An error, whatever was thrown. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function codeOf(cause: unknown): BindErrorCode {
  const { code, name } = asError(cause) as Error & { readonly code?: unknown };
  return CODES[String(code)] ?? CODES[name] ?? "EUNKNOWN";
}

function reason(code: BindErrorCode, shared: boolean): string {
  if (code === "EADDRINUSE") {
    return shared ? " as a socket that does not share it has the port" : " as another socket has the port";
  }
  if (code === "EADDRNOTAVAIL") return " as that is not an address of this host";
  if (code === "EACCES") return " as that is not permitted";
  return "";
}

function messageOf(cause: unknown): string {
  return asError(cause).message;
}
