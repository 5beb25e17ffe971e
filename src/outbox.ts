/**
 * Everything that a node sends leaves here, one datagram at a time.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { Pacer } from "./pacer.ts";

/** Letters that may wait to be sent. A socket that takes nothing any more must not fill the memory with heartbeats. */
const MAX_LETTERS = 1024;

/** Who gets a datagram besides the group: all peers and seeds, or the peers that speak the extension. */
export type Circle = "everybody" | "extended";

/** A datagram that is paced, and who gets it: everybody that is known, the group alone, or one. */
export interface Parcel {
  readonly datagram: Uint8Array;
  readonly to: "peers" | "group" | Endpoint;
}

/** What an {@linkcode Outbox} is made of. */
export interface OutboxConfig {
  /** Sends one datagram; rejects when it was not sent. */
  readonly send: (datagram: Uint8Array, endpoint: Endpoint) => Promise<void>;
  /** Where the group is; absent without multicast. */
  readonly group: Endpoint | undefined;
  /** Where letters for a circle go besides the group. */
  readonly circle: (circle: Circle) => readonly Endpoint[];
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
  readonly to: Endpoint | Circle;
}

/**
 * One datagram is under way at a time: sends that are not awaited are reordered by Deno, and one buffer is enough.
 * Letters (heartbeats, requests, answers) go first and are not paced; batches and repairs take turns.
 */
export class Outbox {
  /** Batches and heartbeats that were broadcast: taken by the group, or without multicast by at least one endpoint. */
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

  /** Sends `datagram`, which must stay unchanged, to one endpoint, or to the group and a circle. */
  post(datagram: Uint8Array, to: Endpoint | Circle = "everybody"): void {
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
      if (typeof to !== "string") await this.#send(datagram, to);
      else if (await this.#broadcast(datagram, this.#config.circle(to)) && to === "everybody") this.broadcasts++;
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
    const { batchTo, group } = this.#config;
    if (to === "peers") {
      if (await this.#broadcast(datagram, batchTo())) this.broadcasts++;
    } else if (to !== "group") await this.#send(datagram, to);
    else if (group !== undefined) await this.#send(datagram, group);
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
    const { group } = this.#config;
    let taken = group !== undefined && await this.#send(datagram, group);
    for (const endpoint of endpoints) {
      const sent = await this.#send(datagram, endpoint);
      if (group === undefined && sent) taken = true;
    }
    return taken;
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
