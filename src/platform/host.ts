/**
 * PORTS: random bytes, look-ups of names, and the network interfaces of the machine.
 *
 * @module
 */

import type { Signal } from "./signal_shape.ts";

/**
 * Fills an array of the given length with random bytes. Node ids are made of them: on a real host it is the
 * cryptographic source.
 */
export type RandomBytes = (length: number) => Uint8Array;

/**
 * What a mesh passes to a {@linkcode Resolve} besides the name. A resolver that starts each look-up at once may ignore
 * it.
 */
export interface ResolveOptions {
  /** Aborts when the answer is not wanted any more. A look-up that has not begun by then is not begun. */
  readonly signal?: Signal | undefined;
  /**
   * For resolvers that queue look-ups. Called with true when the look-up has to wait for others, before the call
   * returns, and with false when it begins: the mesh counts its time limit from then on. Must not throw.
   */
  readonly onQueue?: ((isQueued: boolean) => void) | undefined;
}

/**
 * Looks up all addresses of a host name, as IPv4 and IPv6 literals. Rejects when there are none or the look-up fails.
 * MUST NOT block: the mesh goes on during a look-up.
 */
export type Resolve = (host: string, options?: ResolveOptions) => Promise<readonly string[]>;

/** One SRV record (RFC 2782). Priority and weight are left out: a mesh contacts all targets. */
export interface SrvRecord {
  /** Name of the target; `"."` or empty when the domain declares that it has no such service. */
  readonly host: string;
  /** Port of the service on that host. */
  readonly port: number;
}

/**
 * Looks up the SRV records of a name such as `_warp-mesh._udp.cache.default.svc`. Rejects when there are none or the
 * look-up fails. MUST NOT block: the mesh goes on during a look-up.
 */
export type ResolveSrv = (name: string) => Promise<readonly SrvRecord[]>;

/** One address of one network interface of this host. */
export interface NetworkInterface {
  /** The system's name of the interface: `lo`, `eth0`, `Ethernet 2`. */
  readonly name: string;
  /** An IPv4 or IPv6 literal. */
  readonly address: string;
  /** Whether it is a loopback interface, which reaches this host only. */
  readonly internal: boolean;
  /** The netmask of the address, as an IPv4 or IPv6 literal such as `255.255.255.0`. */
  readonly netmask: string;
}

/**
 * Tells from which address of this host the system's routes would send a datagram to a multicast group. Sends nothing.
 * Resolves with `undefined` when no route leads to the group. Rejects when the address cannot be determined, such as
 * for lack of permission.
 *
 * A mesh whose interface the system chooses calls it once a second, and `close` waits for the call in progress: it MUST
 * be cheap, and MUST settle.
 */
export type RouteTo = (group: string) => Promise<string | undefined>;

/** Lists the addresses of this host's interfaces that are up. Throws when that is not permitted. */
export type NetworkInterfaces = () => readonly NetworkInterface[];
