/**
 * Key bytes: a cursor over the keys of a datagram, which decodes the text of a key only when it is needed.
 *
 * @module
 */

import { BATCH_KEY_OVERHEAD } from "./layout.ts";
import { isAscii, isUtf8, readAscii, readUtf8, writeUtf8 } from "./utf8.ts";

const NO_BYTES = new Uint8Array(0);

/** V8 copies substrings of less than 13 characters. For a longer one it keeps the whole text alive and refers to it. */
const MAX_COPIED = 12;

/** Longest key, in characters, that is copied as such substrings, two at most: half the cost of the other way. */
const MAX_TWO_COPIES = 2 * MAX_COPIED;

/**
 * Longest lone key, in characters, whose text is made by one call: a decoder is not in the processor's caches after a
 * pause.
 */
const MAX_ONE_CALL = 32;

/**
 * One key at a time of a datagram or of a text: its bytes, and its text, which is decoded on demand. Most keys that
 * arrive match no subscription, and those of exact subscriptions have a text already.
 */
export class KeyBytes {
  /** The bytes that contain the key. */
  bytes: Uint8Array = NO_BYTES;
  /** Offset of its first byte. */
  start = 0;
  /** Offset of the byte after its last. */
  end = 0;
  #text: string | undefined;
  /** The range of the keys in `bytes`, whether all of it is ASCII, and then its text, from which keys are cut. */
  #from = 0;
  #to = 0;
  #isAscii = true;
  #whole: string | undefined;
  #scratch: Uint8Array = NO_BYTES;

  /** Begins with the keys of a datagram: `bytes`, in which the first key begins at `from` and the last ends at `to`. */
  open(bytes: Uint8Array, from: number, to: number): void {
    this.bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.#isAscii = isAscii(bytes, from, to);
    this.#whole = undefined;
  }

  /** Moves to the next key. False when it is not UTF-8. */
  move(start: number, end: number): boolean {
    this.start = start;
    this.end = end;
    this.#text = undefined;
    return this.#isAscii || isUtf8(this.bytes, start, end);
  }

  /** A copy of this key and of those that follow, each after its length. */
  rest(): Uint8Array {
    const copy = new Uint8Array(this.#to - this.start);
    copy.set(this.bytes.subarray(this.start, this.#to));
    return copy;
  }

  /** Ends the datagram: nothing of it is kept. */
  close(): void {
    this.bytes = NO_BYTES;
    this.start = this.end = 0;
    this.#text = this.#whole = undefined;
  }

  /** Makes it the key of a text, which must be well-formed. */
  encode(text: string): this {
    if (this.#scratch.length < 3 * text.length) this.#scratch = new Uint8Array(3 * text.length);
    this.bytes = this.#scratch;
    this.start = 0;
    this.end = writeUtf8(text, this.bytes, 0);
    this.#isAscii = this.end === text.length;
    this.#from = 0;
    this.#to = this.end;
    this.#text = text;
    return this;
  }

  /**
   * The text of the key. When a whole batch is ASCII it is decoded once and the keys are cut from that text: 10 ns a
   * key against 50 (Node 24, 16-byte keys).
   */
  get text(): string {
    return this.#text ??= this.#read();
  }

  /**
   * The text of the key, safe to keep. A text that is cut from that of a datagram keeps all of it alive, 1,400 bytes
   * for 16; on JavaScriptCore so does a copy, until its characters are read.
   */
  get ownText(): string {
    const length = this.end - this.start;
    if (!this.#isAscii || length <= MAX_COPIED || this.#isAlone()) return this.text;
    if (length > MAX_TWO_COPIES) return (this.text + " ").slice(0, -1);
    const whole = this.#decoded();
    const start = this.start - this.#from;
    return whole.substring(start, start + MAX_COPIED) + whole.substring(start + MAX_COPIED, start + length);
  }

  /**
   * Offset of the end of its first characters, as many as a text of that `length` has. -1 when it has fewer, or when
   * the offset would be within a character.
   */
  endOf(length: number): number {
    const { bytes, end } = this;
    let at = this.start;
    if (this.#isAscii) return at + length > end ? -1 : at + length;
    let left = length;
    while (left > 0) {
      if (at >= end) return -1;
      const lead = bytes[at] as number;
      at += lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      // A character of four bytes has two units in UTF-16.
      left -= lead < 0xf0 ? 1 : 2;
    }
    return left < 0 ? -1 : at;
  }

  /** Whether it is the only key of its datagram or text. */
  #isAlone(): boolean {
    return this.end === this.#to && this.start - this.#from <= BATCH_KEY_OVERHEAD;
  }

  #decoded(): string {
    return this.#whole ??= readUtf8(this.bytes, this.#from, this.#to);
  }

  #read(): string {
    const { bytes, start, end } = this;
    if (!this.#isAscii) return readUtf8(bytes, start, end);
    if (this.#isAlone()) {
      return end - start <= MAX_ONE_CALL ? readAscii(bytes, start, end) : readUtf8(bytes, start, end);
    }
    return this.#decoded().substring(start - this.#from, end - this.#from);
  }
}
