import {
  type Bind,
  BindError,
  type BindOptions,
  type DatagramHandlers,
  type DatagramSocket,
  type Unsent,
} from "../src/platform/datagram_socket.ts";
import { canonical, type Family } from "../src/platform/endpoint.ts";
import { asError, bindError, checkAddresses, multicastError } from "./bind_error.ts";
import { Memberships } from "./group_memberships.ts";
import { Gate } from "./handler_gate.ts";
import { runtimeName } from "./interface_names.ts";
import { BUN_SEND_ATTEMPTS, ErrorReporter, SendQueue } from "./send_queue.ts";
import { type Abilities, cannot } from "./socket_capabilities.ts";

// What is used of Bun, written out: its own types would come along into this package's, and they leave out `flags`.

/** A socket of Bun, as far as it is used here. */
export interface BunSocket {
  readonly port: number;
  /** Takes data, port and address of each, and returns how many were taken. */
  sendMany(packets: readonly (Uint8Array | number | string)[]): number;
  close(): void;
  addMembership(group: string, interfaceAddress?: string): boolean;
  dropMembership(group: string, interfaceAddress?: string): boolean;
  setMulticastInterface(interfaceAddress: string): boolean;
  setMulticastTTL(ttl: number): number;
  setMulticastLoopback(on: boolean): boolean;
}

/** What Bun takes to make a socket, as far as it is used here. */
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

// LIBUS_LISTEN_REUSE_ADDR and LIBUS_SOCKET_IPV6_ONLY of Bun's socket library. The options `reuseAddr` and `reusePort` are
// ignored; these numbers are not documented, and passed on as they are.
const REUSE_ADDRESS = 16;
const IPV6_ONLY = 8;

// What the system reports of a datagram sent earlier, when a router or the destination refused it (ICMP), or of one too
// long, which `send` has reported already. No other runtime has these, and none is trouble with receiving.
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

/** What `sendMany` takes for a datagram: bytes, port, address. */
const ITEMS = 3;

const { Bun } = globalThis as { readonly Bun?: BunUdp };

/**
 * Why `Bun.udpSocket` is not what the options ask for; undefined when it is. Without the receive buffer it serves all
 * the same, unless they prefer the buffer.
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

/** Makes a {@linkcode Bind} of Bun's API, or of something that behaves like it. */
export function bindBunWith(bun: BunUdp): Bind {
  return async (options, handlers) => {
    const family = checkAddresses(options);
    const { host, port, shared, joinGroup, multicastInterface } = options;
    const flags = (shared ? REUSE_ADDRESS : 0) + (family === 6 ? IPV6_ONLY : 0);
    const gate = new Gate(handlers);
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
  readonly gate: Gate;
  readonly memberships: Memberships;
}

class BunDatagramSocket implements DatagramSocket {
  readonly adapter = "bun";
  readonly unmet: readonly (keyof BindOptions)[];
  readonly host: string;
  readonly port: number;
  readonly receiveBuffer = undefined;
  readonly #raw: BunSocket;
  readonly #gate: Gate;
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
      this.#transmit(packets, new ErrorReporter(datagrams.length), done);
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

  /** The system has room again for a datagram that it did not take. */
  drain(): void {
    const again = this.#blocked;
    this.#blocked = undefined;
    again?.();
  }

  /** Hands over packets, three items each, until all are. */
  #transmit(
    packets: (Uint8Array | number | string)[],
    errorReporter: ErrorReporter,
    done: (unsent?: Unsent) => void,
  ): void {
    for (let attempt = 1; packets.length > 0;) {
      try {
        const taken = this.#raw.sendMany(packets);
        if (taken === 0) {
          this.#blocked = () => this.#transmit(packets, errorReporter, done);
          return;
        }
        // Where it stops short, the next call says why.
        packets.splice(0, taken * ITEMS);
        attempt = 1;
      } catch (error) {
        if (attempt++ < BUN_SEND_ATTEMPTS) continue;
        errorReporter.addFromEnd(packets.length / ITEMS, asError(error));
        packets.splice(0, ITEMS);
        attempt = 1;
      }
    }
    done(errorReporter.unsent);
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

/** Names the interface that multicast leaves by again: the system holds on to the one that it was. */
function canLeave(raw: BunSocket, { multicastInterface }: BindOptions, family: Family): boolean {
  try {
    return raw.setMulticastInterface(runtimeName(family, multicastInterface ?? ""));
  } catch {
    return false;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | undefined)?.code;
}
