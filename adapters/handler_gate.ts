/**
 * Handler gate: delivers a socket's events only between `bind` and `close`.
 *
 * @module
 */

import type { DatagramHandlers } from "../src/platform/datagram_socket.ts";
import { setImmediate } from "./system_clock.ts";

/**
 * Holds back a socket's events until the caller of `bind` has its socket, and drops those after the close. Events that
 * come too early are delivered later.
 */
export class HandlerGate {
  readonly #handlers: DatagramHandlers;
  #early: (() => void)[] | undefined = [];
  #closed = false;

  constructor(handlers: DatagramHandlers) {
    this.#handlers = handlers;
  }

  message(data: Uint8Array, host: string, port: number): void {
    if (this.#closed) return;
    if (this.#early === undefined) this.#handlers.message(data, host, port);
    else {
      const copy = data.slice();
      this.#early.push(() => this.message(copy, host, port));
    }
  }

  error(error: Error, fatal: boolean): void {
    if (this.#closed) return;
    if (this.#early === undefined) this.#handlers.error(error, fatal);
    else this.#early.push(() => this.error(error, fatal));
  }

  /** To be called last in `bind`: opens after the caller's own `await` of the promise, which takes microtasks. */
  open(): void {
    setImmediate(() => {
      const early = this.#early ?? [];
      this.#early = undefined;
      for (const call of early) call();
    });
  }

  close(): void {
    this.#closed = true;
  }
}
