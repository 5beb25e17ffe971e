/**
 * Interface selection: which interfaces and addresses of this host the mesh uses.
 *
 * @module
 */

import { MeshOpenError } from "../errors.ts";
import { type Endpoint, type Family, isIpv4, isLinkLocal, isLoopback } from "../platform/endpoint.ts";
import type { NetworkInterface, NetworkInterfaces, RouteTo } from "../platform/host.ts";
import { familyOf, hostLiteral } from "./address_family.ts";

/** An interface that the mesh uses. */
export interface Link {
  /** The system's name of it. Absent when interfaces cannot be listed. */
  readonly name: string | undefined;
  /** Its address of the mesh's family, with a zone when it is link-local. */
  readonly address: string;
  /**
   * How sockets refer to it: by its address with IPv4, by its name with IPv6. Absent when the choice is the system's.
   */
  readonly ref: string | undefined;
  /** Whether it is a loopback interface, which reaches this host only. */
  readonly internal: boolean;
}

/** The system's route to the group. */
export interface Route {
  /** The address of this host that datagrams to the group leave from. `undefined` when no route leads there. */
  readonly source: string | undefined;
}

/** The route to a group. `undefined` when it cannot be determined. */
export async function routeOf(group: string, routeTo: RouteTo | undefined): Promise<Route | undefined> {
  try {
    return routeTo && { source: await routeTo(group) };
  } catch {
    return undefined;
  }
}

/** The options that decide which interfaces a mesh uses. */
export interface InterfaceSettings {
  readonly family: Family;
  /** The one interface that was named. */
  readonly interface: string | undefined;
  /** All interfaces, or those of a list, each once. */
  readonly interfaces: "all" | readonly string[] | undefined;
  readonly waitForInterface: boolean;
}

/** The unspecified address of each family, which stands for all addresses of a host. */
export const UNSPECIFIED: Readonly<Record<Family, string>> = { 4: "0.0.0.0", 6: "::" };

/** The addresses of this host. `undefined` when they may not be listed; `onError` then gets the cause. */
export function listed(
  list: NetworkInterfaces,
  onError?: (cause: unknown) => void,
): readonly NetworkInterface[] | undefined {
  try {
    return list();
  } catch (cause) {
    onError?.(cause);
    return undefined;
  }
}

/**
 * The interfaces that the options name and that are there, with one address of each.
 *
 * When the options name none, it is the interface that the system chooses: that of the route, or the first that reaches
 * other hosts when the route is not known. When there is no route the system cannot choose, and the first such
 * interface is named to it.
 */
export function linksOf(
  settings: InterfaceSettings,
  list: readonly NetworkInterface[] | undefined,
  route?: Route,
): readonly Link[] {
  const { family, interface: one, interfaces } = settings;
  const isSystemChosen = one === undefined && interfaces === undefined;
  const unknown = { name: undefined, address: UNSPECIFIED[family], ref: undefined, internal: false };
  if (list === undefined) {
    const literal = one === undefined ? undefined : hostLiteral(one, family);
    return literal === undefined ? [unknown] : [{ ...unknown, address: literal, ref: literal }];
  }
  const all = linksByName(family, list);
  if (isSystemChosen) {
    const [first] = [...all.filter(({ internal }) => !internal), ...all];
    const chosen = route?.source === undefined ? undefined : interfaceOf(route.source, family, list);
    if (chosen !== undefined) return [{ ...toLink(chosen, family), ref: undefined }];
    if (first === undefined) return [unknown];
    const isNamed = route !== undefined && route.source === undefined && !first.internal;
    return [isNamed ? toLink(first, family) : { ...toLink(first, family), ref: undefined }];
  }
  if (interfaces === "all") {
    const reaching = all.filter(({ internal }) => !internal);
    return distinct((reaching.length > 0 ? reaching : all).map((found) => toLink(found, family)));
  }
  const wanted = interfaces ?? [one as string];
  return distinct(wanted.flatMap((text) => {
    const found = findLink(text, family, list);
    return found === undefined ? [] : [toLink(found, family)];
  }));
}

/**
 * The missing interfaces: those that the options name, or, when they leave the choice to the system, any that reaches
 * other hosts (`undefined`). Only those that the mesh may wait for.
 *
 * @throws {MeshOpenError} when an interface is missing that the mesh may not wait for
 */
export function missingInterfaces(
  settings: InterfaceSettings,
  ports: { readonly networkInterfaces: NetworkInterfaces },
): readonly (string | undefined)[] {
  const { family, interface: one, interfaces, waitForInterface } = settings;
  const wanted = wantedOf(settings);
  if (wanted.length === 0 && (interfaces === undefined || waitForInterface)) {
    return absentInterfaces(settings, listed(ports.networkInterfaces));
  }
  let list: readonly NetworkInterface[];
  try {
    list = ports.networkInterfaces();
  } catch (cause) {
    if (family === 4 && wanted.length === 1 && isIpv4(wanted[0] as string)) return [];
    throw new MeshOpenError(
      "interface",
      one ?? interfaces,
      "`interface` must be an address unless interfaces may be listed (on Deno --allow-sys=networkInterfaces)",
      cause,
    );
  }
  const all = absentInterfaces(settings, list);
  const [missing] = all;
  if (missing === undefined || waitForInterface) return all;
  const known = list.filter(({ address }) => familyOf(address) === family);
  const names = known.map(({ name, address }) => `${name} (${address})`).join(", ");
  const rule = `\`interface\` must name one that is up and has an IPv${family} address: ${names}`;
  throw new MeshOpenError("interface", missing, rule);
}

/**
 * The same at any later moment, and none without a list. `undefined` stands for any interface that reaches other hosts,
 * if the mesh waits for one.
 */
export function absentInterfaces(
  settings: InterfaceSettings,
  list: readonly NetworkInterface[] | undefined,
): readonly (string | undefined)[] {
  const { family, waitForInterface } = settings;
  if (list === undefined) return [];
  const wanted = wantedOf(settings);
  if (wanted.length > 0) return wanted.filter((text) => findLink(text, family, list) === undefined);
  const isThere = list.some(({ address, internal }) => !internal && familyOf(address) === family);
  return isThere || !waitForInterface ? [] : [undefined];
}

function wantedOf({ interface: one, interfaces }: InterfaceSettings): readonly string[] {
  if (one !== undefined) return [one];
  return Array.isArray(interfaces) ? interfaces as readonly string[] : [];
}

/**
 * The host that a node advertises by default. It is a loopback address only when there is no other. It is the
 * unspecified address, which receivers replace by the datagram's source, when interfaces cannot be listed or there is
 * only a link-local address, whose zone differs from host to host.
 */
export function advertisedHost(links: readonly Link[], family: Family): string {
  const [first] = links;
  return first === undefined || first.address.includes("%") ? UNSPECIFIED[family] : first.address;
}

/** The addresses of this host, to check where received heartbeats may direct what a node sends. */
export class LocalAddresses {
  readonly #own = new Set(["::1"]);
  readonly #broadcast = new Set(["127.255.255.255"]);

  /** Without a list, only the loopback network is known. */
  constructor(list: readonly NetworkInterface[] | undefined) {
    for (const { name, address, netmask } of list ?? []) {
      this.#own.add(address);
      // Datagrams from such an address have the zone, and not all runtimes list it.
      if (isLinkLocal(address) && !address.includes("%")) this.#own.add(`${address}%${name}`);
      const broadcast = broadcastOf(address, netmask);
      if (broadcast !== undefined) this.#broadcast.add(broadcast);
    }
  }

  /**
   * Whether a node that was heard from `source` may be at `host`. Not at the broadcast address of a network of this
   * host, and at a loopback address only if it is on this host itself: heartbeats can be forged.
   */
  mayBeAt(host: string, source: Endpoint): boolean {
    if (this.#broadcast.has(host)) return false;
    return !isLoopback(host) || this.isOwn(source.host);
  }

  /** Whether `host` is an address of this host. */
  isOwn(host: string): boolean {
    return isLoopback(host) || this.#own.has(host);
  }
}

/**
 * The interface from which a datagram with the address `source` leaves. With IPv6, preferably an address of it that is
 * not link-local.
 */
function interfaceOf(source: string, family: Family, list: readonly NetworkInterface[]): NetworkInterface | undefined {
  const [bare, zone] = source.split("%");
  const isThere = ({ name, address }: NetworkInterface) =>
    address.split("%")[0] === bare && (zone === undefined || zone === name);
  const found = list.find(isThere);
  if (found === undefined || !isLinkLocal(source)) return found;
  return linksByName(family, list).find(({ name }) => name === found.name);
}

/** One address of each interface. With IPv6, preferably one that is not link-local. */
function linksByName(family: Family, list: readonly NetworkInterface[]): readonly NetworkInterface[] {
  const byName = new Map<string, NetworkInterface>();
  for (const found of list) {
    if (familyOf(found.address) !== family) continue;
    const before = byName.get(found.name);
    if (before === undefined || (isLinkLocal(before.address) && !isLinkLocal(found.address))) {
      byName.set(found.name, found);
    }
  }
  return [...byName.values()];
}

function findLink(text: string, family: Family, list: readonly NetworkInterface[]): NetworkInterface | undefined {
  const byAddress = list.find(({ address }) => familyOf(address) === family && sameAddress(address, text, family));
  const all = linksByName(family, list);
  return byAddress ?? all.find(({ name }) => name === text) ?? all.find(({ name }) => deviceOf(name) === text);
}

function sameAddress(address: string, text: string, family: Family): boolean {
  return address === text || (family === 6 && hostLiteral(text, family)?.split("%")[0] === address.split("%")[0]);
}

/**
 * The device of a name. Linux lists the label of an address as a name, `eth0:1` for one of `eth0`. On other systems a
 * name may contain a colon too, but not followed by a number alone.
 */
function deviceOf(name: string): string {
  return name.replace(/:\d+$/, "");
}

/** Each interface once, by whatever name it was given: what is sent by one interface twice is received twice. */
function distinct(links: readonly Link[]): readonly Link[] {
  const devices = new Set<string>();
  const refs = new Set<string | undefined>();
  return links.filter(({ name, ref }) => {
    const device = deviceOf(name ?? "");
    const isNew = !devices.has(device) && !refs.has(ref);
    devices.add(device);
    refs.add(ref);
    return isNew;
  });
}

function toLink({ name, address, internal }: NetworkInterface, family: Family): Link {
  const zoned = isLinkLocal(address) && !address.includes("%") ? `${address}%${name}` : address;
  return { name, address: zoned, ref: family === 4 ? address : name, internal };
}

/** The broadcast address of a network. Networks of one or two addresses have none, as all are hosts' (RFC 3021). */
export function broadcastOf(address: string, netmask: string): string | undefined {
  if (!isIpv4(address) || !isIpv4(netmask)) return undefined;
  const mask = netmask.split(".").map(Number);
  if ((mask[3] as number) >= 254) return undefined;
  return address.split(".").map((byte, i) => Number(byte) | (~(mask[i] as number) & 255)).join(".");
}
