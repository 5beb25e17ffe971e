/**
 * Which interfaces and addresses of this host the mesh uses.
 *
 * @module
 */

import { type Endpoint, isIpv4 } from "./address.ts";
import { MeshOpenError } from "./errors.ts";
import { type Family, familyOf, hostLiteral } from "./family.ts";
import type { NetworkInterface, NetworkInterfaces } from "./host.ts";
import type { Settings } from "./options.ts";

/** An interface that the mesh uses. */
export interface Link {
  /** The system's name; absent when interfaces cannot be listed. */
  readonly name: string | undefined;
  /** Its address of the mesh's family, with a zone when it is link-local. */
  readonly address: string;
  /** What sockets call it: its address with IPv4, its name with IPv6; absent for the system's choice. */
  readonly ref: string | undefined;
}

/** What stands for all addresses of a host. */
export const UNSPECIFIED: Readonly<Record<Family, string>> = { 4: "0.0.0.0", 6: "::" };

/** The addresses of this host; `undefined` when they may not be listed, which `onError` gets the cause of. */
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
 * The interfaces that the options name, as far as they are there: one address of each. Without any, the one whose address
 * others are told, which the system chooses by itself.
 */
export function linksOf(settings: Settings, list: readonly NetworkInterface[] | undefined): readonly Link[] {
  const { family, interface: one, interfaces } = settings;
  const isAny = one === undefined && interfaces === undefined;
  const unknown = { name: undefined, address: UNSPECIFIED[family], ref: undefined };
  if (list === undefined) {
    const literal = one === undefined ? undefined : hostLiteral(one, family);
    return literal === undefined ? [unknown] : [{ name: undefined, address: literal, ref: literal }];
  }
  const all = linksByName(family, list);
  if (isAny) {
    const [first] = [...all.filter(({ internal }) => !internal), ...all];
    return [first === undefined ? unknown : { ...toLink(first, family), ref: undefined }];
  }
  if (interfaces === "all") {
    const reaching = all.filter(({ internal }) => !internal);
    return (reaching.length > 0 ? reaching : all).map((found) => toLink(found, family));
  }
  const wanted = interfaces ?? [one as string];
  return wanted.flatMap((text) => {
    const found = findLink(text, family, list);
    return found === undefined ? [] : [toLink(found, family)];
  });
}

/** Checks that all interfaces that the options name are there. */
export function checkInterfaces(settings: Settings, ports: { readonly networkInterfaces: NetworkInterfaces }): void {
  const { family, interface: one, interfaces } = settings;
  const wanted = one !== undefined ? [one] : Array.isArray(interfaces) ? interfaces as readonly string[] : [];
  if (wanted.length === 0 && interfaces === undefined) return;
  let list: readonly NetworkInterface[];
  try {
    list = ports.networkInterfaces();
  } catch (cause) {
    if (family === 4 && wanted.length === 1 && isIpv4(wanted[0] as string)) return;
    throw new MeshOpenError(
      "interface",
      one ?? interfaces,
      "looking up an `interface` by name must be permitted (on Deno --allow-sys=networkInterfaces), or be given as address",
      cause,
    );
  }
  const missing = wanted.find((text) => findLink(text, family, list) === undefined);
  if (missing === undefined) return;
  const known = list.filter(({ address }) => familyOf(address) === family);
  const names = known.map(({ name, address }) => `${name} (${address})`).join(", ");
  const rule = `\`interface\` must name one that is up and has an IPv${family} address: ${names}`;
  throw new MeshOpenError("interface", missing, rule);
}

/**
 * The host that a node advertises unless told otherwise: a loopback address only when there is no other, and the
 * unspecified one, which receivers replace by the datagram's source, when interfaces cannot be listed or there is but a
 * link-local address, whose zone is another on each host.
 */
export function advertisedHost(links: readonly Link[], family: Family): string {
  const [first] = links;
  return first === undefined || first.address.includes("%") ? UNSPECIFIED[family] : first.address;
}

/** What is known of this host's addresses, to tell where a node must not be made to send. */
export class LocalAddresses {
  readonly #own = new Set(["127.0.0.1", "::1"]);
  readonly #broadcast = new Set(["127.255.255.255"]);

  /** Without a list, only the loopback network is known. */
  constructor(list: readonly NetworkInterface[] | undefined) {
    for (const { address, netmask } of list ?? []) {
      this.#own.add(address);
      if (isIpv4(address) && isIpv4(netmask) && netmask !== "255.255.255.255") {
        this.#broadcast.add(broadcastOf(address, netmask));
      }
    }
  }

  /**
   * Whether a node that was heard from `source` may be at `host`: not at the broadcast address of a network of this host,
   * and at a loopback address only if it is on this host itself. Heartbeats can be forged.
   */
  mayBeAt(host: string, source: Endpoint): boolean {
    if (this.#broadcast.has(host)) return false;
    return !isLoopback(host) || isLoopback(source.host) || this.#own.has(source.host);
  }

  /** Whether `host` is an address of this host. */
  isOwn(host: string): boolean {
    return this.#own.has(host);
  }
}

function isLoopback(host: string): boolean {
  return host.startsWith("127.") || host === "::1";
}

/** One address of each interface: with IPv6 rather one that other hosts can name. */
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
  return byAddress ?? linksByName(family, list).find(({ name }) => name === text);
}

function sameAddress(address: string, text: string, family: Family): boolean {
  return address === text || (family === 6 && hostLiteral(text, family)?.split("%")[0] === address.split("%")[0]);
}

function toLink({ name, address }: NetworkInterface, family: Family): Link {
  const zoned = isLinkLocal(address) && !address.includes("%") ? `${address}%${name}` : address;
  return { name, address: zoned, ref: family === 4 ? address : name };
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab][\da-f]:/i.test(address);
}

function broadcastOf(address: string, netmask: string): string {
  const mask = netmask.split(".").map(Number);
  return address.split(".").map((byte, i) => Number(byte) | (~(mask[i] as number) & 255)).join(".");
}
