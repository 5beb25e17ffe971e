/**
 * Batch writer: encodes one batch datagram key by key.
 *
 * @module
 */

import { writeNumber } from "./extension.ts";
import { writeU16 } from "./integers.ts";
import {
  BATCH_EXTENSION_LENGTH,
  BATCH_KEY_OVERHEAD,
  BATCH_KEYS_OFFSET,
  COUNT_OFFSET,
  MAX_DATAGRAM,
  TYPE_BATCH,
} from "./layout.ts";
import { writeHeader } from "./packet.ts";
import { NO_ROOM, writeUtf8 } from "./utf8.ts";

/** A batch that is being written. It owns its bytes and can be used again after {@linkcode BatchWriter.clear}. */
export class BatchWriter {
  readonly #bytes = new Uint8Array(MAX_DATAGRAM);
  readonly #whole: Uint8Array;
  #body: Uint8Array;
  #end = BATCH_KEYS_OFFSET;
  #count = 0;

  /** `nodeId` is the sender's id, 16 bytes. With `numbered`, room is left for the extension block. */
  constructor(nodeId: Uint8Array, numbered = false) {
    this.#whole = this.#body = this.#bytes.subarray(0, MAX_DATAGRAM - (numbered ? BATCH_EXTENSION_LENGTH : 0));
    writeHeader(this.#bytes, TYPE_BATCH, nodeId);
  }

  /** Writes another id of the sender. */
  rename(nodeId: Uint8Array): void {
    writeHeader(this.#bytes, TYPE_BATCH, nodeId);
  }

  /** How many keys it holds. */
  get count(): number {
    return this.#count;
  }

  /**
   * Size that the datagram should not exceed, in bytes, with its extension block. A first key that needs more goes
   * alone.
   */
  get limit(): number {
    return MAX_DATAGRAM - (this.#whole.length - this.#body.length);
  }

  set limit(limit: number) {
    this.#body = this.#whole.subarray(0, this.#whole.length - (MAX_DATAGRAM - limit));
  }

  /**
   * Writes a key behind the last one. The next `put` overwrites it unless it is {@linkcode BatchWriter.commit}ted.
   * Returns the offset of its end, else why it cannot be added: `NO_ROOM` when the datagram would exceed {@linkcode
   * BatchWriter.limit} with its extension block, `ILL_FORMED` when the key has no UTF-8 form.
   */
  put(key: string): number {
    const start = this.#end + BATCH_KEY_OVERHEAD;
    const end = writeUtf8(key, this.#body, start);
    return end === NO_ROOM && this.#count === 0 ? writeUtf8(key, this.#whole, start) : end;
  }

  /** Adds the key that was `put` last and ends at `end`. */
  commit(end: number): void {
    writeU16(this.#bytes, this.#end, end - this.#end - BATCH_KEY_OVERHEAD);
    this.#end = end;
    this.#count++;
  }

  /** The bytes that keys are written into. The length of the next key goes to {@linkcode BatchWriter.end}. */
  get buffer(): Uint8Array {
    return this.#bytes;
  }

  /** Offset of the end of the keys. */
  get end(): number {
    return this.#end;
  }

  /**
   * The datagram, with the number of the batch if it has one: a view that is valid until the next `put` or `clear`.
   * `isMore` says that more keys are pending.
   */
  bytes(number?: number, isMore = false): Uint8Array {
    writeU16(this.#bytes, COUNT_OFFSET, this.#count);
    if (number === undefined) return this.#bytes.subarray(0, this.#end);
    writeNumber(this.#bytes, this.#end, number, isMore);
    return this.#bytes.subarray(0, this.#end + BATCH_EXTENSION_LENGTH);
  }

  /** Removes all keys. */
  clear(): void {
    this.#end = BATCH_KEYS_OFFSET;
    this.#count = 0;
  }
}
