/**
 * Dispatcher: calls subscribers with the keys that arrive, and bounds how long callbacks may block the event loop.
 *
 * While callbacks are fast they are called directly on receipt. When they are slow, keys are queued and delivered over
 * several turns of the event loop.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { readU16 } from "../wire/integers.ts";
import { KeyBytes } from "../wire/key_bytes.ts";
import { BATCH_KEY_OVERHEAD, MAX_KEY } from "../wire/layout.ts";
import type { EntryReceipt } from "./delivery_receipt.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Recipients } from "./subscriber_table.ts";
import type { EventMetadata, Subscriptions } from "./subscriptions.ts";
import type { Topic } from "./sync_bus.ts";

/**
 * Time for callbacks in one turn of the event loop, in milliseconds. It delays a heartbeat by at most this and one
 * callback; the shortest heartbeat interval is 10 ms.
 */
const BUDGET = 4;

/**
 * Durations below this, in milliseconds, are not counted: all 32 datagrams that libuv reads in a turn stay within the
 * budget with them.
 */
const MIN_COUNTED = BUDGET / 32;

/**
 * When datagrams are further apart than this, in milliseconds, every callback is timed. That costs 50 to 100 ns a key,
 * which only a busy node cannot spare.
 */
const IDLE_INTERVAL = 1;

/**
 * Keys whose callbacks are timed one by one after the budget was exceeded: that costs 0.1 to 0.2 ms. More would slow
 * down a node that other processes keep off the processor for a few milliseconds again and again.
 */
const TIMED_KEYS = 2_000;

/** A callback that takes longer than this, in milliseconds, counts as slow. */
const SLOW = 5;

/**
 * When a turn of the event loop has read datagrams for this much longer than {@linkcode BUDGET}, in milliseconds, the
 * keys of further datagrams in it are queued. Bun reads a socket until it is empty: at 1,000,000 keys a second turns
 * took 100 ms, in which no timer fired and no NAK was sent.
 */
const LONG_TURN = 2 * BUDGET;

/** Largest number of queued keys: 3.3 s of 20,000 keys a second. With the longest keys they take 90 MB. */
const CAPACITY = 65_536;

/**
 * Largest number of bytes of the datagrams that queued keys lie in: as many as the longest keys have. Keys that are not
 * UTF-8 count too.
 */
const MAX_BYTES = CAPACITY * MAX_KEY;

/**
 * Largest number of turns without a callback after a long one. A turn reads 32 datagrams of a socket. With one such
 * turn after each 40 ms of callbacks, only 800 datagrams a second would be read and the system would drop the others.
 */
const MAX_READING_TURNS = 32;

/** While queued keys without a subscriber are skipped, the clock is read once in this many keys: some 3 µs. */
const CLOCK_STRIDE = 32;

/**
 * Number of queued keys from which batches that can be retransmitted are refused. The other half of the room is for
 * keys that cannot be retransmitted.
 */
const REFUSE_BATCHES_FROM = CAPACITY / 2;

/** What a {@linkcode Dispatcher} is built from. The callbacks MUST NOT throw. */
export interface DispatcherConfig {
  readonly clock: Clock;
  readonly subscriptions: Subscriptions;
  /** Longest time that a key may wait for its subscribers, in milliseconds. */
  readonly patience: number;
  /** A callback of a subscription to `topic` took `duration` milliseconds. */
  readonly onSlow: (topic: Topic, duration: number) => void;
  /** Keys were dropped: {@linkcode Dispatcher.notifyAll} has to be called soon. */
  readonly onDropped: () => void;
}

/** Why all subscriptions are notified: a gap in a peer's stream, or keys dropped here. */
export type Loss = "gap" | "overflow";

/** A key or prefix with more than its text. */
export interface Arrival {
  /** The key, or the prefix. */
  readonly text: string;
  readonly isPrefix: boolean;
  readonly metadata: EventMetadata | undefined;
  /** Present when the delivery is awaited. */
  readonly receipt: EntryReceipt | undefined;
}

/** What one chunk of the queue holds; a function is called when everything before it was delivered. */
type Queued = Uint8Array | string | Arrival | (() => void);

/**
 * Queued keys of one datagram, or one queued key that this bus has published itself or that has more than its text.
 */
interface Chunk {
  readonly arrivedAt: number;
  /** The earliest time at which these keys may have been published and not yet delivered. */
  since: number;
  /** Serial of the newest subscription when the keys arrived: later subscriptions do not get them. */
  readonly newest: number;
  /** Whether the keys are only for subscriptions with `self: true`. */
  readonly isOwn: boolean;
  /**
   * The first key, and those that follow with their lengths before them, as they lie in the datagram. They are not
   * decoded, as most keys have no subscriber.
   */
  readonly keys: Queued;
  /** Where the next key lies in `keys`. */
  start: number;
  end: number;
  /** How many of the keys are still queued. */
  count: number;
  next: Chunk | undefined;
}

/**
 * Delivers keys to subscribers. When callbacks have used up the time of a turn, further keys are queued and delivered
 * in the following turns, after timers and sockets have run. The queue is bounded in size and age. Keys beyond the
 * bounds are dropped, and all subscriptions get an overflow event.
 */
export class Dispatcher {
  /** Keys that were dropped from the queue, or covered there by an event for all subscriptions. */
  dropped = 0;
  /** Keys that are queued. */
  waiting = 0;
  /** When all subscriptions were last notified, by the clock. During such a round: when its last callback returned. */
  notifiedAt: number = -Infinity;
  readonly #config: DispatcherConfig;
  readonly #clock: Clock;
  readonly #subscriptions: Subscriptions;
  #head: Chunk | undefined;
  #tail: Chunk | undefined;
  /** The queued keys of the datagram that is being read. */
  #open: Chunk | undefined;
  /** Bytes of all queued datagrams. */
  #bytes = 0;
  /** Reads the key that is being delivered, and the chunk that it lies in. */
  readonly #key = new KeyBytes();
  #read: Chunk | undefined;
  /** The deliveries under way, and whether they are of a key or of an event for all subscriptions. */
  #offers: Iterator<Subscriber | undefined, void> | undefined;
  /** The earliest time at which the key that they deliver may have been published. */
  #offeredSince = 0;
  #isRound = false;
  /** The receipt of what the deliveries under way are of. */
  #receipt: EntryReceipt | undefined;
  /** Calls of what was dropped, due after the next event for all subscriptions; and those of the one under way. */
  #covered: (() => void)[] = [];
  #covering: (() => void)[] = [];
  /** Whether keys were dropped and {@linkcode Dispatcher.notifyAll} was not called since. */
  #hasDropped = false;
  /** The next event for all subscriptions. */
  #round: Loss | undefined;
  /** Since when such an event is due, until the last subscription has it. */
  #owedSince: number | undefined;
  /** Whether keys are queued, including those that arrive now. */
  #isBehind = false;
  #isRunning = false;
  /** Whether a datagram is being read or all subscriptions are being notified: callbacks are running or follow. */
  #isBusy = false;
  #turnEnd: Timer | undefined;
  /** Milliseconds that callbacks have taken in this turn. */
  #spent = 0;
  /**
   * When the current run of datagrams began; once that is {@linkcode BUDGET} ago, when this turn was first known to
   * continue.
   */
  #turnAt = -Infinity;
  #readingTurns = 0;
  #hasRead = false;
  /** When the current datagram came, and since when its keys may have been published without being delivered. */
  #begunAt = -Infinity;
  #since = Infinity;
  /** When the last timed callback returned. */
  #mark = 0;
  /** Whether the keys of this datagram are delivered directly, without timing each. */
  #isDirect = false;
  #isEndUntimed = false;
  #keysToTime = 0;
  #isClosed = false;

  constructor(config: DispatcherConfig) {
    this.#config = config;
    this.#clock = config.clock;
    this.#subscriptions = config.subscriptions;
  }

  /** Whether batches that can be retransmitted should be refused for now. */
  get isFull(): boolean {
    return this.waiting >= REFUSE_BATCHES_FROM;
  }

  /** How long something has waited for its subscribers, in milliseconds; `undefined` when nothing does. */
  get age(): number | undefined {
    const isOffering = this.#offers !== undefined || this.#isRunning;
    if (this.#owedSince === undefined && !isOffering && this.#head === undefined) return undefined;
    let since = this.#owedSince ?? Infinity;
    if (isOffering) since = Math.min(since, this.#offeredSince);
    // A retransmitted datagram may hold older keys than those queued before it.
    for (let chunk = this.#head; chunk !== undefined; chunk = chunk.next) since = Math.min(since, chunk.since);
    return this.#clock.now() - since;
  }

  /**
   * Moves back, to `since` by the clock, the time from which queued keys may have been published without being
   * delivered.
   */
  antedate(since: number): void {
    this.#date((before) => Math.min(before, since));
  }

  /**
   * Accounts for a suspension in which the clock stopped: queued keys have been outstanding for `time` milliseconds
   * longer.
   */
  sleep(time: number): void {
    this.#date((before) => before - time);
  }

  #date(change: (since: number) => number): void {
    for (let chunk = this.#head; chunk !== undefined; chunk = chunk.next) chunk.since = change(chunk.since);
    if (this.#owedSince !== undefined) this.#owedSince = change(this.#owedSince);
    this.#offeredSince = change(this.#offeredSince);
  }

  /**
   * Begins a datagram whose keys follow. They may have been published from `outstandingSince` on, by the clock. With
   * `isNoted` they come by {@linkcode Dispatcher.takeNoted}.
   */
  begin(outstandingSince: number = Infinity, isNoted = false): void {
    this.#begin(this.#clock.now(), outstandingSince, true);
    if (isNoted) this.#isDirect = false;
  }

  #begin(now: number, outstandingSince: number, isRead: boolean): void {
    this.#isBusy = true;
    this.#since = outstandingSince;
    const since = now - this.#begunAt;
    this.#begunAt = this.#mark = now;
    if (since >= IDLE_INTERVAL) this.#turnAt = now;
    else if (isRead && now - this.#turnAt >= BUDGET) this.#checkTurn(now);
    this.#isDirect = !this.#isBehind && this.#keysToTime === 0 && since < IDLE_INTERVAL;
    // The previous datagram was handled fast then, and fast ones mostly follow each other: the end of this one is not
    // timed.
    this.#isEndUntimed = since < MIN_COUNTED;
    this.#open = undefined;
  }

  /** Delivers or queues one key of the datagram. */
  take(key: KeyBytes): void {
    if (this.#isDirect) this.#subscriptions.deliver(key);
    else {
      // Called within a callback: the other subscribers of that callback's key come first.
      if (this.#offers !== undefined) this.#fallBehind();
      if (this.#isBehind) this.#keep(key);
      else this.#takeSlowly(key);
    }
  }

  /** Delivers or queues a key or prefix with more than its text. */
  takeNoted(arrival: Arrival): void {
    if (this.#offers !== undefined) this.#fallBehind();
    if (this.#isBehind) this.#keepNoted(arrival);
    else {
      this.#offerNoted(arrival, this.#subscriptions.newest, Math.min(this.#begunAt, this.#since), false);
      if (!this.#run(this.#begunAt + BUDGET - this.#spent)) this.#fallBehind();
    }
  }

  /**
   * Calls `done` when everything that has arrived by now was delivered, or is covered by an event for all subscriptions
   * that was delivered: at once when nothing waits. Never calls it after `close`.
   */
  whenDelivered(done: () => void): void {
    if (this.#isClosed) return;
    const isIdle = this.#head === undefined && this.#offers === undefined && !this.#isRunning && !this.#isBusy;
    if (isIdle && this.#round === undefined && !this.#hasDropped) return done();
    const now = this.#clock.now();
    this.#append(now, now, false, done, 0).count++;
    this.#open = undefined;
    if (!this.#isBehind) this.#fallBehind();
  }

  /**
   * Delivers a key that this bus has published itself, between datagrams or from a callback. It goes to all its
   * subscribers, or only to those with `self: true`. They have been called when this returns, unless others have to be
   * called first.
   */
  takeOwn(key: string | Arrival, isForAll: boolean): void {
    if (this.#isClosed) return;
    if (this.#isBusy || this.#isRunning || this.#isBehind) {
      // A key without subscribers must not take room: an overflow notifies all subscriptions.
      if (this.#hasRecipients(key, isForAll)) this.#keepOwn(key, !isForAll);
      return;
    }
    this.#begin(this.#clock.now(), Infinity, false);
    // Unlike datagrams, keys published in a loop would otherwise never be timed.
    this.#isEndUntimed = false;
    if (typeof key !== "string") {
      this.#isDirect = false;
      this.#offerNoted(key, this.#subscriptions.newest, this.#begunAt, !isForAll);
      if (!this.#run(this.#begunAt + BUDGET - this.#spent)) this.#fallBehind();
    } else if (this.#isDirect) this.#subscriptions.deliver(key, undefined, undefined, !isForAll);
    else this.#takeSlowly(key, !isForAll);
    this.end();
  }

  /** Checks the budget; to be called now and then between keys. */
  look(): void {
    if (!this.#isDirect) return;
    if (this.#spent + this.#clock.now() - this.#begunAt >= BUDGET) this.#fallBehind();
  }

  /** Ends the datagram. */
  end(): void {
    this.#isBusy = false;
    // A datagram may be delivered within a callback of another one, whose remaining keys lie elsewhere.
    this.#open = undefined;
    if (this.#isBehind || this.#isDirect && this.#isEndUntimed) return;
    const took = this.#clock.now() - this.#begunAt;
    if (took < MIN_COUNTED) return;
    this.#spent += took;
    if (this.#spent >= BUDGET) this.#fallBehind();
    else this.#arm();
  }

  /** Notifies every subscription with an event for its own key or prefix. Queued keys are covered by that. */
  notifyAll(cause: Loss): void {
    if (this.#isClosed) return;
    this.#owedSince = this.#clock.now() - (this.age ?? 0);
    this.#hasDropped = false;
    this.#clear();
    // Deliveries of a key are covered too. A round for all subscriptions runs to its end, or late subscriptions would
    // never be notified.
    if (!this.#isRound && !this.#isRunning) {
      this.#offers = undefined;
      // They precede what was queued, and what was dropped since they began.
      if (this.#receipt !== undefined) this.#covered.unshift(coverOf(this.#receipt));
      this.#receipt = undefined;
    }
    if (this.#round !== "gap") this.#round = cause;
    if (this.#isRunning) this.#fallBehind();
    if (this.#isBehind) return;
    const start = this.#mark = this.#clock.now();
    const wasBusy = this.#isBusy;
    this.#isBusy = true;
    const isDone = this.#workOff(start + BUDGET - this.#spent);
    this.#isBusy = wasBusy;
    this.#spent += this.#mark - start;
    if (!isDone) this.#fallBehind();
    else if (this.#mark - start >= MIN_COUNTED) this.#arm();
  }

  /** Delivers nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#turnEnd?.cancel();
    this.#clear();
    this.#offers = this.#receipt = undefined;
    this.#round = undefined;
    this.#covered = this.#covering = [];
    if (!this.#isRunning) this.#releaseKey();
  }

  #takeSlowly(key: string | KeyBytes, isOwn = false): void {
    this.#offer(key, this.#subscriptions.newest, Math.min(this.#begunAt, this.#since), isOwn);
    if (!this.#run(this.#begunAt + BUDGET - this.#spent)) this.#fallBehind();
  }

  /**
   * Delivers a key to its only subscriber, or prepares the deliveries to several: {@linkcode Dispatcher.#run} does the
   * rest.
   */
  #offer(key: string | KeyBytes, newest: number, since: number, isOwn: boolean): void {
    this.#offeredSince = since;
    this.#isRunning = true;
    const taken = this.#subscriptions.deliverOne(key, newest, isOwn);
    if (taken < 0) this.#offers = this.#subscriptions.offer(key, newest, isOwn);
    this.#isRunning = false;
    if (taken > 0) this.#time();
  }

  /** The same for a key or prefix with more than its text. */
  #offerNoted({ isPrefix, metadata, receipt, text }: Arrival, newest: number, since: number, isOwn: boolean): void {
    const subscriptions = this.#subscriptions;
    this.#offeredSince = since;
    if (isPrefix) {
      this.#receipt = receipt;
      this.#offers = subscriptions.offerPrefix(text, newest, isOwn, metadata, receipt);
      this.#receipt = receipt;
      return;
    }
    this.#isRunning = true;
    const taken = subscriptions.deliverOne(text, newest, isOwn, metadata, receipt);
    this.#isRunning = false;
    if (taken < 0) {
      this.#offers = subscriptions.offer(text, newest, isOwn, metadata, receipt);
      this.#receipt = receipt;
      return;
    }
    if (taken > 0) this.#time();
    receipt?.end();
  }

  #endReceipt(): void {
    const receipt = this.#receipt;
    this.#receipt = undefined;
    receipt?.end();
  }

  #hasRecipients(key: string | Arrival, isForAll: boolean): boolean {
    const subscriptions = this.#subscriptions;
    if (typeof key !== "string" && key.isPrefix) return isForAll ? !subscriptions.isEmpty : subscriptions.selfish > 0;
    const text = typeof key === "string" ? key : key.text;
    return (isForAll ? subscriptions.count(text) : subscriptions.countSelfish(text)) > 0;
  }

  #fallBehind(): void {
    this.#isBehind = true;
    this.#isDirect = false;
    this.#keysToTime = TIMED_KEYS;
    this.#arm();
  }

  /** Finds out whether this turn of the event loop is long: when it ends, or when it has lasted for some time. */
  #checkTurn(now: number): void {
    if (this.#turnEnd === undefined) this.#turnAt = now;
    else if (now - this.#turnAt >= LONG_TURN) this.#isBehind = true;
    this.#arm();
  }

  #keep(key: KeyBytes): void {
    this.#makeRoom();
    if (this.#open === undefined) {
      const since = Math.min(this.#begunAt, this.#since);
      this.#open = this.#append(this.#begunAt, since, false, key.rest(), key.end - key.start);
      this.#hasRead = true;
    }
    this.#open.count++;
    this.waiting++;
  }

  #makeRoom(): void {
    if (this.waiting >= CAPACITY || this.#bytes >= MAX_BYTES) this.#drop();
  }

  #keepNoted(arrival: Arrival): void {
    this.#makeRoom();
    this.#append(this.#begunAt, Math.min(this.#begunAt, this.#since), false, arrival, 0).count++;
    this.waiting++;
    this.#hasRead = true;
    this.#open = undefined;
  }

  #keepOwn(key: string | Arrival, isOwn: boolean): void {
    if (this.waiting >= CAPACITY) this.#drop();
    const now = this.#clock.now();
    this.#append(now, now, isOwn, key, 0).count++;
    this.waiting++;
    // The rest of the datagram comes after this key.
    this.#open = undefined;
    if (!this.#isBehind) this.#fallBehind();
  }

  #append(arrivedAt: number, since: number, isOwn: boolean, keys: Queued, end: number): Chunk {
    const { newest } = this.#subscriptions;
    const chunk: Chunk = { arrivedAt, since, newest, isOwn, keys, start: 0, end, count: 0, next: undefined };
    this.#bytes += sizeOf(keys);
    if (this.#tail === undefined) this.#head = chunk;
    else this.#tail.next = chunk;
    return this.#tail = chunk;
  }

  #drop(): void {
    this.#owedSince = this.#clock.now() - (this.age ?? 0);
    this.#hasDropped = true;
    this.#clear();
    this.#config.onDropped();
  }

  #clear(): void {
    for (let chunk = this.#head; chunk !== undefined; chunk = chunk.next) {
      if (typeof chunk.keys === "function") this.#covered.push(chunk.keys);
      else if (typeof chunk.keys === "object" && "text" in chunk.keys && chunk.keys.receipt !== undefined) {
        this.#covered.push(coverOf(chunk.keys.receipt));
      }
    }
    this.dropped += this.waiting;
    this.waiting = this.#bytes = 0;
    this.#head = this.#tail = this.#open = undefined;
  }

  #arm(): void {
    if (!this.#isClosed) this.#turnEnd ??= this.#clock.setTurnEnd(this.#onTurnEnd);
  }

  readonly #onTurnEnd = (): void => {
    this.#turnEnd = undefined;
    this.#turnAt = this.#clock.now();
    this.#spent = 0;
    if (!this.#isBehind) return;
    if (this.#hasRead && this.#readingTurns > 0) {
      this.#readingTurns--;
      this.#hasRead = false;
      this.#arm();
      return;
    }
    const start = this.#mark = this.#clock.now();
    const isLate = this.#head !== undefined && start - this.#head.arrivedAt > this.#config.patience;
    // Calls alone are never late: no key is dropped with them.
    if (isLate && this.waiting > 0) this.#drop();
    this.#isBehind = !this.#workOff(start + BUDGET);
    this.#spent = this.#mark - start;
    this.#readingTurns = Math.min(MAX_READING_TURNS, Math.floor(this.#spent / BUDGET) - 1);
    this.#hasRead = false;
    if (this.#isBehind || this.#spent >= MIN_COUNTED) this.#arm();
  };

  /**
   * Delivers what is under way, then events for all subscriptions, then queued keys. False when the time ran out first.
   */
  #workOff(until: number): boolean {
    return this.#subscriptions.within(() => {
      do {
        if (!this.#run(until)) return false;
      } while (this.#next());
      return true;
    });
  }

  #next(): boolean {
    const cause = this.#round;
    if (cause !== undefined) {
      this.#round = undefined;
      this.#isRound = true;
      this.#covering = this.#covered;
      this.#covered = [];
      this.#offers = this.#subscriptions.notify(cause);
      return true;
    }
    if (!this.#hasDropped) this.#owedSince = undefined;
    const chunk = this.#head;
    if (chunk === undefined) {
      this.#releaseKey();
      return false;
    }
    if (this.waiting % CLOCK_STRIDE === 0) this.#mark = this.#clock.now();
    const { keys } = chunk;
    if (typeof keys === "string" || keys instanceof Uint8Array) {
      this.#offer(this.#shift(chunk, keys), chunk.newest, chunk.since, chunk.isOwn);
      return true;
    }
    this.#remove(chunk);
    if (typeof keys === "function") {
      // What was dropped before the call counts as delivered only after the event that stands for it.
      if (this.#hasDropped) this.#covered.push(keys);
      else keys();
    } else {
      this.waiting--;
      this.#offerNoted(keys, chunk.newest, chunk.since, chunk.isOwn);
    }
    return true;
  }

  /** Releases the last datagram whose keys were queued. */
  #releaseKey(): void {
    this.#key.close();
    this.#read = undefined;
  }

  /** Takes the next key out of `chunk`, the first chunk. */
  #shift(chunk: Chunk, keys: Uint8Array | string): string | KeyBytes {
    this.waiting--;
    if (--chunk.count === 0) this.#remove(chunk);
    if (typeof keys === "string") return keys;
    const key = this.#key;
    if (this.#read !== chunk) key.open(keys, 0, keys.length);
    this.#read = chunk;
    for (;;) {
      const { start, end } = chunk;
      chunk.start = end + BATCH_KEY_OVERHEAD;
      if (end < keys.length) chunk.end = chunk.start + readU16(keys, end);
      // Keys that are not UTF-8 were not counted when they arrived.
      if (key.move(start, end)) return key;
    }
  }

  /** Removes the first chunk. */
  #remove({ keys, next }: Chunk): void {
    this.#bytes -= sizeOf(keys);
    this.#head = next;
    if (next === undefined) this.#tail = this.#open = undefined;
  }

  /** Continues the deliveries under way. False when the time ran out first. */
  #run(until: number): boolean {
    const offers = this.#offers;
    while (this.#offers !== undefined && this.#mark < until) {
      this.#isRunning = true;
      const step = offers?.next();
      this.#isRunning = false;
      if (step === undefined || step.done === true) {
        this.#offers = undefined;
        if (this.#isRound) this.#endRound();
        else if (this.#receipt !== undefined) this.#endReceipt();
      } else if (step.value === undefined) this.#mark = this.#clock.now();
      else this.#time(step.value.topic);
    }
    return this.#offers === undefined && this.#mark < until;
  }

  /** All subscriptions have been notified: what that stands for is delivered. */
  #endRound(): void {
    this.#isRound = false;
    const covered = this.#covering;
    this.#covering = [];
    for (const call of covered) call();
  }

  /** Records the end of a callback: of a subscription to `topic`, or of the only subscription to a key. */
  #time(topic?: Topic): void {
    const now = this.#clock.now();
    const duration = now - this.#mark;
    this.#mark = now;
    if (this.#keysToTime > 0) this.#keysToTime--;
    if (this.#isRound) this.notifiedAt = now;
    if (duration >= BUDGET) this.#keysToTime = TIMED_KEYS;
    if (duration > SLOW) {
      this.#config.onSlow(topic ?? (this.#subscriptions.lastRecipients as Recipients).topic, duration);
    }
  }
}

/** The call that is due when an event for all subscriptions stands for what the receipt is of. */
function coverOf(receipt: EntryReceipt): () => void {
  return () => {
    receipt.take();
    receipt.end();
  };
}

/** Bytes of what a chunk holds. */
function sizeOf(keys: Queued): number {
  return typeof keys === "function"
    ? 0
    : typeof keys === "string" || keys instanceof Uint8Array
    ? keys.length
    : keys.text.length;
}
