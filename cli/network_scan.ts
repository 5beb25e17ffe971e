/**
 * Network scan: probes sent by sockets beside the node, to networks, groups and ports that the node does not use.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { bind } from "../adapters/auto.ts";
import { randomBytes } from "../adapters/system.ts";
import { clearTimeout, setTimeout } from "../adapters/system_clock.ts";
import type { NetworkInterface, Report } from "../mod.ts";
import { codeOf } from "../src/platform/error_message.ts";
import { encodeControl, readExtension } from "../src/wire/extension.ts";
import { readU32 } from "../src/wire/integers.ts";
import { HEADER_LENGTH, NODE_ID_LENGTH, NONCE_LENGTH, TYPE_PROBE, TYPE_PROBE_ACK } from "../src/wire/layout.ts";
import { formatNodeId, stampUuid } from "../src/wire/node_id.ts";
import { equalBytes, nodeIdOf, packetType, scanPacket } from "../src/wire/packet.ts";
import { padded } from "../src/wire/probe_records.ts";
import { pause } from "./pause.ts";

/** One probe of the scan, and its destination. */
export interface ScanProbe {
  /**
   * `multicast` goes to a group, `broadcast` to all nodes of a network whatever their group, `unicast` to one address.
   */
  readonly by: "multicast" | "broadcast" | "unicast";
  /** The interface by which it leaves. */
  readonly from: NetworkInterface;
  /** An IPv4 or IPv6 literal. */
  readonly host: string;
  readonly port: number;
}

/** A node's ack. */
export interface ScanAck {
  readonly id: string;
  /** The source address of the ack. */
  readonly host: string;
  readonly port: number;
  readonly report: Report;
  readonly probe: ScanProbe;
}

/** Length of a probe in bytes. An ack is never longer than its probe, and this is longer than any ack. */
const PROBE_LENGTH = 80;
/** Each probe is sent this many times, as one may be lost. */
const COPIES = 2;

/**
 * Sends the probes and reports acks for `time` milliseconds, or until `signal` aborts. Probes that cannot be sent are
 * left out. Nodes keep no state about the probes.
 *
 * It joins no group: whatever this host joins on an interface is received by all of its processes on that port, and
 * would merge meshes that are apart.
 */
export async function scan(
  probes: readonly ScanProbe[],
  time: number,
  onAck: (ack: ScanAck) => void,
  signal?: AbortSignal,
): Promise<void> {
  const id = stampUuid(randomBytes(NODE_ID_LENGTH));
  const nonce = readU32(randomBytes(NONCE_LENGTH), 0);
  const packet = padded(
    encodeControl(TYPE_PROBE, id, { nonce, measure: { size: 0, byGroup: false } }),
    PROBE_LENGTH,
  );
  const sending = probes.map((probe) => {
    const onMessage = (data: Uint8Array, host: string, port: number) => {
      const read = readAck(data, id, nonce);
      if (read !== undefined) onAck({ ...read, host, port, probe });
    };
    return probe.by === "broadcast" ? broadcastProbe(probe, packet, onMessage) : sendProbe(probe, packet, onMessage);
  });
  const ends = await Promise.allSettled(sending);
  if (ends.some(({ status }) => status === "fulfilled")) await pause(time, signal);
  await Promise.allSettled(ends.map((end) => end.status === "fulfilled" ? end.value() : undefined));
}

/**
 * Whether a host refuses datagrams at a port, that is, answers that nothing listens there. False also when there is no
 * such answer within `time` milliseconds; Deno never reports it.
 */
export function isRefused(host: string, port: number, time: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    const end = (isRefused: boolean) => {
      clearTimeout(timer);
      resolve(isRefused);
      try {
        socket.close();
      } catch { /* It is closed. */ }
    };
    const timer = setTimeout(() => end(false), time);
    socket.on("error", (error) => end(codeOf(error) === "ECONNREFUSED"));
    // A datagram without payload is not part of the protocol, and makes the system answer all the same.
    socket.connect(port, host, () => socket.send(new Uint8Array(0)));
  });
}

type OnMessage = (data: Uint8Array, host: string, port: number) => void;
type Close = () => Promise<void>;

async function sendProbe({ by, from, host, port }: ScanProbe, packet: Uint8Array, message: OnMessage): Promise<Close> {
  const isIpv6 = host.includes(":");
  const socket = await bind({
    host: isIpv6 ? "::" : from.address,
    port: 0,
    shared: false,
    multicastInterface: isIpv6 ? from.name : from.address,
    sendsMulticast: by === "multicast",
    multicastLoopback: true,
    multicastTtl: 1,
  }, { message, error() {} });
  try {
    for (let i = 0; i < COPIES; i++) await socket.send(packet, host, port);
  } catch (error) {
    await socket.close();
    throw error;
  }
  return () => socket.close();
}

/** Sends by a socket of its own, as the sockets of the mesh send no broadcast. */
async function broadcastProbe({ from, host, port }: ScanProbe, packet: Uint8Array, message: OnMessage): Promise<Close> {
  const socket = createSocket("udp4");
  let failure: Error | undefined;
  socket.on("message", (data, { address, port }) => message(data, address, port));
  socket.on("error", (error) => failure = error);
  const close = () => new Promise<void>((resolve) => socket.close(resolve));
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address: from.address, port: 0, exclusive: true }, resolve);
    });
    socket.setBroadcast(true);
    for (let i = 0; i < COPIES; i++) {
      await new Promise<void>((resolve, reject) => {
        socket.send(packet, port, host, (error) => error ? reject(error) : resolve());
      });
    }
    if (failure !== undefined) throw failure;
    return close;
  } catch (error) {
    await close();
    throw error;
  }
}

function readAck(
  data: Uint8Array,
  id: Uint8Array,
  nonce: number,
): { readonly id: string; readonly report: Report } | undefined {
  if (scanPacket(data) !== HEADER_LENGTH || packetType(data) !== TYPE_PROBE_ACK) return undefined;
  const extension = readExtension(data, HEADER_LENGTH);
  if (typeof extension !== "object" || extension.nonce !== nonce) return undefined;
  const { report, stream } = extension;
  if (report === undefined || stream === undefined || !equalBytes(stream, id)) return undefined;
  return { id: formatNodeId(nodeIdOf(data)), report };
}
