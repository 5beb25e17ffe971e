// Inbox: handlers that keep everything that a socket calls back with.
import type { DatagramHandlers } from "../../src/platform/datagram_socket.ts";

/** Handlers that keep everything that a socket calls back with. */
export class Inbox implements DatagramHandlers {
  /** Copies of the datagrams. */
  readonly received: Uint8Array[] = [];
  /** The source of each datagram, as `host:port`. */
  readonly sources: string[] = [];
  readonly errors: { readonly error: Error; readonly fatal: boolean }[] = [];
  readonly #onMessage: ((data: Uint8Array) => void) | undefined;

  /** `onMessage` is called for each datagram after it was kept, with the adapter's own bytes. */
  constructor(onMessage?: (data: Uint8Array) => void) {
    this.#onMessage = onMessage;
  }

  /** The datagrams as text. */
  get texts(): string[] {
    return this.received.map((data) => new TextDecoder().decode(data));
  }

  message(data: Uint8Array, host: string, port: number): void {
    this.received.push(new Uint8Array(data));
    this.sources.push(`${host}:${port}`);
    this.#onMessage?.(data);
  }

  error(error: Error, fatal: boolean): void {
    this.errors.push({ error, fatal });
  }
}

/** The bytes of a text. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
