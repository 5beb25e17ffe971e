/**
 * Interface sockets: the sockets of a node on the interfaces that it uses, which may come and go.
 *
 * @module
 */

import type { DatagramHandlers, DatagramSocket, Unsent } from "../platform/datagram_socket.ts";
import { type Endpoint, isUnspecified } from "../platform/endpoint.ts";
import { asError } from "../platform/error_message.ts";
import type { NetworkInterface } from "../platform/host.ts";
import type { MeshPorts } from "../platform/ports.ts";
import { Binder, type BindSettings, isNotReady } from "./bind_sockets.ts";
import {
  advertisedHost,
  type InterfaceSettings,
  type Link,
  linksOf,
  listed,
  missingInterfaces,
  type Route,
  routeOf,
  UNSPECIFIED,
} from "./interfaces.ts";
import { sendAll } from "./send_all.ts";

/** The options that decide which sockets a node has. */
export interface SocketSettings extends BindSettings, InterfaceSettings {}

/** Attempts, one a second, after which it is reported that an address is not ready yet. */
const READY_LOOKS = 4;

/** The changes of one update of the interfaces. */
export interface InterfaceChanges {
  /** Interfaces on which the node takes part from now on. */
  readonly joined: readonly Link[];
  /** Interfaces that are gone. */
  readonly gone: readonly Link[];
  /** What could not be done. It is tried again. */
  readonly errors: readonly Error[];
}

/** An interface that is used. */
interface OpenLink {
  readonly link: Link;
  /** The socket that sends multicast from there. Absent as long as the group could not be joined there. */
  sender: DatagramSocket | undefined;
  /** Whether it is set up completely. */
  isComplete: boolean;
  /** Whether a failure to set it up was reported. */
  hasFailed: boolean;
  /** How many times its address was not ready. */
  notReadyCount: number;
}

/** The sockets and interfaces with which a node is opened. */
interface InitialSockets {
  readonly mesh: DatagramSocket;
  readonly own: DatagramSocket;
  readonly links: readonly Link[];
  readonly route: Route | undefined;
  readonly missing: readonly (string | undefined)[];
  readonly ownSendsMulticast: boolean;
}

/**
 * Holds the sockets of a node: one on the port of the mesh, one on its own port, and one for each interface that sends
 * multicast.
 */
export class InterfaceSockets {
  /** Bound to the port of the mesh: receives multicast, and what is sent to the shared port. */
  readonly mesh: DatagramSocket;
  /**
   * The interfaces that were missing when the node was opened, and are waited for. `undefined` stands for any
   * interface.
   */
  readonly missing: readonly (string | undefined)[];
  readonly #settings: SocketSettings;
  readonly #ports: MeshPorts;
  readonly #binder: Binder;
  readonly #open = new Map<string, OpenLink>();
  /** The sockets that send multicast, cached until an interface comes or goes. */
  #knownSenders: readonly DatagramSocket[] | undefined;
  #multicastError: Error | undefined;
  readonly #ownSendsMulticast: boolean;
  #own: DatagramSocket;
  #host: string;
  #route: Route | undefined;
  #lastUpdate: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** Binds the sockets that the settings ask for. Nothing stays bound when it rejects. */
  static async open(settings: SocketSettings, ports: MeshPorts, handlers: DatagramHandlers): Promise<InterfaceSockets> {
    const missing = missingInterfaces(settings, ports);
    const binder = new Binder(settings, ports, handlers);
    const route = await routeFor(settings, ports);
    const links = linksOf(settings, listed(ports.networkInterfaces), route);
    const [first] = links;
    const isOneLink = settings.interfaces === undefined;
    const { mesh, multicastError } = await binder.mesh(isOneLink ? first : undefined);
    try {
      const hasMulticast = settings.multicast && isOneLink && multicastError === undefined;
      const own = binder.isOne
        ? mesh
        : await binder.ownSoon(ownHost(settings, first), first, settings.advertise?.port ?? 0, hasMulticast);
      const opened = new InterfaceSockets(settings, ports, binder, {
        mesh,
        own,
        links,
        route,
        missing,
        ownSendsMulticast: hasMulticast,
      });
      await opened.#joinAll(multicastError);
      return opened;
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  private constructor(settings: SocketSettings, ports: MeshPorts, binder: Binder, initial: InitialSockets) {
    const { mesh, own, links, route, missing, ownSendsMulticast } = initial;
    this.missing = missing;
    this.#settings = settings;
    this.#ports = ports;
    this.#binder = binder;
    this.mesh = mesh;
    this.#own = own;
    this.#host = this.#hostFor(links);
    this.#route = route;
    // A socket that was bound for a named interface goes on sending there.
    this.#ownSendsMulticast = ownSendsMulticast && links[0]?.ref === undefined;
    const sender = ownSendsMulticast ? own : undefined;
    const isComplete = sender !== undefined || !settings.multicast;
    // When the one interface has no multicast, `multicastError` reports it.
    const hasFailed = !isComplete && settings.interfaces === undefined;
    for (const link of links) this.#open.set(keyOf(link), { link, sender, isComplete, hasFailed, notReadyCount: 0 });
  }

  /** Sends everything but multicast, and receives what is sent to this node alone. */
  get own(): DatagramSocket {
    return this.#own;
  }

  /** Host and port that the node advertises. */
  get advertised(): Endpoint {
    return { host: this.#host, port: this.#own.port };
  }

  /** Whether one of the sockets has the port `port`. Sockets that send multicast have ports of their own. */
  hasPort(port: number): boolean {
    if (port === this.#own.port || port === this.mesh.port) return true;
    for (const { sender } of this.#open.values()) if (sender?.port === port) return true;
    return false;
  }

  /** Whether multicast can be sent. */
  get hasMulticast(): boolean {
    return this.#senders().length > 0;
  }

  /** Whether an interface is not set up completely, so that `update` has to try again. */
  get isIncomplete(): boolean {
    for (const { isComplete } of this.#open.values()) if (!isComplete) return true;
    return false;
  }

  /** Why there was no multicast when the node was opened, although the options asked for it. */
  get multicastError(): Error | undefined {
    return this.#multicastError;
  }

  /** The interfaces that the node uses now, and the sockets that send multicast from them. */
  get all(): readonly { readonly link: Link; readonly sender: DatagramSocket | undefined }[] {
    return Array.from(this.#open.values(), ({ link, sender }) => ({ link, sender }));
  }

  /**
   * Whether the system now chooses another interface or address for the group than before, if the choice is the
   * system's. Never rejects.
   */
  async hasRouteMoved(): Promise<boolean> {
    if (!this.#isSystemChosen() || this.#ports.routeTo === undefined) return false;
    const route = await routeFor(this.#settings, this.#ports);
    // It may fail for a moment, such as when no file descriptor is left.
    return route !== undefined && route.source !== this.#route?.source;
  }

  /** Sends datagrams to one endpoint, in their order. Resolves to the reasons why some were not sent. Never rejects. */
  sendTo(datagrams: readonly Uint8Array[], { host, port }: Endpoint): Promise<Unsent> {
    return sendAll(this.#own, datagrams, host, port);
  }

  /** Sends to the group from each interface. A datagram counts as sent when one of them took it. Never rejects. */
  sendToGroup(datagrams: readonly Uint8Array[]): Promise<Unsent> {
    const senders = this.#senders();
    // Nearly always there is one sender.
    return senders.length === 1
      ? sendAll(senders[0] as DatagramSocket, datagrams, this.#settings.group, this.mesh.port)
      : this.#sendFromEach(datagrams);
  }

  async #sendFromEach(datagrams: readonly Uint8Array[]): Promise<Unsent> {
    const failure = new Error("Cannot send to the group as no interface has multicast now");
    let all: Unsent = datagrams.map(() => failure);
    for (const sender of this.#senders()) {
      const unsent = await sendAll(sender, datagrams, this.#settings.group, this.mesh.port);
      all = unsent && all?.map((error, i) => error && unsent[i]);
    }
    return all?.some((error) => error !== undefined) ? all : undefined;
  }

  /**
   * Applies a new list of addresses, and tries again what could not be done before. Calls run one after the other.
   * Never rejects.
   */
  update(list: readonly NetworkInterface[]): Promise<InterfaceChanges> {
    const done = this.#lastUpdate.then(() => this.#update(list));
    this.#lastUpdate = done;
    return done;
  }

  async #update(list: readonly NetworkInterface[]): Promise<InterfaceChanges> {
    this.#route = await routeFor(this.#settings, this.#ports) ?? this.#route;
    const links = linksOf(this.#settings, list, this.#route);
    const wanted = new Set(links.map(keyOf));
    const gone: Link[] = [];
    const joined: Link[] = [];
    const errors: Error[] = [];
    for (const [key, open] of this.#open) {
      if (wanted.has(key)) continue;
      this.#open.delete(key);
      this.#knownSenders = undefined;
      await this.#leave(open);
      gone.push(open.link);
    }
    for (const link of links) {
      const before = this.#open.get(keyOf(link));
      const open: OpenLink = before ??
        { link, sender: undefined, isComplete: false, hasFailed: false, notReadyCount: 0 };
      if (this.#isClosed || open.isComplete) continue;
      this.#open.set(keyOf(link), open);
      try {
        await this.#rebind(link);
        if (this.#settings.multicast) await this.#join(open);
        open.isComplete = true;
        open.hasFailed = false;
        joined.push(link);
      } catch (error) {
        if (this.#isToBeReported(open, error)) errors.push(asError(error));
      }
    }
    const [first] = links;
    if (first !== undefined && this.#isBoundTo(first)) this.#host = this.#hostFor(links);
    return { joined: without(joined, gone), gone: without(gone, joined), errors };
  }

  /** Binds the sockets that send once more, after `close`, for a short time. Another `close` frees them as well. */
  async reopen(): Promise<void> {
    const [first] = this.#open.values();
    this.#own = await this.#binder.own(ownHost(this.#settings, first?.link), first?.link, 0, this.#ownSendsMulticast);
    for (const open of this.#open.values()) {
      if (open.sender === undefined) continue;
      open.sender = this.#ownSendsMulticast ? this.#own : await this.#binder.sender(open.link);
      this.#knownSenders = undefined;
    }
  }

  /** Closes all sockets. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const senders = Array.from(this.#open.values(), ({ sender }) => sender).filter((sender) => sender !== undefined);
    const sockets = new Set([this.mesh, this.#own, ...senders]);
    const results = await Promise.allSettled(Array.from(sockets, (socket) => socket.close()));
    await this.#lastUpdate;
    for (const result of results) {
      if (result.status === "rejected") throw result.reason;
    }
  }

  /** Joins the group on several interfaces. It is enough when one of them succeeds. */
  async #joinAll(multicastError: Error | undefined): Promise<void> {
    this.#multicastError = multicastError;
    if (this.#settings.interfaces === undefined || !this.#settings.multicast) return;
    for (const open of this.#open.values()) {
      try {
        await this.#join(open);
        open.isComplete = true;
      } catch (error) {
        this.#multicastError ??= error as Error;
      }
    }
    if (this.hasMulticast) this.#multicastError = undefined;
    else if (this.#multicastError !== undefined) {
      const cause = this.#multicastError;
      try {
        this.#binder.checkHasSeeds(cause);
      } catch (error) {
        await this.close();
        throw error;
      }
    }
  }

  async #join(open: OpenLink): Promise<void> {
    const { link } = open;
    const { group } = this.#settings;
    // Where the system chooses the interface, it chooses for each datagram. A socket that an interface was named to
    // keeps the one that is gone.
    if (link.ref === undefined && this.#ownSendsMulticast) {
      await this.mesh.join(group, link.ref);
      open.sender = this.#own;
      this.#knownSenders = undefined;
      return;
    }
    await this.#binder.checkIsHeard(link);
    const failure = await this.mesh.join(group, link.ref).then(() => undefined, asError);
    const sender = await this.#binder.sender(link);
    if (failure !== undefined) await joinInstead(sender, group, link, failure);
    open.sender = sender;
    this.#knownSenders = undefined;
    if (this.#isClosed) await sender.close();
  }

  async #leave({ link, sender }: OpenLink): Promise<void> {
    try {
      await this.mesh.leave(this.#settings.group, link.ref);
      // A membership by the system's choice cannot be left as long as there is no route.
      if (this.#isSystemChosen() && link.ref !== undefined) await this.mesh.leave(this.#settings.group, undefined);
      if (sender !== this.#own && sender !== this.mesh) await sender?.close();
    } catch { /* The mesh is closed. */ }
  }

  /** Binds the own socket again when its address is gone: to the new address, with its port if that can be had. */
  async #rebind(link: Link): Promise<void> {
    const { interface: one } = this.#settings;
    const old = this.#own;
    if (one === undefined || old === this.mesh || this.#isBoundTo(link)) return;
    let own: DatagramSocket;
    try {
      own = await this.#binder.own(link.address, link, old.port, false);
    } catch {
      own = await this.#binder.own(link.address, link, 0, false);
    }
    this.#own = own;
    await (this.#isClosed ? own : old).close();
  }

  /** Whether the own socket can be reached at the address of an interface. */
  #isBoundTo({ address }: Link): boolean {
    const { interface: one } = this.#settings;
    return one === undefined || this.#own === this.mesh || isUnspecified(this.#own.host) || this.#own.host === address;
  }

  /** Whether to report a failure: once, and that an address is not ready only when it takes longer than usual. */
  #isToBeReported(open: OpenLink, error: unknown): boolean {
    if (open.hasFailed || (isNotReady(error, this.#settings) && ++open.notReadyCount < READY_LOOKS)) return false;
    open.hasFailed = true;
    return true;
  }

  #senders(): readonly DatagramSocket[] {
    return this.#knownSenders ??= Array.from(this.#open.values(), ({ sender }) => sender)
      .filter((sender) => sender !== undefined);
  }

  #isSystemChosen(): boolean {
    return isSystemChosen(this.#settings);
  }

  #hostFor(links: readonly Link[]): string {
    const { advertise, family } = this.#settings;
    return advertise === undefined || isUnspecified(advertise.host) ? advertisedHost(links, family) : advertise.host;
  }
}

/** The address that the own socket is bound to: that of the one interface that was named, else all. */
function ownHost({ interface: one, family }: SocketSettings, link: Link | undefined): string {
  return one === undefined || link === undefined ? UNSPECIFIED[family] : link.address;
}

function keyOf({ name, address, ref }: Link): string {
  return `${name} ${address} ${ref}`;
}

function isSystemChosen({ interface: one, interfaces }: SocketSettings): boolean {
  return one === undefined && interfaces === undefined;
}

async function routeFor(settings: SocketSettings, { routeTo }: MeshPorts): Promise<Route | undefined> {
  return isSystemChosen(settings) ? await routeOf(settings.group, routeTo) : undefined;
}

/**
 * Links without those whose name and address are among `others`: an interface that sockets only refer to differently
 * now is neither gone nor new.
 */
function without(links: readonly Link[], others: readonly Link[]): readonly Link[] {
  return links.filter(({ name, address }) => !others.some((other) => other.name === name && other.address === address));
}

/**
 * Joins a group with another socket than the one that is to receive it. Linux lets a socket join 20 groups at a time,
 * and delivers what a host has joined on an interface to all sockets that are bound to no address. Systems that do not
 * deliver so have no such limit.
 */
async function joinInstead(socket: DatagramSocket, group: string, { ref }: Link, failure: Error): Promise<void> {
  try {
    await socket.join(group, ref);
  } catch {
    await socket.close();
    throw failure;
  }
}
