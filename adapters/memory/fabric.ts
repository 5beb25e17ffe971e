/**
 * Memory fabric: the network between simulated hosts, which carries datagrams from the sending to the receiving
 * sockets.
 *
 * @module
 */

import type { Clock, Timer } from "../../src/platform/clock.ts";
import { isGroup, isLoopback } from "../../src/platform/endpoint.ts";
import type { SrvRecord } from "../../src/platform/host.ts";
import { VirtualClock } from "./clock.ts";
import type { DatagramFate, MemoryDatagram, NetworkStats, SocketAddress, TappedDatagram } from "./datagram.ts";
import { Links } from "./faults.ts";
import { type BoundSocket, type InterfaceName, Machine } from "./machine.ts";
import { type Timed, TimeQueue } from "./queue.ts";
import type { SeededRandom } from "./random.ts";
import { nextTurn } from "./turn.ts";

/** What a {@linkcode Fabric} is built from. */
export interface FabricConfig {
  readonly clock: Clock;
  readonly random: SeededRandom;
  /** Receive buffer of a socket that asks for none, in bytes. */
  readonly receiveBuffer: number;
  /** Whether the memory of a datagram is overwritten after its receiver was called. */
  readonly poison: boolean;
}

/** One copy of a datagram on its way. `time` is when it arrives, in milliseconds. */
interface Flight extends Timed {
  readonly datagram: MemoryDatagram;
  readonly source: Machine;
  readonly target: Machine;
  /** The interface of the target at which it arrives. */
  readonly via: InterfaceName;
}

/** Datagrams that a real event loop delivers before it checks its timers again: libuv reads 32 at a time. */
export const MAX_AT_ONCE = 32;

/** Half the resolution of a virtual clock, in milliseconds: sums of milliseconds are not exact. */
const TOLERANCE = 0.0005;

/** The internals of a `MemoryNetwork`. */
export class Fabric {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly receiveBuffer: number;
  readonly poison: boolean;
  readonly links: Links = new Links();
  readonly names: Map<string, readonly string[]> = new Map([["localhost", ["127.0.0.1"]]]);
  readonly services: Map<string, readonly SrvRecord[]> = new Map();
  readonly taps: Set<(datagram: TappedDatagram) => void> = new Set();
  multicast = true;

  readonly #machines = new Map<string, Machine>();
  readonly #flights = new TimeQueue<Flight>();
  readonly #stats = {
    sent: 0,
    sentBytes: 0,
    delivered: 0,
    lost: 0,
    partitioned: 0,
    unreachable: 0,
    overrun: 0,
    duplicated: 0,
    reordered: 0,
    truncated: 0,
  };
  #order = 0;
  #alarm: Timer | undefined;
  #alarmTime = 0;
  readonly #onAlarm = (): void => this.#land();

  constructor({ clock, random, receiveBuffer, poison }: FabricConfig) {
    this.clock = clock;
    this.random = random;
    this.receiveBuffer = receiveBuffer;
    this.poison = poison;
  }

  get stats(): NetworkStats {
    return { ...this.#stats };
  }

  /** The host with an address, made when it does not exist. */
  machine(address: string): Machine {
    let machine = this.#machines.get(address);
    if (machine === undefined) this.#machines.set(address, machine = new Machine(address));
    return machine;
  }

  /**
   * Gives a host another address. Sockets and groups stay; faults and cuts belong to the addresses.
   *
   * @throws {TypeError} when another host with sockets has it
   */
  readdress(machine: Machine, to: string): void {
    const other = this.#machines.get(to);
    if (other === machine) return;
    if (other !== undefined && !other.isIdle) {
      throw new TypeError(`Cannot change a host's address as it must be free: current value is ${to}`);
    }
    if (this.#machines.get(machine.address) === machine) this.#machines.delete(machine.address);
    machine.address = to;
    this.#machines.set(to, machine);
  }

  /** Calls back now, after what is due already. */
  soon(clock: Clock, callback: () => void): Timer {
    // The shortest timer of a real event loop is 1 ms: too long between two datagrams.
    return this.clock instanceof VirtualClock ? clock.setTimer(callback, 0) : clock.setTurnEnd(callback);
  }

  /** Resolves when everything that is ready now has run. */
  nextTurn(): Promise<void> {
    return this.clock instanceof VirtualClock ? this.clock.nextTurn() : nextTurn();
  }

  /** Sends a datagram at `time`, which is now or later. The bytes are copied before it returns. */
  send(socket: BoundSocket, source: Machine, data: Uint8Array, to: SocketAddress, time: number): void {
    const from = { host: socket.sourceFor(to.host), port: socket.port };
    const multicast = isGroup(to.host);
    const datagram = { from, to, multicast, receiver: source.address, data: data.slice() };
    this.#stats.sentBytes += data.length;
    this.note(datagram, "sent");
    if (multicast) return this.#multicast(socket, source, datagram, time);
    if (source.owns(to.host)) return this.#depart(datagram, source, source, "lo", time);
    const target = isLoopback(from.host) ? undefined : this.#machines.get(to.host);
    if (target === undefined) return this.note({ ...datagram, receiver: to.host }, "unreachable");
    this.#carry(datagram, source, target, time);
  }

  /** Counts the fate of a datagram, and shows it to the taps. */
  note(datagram: MemoryDatagram, fate: DatagramFate): void {
    this.#stats[fate]++;
    if (this.taps.size === 0) return;
    const tapped = { ...datagram, time: this.clock.now(), fate };
    for (const tap of this.taps) tap(tapped);
  }

  #multicast(socket: BoundSocket, source: Machine, datagram: MemoryDatagram, time: number): void {
    const group = datagram.to.host;
    const from = socket.multicastVia;
    // What leaves on `lo` comes back on `lo`, whatever the loopback flag says: measured on Linux 6.18.
    if ((socket.multicastLoopback || from === "lo") && source.isMember(group, from)) {
      this.#depart(datagram, source, source, from, time);
    }
    if (from === "lo") return;
    for (const target of this.#machines.values()) {
      if (target !== source && target.isMember(group, "eth0")) this.#carry(datagram, source, target, time);
    }
  }

  /** Carries a datagram from one host to another, subject to the faults of that path. */
  #carry(sent: MemoryDatagram, source: Machine, target: Machine, time: number): void {
    const { random, links } = this;
    let datagram = { ...sent, receiver: target.address };
    if (!links.isOpen(source.address, target.address)) return this.note(datagram, "partitioned");
    const link = links.between(source.address, target.address);
    const { loss, duplicate, reorder, reorderBy, delay, truncate, drop } = link.faults;
    if (drop?.(datagram) || random.chance(loss)) return this.note(datagram, "lost");
    if (datagram.data.length > 0 && random.chance(truncate)) {
      this.#stats.truncated++;
      datagram = { ...datagram, data: datagram.data.subarray(0, random.below(datagram.data.length)) };
    }
    const copies = random.chance(duplicate) ? 2 : 1;
    this.#stats.duplicated += copies - 1;
    for (let copy = 0; copy < copies; copy++) {
      let arrival = time + random.between(delay.min, delay.max);
      if (random.chance(reorder)) {
        this.#stats.reordered++;
        arrival = Math.max(arrival, link.lastArrival) + random.between(0, reorderBy);
      } else {
        arrival = link.lastArrival = Math.max(arrival, link.lastArrival);
      }
      this.#depart(datagram, source, target, "eth0", arrival);
    }
  }

  #depart(
    datagram: MemoryDatagram,
    source: Machine,
    target: Machine,
    via: InterfaceName,
    time: number,
  ): void {
    this.#flights.push({ datagram, source, target, via, time, order: this.#order++ });
    this.#setAlarm();
  }

  #setAlarm(): void {
    const next = this.#flights.peek();
    if (next === undefined || (this.#alarm !== undefined && this.#alarmTime <= next.time)) return;
    this.#alarm?.cancel();
    this.#alarmTime = next.time;
    const wait = next.time - this.clock.now();
    this.#alarm = wait > TOLERANCE ? this.clock.setTimer(this.#onAlarm, wait) : this.soon(this.clock, this.#onAlarm);
  }

  #land(): void {
    this.#alarm = undefined;
    // On a virtual clock one datagram a call: the promises that it resolves are followed before the next.
    const most = this.clock instanceof VirtualClock ? 1 : MAX_AT_ONCE;
    for (let i = 0; i < most; i++) {
      const flight = this.#takeDue();
      this.#setAlarm();
      if (flight === undefined) return;
      this.#arrive(flight);
    }
  }

  #takeDue(): Flight | undefined {
    const next = this.#flights.peek();
    return next !== undefined && next.time <= this.clock.now() + TOLERANCE ? this.#flights.pop() : undefined;
  }

  #arrive({ datagram, source, target, via }: Flight): void {
    if (source !== target && !this.links.isOpen(source.address, target.address)) {
      return this.note(datagram, "partitioned");
    }
    // The host may have another address by now.
    const isHere = datagram.multicast || target.owns(datagram.to.host);
    const sockets = isHere ? target.receivers(datagram, via) : [];
    if (sockets.length === 0) this.note(datagram, "unreachable");
    for (const socket of sockets) {
      if (!socket.isClosed) socket.receive(datagram);
    }
  }
}
