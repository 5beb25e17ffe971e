/**
 * Plain peer: a peer that behaves as go-warp does, written from go-warp's documentation and without any code of this
 * project's core: what joins a mesh with our nodes in production.
 *
 * @module
 */

import { createSocket, type Socket } from "node:dgram";
import { clearInterval, setInterval } from "node:timers";

/** Options of a {@linkcode PlainPeer}. Names and meanings are go-warp's, durations are milliseconds. */
export interface PlainPeerOptions {
  /** Bound on all addresses, shared. */
  readonly port: number;
  readonly group?: string;
  /** Seeds, `host:port`. */
  readonly peers?: readonly string[];
  /** @default {the address that the socket is bound to: `0.0.0.0:port`} */
  readonly advertiseAddr?: string;
  readonly heartbeat?: number;
  readonly batchInterval?: number;
  readonly batchSize?: number;
}

const MAGIC = 0x57;
const INVALIDATE = 1;
const HEARTBEAT = 2;
const BATCH = 3;
// Its receive buffer has this many bytes: longer datagrams are truncated, and fail to decode.
const RECEIVE_SIZE = 1500;
// Its send buffer has this many bytes: longer datagrams are dropped.
const SEND_SIZE = 2048;

/**
 * Multicasts everything and sends it to every address that it has ever heard advertised. The first heartbeat leaves
 * after one interval, a joining node gets no response, a single key waits for a ticker, and there is no leave.
 */
export class PlainPeer {
  /** Keys that have arrived from others, in order, with repetitions. */
  readonly keys: string[] = [];
  /** Datagrams that did not decode. */
  malformed = 0;
  readonly #options: Required<PlainPeerOptions>;
  readonly #socket: Socket;
  readonly #id: Uint8Array = crypto.getRandomValues(new Uint8Array(16));
  readonly #known = new Set<string>();
  readonly #watchers = new Set<() => void>();
  readonly #timers: ReturnType<typeof setInterval>[];
  #batch: string[] = [];
  #closing: Promise<void> | undefined;

  /** Opens a peer on the loopback interface. */
  static open(options: PlainPeerOptions): Promise<PlainPeer> {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ port: options.port, address: "0.0.0.0", exclusive: true }, () => {
        try {
          resolve(new PlainPeer(socket, options));
        } catch (error) {
          socket.close();
          reject(error);
        }
      });
    });
  }

  private constructor(socket: Socket, options: PlainPeerOptions) {
    this.#options = {
      group: "239.0.0.1",
      peers: [],
      advertiseAddr: `0.0.0.0:${options.port}`,
      heartbeat: 5000,
      batchInterval: 100,
      batchSize: 20,
      ...options,
    };
    this.#socket = socket;
    socket.addMembership(this.#options.group, "127.0.0.1");
    socket.setMulticastInterface("127.0.0.1");
    socket.setMulticastLoopback(true);
    socket.on("message", (data) => this.#receive(data.subarray(0, RECEIVE_SIZE)));
    // go-warp ignores errors of a datagram.
    socket.on("error", () => {});
    const { heartbeat, batchInterval, advertiseAddr } = this.#options;
    this.#timers = [
      setInterval(() => this.#broadcast(this.#encodeKey(HEARTBEAT, advertiseAddr)), heartbeat),
      setInterval(() => this.#flush(), batchInterval),
    ];
  }

  /** Advertised addresses, as they were written. */
  peers(): string[] {
    return [...this.#known];
  }

  publish(key: string): void {
    if (this.#batch.includes(key)) return;
    this.#batch.push(key);
    if (this.#batch.length >= this.#options.batchSize) this.#flush();
  }

  /** Broadcasts the one type of packet that go-warp receives but never sends. */
  invalidate(key: string): void {
    this.#broadcast(this.#encodeKey(INVALIDATE, key));
  }

  /** Resolves when `condition` holds, which is checked after each datagram. */
  async until(condition: () => boolean): Promise<void> {
    let look: () => void = () => {};
    await new Promise<void>((resolve) => {
      look = () => condition() && resolve();
      this.#watchers.add(look);
      look();
    });
    this.#watchers.delete(look);
  }

  close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#closing ??= new Promise((resolve) => this.#socket.close(() => resolve()));
    return this.#closing;
  }

  #receive(data: Uint8Array): void {
    try {
      this.#read(new DataView(data.buffer, data.byteOffset, data.byteLength));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.malformed++;
    }
    for (const look of [...this.#watchers]) look();
  }

  /** A read beyond the datagram's end is a `RangeError`. */
  #read(view: DataView): void {
    if (view.getUint8(0) !== MAGIC) throw new RangeError("Not a packet");
    const type = view.getUint8(1);
    if (this.#id.every((byte, i) => view.getUint8(2 + i) === byte)) return;
    if (type === HEARTBEAT) this.#known.add(textAt(view, 26));
    if (type === INVALIDATE) this.keys.push(textAt(view, 26));
    if (type !== BATCH) return;
    const keys: string[] = [];
    let offset = 20;
    for (let left = view.getUint16(18); left > 0; left--) {
      keys.push(textAt(view, offset));
      offset += 2 + view.getUint16(offset);
    }
    this.keys.push(...keys);
  }

  #flush(): void {
    const keys = this.#batch;
    this.#batch = [];
    if (keys.length === 0) return;
    this.#broadcast([...this.#header(BATCH), ...u16(keys.length), ...keys.flatMap((key) => withLength(key))]);
  }

  #encodeKey(type: number, key: string): number[] {
    return [...this.#header(type), 0, 0, 0, 0, 0, 0, 0, 0, ...withLength(key)];
  }

  #header(type: number): number[] {
    return [MAGIC, type, ...this.#id];
  }

  #broadcast(packet: readonly number[]): void {
    if (packet.length > SEND_SIZE) return;
    const { group, port, peers } = this.#options;
    const seeds = peers.filter((peer) => !this.#known.has(peer));
    for (const address of [`${group}:${port}`, ...this.#known, ...seeds]) {
      const [host, to] = address.split(":");
      this.#socket.send(Uint8Array.from(packet), Number(to), host, () => {});
    }
  }
}

function textAt(view: DataView, offset: number): string {
  const length = view.getUint16(offset);
  if (offset + 2 + length > view.byteLength) throw new RangeError("Too short");
  return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + offset + 2, length));
}

function withLength(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  return [...u16(bytes.length), ...bytes];
}

function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}
