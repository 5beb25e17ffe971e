/**
 * Batch notes: what a batch carries in its extension block besides its number: prefixes, and metadata of its entries.
 *
 * @module
 */

import { writeU16 } from "./integers.ts";
import { BATCH_KEY_OVERHEAD, RECORD_HEADER_LENGTH, TAG_METADATA, TAG_PREFIXES } from "./layout.ts";
import { type EntryMetadata, type Metadata, metadataLength, writeMetadata } from "./metadata.ts";
import { writePrefix } from "./prefixes.ts";
import { utf8Length } from "./utf8.ts";

/** An entry of a batch that has notes. Its index counts keys, or prefixes, until the batch is written. */
export interface NotedEntry {
  readonly isPrefix: boolean;
  readonly index: number;
  readonly isForGo: boolean;
  metadata: Metadata | undefined;
}

/** Bytes of the record that an entry with these notes needs for them. */
function noteLength({ isForGo, metadata }: Pick<NotedEntry, "isForGo" | "metadata">): number {
  return metadata === undefined && !isForGo ? 0 : metadataLength(metadata ?? {});
}

/** The notes of one batch. */
export class BatchNotes {
  readonly #prefixes: string[] = [];
  readonly #entries: NotedEntry[] = [];
  #prefixBytes = 0;
  #noteBytes = 0;

  /** How many prefixes there are. */
  get prefixes(): number {
    return this.#prefixes.length;
  }

  /** Bytes of both records. */
  get length(): number {
    return recordLength(this.#prefixBytes) + recordLength(this.#noteBytes);
  }

  /** What {@linkcode BatchNotes.length} would be with one more entry. `prefix` is absent for a key. */
  lengthWith(notes: Pick<NotedEntry, "isForGo" | "metadata">, prefix?: string): number {
    const prefixBytes = prefix === undefined ? 0 : BATCH_KEY_OVERHEAD + utf8Length(prefix);
    return recordLength(this.#prefixBytes + prefixBytes) + recordLength(this.#noteBytes + noteLength(notes));
  }

  /** Adds the notes of a key. */
  addKey(index: number, isForGo: boolean, metadata: Metadata | undefined): NotedEntry {
    return this.#add({ isPrefix: false, index, isForGo, metadata });
  }

  /** Adds a prefix. */
  addPrefix(prefix: string, metadata: Metadata | undefined): NotedEntry {
    this.#prefixBytes += BATCH_KEY_OVERHEAD + utf8Length(prefix);
    const index = this.#prefixes.push(prefix) - 1;
    return this.#add({ isPrefix: true, index, isForGo: false, metadata });
  }

  /** Whether it has notes of the key with this index. */
  hasKey(index: number): boolean {
    return this.#entries.some((entry) => !entry.isPrefix && entry.index === index);
  }

  /** Bytes by which the records grow when the metadata of an entry is replaced. */
  growth(entry: NotedEntry, metadata: Metadata): number {
    const change = noteLength({ ...entry, metadata }) - noteLength(entry);
    return recordLength(this.#noteBytes + change) - recordLength(this.#noteBytes);
  }

  /** Replaces the metadata of an entry. */
  replace(entry: NotedEntry, metadata: Metadata): void {
    this.#noteBytes += noteLength({ ...entry, metadata }) - noteLength(entry);
    entry.metadata = metadata;
  }

  /** Writes the records of a batch with `keys` keys at `offset`. Returns where they end. */
  write(bytes: Uint8Array, offset: number, keys: number): number {
    let end = offset;
    if (this.#prefixBytes > 0) {
      end = writeRecordHeader(bytes, end, TAG_PREFIXES, this.#prefixBytes);
      for (const prefix of this.#prefixes) end = writePrefix(bytes, end, prefix);
    }
    if (this.#noteBytes === 0) return end;
    end = writeRecordHeader(bytes, end, TAG_METADATA, this.#noteBytes);
    for (const entry of this.#entries) {
      const { isForGo, isPrefix, index, metadata } = entry;
      if (noteLength(entry) === 0) continue;
      const written: EntryMetadata = { ...metadata, isForGo, index: isPrefix ? keys + index : index };
      end = writeMetadata(bytes, end, written);
    }
    return end;
  }

  #add(entry: NotedEntry): NotedEntry {
    this.#entries.push(entry);
    this.#noteBytes += noteLength(entry);
    return entry;
  }
}

function recordLength(bytes: number): number {
  return bytes === 0 ? 0 : RECORD_HEADER_LENGTH + bytes;
}

function writeRecordHeader(bytes: Uint8Array, offset: number, tag: number, length: number): number {
  bytes[offset] = tag;
  writeU16(bytes, offset + 1, length);
  return offset + RECORD_HEADER_LENGTH;
}
