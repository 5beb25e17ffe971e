/**
 * PORT: a UDP socket, as much of one as the mesh needs. `adapters/` implements it on each runtime; the contract suite
 * in `tests/contract/adapter_contract.ts` runs every rule below against every adapter.
 *
 * @module
 */

/**
 * What to bind, and how. Addresses are IPv4 or IPv6 literals: names are looked up before they get here. The family of
 * `host` is the socket's, and every other address must be of it.
 */
export interface BindOptions {
  /**
   * Local address, `"0.0.0.0"` or `"::"` for all. A socket of IPv6 never carries IPv4 (`IPV6_V6ONLY`), so one of each may
   * have the same port. A link-local address needs its zone, the name of the interface: `"fe80::1%eth0"` (on Windows the
   * index).
   */
  readonly host: string;
  /** Local port, 0 to 65535; 0 lets the system choose. */
  readonly port: number;
  /**
   * Share the port with other sockets that ask to (`SO_REUSEADDR`, the one mode that Node, Deno, Bun and Go have in
   * common). Multicast then reaches all of them, a unicast datagram only one. When false, a port that is already
   * bound MUST make `bind` reject.
   */
  readonly shared: boolean;
  /** Multicast group to join, on the interface `multicastInterface`. */
  readonly joinGroup?: string | undefined;
  /**
   * The interface to join on and, with `sendsMulticast`, to send multicast from: its IPv4 address on a socket of IPv4,
   * its name (`"eth0"`) on one of IPv6, as the systems themselves have it. Without it, the system's routes decide. One
   * that this host does not have MUST make `bind` reject, never fall to another interface.
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
   * One datagram has arrived from `host`:`port`. `host` is a literal of the socket's family, and one that `send` takes:
   * an IPv6 address as RFC 5952 writes it, with its zone when it is link-local (`"fe80::1%eth0"`). `data` is the receiver's only during the call: an adapter MAY use
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
  /** The local address it is bound to, an IPv6 one as RFC 5952 writes it. */
  readonly host: string;
  /** The local port it is bound to, never 0. */
  readonly port: number;
  /**
   * Bytes of receive buffer that the system has granted, without what it adds for its own bookkeeping (Linux shows twice
   * as much): less than {@linkcode BindOptions.receiveBuffer} when that was over the system's limit. Undefined where the
   * runtime cannot tell.
   */
  readonly receiveBuffer: number | undefined;
  /**
   * Sends one datagram, an empty one too, to a literal of the socket's family. Resolves when the system has taken it,
   * rejects when it was not sent; never throws. `data` MUST stay unchanged until then. Anything but such a literal
   * rejects: there is no look-up of names per datagram.
   *
   * - Datagrams leave in the order of the calls, whether or not the caller awaits each.
   * - A caller that awaits one send after another does not starve timers and receives: the adapter yields for it.
   * - Trouble with one destination (say, nobody listens there) MUST NOT lose the next datagram to another.
   * - Sends under way when the socket closes reject, and so do later ones.
   */
  send(data: Uint8Array, host: string, port: number): Promise<void>;
  /**
   * Sends several datagrams to one destination, in their order, as `send` does for each; never rejects. Resolves when the system has
   * taken them or will not, to why some were not sent. An adapter that can hand them over together, or with one promise for all, SHOULD
   * have it; without it they are sent one by one. There MUST be 1 to 16, and they MUST stay unchanged until then.
   */
  sendMany?(datagrams: readonly Uint8Array[], host: string, port: number): Promise<Unsent>;
  /**
   * Joins a group on one more interface, which is named as in {@linkcode BindOptions.multicastInterface}. Resolves too
   * when the socket has joined it there already. Calls are done in their order.
   *
   * An interface that went and came back, under its old name and address, takes part again only after another join. In
   * between the caller SHOULD leave: systems keep what was joined on the interface that is gone, Linux at most 20 for each
   * socket of IPv4. Sending needs no more: a socket finds the new interface by itself.
   *
   * Rejects with a {@linkcode BindError} `EMULTICAST` when that cannot be, and with an `Error` once the socket is closed.
   */
  join(group: string, multicastInterface: string | undefined): Promise<void>;
  /**
   * Leaves a group on one interface. Resolves too when the socket has not joined it there, or the interface is gone;
   * rejects with an `Error` once the socket is closed, which leaves all groups.
   */
  leave(group: string, multicastInterface: string | undefined): Promise<void>;
  /** Stops receiving and frees the port. Resolves when both are done; a second call returns the same promise. */
  close(): Promise<void>;
}

/** Why some of several datagrams were not sent: an error in the place of each of them. `undefined` when all were. */
export type Unsent = readonly (Error | undefined)[] | undefined;

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
 *   multicast, a `multicastInterface` that this host does not have, a group that is none.
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
