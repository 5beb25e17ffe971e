/**
 * Everything that a node sends leaves here, one datagram at a time.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";

/** Letters that may wait to be sent. A socket that takes nothing any more must not fill the memory with heartbeats. */
const MAX_LETTERS = 1024;

/** What an {@linkcode Outbox} is made of. */
export interface OutboxConfig {
  /** Sends one datagram; rejects when it was not sent. */
  readonly send: (datagram: Uint8Array, endpoint: Endpoint) => Promise<void>;
  /** Where the group is; absent without multicast. */
  readonly group: Endpoint | undefined;
  /** Where heartbeats for everybody go besides the group. */
  readonly heartbeatTo: () => readonly Endpoint[];
  /** Where batches go besides the group. */
  readonly batchTo: () => readonly Endpoint[];
  /** The next batch, which is the outbox's until the next call; `undefined` when there is none. */
  readonly take: () => Uint8Array | undefined;
  /** Gets what `send` rejected with, once for each datagram that was not sent to one destination. MUST NOT throw. */
  readonly onError: (error: unknown) => void;
}

interface Letter {
  readonly datagram: Uint8Array;
  /** Who gets it; everybody when absent. */
  readonly to?: Endpoint;
}

/**
 * One datagram is under way at a time: sends that are not awaited are reordered by Deno, and one buffer is enough.
 * Letters (heartbeats) go before batches.
 */
export class Outbox {
  /** Datagrams that were broadcast: taken by the group, or without multicast by at least one endpoint. */
  broadcasts = 0;
  readonly #config: OutboxConfig;
  readonly #letters: Letter[] = [];
  #running: Promise<void> | undefined;

  constructor(config: OutboxConfig) {
    this.#config = config;
  }

  /** Sends `datagram`, which must stay unchanged, to one endpoint, or to everybody. */
  post(datagram: Uint8Array, to?: Endpoint): void {
    if (this.#letters.length >= MAX_LETTERS) {
      this.#config.onError(new Error(`Cannot send as at most ${MAX_LETTERS} heartbeats may wait`));
      return;
    }
    this.#letters.push(to === undefined ? { datagram } : { datagram, to });
    this.wake();
  }

  /** Says that there is something to send. It is begun after the caller's turn on the stack, never within. */
  wake(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when all is sent. */
  async drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    await undefined;
    while (true) {
      const letter = this.#letters.shift();
      if (letter !== undefined) {
        if (letter.to !== undefined) await this.#send(letter.datagram, letter.to);
        else await this.#broadcast(letter.datagram, this.#config.heartbeatTo());
        continue;
      }
      const batch = this.#config.take();
      if (batch === undefined) break;
      await this.#broadcast(batch, this.#config.batchTo());
    }
    this.#running = undefined;
  }

  async #broadcast(datagram: Uint8Array, endpoints: readonly Endpoint[]): Promise<void> {
    const { group } = this.#config;
    let taken = group !== undefined && await this.#send(datagram, group);
    for (const endpoint of endpoints) {
      const sent = await this.#send(datagram, endpoint);
      if (group === undefined && sent) taken = true;
    }
    if (taken) this.broadcasts++;
  }

  async #send(datagram: Uint8Array, endpoint: Endpoint): Promise<boolean> {
    try {
      await this.#config.send(datagram, endpoint);
      return true;
    } catch (error) {
      this.#config.onError(error);
      return false;
    }
  }
}
