/**
 * Memory network: simulated hosts, UDP between them with configurable faults, and a clock that a test moves by hand.
 * Whole systems of services run in one process, a minute in milliseconds, and the same seed gives the same run again.
 *
 * @example Two sockets
 * ```ts
 * import { MemoryNetwork } from "@warp-mesh/bus/memory";
 *
 * const network = new MemoryNetwork({ seed: 42, loss: 0.1, delay: { min: 1, max: 5 } });
 * const a = network.host("10.0.0.1");
 * const b = network.host("10.0.0.2");
 * const multicast = { sendsMulticast: false, multicastLoopback: true, multicastTtl: 1 };
 * const options = { host: "0.0.0.0", port: 7946, shared: false, ...multicast };
 * await b.bind(options, { message: (data, host) => console.log(host, data.length), error: console.error });
 * const socket = await a.bind(options, { message() {}, error: console.error });
 * await socket.send(new Uint8Array(3), "10.0.0.2", 7946);
 * await network.clock.advance(5); // here it arrives: "10.0.0.1 3"
 * ```
 *
 * @module
 */

import type { Clock } from "../src/platform/clock.ts";
import type { SrvRecord } from "../src/platform/host.ts";
import { checkKnown, knownOptions } from "../src/platform/known_options.ts";
import { checkHost } from "./memory/address.ts";
import { VirtualClock } from "./memory/clock.ts";
import type { NetworkStats, TappedDatagram } from "./memory/datagram.ts";
import { Fabric } from "./memory/fabric.ts";
import { type Direction, FAULTS, type SomeFaults } from "./memory/faults.ts";
import { HostProcess, type MemoryHost, type MemoryHostOptions } from "./memory/host.ts";
import { SeededRandom } from "./memory/random.ts";

export { VirtualClock } from "./memory/clock.ts";
export type { DatagramFate, MemoryDatagram, NetworkStats, SocketAddress, TappedDatagram } from "./memory/datagram.ts";
export type { Direction, Faults, SomeFaults } from "./memory/faults.ts";
export type { MemoryHost, MemoryHostOptions } from "./memory/host.ts";
export { SeededRandom } from "./memory/random.ts";

/** Options of a {@linkcode MemoryNetwork}. The faults apply to all hosts, from the start. */
export interface MemoryNetworkOptions<C extends Clock = VirtualClock> extends SomeFaults {
  /**
   * Seed of everything that is random: an integer from 0 to 2^53 - 1.
   * @default {1}
   */
  readonly seed?: number | undefined;
  /**
   * The clock of the network. With a real clock datagrams travel in real time, and the result then depends on the
   * machine too.
   * @default {new VirtualClock()}
   */
  readonly clock?: C | undefined;
  /**
   * Receive buffer of a socket that asks for none, in bytes from 0 up. It is counted as Linux does, with 256 bytes for
   * each datagram and its size rounded up to a power of two: the default holds 92 datagrams of 1,400 bytes or 277 of
   * 64. A socket that asks for `receiveBuffer` gets twice that, as on Linux.
   * @default {212992}
   */
  readonly receiveBuffer?: number | undefined;
  /**
   * Delivers all datagrams in one buffer that is filled with 0xAA after each call, so that code which keeps `data`
   * without copying it is detected. When false, each is a copy of its own.
   * @default {true}
   */
  readonly poison?: boolean | undefined;
}

type OwnOptions = Omit<MemoryNetworkOptions, keyof SomeFaults>;
const OPTIONS = knownOptions<OwnOptions>({ seed: true, clock: true, receiveBuffer: true, poison: true }, FAULTS);

/**
 * A local network of simulated hosts, with the semantics of UDP on Linux.
 *
 * - Every datagram takes its time by the clock: none is delivered within `send`, and none at all while a virtual clock
 *   stands still. Within a host it takes no time, and only a full receive buffer loses any.
 * - A datagram to an address or port that no socket has is dropped. There are no routers: `multicastTtl` has no effect.
 * - On a shared port every socket gets multicast, and the socket bound last gets unicast.
 * - One generator makes everything that is random. With a virtual clock the same program and the same seed give the
 *   same run, event by event, on Node, Deno and Bun.
 */
export class MemoryNetwork<C extends Clock = VirtualClock> {
  /** Seed of everything that is random: print it when a test fails. */
  readonly seed: number;
  /** The network's clock. */
  readonly clock: C;
  /**
   * What the hosts' `resolve` knows: names and their addresses. It may be changed at any time. A name that is not in
   * it, or has no address, makes `resolve` reject. `localhost` is in it from the start.
   */
  readonly names: Map<string, readonly string[]>;
  /**
   * What the hosts' `resolveSrv` knows: names such as `_warp-mesh._udp.cache` and their SRV records. It may be changed
   * at any time. A name that is not in it, or has no record, makes `resolveSrv` reject. The targets are names that
   * {@linkcode MemoryNetwork.names} knows, or addresses.
   */
  readonly services: Map<string, readonly SrvRecord[]>;
  readonly #fabric: Fabric;

  /**
   * Makes a network without hosts.
   *
   * @throws {RangeError} when an option is out of its range
   * @throws {TypeError} when an option is unknown
   */
  constructor(options: MemoryNetworkOptions<C> = {}) {
    checkKnown("make the network", options, OPTIONS);
    const { seed = 1, clock, receiveBuffer = 212_992, poison = true, ...faults } = options;
    if (!(receiveBuffer >= 0)) {
      throw new RangeError(
        `Cannot make the network as \`receiveBuffer\` must be a number from 0 up: current value is ${receiveBuffer}`,
      );
    }
    const random = new SeededRandom(seed);
    this.seed = seed;
    // With no clock given, `C` is its default.
    this.clock = clock ?? new VirtualClock() as Clock as C;
    this.#fabric = new Fabric({ clock: this.clock, random, receiveBuffer, poison });
    this.names = this.#fabric.names;
    this.services = this.#fabric.services;
    this.set(faults);
  }

  /**
   * Whether hosts have multicast, including existing ones. A change applies to later binds and sends.
   * @default {true}
   */
  get multicast(): boolean {
    return this.#fabric.multicast;
  }

  set multicast(multicast: boolean) {
    this.#fabric.multicast = multicast;
  }

  /** Counts of what has happened so far, as a snapshot: later events do not change it. */
  get stats(): NetworkStats {
    return this.#fabric.stats;
  }

  /**
   * Starts a process on the host with this address. Each call starts another process. The processes of one host share
   * its address and ports, and each is paused and crashes by itself. A host has one address besides its loopback
   * address, and an IPv6 host has no link-local one: what it sends to any group comes from that address.
   *
   * @throws {TypeError} when `address` is not an IPv4 or IPv6 literal that one host can have, or an option is unknown
   */
  host(address: string, options?: MemoryHostOptions): MemoryHost {
    return new HostProcess(this.#fabric, checkHost(address, "start a host"), options);
  }

  /**
   * Changes faults from now on; those that are not named stay. With a direction, the faults apply only to datagrams in
   * that direction. For each path the latest call that applies to it decides.
   *
   * @throws {RangeError} when a fault is out of its range; then none is changed
   * @throws {TypeError} when a fault is unknown; then none is changed
   */
  set(faults: SomeFaults, direction: Direction = {}): void {
    this.#fabric.links.set(faults, direction);
  }

  /**
   * Partitions the hosts: those of different groups cannot reach each other, and datagrams on their way between them
   * are lost. A host in no group reaches all. It replaces the previous partition.
   */
  partition(groups: ReadonlyArray<readonly string[]>): void {
    this.#fabric.links.partition(groups);
  }

  /** Cuts the path from one host to another, and leaves the reverse path open. Datagrams on their way are lost. */
  cut(from: string, to: string): void {
    this.#fabric.links.cut(from, to);
  }

  /** Ends the partition and all cuts. */
  heal(): void {
    this.#fabric.links.heal();
  }

  /**
   * Shows each datagram to `callback`: once when it is sent, and once for the fate of each copy. Returns a function
   * that ends it. What the callback throws is thrown by the `send` or the `advance` that was running.
   */
  tap(callback: (datagram: TappedDatagram) => void): () => void {
    this.#fabric.taps.add(callback);
    return () => {
      this.#fabric.taps.delete(callback);
    };
  }
}
