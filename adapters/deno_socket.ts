/**
 * Deno socket: implements `DatagramSocket` on `Deno.listenDatagram`.
 *
 * @module
 */

import {
  type Bind,
  BindError,
  type BindOptions,
  type DatagramHandlers,
  type DatagramSocket,
  MAX_RECEIVE,
  type Unsent,
} from "../src/platform/datagram_socket.ts";
import { asError } from "../src/platform/error_message.ts";
import { bindError, checkAddresses, multicastError } from "./bind_error.ts";
import { Memberships } from "./group_memberships.ts";
import { HandlerGate } from "./handler_gate.ts";
import { SendErrors, SendQueue } from "./send_queue.ts";
import { type Abilities, cannot } from "./socket_capabilities.ts";
import { setImmediate } from "./system_clock.ts";

// The part of Deno's API that is used, written out: Deno's own types exist only on Deno, and only with its unstable
// library.

/** The address of a UDP socket. */
export interface DenoAddress {
  readonly transport: "udp";
  readonly hostname: string;
  readonly port: number;
}

/** The part of a group membership of Deno that is used here. */
export interface DenoMembership {
  setTTL(ttl: number): Promise<unknown>;
  leave(): Promise<unknown>;
}

/** The part of a Deno socket that is used here. */
export interface DenoSocket {
  readonly addr: DenoAddress;
  joinMulticastV4(group: string, interfaceAddress: string): Promise<DenoMembership>;
  send(data: Uint8Array, address: DenoAddress): Promise<number>;
  receive(buffer: Uint8Array): Promise<[Uint8Array, DenoAddress]>;
  close(): void;
}

/** The part of Deno's socket options that is used here. */
export interface DenoSocketOptions extends DenoAddress {
  readonly reuseAddress: boolean;
  readonly loopback: boolean;
}

/** `Deno.listenDatagram`. */
export type ListenDatagram = (options: DenoSocketOptions) => DenoSocket;

/** The part of the `Deno` global that is used here. */
export interface DenoUdp {
  readonly build: { readonly os: string };
  /** Absent without `--unstable-net`, even with all permissions. */
  readonly listenDatagram?: ListenDatagram;
}

// Longer datagrams are truncated. One byte more than the promised length tells them apart.
const RECEIVE_SIZE = MAX_RECEIVE + 1;

// After this many failures in a row the socket counts as failed: one that always fails would take all of the processor.
const MAX_FAILURES = 16;

// On Windows, a datagram that its destination refused makes the next receive fail (WSAECONNRESET).
const SEND_TROUBLE: ReadonlySet<string> = new Set(["ConnectionReset", "ConnectionRefused"]);

const { Deno } = globalThis as { readonly Deno?: DenoUdp };

/** What `Deno.listenDatagram` can do on this system. */
export const denoAbilities: Abilities = {
  api: "Deno.listenDatagram",
  // A socket bound to :: also receives IPv4, which no option changes, and it does not report the zone of a source.
  ipv6: false,
  receiveBuffer: false,
  // Deno has no call to choose it. Linux sends from the interface whose address the socket is bound to.
  multicastFrom: Deno?.build.os === "linux" ? "bound" : "default",
  ttlWithoutJoin: false,
};

/** Why `Deno.listenDatagram` cannot do what `options` ask; undefined when it can. */
export function denoCannot(options: BindOptions): string | undefined {
  if (Deno === undefined) return "this runtime is not Deno";
  if (Deno.listenDatagram === undefined) return "Deno.listenDatagram is only there with --unstable-net";
  return cannot(denoAbilities, options);
}

/** Binds a socket of `Deno.listenDatagram`. */
export async function bindDenoSocket(options: BindOptions, handlers: DatagramHandlers): Promise<DatagramSocket> {
  const reason = denoCannot(options);
  if (Deno?.listenDatagram === undefined || reason !== undefined) {
    throw new BindError("EUNSUPPORTED", `Cannot bind a UDP socket as ${reason}`);
  }
  return await bindDenoWith(Deno.listenDatagram)(options, handlers);
}

/** Makes a {@linkcode Bind} from Deno's API, or from a fake of it. */
export function bindDenoWith(listenDatagram: ListenDatagram): Bind {
  return async (options, handlers) => {
    checkAddresses(options);
    const { joinGroup, multicastInterface } = options;
    const raw = listen(listenDatagram, options);
    const memberships = membershipsOf(raw, options);
    try {
      if (joinGroup !== undefined) await memberships.join(joinGroup, multicastInterface);
    } catch (error) {
      raw.close();
      throw multicastError(error, options);
    }
    const unmet = options.receiveBuffer === undefined ? [] : ["receiveBuffer" as const];
    return new DenoDatagramSocket(raw, memberships, handlers, unmet);
  };
}

class DenoDatagramSocket implements DatagramSocket {
  readonly adapter = "deno";
  readonly unmet: readonly (keyof BindOptions)[];
  readonly host: string;
  readonly port: number;
  readonly receiveBuffer = undefined;
  readonly #raw: DenoSocket;
  readonly #memberships: Memberships;
  readonly #gate: HandlerGate;
  readonly #queue: SendQueue;
  readonly #receiving: Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(
    raw: DenoSocket,
    memberships: Memberships,
    handlers: DatagramHandlers,
    unmet: readonly (keyof BindOptions)[],
  ) {
    this.host = raw.addr.hostname;
    this.port = raw.addr.port;
    this.unmet = unmet;
    this.#raw = raw;
    this.#memberships = memberships;
    this.#gate = new HandlerGate(handlers);
    this.#queue = new SendQueue((datagrams, hostname, port, done) => {
      sendInTurn(raw, datagrams, { transport: "udp", hostname, port }).then(done);
    });
    this.#gate.open();
    this.#receiving = this.#receive();
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
      this.#closing = this.#receiving;
      this.#raw.close();
    }
    return this.#closing;
  }

  async #receive(): Promise<void> {
    // A buffer of its own is 5 times faster than one that Deno makes for each datagram.
    const buffer = new Uint8Array(RECEIVE_SIZE);
    let failures = 0;
    while (this.#closing === undefined) {
      try {
        const [data, from] = await this.#raw.receive(buffer);
        failures = 0;
        this.#gate.message(data, from.hostname, from.port);
      } catch (error) {
        if (this.#closing !== undefined) return;
        const fatal = ++failures === MAX_FAILURES;
        if (fatal || !SEND_TROUBLE.has(asError(error).name)) this.#gate.error(asError(error), fatal);
        if (fatal) return;
        await turn();
      }
    }
  }
}

/** Sends one after the other, as Deno reorders concurrent sends. */
async function sendInTurn(
  raw: DenoSocket,
  datagrams: readonly Uint8Array[],
  address: DenoAddress,
): Promise<Unsent> {
  const failures = new SendErrors(datagrams.length);
  for (const [i, data] of datagrams.entries()) {
    try {
      await raw.send(data, address);
    } catch (error) {
      failures.add(i, asError(error));
    }
  }
  return failures.unsent;
}

function listen(listenDatagram: ListenDatagram, options: BindOptions): DenoSocket {
  const { host, port, shared, multicastLoopback } = options;
  try {
    return listenDatagram({
      transport: "udp",
      hostname: host,
      port,
      reuseAddress: shared,
      // Off by default on Deno, and on by default everywhere else.
      loopback: multicastLoopback,
    });
  } catch (error) {
    throw bindError(error, options);
  }
}

function membershipsOf(raw: DenoSocket, { sendsMulticast, multicastTtl }: BindOptions): Memberships {
  const joined = new Map<string, DenoMembership>();
  return new Memberships(4, {
    async add(group, at = "0.0.0.0") {
      const membership = await raw.joinMulticastV4(group, at);
      joined.set(`${group}%${at}`, membership);
      if (sendsMulticast) await membership.setTTL(multicastTtl);
    },
    async drop(group, at = "0.0.0.0") {
      const key = `${group}%${at}`;
      const membership = joined.get(key);
      joined.delete(key);
      await membership?.leave();
    },
  });
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
