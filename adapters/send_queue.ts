/**
 * Send queue: serializes the sends of one socket.
 *
 * @module
 */

import type { Unsent } from "../src/platform/datagram_socket.ts";
import { type Family, isGroup } from "../src/platform/endpoint.ts";
import { familyOf } from "./address_literal.ts";
import { now, setImmediate } from "./system_clock.ts";

/**
 * Passes datagrams for one destination to the system in order. Calls `done` once, during the call or later, with the
 * errors of those that were not sent. MUST NOT throw.
 */
export type Transmit = (
  datagrams: readonly Uint8Array[],
  host: string,
  port: number,
  done: (unsent?: Unsent) => void,
) => void;

interface Send {
  readonly datagrams: readonly Uint8Array[];
  readonly host: string;
  readonly port: number;
  readonly settle: (unsent: Unsent) => void;
}

// Node and Bun run the callbacks of sends before anything else, so 50,000 sends in a row let no timer fire and receive
// nothing for 0.2 s. A turn of the event loop costs 1–2 µs, a send 2–3 µs.
const SENDS_PER_TURN = 16;

// Number of finished sends that may stay in the array before it is shortened.
const MAX_SPENT = 1024;

/**
 * How often a datagram is sent on Bun before its error counts. Bun asks the system to report what routers and
 * destinations refuse. The report arrives as the error of the next send to any destination, whose datagram is lost: no
 * process listens there (ECONNREFUSED), no such host (EHOSTUNREACH). An error that is about this datagram comes each
 * time. There are more than two attempts, as the next report may come in between.
 */
export const BUN_SEND_ATTEMPTS = 3;

/** Options of a {@linkcode SendQueue}. */
export interface SendQueueOptions {
  /**
   * The socket's family.
   * @default {4}
   */
  readonly family?: Family;
  /**
   * Called when no datagram to a group could be sent. It sets the interface for outgoing multicast again, as that may
   * have gone and come back. The datagrams are sent once more when it returns true.
   */
  readonly renew?: (() => boolean) | undefined;
}

// Setting an interface for IPv6 lists all interfaces first.
const RENEW_EVERY_MS = 100;

// Number of literals that a socket remembers as valid: checking an IPv6 literal takes as long as sending.
const MAX_KNOWN = 1024;

/**
 * The sends of one socket, one call at a time and in the order of the calls. Deno reorders concurrent sends, and on Bun
 * a send that would block must be repeated before the next. The queue lets the event loop turn in between. When the
 * socket closes it settles running sends itself, as Node and Bun never call back then.
 */
export class SendQueue {
  readonly #transmit: Transmit;
  readonly #family: Family;
  readonly #renew: (() => boolean) | undefined;
  readonly #known = new Set<string>();
  #renewed = -Infinity;
  #sends: (Send | undefined)[] = [];
  #next = 0;
  #current: Send | undefined;
  #sentThisTurn = 0;
  #waitsForTurn = false;
  #closed = false;

  constructor(transmit: Transmit, { family = 4, renew }: SendQueueOptions = {}) {
    this.#transmit = transmit;
    this.#family = family;
    this.#renew = renew;
  }

  /** Implements {@linkcode DatagramSocket.send}. */
  send(data: Uint8Array, host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueue({
        datagrams: [data],
        host,
        port,
        settle: (unsent) => unsent?.[0] === undefined ? resolve() : reject(unsent[0]),
      });
    });
  }

  /** Implements {@linkcode DatagramSocket.sendMany}. */
  sendMany(datagrams: readonly Uint8Array[], host: string, port: number): Promise<Unsent> {
    return new Promise((resolve) => this.#enqueue({ datagrams, host, port, settle: resolve }));
  }

  /** Fails running and later sends. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const current = this.#current;
    const waiting = this.#sends.slice(this.#next);
    this.#current = undefined;
    this.#sends = [];
    this.#next = 0;
    if (current !== undefined) fail(current, closedError());
    for (const send of waiting) if (send !== undefined) fail(send, closedError());
  }

  #enqueue(send: Send): void {
    const error = this.#closed ? closedError() : this.#misuse(send);
    if (error !== undefined) return fail(send, error);
    this.#sends.push(send);
    this.#advance();
  }

  #misuse({ host, port }: Send): Error | undefined {
    if (!this.#known.has(host) && !this.#isLiteral(host)) {
      return new TypeError(`Cannot send as the host must be an IPv${this.#family} literal: current value is "${host}"`);
    }
    // Deno sends datagrams for a port above 65535 to port 65535.
    if (!(Number.isInteger(port) && port > 0 && port < 65_536)) {
      return new RangeError(`Cannot send as the port must be an integer from 1 to 65535: current value is ${port}`);
    }
    return undefined;
  }

  #advance(): void {
    while (this.#current === undefined && !this.#waitsForTurn && this.#next < this.#sends.length) {
      const count = this.#sends[this.#next]?.datagrams.length ?? 0;
      if (this.#sentThisTurn > 0 && this.#sentThisTurn + count > SENDS_PER_TURN) return this.#waitForTurn();
      const send = this.#take();
      if (send === undefined) return;
      this.#sentThisTurn += count;
      this.#current = send;
      this.#transmit(send.datagrams, send.host, send.port, this.#settle);
    }
  }

  #take(): Send | undefined {
    const send = this.#sends[this.#next];
    this.#sends[this.#next++] = undefined;
    if (this.#next === this.#sends.length) {
      this.#sends = [];
      this.#next = 0;
    } else if (this.#next === MAX_SPENT) {
      this.#sends.splice(0, MAX_SPENT);
      this.#next = 0;
    }
    return send;
  }

  readonly #settle = (unsent?: Unsent): void => {
    const send = this.#current;
    // The socket was closed meanwhile, and the promise is settled.
    if (send === undefined) return;
    // When the interface is gone, none of the datagrams is sent.
    if (unsent?.every((error) => error !== undefined) && this.#mayRenew(send.host)) {
      return this.#transmit(send.datagrams, send.host, send.port, this.#settle);
    }
    this.#current = undefined;
    send.settle(unsent);
    this.#advance();
  };

  #mayRenew(host: string): boolean {
    if (this.#renew === undefined || !isGroup(host)) return false;
    const time = now();
    if (time < this.#renewed + RENEW_EVERY_MS) return false;
    this.#renewed = time;
    return this.#renew();
  }

  #isLiteral(host: string): boolean {
    if (familyOf(host) !== this.#family) return false;
    if (this.#known.size === MAX_KNOWN) this.#known.clear();
    this.#known.add(host);
    return true;
  }

  #waitForTurn(): void {
    this.#waitsForTurn = true;
    setImmediate(() => {
      this.#waitsForTurn = false;
      this.#sentThisTurn = 0;
      this.#advance();
    });
  }
}

/**
 * Makes a {@linkcode Transmit} from a function that sends one datagram at a time and must not be called before the last
 * is done.
 */
export function inTurn(
  transmit: (data: Uint8Array, host: string, port: number, done: (error?: Error) => void) => void,
): Transmit {
  return (datagrams, host, port, done) => {
    const errors = new SendErrors(datagrams.length);
    let next = 0;
    function goOn(error?: Error): void {
      if (error !== undefined) errors.add(next - 1, error);
      const data = datagrams[next++];
      if (data === undefined) done(errors.unsent);
      else transmit(data, host, port, goOn);
    }
    goOn();
  };
}

/** Collects the errors of datagrams that were not sent. */
export class SendErrors {
  /** Errors by index so far; `undefined` when all were sent. */
  unsent: (Error | undefined)[] | undefined;
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  /** Records that the datagram at `index` was not sent. */
  add(index: number, error: Error): void {
    this.unsent ??= new Array(this.#count).fill(undefined);
    this.unsent[index] = error;
  }

  /** Records that the first of the `left` last datagrams was not sent. */
  addFromEnd(left: number, error: Error): void {
    this.add(this.#count - left, error);
  }
}

function fail({ datagrams, settle }: Send, error: Error): void {
  settle(datagrams.map(() => error));
}

function closedError(): Error {
  return new Error("Cannot send as the socket is closed");
}
