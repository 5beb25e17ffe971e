/**
 * What a node has sent and keeps for repair: `docs/wire.md`, "Repair".
 *
 * @module
 */

import { misuse } from "../errors.ts";
import type { Clock } from "../platform/clock.ts";
import { MAX_DATAGRAM } from "../wire/layout.ts";

/** Bytes of a segment, at most: large enough that making one is rare, small enough that little memory waits unused. */
const MAX_SEGMENT = 65_536;
/** Segments in a small ring: dropping the oldest one then leaves three quarters of what is kept. */
const MIN_SEGMENTS = 4;
/** Bytes of a record: two 64-bit floats. */
const RECORD = 16;
/** One datagram of any length and its record fit, and it is a whole number of floats: 1,416. */
const MIN_SEGMENT: number = MAX_DATAGRAM + RECORD;

/** What a {@linkcode RetransmitBuffer} is made of. */
export interface RetransmitBufferConfig {
  /**
   * Bytes of memory for the datagrams and the record of each, 16 bytes, from 1,416; less counts as that. All segments
   * together never take more. On top come a few hundred bytes of objects for each of them.
   */
  readonly maxBytes: number;
  /** Milliseconds that a datagram is kept, at most. */
  readonly maxAge: number;
  readonly clock: Clock;
}

/**
 * Numbers datagrams, and holds the newest of them, up to a number of bytes and an age.
 *
 * They lie in segments. A full ring drops its oldest segment whole and writes the next datagrams there, so in the long
 * run nothing is allocated. Segments are made as they are needed, and all but one are given up as what they hold grows
 * old. Age is looked at in every call, datagram by datagram.
 */
export class RetransmitBuffer {
  readonly #clock: Clock;
  readonly #maxAge: number;
  readonly #segmentLength: number;
  /** A ring of segments: `#count` are in use, from `#head`. */
  readonly #slots: (Segment | undefined)[];
  #head = 0;
  #count = 0;
  #spare: Segment | undefined;
  #last = 0;
  #lastAt = -Infinity;
  #oldest = 1;
  /** When the number below `#oldest` was given. */
  #droppedAt = -Infinity;
  #bytes = 0;

  constructor({ maxBytes, maxAge, clock }: RetransmitBufferConfig) {
    const share = Math.floor(maxBytes / MIN_SEGMENTS / 8) * 8;
    this.#segmentLength = Math.max(MIN_SEGMENT, Math.min(MAX_SEGMENT, share));
    this.#slots = new Array(Math.max(1, Math.floor(maxBytes / this.#segmentLength)));
    this.#maxAge = maxAge;
    this.#clock = clock;
  }

  /** The highest number given, 0 for none. */
  get last(): number {
    return this.#last;
  }

  /** The lowest number from which on all is held, `last` + 1 for none. */
  get oldest(): number {
    this.#ageOut(this.#clock.now());
    return this.#oldest;
  }

  /** Bytes of the datagrams that are held. */
  get bytes(): number {
    this.#ageOut(this.#clock.now());
    return this.#bytes;
  }

  /** Bytes of memory taken, at most `maxBytes`. */
  get allocated(): number {
    return (this.#count + (this.#spare === undefined ? 0 : 1)) * this.#segmentLength;
  }

  /** Milliseconds since `last` was given, Infinity for never. */
  get age(): number {
    return this.#clock.now() - this.#lastAt;
  }

  /**
   * Copies a datagram and returns its number.
   *
   * @throws {RangeError} when it has more than 1,400 bytes
   */
  append(datagram: Uint8Array): number {
    if (datagram.length > MAX_DATAGRAM) {
      throw misuse("keep a datagram", `it must have at most ${MAX_DATAGRAM} bytes`, datagram.length, true);
    }
    const now = this.#clock.now();
    this.#ageOut(now);
    const tail = this.#count > 0 ? this.#segmentAt(this.#count - 1) : undefined;
    const segment = tail?.hasRoom(datagram.length) ? tail : this.#addSegment();
    segment.append(datagram, now);
    this.#bytes += datagram.length;
    this.#lastAt = now;
    return ++this.#last;
  }

  /** Holds nothing any more. */
  clear(): void {
    while (this.#count > 0) this.#dropSegment();
    this.#spare = undefined;
    this.#oldest = this.#last + 1;
    this.#droppedAt = this.#lastAt;
  }

  /** Gives a number to what is never held, and holds nothing below it any more. Returns the number. */
  skip(): number {
    while (this.#count > 0) this.#dropSegment();
    this.#lastAt = this.#droppedAt = this.#clock.now();
    this.#oldest = ++this.#last + 1;
    return this.#last;
  }

  /** Begins anew with the numbers, the first of which is never held. */
  restart(): void {
    while (this.#count > 0) this.#dropSegment();
    this.#last = 0;
    this.#oldest = 1;
    this.skip();
  }

  /** A datagram, undefined when it is not held. The bytes are the ring's own, and valid until the next `append`. */
  get(number: number): Uint8Array | undefined {
    return this.#isHeld(number, this.#clock.now()) ? this.#segmentOf(number).get(number) : undefined;
  }

  /** The lowest held number that was given at most `since` milliseconds ago, `last` + 1 for none. */
  firstSince(since: number): number {
    const now = this.#clock.now();
    this.#ageOut(now);
    const at = firstOf(0, this.#count, (i) => now - this.#segmentAt(i).lastTime <= since);
    if (at === this.#count) return this.#last + 1;
    const segment = this.#segmentAt(at);
    return firstOf(Math.max(this.#oldest, segment.first), segment.end, (n) => now - segment.timeOf(n) <= since);
  }

  /**
   * Milliseconds since a number was given. For one that is held no more it is the age of the newest such, a lower bound.
   * Infinity for 0, and 0 for a number that was not given yet.
   */
  ageOf(number: number): number {
    if (number < 1) return Infinity;
    if (number > this.#last) return 0;
    const now = this.#clock.now();
    return now - (this.#isHeld(number, now) ? this.#segmentOf(number).timeOf(number) : this.#droppedAt);
  }

  #isHeld(number: number, now: number): boolean {
    this.#ageOut(now);
    return number >= this.#oldest && number <= this.#last;
  }

  #ageOut(now: number): void {
    while (this.#count > 0) {
      const segment = this.#segmentAt(0);
      if (now - segment.lastTime <= this.#maxAge) {
        let oldest = this.#oldest;
        while (now - segment.timeOf(oldest) > this.#maxAge) oldest++;
        if (oldest > this.#oldest) this.#dropBelow(oldest, segment);
        return;
      }
      this.#dropSegment();
    }
  }

  #addSegment(): Segment {
    if (this.#count === this.#slots.length) this.#dropSegment();
    const segment = this.#spare ?? new Segment(this.#segmentLength);
    this.#spare = undefined;
    segment.clear(this.#last + 1);
    this.#slots[(this.#head + this.#count++) % this.#slots.length] = segment;
    return segment;
  }

  #dropSegment(): void {
    const segment = this.#segmentAt(0);
    this.#dropBelow(segment.end, segment);
    this.#spare = segment;
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#slots.length;
    this.#count--;
  }

  /** `segment` is the one that `#oldest` is in; `number` is there too, or the first after it. */
  #dropBelow(number: number, segment: Segment): void {
    this.#bytes -= segment.startOf(number) - segment.startOf(this.#oldest);
    this.#droppedAt = segment.timeOf(number - 1);
    this.#oldest = number;
  }

  /** The segment that holds a number. */
  #segmentOf(number: number): Segment {
    return this.#segmentAt(firstOf(0, this.#count - 1, (i) => number < this.#segmentAt(i).end));
  }

  /** The segments in use, from 0 for the oldest. */
  #segmentAt(index: number): Segment {
    return this.#slots[(this.#head + index) % this.#slots.length] as Segment;
  }
}

/** Datagrams of consecutive numbers, one after the other, and from the end down the records: when, and from where. */
class Segment {
  /** The number of the first one. */
  first = 0;
  /** The number after the last one. */
  end = 0;
  /** When the last one was given. */
  lastTime = 0;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #records: Float64Array<ArrayBuffer>;
  #used = 0;

  constructor(length: number) {
    this.#bytes = new Uint8Array(length);
    this.#records = new Float64Array(this.#bytes.buffer);
  }

  clear(first: number): void {
    this.first = this.end = first;
    this.#used = 0;
  }

  hasRoom(length: number): boolean {
    return this.#used + length + RECORD * (this.end - this.first + 1) <= this.#bytes.length;
  }

  append(datagram: Uint8Array, time: number): void {
    const record = this.#recordOf(this.end++);
    this.#records[record] = time;
    this.#records[record + 1] = this.#used;
    this.#bytes.set(datagram, this.#used);
    this.#used += datagram.length;
    this.lastTime = time;
  }

  get(number: number): Uint8Array {
    return this.#bytes.subarray(this.startOf(number), this.startOf(number + 1));
  }

  timeOf(number: number): number {
    return this.#records[this.#recordOf(number)] as number;
  }

  /** Where a datagram starts; for `end`, where the next one will. */
  startOf(number: number): number {
    return number === this.end ? this.#used : this.#records[this.#recordOf(number) + 1] as number;
  }

  #recordOf(number: number): number {
    return this.#records.length - 2 * (number - this.first + 1);
  }
}

/** The lowest integer from `low` up of which `holds` is true, `high` for none below it. It holds of all above one. */
function firstOf(low: number, high: number, holds: (value: number) => boolean): number {
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
