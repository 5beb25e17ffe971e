/**
 * A network in memory: hosts, a UDP between them that fails as asked, and a clock that a test moves by hand. Whole worlds
 * of services run in one process, a minute in milliseconds, and the same seed gives the same world again.
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

/** How to make a {@linkcode MemoryNetwork}. The faults hold for all hosts, from the start. */
export interface MemoryNetworkOptions<C extends Clock = VirtualClock> extends SomeFaults {
  /**
   * Decides everything that is random: an integer from 0 to 2^53 - 1.
   * @default {1}
   */
  readonly seed?: number | undefined;
  /**
   * The time that the network runs on. With a real clock datagrams travel in real time, and what happens then depends on
   * the machine too.
   * @default {new VirtualClock()}
   */
  readonly clock?: C | undefined;
  /**
   * Receive buffer of a socket that asks for none, in bytes from 0 up. Counted as Linux does it, with 256 bytes for each
   * datagram and its size rounded up to a power of two: the default holds 92 datagrams of 1,400 bytes or 277 of 64. A
   * socket that asks for `receiveBuffer` gets twice that, as there.
   * @default {212992}
   */
  readonly receiveBuffer?: number | undefined;
  /**
   * Hands all datagrams over in one piece of memory that is filled with 0xAA after each call, so that code which keeps
   * `data` without copying it is found out. When false, each is a copy of its own.
   * @default {true}
   */
  readonly poison?: boolean | undefined;
}

type OwnOptions = Omit<MemoryNetworkOptions, keyof SomeFaults>;
const OPTIONS = knownOptions<OwnOptions>({ seed: true, clock: true, receiveBuffer: true, poison: true }, FAULTS);

/**
 * A local network of simulated hosts, with the semantics of UDP on Linux.
 *
 * - Every datagram travels by the clock: none is delivered within `send`, and none at all while a virtual clock stands
 *   still. Within a host it takes no time and nothing is lost but to a full receive buffer.
 * - What is sent to an address or port that nobody has vanishes. There are no routers: `multicastTtl` means nothing.
 * - A shared port takes multicast to every socket on it, unicast to the last that was bound.
 * - All that is random comes from one generator. With a virtual clock the same program and the same seed give the same
 *   world, event by event, on Node, Deno and Bun.
 */
export class MemoryNetwork<C extends Clock = VirtualClock> {
  /** What all that is random comes from: print it where a test fails. */
  readonly seed: number;
  /** The network's time. */
  readonly clock: C;
  /**
   * What the hosts' `resolve` knows: names and their addresses. It may be changed at any time. A name that is not in it,
   * or that has no address, makes `resolve` reject. `localhost` is in it from the start.
   */
  readonly names: Map<string, readonly string[]>;
  /**
   * What the hosts' `resolveSrv` knows: names such as `_warp-mesh._udp.cache` and their SRV records. It may be changed at
   * any time. A name that is not in it, or that has no record, makes `resolveSrv` reject; the targets are names that
   * {@linkcode MemoryNetwork.names} knows, or addresses.
   */
  readonly services: Map<string, readonly SrvRecord[]>;
  readonly #fabric: Fabric;

  /**
   * Makes a network without hosts.
   *
   * @throws {RangeError} when an option is out of its range
   * @throws {TypeError} when there is no option of that name
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
   * Whether hosts have multicast, those that are there already included. Changes hold for what is bound and sent from
   * then on.
   * @default {true}
   */
  get multicast(): boolean {
    return this.#fabric.multicast;
  }

  set multicast(multicast: boolean) {
    this.#fabric.multicast = multicast;
  }

  /** What has happened so far. Later events do not change it. */
  get stats(): NetworkStats {
    return this.#fabric.stats;
  }

  /**
   * Starts a process on the host with this address. Each call starts another one: those of one host share its address and
   * ports, and each is paused and crashes by itself. A host has one address besides that of its loopback interface, and
   * one of IPv6 no link-local one: what it sends to any group comes from that address.
   *
   * @throws {TypeError} when `address` is not an IPv4 or IPv6 literal that one host can have, or an option is unknown
   */
  host(address: string, options?: MemoryHostOptions): MemoryHost {
    return new HostProcess(this.#fabric, checkHost(address, "start a host"), options);
  }

  /**
   * Changes faults, from now on; those that are not named stay. With a direction, only for datagrams that go that way.
   * The latest call that says something about a datagram's way decides.
   *
   * @throws {RangeError} when a fault is out of its range; then none is changed
   * @throws {TypeError} when there is no fault of that name; then none is changed
   */
  set(faults: SomeFaults, direction: Direction = {}): void {
    this.#fabric.links.set(faults, direction);
  }

  /**
   * Parts the hosts: those of different groups cannot reach each other, and what is under way between them is lost. A
   * host in no group reaches all. Takes the place of the last partition.
   */
  partition(groups: ReadonlyArray<readonly string[]>): void {
    this.#fabric.links.partition(groups);
  }

  /** Cuts the way from one host to another, and leaves the way back. What is under way is lost. */
  cut(from: string, to: string): void {
    this.#fabric.links.cut(from, to);
  }

  /** Ends the partition and all cuts. */
  heal(): void {
    this.#fabric.links.heal();
  }

  /**
   * Shows each datagram to `callback`: once when it is sent, and once for whatever becomes of each copy. Returns a
   * function that ends it. What the callback throws comes out of the `send` or the `advance` that was under way.
   */
  tap(callback: (datagram: TappedDatagram) => void): () => void {
    this.#fabric.taps.add(callback);
    return () => {
      this.#fabric.taps.delete(callback);
    };
  }
}
