/**
 * The local node: the address that it advertises, and its sockets, while the interfaces of its host change.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import { InterfaceMonitor } from "../net/interface_monitor.ts";
import type { InterfaceSockets } from "../net/interface_sockets.ts";
import { listed, LocalAddresses } from "../net/interfaces.ts";
import { type Endpoint, formatAddress } from "../platform/endpoint.ts";
import { messageOf } from "../platform/error_message.ts";
import type { NetworkInterface } from "../platform/host.ts";
import type { MeshPorts } from "../platform/ports.ts";
import { TYPE_HEARTBEAT } from "../wire/layout.ts";
import { encodePacket } from "../wire/packet.ts";

/** What a {@linkcode LocalNode} is made of. The callbacks MUST NOT throw. */
export interface LocalNodeConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly links: InterfaceSockets;
  readonly ports: Pick<MeshPorts, "clock" | "networkInterfaces">;
  /** The node has joined the group on another interface, where nobody has heard it yet. */
  readonly onJoined: () => void;
  readonly onError: (error: Error) => void;
  readonly emit: (event: MeshEvent) => void;
}

/** Holds the address that this node advertises, and updates it and the sockets when interfaces change. */
export class LocalNode {
  readonly #config: LocalNodeConfig;
  readonly #monitor: InterfaceMonitor;
  #local: LocalAddresses;
  #address: string;
  #heartbeat: Uint8Array;
  #isClosed = false;
  /** When `address` last changed, by the node's clock. */
  movedAt: number = -Infinity;

  constructor(config: LocalNodeConfig) {
    const { ports } = config;
    this.#config = config;
    this.#local = new LocalAddresses(listed(ports.networkInterfaces));
    this.#address = this.#advertised();
    this.#heartbeat = this.#newHeartbeat();
    this.#monitor = new InterfaceMonitor(ports.clock, ports.networkInterfaces, (list, isChanged) => {
      void this.#onInterfaces(list, isChanged);
    }, (cause) => {
      const rule = "listing the interfaces of this host must be permitted";
      config.onError(new Error(`Cannot notice when addresses change as ${rule}: ${messageOf(cause)}`, { cause }));
    });
  }

  /** `host:port` that the node advertises. */
  get address(): string {
    return this.#address;
  }

  /** The addresses of this host. */
  get local(): LocalAddresses {
    return this.#local;
  }

  /** A heartbeat, with an extension block behind it. */
  heartbeat(extension: Uint8Array = new Uint8Array(0)): Uint8Array {
    const bytes = new Uint8Array(this.#heartbeat.length + extension.length);
    bytes.set(this.#heartbeat);
    bytes.set(extension, this.#heartbeat.length);
    return bytes;
  }

  /** The node has another id, in the same array. */
  rename(): void {
    this.#heartbeat = this.#newHeartbeat();
  }

  /** Whether a datagram from an endpoint can not be of this process. */
  isElsewhere({ host, port }: Endpoint): boolean {
    return !this.#local.isOwn(host) || !this.#config.links.hasPort(port);
  }

  /** Whether this node alone is reached at an endpoint. */
  isOwn({ host, port }: Endpoint): boolean {
    const { links } = this.#config;
    return links.own !== links.mesh && port === links.own.port && this.#local.isOwn(host);
  }

  /** Whether a node heard from `source` may be at `endpoint`. */
  mayBeAt(endpoint: Endpoint, source: Endpoint): boolean {
    return !this.isOwn(endpoint) && this.#local.mayBeAt(endpoint.host, source);
  }

  /** Begins to watch the interfaces. */
  start(): void {
    this.#monitor.start();
  }

  /** Watches them no more. */
  close(): void {
    this.#isClosed = true;
    this.#monitor.close();
  }

  async #onInterfaces(list: readonly NetworkInterface[], isChanged: boolean): Promise<void> {
    const { links } = this.#config;
    const isDue = isChanged || links.isIncomplete || await links.hasRouteMoved();
    if (isDue && !this.#isClosed) await this.#update(list);
  }

  async #update(list: readonly NetworkInterface[]): Promise<void> {
    const { links, emit, onError, onJoined, ports } = this.#config;
    this.#local = new LocalAddresses(list);
    const { joined, gone, errors } = await links.update(list);
    if (this.#isClosed) return;
    if (errors.length > 0) onError(all(errors));
    for (const { name, address } of gone) emit({ type: "interfaceGone", name, address });
    for (const { name, address } of joined) emit({ type: "interfaceJoined", name, address });
    const address = this.#advertised();
    if (address !== this.#address) {
      this.#address = address;
      this.movedAt = ports.clock.now();
      this.#heartbeat = this.#newHeartbeat();
      emit({ type: "addressChanged", address });
    }
    if (joined.length > 0) onJoined();
  }

  #advertised(): string {
    const { host, port } = this.#config.links.advertised;
    return formatAddress(host, port);
  }

  #newHeartbeat(): Uint8Array {
    const key = new TextEncoder().encode(this.#address);
    return encodePacket({ type: TYPE_HEARTBEAT, nodeId: this.#config.nodeId, keyHash: 0n, key });
  }
}

/** One error that names several: there is one `error` event a second. */
function all(errors: readonly Error[]): Error {
  const [first] = errors;
  if (errors.length === 1 && first !== undefined) return first;
  return new AggregateError(errors, errors.map(({ message }) => message).join("; "));
}
