/**
 * Metadata: what publishers attach to keys and prefixes, and how it lies in a batch.
 *
 * @module
 */

import { misuse, show } from "../errors.ts";
import { readU16, readU64, writeU16, writeU64 } from "./integers.ts";
import {
  MAX_REGION,
  MAX_WRITER,
  MAX_WRITERS,
  NOTE_CLOCK,
  NOTE_FOR_GO,
  NOTE_GLOBAL,
  NOTE_LOCAL,
  NOTE_REGION,
} from "./layout.ts";
import { ILL_FORMED, isUtf8, readUtf8, utf8Length, writeUtf8 } from "./utf8.ts";

/**
 * How far an event is meant to go: `local` stays in the region of the publisher, `global` goes everywhere. go-warp
 * writes 0 for local and 1 for global.
 */
export type Scope = "local" | "global";

/**
 * A count per writer, used to order changes: unsigned 64-bit integers. In an event a count up to 2^53 - 1 is a `number`
 * and a higher one a `bigint`; `<` and `>` compare both.
 */
export type VectorClock = Readonly<Record<string, number | bigint>>;

/** What a publisher attached to a key or prefix. */
export interface Metadata {
  /** Where the publisher is: 1 to 64 bytes of UTF-8. */
  readonly region?: string | undefined;
  /** The vector clock of the change: at most 64 writers. */
  readonly vectorClock?: VectorClock | undefined;
  /** How far the event is meant to go. */
  readonly scope?: Scope | undefined;
}

/** The metadata of an entry of a batch: of a key, or after the keys of a prefix. */
export interface EntryMetadata extends Metadata {
  /** Which entry it is, from 0. */
  readonly index: number;
  /** Whether the key stands for a prefix, and only for nodes that cannot read that. */
  readonly isForGo: boolean;
}

/** Index and flags of an entry. */
const ENTRY_HEADER = 3;
const COUNT_LENGTH = 8;
const MAX_COUNT = 2n ** 64n - 1n;

/** Checks metadata and returns a copy. `undefined` when there is none. */
export function checkMetadata({ region, vectorClock, scope }: Metadata): Metadata | undefined {
  if (region !== undefined) checkName("publish", "region", region, MAX_REGION);
  if (scope !== undefined && scope !== "local" && scope !== "global") {
    throw misuse("publish", '`scope` must be "local" or "global"', scope);
  }
  const clock = vectorClock === undefined ? undefined : checkClock(vectorClock);
  if (region === undefined && clock === undefined && scope === undefined) return undefined;
  return {
    ...region !== undefined && { region },
    ...clock !== undefined && { vectorClock: clock },
    ...scope !== undefined && { scope },
  };
}

/**
 * Checks the name of a zone, a region or a writer. `name` is that of the option, and `what` what of it is checked.
 *
 * @throws {TypeError} when it is no well-formed text
 * @throws {RangeError} when it is empty or longer than `limit` bytes of UTF-8
 */
export function checkName(action: string, name: string, value: unknown, limit: number, what = ""): void {
  const bytes = typeof value === "string" ? utf8Length(value) : ILL_FORMED;
  if (bytes === ILL_FORMED) throw misuse(action, `${what}\`${name}\` must be a well-formed string`, value);
  if (bytes >= 1 && bytes <= limit) return;
  const rule = `${what}\`${name}\` must have 1 to ${limit} bytes of UTF-8`;
  throw new RangeError(`Cannot ${action} as ${rule}: current value ${show(value)} has ${bytes}`);
}

function checkClock(clock: unknown): VectorClock {
  if (!isPlainObject(clock)) {
    throw misuse("publish", "`vectorClock` must be a plain object with a count per writer", clock);
  }
  const entries = Object.entries(clock);
  if (entries.length > MAX_WRITERS) {
    throw misuse("publish", `\`vectorClock\` must have at most ${MAX_WRITERS} writers`, entries.length, true);
  }
  for (const [writer, count] of entries) {
    checkName("publish", "vectorClock", writer, MAX_WRITER, "a writer of ");
    const isCount = typeof count === "bigint"
      ? count >= 0n && count <= MAX_COUNT
      : Number.isSafeInteger(count) && count >= 0;
    if (isCount) continue;
    throw misuse(
      "publish",
      "a count of `vectorClock` must be an integer from 0 to 2^53 - 1, or a bigint up to 2^64 - 1",
      count,
      "bigint",
    );
  }
  // A writer may have the name of a property of every object, such as `constructor` or `__proto__`.
  // Own subscriptions, and those in this process, get the same types of counts as other nodes do.
  return Object.fromEntries(entries.map(([writer, count]) => [writer, ofEvent(count as number | bigint)]));
}

/** Whether all that an object has are its own properties. A map has none, and an instance may have getters. */
function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // That of every object, of whatever realm, has none itself.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A count as events have it: a `number` where that is exact. */
function ofEvent(count: number | bigint): number | bigint {
  return count <= Number.MAX_SAFE_INTEGER ? Number(count) : count;
}

/** Merges two vector clocks: the higher count of each writer. */
export function mergeClocks(a: VectorClock | undefined, b: VectorClock | undefined): VectorClock | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const counts = new Map(Object.entries(a));
  for (const [writer, count] of Object.entries(b)) {
    const other = counts.get(writer);
    counts.set(writer, other !== undefined && other > count ? other : count);
  }
  return Object.fromEntries(counts);
}

/** Bytes that an entry with this metadata takes in the record. */
export function metadataLength({ region, vectorClock }: Metadata): number {
  let length = ENTRY_HEADER;
  if (region !== undefined) length += 1 + utf8Length(region);
  if (vectorClock === undefined) return length;
  length++;
  for (const writer of Object.keys(vectorClock)) length += 1 + utf8Length(writer) + COUNT_LENGTH;
  return length;
}

/** Writes an entry at `offset` and returns where it ends. */
export function writeMetadata(bytes: Uint8Array, offset: number, entry: EntryMetadata): number {
  const { index, isForGo, region, vectorClock, scope } = entry;
  writeU16(bytes, offset, index);
  bytes[offset + 2] = (region === undefined ? 0 : NOTE_REGION) | (vectorClock === undefined ? 0 : NOTE_CLOCK) |
    (scope === undefined ? 0 : scope === "local" ? NOTE_LOCAL : NOTE_GLOBAL) | (isForGo ? NOTE_FOR_GO : 0);
  let end = offset + ENTRY_HEADER;
  if (region !== undefined) end = writeShort(bytes, end, region);
  if (vectorClock === undefined) return end;
  const counts = Object.entries(vectorClock);
  bytes[end++] = counts.length;
  for (const [writer, count] of counts) {
    end = writeShort(bytes, end, writer);
    writeU64(bytes, end, count);
    end += COUNT_LENGTH;
  }
  return end;
}

/**
 * Reads the entries of a record, in its order. `undefined` when it does not parse. Never throws; the work is bounded by
 * the bytes.
 */
export function readMetadata(value: Uint8Array): readonly EntryMetadata[] | undefined {
  const entries: EntryMetadata[] = [];
  for (let at = 0; at < value.length;) {
    if (at + ENTRY_HEADER > value.length) return undefined;
    const index = readU16(value, at);
    const flags = value[at + 2] as number;
    at += ENTRY_HEADER;
    const entry: { -readonly [K in keyof EntryMetadata]: EntryMetadata[K] } = {
      index,
      isForGo: (flags & NOTE_FOR_GO) !== 0,
    };
    const isScoped = (flags & (NOTE_LOCAL | NOTE_GLOBAL)) !== 0;
    if (isScoped) entry.scope = (flags & NOTE_GLOBAL) !== 0 ? "global" : "local";
    if ((flags & NOTE_REGION) !== 0) {
      const region = readShort(value, at, MAX_REGION);
      if (region === undefined) return undefined;
      entry.region = region.text;
      at = region.end;
    }
    if ((flags & NOTE_CLOCK) !== 0) {
      const clock = readClock(value, at);
      if (clock === undefined) return undefined;
      entry.vectorClock = clock.clock;
      at = clock.end;
    }
    entries.push(entry);
  }
  return entries.length === 0 ? undefined : entries;
}

function readClock(value: Uint8Array, start: number): { clock: VectorClock; end: number } | undefined {
  const count = value[start];
  if (count === undefined || count > MAX_WRITERS) return undefined;
  const counts: [string, number | bigint][] = [];
  let end = start + 1;
  for (let left = count; left > 0; left--) {
    const writer = readShort(value, end, MAX_WRITER);
    if (writer === undefined || writer.end + COUNT_LENGTH > value.length) return undefined;
    counts.push([writer.text, readU64(value, writer.end)]);
    end = writer.end + COUNT_LENGTH;
  }
  return { clock: Object.fromEntries(counts), end };
}

function writeShort(bytes: Uint8Array, offset: number, text: string): number {
  const end = writeUtf8(text, bytes, offset + 1);
  bytes[offset] = end - offset - 1;
  return end;
}

/** A text of 1 to `limit` bytes after its length. */
function readShort(value: Uint8Array, start: number, limit: number): { text: string; end: number } | undefined {
  const length = value[start] ?? 0;
  const end = start + 1 + length;
  if (length === 0 || length > limit || end > value.length || !isUtf8(value, start + 1, end)) return undefined;
  return { text: readUtf8(value, start + 1, end), end };
}
