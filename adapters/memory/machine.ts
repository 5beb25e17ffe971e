/**
 * Memory machine: the ports and group memberships of one simulated host.
 *
 * @module
 */

import type { BindOptions } from "../../src/platform/datagram_socket.ts";
import { type Family, formatAddress, isGroup, isLoopback } from "../../src/platform/endpoint.ts";
import type { MemoryDatagram } from "./datagram.ts";
import type { SeededRandom } from "./random.ts";

/** The interfaces of each host: the loopback interface and the network. */
export type InterfaceName = "lo" | "eth0";

/** A socket, as the network sees it. */
export interface BoundSocket {
  readonly host: string;
  readonly port: number;
  readonly shared: boolean;
  readonly multicastLoopback: boolean;
  /** The interface by which multicast leaves. */
  readonly multicastVia: InterfaceName;
  readonly isClosed: boolean;
  /** The source address of a datagram to `host`. */
  sourceFor(host: string): string;
  /** A datagram has arrived. */
  receive(datagram: MemoryDatagram): void;
}

/** Linux: net.ipv4.ip_local_port_range. */
const EPHEMERAL = { first: 32_768, count: 28_232 };

/** The sockets of a host, and which of them a datagram is for. Behaviour attributed to Linux was measured on 6.18. */
export class Machine {
  /** The host's address on the network: an IPv4 or IPv6 literal, which may change. */
  address: string;
  /** The sockets of each port, in the order in which they were bound. */
  readonly #ports = new Map<number, BoundSocket[]>();
  readonly #members = { lo: new Map<string, number>(), eth0: new Map<string, number>() };

  constructor(address: string) {
    this.address = address;
  }

  /** Chooses the port of a socket with these options. Throws a system error when it cannot be bound. */
  claim({ host, port, shared }: BindOptions, random: SeededRandom): number {
    if (!this.owns(host) && !this.#isBindable(host)) {
      throw systemError("EADDRNOTAVAIL", `the host has ${this.address} and ${loopbackOf(this.family)}`);
    }
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new RangeError(`the port must be an integer from 0 to 65535: current value is ${port}`);
    }
    if (port === 0) return this.#freePort(random);
    const taken = this.#ports.get(port)?.find((other) => overlap(other.host, host) && !(other.shared && shared));
    if (taken === undefined) return port;
    throw systemError("EADDRINUSE", `${formatAddress(taken.host, port)} is bound${taken.shared ? " and shared" : ""}`);
  }

  get family(): Family {
    return this.address.includes(":") ? 6 : 4;
  }

  get isIdle(): boolean {
    return this.#ports.size === 0;
  }

  add(socket: BoundSocket): void {
    const sockets = this.#ports.get(socket.port);
    if (sockets === undefined) this.#ports.set(socket.port, [socket]);
    else sockets.push(socket);
  }

  remove(socket: BoundSocket): void {
    const sockets = (this.#ports.get(socket.port) ?? []).filter((other) => other !== socket);
    if (sockets.length === 0) this.#ports.delete(socket.port);
    else this.#ports.set(socket.port, sockets);
  }

  join(group: string, on: InterfaceName): void {
    this.#members[on].set(group, (this.#members[on].get(group) ?? 0) + 1);
  }

  leave(group: string, on: InterfaceName): void {
    const members = (this.#members[on].get(group) ?? 0) - 1;
    if (members > 0) this.#members[on].set(group, members);
    else this.#members[on].delete(group);
  }

  isMember(group: string, on: InterfaceName): boolean {
    return this.#members[on].has(group);
  }

  /** Whether a datagram to this address is for this host. */
  owns(address: string): boolean {
    return address === this.address || (isLoopback(address) && (address !== "::1" || this.family === 6));
  }

  /** The interface that has an address. */
  interfaceOf(address: string): InterfaceName | undefined {
    if (address === this.address) return "eth0";
    return this.owns(address) ? "lo" : undefined;
  }

  /** The interface that a socket of a family names so: by its address for IPv4, by its name for IPv6. */
  interfaceCalled(multicastInterface: string, family: Family): InterfaceName | undefined {
    if (family === 4) return this.interfaceOf(multicastInterface);
    if (this.family === 4) return undefined;
    return multicastInterface === "eth0" || multicastInterface === "lo" ? multicastInterface : undefined;
  }

  /**
   * The sockets that receive a datagram which has arrived on an interface. Multicast goes to all on that port, to those
   * bound to no address too when any socket of the host has joined the group. Unicast goes to one: one bound to that
   * very address rather than to none, and the one bound last when there are several.
   */
  receivers({ to: { host, port }, multicast }: MemoryDatagram, on: InterfaceName): readonly BoundSocket[] {
    const sockets = this.#ports.get(port);
    if (sockets === undefined) return [];
    const any = unspecifiedFor(host);
    if (multicast) {
      if (!this.isMember(host, on)) return [];
      return sockets.filter((socket) => socket.host === any || socket.host === host);
    }
    const one = sockets.findLast((socket) => socket.host === host) ??
      sockets.findLast((socket) => socket.host === any);
    return one === undefined ? [] : [one];
  }

  #isBindable(host: string): boolean {
    return host === "0.0.0.0" || (host === "::" && this.family === 6) || (isGroup(host) && !host.includes(":"));
  }

  /** A random port that no socket of the host has, on any address. */
  #freePort(random: SeededRandom): number {
    const start = random.below(EPHEMERAL.count);
    for (let i = 0; i < EPHEMERAL.count; i++) {
      const port = EPHEMERAL.first + (start + i) % EPHEMERAL.count;
      if (!this.#ports.has(port)) return port;
    }
    throw systemError("EADDRINUSE", `all ${EPHEMERAL.count} ephemeral ports are taken`);
  }
}

/** An error as the system would make it. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(`${code}, ${message}`), { code });
}

/** The unspecified address of a literal's family. */
export function unspecifiedFor(literal: string): string {
  return literal.includes(":") ? "::" : "0.0.0.0";
}

/** The loopback address of a family. */
export function loopbackOf(family: Family): string {
  return family === 4 ? "127.0.0.1" : "::1";
}

function overlap(a: string, b: string): boolean {
  const any = unspecifiedFor(a);
  return a === b || (any === unspecifiedFor(b) && (a === any || b === any));
}
