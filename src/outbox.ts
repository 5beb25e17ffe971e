/**
 * Everything that a node sends leaves here, one datagram at a time.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { Pacer } from "./pacer.ts";

/**
 * Letters that may wait to be sent: more than the answers, questions and requests of a burst that strangers ask for. A socket
 * that takes nothing any more must not fill the memory with heartbeats.
 */
const MAX_LETTERS = 4096;

/** The group alone, or the group and where the peers are that speak the extension and do not hear it. */
export type Circle = "group" | "extended";

/** Where a letter goes. */
export type Recipients = Endpoint | readonly Endpoint[] | Circle;

/** A datagram that is paced, and who gets it: everybody that is known, the group alone, or one. */
export interface Parcel {
  readonly datagram: Uint8Array;
  readonly to: "peers" | "group" | Endpoint;
}

/** What an {@linkcode Outbox} is made of. */
export interface OutboxConfig {
  /** Sends one datagram; rejects when it was not sent. */
  readonly send: (datagram: Uint8Array, endpoint: Endpoint) => Promise<void>;
  /** Sends one datagram to the group; rejects when it was not sent. */
  readonly sendToGroup: (datagram: Uint8Array) => Promise<void>;
  /** Whether there is a group to send to. */
  readonly hasGroup: () => boolean;
  /** Where letters for the circle `"extended"` go besides the group. */
  readonly extendedTo: () => readonly Endpoint[];
  /** Where batches go besides the group. */
  readonly batchTo: () => readonly Endpoint[];
  /** The next batch, which is the outbox's until the next call; `undefined` when there is none. */
  readonly take: () => Uint8Array | undefined;
  /** The next repair, the same way. Absent when nothing is repaired. */
  readonly takeRepair?: () => Parcel | undefined;
  /** Whether there is a batch, or a repair. A batch gets its number when it is taken, so it is not taken to wait. */
  readonly isReady: (what: "batch" | "repair") => boolean;
  /** How fast batches and repairs may leave. Absent: as fast as the system takes them. */
  readonly pacer?: Pacer;
  readonly clock: Clock;
  /** Gets what `send` rejected with, once for each datagram that was not sent to one destination. MUST NOT throw. */
  readonly onError: (error: unknown) => void;
}

interface Letter {
  readonly datagram: Uint8Array;
  readonly to: Recipients;
}

/**
 * One datagram is under way at a time: sends that are not awaited are reordered by Deno, and one buffer is enough.
 * Letters (heartbeats, requests, answers) go first and are not paced; batches and repairs take turns.
 */
export class Outbox {
  /** Batches and rounds of heartbeats: taken by the group, or without multicast by at least one endpoint. */
  broadcasts = 0;
  readonly #config: OutboxConfig;
  readonly #letters: Letter[] = [];
  #running: Promise<void> | undefined;
  #isRepairsTurn = false;
  #endPause: (() => void) | undefined;
  #onlyLetters = false;

  constructor(config: OutboxConfig) {
    this.#config = config;
  }

  /** Sends `datagram`, which must stay unchanged, to one endpoint, to several, or to a circle. */
  post(datagram: Uint8Array, to: Recipients): void {
    if (this.#letters.length >= MAX_LETTERS) {
      this.#config.onError(
        new Error(`Cannot send as at most ${MAX_LETTERS} heartbeats, requests and answers may wait`),
      );
      return;
    }
    this.#letters.push({ datagram, to });
    this.#endPause?.();
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

  /** Resolves when all is sent, or at `time` by the node's clock. */
  async drainedBy(time: number): Promise<void> {
    const { clock } = this.#config;
    let stop: () => void = () => {};
    const timeout = new Promise<void>((resolve) => {
      const timer = clock.setTimer(resolve, time - clock.now());
      stop = () => timer.cancel();
    });
    await Promise.race([this.drained(), timeout]);
    stop();
  }

  /** From now on batches stay where they are. */
  holdBatches(): void {
    this.#onlyLetters = true;
    this.#endPause?.();
  }

  async #run(): Promise<void> {
    await undefined;
    const { isReady, pacer } = this.#config;
    while (true) {
      await this.#sendLetters();
      // One that was posted since the last left and before this went on has woken nobody.
      if (this.#letters.length > 0) continue;
      if (!isReady("repair") && (this.#onlyLetters || !isReady("batch"))) break;
      const wait = this.#onlyLetters ? 0 : pacer?.wait() ?? 0;
      if (wait > 0) {
        await this.#pause(wait);
        continue;
      }
      const next = this.#next();
      if (next === undefined) continue;
      pacer?.spend();
      await this.#deliver(next);
    }
    this.#running = undefined;
  }

  async #sendLetters(): Promise<void> {
    for (let letter = this.#letters.shift(); letter !== undefined; letter = this.#letters.shift()) {
      const { datagram, to } = letter;
      const { hasGroup, extendedTo } = this.#config;
      if (typeof to !== "string" && "port" in to) await this.#send(datagram, to);
      else if (to === "extended") await this.#broadcast(datagram, extendedTo());
      else if (to === "group") {
        if (await this.#broadcast(datagram, [])) this.broadcasts++;
      } else if (await this.#sendAll(datagram, to) && !hasGroup()) this.broadcasts++;
    }
  }

  /** The next batch or repair. It is the outbox's until the next call. */
  #next(): Parcel | undefined {
    const { take, takeRepair } = this.#config;
    const repair = this.#isRepairsTurn ? takeRepair?.() : undefined;
    this.#isRepairsTurn = repair === undefined;
    if (repair !== undefined) return repair;
    const batch = this.#onlyLetters ? undefined : take();
    return batch === undefined ? takeRepair?.() : { datagram: batch, to: "peers" };
  }

  async #deliver({ datagram, to }: Parcel): Promise<void> {
    const { batchTo } = this.#config;
    if (to === "peers") {
      if (await this.#broadcast(datagram, batchTo())) this.broadcasts++;
    } else if (to !== "group") await this.#send(datagram, to);
    else await this.#sendToGroup(datagram);
  }

  /** A letter does not wait for the end of it. */
  async #pause(wait: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#config.clock.setTimer(resolve, wait);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#endPause = undefined;
  }

  /** Whether the group took it, or without multicast at least one endpoint. */
  async #broadcast(datagram: Uint8Array, endpoints: readonly Endpoint[]): Promise<boolean> {
    const hasGroup = this.#config.hasGroup();
    const isTaken = await this.#sendToGroup(datagram);
    const isSent = await this.#sendAll(datagram, endpoints);
    return isTaken || (!hasGroup && isSent);
  }

  /** Whether the group took it. */
  async #sendToGroup(datagram: Uint8Array): Promise<boolean> {
    if (!this.#config.hasGroup()) return false;
    try {
      await this.#config.sendToGroup(datagram);
      return true;
    } catch (error) {
      this.#config.onError(error);
      return false;
    }
  }

  /** Whether at least one endpoint took it. */
  async #sendAll(datagram: Uint8Array, endpoints: readonly Endpoint[]): Promise<boolean> {
    let isSent = false;
    for (const endpoint of endpoints) {
      if (await this.#send(datagram, endpoint)) isSent = true;
    }
    return isSent;
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
