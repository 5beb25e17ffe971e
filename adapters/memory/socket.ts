/**
 * Memory socket: a UDP socket of a simulated host.
 *
 * @module
 */

import type { Clock, Timer } from "../../src/platform/clock.ts";
import type {
  AdapterName,
  BindError,
  BindOptions,
  DatagramHandlers,
  DatagramSocket,
  Unsent,
} from "../../src/platform/datagram_socket.ts";
import { canonical, type Family, formatAddress, isGroup, isLoopback } from "../../src/platform/endpoint.ts";
import { familyOf } from "../address_literal.ts";
import { bindError, checkAddresses, checkMembership, multicastError } from "../bind_error.ts";
import type { MemoryDatagram } from "./datagram.ts";
import type { Fabric } from "./fabric.ts";
import {
  type BoundSocket,
  type InterfaceName,
  loopbackOf,
  type Machine,
  systemError,
  unspecifiedFor,
} from "./machine.ts";

/** Sends between two turns of the event loop: as many as in the other adapters. */
const SENDS_PER_TURN = 16;

/** Largest payload of a datagram, in bytes. */
const MAX_DATAGRAM: Readonly<Record<Family, number>> = { 4: 65_507, 6: 65_527 };

/** Overwrites a delivered datagram, for code that keeps it. */
const POISON = 0xaa;

/** Not 0, so that code which takes `data.buffer` for the datagram is detected. */
const OFFSET = 5;

/** The buffer in which every datagram is delivered, one at a time. */
const received = new Uint8Array(OFFSET + MAX_DATAGRAM[6]).fill(POISON);

/** The process that a socket belongs to. */
export interface SocketOwner {
  readonly fabric: Fabric;
  readonly machine: Machine;
  /** Whether the process has multicast. */
  readonly multicast: boolean;
  /** Whether no datagram is delivered to the process now. */
  readonly isHeld: boolean;
  /** Whether the machine is suspended: arriving datagrams are lost. */
  readonly isSuspended: boolean;
  /** The process's own time, which is ahead of the network's while it is blocked. */
  readonly clock: Clock;
  /** A datagram of the socket is about to be delivered. */
  reads(socket: MemorySocket): void;
  /** The socket is closed. */
  forget(socket: MemorySocket): void;
}

interface Membership {
  readonly group: string;
  readonly on: InterfaceName;
}

/** Bound from the moment it is made; the constructor throws a `BindError` when that fails. */
export class MemorySocket implements DatagramSocket, BoundSocket {
  readonly adapter: AdapterName = "memory";
  readonly unmet: readonly (keyof BindOptions)[] = [];
  readonly host: string;
  readonly port: number;
  readonly receiveBuffer: number;
  readonly shared: boolean;
  readonly multicastLoopback: boolean;

  readonly #owner: SocketOwner;
  readonly #handlers: DatagramHandlers;
  readonly #family: Family;
  readonly #multicastInterface: string | undefined;
  readonly #joined = new Map<string, Membership>();
  readonly #bufferSize: number;
  #inbox: MemoryDatagram[] = [];
  #inboxSize = 0;
  #drain: Timer | undefined;
  #sends = 0;
  #closed: Promise<void> | undefined;

  constructor(owner: SocketOwner, options: BindOptions, handlers: DatagramHandlers) {
    const { machine, fabric } = owner;
    this.#family = checkAddresses(options);
    this.host = canonical(options.host);
    this.port = attempt(
      () => machine.claim({ ...options, host: this.host }, fabric.random),
      (cause) => bindError(cause, options),
    );
    this.shared = options.shared;
    this.multicastLoopback = options.multicastLoopback;
    this.#multicastInterface = options.multicastInterface;
    this.#owner = owner;
    this.#handlers = handlers;
    // Linux doubles the requested size, to make up for its bookkeeping.
    this.#bufferSize = options.receiveBuffer === undefined ? fabric.receiveBuffer : 2 * options.receiveBuffer;
    this.receiveBuffer = this.#bufferSize / 2;
    attempt(() => {
      this.#interfaceCalled(options.multicastInterface);
      if (options.joinGroup !== undefined) this.#join(options.joinGroup, options.multicastInterface);
    }, (cause) => multicastError(cause, options));
    machine.add(this);
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  async send(data: Uint8Array, host: string, port: number): Promise<void> {
    const { fabric, machine, clock } = this.#owner;
    this.#checkOpen();
    checkDestination(data, host, port, this.#family);
    const literal = canonical(host);
    const to = { host: literal === unspecifiedFor(host) ? loopbackOf(this.#family) : literal, port };
    this.#checkPath(to.host);
    fabric.send(this, machine, data, to, clock.now());
    await (++this.#sends % SENDS_PER_TURN === 0 ? fabric.nextTurn() : undefined);
    this.#checkOpen();
  }

  async sendMany(datagrams: readonly Uint8Array[], host: string, port: number): Promise<Unsent> {
    const results = await Promise.allSettled(datagrams.map((data) => this.send(data, host, port)));
    if (results.every(({ status }) => status === "fulfilled")) return undefined;
    return results.map((result) => result.status === "rejected" ? result.reason as Error : undefined);
  }

  async join(group: string, multicastInterface: string | undefined): Promise<void> {
    this.#checkOpen("join a multicast group");
    checkMembership(this.#family, group, multicastInterface);
    attempt(
      () => this.#join(group, multicastInterface),
      (cause) => multicastError(cause, { joinGroup: group, multicastInterface }),
    );
  }

  async leave(group: string, multicastInterface: string | undefined): Promise<void> {
    this.#checkOpen("leave a multicast group");
    checkMembership(this.#family, group, multicastInterface);
    const on = this.#joinsOn(multicastInterface);
    const literal = canonical(group);
    if (on !== undefined && this.#joined.delete(`${literal}%${on}`)) this.#owner.machine.leave(literal, on);
  }

  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed;
    const { fabric, machine } = this.#owner;
    this.#closed = Promise.resolve();
    machine.remove(this);
    for (const { group, on } of this.#joined.values()) machine.leave(group, on);
    this.#joined.clear();
    for (const datagram of this.#inbox) fabric.note(datagram, "unreachable");
    this.#inbox = [];
    this.#drain?.cancel();
    this.#owner.forget(this);
    return this.#closed;
  }

  sourceFor(host: string): string {
    const own = ownAddress(this.host);
    if (own !== undefined) return own;
    const { machine } = this.#owner;
    const via = isGroup(host) ? this.multicastVia : machine.interfaceOf(host);
    return via === "lo" ? loopbackOf(this.#family) : machine.address;
  }

  get multicastVia(): InterfaceName {
    return this.#joinsOn(this.#multicastInterface) ?? "eth0";
  }

  receive(datagram: MemoryDatagram): void {
    if (this.#owner.isSuspended) return this.#owner.fabric.note(datagram, "unreachable");
    if (!this.#owner.isHeld && this.#inbox.length === 0) return this.#handOver(datagram);
    const size = this.#inboxSize + memoryOf(datagram.data.length);
    if (size > this.#bufferSize) return this.#owner.fabric.note(datagram, "overrun");
    this.#inbox.push(datagram);
    this.#inboxSize = size;
  }

  /**
   * Called by the process when it resumes. Datagrams that have arrived meanwhile are delivered, each in a call of its
   * own.
   */
  resume(): void {
    if (this.#drain !== undefined || this.#inbox.length === 0) return;
    const { fabric } = this.#owner;
    this.#drain = fabric.soon(fabric.clock, () => {
      this.#drain = undefined;
      // Held again meanwhile: this is called again when it resumes.
      if (this.#owner.isHeld) return;
      if (this.#inbox.length > 1) this.resume();
      this.readOne();
    });
  }

  /** Delivers the first waiting datagram. False when there is none. */
  readOne(): boolean {
    const datagram = this.#inbox.shift();
    if (datagram === undefined) return false;
    this.#inboxSize -= memoryOf(datagram.data.length);
    this.#handOver(datagram);
    return true;
  }

  #handOver(datagram: MemoryDatagram): void {
    const { data, from } = datagram;
    const { fabric } = this.#owner;
    fabric.note(datagram, "delivered");
    this.#owner.reads(this);
    if (!fabric.poison) return this.#handlers.message(data.slice(), from.host, from.port);
    const bytes = received.subarray(OFFSET, OFFSET + data.length);
    bytes.set(data);
    try {
      this.#handlers.message(bytes, from.host, from.port);
    } finally {
      bytes.fill(POISON);
    }
  }

  #join(group: string, multicastInterface: string | undefined): void {
    const { machine, multicast } = this.#owner;
    if (!multicast) throw systemError("ENODEV", "the host has no multicast");
    if (!isGroup(group)) throw systemError("EINVAL", "a group is from 224.0.0.0 to 239.255.255.255, or in ff00::/8");
    const on = this.#interfaceCalled(multicastInterface);
    const membership = { group: canonical(group), on };
    const key = `${membership.group}%${on}`;
    if (this.#joined.has(key)) return;
    this.#joined.set(key, membership);
    machine.join(membership.group, on);
  }

  #interfaceCalled(multicastInterface: string | undefined): InterfaceName {
    const found = this.#joinsOn(multicastInterface);
    if (found !== undefined) return found;
    const { address } = this.#owner.machine;
    throw systemError(
      "ENODEV",
      this.#family === 4 ? `the host has ${address} and 127.0.0.1` : "the host has eth0 and lo",
    );
  }

  /** The interface to join a group on. With none named, that of the address that the socket is bound to. */
  #joinsOn(multicastInterface: string | undefined): InterfaceName | undefined {
    const { machine } = this.#owner;
    if (multicastInterface !== undefined) return machine.interfaceCalled(multicastInterface, this.#family);
    return isLoopback(this.host) ? "lo" : "eth0";
  }

  /** Fails where Linux 6.18 does. Linux lets an IPv6 socket send from any address that it was once bound to. */
  #checkPath(host: string): void {
    const { machine, multicast } = this.#owner;
    if (isGroup(host) && !multicast) throw sendError("ENETUNREACH", "a group needs a host with multicast", host);
    if (this.#family === 6) return;
    const own = ownAddress(this.host);
    if (own !== undefined && !machine.owns(own)) {
      throw sendError("ENETUNREACH", `the host must have ${own} still, which it had when the socket was bound`, host);
    }
    if (isGroup(host)) {
      if (this.#joinsOn(this.#multicastInterface) !== undefined) return;
      throw sendError("ENETUNREACH", `the host must have ${this.#multicastInterface} still`, host);
    }
    if (isLoopback(this.host) && !machine.owns(host)) {
      throw sendError("EINVAL", `what leaves ${this.host} must stay on this host`, host);
    }
  }

  #checkOpen(action = "send"): void {
    if (!this.isClosed) return;
    throw new Error(`Cannot ${action} as the socket must be open: ${formatAddress(this.host, this.port)} is closed`);
  }
}

/** The address of this host that a bound address stands for; `undefined` when it stands for all or for a group. */
function ownAddress(bound: string): string | undefined {
  return bound === unspecifiedFor(bound) || isGroup(bound) ? undefined : bound;
}

/**
 * The memory that a datagram takes in a receive buffer on Linux: 256 bytes for itself, and its data with 384 bytes of
 * headers rounded up to a power of two. 212,992 bytes are then 92 datagrams of 1,400 bytes, or 277 of 64.
 */
function memoryOf(length: number): number {
  return 256 + 2 ** (32 - Math.clz32(length + 384 - 1));
}

function attempt<T>(step: () => T, errorFrom: (cause: unknown) => BindError): T {
  try {
    return step();
  } catch (cause) {
    throw errorFrom(cause);
  }
}

function checkDestination(data: Uint8Array, host: string, port: number, family: Family): void {
  if (data.length > MAX_DATAGRAM[family]) {
    throw sendError("EMSGSIZE", `a datagram has at most ${MAX_DATAGRAM[family]} bytes`, data.length);
  }
  if (familyOf(host) !== family) throw sendError("EINVAL", `\`host\` must be an IPv${family} literal`, host);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw sendError("EINVAL", "`port` must be an integer from 1 to 65535", port);
  }
  if (host === "255.255.255.255") throw sendError("EACCES", "broadcast is not allowed", host);
}

function sendError(code: string, rule: string, value: unknown): Error {
  return Object.assign(new Error(`Cannot send as ${rule}: current value is ${value}`), { code });
}
