import { setImmediate } from "node:timers";
import {
  type Bind,
  BindError,
  type BindOptions,
  type DatagramHandlers,
  type DatagramSocket,
  MAX_RECEIVE,
} from "../src/datagram_socket.ts";
import { type Abilities, cannot } from "./abilities.ts";
import { asError, bindError, checkAddresses, multicastError } from "./bind_error.ts";
import { Gate } from "./gate.ts";
import { SendQueue } from "./send_queue.ts";

// What is used of Deno, written out: its own types are there only on Deno, and only with its unstable library.

/** The address of a UDP socket. */
export interface DenoAddress {
  readonly transport: "udp";
  readonly hostname: string;
  readonly port: number;
}

/** A socket of Deno, as far as it is used here. */
export interface DenoSocket {
  readonly addr: DenoAddress;
  joinMulticastV4(group: string, interfaceAddress: string): Promise<{ setTTL(ttl: number): Promise<unknown> }>;
  send(data: Uint8Array, address: DenoAddress): Promise<number>;
  receive(buffer: Uint8Array): Promise<[Uint8Array, DenoAddress]>;
  close(): void;
}

/** What Deno takes to make a socket, as far as it is used here. */
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

// Longer datagrams are cut: one byte more than is promised whole tells them apart.
const RECEIVE_SIZE = MAX_RECEIVE + 1;

// So many failures with no datagram in between are the end: a socket that always fails would take the processor.
const MAX_FAILURES = 16;

// On Windows, what a destination refused comes as an error of the next receive (WSAECONNRESET).
const SEND_TROUBLE: ReadonlySet<string> = new Set(["ConnectionReset", "ConnectionRefused"]);

const { Deno } = globalThis as { readonly Deno?: DenoUdp };

/** What `Deno.listenDatagram` can do on this system. */
export const denoAbilities: Abilities = {
  api: "Deno.listenDatagram",
  receiveBuffer: false,
  // There is no call to choose it. Linux sends from the interface whose address the socket is bound to.
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

/** Makes a {@linkcode Bind} of Deno's API, or of something that behaves like it. */
export function bindDenoWith(listenDatagram: ListenDatagram): Bind {
  return async (options, handlers) => {
    checkAddresses(options);
    const raw = listen(listenDatagram, options);
    try {
      await join(raw, options);
    } catch (error) {
      raw.close();
      throw multicastError(error, options);
    }
    return new DenoDatagramSocket(raw, handlers, options.receiveBuffer === undefined ? [] : ["receiveBuffer"]);
  };
}

class DenoDatagramSocket implements DatagramSocket {
  readonly adapter = "deno";
  readonly unmet: readonly (keyof BindOptions)[];
  readonly host: string;
  readonly port: number;
  readonly #raw: DenoSocket;
  readonly #gate: Gate;
  readonly #queue: SendQueue;
  readonly #receiving: Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(raw: DenoSocket, handlers: DatagramHandlers, unmet: readonly (keyof BindOptions)[]) {
    this.host = raw.addr.hostname;
    this.port = raw.addr.port;
    this.unmet = unmet;
    this.#raw = raw;
    this.#gate = new Gate(handlers);
    this.#queue = new SendQueue((data, hostname, port, done) => {
      raw.send(data, { transport: "udp", hostname, port }).then(() => done(), (error) => done(asError(error)));
    });
    this.#gate.open();
    this.#receiving = this.#receive();
  }

  send(data: Uint8Array, host: string, port: number): Promise<void> {
    return this.#queue.send(data, host, port);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#gate.close();
      this.#queue.close();
      this.#closing = this.#receiving;
      this.#raw.close();
    }
    return this.#closing;
  }

  async #receive(): Promise<void> {
    // An own buffer is 5 times faster than one that Deno makes for each datagram.
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

function listen(listenDatagram: ListenDatagram, options: BindOptions): DenoSocket {
  const { host, port, shared, multicastLoopback } = options;
  try {
    return listenDatagram({
      transport: "udp",
      hostname: host,
      port,
      reuseAddress: shared,
      // Off by default here, where all others have it on.
      loopback: multicastLoopback,
    });
  } catch (error) {
    throw bindError(error, options);
  }
}

async function join(raw: DenoSocket, options: BindOptions): Promise<void> {
  const { joinGroup, multicastInterface = "0.0.0.0", multicastTtl, sendsMulticast } = options;
  if (joinGroup === undefined) return;
  const membership = await raw.joinMulticastV4(joinGroup, multicastInterface);
  if (sendsMulticast) await membership.setTTL(multicastTtl);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
