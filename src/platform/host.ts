/**
 * PORTS: the few other things that the mesh asks of the machine it runs on.
 *
 * @module
 */

import type { Signal } from "./signal_shape.ts";

/** Fills an array of the given length with random bytes. Node ids come from it: on a real host it is the secure source. */
export type RandomBytes = (length: number) => Uint8Array;

/** What a mesh tells a {@linkcode Resolve} besides the name. One that makes each look-up at once may leave it unused. */
export interface ResolveOptions {
  /** Aborted when the answer is not wanted any more: the look-up is not begun, if it has not been yet. */
  readonly signal?: Signal | undefined;
  /**
   * Called with true when the look-up has to wait for others, before the call returns, and with false when its turn has
   * come: how long the mesh waits for the answer counts from then. Must not throw.
   */
  readonly onQueue?: ((isQueued: boolean) => void) | undefined;
}

/**
 * Looks up all addresses of a host name, IPv4 and IPv6 literals. Rejects when there are none or the look-up fails.
 * MUST NOT block: the mesh goes on while a look-up is under way.
 */
export type Resolve = (host: string, options?: ResolveOptions) => Promise<readonly string[]>;

/** What one SRV record (RFC 2782) names. Priority and weight are left out: a mesh contacts all. */
export interface SrvRecord {
  /** Name of the target; `"."` or empty when the domain says that there is no such service. */
  readonly host: string;
  /** Port at which the service is on that host. */
  readonly port: number;
}

/**
 * Looks up the SRV records of a name such as `_warp-mesh._udp.cache.default.svc`. Rejects when there are none or the
 * look-up fails. MUST NOT block: the mesh goes on while a look-up is under way.
 */
export type ResolveSrv = (name: string) => Promise<readonly SrvRecord[]>;

/** One address of one network interface of this host. */
export interface NetworkInterface {
  /** The system's name: `lo`, `eth0`, `Ethernet 2`. */
  readonly name: string;
  /** An IPv4 or IPv6 literal. */
  readonly address: string;
  /** Whether it reaches this host only. */
  readonly internal: boolean;
  /** Which part of the address is the network's, as an IPv4 or IPv6 literal such as `255.255.255.0`. */
  readonly netmask: string;
}

/**
 * Tells from which address of this host a datagram to a multicast group would leave: what the system's routes choose. Sends
 * nothing. Resolves with `undefined` when no route leads there. Rejects when it cannot be told, as where that is not
 * permitted. Called each second by a mesh whose interface the system chooses: MUST be cheap, and MUST settle, as `close` waits
 * for it.
 */
export type RouteTo = (group: string) => Promise<string | undefined>;

/** Lists the addresses of this host's interfaces that are up. Throws when that is not permitted. */
export type NetworkInterfaces = () => readonly NetworkInterface[];
