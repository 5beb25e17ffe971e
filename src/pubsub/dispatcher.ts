/**
 * When subscribers are called: at once, within the receipt, while they are quick; in turns when they are not.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { readU16 } from "../wire/integers.ts";
import { KeyBytes } from "../wire/key_bytes.ts";
import { BATCH_KEY_OVERHEAD, MAX_KEY } from "../wire/layout.ts";
import type { Subscriber } from "./subscriber.ts";
import type { Hearers } from "./subscriber_table.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { Topic } from "./sync_bus.ts";

/**
 * Time for callbacks in one turn of the event loop, in milliseconds. A heartbeat is late by no more, plus one callback; the
 * shortest heartbeat is 10 ms.
 */
const BUDGET = 4;

/** What takes less than this, in milliseconds, stays within the budget with all 32 datagrams that libuv reads in a turn. */
const NOTABLE = BUDGET / 32;

/**
 * When datagrams are further apart than this, in milliseconds, all callbacks are timed: 50 to 100 ns a key, which a busy
 * node has not.
 */
const CALM = 1;

/**
 * Keys whose callbacks are all timed after the budget was used up: 0.1 to 0.2 ms. More would slow a node down that others
 * keep from the processor for a few milliseconds again and again.
 */
const WARY_KEYS = 2_000;

/** A callback that takes longer than this, in milliseconds, is slow. */
const SLOW = 5;

/**
 * When a turn of the event loop reads datagrams for so much longer than {@linkcode BUDGET}, in milliseconds, the keys of the
 * others that it finds wait. Bun reads a socket until it is empty: at 1,000,000 keys a second turns took 100 ms, in which no timer
 * fired, and nothing that was missing was asked for.
 */
const LONG_TURN = 2 * BUDGET;

/** Keys that wait, at most: 3.3 s of 20,000 keys a second. With the longest keys they are 90 MB. */
const CAPACITY = 65_536;

/** Bytes of the datagrams that they lie in, at most: as many as the longest keys have. What is not UTF-8 counts too. */
const MAX_BYTES = CAPACITY * MAX_KEY;

/**
 * Turns without a callback after one that was long, at most. A turn reads 32 datagrams of a socket, so that one after
 * 40 ms of callbacks would read 800 a second, and the system would drop the others.
 */
const MAX_READING_TURNS = 32;

/** The time is looked at after so many keys that nobody wants, of those that wait: some 3 µs. */
const STRIDE = 32;

/** Keys that wait while batches that can be had again are better left for later: half of the room is for those that can not. */
const FULL = CAPACITY / 2;

/** What a {@linkcode Dispatcher} is made of. The callbacks MUST NOT throw. */
export interface DispatcherConfig {
  readonly clock: Clock;
  readonly subscriptions: Subscriptions;
  /** How long a key may wait for its subscribers, in milliseconds. */
  readonly patience: number;
  /** A callback of a subscription to `topic` took `duration` milliseconds. */
  readonly onSlow: (topic: Topic, duration: number) => void;
  /** Keys were dropped: {@linkcode Dispatcher.tellAll} has to be called soon. */
  readonly onDropped: () => void;
}

/** What everybody is told. */
export type Loss = "gap" | "overflow";

/** Keys of one datagram that wait, or one that this bus has published itself. */
interface Chunk {
  readonly arrivedAt: number;
  /** Since when they may have been outstanding. */
  since: number;
  /** The newest subscription when they came: later ones do not get them. */
  readonly newest: number;
  /** Whether they are for those only who hear what their own bus publishes. */
  readonly isOwn: boolean;
  /** As they came, for most are wanted by nobody: the first, and those that follow with their lengths before them. */
  readonly keys: Uint8Array | string;
  /** Where the next of them lies. */
  start: number;
  end: number;
  /** How many of them wait. */
  count: number;
  next: Chunk | undefined;
}

/**
 * Hands keys to subscribers. When callbacks have taken the time of a turn, keys wait, and are worked off in the turns that
 * follow, after the timers and sockets have had theirs. What waits is bounded in number and age; beyond that it is dropped,
 * and everybody is told.
 */
export class Dispatcher {
  /** Keys that were dropped, or covered by an event of everybody, while they waited. */
  dropped = 0;
  /** Keys that wait. */
  waiting = 0;
  /** When everybody was last told something, by the clock; in the middle of that, when the last callback was done. */
  toldAt: number = -Infinity;
  readonly #config: DispatcherConfig;
  readonly #clock: Clock;
  readonly #subscriptions: Subscriptions;
  #head: Chunk | undefined;
  #tail: Chunk | undefined;
  /** Where the keys of the datagram that is being read wait. */
  #open: Chunk | undefined;
  /** Bytes of all that wait. */
  #bytes = 0;
  /** The key that is handed over, and the chunk that it lies in. */
  readonly #key = new KeyBytes();
  #read: Chunk | undefined;
  /** The offers that are under way, and whether they are of a key or of an event for everybody. */
  #offers: Iterator<Subscriber, void> | undefined;
  /** Since when what they offer may have been outstanding. */
  #offeredSince = 0;
  #isRound = false;
  /** What everybody is to be told next. */
  #round: Loss | undefined;
  /** Since when, while somebody is still to be told. */
  #owedSince: number | undefined;
  /** Whether keys wait for their turn, those of this moment too. */
  #isBehind = false;
  #isRunning = false;
  /** Whether a datagram is being read, or everybody is told: callbacks are under way, or follow. */
  #isBusy = false;
  #turnEnd: Timer | undefined;
  /** Milliseconds of this turn that have gone to callbacks. */
  #spent = 0;
  /** Since when datagrams follow each other; once that is {@linkcode BUDGET} ago, when this turn was first known to go on. */
  #turnAt = -Infinity;
  #readingTurns = 0;
  #hasRead = false;
  /** When the datagram came, and since when its keys may have been outstanding. */
  #begunAt = -Infinity;
  #since = Infinity;
  /** When the last callback that is timed was done. */
  #mark = 0;
  /** Whether the keys of this datagram are delivered at once and not timed one by one. */
  #isQuick = false;
  #isSwift = false;
  #wary = 0;
  #isClosed = false;

  constructor(config: DispatcherConfig) {
    this.#config = config;
    this.#clock = config.clock;
    this.#subscriptions = config.subscriptions;
  }

  /** Whether what can be had again should come later. */
  get isFull(): boolean {
    return this.waiting >= FULL;
  }

  /** Milliseconds for which something has waited for its subscribers; `undefined` when nothing does. */
  get age(): number | undefined {
    const isOffering = this.#offers !== undefined || this.#isRunning;
    if (this.#owedSince === undefined && !isOffering && this.#head === undefined) return undefined;
    let since = this.#owedSince ?? Infinity;
    if (isOffering) since = Math.min(since, this.#offeredSince);
    // One that comes late, as it was repaired, may be older than those before it.
    for (let chunk = this.#head; chunk !== undefined; chunk = chunk.next) since = Math.min(since, chunk.since);
    return this.#clock.now() - since;
  }

  /** What waits may have been outstanding for longer than was thought when it came: since a time, by the clock. */
  antedate(since: number): void {
    this.#date((before) => Math.min(before, since));
  }

  /** The clock has stood still for so many milliseconds: what waits has been outstanding for as much longer. */
  sleep(time: number): void {
    this.#date((before) => before - time);
  }

  #date(change: (since: number) => number): void {
    for (let chunk = this.#head; chunk !== undefined; chunk = chunk.next) chunk.since = change(chunk.since);
    if (this.#owedSince !== undefined) this.#owedSince = change(this.#owedSince);
    this.#offeredSince = change(this.#offeredSince);
  }

  /** The keys of a datagram follow. They may have been outstanding since a time, by the clock. */
  begin(outstandingSince: number = Infinity): void {
    this.#begin(this.#clock.now(), outstandingSince, true);
  }

  #begin(now: number, outstandingSince: number, isRead: boolean): void {
    this.#isBusy = true;
    this.#since = outstandingSince;
    const since = now - this.#begunAt;
    this.#begunAt = this.#mark = now;
    if (since >= CALM) this.#turnAt = now;
    else if (isRead && now - this.#turnAt >= BUDGET) this.#lookAtTurn(now);
    this.#isQuick = !this.#isBehind && this.#wary === 0 && since < CALM;
    // The one before was quick then, and so are most in a row: the end is not looked at.
    this.#isSwift = since < NOTABLE;
    this.#open = undefined;
  }

  /** One of them. */
  take(key: KeyBytes): void {
    if (this.#isQuick) this.#subscriptions.deliver(key);
    else {
      // Within a callback: the others who hear of the key of that come first.
      if (this.#offers !== undefined) this.#fallBehind();
      if (this.#isBehind) this.#keep(key);
      else this.#takeSlowly(key);
    }
  }

  /**
   * A key that this bus has published itself, between datagrams or from a callback: for all subscribers, or for those only
   * who hear what their own bus publishes. When this returns they have been called, unless others have to be called first.
   */
  takeOwn(key: string, isForAll: boolean): void {
    if (this.#isClosed) return;
    if (this.#isBusy || this.#isRunning || this.#isBehind) {
      // What nobody hears must not take room: what overflows is an event for all.
      const subscriptions = this.#subscriptions;
      const hearers = isForAll ? subscriptions.count(key) : subscriptions.countSelfish(key);
      if (hearers > 0) this.#keepOwn(key, !isForAll);
      return;
    }
    this.#begin(this.#clock.now(), Infinity, false);
    // Not as after a datagram: what is published in a loop would never be looked at.
    this.#isSwift = false;
    if (this.#isQuick) this.#subscriptions.deliver(key, undefined, undefined, !isForAll);
    else this.#takeSlowly(key, !isForAll);
    this.end();
  }

  /** To be called now and then between keys. */
  look(): void {
    if (!this.#isQuick) return;
    if (this.#spent + this.#clock.now() - this.#begunAt >= BUDGET) this.#fallBehind();
  }

  /** That was the last of them. */
  end(): void {
    this.#isBusy = false;
    // A datagram may be handed over within a callback of another, whose other keys lie elsewhere.
    this.#open = undefined;
    if (this.#isBehind || this.#isQuick && this.#isSwift) return;
    const took = this.#clock.now() - this.#begunAt;
    if (took < NOTABLE) return;
    this.#spent += took;
    if (this.#spent >= BUDGET) this.#fallBehind();
    else this.#arm();
  }

  /** Tells every subscription of its own key or prefix. Keys that wait are covered by that. */
  tellAll(cause: Loss): void {
    if (this.#isClosed) return;
    this.#owedSince = this.#clock.now() - (this.age ?? 0);
    this.#clear();
    // Offers of a key are covered too. A round goes on to its end, or those who come late in it would never hear.
    if (!this.#isRound && !this.#isRunning) this.#offers = undefined;
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
    else if (this.#mark - start >= NOTABLE) this.#arm();
  }

  /** Hands over nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#turnEnd?.cancel();
    this.#clear();
    this.#offers = undefined;
    this.#round = undefined;
    if (!this.#isRunning) this.#letGo();
  }

  #takeSlowly(key: string | KeyBytes, isOwn = false): void {
    this.#offer(key, this.#subscriptions.newest, Math.min(this.#begunAt, this.#since), isOwn);
    if (!this.#run(this.#begunAt + BUDGET - this.#spent)) this.#fallBehind();
  }

  /** Hands over a key, or begins to: {@linkcode Deliveries.#run} does the rest. */
  #offer(key: string | KeyBytes, newest: number, since: number, isOwn: boolean): void {
    this.#offeredSince = since;
    this.#isRunning = true;
    const taken = this.#subscriptions.deliverOne(key, newest, isOwn);
    if (taken < 0) this.#offers = this.#subscriptions.offer(key, newest, isOwn);
    this.#isRunning = false;
    if (taken > 0) this.#time();
  }

  #fallBehind(): void {
    this.#isBehind = true;
    this.#isQuick = false;
    this.#wary = WARY_KEYS;
    this.#arm();
  }

  /** Whether this turn goes on for long is known when it has ended, or has not for some time. */
  #lookAtTurn(now: number): void {
    if (this.#turnEnd === undefined) this.#turnAt = now;
    else if (now - this.#turnAt >= LONG_TURN) this.#isBehind = true;
    this.#arm();
  }

  #keep(key: KeyBytes): void {
    if (this.waiting >= CAPACITY || this.#bytes >= MAX_BYTES) this.#drop();
    if (this.#open === undefined) {
      const since = Math.min(this.#begunAt, this.#since);
      this.#open = this.#append(this.#begunAt, since, false, key.rest(), key.end - key.start);
      this.#hasRead = true;
    }
    this.#open.count++;
    this.waiting++;
  }

  #keepOwn(key: string, isOwn: boolean): void {
    if (this.waiting >= CAPACITY) this.#drop();
    const now = this.#clock.now();
    this.#append(now, now, isOwn, key, 0).count++;
    this.waiting++;
    // What follows of the datagram comes after it.
    this.#open = undefined;
    if (!this.#isBehind) this.#fallBehind();
  }

  #append(arrivedAt: number, since: number, isOwn: boolean, keys: Uint8Array | string, end: number): Chunk {
    const { newest } = this.#subscriptions;
    const chunk: Chunk = { arrivedAt, since, newest, isOwn, keys, start: 0, end, count: 0, next: undefined };
    this.#bytes += keys.length;
    if (this.#tail === undefined) this.#head = chunk;
    else this.#tail.next = chunk;
    return this.#tail = chunk;
  }

  #drop(): void {
    this.#owedSince = this.#clock.now() - (this.age ?? 0);
    this.#clear();
    this.#config.onDropped();
  }

  #clear(): void {
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
    if (this.#head !== undefined && start - this.#head.arrivedAt > this.#config.patience) this.#drop();
    this.#isBehind = !this.#workOff(start + BUDGET);
    this.#spent = this.#mark - start;
    this.#readingTurns = Math.min(MAX_READING_TURNS, Math.floor(this.#spent / BUDGET) - 1);
    this.#hasRead = false;
    if (this.#isBehind || this.#spent >= NOTABLE) this.#arm();
  };

  /** What is under way, then what everybody has to hear, then keys. False when time ran out first. */
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
      this.#offers = this.#subscriptions.tell(cause);
      return true;
    }
    this.#owedSince = undefined;
    const chunk = this.#head;
    if (chunk === undefined) {
      this.#letGo();
      return false;
    }
    if (this.waiting % STRIDE === 0) this.#mark = this.#clock.now();
    this.#offer(this.#shift(chunk), chunk.newest, chunk.since, chunk.isOwn);
    return true;
  }

  /** Nothing is kept of the last datagram whose keys have waited. */
  #letGo(): void {
    this.#key.close();
    this.#read = undefined;
  }

  /** Takes the next key out of a chunk, the first. */
  #shift(chunk: Chunk): string | KeyBytes {
    this.waiting--;
    if (--chunk.count === 0) {
      this.#bytes -= chunk.keys.length;
      this.#head = chunk.next;
      if (chunk.next === undefined) this.#tail = this.#open = undefined;
    }
    const { keys } = chunk;
    if (typeof keys === "string") return keys;
    const key = this.#key;
    if (this.#read !== chunk) key.open(keys, 0, keys.length);
    this.#read = chunk;
    for (;;) {
      const { start, end } = chunk;
      chunk.start = end + BATCH_KEY_OVERHEAD;
      if (end < keys.length) chunk.end = chunk.start + readU16(keys, end);
      // What is not UTF-8 was never taken.
      if (key.move(start, end)) return key;
    }
  }

  /** Goes on with the offers that are under way. False when time ran out first. */
  #run(until: number): boolean {
    const offers = this.#offers;
    while (this.#offers !== undefined && this.#mark < until) {
      this.#isRunning = true;
      const step = offers?.next();
      this.#isRunning = false;
      if (step === undefined || step.done === true) {
        this.#offers = undefined;
        this.#isRound = false;
      } else this.#time(step.value.topic);
    }
    return this.#offers === undefined && this.#mark < until;
  }

  /** A callback is done: that of a subscription to `topic`, or of the only one of a key. */
  #time(topic?: Topic): void {
    const now = this.#clock.now();
    const duration = now - this.#mark;
    this.#mark = now;
    if (this.#wary > 0) this.#wary--;
    if (this.#isRound) this.toldAt = now;
    if (duration >= BUDGET) this.#wary = WARY_KEYS;
    if (duration > SLOW) this.#config.onSlow(topic ?? (this.#subscriptions.hearer as Hearers).topic, duration);
  }
}
