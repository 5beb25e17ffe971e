/**
 * Memory network datagrams: what travels between simulated hosts, and what becomes of it.
 *
 * @module
 */

/** An address and a port. */
export interface SocketAddress {
  /** An IPv4 or IPv6 literal. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** One datagram, or one of the copies that a multicast or a duplicate makes of it. */
export interface MemoryDatagram {
  /** The source address, as the receiver sees it. */
  readonly from: SocketAddress;
  /** The destination address: a host's or a group's. */
  readonly to: SocketAddress;
  /** Whether `to` is a multicast group. */
  readonly multicast: boolean;
  /** Address of the host that this copy is for; of the sending host before copies are made. */
  readonly receiver: string;
  /** The network's own copy of the bytes: it may be kept, and MUST NOT be changed. */
  readonly data: Uint8Array;
}

/** What became of a datagram. All but `"sent"` are the fate of one copy, so they may come several times or never. */
export type DatagramFate =
  /** A socket has sent it: once for each `send`, whatever happens next. */
  | "sent"
  /** A socket received it. */
  | "delivered"
  /** Lost by the `loss` or `drop` faults. */
  | "lost"
  /** The two hosts are partitioned from each other. */
  | "partitioned"
  /** The host does not exist, has no socket for it, or is suspended. */
  | "unreachable"
  /** The receive buffer of a socket that was not read for a while was full. */
  | "overrun";

/** One event in the life of a datagram, shown to {@linkcode MemoryNetwork.tap}. */
export interface TappedDatagram extends MemoryDatagram {
  /** Time of the event on the network's clock, in milliseconds. */
  readonly time: number;
  /** What happened. */
  readonly fate: DatagramFate;
}

/** Numbers of datagrams that a {@linkcode MemoryNetwork} has seen, by fate. */
export interface NetworkStats extends Readonly<Record<DatagramFate, number>> {
  /** Bytes in the datagrams `sent`, without headers. */
  readonly sentBytes: number;
  /** Copies that a fault added. */
  readonly duplicated: number;
  /** Copies that a fault held back. */
  readonly reordered: number;
  /** Copies that a fault truncated. */
  readonly truncated: number;
}
