/**
 * PORT: UDP sockets, reduced to what the mesh needs. `adapters/` implements them on each runtime. The contract suite in
 * `tests/contract/adapter_contract.ts` runs every rule below against every adapter.
 *
 * @module
 */

/**
 * What to bind, and how. Addresses are IPv4 or IPv6 literals: names are looked up before. The family of `host` is the
 * socket's family, and every other address must be of that family.
 */
export interface BindOptions {
  /**
   * Local address, `"0.0.0.0"` or `"::"` for all. An IPv6 socket never carries IPv4 (`IPV6_V6ONLY`), so one socket of
   * each family may have the same port. A link-local address needs its zone, the name of the interface:
   * `"fe80::1%eth0"` (on Windows the index).
   */
  readonly host: string;
  /** Local port, 0 to 65535; 0 lets the system choose. */
  readonly port: number;
  /**
   * Whether to share the port with other sockets that ask to (`SO_REUSEADDR`, the one mode that Node, Deno, Bun and Go
   * have in common). Multicast then reaches all of them, a unicast datagram only one. When false, a port that is
   * already bound MUST make `bind` reject.
   */
  readonly shared: boolean;
  /** Multicast group to join, on the interface `multicastInterface`. */
  readonly joinGroup?: string | undefined;
  /**
   * The interface on which to join the group and, with `sendsMulticast`, from which to send multicast. It is named as
   * the systems do: by its IPv4 address on an IPv4 socket, by its name (`"eth0"`) on an IPv6 socket. Without it the
   * system's routes decide. An interface that this host does not have MUST make `bind` reject, never select another
   * one.
   */
  readonly multicastInterface?: string | undefined;
  /**
   * Whether this socket will send multicast. When false, `multicastLoopback` and `multicastTtl` mean nothing, and
   * `multicastInterface` is only for joining: an adapter that cannot choose the outgoing interface is still usable.
   */
  readonly sendsMulticast: boolean;
  /** Whether multicast that this socket sends is received on this host. */
  readonly multicastLoopback: boolean;
  /** Hop limit of the multicast that this socket sends, 1 to 255. */
  readonly multicastTtl: number;
  /**
   * Receive buffer to ask the system for, in bytes. The system may grant less. An adapter whose runtime cannot set it
   * lists `"receiveBuffer"` in {@linkcode DatagramSocket.unmet}.
   */
  readonly receiveBuffer?: number | undefined;
  /**
   * Whether `receiveBuffer` matters more than the runtime's native adapter. `adapters/auto.ts` then uses an adapter
   * that can set it, where there is one. A single adapter ignores this option. Default false.
   */
  readonly preferReceiveBuffer?: boolean | undefined;
}

/**
 * The callbacks of a socket. An adapter MUST NOT call either before the promise of `bind` has resolved, nor after
 * `close()` was called. Neither may throw.
 */
export interface DatagramHandlers {
  /**
   * One datagram has arrived from `host`:`port`. MUST NOT throw.
   *
   * `host` is a literal of the socket's family that `send` accepts: an IPv6 address as RFC 5952 writes it, with its
   * zone when it is link-local (`"fe80::1%eth0"`).
   *
   * `data` belongs to the receiver during the call only. An adapter MAY use the memory again, so a receiver MUST copy
   * what it keeps; the receiver MAY write to it.
   *
   * A datagram of up to {@linkcode MAX_RECEIVE} bytes arrives whole. A longer one MAY arrive truncated, but never to
   * less than `MAX_RECEIVE + 1` bytes: `data.length > MAX_RECEIVE` identifies it.
   */
  message(data: Uint8Array, host: string, port: number): void;
  /** Receiving has failed. The socket goes on receiving unless `fatal` is true. MUST NOT throw. */
  error(error: Error, fatal: boolean): void;
}

/** The largest datagram, in bytes, that every adapter delivers whole. It is more than any that this project sends. */
export const MAX_RECEIVE = 2048;

/** A bound UDP socket. */
export interface DatagramSocket {
  /** The adapter that made it. */
  readonly adapter: AdapterName;
  /** The options of `bind` that this runtime cannot meet. The socket works without them. */
  readonly unmet: readonly (keyof BindOptions)[];
  /** Why this is not the runtime's native adapter. Absent when it is. */
  readonly fallback?: string | undefined;
  /** The local address it is bound to, an IPv6 one as RFC 5952 writes it. */
  readonly host: string;
  /** The local port it is bound to, never 0. */
  readonly port: number;
  /**
   * Receive buffer that the system has granted, in bytes, without what the system adds for its own bookkeeping (Linux
   * shows twice as much). It is less than {@linkcode BindOptions.receiveBuffer} when that was over the system's limit.
   * Undefined where the runtime cannot tell.
   */
  readonly receiveBuffer: number | undefined;
  /**
   * Sends one datagram, which may be empty, to a literal of the socket's family. Resolves when the system has taken it,
   * rejects when it was not sent, and never throws. `data` MUST stay unchanged until then. Anything but such a literal
   * rejects: names are not looked up for each datagram.
   *
   * - Datagrams leave in the order of the calls, whether or not the caller awaits each.
   * - A caller that awaits one send after another does not starve timers and receives: the adapter yields to the event
   *   loop.
   * - An error at one destination (such as a closed port there) MUST NOT lose the next datagram to another destination.
   * - Sends in progress when the socket closes reject, and so do later ones.
   */
  send(data: Uint8Array, host: string, port: number): Promise<void>;
  /**
   * Sends several datagrams to one destination, in their order, as `send` does for each. Never rejects. Resolves when
   * the system has taken or refused all of them, to the reasons why some were not sent.
   *
   * An adapter that can hand datagrams to the system together, or with one promise for all, SHOULD implement it.
   * Without it they are sent one by one. There MUST be 1 to 16 datagrams, and they MUST stay unchanged until then.
   */
  sendMany?(datagrams: readonly Uint8Array[], host: string, port: number): Promise<Unsent>;
  /**
   * Joins a group on one more interface, named as in {@linkcode BindOptions.multicastInterface}. Resolves also when the
   * socket has joined it there already. Calls take effect in their order.
   *
   * An interface that went down and came back, under its old name and address, takes part again only after another
   * join. In between the caller SHOULD leave the group: systems keep the membership of the interface that is gone,
   * Linux at most 20 for each IPv4 socket. Sending needs no such step: a socket finds the new interface by itself.
   *
   * Rejects with a {@linkcode BindError} `EMULTICAST` when the group cannot be joined, and with an `Error` once the
   * socket is closed.
   */
  join(group: string, multicastInterface: string | undefined): Promise<void>;
  /**
   * Leaves a group on one interface. Resolves also when the socket has not joined it there, or the interface is gone.
   * Rejects with an `Error` once the socket is closed, as closing leaves all groups.
   */
  leave(group: string, multicastInterface: string | undefined): Promise<void>;
  /** Stops receiving and frees the port. Resolves when both are done; a second call returns the same promise. */
  close(): Promise<void>;
}

/**
 * Why some of several datagrams were not sent: an error at the index of each of them. `undefined` when all were sent.
 */
export type Unsent = readonly (Error | undefined)[] | undefined;

/** The adapters of this project. */
export type AdapterName = "node" | "bun" | "deno" | "memory";

/**
 * Binds a socket. Rejects with an `Error` whose `code` is a {@linkcode BindErrorCode}, as precise as the runtime
 * allows, and whose `cause` is the runtime's own error. A socket that could not be set up completely is closed before
 * the promise rejects.
 */
export type Bind = (options: BindOptions, handlers: DatagramHandlers) => Promise<DatagramSocket>;

/**
 * Why a bind failed, in the same words on every runtime:
 *
 * - `EADDRINUSE`: the port is taken.
 * - `EADDRNOTAVAIL`: `host` is not an address of this host.
 * - `EACCES`: not allowed (a port below 1024, a Deno permission).
 * - `EMULTICAST`: the group could not be joined, or multicast could not be set up, on that interface: a host without
 *   multicast, a `multicastInterface` that this host does not have, or a `joinGroup` that is no multicast group.
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
  /** The reason, the same word on every runtime. */
  readonly code: BindErrorCode;

  /** For adapters: `message` says what was tried, `cause` is the runtime's error. */
  constructor(code: BindErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
