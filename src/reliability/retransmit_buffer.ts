/**
 * Retransmit buffer: the batches that a node has sent and holds for retransmission; `docs/wire.md`, "NAKs and
 * retransmission".
 *
 * Kin to the transmit window of PGM (RFC 3208), bounded by bytes and by age.
 *
 * @module
 */

import { misuse } from "../errors.ts";
import type { Clock } from "../platform/clock.ts";
import { MAX_DATAGRAM } from "../wire/layout.ts";

/** Most bytes of a segment: so many that making one is rare, and so few that little memory waits unused. */
const MAX_SEGMENT = 65_536;
/** Segments of a small buffer: dropping the oldest one then leaves three quarters of what is held. */
const MIN_SEGMENTS = 4;
/** Bytes of a record: two 64-bit floats. */
const RECORD = 16;
/** Least bytes of a segment, 1,416: a datagram of any length and its record fit, and it is a whole number of floats. */
const MIN_SEGMENT: number = MAX_DATAGRAM + RECORD;

/** What a {@linkcode RetransmitBuffer} is made of. */
export interface RetransmitBufferConfig {
  /**
   * Most bytes of memory for the datagrams and the record of each, 16 bytes. Less than 1,416 counts as 1,416. All
   * segments together never take more. The objects of each segment take a few hundred bytes besides.
   */
  readonly maxBytes: number;
  /** Milliseconds for which a datagram is held, at most. */
  readonly maxAge: number;
  readonly clock: Clock;
}

/**
 * Numbers datagrams, and holds the newest of them, up to a number of bytes and an age.
 *
 * They lie in a ring of segments. A full ring drops its oldest segment whole and writes the next datagrams there, so in
 * the long run nothing is allocated. Segments are made as they are needed, and all but one are given up as what they
 * hold grows old. Each call looks at the age, datagram by datagram.
 */
export class RetransmitBuffer {
  readonly #clock: Clock;
  readonly #maxAge: number;
  readonly #segmentLength: number;
  /** The ring of segments: `#count` are in use, from `#head` on. */
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

  /** The lowest number from which on all are held, `last` + 1 for none. */
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

  /** Gives a number that is never held, and drops all below it. Returns the number. */
  skip(): number {
    while (this.#count > 0) this.#dropSegment();
    this.#lastAt = this.#droppedAt = this.#clock.now();
    this.#oldest = ++this.#last + 1;
    return this.#last;
  }

  /** Begins anew with the numbers; the first of them is never held. */
  restart(): void {
    while (this.#count > 0) this.#dropSegment();
    this.#last = 0;
    this.#oldest = 1;
    this.skip();
  }

  /** A datagram, `undefined` when it is not held. The bytes are the buffer's own, and valid until the next `append`. */
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
   * Milliseconds since a number was given. For one that is no longer held it is the age of the newest such number, a
   * lower bound. Infinity for 0, and 0 for a number that was not given yet.
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

  /** `segment` holds `#oldest`; `number` is in it too, or is the first after it. */
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

/**
 * Datagrams of consecutive numbers, one after the other. From the end down lie their records: the time, and the offset.
 */
class Segment {
  /** The number of the first datagram. */
  first = 0;
  /** The number after that of the last datagram. */
  end = 0;
  /** When the last number was given. */
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

  /** The offset of a datagram; for `end`, that of the next one. */
  startOf(number: number): number {
    return number === this.end ? this.#used : this.#records[this.#recordOf(number) + 1] as number;
  }

  #recordOf(number: number): number {
    return this.#records.length - 2 * (number - this.first + 1);
  }
}

/**
 * The lowest integer from `low` on of which `holds` is true, `high` if there is none below it. `holds` must be true of
 * all integers above one of which it is true.
 */
function firstOf(low: number, high: number, holds: (value: number) => boolean): number {
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
