import { createSocket, type Socket, type SocketOptions } from "node:dgram";
// Deno 2.9 runs what `node:dgram` puts off (`process.nextTick`) only once this module is loaded: without it, the
// callback of a `close` is never called.
import "node:process";
import { setTimeout } from "node:timers";
import { type BindOptions, type DatagramHandlers, type DatagramSocket, MAX_RECEIVE } from "../src/datagram_socket.ts";
import type { Abilities } from "./abilities.ts";
import { asError, bindError, checkAddresses, multicastError } from "./bind_error.ts";
import { Gate } from "./gate.ts";
import { BUN_SEND_ATTEMPTS, SendQueue, type Transmit } from "./send_queue.ts";

const IS_DENO = "Deno" in globalThis;
const IS_BUN = "Bun" in globalThis;

/** What `node:dgram` can do on this runtime. */
export const nodeAbilities: Abilities = {
  api: "node:dgram",
  // Deno takes the value for the size of what it allocates per receive.
  receiveBuffer: !IS_DENO,
  multicastFrom: "any",
  ttlWithoutJoin: true,
};

// Deno allocates this much per receive and 64 KiB without it, which makes receiving 5 times slower. Longer datagrams are
// cut: one byte more than is promised whole tells them apart.
const DENO_RECEIVE_SIZE = MAX_RECEIVE + 1;

// Deno calls back while the receive that it has cancelled still holds the port: of 3,000 sockets closed while files were
// read or names looked up, 200 had it still then, and none this much later.
const DENO_CLOSE_DELAY_MS = 1;

// Below this a receive buffer is not worth asking for: the smallest default of a system is about three times as much.
const MIN_RECEIVE_BUFFER = 65_536;

/** Binds a socket of `node:dgram`; `fallback` is why it is not one of the runtime's native API. */
export async function bindDgram(
  options: BindOptions,
  handlers: DatagramHandlers,
  fallback?: string,
): Promise<DatagramSocket> {
  checkAddresses(options);
  const gate = new Gate(handlers);
  const raw = await listen(options, gate);
  try {
    setUpMulticast(raw, options);
  } catch (error) {
    await closeRaw(raw);
    throw multicastError(error, options);
  }
  const unmet = setReceiveBuffer(raw, options.receiveBuffer) ? [] : ["receiveBuffer" as const];
  gate.open();
  return new NodeSocket(raw, gate, unmet, fallback);
}

class NodeSocket implements DatagramSocket {
  readonly adapter = "node";
  readonly unmet: readonly (keyof BindOptions)[];
  readonly fallback: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly #raw: Socket;
  readonly #gate: Gate;
  readonly #queue: SendQueue;
  #closing: Promise<void> | undefined;

  constructor(raw: Socket, gate: Gate, unmet: readonly (keyof BindOptions)[], fallback: string | undefined) {
    const { address, port } = raw.address();
    this.host = address;
    this.port = port;
    this.unmet = unmet;
    this.fallback = fallback;
    this.#raw = raw;
    this.#gate = gate;
    this.#queue = new SendQueue(again(transmitOn(raw), IS_BUN ? BUN_SEND_ATTEMPTS : 1));
  }

  send(data: Uint8Array, host: string, port: number): Promise<void> {
    return this.#queue.send(data, host, port);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#gate.close();
      this.#queue.close();
      this.#closing = closeRaw(this.#raw);
    }
    return this.#closing;
  }
}

function listen(options: BindOptions, gate: Gate): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port, shared } = options;
    const settings: SocketOptions = { type: "udp4", reuseAddr: shared, lookup: echo };
    if (IS_DENO) settings.recvBufferSize = DENO_RECEIVE_SIZE;
    const raw = createSocket(settings);
    let bound = false;

    function fail(error: unknown): void {
      closeRaw(raw).then(() => reject(bindError(error, options)));
    }

    // Never taken off: an `error` event that nobody listens to ends the process.
    raw.on("error", (error) => bound ? gate.error(error, false) : fail(error));
    raw.on("message", (data, from) => gate.message(plain(data), from.address, from.port));
    raw.once("listening", () => {
      bound = true;
      resolve(raw);
    });
    try {
      // Without `exclusive`, the workers of a Node cluster (PM2) share one socket and split the datagrams.
      raw.bind({ address: host, port, exclusive: true });
    } catch (error) {
      fail(error);
    }
  });
}

// All addresses are literals. The runtime's own look-up costs a trip through a thread pool for each datagram, and it
// reads the bytes only after it.
function echo(
  address: string,
  _family: unknown,
  callback: (error: Error | null, address: string, family: number) => void,
): void {
  callback(null, address, 4);
}

// A Buffer's `slice` is a view where that of a Uint8Array is a copy, so a receiver could keep what it thinks it copied.
function plain(data: Uint8Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function setUpMulticast(raw: Socket, options: BindOptions): void {
  const { joinGroup, multicastInterface, multicastLoopback, multicastTtl, sendsMulticast } = options;
  if (sendsMulticast) {
    if (multicastInterface !== undefined) raw.setMulticastInterface(multicastInterface);
    raw.setMulticastTTL(multicastTtl);
    raw.setMulticastLoopback(multicastLoopback);
  }
  if (joinGroup !== undefined) raw.addMembership(joinGroup, multicastInterface);
}

/** Asks for less and less, as some systems refuse what is over their limit where Linux grants the limit. */
function setReceiveBuffer(raw: Socket, wish: number | undefined): boolean {
  if (wish === undefined) return true;
  if (!nodeAbilities.receiveBuffer) return false;
  for (let size = wish;; size = Math.floor(size / 2)) {
    try {
      raw.setRecvBufferSize(size);
      return true;
    } catch {
      if (!(size >= MIN_RECEIVE_BUFFER)) return false;
    }
  }
}

function transmitOn(raw: Socket): Transmit {
  return (data, host, port, done) => {
    try {
      raw.send(data, 0, data.length, port, host, (error) => done(error ?? undefined));
    } catch (error) {
      done(asError(error));
    }
  };
}

function again(transmit: Transmit, attempts: number): Transmit {
  if (attempts === 1) return transmit;
  return (data, host, port, done) =>
    transmit(data, host, port, (error) => {
      if (error === undefined) done();
      else again(transmit, attempts - 1)(data, host, port, done);
    });
}

function closeRaw(raw: Socket): Promise<void> {
  return new Promise((resolve) => {
    function closed(): void {
      if (IS_DENO) setTimeout(resolve, DENO_CLOSE_DELAY_MS);
      else resolve();
    }
    try {
      raw.close(closed);
    } catch {
      // It is closed already: a bind may fail twice, by a throw and by an event.
      closed();
    }
  });
}
