/**
 * The one or two sockets of a node.
 *
 * @module
 */

import { formatAddress, isUnspecified } from "./address.ts";
import { BindError, type BindOptions, type DatagramHandlers, type DatagramSocket } from "./datagram_socket.ts";
import { MeshOpenError } from "./errors.ts";
import { advertisedHost, findInterface } from "./interfaces.ts";
import type { Settings } from "./options.ts";
import type { MeshPorts } from "./ports.ts";

/** What a node sends and receives with. */
export interface Sockets {
  /** Bound to the port of the mesh: receives multicast, and what is sent to the shared port. */
  readonly mesh: DatagramSocket;
  /** Sends everything, and receives what is sent to this node alone. The same socket when the node advertises `port`. */
  readonly own: DatagramSocket;
  /** Host that the node advertises. */
  readonly host: string;
  /** Port that the node advertises. */
  readonly port: number;
  /** Why there is no multicast, when there should be. */
  readonly multicastError?: Error;
}

/** Binds the sockets that the settings ask for. Nothing stays bound when it rejects. */
export async function openSockets(settings: Settings, ports: MeshPorts, handlers: DatagramHandlers): Promise<Sockets> {
  const { advertise } = settings;
  const address = findInterface(settings.interface, ports.networkInterfaces);
  const single = advertise !== undefined && advertise.port !== 0 && advertise.port === settings.port;
  const common = {
    multicastInterface: address,
    multicastLoopback: settings.multicastLoopback,
    multicastTtl: settings.multicastTtl,
    receiveBuffer: settings.receiveBuffer,
    preferReceiveBuffer: settings.receiveBufferRequired,
  };
  const bind = (options: BindOptions) => ports.bind(options, handlers);
  const { mesh, multicastError } = await bindMesh(settings, bind, {
    ...common,
    host: "0.0.0.0",
    port: settings.port,
    shared: true,
    joinGroup: settings.multicast ? settings.group : undefined,
    sendsMulticast: single && settings.multicast,
  });
  const host = advertise === undefined || isUnspecified(advertise.host)
    ? advertisedHost(address, ports.networkInterfaces)
    : advertise.host;
  const found = { mesh, host, ...(multicastError !== undefined && { multicastError }) };
  if (single) return { ...found, own: mesh, port: mesh.port };
  try {
    const own = await bind({
      ...common,
      host: address ?? "0.0.0.0",
      port: advertise?.port ?? 0,
      shared: false,
      sendsMulticast: settings.multicast && multicastError === undefined,
    });
    return { ...found, own, port: own.port };
  } catch (error) {
    await mesh.close();
    if (!(error instanceof BindError)) throw error;
    if (advertise !== undefined && (error.code === "EADDRINUSE" || error.code === "EACCES")) {
      const value = formatAddress(advertise.host, advertise.port);
      const rule = error.code === "EACCES" ? "binding its port must be permitted" : "its port must be free";
      throw new MeshOpenError("advertiseAddr", value, rule, error);
    }
    throw new MeshOpenError(
      "interface",
      settings.interface,
      "a socket must be bound to the interface's address",
      error,
    );
  }
}

async function bindMesh(
  settings: Settings,
  bind: (options: BindOptions) => Promise<DatagramSocket>,
  options: BindOptions,
): Promise<{ mesh: DatagramSocket; multicastError?: Error }> {
  try {
    return { mesh: settings.port === 0 ? await bindFreePort(bind, options) : await bind(options) };
  } catch (error) {
    if (!(error instanceof BindError)) throw error;
    if (error.code !== "EMULTICAST") throw openError(settings, error);
    if (settings.seeds.length === 0) {
      throw new MeshOpenError(
        "peers",
        settings.seeds,
        "a host without multicast needs seeds: give `peers`, or an `interface` that has multicast, or `multicast: false`",
        error,
      );
    }
    const alone = await bindMesh({ ...settings, multicast: false }, bind, {
      ...options,
      joinGroup: undefined,
      sendsMulticast: false,
    });
    return { ...alone, multicastError: error };
  }
}

/**
 * Asked for any port to share, a system may choose one that another mesh shares already. So one is found that is
 * nobody's; in the moment between, somebody else may take it.
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

function openError(settings: Settings, cause: BindError): MeshOpenError {
  const rule = {
    EADDRINUSE: "`port` must be free, or held by sockets that share it (SO_REUSEADDR)",
    EACCES: "binding `port` must be permitted",
    EADDRNOTAVAIL: "`port` must be bound on 0.0.0.0",
    EMULTICAST: "the host must have multicast",
    EUNSUPPORTED: "this runtime must have sockets that do what the options ask",
    EUNKNOWN: "`port` must be bound",
  }[cause.code];
  return new MeshOpenError("port", settings.port, rule, cause);
}
