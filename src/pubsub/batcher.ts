/**
 * Gathers keys into batch datagrams, and decides when each is ready to leave.
 *
 * @module
 */

import { ClosedError, KeyTooLongError, misuse } from "../errors.ts";
import type { SendBudget } from "../net/send_budget.ts";
import { onAbort, type Signal } from "../platform/abort_signal.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { BatchWriter } from "../wire/batch_writer.ts";
import { readU16 } from "../wire/integers.ts";
import { BATCH_KEY_OVERHEAD, BATCH_KEYS_OFFSET, MAX_DATAGRAM, MAX_KEY, MAX_PLAIN_KEY } from "../wire/layout.ts";
import { ILL_FORMED, utf8Length } from "../wire/utf8.ts";
import { hashOf } from "./key_hash.ts";
import { PendingKeys } from "./pending_keys.ts";
import { PublishWaiters, type Waiter } from "./publish_waiters.ts";

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
  /** Says when a batch may leave that is not full. */
  readonly budget: SendBudget;
  readonly transmit: {
    /** Called when a batch is ready and {@linkcode Batcher.take} would return it. MUST NOT call `take` itself. */
    wake(): void;
  };
  readonly ownKeys: {
    /** Called with each key that had to wait for room, when it is accepted. MUST NOT throw. */
    acceptedLate(key: string, self: boolean | undefined): void;
  };
}

/** Batches kept to be used again: 64 of 1,400 bytes, more than a sender that keeps up ever has ready. */
const MAX_SPARE = 64;

/**
 * What is to wait for no longer than this, in milliseconds, is looked after at the end of each turn: a timer takes 1 ms at least, in
 * which a node that publishes so much gathers more than the budget demands.
 */
const TURNS = 0.1;

/**
 * Once in so many milliseconds a batch does not wait for the end of the turn, which takes 50 to 90 µs in a process that was idle. In a
 * turn that awaits each key it publishes that is one datagram more.
 */
const AT_ONCE_EVERY = 1;

interface Batch {
  readonly writer: BatchWriter;
  /** When the first of its keys was accepted, by the node's clock. */
  since: number;
}

/**
 * A key is pending from when it is accepted until its datagram is taken to be sent. The same key published meanwhile
 * is covered by that datagram, so it is not queued again.
 *
 * The keys of a turn of the event loop are ready at its end as long as the {@linkcode SendBudget} lasts, and once a millisecond at
 * once; beyond it when it allows the next datagram, or they fill one, and no later than `batchInterval`. They gather on until they are
 * taken, so that a sender that does not keep up gets fewer and fuller batches. When the queue is full all of it is
 * ready.
 */
export class Batcher {
  /** Keys accepted since the beginning. */
  accepted = 0;
  /** How many keys are accepted and not yet sent. */
  pending = 0;
  readonly #config: BatcherConfig;
  readonly #keys: PendingKeys;
  readonly #waiting = new PublishWaiters();
  /** Batches that hold as much as they may, oldest first. */
  readonly #full: Batch[] = [];
  readonly #spare: Batch[] = [];
  readonly #taken: Batch[] = [];
  #open: Batch;
  /** Whether the open batch may leave as it is. */
  #isDue = false;
  #timer: Timer | undefined;
  /** When it was last found that the open batch has to wait. */
  #lookedAt = -Infinity;
  /** When a batch was last ready before the end of its turn. */
  #atOnceAt = -Infinity;
  /** The only key that is pending, as long as it is in no table. */
  #lone: string | undefined;
  #isHurried = false;
  #closed = false;
  #limit = MAX_DATAGRAM;

  constructor(config: BatcherConfig) {
    this.#config = config;
    this.#open = this.#nextBatch();
    this.#keys = new PendingKeys((serial) => this.#batchOf(serial).writer.buffer);
  }

  /** For how long the oldest key that is pending has been, in milliseconds; `undefined` when none is. */
  get pendingAge(): number | undefined {
    const { since } = this.#full[0] ?? this.#open;
    return this.pending === 0 ? undefined : this.#config.clock.now() - since;
  }

  /** The clock has stood still for so many milliseconds: what is pending has been for as much longer. */
  sleep(time: number): void {
    for (const batch of [...this.#full, this.#open]) batch.since -= time;
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
    return this.#full.length > 0 || this.#isDue;
  }

  /** How many `add` calls wait for room. */
  get waiting(): number {
    return this.#waiting.size;
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
      throw misuse("publish", "the key must be a string", key);
    }
    if (this.#closed) {
      this.#check(key);
      throw new ClosedError("publish");
    }
    if (this.pending === 0 && this.#addLone(key)) return true;
    if (this.#lone !== undefined) {
      if (this.#lone === key) return true;
      this.#noteLone();
    }
    if (this.#keys.hasText(key)) return true;
    return this.#add(key, this.#waiting.size === 0 && this.pending < this.#config.queueSize);
  }

  /**
   * Resolves when a key that {@linkcode Batcher.tryAdd} had no room for is accepted, first come first served. `signal`
   * ends the wait and withdraws the key: the promise rejects with its reason. `close` rejects with a `ClosedError`. `self` is
   * passed on to `acceptedLate`.
   */
  wait(key: string, signal?: Signal, self?: boolean): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { key, self, resolve, reject, detach: undefined, isOver: false };
      if (signal !== undefined) {
        waiter.detach = onAbort(signal, () => {
          this.#waiting.remove(waiter);
          reject(signal.reason);
        });
      }
      this.#waiting.add(waiter);
    });
  }

  /**
   * The oldest batch that is ready, with `number` on it. It is the caller's until it calls {@linkcode Batcher.release}, and its keys
   * are pending no more.
   */
  take(number?: number): Uint8Array | undefined {
    const batch = this.#full.shift() ?? this.#takeOpen();
    if (batch === undefined) return undefined;
    this.#taken.push(batch);
    this.#lone = undefined;
    this.pending -= batch.writer.count;
    this.#keys.take(this.pending);
    if (this.#waiting.size > 0) this.#admit();
    return batch.writer.bytes(number, this.pending > 0);
  }

  /** The caller is done with all that it has taken. */
  release(): void {
    for (let batch = this.#taken.pop(); batch !== undefined; batch = this.#taken.pop()) {
      batch.writer.clear();
      if (this.#spare.length < MAX_SPARE) this.#spare.push(batch);
    }
  }

  /** The sender's id, in the array that it was given in, is another: all that was not taken says so. */
  rename(): void {
    for (const { writer } of [this.#open, ...this.#full, ...this.#spare]) writer.rename(this.#config.nodeId);
    // Those have numbers of the old id, and go under that.
    this.#taken.length = 0;
  }

  /** Makes what is pending ready. What comes from now on waits for the end of the turn at most. */
  hurry(): void {
    this.#isHurried = true;
    this.#stopTimer();
    this.#setDue();
  }

  /**
   * Makes what is pending ready, turns away who waits for room, and refuses what comes later. Returns how many were turned
   * away.
   */
  close(): number {
    if (this.#closed) return 0;
    this.#closed = true;
    const { size } = this.#waiting;
    for (let waiter = this.#waiting.first; waiter !== undefined; waiter = this.#waiting.first) {
      this.#waiting.remove(waiter);
      waiter.reject(new ClosedError("publish"));
    }
    this.#stopTimer();
    this.#setDue();
    return size;
  }

  #admit(): void {
    for (let waiter = this.#waiting.first; waiter !== undefined; waiter = this.#waiting.first) {
      if (!this.#add(waiter.key, this.pending < this.#config.queueSize)) return;
      this.#waiting.remove(waiter);
      this.#config.ownKeys.acceptedLate(waiter.key, waiter.self);
      waiter.resolve();
    }
  }

  /** Accepts a key while no other is pending. Most leave alone, so it is noted when another comes. False when it does not fit. */
  #addLone(key: string): boolean {
    const { writer } = this.#open;
    const end = writer.put(key);
    if (end < 0) return false;
    writer.commit(end);
    this.#lone = key;
    this.accepted++;
    this.pending = 1;
    this.#schedule();
    return true;
  }

  #noteLone(): void {
    const { first } = this.#keys;
    const { buffer } = this.#batchOf(first).writer;
    const start = BATCH_KEYS_OFFSET + BATCH_KEY_OVERHEAD;
    const end = start + readU16(buffer, BATCH_KEYS_OFFSET);
    const hash = hashOf(buffer, start, end);
    this.#lone = undefined;
    this.#keys.find(hash, buffer, start, end);
    this.#keys.add(hash, first, BATCH_KEYS_OFFSET, 1);
  }

  /** Whether a key is pending now: it was already, or there is room for one more. */
  #add(key: string, hasRoom: boolean): boolean {
    let { writer } = this.#open;
    let end = writer.put(key);
    if (end < 0) {
      this.#check(key);
      // It needs a batch of its own, or there is none that it would fit: what it is written to first says whether it is pending.
      const batch = this.#nextBatch();
      end = batch.writer.put(key);
      const start = batch.writer.end + BATCH_KEY_OVERHEAD;
      const { buffer } = batch.writer;
      const isPending = this.#keys.find(hashOf(buffer, start, end), buffer, start, end) >= 0;
      if (isPending || !hasRoom) {
        this.#spare.push(batch);
        return isPending;
      }
      this.#fill(batch);
      writer = batch.writer;
    }
    const { buffer, end: offset } = writer;
    const start = offset + BATCH_KEY_OVERHEAD;
    const hash = hashOf(buffer, start, end);
    const found = this.#keys.find(hash, buffer, start, end);
    if (found >= 0) {
      this.#keys.addText(key, found);
      return true;
    }
    if (!hasRoom) return false;
    writer.commit(end);
    this.accepted++;
    this.pending++;
    const serial = this.#keys.first + this.#full.length;
    this.#keys.add(hash, serial, offset, this.pending);
    this.#schedule();
    return true;
  }

  /** The open batch is full, and another takes its place. */
  #fill(next: Batch): void {
    this.#full.push(this.#open);
    this.#open = next;
    this.#isDue = false;
    this.#config.transmit.wake();
  }

  #takeOpen(): Batch | undefined {
    if (!this.#isDue) return undefined;
    const batch = this.#open;
    this.#open = this.#nextBatch();
    this.#isDue = false;
    return batch;
  }

  #batchOf(serial: number): Batch {
    return this.#full[serial - this.#keys.first] ?? this.#open;
  }

  /** A key was added to the open batch. */
  #schedule(): void {
    const { batchSize, clock, queueSize } = this.#config;
    const { count } = this.#open.writer;
    if (count === 1) this.#open.since = clock.now();
    if (count >= batchSize) this.#fill(this.#nextBatch());
    // In a queue that is full nothing more can be gathered; with a batch ready, room will come by itself.
    else if (this.pending >= queueSize && this.#full.length === 0) this.#setDue();
    else if (this.#timer === undefined && !this.#isDue) this.#arm(count === 1 ? this.#open.since : clock.now());
  }

  /** Decides at `now` when the open batch may leave. */
  #arm(now: number): void {
    const { clock, batchInterval, budget } = this.#config;
    const wait = this.#isHurried || batchInterval === 0 ? 0 : budget.wait(now);
    if (wait === 0) {
      if (now - this.#atOnceAt < AT_ONCE_EVERY) {
        this.#timer = clock.setTurnEnd(this.#onTurnEnd);
        return;
      }
      this.#atOnceAt = now;
      return this.#setDue();
    }
    const left = Math.min(wait, this.#open.since + batchInterval - now);
    // On a clock that stands still in between, turns would follow each other for ever.
    const mayTurn = wait <= TURNS && now !== this.#lookedAt;
    this.#lookedAt = now;
    this.#timer = mayTurn ? clock.setTurnEnd(this.#look) : clock.setTimer(this.#look, Math.max(0, left));
  }

  readonly #onTurnEnd = (): void => {
    this.#timer = undefined;
    this.#setDue();
  };

  readonly #look = (): void => {
    this.#timer = undefined;
    // What it was set for is full by now.
    if (this.#open.writer.count === 0) return;
    const { clock, batchInterval, budget } = this.#config;
    const now = clock.now();
    if (now >= this.#open.since + batchInterval || budget.wait(now) === 0) this.#setDue();
    else this.#arm(now);
  };

  #setDue(): void {
    if (this.#open.writer.count === 0 || this.#isDue) return;
    this.#isDue = true;
    this.#config.transmit.wake();
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** An empty one. */
  #nextBatch(): Batch {
    const { nodeId, numbered } = this.#config;
    const batch = this.#spare.pop() ?? { writer: new BatchWriter(nodeId, numbered), since: 0 };
    if (batch.writer.limit !== this.#limit) batch.writer.limit = this.#limit;
    return batch;
  }

  #check(key: string): void {
    const limit = this.#config.numbered ? MAX_KEY : MAX_PLAIN_KEY;
    const bytes = utf8Length(key);
    if (bytes === ILL_FORMED) {
      throw misuse("publish", "a key must be well-formed Unicode", key);
    }
    if (bytes > limit) throw new KeyTooLongError(key, bytes, limit);
  }
}
