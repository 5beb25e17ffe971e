/**
 * PORT: a UDP socket, as much of one as the mesh needs. `adapters/` implements it on each runtime; the contract suite
 * in `tests/adapter_contract.ts` runs every rule below against every adapter.
 *
 * @module
 */

/** What to bind, and how. Addresses are IPv4 literals: names are looked up before they get here. */
export interface BindOptions {
  /** Local address, `"0.0.0.0"` for all. */
  readonly host: string;
  /** Local port, 0 to 65535; 0 lets the system choose. */
  readonly port: number;
  /**
   * Share the port with other sockets that ask to (`SO_REUSEADDR`, the one mode that Node, Deno, Bun and Go have in
   * common). Multicast then reaches all of them, a unicast datagram only one. When false, a port that is already
   * bound MUST make `bind` reject.
   */
  readonly shared: boolean;
  /** Multicast group to join, on the interface that has the address `multicastInterface`. */
  readonly joinGroup?: string | undefined;
  /**
   * IPv4 address of the interface to join on and, with `sendsMulticast`, to send multicast from; without it, the
   * system's routes decide. An address that is not this host's MUST make `bind` reject, never fall to another interface.
   */
  readonly multicastInterface?: string | undefined;
  /**
   * Whether this socket will send multicast. When false, `multicastLoopback` and `multicastTtl` say nothing, and
   * `multicastInterface` is only for joining: an adapter that cannot choose where multicast leaves still serves.
   */
  readonly sendsMulticast: boolean;
  /** Whether multicast that this socket sends is heard on this host. */
  readonly multicastLoopback: boolean;
  /** How many hops multicast that this socket sends may take, 1 to 255. */
  readonly multicastTtl: number;
  /**
   * Receive buffer to ask the system for, in bytes. A wish: the system may grant less, and an adapter whose runtime
   * cannot set it lists `"receiveBuffer"` in {@linkcode DatagramSocket.unmet}.
   */
  readonly receiveBuffer?: number | undefined;
  /**
   * Whether getting `receiveBuffer` is worth more than the runtime's native adapter: `adapters/auto.ts` then falls back
   * to one that can set it, where there is one. A single adapter pays no heed to it. Default false.
   */
  readonly preferReceiveBuffer?: boolean | undefined;
}

/**
 * What a socket calls back. An adapter MUST NOT call either before the promise of `bind` has resolved, nor after
 * `close()` was called.
 */
export interface DatagramHandlers {
  /**
   * One datagram has arrived from `host`:`port`. `data` is the receiver's only during the call: an adapter MAY use
   * the memory again, so what is kept MUST be copied, and the receiver MAY write to it. A datagram of up to
   * {@linkcode MAX_RECEIVE} bytes arrives whole. A longer one MAY arrive cut, but never to less than
   * `MAX_RECEIVE + 1` bytes: `data.length > MAX_RECEIVE` tells it apart. MUST NOT throw.
   */
  message(data: Uint8Array, host: string, port: number): void;
  /** Receiving has failed. The socket goes on receiving unless it says `fatal`. MUST NOT throw. */
  error(error: Error, fatal: boolean): void;
}

/** The largest datagram, in bytes, that every adapter delivers whole: more than any that this project sends. */
export const MAX_RECEIVE = 2048;

/** A bound UDP socket. */
export interface DatagramSocket {
  /** Which adapter made it. */
  readonly adapter: AdapterName;
  /** What was asked of `bind` and cannot be had on this runtime. The socket works without it. */
  readonly unmet: readonly (keyof BindOptions)[];
  /** Why this is not the runtime's native adapter; absent when it is. */
  readonly fallback?: string | undefined;
  /** The local address it is bound to. */
  readonly host: string;
  /** The local port it is bound to, never 0. */
  readonly port: number;
  /**
   * Sends one datagram, an empty one too, to an IPv4 literal. Resolves when the system has taken it, rejects when it
   * was not sent; never throws. `data` MUST stay unchanged until then. Anything but an IPv4 literal rejects: there is
   * no look-up of names per datagram.
   *
   * - Datagrams leave in the order of the calls, whether or not the caller awaits each.
   * - A caller that awaits one send after another does not starve timers and receives: the adapter yields for it.
   * - Trouble with one destination (say, nobody listens there) MUST NOT lose the next datagram to another.
   * - Sends under way when the socket closes reject, and so do later ones.
   */
  send(data: Uint8Array, host: string, port: number): Promise<void>;
  /** Stops receiving and frees the port. Resolves when both are done; a second call returns the same promise. */
  close(): Promise<void>;
}

/** The adapters of this project. */
export type AdapterName = "node" | "bun" | "deno" | "memory";

/**
 * Binds a socket. Rejects with an `Error` whose `code` is one of {@linkcode BindErrorCode}, as far as the runtime
 * lets the adapter know, and whose `cause` is the runtime's own error. A socket that could not be set up whole is
 * closed before the promise rejects.
 */
export type Bind = (options: BindOptions, handlers: DatagramHandlers) => Promise<DatagramSocket>;

/**
 * Why a bind failed, the same words on every runtime:
 *
 * - `EADDRINUSE`: the port is taken.
 * - `EADDRNOTAVAIL`: `host` is not an address of this host.
 * - `EACCES`: not allowed (a port below 1024, a Deno permission).
 * - `EMULTICAST`: the group could not be joined, or multicast not be set up, on that interface: a host without
 *   multicast, a `multicastInterface` that is not an address of this host, a group that is none.
 * - `EUNSUPPORTED`: the adapter cannot do what the options ask on this runtime. `adapters/auto.ts` then takes another.
 * - `EUNKNOWN`: anything else.
 */
export type BindErrorCode =
  | "EADDRINUSE"
  | "EADDRNOTAVAIL"
  | "EACCES"
  | "EMULTICAST"
  | "EUNSUPPORTED"
  | "EUNKNOWN";

/** The error of a failed {@linkcode Bind}. */
export class BindError extends Error {
  /** `"BindError"`. */
  override readonly name = "BindError";
  /** Why, the same word on every runtime. */
  readonly code: BindErrorCode;

  /** For adapters: `message` says what was tried, `cause` is the runtime's error. */
  constructor(code: BindErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
