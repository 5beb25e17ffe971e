/**
 * Plain peer in memory: a peer on the simulated network that behaves as go-warp does, written from go-warp's
 * documentation and without any code of this project's core: `plain_peer.ts` is the same on real sockets.
 *
 * @module
 */

import type { Clock, DatagramSocket, MeshPorts, Timer } from "../../mod.ts";
import { BATCH, bodyEnd, HEARTBEAT, keysOf } from "../sim/storm/wire.ts";

/** Options of a {@linkcode MemoryPlainPeer}. Names and meanings are go-warp's, durations are milliseconds. */
export interface MemoryPlainPeerOptions {
  readonly group?: string | undefined;
  /** Seeds, `host:port`. */
  readonly peers?: readonly string[];
  readonly heartbeat: number;
  readonly batchInterval?: number;
  readonly batchSize?: number;
}

const PORT = 7946;
/** Its receive buffer has this many bytes: longer datagrams are truncated, and fail to decode. */
const RECEIVE_SIZE = 1500;

/**
 * Multicasts everything and sends it to every address that it has ever heard advertised. The first heartbeat leaves
 * after one interval, a joining node gets no response, a single key waits for a ticker, and there is no leave.
 */
export class MemoryPlainPeer {
  readonly address: string;
  readonly nodeId: string;
  /** Keys that have arrived from others, in order, with repetitions. */
  readonly keys: string[] = [];
  /** Datagrams that go-warp's decoder refuses. */
  malformed = 0;
  readonly #options: Required<MemoryPlainPeerOptions>;
  readonly #clock: Clock;
  readonly #id: Uint8Array;
  readonly #known = new Set<string>();
  readonly #timers = new Set<Timer>();
  #socket: DatagramSocket | undefined;
  #batch: string[] = [];

  /** Opens a peer on the ports of the host with this address. */
  static async open(address: string, ports: MeshPorts, options: MemoryPlainPeerOptions): Promise<MemoryPlainPeer> {
    const peer = new MemoryPlainPeer(address, ports, options);
    const { group } = peer.#options;
    const message = (data: Uint8Array) => peer.#receive(data.subarray(0, RECEIVE_SIZE));
    peer.#socket = await ports.bind({
      host: "0.0.0.0",
      port: PORT,
      shared: true,
      joinGroup: group,
      sendsMulticast: group !== undefined,
      multicastLoopback: true,
      multicastTtl: 1,
    }, { message, error() {} });
    return peer;
  }

  private constructor(address: string, { clock, randomBytes }: MeshPorts, options: MemoryPlainPeerOptions) {
    this.#options = { group: "239.0.0.1", peers: [], batchInterval: 100, batchSize: 20, ...options };
    this.#clock = clock;
    this.#id = randomBytes(16);
    this.nodeId = Array.from(this.#id, (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.address = `${address}:${PORT}`;
    const { heartbeat, batchInterval } = this.#options;
    this.#every(heartbeat, () => this.#broadcast(this.#encodeHeartbeat()));
    this.#every(batchInterval, () => this.#flush());
  }

  publish(key: string): void {
    if (this.#batch.includes(key)) return;
    this.#batch.push(key);
    if (this.#batch.length >= this.#options.batchSize) this.#flush();
  }

  close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    return this.#socket?.close() ?? Promise.resolve();
  }

  #every(interval: number, call: () => void): void {
    const timer = this.#clock.setTimer(() => {
      this.#timers.delete(timer);
      this.#every(interval, call);
      call();
    }, interval);
    this.#timers.add(timer);
  }

  #receive(data: Uint8Array): void {
    if (bodyEnd(data) < 0) {
      this.malformed++;
      return;
    }
    if (this.#id.every((byte, i) => data[2 + i] === byte)) return;
    if (data[1] === HEARTBEAT) this.#known.add(new TextDecoder().decode(data.subarray(28, bodyEnd(data))));
    if (data[1] === BATCH) this.keys.push(...keysOf(data));
  }

  #flush(): void {
    const keys = this.#batch;
    this.#batch = [];
    if (keys.length > 0) this.#broadcast([...this.#header(BATCH), ...u16(keys.length), ...keys.flatMap(withLength)]);
  }

  #encodeHeartbeat(): number[] {
    return [...this.#header(HEARTBEAT), 0, 0, 0, 0, 0, 0, 0, 0, ...withLength(this.address)];
  }

  #header(type: number): number[] {
    return [0x57, type, ...this.#id];
  }

  #broadcast(packet: readonly number[]): void {
    const { group, peers } = this.#options;
    const groups = group === undefined ? [] : [`${group}:${PORT}`];
    const seeds = peers.filter((peer) => !this.#known.has(peer));
    const data = Uint8Array.from(packet);
    for (const address of [...groups, ...this.#known, ...seeds]) {
      const [host = "", to] = address.split(":");
      // go-warp ignores errors of a datagram.
      this.#socket?.send(data, host, Number(to)).catch(() => {});
    }
  }
}

function withLength(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  return [...u16(bytes.length), ...bytes];
}

function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}
