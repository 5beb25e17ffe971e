/**
 * Memory host: a process on a simulated host, with the ports that a mesh needs.
 *
 * @module
 */

import type { Clock, Timer } from "../../src/platform/clock.ts";
import type { Bind } from "../../src/platform/datagram_socket.ts";
import { isIpv4 } from "../../src/platform/endpoint.ts";
import type {
  NetworkInterface,
  NetworkInterfaces,
  RandomBytes,
  Resolve,
  ResolveSrv,
  RouteTo,
} from "../../src/platform/host.ts";
import { checkKnown, knownOptions } from "../../src/platform/known_options.ts";
import type { MeshPorts } from "../../src/platform/ports.ts";
import { checkHost } from "./address.ts";
import { type Fabric, MAX_AT_ONCE } from "./fabric.ts";
import type { Machine } from "./machine.ts";
import { MemorySocket, type SocketOwner } from "./socket.ts";

/** Options of a process. */
export interface MemoryHostOptions {
  /**
   * Whether it has multicast. Without, `bind` with `joinGroup` rejects with `EMULTICAST`, and a `send` to a group with
   * `ENETUNREACH`.
   * @default {true}
   */
  readonly multicast?: boolean | undefined;
}

const HOST_OPTIONS = knownOptions<MemoryHostOptions>({ multicast: true });

/**
 * One process on a simulated host: all the ports that a mesh needs, and the ways in which a process fails. Ports can be
 * replaced one by one: `{ ...host, resolve: myResolve }`.
 */
export interface MemoryHost extends MeshPorts {
  /** The host's address on `eth0`, an IPv4 or IPv6 literal. */
  readonly address: string;
  /** What the process does at the moment. */
  readonly state: "running" | "paused" | "crashed";
  /**
   * Stops its event loop, as a long garbage collection or a stopped container does: no timer fires and no datagram is
   * read. Datagrams wait in the receive buffers, and are lost when these are full. What the test itself calls still
   * runs. Does nothing unless the process is running.
   */
  pause(): void;
  /**
   * Suspends the machine, as closing the lid of a laptop does. It is like {@linkcode MemoryHost.pause}, but `clock.now`
   * stands still, and so does the remaining time of timers, while `clock.wall` goes on, and datagrams sent to it
   * meanwhile are lost. {@linkcode MemoryHost.resume} wakes it. Does nothing unless the process is running.
   */
  suspend(): void;
  /**
   * Resumes it: first the timers that are due run, then the waiting datagrams are read. Does nothing unless it is
   * paused.
   */
  resume(): void;
  /**
   * Blocks its event loop for `ms` milliseconds, as a callback does that computes or reads a file: call it from within
   * one. The host's clock is ahead by `ms` at once, and what the callback sends after that leaves so much later. Until
   * the network's time has caught up, no timer fires and no datagram is read. Then it goes on as libuv does, which
   * reads up to 32 datagrams of a socket before it looks at its timers. If it was called while a datagram was handled,
   * the waiting ones come first, up to 31 more, each of which may block again; then the timers that are due; then the
   * rest, and what waits for the end of a turn.
   *
   * @example A subscriber that takes 10 ms a key
   * ```ts
   * import { MeshBus } from "@warp-mesh/bus";
   * import { MemoryNetwork } from "@warp-mesh/bus/memory";
   *
   * const host = new MemoryNetwork().host("10.0.0.1");
   * const mesh = await MeshBus.open({ ...host });
   * mesh.subscribe({ prefix: "" }, () => host.block(10));
   * ```
   *
   * @throws {RangeError} when `ms` is not a finite number from 0 up
   */
  block(ms: number): void;
  /**
   * Crashes it: its sockets are gone, none of its timers or handlers is called again, and what it sends or binds
   * afterwards rejects. {@linkcode MemoryNetwork.host} starts another process on the same host.
   */
  crash(): void;
  /**
   * Gives its host another address of the same family, as a new lease or a move does; all processes there have it.
   * Datagrams to the old address, or on their way there, reach no host. As on Linux, sockets bound to no address go on
   * with the new one and groups stay joined. A socket that is bound to the old address, or sends multicast by it, can
   * no longer send (`ENETUNREACH`, IPv4), or goes on sending from an address that no one can answer (IPv6). Faults,
   * cuts and partitions belong to the addresses.
   *
   * @throws {TypeError} when it is not a unicast literal of the host's family, or another host has it
   */
  readdress(to: string): void;
}

/** The internals of a {@linkcode MemoryHost}. */
export class HostProcess implements MemoryHost, SocketOwner {
  readonly bind: Bind;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly resolve: Resolve;
  readonly resolveSrv: ResolveSrv;
  readonly networkInterfaces: NetworkInterfaces;
  readonly routeTo: RouteTo;

  // Private fields, so that spreading the host into the options of a mesh copies the ports alone.
  readonly #fabric: Fabric;
  readonly #machine: Machine;
  readonly #hasMulticast: boolean;
  readonly #sockets = new Set<MemorySocket>();
  readonly #timers = new Set<HostTimer>();
  #overdue: HostTimer[] = [];
  #state: "running" | "paused" | "crashed" = "running";
  /** Until when, in the network's time, the host is ahead of it. */
  #blockedUntil = -Infinity;
  /** When it was suspended, in the network's time, and for how long in all. */
  #suspendedAt: number | undefined;
  #slept = 0;
  /** The latest time that its clock has returned. */
  #latest = -Infinity;
  /** The next step of resuming. Timers and datagrams are held while there is one. */
  #goingOn: Timer | undefined;
  /**
   * The socket whose datagram was being handled when the host was blocked, and how many of its datagrams were read in a
   * row since.
   */
  #reader: MemorySocket | undefined;
  #read = 0;

  constructor(fabric: Fabric, address: string, options: MemoryHostOptions = {}) {
    checkKnown("start a host", options, HOST_OPTIONS);
    const { multicast = true } = options;
    this.#fabric = fabric;
    this.#machine = fabric.machine(address);
    this.#hasMulticast = multicast;
    const { clock, random, names, services } = fabric;
    this.bind = async (options, handlers) => {
      if (this.#state === "crashed") throw new Error(`Cannot bind as the process on ${this.address} has crashed`);
      const socket = new MemorySocket(this, options, handlers);
      this.#sockets.add(socket);
      return socket;
    };
    this.clock = {
      now: () => {
        const now = Math.max(this.#suspendedAt ?? clock.now(), this.#blockedUntil) - this.#slept;
        // The suspended time is a sum, and its last digits are rounded: the clock could go back by some of them.
        return this.#latest = Math.max(this.#latest, now);
      },
      wall: () => Math.max(clock.now(), this.#blockedUntil),
      setTimer: (callback, delay) => {
        const ahead = Math.max(0, this.#blockedUntil - clock.now());
        const wait = Math.max(0, delay);
        return this.#start(callback, (call) => clock.setTimer(call, ahead + wait), false, this.clock.now() + wait);
      },
      setTurnEnd: (callback) => this.#start(callback, (call) => clock.setTurnEnd(call), true),
      holdWhile: (work) => clock.holdWhile?.(work),
    };
    this.randomBytes = (length) => random.bytes(length);
    // No name has a colon: it is an IPv6 literal.
    this.resolve = async (name) => isIpv4(name) || name.includes(":") ? [name] : known(names, name, "name");
    this.resolveSrv = async (name) => known(services, name, "service");
    this.networkInterfaces = () => interfacesOf(this.#machine);
    this.routeTo = async () => this.#machine.address;
  }

  get fabric(): Fabric {
    return this.#fabric;
  }

  get machine(): Machine {
    return this.#machine;
  }

  get address(): string {
    return this.#machine.address;
  }

  get state(): "running" | "paused" | "crashed" {
    return this.#state;
  }

  get isHeld(): boolean {
    return this.#state === "paused" || this.#goingOn !== undefined;
  }

  get multicast(): boolean {
    return this.#hasMulticast && this.#fabric.multicast;
  }

  pause(): void {
    if (this.#state === "running") this.#state = "paused";
  }

  suspend(): void {
    if (this.#state !== "running") return;
    this.#state = "paused";
    this.#suspendedAt = this.#fabric.clock.now();
  }

  /** Whether the machine is suspended: its sockets receive nothing then. */
  get isSuspended(): boolean {
    return this.#suspendedAt !== undefined;
  }

  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    this.#wake();
    if (this.#goingOn === undefined) this.#goOn(false);
  }

  block(ms: number): void {
    if (!Number.isFinite(ms) || ms < 0) {
      throw new RangeError(
        `Cannot block the host as the time must be a finite number of milliseconds from 0 up: current value is ${ms}`,
      );
    }
    if (this.#state === "crashed") return;
    this.#blockedUntil = this.clock.now() + this.#slept + ms;
    this.#catchUp();
  }

  /** Moves timers and a running block on by the time of the suspension. */
  #wake(): void {
    if (this.#suspendedAt === undefined) return;
    const { clock } = this.#fabric;
    const now = clock.now();
    const slept = now - this.#suspendedAt;
    const wasBlocked = this.#blockedUntil > this.#suspendedAt;
    this.#slept += slept;
    this.#suspendedAt = undefined;
    this.#overdue = this.#overdue.filter(({ isTurnEnd }) => isTurnEnd);
    for (const timer of [...this.#timers].sort((a, b) => a.due - b.due)) {
      if (timer.isTurnEnd) continue;
      timer.cancel();
      timer.start((call) => clock.setTimer(call, Math.max(0, timer.due + this.#slept - now)));
    }
    if (!wasBlocked) return;
    this.#blockedUntil += slept;
    this.#catchUp();
  }

  #catchUp(): void {
    const { clock } = this.#fabric;
    this.#goingOn?.cancel();
    // Timers set meanwhile for the same moment are due after those that are late already.
    this.#goingOn = clock.setTimer(() => this.#goOnSoon(), this.#blockedUntil - clock.now());
  }

  /** Called by a socket before one of its datagrams is handled. */
  reads(socket: MemorySocket): void {
    this.#reader = socket;
  }

  #goOnSoon(): void {
    this.#goingOn = this.#fabric.soon(this.#fabric.clock, () => {
      if (this.#state !== "running") {
        this.#goingOn = undefined;
        return;
      }
      // Set before, as the handler may block again.
      this.#goOnSoon();
      if (this.#reader !== undefined && ++this.#read < MAX_AT_ONCE && this.#reader.readOne()) return;
      this.#goingOn?.cancel();
      this.#goingOn = undefined;
      this.#goOn(true);
    });
  }

  #goOn(wasBlocked: boolean): void {
    this.#reader = undefined;
    this.#read = 0;
    const overdue = this.#overdue;
    this.#overdue = [];
    for (const timer of overdue) {
      const isCancelled = !this.#timers.has(timer);
      if (isCancelled) continue;
      const { clock } = this.#fabric;
      timer.start((call) => wasBlocked && timer.isTurnEnd ? clock.setTurnEnd(call) : this.#fabric.soon(clock, call));
    }
    for (const socket of this.#sockets) socket.resume();
  }

  crash(): void {
    this.#state = "crashed";
    this.#goingOn?.cancel();
    this.#goingOn = undefined;
    for (const timer of this.#timers) timer.cancel();
    for (const socket of this.#sockets) void socket.close();
    this.#overdue = [];
  }

  readdress(to: string): void {
    this.#fabric.readdress(this.#machine, checkHost(to, "change a host's address", this.#machine.family));
  }

  forget(socket: MemorySocket): void {
    this.#sockets.delete(socket);
  }

  #start(callback: () => void, set: (call: () => void) => Timer, isTurnEnd = false, due = 0): Timer {
    const timer = new HostTimer(this.#timers, isTurnEnd, due, () => {
      if (this.isHeld) {
        this.#overdue.push(timer);
        return;
      }
      timer.cancel();
      this.#reader = undefined;
      callback();
    });
    if (this.#state !== "crashed") timer.start(set);
    return timer;
  }
}

/** A copy of a table's entry for a name. Throws as a resolver does when there is none. */
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
  readonly isTurnEnd: boolean;
  /** When it is due, by the clock of the host. */
  readonly due: number;
  readonly #all: Set<HostTimer>;
  readonly #call: () => void;
  #timer: Timer | undefined;

  constructor(all: Set<HostTimer>, isTurnEnd: boolean, due: number, call: () => void) {
    this.isTurnEnd = isTurnEnd;
    this.due = due;
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
