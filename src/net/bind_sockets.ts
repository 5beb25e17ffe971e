/**
 * Socket binding: binds the sockets of a node, and reports failures in terms of the options.
 *
 * @module
 */

import { MeshOpenError } from "../errors.ts";
import type { Signal } from "../platform/abort_signal.ts";
import type { Timer } from "../platform/clock.ts";
import {
  BindError,
  type BindOptions,
  type DatagramHandlers,
  type DatagramSocket,
} from "../platform/datagram_socket.ts";
import { type Family, formatAddress } from "../platform/endpoint.ts";
import type { MeshPorts } from "../platform/ports.ts";
import { equalBytes } from "../wire/packet.ts";
import { type Link, UNSPECIFIED } from "./interfaces.ts";

/** What to do where the runtime refuses a socket, and not the system. */
const PERMISSION_HINT = "(with the permissions of Deno, or of Node, start with --allow-net)";

/** The options that decide what is bound, and how. */
export interface BindSettings {
  readonly port: number;
  readonly group: string;
  readonly family: Family;
  readonly interface: string | undefined;
  readonly waitForInterface: boolean;
  readonly advertise: { readonly host: string; readonly port: number } | undefined;
  readonly multicast: boolean;
  readonly multicastTtl: number;
  readonly multicastLoopback: boolean;
  readonly receiveBuffer: number;
  readonly receiveBufferRequired: boolean;
  /** The seeds of the options: whether there are any, and their value for messages. */
  readonly seeds: readonly unknown[];
  readonly discover: unknown;
  readonly signal: Signal | undefined;
}

/** The socket on the port of the mesh, and why there is no multicast although the options ask for it. */
export interface MeshSocket {
  readonly mesh: DatagramSocket;
  readonly multicastError?: Error;
}

/**
 * Longest wait for a new IPv6 address to become ready, and the pause between attempts, in milliseconds. Duplicate
 * address detection mostly takes 1 to 2 s.
 */
const READY_TIMEOUT = 3000;
const READY_RETRY = 100;
/**
 * Longest wait for a host's own multicast, in milliseconds. It is split into pauses, as a program that is busy while it
 * starts uses up one of them, however long it is busy.
 */
const LOOPBACK_TIMEOUT = 250;
const LOOPBACK_PAUSES = 5;

/** Binds the sockets that the settings ask for. */
export class Binder {
  readonly #settings: BindSettings;
  readonly #ports: MeshPorts;
  readonly #handlers: DatagramHandlers;

  constructor(settings: BindSettings, ports: MeshPorts, handlers: DatagramHandlers) {
    this.#settings = settings;
    this.#ports = ports;
    this.#handlers = handlers;
  }

  /** Whether one socket serves as the port of the mesh and as the node's own port. */
  get isOne(): boolean {
    const { advertise, port } = this.#settings;
    return advertise !== undefined && advertise.port !== 0 && advertise.port === port;
  }

  /** Binds the shared port of the mesh, and joins the group on `link` if there is one. */
  async mesh(link: Link | undefined): Promise<MeshSocket> {
    const { group, multicast, port } = this.#settings;
    const joins = multicast && link !== undefined;
    const options = this.#options(link, {
      port,
      shared: true,
      joinGroup: joins ? group : undefined,
      sendsMulticast: this.isOne && joins,
    });
    try {
      if (joins) await this.checkIsHeard(link);
      return { mesh: await this.#bindMesh(options) };
    } catch (error) {
      if (!(error instanceof BindError)) throw error;
      if (error.code !== "EMULTICAST") throw openError(this.#settings, error);
      this.checkHasSeeds(error);
      const { mesh } = await this.mesh(undefined);
      return { mesh, multicastError: error };
    }
  }

  /**
   * Checks that a host without multicast has seeds, unless it is expected to have multicast later.
   *
   * @throws {MeshOpenError} when there are none
   */
  checkHasSeeds(cause: Error): void {
    const { seeds, discover, waitForInterface } = this.#settings;
    if (waitForInterface || seeds.length > 0 || discover !== undefined) return;
    throw new MeshOpenError(
      "peers",
      seeds,
      "a host without multicast needs seeds: give `peers`, or an `interface` that has multicast, or `multicast: false`",
      cause,
    );
  }

  /** Binds the node's own socket, to one address or to all. */
  async own(host: string, link: Link | undefined, port: number, sendsMulticast: boolean): Promise<DatagramSocket> {
    const { advertise } = this.#settings;
    try {
      return await this.#bind(this.#options(link, { host, port, shared: false, sendsMulticast }));
    } catch (error) {
      if (!(error instanceof BindError)) throw error;
      if (advertise !== undefined && (error.code === "EADDRINUSE" || error.code === "EACCES")) {
        const value = formatAddress(advertise.host, advertise.port);
        const rule = error.code === "EACCES"
          ? `binding its port must be permitted ${PERMISSION_HINT}`
          : "its port must be free";
        throw new MeshOpenError("advertiseAddr", value, rule, error);
      }
      const rule = error.code === "EACCES"
        ? `binding the interface's address must be permitted ${PERMISSION_HINT}`
        : isNotReady(error, this.#settings)
        ? "the interface's address must be ready: duplicate address detection is in progress or has failed"
        : "a socket must be bound to the interface's address";
      throw new MeshOpenError("interface", this.#settings.interface, rule, error);
    }
  }

  /** The same for an address that the interface may just have been given: waits until it is ready. */
  async ownSoon(host: string, link: Link | undefined, port: number, sendsMulticast: boolean): Promise<DatagramSocket> {
    const { clock } = this.#ports;
    const { signal } = this.#settings;
    const deadline = clock.now() + READY_TIMEOUT;
    for (;;) {
      try {
        return await this.own(host, link, port, sendsMulticast);
      } catch (error) {
        if (!isNotReady(error, this.#settings) || clock.now() >= deadline) throw error;
      }
      await new Promise<void>((resolve) => clock.setTimer(resolve, READY_RETRY));
      signal?.throwIfAborted();
    }
  }

  /**
   * Checks that what is sent to the group on an interface is received there, where that is not certain: Linux lets
   * sockets join IPv6 groups on `lo`, and sends nothing there without a route.
   *
   * @throws {BindError} when it is not received
   */
  async checkIsHeard({ name, internal }: Link): Promise<void> {
    const { family, group } = this.#settings;
    if (family === 4 || !internal) return;
    const { clock, randomBytes } = this.#ports;
    const payload = randomBytes(16);
    let timer: Timer | undefined;
    let socket: DatagramSocket | undefined;
    let cause: unknown;
    try {
      const isHeard = await new Promise<boolean>((resolve, reject) => {
        const listener: DatagramHandlers = {
          message: (data) => equalBytes(data, payload) && resolve(true),
          error() {},
        };
        const options = { port: 0, shared: false, joinGroup: group, sendsMulticast: true, multicastLoopback: true };
        const link = { ref: name };
        const wait = (pauses: number): void => {
          const end = () => pauses > 1 ? wait(pauses - 1) : resolve(false);
          timer = clock.setTimer(end, LOOPBACK_TIMEOUT / LOOPBACK_PAUSES);
        };
        this.#ports.bind(this.#options(link, options), listener).then((bound) => {
          socket = bound;
          wait(LOOPBACK_PAUSES);
          return bound.send(payload, group, bound.port);
        }).catch(reject);
      });
      if (isHeard) return;
    } catch (error) {
      cause = error;
    } finally {
      timer?.cancel();
      await (socket as DatagramSocket | undefined)?.close();
    }
    throw new BindError(
      "EMULTICAST",
      `Cannot use multicast on ${name} as nothing that is sent to ${group} there is heard: on Linux it takes the route ` +
        `\`ip -6 route add local ff00::/8 dev ${name} table local\``,
      { cause },
    );
  }

  /** Binds a socket that sends multicast from one interface. */
  async sender(link: Link): Promise<DatagramSocket> {
    const { family } = this.#settings;
    // On some systems a socket sends multicast only from the interface whose address it is bound to.
    const host = family === 4 && link.ref !== undefined ? link.address : UNSPECIFIED[family];
    return await this.#bind(this.#options(link, { host, port: 0, shared: false, sendsMulticast: true }));
  }

  #options(
    link: Pick<Link, "ref"> | undefined,
    options: Pick<BindOptions, "port" | "shared" | "sendsMulticast"> & Partial<BindOptions>,
  ): BindOptions {
    const { family, multicastLoopback, multicastTtl, receiveBuffer, receiveBufferRequired } = this.#settings;
    return {
      host: UNSPECIFIED[family],
      multicastInterface: link?.ref,
      multicastLoopback,
      multicastTtl,
      receiveBuffer,
      preferReceiveBuffer: receiveBufferRequired,
      ...options,
    };
  }

  #bind(options: BindOptions): Promise<DatagramSocket> {
    return this.#ports.bind(options, this.#handlers);
  }

  #bindMesh(options: BindOptions): Promise<DatagramSocket> {
    return options.port === 0 ? bindFreePort((options) => this.#bind(options), options) : this.#bind(options);
  }
}

/**
 * Binds a free port that can be shared. When the system is to choose a port to share, it may choose one that another
 * mesh shares already. So a port is found that no socket has; between the two binds another program may take it, and the
 * next attempt finds another.
 */
async function bindFreePort(
  bind: (options: BindOptions) => Promise<DatagramSocket>,
  options: BindOptions,
): Promise<DatagramSocket> {
  for (let attempt = 1;; attempt++) {
    const probe = await bind({ ...options, shared: false, joinGroup: undefined, sendsMulticast: false });
    await probe.close();
    try {
      return await bind({ ...options, port: probe.port });
    } catch (error) {
      if (!(error instanceof BindError) || error.code !== "EADDRINUSE" || attempt === 5) throw error;
    }
  }
}

function openError(settings: BindSettings, cause: BindError): MeshOpenError {
  const rule = {
    EADDRINUSE: "`port` must be free, or held by sockets that share it (SO_REUSEADDR)",
    EACCES: `binding \`port\` must be permitted ${PERMISSION_HINT}`,
    EADDRNOTAVAIL: `\`port\` must be bound on ${UNSPECIFIED[settings.family]}`,
    EMULTICAST: "the host must have multicast",
    EUNSUPPORTED: "this runtime must have sockets that do what the options ask",
    EUNKNOWN: "`port` must be bound",
  }[cause.code];
  return new MeshOpenError("port", settings.port, rule, cause);
}

/**
 * Whether an IPv6 address of the host could not be bound as duplicate address detection (RFC 4862, 5.4) is in progress.
 */
export function isNotReady(error: unknown, { family }: BindSettings): boolean {
  const cause = error instanceof MeshOpenError ? error.cause : error;
  return family === 6 && cause instanceof BindError && cause.code === "EADDRNOTAVAIL";
}
