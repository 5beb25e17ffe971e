/**
 * Dgram socket: implements `DatagramSocket` on `node:dgram`, for Node, Deno and Bun.
 *
 * @module
 */

import { createSocket, type Socket, type SocketOptions } from "node:dgram";
import { platform } from "node:os";
// Deno 2.9 runs the deferred calls of `node:dgram` (`process.nextTick`) only once this module is loaded: without it,
// the callback of a `close` is never called.
import "node:process";
import { canonical, type Family } from "../src/platform/endpoint.ts";
import {
  type BindOptions,
  type DatagramHandlers,
  type DatagramSocket,
  MAX_RECEIVE,
  type Unsent,
} from "../src/platform/datagram_socket.ts";
import { asError } from "../src/platform/error_message.ts";
import type { Abilities } from "./socket_capabilities.ts";
import { bindError, checkAddresses, multicastError } from "./bind_error.ts";
import { HandlerGate } from "./handler_gate.ts";
import { runtimeName } from "./interface_names.ts";
import { Memberships } from "./group_memberships.ts";
import { BUN_SEND_ATTEMPTS, inTurn, SendErrors, SendQueue, type Transmit } from "./send_queue.ts";
import { setTimeout, withRealTicks } from "./system_clock.ts";
import { ZoneGuess } from "./ipv6_zone_lookup.ts";

const IS_DENO = "Deno" in globalThis;
const IS_BUN = "Bun" in globalThis;
const IS_LINUX = platform() === "linux";

/** What `node:dgram` can do on this runtime. */
export const nodeAbilities: Abilities = {
  api: "node:dgram",
  ipv6: true,
  // Deno takes the value for the size of what it allocates per receive.
  receiveBuffer: !IS_DENO,
  multicastFrom: "any",
  ttlWithoutJoin: true,
};

// Deno allocates this much per receive, and 64 KiB without it, which makes receiving 5 times slower. Longer datagrams
// are truncated. One byte more than the promised length tells them apart.
const DENO_RECEIVE_SIZE = MAX_RECEIVE + 1;

// Deno calls back while the receive that it has cancelled still holds the port. Of 3,000 sockets closed while files
// were read or names looked up, 200 held it still then, and none after a timer of 1 ms. But where the system stops the
// process again and again for some milliseconds, timers are due before the receive is released: 9 of 4,500 held it
// still after one timer, 1 of 13,500 after three in a row, none of 13,500 after four.
const DENO_CLOSE_TIMERS = 4;

// The smallest receive buffer worth asking for: the smallest default of a system is about three times as large.
const MIN_RECEIVE_BUFFER = 65_536;

/** Binds a socket of `node:dgram`; `fallback` says why it is not one of the runtime's native API. */
export async function bindDgram(
  options: BindOptions,
  handlers: DatagramHandlers,
  fallback?: string,
): Promise<DatagramSocket> {
  const family = checkAddresses(options);
  const gate = new HandlerGate(handlers);
  const raw = await listen(options, family, gate);
  const memberships = new Memberships(family, {
    add: (group, at) => raw.addMembership(group, at),
    drop: (group, at) => raw.dropMembership(group, at),
  });
  try {
    setUpSending(raw, options, family);
    if (options.joinGroup !== undefined) await memberships.join(options.joinGroup, options.multicastInterface);
  } catch (error) {
    await closeRaw(raw);
    throw multicastError(error, options);
  }
  const unmet = setReceiveBuffer(raw, options.receiveBuffer) ? [] : ["receiveBuffer" as const];
  gate.open();
  return new NodeSocket(raw, { options, family, gate, memberships, unmet, fallback });
}

interface Parts {
  readonly options: BindOptions;
  readonly family: Family;
  readonly gate: HandlerGate;
  readonly memberships: Memberships;
  readonly unmet: readonly (keyof BindOptions)[];
  readonly fallback: string | undefined;
}

class NodeSocket implements DatagramSocket {
  readonly adapter = "node";
  readonly unmet: readonly (keyof BindOptions)[];
  readonly fallback: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly receiveBuffer: number | undefined;
  readonly #raw: Socket;
  readonly #gate: HandlerGate;
  readonly #memberships: Memberships;
  readonly #queue: SendQueue;
  #closing: Promise<void> | undefined;

  constructor(raw: Socket, { options, family, gate, memberships, unmet, fallback }: Parts) {
    // Deno leaves out the zone of its own address.
    this.host = canonical(options.host);
    this.port = raw.address().port;
    this.receiveBuffer = receiveBufferOf(raw);
    this.unmet = unmet;
    this.fallback = fallback;
    this.#raw = raw;
    this.#gate = gate;
    this.#memberships = memberships;
    // Deno reorders concurrent sends, and Bun may have to repeat one before the next.
    const transmit = IS_DENO || IS_BUN
      ? inTurn(again(raw, IS_BUN ? BUN_SEND_ATTEMPTS : 1))
      : new Together(raw).transmit;
    const renew = options.sendsMulticast && options.multicastInterface !== undefined;
    this.#queue = new SendQueue(transmit, { family, renew: renew ? () => canLeave(raw, options, family) : undefined });
  }

  send(data: Uint8Array, host: string, port: number): Promise<void> {
    return this.#queue.send(data, host, port);
  }

  sendMany(datagrams: readonly Uint8Array[], host: string, port: number): Promise<Unsent> {
    return this.#queue.sendMany(datagrams, host, port);
  }

  join(group: string, multicastInterface: string | undefined): Promise<void> {
    return this.#memberships.join(group, multicastInterface);
  }

  leave(group: string, multicastInterface: string | undefined): Promise<void> {
    return this.#memberships.leave(group, multicastInterface);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#gate.close();
      this.#queue.close();
      this.#memberships.close();
      this.#closing = closeRaw(this.#raw);
    }
    return this.#closing;
  }
}

function listen(options: BindOptions, family: Family, gate: HandlerGate): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port, shared } = options;
    const settings: SocketOptions = family === 4
      ? { type: "udp4", reuseAddr: shared, lookup: echoIpv4 }
      : { type: "udp6", reuseAddr: shared, lookup: echoIpv6, ipv6Only: true };
    if (IS_DENO) settings.recvBufferSize = DENO_RECEIVE_SIZE;
    const raw = createSocket(settings);
    let bound = false;

    function fail(error: unknown): void {
      closeRaw(raw).then(() => reject(bindError(error, options)));
    }

    // Never removed: an `error` event without a listener ends the process.
    raw.on("error", (error) => bound ? gate.error(error, false) : fail(error));
    if (IS_DENO && family === 6) {
      const zones = new ZoneGuess(host.split("%")[1] ?? options.multicastInterface);
      raw.on("message", (data, from) => gate.message(plain(data), zones.complete(from.address), from.port));
    } else raw.on("message", (data, from) => gate.message(plain(data), from.address, from.port));
    raw.once("listening", () => {
      bound = true;
      resolve(raw);
    });
    try {
      // Without `exclusive`, the workers of a Node cluster (PM2) share one socket and split the datagrams.
      withRealTicks(() => raw.bind({ address: host, port, exclusive: true }));
    } catch (error) {
      fail(error);
    }
  });
}

// All addresses are literals. The runtime's own look-up takes a trip through a thread pool for each datagram, and it
// reads the bytes only after it.
type Found = (error: Error | null, address: string, family: number) => void;

function echoIpv4(address: string, _family: unknown, callback: Found): void {
  callback(null, address, 4);
}

function echoIpv6(address: string, _family: unknown, callback: Found): void {
  callback(null, address, 6);
}

// A Buffer's `slice` is a view where that of a Uint8Array is a copy, so a receiver could keep what it believes it
// copied.
function plain(data: Uint8Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function setUpSending(raw: Socket, options: BindOptions, family: Family): void {
  const { multicastInterface, multicastLoopback, multicastTtl, sendsMulticast } = options;
  if (!sendsMulticast) return;
  if (multicastInterface !== undefined) raw.setMulticastInterface(runtimeName(family, multicastInterface));
  raw.setMulticastTTL(multicastTtl);
  raw.setMulticastLoopback(multicastLoopback);
}

/** Sets the interface for outgoing multicast again: the system keeps to the interface that it was when first set. */
function canLeave(raw: Socket, { multicastInterface }: BindOptions, family: Family): boolean {
  try {
    raw.setMulticastInterface(runtimeName(family, multicastInterface ?? ""));
    return true;
  } catch {
    return false;
  }
}

/** Asks for less and less, as some systems refuse a size over their limit where Linux grants the limit. */
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

/**
 * The granted receive buffer in bytes. Linux doubles the requested size, to make up for its bookkeeping, and reports
 * the double.
 */
function receiveBufferOf(raw: Socket): number | undefined {
  if (!nodeAbilities.receiveBuffer) return undefined;
  try {
    const size = raw.getRecvBufferSize();
    return IS_LINUX ? size / 2 : size;
  } catch {
    return undefined;
  }
}

/**
 * Sends many datagrams: Node sends in the order of the calls, and calls back in it. One group of datagrams is sent at a
 * time, so it takes no closures.
 */
class Together {
  readonly #raw: Socket;
  #datagrams: readonly Uint8Array[] = [];
  #host = "";
  #port = 0;
  #called = 0;
  #count = 0;
  #errors: SendErrors | undefined;
  #done: ((unsent?: Unsent) => void) | undefined;

  constructor(raw: Socket) {
    this.#raw = raw;
  }

  readonly transmit: Transmit = (datagrams, host, port, done) => {
    this.#datagrams = datagrams;
    this.#host = host;
    this.#port = port;
    this.#called = 0;
    this.#count = datagrams.length;
    this.#errors = undefined;
    this.#done = done;
    if (datagrams.length === 0) return done();
    withRealTicks(this.#send);
  };

  readonly #send = (): void => {
    for (const data of this.#datagrams) {
      try {
        // With an offset and a length it would make a view first.
        this.#raw.send(data, this.#port, this.#host, this.#sent);
      } catch (error) {
        this.#sent(error);
      }
    }
  };

  readonly #sent = (error: unknown): void => {
    if (error) (this.#errors ??= new SendErrors(this.#count)).add(this.#called, asError(error));
    if (++this.#called < this.#count) return;
    // The datagrams belong to the caller from now on.
    this.#datagrams = [];
    this.#done?.(this.#errors?.unsent);
  };
}

/** Sends one datagram, and repeats it up to `attempts` times while it fails. */
function again(raw: Socket, attempts: number): Parameters<typeof inTurn>[0] {
  return (data, host, port, done) => {
    function sent(error: unknown): void {
      if (!error) done();
      else if (attempts > 1) again(raw, attempts - 1)(data, host, port, done);
      else done(asError(error));
    }
    try {
      withRealTicks(() => raw.send(data, 0, data.length, port, host, sent));
    } catch (error) {
      sent(error);
    }
  };
}

function closeRaw(raw: Socket): Promise<void> {
  return new Promise((resolve) => {
    function closed(): void {
      if (IS_DENO) afterTimers(DENO_CLOSE_TIMERS, resolve);
      else resolve();
    }
    try {
      withRealTicks(() => raw.close(closed));
    } catch {
      // It is closed already: a bind may fail twice, by a throw and by an event.
      closed();
    }
  });
}

/** Calls `done` after `count` timers, each set when the one before it has fired. */
function afterTimers(count: number, done: () => void): void {
  if (count === 0) done();
  else setTimeout(afterTimers, 1, count - 1, done);
}
