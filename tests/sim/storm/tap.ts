/**
 * Tap: inspects every datagram that the nodes of a seeded world send.
 *
 * @module
 */

import type { TappedDatagram } from "../../../adapters/memory.ts";
import {
  BATCH,
  bodyEnd,
  CATCH_UP,
  type ExtensionRecord,
  firstNumberOf,
  HEARTBEAT,
  keysOf,
  recordsOf,
  senderOf,
  STATE,
} from "./wire.ts";

/** Longest datagram that a node sends, in bytes. */
const MAX_SEND = 1400;
/** Packet types from here on belong to the extension. */
const EXTENDED = 0x10;
const NONCE_TAG = 4;
const SINCE_TAG = 7;

/** What was sent, as far as the final checks need it. */
export class StormTap {
  /** When something else than a heartbeat was last sent, in milliseconds. */
  lastNoise = 0;
  /** Equal for equal seeds: a hash of the times and lengths of all datagrams. */
  digest = 0;
  /** The nodes that have sent anything that go-warp does not send. */
  readonly extendedSenders = new Set<number>();
  /** `host:port` of nodes that send no extension. */
  readonly plainAddresses = new Set<string>();
  /** Descriptions of datagrams that no node may send. */
  readonly misuses: string[] = [];
  /** Whether delays are so long that nodes measure them now and then, as they may have become shorter. */
  measuresDelays = false;
  /** Gets each batch once, when it is first sent: its sender, its number and its keys. */
  onBatch: (sender: number, number: number, keys: ReadonlySet<string>) => void = () => {};
  /** The highest number that each sender has assigned. */
  readonly #numbers = new Map<number, number>();

  /** A node sends a datagram, at a time in milliseconds. */
  see(data: Uint8Array, host: string, port: number, time: number): void {
    this.digest = (Math.imul(this.digest, 31) + data.length + Math.round(time * 1000)) | 0;
    const type = data[1] as number;
    const end = bodyEnd(data);
    if (end < 0 || data.length > MAX_SEND) {
      this.misuses.push(`P7: a datagram of type ${type} with ${data.length} bytes, its body ends at ${end}`);
    }
    const records = recordsOf(data, end);
    if (type !== HEARTBEAT && !(this.measuresDelays && isMeasurement(type, data, records))) this.lastNoise = time;
    if (end === data.length && type < EXTENDED) return;
    const sender = senderOf(data);
    this.extendedSenders.add(sender);
    if (records === undefined) this.misuses.push(`P7: a malformed extension in a datagram of type ${type}`);
    else if (type === BATCH) this.#number(data, sender, firstNumberOf(data, records));
    if (type >= EXTENDED && this.plainAddresses.has(`${host}:${port}`)) {
      this.misuses.push(`P7: a datagram of type ${type} to the plain peer ${host}:${port}`);
    }
  }

  #number(data: Uint8Array, sender: number, number: number): void {
    if (number <= (this.#numbers.get(sender) ?? 0)) return;
    this.#numbers.set(sender, number);
    this.onBatch(sender, number, new Set(keysOf(data)));
  }
}

/** Whether the datagram is only a probe or its ack. */
function isMeasurement(type: number, data: Uint8Array, records: readonly ExtensionRecord[] = []): boolean {
  const since = records.find(({ tag }) => tag === SINCE_TAG);
  const isEmpty = since !== undefined &&
    data.subarray(since.start, since.start + since.length).every((byte) => byte === 0);
  return (type === CATCH_UP && isEmpty) || (type === STATE && records.some(({ tag }) => tag === NONCE_TAG));
}

/** Describes a datagram in one line, for a trace. */
export function describeDatagram({ fate, data, from, to, multicast, receiver }: TappedDatagram): string {
  const records = (recordsOf(data) ?? []).map(({ tag, start, length }) => {
    const bytes = Array.from(data.subarray(start, start + length), (byte) => byte.toString(16).padStart(2, "0"));
    return `${tag}=${bytes.join("").replace(/^(00)+/, "")}`;
  });
  const target = `${multicast ? "group " : ""}${fate === "sent" ? to.host : receiver}:${to.port}`;
  return `  ${fate} ${from.host}:${from.port} > ${target} type ${data[1]?.toString(16)} ${records.join(" ")}`;
}
