/**
 * Gathers keys into batch datagrams, and decides when each is ready to leave.
 *
 * @module
 */

import type { Clock, Timer } from "./clock.ts";
import { ClosedError, KeyTooLongError, show } from "./errors.ts";
import { onAbort, type Signal } from "./signal.ts";
import { BatchWriter } from "./wire/batch_writer.ts";
import { MAX_DATAGRAM, MAX_KEY, MAX_PLAIN_KEY } from "./wire/layout.ts";
import { ILL_FORMED, utf8Length } from "./wire/utf8.ts";

/** What a {@linkcode Batcher} is made of. */
export interface BatcherConfig {
  /** Sender of the batches, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Whether batches get numbers, which take room. @default {false} */
  readonly numbered?: boolean;
  /** Longest that a key waits for others, in milliseconds. */
  readonly batchInterval: number;
  /** Most keys in a datagram. */
  readonly batchSize: number;
  /** Most keys that may be pending. */
  readonly queueSize: number;
  readonly clock: Clock;
  /** Called when a batch is ready and {@linkcode Batcher.take} would return it. MUST NOT call `take` itself. */
  readonly onReady: () => void;
}

/** Batches kept to be used again: 64 of 1,400 bytes, more than a sender that keeps up ever has ready. */
const MAX_SPARE = 64;

interface Batch {
  readonly writer: BatchWriter;
  readonly keys: string[];
  /** When the first of them was accepted, by the node's clock. */
  since: number;
}

interface Waiter {
  readonly key: string;
  settle(error?: unknown): void;
}

/**
 * A key is pending from when it is accepted until its datagram is taken to be sent. The same key published meanwhile
 * is covered by that datagram, so it is not queued again.
 *
 * On an idle mesh (nothing cut for `batchInterval`) a batch is cut at the end of the current turn; on a busy one
 * `batchInterval` after the last cut. A full batch is cut at once, and so is one that fills the queue. So no key waits
 * longer than `batchInterval`.
 */
export class Batcher {
  /** Keys accepted since the beginning. */
  accepted = 0;
  readonly #config: BatcherConfig;
  readonly #pending = new Set<string>();
  readonly #waiting = new Set<Waiter>();
  readonly #ready: Batch[] = [];
  readonly #spare: Batch[] = [];
  #open: Batch;
  #taken: Batch | undefined;
  #timer: Timer | undefined;
  #lastCut = -Infinity;
  #isHurried = false;
  #closed = false;
  #limit = MAX_DATAGRAM;

  constructor(config: BatcherConfig) {
    this.#config = config;
    this.#open = this.#newBatch();
  }

  /** How many keys are accepted and not yet sent. */
  get pending(): number {
    return this.#pending.size;
  }

  /** For how long the oldest key that is pending has been, in milliseconds; `undefined` when none is. */
  get pendingAge(): number | undefined {
    const oldest = this.#ready[0] ?? this.#open;
    return oldest.keys.length === 0 ? undefined : this.#config.clock.now() - oldest.since;
  }

  /** The clock has stood still for so many milliseconds: what is pending has been for as much longer. */
  sleep(time: number): void {
    for (const batch of [...this.#ready, this.#open]) batch.since -= time;
  }

  /** Bytes that a batch does not pass, but for a single key that is longer. */
  get limit(): number {
    return this.#limit;
  }

  /** From the next key on. Batches that are full already go as they are. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#open.writer.limit = limit;
  }

  /** Whether a batch can be taken. */
  get isReady(): boolean {
    return this.#ready.length > 0;
  }

  /** How many `add` calls wait for room. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether `key` is pending, so that accepting it again would do nothing. False after `close`: it would be refused. */
  has(key: string): boolean {
    return !this.#closed && this.#pending.has(key);
  }

  /**
   * Accepts a key if there is room; false means that it has to {@linkcode Batcher.wait}. A key that is pending already
   * takes no room.
   *
   * @throws {KeyTooLongError} when the key does not fit a datagram
   * @throws {TypeError} when the key has no UTF-8 form
   * @throws {ClosedError} after `close`
   */
  tryAdd(key: string): boolean {
    if (typeof key !== "string") {
      throw new TypeError(`Cannot publish as the key must be a string: current value is ${show(key)}`);
    }
    if (this.#closed) {
      this.#check(key);
      throw new ClosedError("publish");
    }
    const { size } = this.#pending;
    // One operation instead of a look-up and another: 9 % of what a key costs at full speed (Node 24).
    this.#pending.add(key);
    if (this.#pending.size === size) return true;
    try {
      if (this.#waiting.size === 0 && size < this.#config.queueSize) {
        this.#accept(key);
        return true;
      }
      this.#check(key);
    } catch (error) {
      this.#pending.delete(key);
      throw error;
    }
    this.#pending.delete(key);
    return false;
  }

  /**
   * Resolves when a key that {@linkcode Batcher.tryAdd} had no room for is accepted, first come first served. `signal`
   * ends the wait and withdraws the key: the promise rejects with its reason. `close` rejects with a `ClosedError`.
   */
  wait(key: string, signal?: Signal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const detach = signal && onAbort(signal, () => waiter.settle(signal.reason));
      const waiter: Waiter = {
        key,
        settle: (error) => {
          this.#waiting.delete(waiter);
          detach?.();
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiting.add(waiter);
    });
  }

  /**
   * The oldest batch that is ready, with `number` on it. It is the caller's until the next `take`, and its keys are pending
   * no more.
   */
  take(number?: number): Uint8Array | undefined {
    if (this.#taken !== undefined) this.#recycle(this.#taken);
    const batch = this.#taken = this.#ready.shift();
    if (batch === undefined) return undefined;
    for (const key of batch.keys) this.#pending.delete(key);
    this.#admit();
    return batch.writer.bytes(number, this.#pending.size > 0);
  }

  /** The sender's id, in the array that it was given in, is another: all that was not taken says so. */
  rename(): void {
    for (const { writer } of [this.#open, ...this.#ready, ...this.#spare]) writer.rename(this.#config.nodeId);
    // It has a number of the old id, and goes under that.
    this.#taken = undefined;
  }

  /** Makes what is pending ready. What comes from now on waits for the end of the turn, and not for others. */
  hurry(): void {
    this.#isHurried = true;
    this.#flush();
  }

  /**
   * Makes what is pending ready, turns away who waits for room, and refuses what comes later. Returns how many were turned
   * away.
   */
  close(): number {
    if (this.#closed) return 0;
    this.#closed = true;
    const { size } = this.#waiting;
    for (const waiter of this.#waiting) waiter.settle(new ClosedError("publish"));
    this.#flush();
    return size;
  }

  #admit(): void {
    for (const waiter of this.#waiting) {
      if (!this.#pending.has(waiter.key)) {
        if (this.#pending.size >= this.#config.queueSize) return;
        this.#pending.add(waiter.key);
        this.#accept(waiter.key);
      }
      waiter.settle();
    }
  }

  #accept(key: string): void {
    const failure = this.#open.writer.add(key);
    if (failure !== 0) {
      this.#check(key);
      this.#cut();
      this.#open.writer.add(key);
    }
    if (this.#open.keys.length === 0) this.#open.since = this.#config.clock.now();
    this.#open.keys.push(key);
    this.accepted++;
    // In a queue that is full nothing more can be gathered; with a batch ready, room will come by itself.
    const stuck = this.#pending.size >= this.#config.queueSize && this.#ready.length === 0;
    if (stuck || this.#open.writer.count >= this.#config.batchSize) this.#cut();
    else if (this.#timer === undefined) this.#schedule();
  }

  #schedule(): void {
    const { clock, batchInterval } = this.#config;
    const wait = this.#isHurried ? 0 : this.#lastCut + batchInterval - clock.now();
    const flush = () => this.#flush();
    this.#timer = wait > 0 ? clock.setTimer(flush, wait) : clock.setTurnEnd(flush);
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#open.writer.count > 0) this.#cut();
  }

  #cut(): void {
    this.#ready.push(this.#open);
    this.#open = this.#spare.pop() ?? this.#newBatch();
    if (this.#open.writer.limit !== this.#limit) this.#open.writer.limit = this.#limit;
    this.#lastCut = this.#config.clock.now();
    this.#config.onReady();
  }

  #newBatch(): Batch {
    return { writer: new BatchWriter(this.#config.nodeId, this.#config.numbered), keys: [], since: 0 };
  }

  #recycle(batch: Batch): void {
    batch.writer.clear();
    batch.keys.length = 0;
    if (this.#spare.length < MAX_SPARE) this.#spare.push(batch);
  }

  #check(key: string): void {
    const limit = this.#config.numbered ? MAX_KEY : MAX_PLAIN_KEY;
    const bytes = utf8Length(key);
    if (bytes === ILL_FORMED) {
      throw new TypeError(`Cannot publish as a key must be well-formed Unicode: current value is ${show(key)}`);
    }
    if (bytes > limit) throw new KeyTooLongError(key, bytes, limit);
  }
}
