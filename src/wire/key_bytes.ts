/**
 * A key as bytes, where it lies in a datagram.
 *
 * @module
 */

import { BATCH_KEY_OVERHEAD } from "./layout.ts";
import { isAscii, isUtf8, readAscii, readUtf8, writeUtf8 } from "./utf8.ts";

const NONE = new Uint8Array(0);

/** V8 copies strings of less than 13 characters, where it keeps a longer piece of a text, and all of the text, in place of a copy. */
const PIECE = 12;

/** Characters up to which a copy is made of such pieces, two at most: that costs half of what another way does. */
const PIECES = 2 * PIECE;

/** Characters up to which the text of a key alone is made by one call: a decoder is not in the processor's caches after a pause. */
const SHORT = 32;

/**
 * One key at a time of a datagram, or of a text: its bytes, and its text, which is made when somebody asks for it. Most keys
 * that arrive are wanted by nobody, and those of exact subscriptions have a text already.
 */
export class KeyBytes {
  /** What it lies in. */
  bytes: Uint8Array = NONE;
  /** Where it begins. */
  start = 0;
  /** Where it ends: the byte after its last. */
  end = 0;
  #text: string | undefined;
  /** Where keys begin and end in `bytes`, whether all of that is ASCII, and its text, of which keys are cut then. */
  #from = 0;
  #to = 0;
  #isAscii = true;
  #whole: string | undefined;
  #scratch: Uint8Array = NONE;

  /** Keys follow that lie in `bytes`, `from` the first of which `to` the end of the last. */
  open(bytes: Uint8Array, from: number, to: number): void {
    this.bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.#isAscii = isAscii(bytes, from, to);
    this.#whole = undefined;
  }

  /** The next of them. False when it is not UTF-8. */
  move(start: number, end: number): boolean {
    this.start = start;
    this.end = end;
    this.#text = undefined;
    return this.#isAscii || isUtf8(this.bytes, start, end);
  }

  /** A copy of it and of those that follow, each of which has its length before it. */
  rest(): Uint8Array {
    const copy = new Uint8Array(this.#to - this.start);
    copy.set(this.bytes.subarray(this.start, this.#to));
    return copy;
  }

  /** That was the last of them: nothing is kept of the datagram. */
  close(): void {
    this.bytes = NONE;
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
   * As text. When all of a batch is ASCII it is decoded once and the keys are cut from that text: 10 ns a key against 50
   * (Node 24, 16-byte keys).
   */
  get text(): string {
    return this.#text ??= this.#read();
  }

  /**
   * The same, which may be kept. What is cut from the text of a datagram keeps that alive, 1,400 bytes for 16, and so does the
   * copy on JavaScriptCore until it is looked into.
   */
  get ownText(): string {
    const length = this.end - this.start;
    if (!this.#isAscii || length <= PIECE || this.#isAlone()) return this.text;
    if (length > PIECES) return (this.text + " ").slice(0, -1);
    const whole = this.#decoded();
    const start = this.start - this.#from;
    return whole.substring(start, start + PIECE) + whole.substring(start + PIECE, start + length);
  }

  /** Where its first characters end, so many as a text of that `length` has; -1 when it has fewer, or when that is amid one. */
  endOf(length: number): number {
    const { bytes, end } = this;
    let at = this.start;
    if (this.#isAscii) return at + length > end ? -1 : at + length;
    let left = length;
    while (left > 0) {
      if (at >= end) return -1;
      const lead = bytes[at] as number;
      at += lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      // UTF-16 has two units for what takes four bytes.
      left -= lead < 0xf0 ? 1 : 2;
    }
    return left < 0 ? -1 : at;
  }

  /** Whether it is all that there is. */
  #isAlone(): boolean {
    return this.end === this.#to && this.start - this.#from <= BATCH_KEY_OVERHEAD;
  }

  #decoded(): string {
    return this.#whole ??= readUtf8(this.bytes, this.#from, this.#to);
  }

  #read(): string {
    const { bytes, start, end } = this;
    if (!this.#isAscii) return readUtf8(bytes, start, end);
    if (this.#isAlone()) return end - start <= SHORT ? readAscii(bytes, start, end) : readUtf8(bytes, start, end);
    return this.#decoded().substring(start - this.#from, end - this.#from);
  }
}
