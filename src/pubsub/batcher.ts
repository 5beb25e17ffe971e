/**
 * Batcher: packs published keys into batch datagrams and decides when each batch may be sent.
 *
 * Like Nagle's algorithm (RFC 896) it combines small writes. What makes them wait is a send budget, not an outstanding
 * acknowledgement.
 *
 * @module
 */

import { ClosedError, KeyTooLongError, misuse } from "../errors.ts";
import type { SendBudget } from "../net/send_budget.ts";
import { onAbort, type Signal } from "../platform/abort_signal.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { NotedEntry } from "../wire/batch_notes.ts";
import { BatchWriter } from "../wire/batch_writer.ts";
import { readU16 } from "../wire/integers.ts";
import {
  BATCH_KEY_OVERHEAD,
  BATCH_KEYS_OFFSET,
  MAX_DATAGRAM,
  MAX_KEY,
  MAX_PLAIN_KEY,
  MAX_WRITERS,
  RECORD_HEADER_LENGTH,
} from "../wire/layout.ts";
import { mergeClocks, metadataLength } from "../wire/metadata.ts";
import { ILL_FORMED, utf8Length } from "../wire/utf8.ts";
import { hashOf } from "./key_hash.ts";
import { type DeliveryAwaiter, type Entry, PendingEntries, type PendingEntry } from "./pending_entries.ts";
import { PendingKeys } from "./pending_keys.ts";
import { isAlike, MAX_METADATA } from "./publication.ts";
import { PublishWaiters, type Waiter } from "./publish_waiters.ts";

/** What a {@linkcode Batcher} is built from. */
export interface BatcherConfig {
  /** Node id of the sender, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Whether batches carry sequence numbers, which take room in the datagram. @default {false} */
  readonly numbered?: boolean;
  /** Longest time that a key waits for other keys, in milliseconds. */
  readonly batchInterval: number;
  /** Largest number of keys in a datagram. */
  readonly batchSize: number;
  /** Largest number of pending keys. */
  readonly queueSize: number;
  readonly clock: Clock;
  /** Decides when a batch that is not full may be sent. */
  readonly budget: SendBudget;
  readonly transmit: {
    /** Called when a batch is ready and {@linkcode Batcher.take} would return it. MUST NOT call `take` itself. */
    wake(): void;
  };
  readonly ownKeys: {
    /** Called with each key that had to wait for room, once it is accepted. MUST NOT throw. */
    acceptedLate(key: string | Entry, self: boolean | undefined): void;
  };
  readonly peers: {
    /** Whether a Go node is known. It hears no prefixes, so none covers a key for it. */
    readonly hasPlain: boolean;
  };
}

/** Batches kept for reuse: 64 of 1,400 bytes, more than a sender that keeps up ever has ready. */
const MAX_SPARE = 64;

/**
 * A wait of at most this long, in milliseconds, is checked at the end of each turn of the event loop and not by a
 * timer. A timer takes at least 1 ms, in which a node that publishes so much gathers more than the budget requires.
 */
const TURN_WAIT = 0.1;

/**
 * Shortest time, in milliseconds, between two batches that are sent without waiting for the end of the turn. In a
 * process that was idle that wait takes 50 to 90 µs. In a turn that awaits each key it publishes, it costs one more
 * datagram.
 */
const IMMEDIATE_INTERVAL = 1;

interface Batch {
  readonly writer: BatchWriter;
  /** When its first key was accepted, by the node's clock. */
  since: number;
  /** Those who await the delivery of an entry. */
  awaited: DeliveryAwaiter[] | undefined;
}

/**
 * Packs keys into batches. A key is pending from when it is accepted until its datagram is taken to be sent. The same
 * key published in the meantime is covered by that datagram, so it is not queued again.
 *
 * While the {@linkcode SendBudget} lasts, the keys of a turn of the event loop are ready at its end, and once a
 * millisecond immediately. Beyond the budget they are ready when it allows the next datagram, when they fill a
 * datagram, or after `batchInterval`, whichever comes first. The open batch takes keys until it is taken itself, so a
 * sender that falls behind sends fewer and fuller batches. When the queue is full, all of it is ready.
 */
export class Batcher {
  /** Keys accepted since the start. */
  accepted = 0;
  /** Keys accepted and not yet taken to be sent. */
  pending = 0;
  readonly #config: BatcherConfig;
  readonly #keys: PendingKeys;
  readonly #entries = new PendingEntries<Batch>();
  readonly #waiting = new PublishWaiters();
  /** Batches that are full, oldest first. */
  readonly #full: Batch[] = [];
  readonly #spare: Batch[] = [];
  readonly #taken: Batch[] = [];
  #open: Batch;
  /** Whether the open batch may be sent as it is. */
  #isDue = false;
  #timer: Timer | undefined;
  /** When the open batch was last found to have to wait. */
  #lookedAt = -Infinity;
  /** When a batch was last made ready before the end of its turn. */
  #immediateAt = -Infinity;
  /** Whether the timer is for the end of this turn. */
  #isTurnEnd = false;
  /** Serial of the batch that the last key is pending in. */
  #serial = 0;
  /** The only pending key, as long as it is not in the table of pending keys. */
  #lone: string | undefined;
  #isHurried = false;
  #closed = false;
  #limit = MAX_DATAGRAM;

  constructor(config: BatcherConfig) {
    this.#config = config;
    this.#open = this.#nextBatch();
    this.#keys = new PendingKeys((serial) => this.#batchOf(serial).writer.buffer);
  }

  /** How long the oldest pending key has been pending, in milliseconds; `undefined` when none is. */
  get pendingAge(): number | undefined {
    const { since } = this.#full[0] ?? this.#open;
    return this.pending === 0 ? undefined : this.#config.clock.now() - since;
  }

  /**
   * Accounts for a suspension in which the clock stopped: pending keys have been pending for `time` milliseconds
   * longer.
   */
  sleep(time: number): void {
    for (const batch of [...this.#full, this.#open]) batch.since -= time;
  }

  /** Largest size of a batch in bytes. A single key that is longer may exceed it. */
  get limit(): number {
    return this.#limit;
  }

  /** Applies from the next key on. Batches that are already full are sent as they are. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#open.writer.limit = limit;
  }

  /** Whether a batch can be taken. */
  get isReady(): boolean {
    return this.#full.length > 0 || this.#isDue;
  }

  /** How many batches hold pending keys. */
  get pendingBatches(): number {
    return this.#full.length + (this.#open.writer.count > 0 ? 1 : 0);
  }

  /** How many `publish` calls wait for room. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Accepts a key if there is room. False means that the caller has to {@linkcode Batcher.wait}. A key that is pending
   * already takes no room.
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
    if (!this.#entries.isEmpty && this.#covering(key) !== undefined) return true;
    return this.#add(key, this.#waiting.size === 0 && this.pending < this.#config.queueSize);
  }

  /**
   * Accepts whatever else is published, if there is room: a key with metadata, a prefix, or something whose delivery is
   * awaited, which never waits for `batchInterval`. What is pending already in the same words takes no room.
   *
   * @throws {ClosedError} after `close`
   */
  tryAddEntry(entry: Entry): boolean {
    if (this.#closed) throw new ClosedError("publish");
    return this.#addEntry(entry, this.#hasRoom);
  }

  /** The same for a plain key whose delivery is awaited, without an object for it. */
  tryAddAwaited(key: string, awaiter: DeliveryAwaiter): boolean {
    if (this.#closed) throw new ClosedError("publish");
    return this.#addPlain(key, awaiter, this.#hasRoom);
  }

  /**
   * Resolves when a key for which {@linkcode Batcher.tryAdd} had no room is accepted, in first-come order. `signal`
   * ends the wait and withdraws the key: the promise rejects with the signal's reason. `close` rejects it with a
   * `ClosedError`. `self` is passed on to `acceptedLate`.
   */
  wait(key: string | Entry, signal?: Signal, self?: boolean): Promise<void> {
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
   * Takes the oldest batch that is ready and writes `number` into it. The caller owns the bytes until it calls
   * {@linkcode Batcher.release}. The keys of the batch are no longer pending.
   */
  take(number?: number): Uint8Array | undefined {
    const batch = this.#full.shift() ?? this.#takeOpen();
    if (batch === undefined) return undefined;
    this.#taken.push(batch);
    this.#lone = undefined;
    this.pending -= batch.writer.count;
    this.#keys.take(this.pending);
    if (!this.#entries.isEmpty) this.#entries.take(batch);
    if (this.#waiting.size > 0) this.#admit();
    const { awaited, writer } = batch;
    if (awaited !== undefined && number !== undefined) {
      const { keys } = writer;
      for (const awaiter of awaited) awaiter.numbered(number, keys);
    }
    return writer.bytes(number, this.pending > 0, awaited !== undefined);
  }

  /** Ends the caller's use of all batches that it has taken. */
  release(): void {
    for (let batch = this.#taken.pop(); batch !== undefined; batch = this.#taken.pop()) {
      batch.writer.clear();
      batch.awaited = undefined;
      if (this.#spare.length < MAX_SPARE) this.#spare.push(batch);
    }
  }

  /** Writes the node's new id, which stands in the array given as `nodeId`, into all batches that were not taken. */
  rename(): void {
    for (const { writer } of [this.#open, ...this.#full, ...this.#spare]) writer.rename(this.#config.nodeId);
    // Taken batches have numbers under the old id and are sent under it.
    this.#taken.length = 0;
  }

  /** Makes pending keys ready now. Later keys wait for the end of the turn at most. */
  hurry(): void {
    this.#isHurried = true;
    this.#stopTimer();
    this.#setDue();
  }

  /**
   * Makes pending keys ready, rejects calls that wait for room, and refuses later keys. Returns how many calls were
   * rejected.
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

  /** Whether one more key may be pending. Calls that wait for room come first. */
  get #hasRoom(): boolean {
    return this.#waiting.size === 0 && this.pending < this.#config.queueSize;
  }

  #admit(): void {
    for (let waiter = this.#waiting.first; waiter !== undefined; waiter = this.#waiting.first) {
      const { key } = waiter;
      const hasRoom = this.pending < this.#config.queueSize;
      if (!(typeof key === "string" ? this.#add(key, hasRoom) : this.#addEntry(key, hasRoom))) return;
      this.#waiting.remove(waiter);
      this.#config.ownKeys.acceptedLate(key, waiter.self);
      waiter.resolve();
    }
  }

  /**
   * Accepts a key while no other is pending. Most keys are sent alone, so it is added to the table only when another
   * follows. False when the key does not fit.
   */
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

  /** Whether the key is pending now: it was already, or there is room for one more. */
  #add(key: string, hasRoom: boolean): boolean {
    let { writer } = this.#open;
    let end = writer.put(key);
    if (end < 0) {
      this.#check(key);
      // The key needs a batch of its own, or fits no batch at all. Its bytes in the new batch tell whether it is
      // pending already.
      const batch = this.#nextBatch();
      end = batch.writer.put(key);
      const start = batch.writer.end + BATCH_KEY_OVERHEAD;
      const { buffer } = batch.writer;
      const serial = this.#keys.find(hashOf(buffer, start, end), buffer, start, end);
      if (serial >= 0 || !hasRoom) {
        this.#spare.push(batch);
        this.#serial = serial;
        return serial >= 0;
      }
      this.#fill(batch);
      writer = batch.writer;
    }
    const { buffer, end: offset } = writer;
    const start = offset + BATCH_KEY_OVERHEAD;
    const hash = hashOf(buffer, start, end);
    const found = this.#keys.find(hash, buffer, start, end);
    if (found >= 0) {
      this.#serial = found;
      this.#keys.addText(key, found);
      return true;
    }
    if (!hasRoom) return false;
    writer.commit(end);
    this.accepted++;
    this.pending++;
    const serial = this.#serial = this.#keys.first + this.#full.length;
    this.#keys.add(hash, serial, offset, this.pending);
    this.#schedule();
    return true;
  }

  /** A pending entry that covers a key or a prefix: what goes to Go nodes only is covered by none. */
  #covering(text: string, isPrefix = false): PendingEntry<Batch> | undefined {
    const pending = this.#entries.covering(text, isPrefix);
    return pending?.noted.isPrefix === true && !isPrefix && this.#config.peers.hasPlain ? undefined : pending;
  }

  /** Whether the entry is pending now. */
  #addEntry(entry: Entry, hasRoom: boolean): boolean {
    const { awaiter, isForGo, isPrefix, metadata, text } = entry;
    const isPlain = metadata === undefined && !isForGo;
    if (isPlain && !isPrefix) return this.#addPlain(text, awaiter, hasRoom);
    if (this.#lone !== undefined) this.#noteLone();
    const covering = isPlain ? this.#covering(text, isPrefix) : this.#merged(entry);
    if (covering !== undefined) return this.#awaitPending(covering, awaiter);
    if (!hasRoom) return false;
    const noted = this.#put(entry);
    const batch = this.#open;
    this.#entries.add({ text, batch, noted });
    this.accepted++;
    this.pending++;
    this.#schedule();
    if (awaiter !== undefined) this.#await(batch, isPrefix, noted.index, awaiter);
    return true;
  }

  /** Whether a plain key is pending now. */
  #addPlain(key: string, awaiter: DeliveryAwaiter | undefined, hasRoom: boolean): boolean {
    if (this.#lone !== undefined) this.#noteLone();
    const covering = this.#entries.isEmpty ? undefined : this.#covering(key);
    if (covering !== undefined) return this.#awaitPending(covering, awaiter);
    const before = this.accepted;
    if (!this.#add(key, hasRoom)) return false;
    if (awaiter === undefined) return true;
    const batch = this.#batchOf(this.#serial);
    const { writer } = batch;
    this.#await(batch, false, this.accepted > before ? writer.keys - 1 : writer.indexOf(key), awaiter);
    return true;
  }

  #awaitPending({ batch, noted }: PendingEntry<Batch>, awaiter: DeliveryAwaiter | undefined): true {
    if (awaiter !== undefined) this.#await(batch, noted.isPrefix, noted.index, awaiter);
    return true;
  }

  /** A pending entry with the same text that can stand for this one, with the metadata of both. */
  #merged(entry: Entry): PendingEntry<Batch> | undefined {
    const pending = this.#entries.find(entry);
    if (pending === undefined || entry.isForGo) return pending;
    const { batch, noted } = pending;
    if (!isAlike(noted.metadata, entry.metadata)) return undefined;
    const vectorClock = mergeClocks(noted.metadata?.vectorClock, entry.metadata?.vectorClock);
    if (vectorClock === undefined) return pending;
    const metadata = { ...noted.metadata, vectorClock };
    const fits = Object.keys(vectorClock).length <= MAX_WRITERS &&
      RECORD_HEADER_LENGTH + metadataLength(metadata) <= MAX_METADATA;
    return fits && batch.writer.replace(noted, metadata) ? pending : undefined;
  }

  /** Writes an entry into the open batch, or into a new one. It was checked that it fits one. */
  #put(entry: Entry): NotedEntry {
    const put = () => {
      const { writer } = this.#open;
      const { isForGo, isPrefix, metadata, text } = entry;
      return isPrefix ? writer.addPrefix(text, metadata) : writer.addKey(text, isForGo, metadata);
    };
    const noted = put();
    if (noted !== undefined) return noted;
    this.#fill(this.#nextBatch());
    return put() as NotedEntry;
  }

  /** The delivery of a batch is awaited: if it is open, it leaves at the end of this turn at the latest. */
  #await(batch: Batch, isPrefix: boolean, index: number, awaiter: DeliveryAwaiter): void {
    awaiter.place(isPrefix, index);
    (batch.awaited ??= []).push(awaiter);
    if (batch !== this.#open || this.#isDue || this.#isTurnEnd) return;
    this.#stopTimer();
    this.#isTurnEnd = true;
    this.#timer = this.#config.clock.setTurnEnd(this.#onTurnEnd);
  }

  /** Closes the open batch as full and replaces it by `next`. */
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

  /** A key was added to the open batch: decides whether it is ready. */
  #schedule(): void {
    const { batchSize, clock, queueSize } = this.#config;
    const { count } = this.#open.writer;
    if (count === 1) this.#open.since = clock.now();
    if (count >= batchSize) this.#fill(this.#nextBatch());
    // A full queue can gather nothing more. If a full batch is ready, taking it makes room.
    else if (this.pending >= queueSize && this.#full.length === 0) this.#setDue();
    else if (this.#timer === undefined && !this.#isDue) this.#arm(count === 1 ? this.#open.since : clock.now());
  }

  /** Decides at time `now` when the open batch may be sent. */
  #arm(now: number): void {
    const { clock, batchInterval, budget } = this.#config;
    const wait = this.#isHurried || batchInterval === 0 ? 0 : budget.wait(now);
    if (wait === 0) {
      if (now - this.#immediateAt < IMMEDIATE_INTERVAL) {
        this.#isTurnEnd = true;
        this.#timer = clock.setTurnEnd(this.#onTurnEnd);
        return;
      }
      this.#immediateAt = now;
      return this.#setDue();
    }
    const left = Math.min(wait, this.#open.since + batchInterval - now);
    // On a clock that does not advance in between, such as a simulated one, turns would follow each other for ever.
    const mayTurn = wait <= TURN_WAIT && now !== this.#lookedAt;
    this.#lookedAt = now;
    this.#timer = mayTurn ? clock.setTurnEnd(this.#look) : clock.setTimer(this.#look, Math.max(0, left));
  }

  readonly #onTurnEnd = (): void => {
    this.#timer = undefined;
    this.#isTurnEnd = false;
    this.#setDue();
  };

  readonly #look = (): void => {
    this.#timer = undefined;
    // The batch that the timer was set for is full by now.
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
    this.#isTurnEnd = false;
  }

  /** An empty batch, reused if one is at hand. */
  #nextBatch(): Batch {
    const { nodeId, numbered } = this.#config;
    const batch = this.#spare.pop() ?? { writer: new BatchWriter(nodeId, numbered), since: 0, awaited: undefined };
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
