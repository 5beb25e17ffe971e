/**
 * The sockets of a node on the interfaces that it uses, while these come and go.
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

/** The options that say which sockets a node has. */
export interface SocketSettings extends BindSettings, InterfaceSettings {}

/** Looks, one a second, after which it is told that an address is not ready yet. */
const PATIENCE = 4;

/** What has changed at the interfaces. */
export interface InterfaceChanges {
  /** Those on which the node takes part from now on. */
  readonly joined: readonly Link[];
  /** Those that are gone. */
  readonly gone: readonly Link[];
  /** What could not be done. It is tried again. */
  readonly errors: readonly Error[];
}

/** An interface that is used. */
interface OpenLink {
  readonly link: Link;
  /** Sends multicast from there; absent as long as the group could not be joined there. */
  sender: DatagramSocket | undefined;
  /** Whether all has been done there that is to be done. */
  isDone: boolean;
  /** Whether it was told that something could not. */
  hasFailed: boolean;
  /** How many times its address was not ready yet. */
  waits: number;
}

/** What a node begins with. */
interface Begun {
  readonly mesh: DatagramSocket;
  readonly own: DatagramSocket;
  readonly links: readonly Link[];
  readonly route: Route | undefined;
  readonly missing: readonly (string | undefined)[];
  readonly ownSendsMulticast: boolean;
}

/** What a node sends and receives with. */
export class InterfaceSockets {
  /** Bound to the port of the mesh: receives multicast, and what is sent to the shared port. */
  readonly mesh: DatagramSocket;
  /** The interfaces that were not there when the node was opened, and are waited for: `undefined` is any. */
  readonly missing: readonly (string | undefined)[];
  readonly #settings: SocketSettings;
  readonly #ports: MeshPorts;
  readonly #binder: Binder;
  readonly #open = new Map<string, OpenLink>();
  /** Those that send multicast, until one comes or goes. */
  #knownSenders: readonly DatagramSocket[] | undefined;
  #multicastError: Error | undefined;
  readonly #ownSends: boolean;
  #own: DatagramSocket;
  #host: string;
  #route: Route | undefined;
  #last: Promise<unknown> = Promise.resolve();
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
      await opened.#begin(multicastError);
      return opened;
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  private constructor(settings: SocketSettings, ports: MeshPorts, binder: Binder, begun: Begun) {
    const { mesh, own, links, route, missing, ownSendsMulticast } = begun;
    this.missing = missing;
    this.#settings = settings;
    this.#ports = ports;
    this.#binder = binder;
    this.mesh = mesh;
    this.#own = own;
    this.#host = this.#hostFor(links);
    this.#route = route;
    // A socket that an interface was named to goes on sending there.
    this.#ownSends = ownSendsMulticast && links[0]?.ref === undefined;
    const sender = ownSendsMulticast ? own : undefined;
    const isDone = sender !== undefined || !settings.multicast;
    // One interface that has no multicast is told of otherwise.
    const hasFailed = !isDone && settings.interfaces === undefined;
    for (const link of links) this.#open.set(keyOf(link), { link, sender, isDone, hasFailed, waits: 0 });
  }

  /** Sends everything but multicast, and receives what is sent to this node alone. */
  get own(): DatagramSocket {
    return this.#own;
  }

  /** Host and port that the node advertises. */
  get advertised(): Endpoint {
    return { host: this.#host, port: this.#own.port };
  }

  /** Whether one of the sockets has a port: those that send multicast have some of their own. */
  hasPort(port: number): boolean {
    if (port === this.#own.port || port === this.mesh.port) return true;
    for (const { sender } of this.#open.values()) if (sender?.port === port) return true;
    return false;
  }

  /** Whether multicast can be sent. */
  get hasMulticast(): boolean {
    return this.#senders().length > 0;
  }

  /** Whether something could not be done that is to be tried again. */
  get isIncomplete(): boolean {
    for (const { isDone } of this.#open.values()) if (!isDone) return true;
    return false;
  }

  /** Why there was no multicast when the node was opened, when there should have been. */
  get multicastError(): Error | undefined {
    return this.#multicastError;
  }

  /** The interfaces that the node uses now, and what sends multicast from there. */
  get all(): readonly { readonly link: Link; readonly sender: DatagramSocket | undefined }[] {
    return Array.from(this.#open.values(), ({ link, sender }) => ({ link, sender }));
  }

  /**
   * Whether the system would choose another interface or address for the group than when it was last asked, if it is the
   * system that chooses. Never rejects.
   */
  async hasRouteMoved(): Promise<boolean> {
    if (!this.#isSystemsChoice() || this.#ports.routeTo === undefined) return false;
    const route = await routeFor(this.#settings, this.#ports);
    // It may fail for a moment, as when no file descriptor is left.
    return route !== undefined && route.source !== this.#route?.source;
  }

  /** Sends datagrams to one endpoint, in their order. Resolves to why some were not sent, if any; never rejects. */
  sendTo(datagrams: readonly Uint8Array[], { host, port }: Endpoint): Promise<Unsent> {
    return sendAll(this.#own, datagrams, host, port);
  }

  /** Sends to the group, from each interface. What one of them took is sent; never rejects. */
  sendToGroup(datagrams: readonly Uint8Array[]): Promise<Unsent> {
    const senders = this.#senders();
    // Nearly always there is one.
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
   * Follows a new list of addresses, and tries again what could not be done before. One call after the other. Never rejects.
   */
  update(list: readonly NetworkInterface[]): Promise<InterfaceChanges> {
    const done = this.#last.then(() => this.#update(list));
    this.#last = done;
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
      const open: OpenLink = before ?? { link, sender: undefined, isDone: false, hasFailed: false, waits: 0 };
      if (this.#isClosed || open.isDone) continue;
      this.#open.set(keyOf(link), open);
      try {
        await this.#rebind(link);
        if (this.#settings.multicast) await this.#join(open);
        open.isDone = true;
        open.hasFailed = false;
        joined.push(link);
      } catch (error) {
        if (this.#isToBeTold(open, error)) errors.push(asError(error));
      }
    }
    const [first] = links;
    if (first !== undefined && this.#isBoundTo(first)) this.#host = this.#hostFor(links);
    return { joined: without(joined, gone), gone: without(gone, joined), errors };
  }

  /** Binds sockets that send, after `close`: for a moment. `close` frees them as well. */
  async reopen(): Promise<void> {
    const [first] = this.#open.values();
    this.#own = await this.#binder.own(ownHost(this.#settings, first?.link), first?.link, 0, this.#ownSends);
    for (const open of this.#open.values()) {
      if (open.sender === undefined) continue;
      open.sender = this.#ownSends ? this.#own : await this.#binder.sender(open.link);
      this.#knownSenders = undefined;
    }
  }

  /** Closes all sockets. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const senders = Array.from(this.#open.values(), ({ sender }) => sender).filter((sender) => sender !== undefined);
    const sockets = new Set([this.mesh, this.#own, ...senders]);
    const results = await Promise.allSettled(Array.from(sockets, (socket) => socket.close()));
    await this.#last;
    for (const result of results) {
      if (result.status === "rejected") throw result.reason;
    }
  }

  /** Joins the group on several interfaces: one of them is enough. */
  async #begin(multicastError: Error | undefined): Promise<void> {
    this.#multicastError = multicastError;
    if (this.#settings.interfaces === undefined || !this.#settings.multicast) return;
    for (const open of this.#open.values()) {
      try {
        await this.#join(open);
        open.isDone = true;
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
    // Where the system chooses the interface it does so for each datagram; else a socket knows the one that is gone.
    if (link.ref === undefined && this.#ownSends) {
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
      // What was joined by the system's choice cannot be left as long as there is no route.
      if (this.#isSystemsChoice() && link.ref !== undefined) await this.mesh.leave(this.#settings.group, undefined);
      if (sender !== this.#own && sender !== this.mesh) await sender?.close();
    } catch { /* The mesh is closed. */ }
  }

  /** A socket that was bound to an address that is gone is bound to the new one, with its port if that can be had. */
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

  /** A failure is told once, and that an address is not ready only when it takes longer than usual. */
  #isToBeTold(open: OpenLink, error: unknown): boolean {
    if (open.hasFailed || (isNotReady(error, this.#settings) && ++open.waits < PATIENCE)) return false;
    open.hasFailed = true;
    return true;
  }

  #senders(): readonly DatagramSocket[] {
    return this.#knownSenders ??= Array.from(this.#open.values(), ({ sender }) => sender)
      .filter((sender) => sender !== undefined);
  }

  #isSystemsChoice(): boolean {
    return isSystemsChoice(this.#settings);
  }

  #hostFor(links: readonly Link[]): string {
    const { advertise, family } = this.#settings;
    return advertise === undefined || isUnspecified(advertise.host) ? advertisedHost(links, family) : advertise.host;
  }
}

/** The own socket is bound to the address of the one interface that was named, else to all. */
function ownHost({ interface: one, family }: SocketSettings, link: Link | undefined): string {
  return one === undefined || link === undefined ? UNSPECIFIED[family] : link.address;
}

function keyOf({ name, address, ref }: Link): string {
  return `${name} ${address} ${ref}`;
}

function isSystemsChoice({ interface: one, interfaces }: SocketSettings): boolean {
  return one === undefined && interfaces === undefined;
}

async function routeFor(settings: SocketSettings, { routeTo }: MeshPorts): Promise<Route | undefined> {
  return isSystemsChoice(settings) ? await routeOf(settings.group, routeTo) : undefined;
}

/** An interface that is only called otherwise by now is neither gone nor new. */
function without(links: readonly Link[], others: readonly Link[]): readonly Link[] {
  return links.filter(({ name, address }) => !others.some((other) => other.name === name && other.address === address));
}

/**
 * Joins a group with another socket than the one that is to hear it. Linux lets a socket join 20 at a time, and hands what a
 * host has joined on an interface to all that are bound to no address. Systems that do not have no such limit either.
 */
async function joinInstead(socket: DatagramSocket, group: string, { ref }: Link, failure: Error): Promise<void> {
  try {
    await socket.join(group, ref);
  } catch {
    await socket.close();
    throw failure;
  }
}
