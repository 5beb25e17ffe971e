/**
 * Batch writer: encodes one batch datagram key by key.
 *
 * @module
 */

import { BatchNotes, type NotedEntry } from "./batch_notes.ts";
import { writeBlockHeader, writeNumber } from "./extension.ts";
import { readU16, writeU16 } from "./integers.ts";
import {
  BATCH_EXTENSION_LENGTH,
  BATCH_KEY_OVERHEAD,
  BATCH_KEYS_OFFSET,
  COUNT_OFFSET,
  MAX_DATAGRAM,
  TYPE_BATCH,
} from "./layout.ts";
import type { Metadata } from "./metadata.ts";
import { writeHeader } from "./packet.ts";
import { equalsUtf8, NO_ROOM, writeUtf8 } from "./utf8.ts";

/** A batch that is being written. It owns its bytes and can be used again after {@linkcode BatchWriter.clear}. */
export class BatchWriter {
  readonly #bytes = new Uint8Array(MAX_DATAGRAM);
  readonly #whole: Uint8Array;
  /** The bytes that keys may take as long as there are no notes. */
  #room: Uint8Array;
  /** The same less the notes. */
  #body: Uint8Array;
  #end = BATCH_KEYS_OFFSET;
  #count = 0;
  #notes: BatchNotes | undefined;

  /** `nodeId` is the sender's id, 16 bytes. With `numbered`, room is left for the extension block. */
  constructor(nodeId: Uint8Array, numbered = false) {
    this.#whole = this.#bytes.subarray(0, MAX_DATAGRAM - (numbered ? BATCH_EXTENSION_LENGTH : 0));
    this.#body = this.#room = this.#whole;
    writeHeader(this.#bytes, TYPE_BATCH, nodeId);
  }

  /** Writes another id of the sender. */
  rename(nodeId: Uint8Array): void {
    writeHeader(this.#bytes, TYPE_BATCH, nodeId);
  }

  /** How many keys and prefixes it holds. */
  get count(): number {
    return this.#count;
  }

  /** How many keys it holds. */
  get keys(): number {
    return this.#count - (this.#notes?.prefixes ?? 0);
  }

  /**
   * Size that the datagram should not exceed, in bytes, with its extension block. A first key that needs more goes
   * alone.
   */
  get limit(): number {
    return MAX_DATAGRAM - (this.#whole.length - this.#room.length);
  }

  set limit(limit: number) {
    this.#room = this.#whole.subarray(0, this.#whole.length - (MAX_DATAGRAM - limit));
    this.#fit();
  }

  /**
   * Writes a key behind the last one. The next `put` overwrites it unless it is {@linkcode BatchWriter.commit}ted.
   * Returns the offset of its end, else why it cannot be added: `NO_ROOM` when the datagram would exceed {@linkcode
   * BatchWriter.limit} with its extension block, `ILL_FORMED` when the key has no UTF-8 form.
   */
  put(key: string): number {
    const start = this.#end + BATCH_KEY_OVERHEAD;
    const end = writeUtf8(key, this.#body, start);
    return end === NO_ROOM && this.count === 0 ? writeUtf8(key, this.#whole, start) : end;
  }

  /** Adds the key that was `put` last and ends at `end`. */
  commit(end: number): void {
    writeU16(this.#bytes, this.#end, end - this.#end - BATCH_KEY_OVERHEAD);
    this.#end = end;
    this.#count++;
  }

  /** Adds a key with notes. `undefined` when the datagram would exceed its limit, or the largest size when alone. */
  addKey(key: string, isForGo: boolean, metadata: Metadata | undefined): NotedEntry | undefined {
    const notes = this.#notes ?? new BatchNotes();
    const room = this.#available - notes.lengthWith({ isForGo, metadata });
    const end = writeUtf8(key, this.#whole.subarray(0, Math.max(0, room)), this.#end + BATCH_KEY_OVERHEAD);
    if (end < 0) return undefined;
    const entry = notes.addKey(this.keys, isForGo, metadata);
    this.#notes = notes;
    this.commit(end);
    this.#fit();
    return entry;
  }

  /** Adds a prefix in the same way. */
  addPrefix(prefix: string, metadata: Metadata | undefined): NotedEntry | undefined {
    const notes = this.#notes ?? new BatchNotes();
    if (this.#end + notes.lengthWith({ isForGo: false, metadata }, prefix) > this.#available) return undefined;
    const entry = notes.addPrefix(prefix, metadata);
    this.#notes = notes;
    this.#count++;
    this.#fit();
    return entry;
  }

  /** Replaces the metadata of an entry. False when the datagram would exceed its limit. */
  replace(entry: NotedEntry, metadata: Metadata): boolean {
    const notes = this.#notes;
    const limit = this.count === 1 ? this.#whole.length : this.#room.length;
    if (notes === undefined || this.#end + notes.length + notes.growth(entry, metadata) > limit) return false;
    notes.replace(entry, metadata);
    this.#fit();
    return true;
  }

  /** The index of the key with this text and without notes, or -1. */
  indexOf(key: string): number {
    let found = -1;
    let at = BATCH_KEYS_OFFSET;
    for (let index = 0; index < this.keys; index++) {
      const start = at + BATCH_KEY_OVERHEAD;
      at = start + readU16(this.#bytes, at);
      if (equalsUtf8(key, this.#bytes, start, at) && this.#notes?.hasKey(index) !== true) found = index;
    }
    return found;
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
   * `isMore` says that more keys are pending, `isAwaited` that the delivery is to be acknowledged.
   */
  bytes(number?: number, isMore = false, isAwaited = false): Uint8Array {
    const bytes = this.#bytes;
    writeU16(bytes, COUNT_OFFSET, this.keys);
    if (number === undefined) return bytes.subarray(0, this.#end);
    let end = writeBlockHeader(bytes, this.#end);
    if (this.#notes !== undefined) end = this.#notes.write(bytes, end, this.keys);
    return bytes.subarray(0, writeNumber(bytes, end, number, isMore, isAwaited));
  }

  /** Removes everything. */
  clear(): void {
    this.#end = BATCH_KEYS_OFFSET;
    this.#count = 0;
    if (this.#notes === undefined) return;
    this.#notes = undefined;
    this.#fit();
  }

  /** Bytes that keys and notes may take: all that there are when they are the first. */
  get #available(): number {
    return this.count === 0 ? this.#whole.length : this.#room.length;
  }

  #fit(): void {
    const notes = this.#notes?.length ?? 0;
    this.#body = notes === 0 ? this.#room : this.#room.subarray(0, Math.max(0, this.#room.length - notes));
  }
}
