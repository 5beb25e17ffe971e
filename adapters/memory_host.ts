/**
 * A process on a simulated host.
 *
 * @module
 */

import type { Clock, Timer } from "../src/clock.ts";
import type { Bind } from "../src/datagram_socket.ts";
import type { NetworkInterface, NetworkInterfaces, RandomBytes, Resolve, ResolveSrv } from "../src/host.ts";
import type { MeshPorts } from "../src/ports.ts";
import { isIpv4 } from "./literal.ts";
import { checkHost } from "./memory_address.ts";
import type { Fabric } from "./memory_fabric.ts";
import type { Machine } from "./memory_machine.ts";
import { MemorySocket, type SocketOwner } from "./memory_socket.ts";

/** What a process is like. */
export interface MemoryHostOptions {
  /**
   * Whether it has multicast. Without, `bind` with `joinGroup` rejects with `EMULTICAST`, and so does a `send` to a group
   * with `ENETUNREACH`.
   * @default {true}
   */
  readonly multicast?: boolean | undefined;
}

/**
 * One process on a simulated host: all the ports that a mesh needs, and the ways in which a process fails. The ports can
 * be taken apart and replaced one by one: `{ ...host, resolve: myResolve }`.
 */
export interface MemoryHost extends MeshPorts {
  /** The host's address on `eth0`, an IPv4 or IPv6 literal. */
  readonly address: string;
  /** What it does at the moment. */
  readonly state: "running" | "paused" | "crashed";
  /**
   * Stops its event loop, as a long garbage collection or a stopped container does: no timer and no datagram reaches it.
   * Datagrams wait in the receive buffers, and are lost when these are full. What the test itself calls still runs. Does
   * nothing unless it is running.
   */
  pause(): void;
  /** Lets it go on: first the timers that have come due, then the datagrams that wait. Does nothing unless it is paused. */
  resume(): void;
  /**
   * Ends it without a word: its sockets are gone, no timer or handler of it is called again, and what it sends or binds
   * afterwards rejects. {@linkcode MemoryNetwork.host} starts another process on the same host.
   */
  crash(): void;
  /**
   * Gives its host another address of the same family, as a new lease or a move does; all processes there have it. What is
   * sent to the old one, or is on its way there, reaches nobody. As on Linux, sockets bound to no address go on with the
   * new one and groups stay joined, while one that is bound to the old address, or sends multicast by it, sends no more:
   * `ENETUNREACH` (IPv4), or goes on sending from an address that nobody can answer (IPv6). Faults, cuts and partitions
   * belong to the addresses.
   *
   * @throws {TypeError} when it is not a unicast literal of the host's family, or another host has it
   */
  readdress(to: string): void;
}

/** The internals of a {@linkcode MemoryHost}. */
export class HostProcess implements MemoryHost, SocketOwner {
  readonly fabric: Fabric;
  readonly machine: Machine;
  readonly bind: Bind;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly resolve: Resolve;
  readonly resolveSrv: ResolveSrv;
  readonly networkInterfaces: NetworkInterfaces;

  readonly #hasMulticast: boolean;
  readonly #sockets = new Set<MemorySocket>();
  readonly #timers = new Set<HostTimer>();
  #overdue: HostTimer[] = [];
  #state: "running" | "paused" | "crashed" = "running";

  constructor(fabric: Fabric, address: string, { multicast = true }: MemoryHostOptions = {}) {
    this.fabric = fabric;
    this.machine = fabric.machine(address);
    this.#hasMulticast = multicast;
    const { clock, random, names, services } = fabric;
    this.bind = async (options, handlers) => {
      if (this.#state === "crashed") throw new Error(`Cannot bind as the process on ${this.address} has crashed`);
      const socket = new MemorySocket(this, options, handlers);
      this.#sockets.add(socket);
      return socket;
    };
    this.clock = {
      now: () => clock.now(),
      setTimer: (callback, delay) => this.#start(callback, (call) => clock.setTimer(call, delay)),
      setTurnEnd: (callback) => this.#start(callback, (call) => clock.setTurnEnd(call)),
    };
    this.randomBytes = (length) => random.bytes(length);
    // No name has a colon: it is an IPv6 literal.
    this.resolve = async (name) => isIpv4(name) || name.includes(":") ? [name] : known(names, name, "name");
    this.resolveSrv = async (name) => known(services, name, "service");
    this.networkInterfaces = () => interfacesOf(this.machine);
  }

  get address(): string {
    return this.machine.address;
  }

  get state(): "running" | "paused" | "crashed" {
    return this.#state;
  }

  get isPaused(): boolean {
    return this.#state === "paused";
  }

  get multicast(): boolean {
    return this.#hasMulticast && this.fabric.multicast;
  }

  pause(): void {
    if (this.#state === "running") this.#state = "paused";
  }

  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    const overdue = this.#overdue;
    this.#overdue = [];
    for (const timer of overdue) {
      const isCancelled = !this.#timers.has(timer);
      if (!isCancelled) timer.start((call) => this.fabric.soon(this.fabric.clock, call));
    }
    for (const socket of this.#sockets) socket.resume();
  }

  crash(): void {
    this.#state = "crashed";
    for (const timer of this.#timers) timer.cancel();
    for (const socket of this.#sockets) void socket.close();
    this.#overdue = [];
  }

  readdress(to: string): void {
    this.fabric.readdress(this.machine, checkHost(to, "change a host's address", this.machine.family));
  }

  soon(callback: () => void): void {
    this.fabric.soon(this.clock, callback);
  }

  forget(socket: MemorySocket): void {
    this.#sockets.delete(socket);
  }

  #start(callback: () => void, set: (call: () => void) => Timer): Timer {
    const timer = new HostTimer(this.#timers, () => {
      if (this.#state === "paused") {
        this.#overdue.push(timer);
        return;
      }
      timer.cancel();
      callback();
    });
    if (this.#state !== "crashed") timer.start(set);
    return timer;
  }
}

/** A copy of what a table has for a name. Throws as a resolver does when that is nothing. */
function known<T>(table: ReadonlyMap<string, readonly T[]>, name: string, what: string): T[] {
  const list = table.get(name) ?? [];
  if (list.length > 0) return [...list];
  const rule = `Cannot look up a ${what} as the network must know it: current value is ${name}`;
  throw Object.assign(new Error(rule), { code: "ENOTFOUND" });
}

function interfacesOf({ address, family }: Machine): readonly NetworkInterface[] {
  const lo: NetworkInterface = { name: "lo", address: "127.0.0.1", internal: true, netmask: "255.0.0.0" };
  if (family === 4) return [lo, { name: "eth0", address, internal: false, netmask: "255.255.255.0" }];
  return [
    lo,
    { name: "lo", address: "::1", internal: true, netmask: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
    { name: "eth0", address, internal: false, netmask: "ffff:ffff:ffff:ffff::" },
  ];
}

/** A timer that can be set again: when it comes due in a pause, it is due when the pause ends. */
class HostTimer implements Timer {
  readonly #all: Set<HostTimer>;
  readonly #call: () => void;
  #timer: Timer | undefined;

  constructor(all: Set<HostTimer>, call: () => void) {
    this.#all = all;
    this.#call = call;
  }

  start(set: (call: () => void) => Timer): void {
    this.#all.add(this);
    this.#timer = set(this.#call);
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#all.delete(this);
  }
}
