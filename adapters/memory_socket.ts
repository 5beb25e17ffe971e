/**
 * A UDP socket of a simulated host.
 *
 * @module
 */

import type { AdapterName, BindError, BindOptions, DatagramHandlers, DatagramSocket } from "../src/datagram_socket.ts";
import { bindError, checkAddresses, multicastError } from "./bind_error.ts";
import { isIpv4 } from "./ipv4.ts";
import { isGroup, isLoopback, type MemoryDatagram } from "./memory_datagram.ts";
import type { Fabric } from "./memory_fabric.ts";
import { type BoundSocket, type InterfaceName, type Machine, systemError } from "./memory_machine.ts";

/** Sends between two turns of the event loop: as many as the other adapters make. */
const SENDS_PER_TURN = 16;

/** Most bytes in a datagram of IPv4. */
const MAX_DATAGRAM = 65_507;

/** What code that keeps a datagram finds in it afterwards. */
const POISON = 0xaa;

/** Not 0, so that code which takes `data.buffer` for the datagram is found out. */
const OFFSET = 5;

/** The memory that every datagram is handed over in, one at a time. */
const received = new Uint8Array(OFFSET + MAX_DATAGRAM).fill(POISON);

/** The process that a socket belongs to. */
export interface SocketOwner {
  readonly fabric: Fabric;
  readonly machine: Machine;
  /** Whether it has multicast. */
  readonly multicast: boolean;
  readonly isPaused: boolean;
  /** Calls back at this moment, after what is due already; later, when the process is paused. */
  soon(callback: () => void): void;
  /** The socket is closed. */
  forget(socket: MemorySocket): void;
}

/** Bound from the moment it is made; the constructor throws a `BindError` when that cannot be. */
export class MemorySocket implements DatagramSocket, BoundSocket {
  readonly adapter: AdapterName = "memory";
  readonly unmet: readonly (keyof BindOptions)[] = [];
  readonly host: string;
  readonly port: number;
  readonly shared: boolean;
  readonly multicastLoopback: boolean;
  readonly multicastInterface: string;

  readonly #owner: SocketOwner;
  readonly #handlers: DatagramHandlers;
  readonly #group: string | undefined;
  readonly #bufferSize: number;
  #inbox: MemoryDatagram[] = [];
  #inboxSize = 0;
  #draining = false;
  #sends = 0;
  #closed: Promise<void> | undefined;

  constructor(owner: SocketOwner, options: BindOptions, handlers: DatagramHandlers) {
    const { machine, fabric } = owner;
    this.port = portFor(owner, options);
    this.host = options.host;
    this.shared = options.shared;
    this.multicastLoopback = options.multicastLoopback;
    this.multicastInterface = options.multicastInterface ?? ownAddress(options.host) ?? machine.address;
    this.#owner = owner;
    this.#handlers = handlers;
    // Linux doubles what is asked for, to make up for its bookkeeping.
    this.#bufferSize = options.receiveBuffer === undefined ? fabric.receiveBuffer : 2 * options.receiveBuffer;
    this.#group = options.joinGroup;
    if (this.#group !== undefined) machine.join(this.#group, this.#joinedOn);
    machine.add(this);
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  async send(data: Uint8Array, host: string, port: number): Promise<void> {
    const { fabric, machine, multicast } = this.#owner;
    this.#checkOpen();
    checkDestination(data, host, port);
    if (isGroup(host) && !multicast) throw sendError("ENETUNREACH", "a group needs a host with multicast", host);
    const to = { host: host === "0.0.0.0" ? "127.0.0.1" : host, port };
    if (isLoopback(this.host) && !machine.owns(to.host) && !isGroup(host)) {
      throw sendError("EINVAL", `what leaves ${this.host} must stay on this host`, host);
    }
    fabric.send(this, machine, data, to);
    await (++this.#sends % SENDS_PER_TURN === 0 ? fabric.nextTurn() : undefined);
    this.#checkOpen();
  }

  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed;
    const { fabric, machine } = this.#owner;
    this.#closed = Promise.resolve();
    machine.remove(this);
    if (this.#group !== undefined) machine.leave(this.#group, this.#joinedOn);
    for (const datagram of this.#inbox) fabric.note(datagram, "unreachable");
    this.#inbox = [];
    this.#owner.forget(this);
    return this.#closed;
  }

  sourceFor(host: string): string {
    const own = ownAddress(this.host);
    if (own !== undefined) return own;
    if (isGroup(host)) return this.multicastInterface;
    return this.#owner.machine.interfaceOf(host) === "lo" ? "127.0.0.1" : this.#owner.machine.address;
  }

  receive(datagram: MemoryDatagram): void {
    if (!this.#owner.isPaused && this.#inbox.length === 0) return this.#handOver(datagram);
    const size = this.#inboxSize + memoryOf(datagram.data.length);
    if (size > this.#bufferSize) return this.#owner.fabric.note(datagram, "overrun");
    this.#inbox.push(datagram);
    this.#inboxSize = size;
  }

  /** For the process: it goes on. What has come in meanwhile is handed over, each datagram in a call of its own. */
  resume(): void {
    if (this.#draining || this.#inbox.length === 0) return;
    this.#draining = true;
    this.#owner.soon(() => this.#drain());
  }

  #drain(): void {
    const datagram = this.#inbox.shift();
    this.#draining = this.#inbox.length > 0;
    if (this.#draining) this.#owner.soon(() => this.#drain());
    if (datagram === undefined) return;
    this.#inboxSize -= memoryOf(datagram.data.length);
    this.#handOver(datagram);
  }

  #handOver(datagram: MemoryDatagram): void {
    const { data, from } = datagram;
    const { fabric } = this.#owner;
    fabric.note(datagram, "delivered");
    if (!fabric.poison) return this.#handlers.message(data.slice(), from.host, from.port);
    const bytes = received.subarray(OFFSET, OFFSET + data.length);
    bytes.set(data);
    try {
      this.#handlers.message(bytes, from.host, from.port);
    } finally {
      bytes.fill(POISON);
    }
  }

  get #joinedOn(): InterfaceName {
    return this.#owner.machine.interfaceOf(this.multicastInterface) ?? "eth0";
  }

  #checkOpen(): void {
    if (this.isClosed) throw new Error(`Cannot send as the socket must be open: ${this.host}:${this.port} is closed`);
  }
}

/** The address of this host that a bound address stands for; `undefined` when it stands for all or for a group. */
function ownAddress(bound: string): string | undefined {
  return bound === "0.0.0.0" || isGroup(bound) ? undefined : bound;
}

/**
 * What a datagram takes of a receive buffer on Linux: 256 bytes for itself, and its data with 384 bytes of headers
 * rounded up to a power of two. 212,992 bytes are then 92 datagrams of 1,400 bytes, or 277 of 64.
 */
function memoryOf(length: number): number {
  return 256 + 2 ** (32 - Math.clz32(length + 384 - 1));
}

/** The port to bind, when all that is asked for can be had. */
function portFor({ machine, fabric, multicast }: SocketOwner, options: BindOptions): number {
  const { joinGroup, multicastInterface } = options;
  checkAddresses(options);
  const port = attempt(() => machine.claim(options, fabric.random), (cause) => bindError(cause, options));
  attempt(() => {
    if (joinGroup !== undefined && !multicast) throw systemError("ENODEV", "the host has no multicast");
    if (joinGroup !== undefined && !isGroup(joinGroup)) {
      throw systemError("EINVAL", "a group is from 224.0.0.0 to 239.255.255.255");
    }
    if (multicastInterface !== undefined && machine.interfaceOf(multicastInterface) === undefined) {
      throw systemError("ENODEV", `the host has ${machine.address} and 127.0.0.1`);
    }
  }, (cause) => multicastError(cause, options));
  return port;
}

function attempt<T>(step: () => T, errorFrom: (cause: unknown) => BindError): T {
  try {
    return step();
  } catch (cause) {
    throw errorFrom(cause);
  }
}

function checkDestination(data: Uint8Array, host: string, port: number): void {
  if (data.length > MAX_DATAGRAM) {
    throw sendError("EMSGSIZE", `a datagram has at most ${MAX_DATAGRAM} bytes`, data.length);
  }
  if (!isIpv4(host)) throw sendError("EINVAL", "`host` must be an IPv4 literal", host);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw sendError("EINVAL", "`port` must be an integer from 1 to 65535", port);
  }
  if (host === "255.255.255.255") throw sendError("EACCES", "broadcast is not allowed", host);
}

function sendError(code: string, rule: string, value: unknown): Error {
  return Object.assign(new Error(`Cannot send as ${rule}: current value is ${value}`), { code });
}
