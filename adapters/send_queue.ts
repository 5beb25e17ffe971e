import { type Family, isGroup, isIpv4, isOf } from "./literal.ts";
import { now, setImmediate } from "./time.ts";

/** Hands one datagram to the system and calls `done` once, during the call or later. MUST NOT throw. */
export type Transmit = (data: Uint8Array, host: string, port: number, done: (error?: Error) => void) => void;

interface Send {
  readonly data: Uint8Array;
  readonly host: string;
  readonly port: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

// Node and Bun run the callbacks of sends before anything else, so 50,000 sends in a row let no timer fire and receive
// nothing for 0.2 s. A turn of the event loop costs 1–2 µs, a send 2–3 µs.
const SENDS_PER_TURN = 16;

// How many sends that are done with may stay in the array before it is made shorter.
const MAX_SPENT = 1024;

/**
 * How often a datagram is sent on Bun before its error counts. Bun asks the system to report what routers and
 * destinations refuse, and the report comes as the error of the next send, to anyone, whose datagram is lost: nobody
 * listens there (ECONNREFUSED), no such host (EHOSTUNREACH). One that is about this datagram comes each time. More than
 * two, as the next report may come in between.
 */
export const BUN_SEND_ATTEMPTS = 3;

/** What else a {@linkcode SendQueue} can be told. */
export interface SendQueueOptions {
  /**
   * The socket's family.
   * @default {4}
   */
  readonly family?: Family;
  /**
   * Called when a datagram to a group was not sent: names the interface that multicast leaves by again, as it may have
   * gone and come back. The datagram is sent once more when it returns true.
   */
  readonly renew?: (() => boolean) | undefined;
}

// Naming an interface of IPv6 takes a look at all that there are.
const RENEW_EVERY_MS = 100;

// How many literals of IPv6 a socket knows to be such: the look at one takes as long as the system takes to send.
const MAX_KNOWN = 1024;

/**
 * The sends of one socket, one at a time in the order of the calls: Deno reorders what is under way together, and one
 * of Bun that would block must be made again before the next. It lets the event loop turn in between, and settles by
 * itself what is under way when the socket closes: Node and Bun never call back then.
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
      if (this.#closed) return reject(closedError());
      if (!(this.#family === 4 ? isIpv4(host) : this.#isIpv6(host))) {
        return reject(
          new TypeError(`Cannot send as the host must be an IPv${this.#family} literal: current value is "${host}"`),
        );
      }
      // Deno sends what is meant for a port above 65535 to that one.
      if (!(Number.isInteger(port) && port > 0 && port < 65_536)) {
        return reject(
          new RangeError(`Cannot send as the port must be an integer from 1 to 65535: current value is ${port}`),
        );
      }
      this.#sends.push({ data, host, port, resolve, reject });
      this.#advance();
    });
  }

  /** Rejects what is under way and whatever comes later. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const current = this.#current;
    const waiting = this.#sends.slice(this.#next);
    this.#current = undefined;
    this.#sends = [];
    this.#next = 0;
    current?.reject(closedError());
    for (const send of waiting) send?.reject(closedError());
  }

  #advance(): void {
    while (this.#current === undefined && !this.#waitsForTurn && this.#next < this.#sends.length) {
      if (this.#sentThisTurn === SENDS_PER_TURN) return this.#waitForTurn();
      const send = this.#take();
      if (send === undefined) return;
      this.#sentThisTurn++;
      this.#current = send;
      this.#transmit(send.data, send.host, send.port, (error) => this.#settle(send, error));
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

  #settle(send: Send, error: Error | undefined): void {
    // The socket was closed meanwhile, and the promise is settled.
    if (this.#current !== send) return;
    if (error !== undefined && this.#mayRenew(send.host)) {
      return this.#transmit(send.data, send.host, send.port, (error) => this.#settle(send, error));
    }
    this.#current = undefined;
    if (error === undefined) send.resolve();
    else send.reject(error);
    this.#advance();
  }

  #mayRenew(host: string): boolean {
    if (this.#renew === undefined || !isGroup(host)) return false;
    const time = now();
    if (time < this.#renewed + RENEW_EVERY_MS) return false;
    this.#renewed = time;
    return this.#renew();
  }

  #isIpv6(host: string): boolean {
    if (this.#known.has(host)) return true;
    if (!isOf(6, host)) return false;
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

function closedError(): Error {
  return new Error("Cannot send as the socket is closed");
}
