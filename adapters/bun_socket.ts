/**
 * Bun socket: implements `DatagramSocket` on `Bun.udpSocket`.
 *
 * @module
 */

import {
  type Bind,
  BindError,
  type BindOptions,
  type DatagramHandlers,
  type DatagramSocket,
  type Unsent,
} from "../src/platform/datagram_socket.ts";
import { canonical, type Family } from "../src/platform/endpoint.ts";
import { asError, codeOf } from "../src/platform/error_message.ts";
import { bindError, checkAddresses, multicastError } from "./bind_error.ts";
import { Memberships } from "./group_memberships.ts";
import { HandlerGate } from "./handler_gate.ts";
import { runtimeName } from "./interface_names.ts";
import { BUN_SEND_ATTEMPTS, SendErrors, SendQueue } from "./send_queue.ts";
import { type Abilities, cannot } from "./socket_capabilities.ts";

// The part of Bun's API that is used, written out: Bun's own types would become part of this package's, and they lack
// `flags`.

/** The part of a Bun socket that is used here. */
export interface BunSocket {
  readonly port: number;
  /** Takes bytes, port and address of each datagram, and returns how many datagrams were taken. */
  sendMany(packets: readonly (Uint8Array | number | string)[]): number;
  close(): void;
  addMembership(group: string, interfaceAddress?: string): boolean;
  dropMembership(group: string, interfaceAddress?: string): boolean;
  setMulticastInterface(interfaceAddress: string): boolean;
  setMulticastTTL(ttl: number): number;
  setMulticastLoopback(on: boolean): boolean;
}

/** The part of Bun's socket options that is used here. */
export interface BunSocketOptions {
  readonly hostname: string;
  readonly port: number;
  readonly flags?: number;
  readonly binaryType: "uint8array";
  readonly socket: {
    data(socket: BunSocket, data: Uint8Array, port: number, address: string): void;
    drain(socket: BunSocket): void;
    error(error: Error): void;
  };
}

/** The part of the `Bun` global that is used here. */
export interface BunUdp {
  udpSocket(options: BunSocketOptions): Promise<BunSocket>;
}

/** What `Bun.udpSocket` can do. */
export const bunAbilities: Abilities = {
  api: "Bun.udpSocket",
  ipv6: true,
  receiveBuffer: false,
  multicastFrom: "any",
  ttlWithoutJoin: true,
};

// LIBUS_LISTEN_REUSE_ADDR and LIBUS_SOCKET_IPV6_ONLY of Bun's socket library. The options `reuseAddr` and `reusePort`
// are ignored. These flags are not documented, and are passed on unchanged.
const REUSE_ADDRESS = 16;
const IPV6_ONLY = 8;

// Errors that the system reports for a datagram sent earlier, which a router or the destination refused (ICMP), or for
// one too long, which `send` has reported already. On the other runtimes such errors do not arrive here, and none means
// trouble with receiving.
const SEND_TROUBLE: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENONET",
  "ENOPROTOOPT",
  "EOPNOTSUPP",
  "EPROTO",
  "EACCES",
  "EMSGSIZE",
]);

/** Items that `sendMany` takes for each datagram: bytes, port, address. */
const ITEMS = 3;

const { Bun } = globalThis as { readonly Bun?: BunUdp };

/**
 * Why `Bun.udpSocket` cannot do what the options ask; undefined when it can. A receive buffer that cannot be set is no
 * reason, unless the options prefer the buffer over the native API.
 */
export function bunCannot(options: BindOptions): string | undefined {
  if (Bun === undefined) return "this runtime is not Bun";
  if (options.receiveBuffer !== undefined && options.preferReceiveBuffer) {
    return `${bunAbilities.api} cannot set the receive buffer`;
  }
  return cannot(bunAbilities, options);
}

/** Binds a socket of `Bun.udpSocket`. */
export async function bindBunSocket(options: BindOptions, handlers: DatagramHandlers): Promise<DatagramSocket> {
  if (Bun === undefined) throw new BindError("EUNSUPPORTED", "Cannot bind a UDP socket as this runtime is not Bun");
  return await bindBunWith(Bun)(options, handlers);
}

/** Makes a {@linkcode Bind} from Bun's API, or from a fake of it. */
export function bindBunWith(bun: BunUdp): Bind {
  return async (options, handlers) => {
    const family = checkAddresses(options);
    const { host, port, shared, joinGroup, multicastInterface } = options;
    const flags = (shared ? REUSE_ADDRESS : 0) + (family === 6 ? IPV6_ONLY : 0);
    const gate = new HandlerGate(handlers);
    let socket: BunDatagramSocket | undefined = undefined;
    let raw: BunSocket;
    try {
      raw = await bun.udpSocket({
        hostname: host,
        port,
        ...(flags === 0 ? {} : { flags }),
        binaryType: "uint8array",
        socket: {
          data: (_socket, data, port, address) => gate.message(data, address, port),
          drain: () => socket?.drain(),
          // Without this handler an error ends the process.
          error: (error) => SEND_TROUBLE.has(codeOf(error)) || gate.error(asError(error), false),
        },
      });
    } catch (error) {
      throw bindError(error, options);
    }
    const memberships = new Memberships(family, {
      add: (group, at) => raw.addMembership(group, at),
      drop: (group, at) => raw.dropMembership(group, at),
    });
    try {
      setUpSending(raw, options, family);
      if (joinGroup !== undefined) await memberships.join(joinGroup, multicastInterface);
    } catch (error) {
      raw.close();
      throw multicastError(error, options);
    }
    socket = new BunDatagramSocket(raw, { options, family, gate, memberships });
    gate.open();
    return socket;
  };
}

interface Parts {
  readonly options: BindOptions;
  readonly family: Family;
  readonly gate: HandlerGate;
  readonly memberships: Memberships;
}

class BunDatagramSocket implements DatagramSocket {
  readonly adapter = "bun";
  readonly unmet: readonly (keyof BindOptions)[];
  readonly host: string;
  readonly port: number;
  readonly receiveBuffer = undefined;
  readonly #raw: BunSocket;
  readonly #gate: HandlerGate;
  readonly #memberships: Memberships;
  readonly #queue: SendQueue;
  #blocked: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(raw: BunSocket, { options, family, gate, memberships }: Parts) {
    this.host = canonical(options.host);
    this.port = raw.port;
    this.unmet = options.receiveBuffer === undefined ? [] : ["receiveBuffer"];
    this.#raw = raw;
    this.#gate = gate;
    this.#memberships = memberships;
    const renew = options.sendsMulticast && options.multicastInterface !== undefined;
    this.#queue = new SendQueue((datagrams, host, port, done) => {
      const packets: (Uint8Array | number | string)[] = [];
      for (const data of datagrams) packets.push(data, port, host);
      this.#transmit(packets, new SendErrors(datagrams.length), done);
    }, {
      family,
      renew: renew ? () => canLeave(raw, options, family) : undefined,
    });
  }

  send(data: Uint8Array, host: string, port: number): Promise<void> {
    return this.#queue.send(data, host, port);
  }

  sendMany(datagrams: readonly Uint8Array[], host: string, port: number): Promise<Unsent> {
    return this.#queue.sendMany(datagrams, host, port);
  }

  join(group: string, multicastInterface: string | undefined): Promise<void> {
    return this.#memberships.join(group, multicastInterface);
  }

  leave(group: string, multicastInterface: string | undefined): Promise<void> {
    return this.#memberships.leave(group, multicastInterface);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#gate.close();
      this.#queue.close();
      this.#memberships.close();
      this.#blocked = undefined;
      this.#raw.close();
      this.#closing = Promise.resolve();
    }
    return this.#closing;
  }

  /** The system has room again for a datagram that it had not taken. */
  drain(): void {
    const again = this.#blocked;
    this.#blocked = undefined;
    again?.();
  }

  /** Passes packets of three items each to the system until all are taken. */
  #transmit(
    packets: (Uint8Array | number | string)[],
    errors: SendErrors,
    done: (unsent?: Unsent) => void,
  ): void {
    for (let attempt = 1; packets.length > 0;) {
      try {
        const taken = this.#raw.sendMany(packets);
        if (taken === 0) {
          this.#blocked = () => this.#transmit(packets, errors, done);
          return;
        }
        // When it stops short, the next call reports the error.
        packets.splice(0, taken * ITEMS);
        attempt = 1;
      } catch (error) {
        if (attempt++ < BUN_SEND_ATTEMPTS) continue;
        errors.addFromEnd(packets.length / ITEMS, asError(error));
        packets.splice(0, ITEMS);
        attempt = 1;
      }
    }
    done(errors.unsent);
  }
}

function setUpSending(raw: BunSocket, options: BindOptions, family: Family): void {
  const { multicastInterface, multicastLoopback, multicastTtl, sendsMulticast } = options;
  if (!sendsMulticast) return;
  if (multicastInterface !== undefined && !raw.setMulticastInterface(runtimeName(family, multicastInterface))) {
    throw new Error("setMulticastInterface returned false");
  }
  raw.setMulticastTTL(multicastTtl);
  raw.setMulticastLoopback(multicastLoopback);
}

/** Sets the interface for outgoing multicast again: the system keeps to the interface that it was when first set. */
function canLeave(raw: BunSocket, { multicastInterface }: BindOptions, family: Family): boolean {
  try {
    return raw.setMulticastInterface(runtimeName(family, multicastInterface ?? ""));
  } catch {
    return false;
  }
}
