/**
 * Prefixes: how those that were published lie in the extension block of a batch, where Go nodes do not look.
 *
 * @module
 */

import { readU16, writeU16 } from "./integers.ts";
import { BATCH_KEY_OVERHEAD } from "./layout.ts";
import { isUtf8, readUtf8, writeUtf8 } from "./utf8.ts";

/** Writes a prefix at `offset` and returns where it ends. There must be room, and the text must be well-formed. */
export function writePrefix(bytes: Uint8Array, offset: number, prefix: string): number {
  const end = writeUtf8(prefix, bytes, offset + BATCH_KEY_OVERHEAD);
  writeU16(bytes, offset, end - offset - BATCH_KEY_OVERHEAD);
  return end;
}

/**
 * Reads the prefixes of a record, at least one. `undefined` when it does not parse: then the batch must not count as
 * received. Never throws; the work is bounded by the bytes.
 */
export function readPrefixes(value: Uint8Array): readonly string[] | undefined {
  const prefixes: string[] = [];
  for (let at = 0; at < value.length;) {
    const start = at + BATCH_KEY_OVERHEAD;
    if (start > value.length) return undefined;
    const end = start + readU16(value, at);
    if (end > value.length || !isUtf8(value, start, end)) return undefined;
    prefixes.push(readUtf8(value, start, end));
    at = end;
  }
  return prefixes.length === 0 ? undefined : prefixes;
}
