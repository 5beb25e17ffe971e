/**
 * Listener for plain nodes: nodes that speak go-warp's wire format only send no acks, so their heartbeats are awaited
 * on interfaces that the mesh does not use.
 *
 * @module
 */

import { bind } from "../adapters/auto.ts";
import type { BindOptions, NetworkInterface } from "../mod.ts";
import { formatNodeId } from "../src/wire/node_id.ts";
import { nodeIdOf, scanPacket } from "../src/wire/packet.ts";
import { pause } from "./pause.ts";

/** A node that was heard. */
export interface Heard {
  readonly id: string;
  /** The source address, an IPv4 literal. */
  readonly host: string;
  readonly port: number;
  readonly from: NetworkInterface;
}

/** Where to listen, and for how long. */
export interface Listening {
  /** IPv4 interfaces: go-warp speaks nothing else. */
  readonly interfaces: readonly NetworkInterface[];
  readonly group: string;
  readonly port: number;
  /** Duration in milliseconds. */
  readonly time: number;
  readonly signal?: AbortSignal | undefined;
  /** Called for each datagram of a node. */
  readonly onHeard: (heard: Heard) => void;
}

/**
 * Joins the group on these interfaces, unless another process of this host has the port. All processes on a shared port
 * receive the groups that one of them has joined, so its mesh would merge with that of the other network.
 */
export async function listen({ interfaces, group, port, time, signal, onHeard }: Listening): Promise<void> {
  if (interfaces.length === 0) return;
  const options: BindOptions = {
    host: "0.0.0.0",
    port,
    shared: false,
    sendsMulticast: false,
    multicastLoopback: true,
    multicastTtl: 1,
  };
  try {
    await (await bind(options, { message() {}, error() {} })).close();
    const socket = await bind({ ...options, shared: true }, {
      message(data, host, port) {
        const from = interfaces.find((one) => isInNetwork(host, one));
        if (scanPacket(data) < 0 || from === undefined) return;
        onHeard({ id: formatNodeId(nodeIdOf(data)), host, port, from });
      },
      error() {},
    });
    await Promise.allSettled(interfaces.map(({ address }) => socket.join(group, address)));
    await pause(time, signal);
    await socket.close();
  } catch { /* The port is taken. */ }
}

function isInNetwork(host: string, { address, netmask }: NetworkInterface): boolean {
  const [a, b, mask] = [host, address, netmask].map((text) => text.split(".").map(Number));
  return a?.length === 4 && a.every((byte, i) => (byte & (mask?.[i] ?? 0)) === ((b?.[i] ?? 0) & (mask?.[i] ?? 0)));
}
