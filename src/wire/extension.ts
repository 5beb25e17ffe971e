/**
 * Extension blocks: the records that nodes of this project put after a packet's body, where go-warp does not look. They
 * are type-length-value records: `docs/wire.md`, "Extension".
 *
 * @module
 */

import { DecodeError, misuse } from "../errors.ts";
import { readU16, readU32, readU48, writeU16, writeU32, writeU48 } from "./integers.ts";
import {
  AGE_LENGTH,
  AGE_NEVER,
  BASE_LENGTH,
  BATCH_EXTENSION_LENGTH,
  BATCH_KEY_OVERHEAD,
  EXTENSION_HEADER_LENGTH,
  EXTENSION_MAGIC,
  EXTENSION_VERSION,
  HEADER_LENGTH,
  MAX_NUMBER,
  MAX_RANGES,
  MAX_TAG,
  MEASURE_LENGTH,
  NODE_ID_LENGTH,
  NONCE_LENGTH,
  NUMBER_LENGTH,
  NUMBER_RECORD_LENGTH,
  PATH_GROUP,
  POSITION_LENGTH,
  RANGE_LENGTH,
  RECORD_HEADER_LENGTH,
  TAG_AWAITED_MORE,
  TAG_AWAITED_NUMBER,
  TAG_AWAITED_RETRANSMIT,
  TAG_BASE,
  TAG_DELIVERED,
  TAG_ECHO,
  TAG_HEARD,
  TAG_MEASURE,
  TAG_METADATA,
  TAG_MORE,
  TAG_NODE,
  TAG_NONCE,
  TAG_NUMBER,
  TAG_PADDING,
  TAG_PATH,
  TAG_PEERS,
  TAG_PENDING,
  TAG_POSITION,
  TAG_PREFIXES,
  TAG_RANGES,
  TAG_REPORT,
  TAG_RETRANSMIT,
  TAG_SETTLED,
  TAG_SINCE,
  TAG_STREAM,
  TAG_TOKEN,
  TOKEN_LENGTH,
} from "./layout.ts";
import { type EntryMetadata, metadataLength, readMetadata, writeMetadata } from "./metadata.ts";
import { type NodeRecord, readNode, writeNode } from "./node_record.ts";
import { type DeliveredBatch, readDelivered, writeDelivered } from "./outcomes.ts";
import { writeHeader } from "./packet.ts";
import { type ExchangedPeer, isHeard, readPeers, writePeers } from "./peer_exchange.ts";
import { readPrefixes, writePrefix } from "./prefixes.ts";
import { type Measure, readMeasure, readReport, type Report, writeMeasure, writeReport } from "./probe_records.ts";
import { utf8Length } from "./utf8.ts";

/** The position of a stream: which numbers were given, and which are still held. */
export interface Position {
  /** Highest number given so far, 0 for none. */
  readonly last: number;
  /** Lowest number from which on all batches are held for retransmission, `last` + 1 for none. */
  readonly oldest: number;
  /** Milliseconds since `last` was given, `Infinity` for never. */
  readonly age: number;
}

/** A range of numbers from `from` to `to`, both included. */
export interface NumberRange {
  /** The first number, at least 1. */
  readonly from: number;
  /** The last number. */
  readonly to: number;
}

/** Where a stream begins for a joining node: the answer to its catch-up request. */
export interface Base {
  /** The first number that may concern the joining node. */
  readonly first: number;
  /** Age of the batch before `first`, in milliseconds, `Infinity` when there was none. */
  readonly age: number;
}

/** The records of an extension block. Ages are whole milliseconds. */
export interface Extension {
  /** The number of this batch, 1 to 2^48 - 1. */
  readonly number?: number | undefined;
  /** The position of the sender's stream. */
  readonly position?: Position | undefined;
  /** The node whose stream the packet is about, 16 bytes. */
  readonly stream?: Uint8Array | undefined;
  /** The nonce of a request, which its answer repeats: 0 to 2^32 - 1. */
  readonly nonce?: number | undefined;
  /** The address-validation token: it shows that its bearer has received what was sent to its address. 8 bytes. */
  readonly token?: Uint8Array | undefined;
  /** Numbers of batches that the sender has not received: 1 to 64 ranges, ascending. */
  readonly ranges?: readonly NumberRange[] | undefined;
  /** How far back the sender of a catch-up request wants to know all batches, in milliseconds. */
  readonly since?: number | undefined;
  /** Where the sender's stream begins for the requester. */
  readonly base?: Base | undefined;
  /** Every batch of the stream up to this number has reached the sender, or was given up by it. */
  readonly settled?: number | undefined;
  /** The number of this batch, which is a retransmission. */
  readonly retransmit?: number | undefined;
  /** The nonce of the path challenge that this heartbeat responds to: 0 to 2^32 - 1. */
  readonly echo?: number | undefined;
  /**
   * The path of this heartbeat. 2: sent to the group. 1: sent to one node, whose multicast the sender hears. 0: sent to
   * one node, whose multicast the sender does not hear.
   */
  readonly path?: number | undefined;
  /** The first 4 bytes of the id of each node whose multicast the sender hears: at most 256 nodes. */
  readonly heard?: Uint8Array | undefined;
  /** Peer exchange: nodes that the sender knows, all with addresses of one family. At most 32. */
  readonly peers?: readonly ExchangedPeer[] | undefined;
  /** How a probe is to be acknowledged. */
  readonly measure?: Measure | undefined;
  /** What the sender of a probe ack reports of itself. */
  readonly report?: Report | undefined;
  /**
   * Milliseconds since the oldest key was accepted that the sender has not sent yet, so that its position does not
   * cover it. Absent when it has sent all keys.
   */
  readonly pending?: number | undefined;
  /** The number of this batch, when more keys were pending as it was sent. */
  readonly more?: number | undefined;
  /** Whether the delivery of this batch is to be acknowledged. */
  readonly isAwaited?: true | undefined;
  /** Prefixes that were published, at least one. */
  readonly prefixes?: readonly string[] | undefined;
  /** What publishers attached to keys and prefixes of this batch. */
  readonly metadata?: readonly EntryMetadata[] | undefined;
  /** Whether there is metadata that does not parse: the keys count all the same. */
  readonly isMetadataUnreadable?: true | undefined;
  /** Batches that the sender has handed to its subscribers: 1 to 64. */
  readonly delivered?: readonly DeliveredBatch[] | undefined;
  /** What the sender says of itself. */
  readonly node?: NodeRecord | undefined;
}

/**
 * Which record has the number of a batch. `number`: nothing else was pending as it was sent. `more`: more keys were
 * pending. `retransmit`: the batch is a retransmission.
 */
export type Numbering = "number" | "more" | "retransmit";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Result of {@linkcode readExtension} for a malformed block. */
export const MALFORMED = "malformed";

/** Result of {@linkcode readNumber} for a block that has to be read by {@linkcode readExtension}. */
export const NOT_PLAIN_NUMBER = -1;

/**
 * The number of a scanned batch whose body ends at `end`: 0 when nothing follows the body, {@linkcode NOT_PLAIN_NUMBER}
 * when something else than one number does. All batches of this version take this path, which allocates no object.
 */
export function readNumber(bytes: Uint8Array, end: number): number {
  if (bytes.length === end) return 0;
  const tag = end + EXTENSION_HEADER_LENGTH;
  const isPlain = bytes.length === end + BATCH_EXTENSION_LENGTH && isBlock(bytes, end) &&
    bytes[end + 2] === EXTENSION_VERSION && isNumberTag(bytes[tag]) &&
    readU16(bytes, tag + 1) === NUMBER_LENGTH;
  const number = isPlain ? readU48(bytes, tag + RECORD_HEADER_LENGTH) : 0;
  return number === 0 ? NOT_PLAIN_NUMBER : number;
}

/** Which record has the plain number of a batch. */
export function numberingOf(bytes: Uint8Array, end: number): Numbering {
  const tag = bytes[end + EXTENSION_HEADER_LENGTH];
  return tag === TAG_NUMBER || tag === TAG_AWAITED_NUMBER
    ? "number"
    : tag === TAG_MORE || tag === TAG_AWAITED_MORE
    ? "more"
    : "retransmit";
}

/** Whether the delivery of a batch with a plain number is to be acknowledged. */
export function isAwaited(bytes: Uint8Array, end: number): boolean {
  return isAwaitedTag(bytes[end + EXTENSION_HEADER_LENGTH]);
}

/** Turns a batch datagram with a number into a retransmission, in place. */
export function markRetransmit(datagram: Uint8Array): void {
  const tag = datagram.length - NUMBER_RECORD_LENGTH;
  datagram[tag] = isAwaitedTag(datagram[tag]) ? TAG_AWAITED_RETRANSMIT : TAG_RETRANSMIT;
}

/**
 * Reads the block that begins at `start`. `undefined` when there is none, or one of another version. Never throws; the
 * work is bounded by the bytes. Ids, tokens and lists of ids are views into the datagram.
 */
export function readExtension(bytes: Uint8Array, start: number): Extension | undefined | typeof MALFORMED {
  if (!isBlock(bytes, start)) return undefined;
  if (bytes.length < start + EXTENSION_HEADER_LENGTH) return MALFORMED;
  if (bytes[start + 2] !== EXTENSION_VERSION) return undefined;
  const found: Mutable<Extension> = {};
  let seen = 0;
  for (let offset = start + EXTENSION_HEADER_LENGTH; offset < bytes.length;) {
    if (offset + RECORD_HEADER_LENGTH > bytes.length) return MALFORMED;
    const tag = bytes[offset] as number;
    const value = offset + RECORD_HEADER_LENGTH;
    const end = value + readU16(bytes, offset + 1);
    if (end > bytes.length) return MALFORMED;
    if (tag >= TAG_NUMBER && tag <= MAX_TAG && tag !== TAG_PADDING) {
      if ((seen & (1 << tag)) !== 0 || !readRecord(tag, bytes.subarray(value, end), found)) return MALFORMED;
      seen |= 1 << tag;
    }
    offset = end;
  }
  return found;
}

/**
 * Decodes what follows a packet's body, its `rest`, for tools and tests. `undefined` when it is no extension block, or
 * one of another version.
 *
 * @throws {DecodeError} when the block is malformed
 */
export function decodeExtension(rest: Uint8Array): Extension | undefined {
  const extension = readExtension(rest, 0);
  if (extension === MALFORMED) throw new DecodeError("its extension block is malformed");
  return extension;
}

/**
 * Encodes an extension block, the counterpart of {@linkcode decodeExtension}. Records are written in the order of their
 * tags, but `pending` first: a datagram that loses its end must not lose what its position leaves out. Prefixes and
 * metadata precede the number of their batch.
 *
 * @throws {RangeError} when the block could not be decoded again: a number out of range, an id or a token of another
 * length
 */
export function encodeExtension(extension: Extension): Uint8Array {
  const { number, position, stream, nonce, token, ranges, since, base, settled, retransmit } = extension;
  const { echo, path, heard, peers, measure, report, pending, more, delivered, node } = extension;
  const { isAwaited, metadata, prefixes } = extension;
  const records: [number, Uint8Array][] = [];
  // Rounded up: a value that is too low would let the receiver take an older key for known.
  if (pending !== undefined) records.push([TAG_PENDING, withAge(new Uint8Array(0), Math.ceil(pending))]);
  if (prefixes !== undefined) records.push([TAG_PREFIXES, prefixesValue(prefixes)]);
  if (metadata !== undefined) records.push([TAG_METADATA, metadataValue(metadata)]);
  if (number !== undefined) records.push([isAwaited ? TAG_AWAITED_NUMBER : TAG_NUMBER, u48s(number)]);
  if (position !== undefined) records.push([TAG_POSITION, withAge(u48s(position.last, position.oldest), position.age)]);
  if (stream !== undefined) records.push([TAG_STREAM, stream]);
  if (nonce !== undefined) records.push([TAG_NONCE, u32(nonce)]);
  if (token !== undefined) records.push([TAG_TOKEN, token]);
  if (ranges !== undefined) records.push([TAG_RANGES, u48s(...ranges.flatMap(({ from, to }) => [from, to]))]);
  if (since !== undefined) records.push([TAG_SINCE, withAge(new Uint8Array(0), since)]);
  if (base !== undefined) records.push([TAG_BASE, withAge(u48s(base.first), base.age)]);
  if (settled !== undefined) records.push([TAG_SETTLED, u48s(settled)]);
  if (retransmit !== undefined) {
    records.push([isAwaited ? TAG_AWAITED_RETRANSMIT : TAG_RETRANSMIT, u48s(retransmit)]);
  }
  if (echo !== undefined) records.push([TAG_ECHO, u32(echo)]);
  if (path !== undefined) records.push([TAG_PATH, Uint8Array.of(path)]);
  if (heard !== undefined) records.push([TAG_HEARD, heard]);
  if (peers !== undefined) records.push([TAG_PEERS, writePeers(peers)]);
  if (measure !== undefined) records.push([TAG_MEASURE, writeMeasure(measure)]);
  if (report !== undefined) records.push([TAG_REPORT, writeReport(report)]);
  if (more !== undefined) records.push([isAwaited ? TAG_AWAITED_MORE : TAG_MORE, u48s(more)]);
  if (delivered !== undefined) records.push([TAG_DELIVERED, writeDelivered(delivered)]);
  if (node !== undefined) records.push([TAG_NODE, writeNode(node)]);
  const bytes = new Uint8Array(
    records.reduce((sum, [, value]) => sum + RECORD_HEADER_LENGTH + value.length, EXTENSION_HEADER_LENGTH),
  );
  bytes.set([...EXTENSION_MAGIC, EXTENSION_VERSION]);
  let offset = EXTENSION_HEADER_LENGTH;
  for (const [tag, value] of records) {
    if (!readRecord(tag, value, {})) throw new RangeError(`Cannot encode as record ${tag} is out of its range`);
    bytes[offset] = tag;
    writeU16(bytes, offset + 1, value.length);
    bytes.set(value, offset + RECORD_HEADER_LENGTH);
    offset += RECORD_HEADER_LENGTH + value.length;
  }
  return bytes;
}

/** A control packet, of a type from 0x10: a header and an extension block. */
export function encodeControl(type: number, nodeId: Uint8Array, extension: Extension): Uint8Array {
  const block = encodeExtension(extension);
  const bytes = new Uint8Array(HEADER_LENGTH + block.length);
  writeHeader(bytes, type, nodeId);
  bytes.set(block, HEADER_LENGTH);
  return bytes;
}

/** Writes the header of a block at `offset`, and returns where it ends. */
export function writeBlockHeader(bytes: Uint8Array, offset: number): number {
  bytes[offset] = EXTENSION_MAGIC[0];
  bytes[offset + 1] = EXTENSION_MAGIC[1];
  bytes[offset + 2] = EXTENSION_VERSION;
  return offset + EXTENSION_HEADER_LENGTH;
}

/** Writes the record of the number of a batch, which ends the block, at `offset`. Returns where it ends. */
export function writeNumber(
  bytes: Uint8Array,
  offset: number,
  number: number,
  isMore = false,
  isAwaited = false,
): number {
  bytes[offset] = isAwaited ? (isMore ? TAG_AWAITED_MORE : TAG_AWAITED_NUMBER) : isMore ? TAG_MORE : TAG_NUMBER;
  writeU16(bytes, offset + 1, NUMBER_LENGTH);
  writeU48(bytes, offset + RECORD_HEADER_LENGTH, number);
  return offset + NUMBER_RECORD_LENGTH;
}

/** Where the fingerprint of a batch ends: before its number, which ends the block. */
export function endOfContent(bytes: Uint8Array, end: number): number {
  const last = bytes.length - NUMBER_RECORD_LENGTH;
  return last > end && isNumberTag(bytes[last]) ? last : end;
}

function isNumberTag(tag: number | undefined): boolean {
  return tag === TAG_NUMBER || tag === TAG_MORE || tag === TAG_RETRANSMIT || isAwaitedTag(tag);
}

function isAwaitedTag(tag: number | undefined): boolean {
  return tag !== undefined && tag >= TAG_AWAITED_NUMBER && tag <= TAG_AWAITED_RETRANSMIT;
}

function isBlock(bytes: Uint8Array, start: number): boolean {
  return bytes[start] === EXTENSION_MAGIC[0] && bytes[start + 1] === EXTENSION_MAGIC[1];
}

/** Reads a value into `found`. False when it is malformed. */
function readRecord(tag: number, value: Uint8Array, found: Mutable<Extension>): boolean {
  if (tag === TAG_RANGES) return readRanges(value, found);
  if (tag === TAG_HEARD || tag === TAG_PEERS) return readList(tag, value, found);
  if (tag === TAG_REPORT) return isSet(found, "report", readReport(value));
  if (tag === TAG_PREFIXES) return isSet(found, "prefixes", readPrefixes(value));
  if (tag === TAG_DELIVERED) return isSet(found, "delivered", readDelivered(value));
  if (tag === TAG_NODE) return isSet(found, "node", readNode(value));
  if (tag === TAG_METADATA) {
    // A later version may attach what this one does not know. The keys count in any case.
    if (!isSet(found, "metadata", readMetadata(value))) found.isMetadataUnreadable = true;
    return true;
  }
  if (value.length !== LENGTHS[tag]) return false;
  switch (tag) {
    case TAG_AWAITED_NUMBER:
      found.isAwaited = true;
      found.number = readU48(value, 0);
      return found.number > 0;
    case TAG_NUMBER:
      found.number = readU48(value, 0);
      return found.number > 0;
    case TAG_POSITION: {
      const last = readU48(value, 0);
      const oldest = readU48(value, NUMBER_LENGTH);
      found.position = { last, oldest, age: readAge(value, 2 * NUMBER_LENGTH) };
      return oldest > 0 && oldest <= last + 1;
    }
    case TAG_STREAM:
      found.stream = value;
      return true;
    case TAG_NONCE:
      found.nonce = readU32(value, 0);
      return true;
    case TAG_TOKEN:
      found.token = value;
      return true;
    case TAG_SINCE:
      found.since = readAge(value, 0);
      return true;
    case TAG_BASE:
      found.base = { first: readU48(value, 0), age: readAge(value, NUMBER_LENGTH) };
      return found.base.first > 0;
    case TAG_SETTLED:
      found.settled = readU48(value, 0);
      return true;
    case TAG_ECHO:
      found.echo = readU32(value, 0);
      return true;
    case TAG_PATH:
      found.path = value[0] as number;
      return found.path <= PATH_GROUP;
    case TAG_MEASURE:
      return isSet(found, "measure", readMeasure(value));
    case TAG_PENDING:
      found.pending = readAge(value, 0);
      return true;
    case TAG_AWAITED_MORE:
      found.isAwaited = true;
      found.more = readU48(value, 0);
      return found.more > 0;
    case TAG_MORE:
      found.more = readU48(value, 0);
      return found.more > 0;
    default:
      if (tag === TAG_AWAITED_RETRANSMIT) found.isAwaited = true;
      found.retransmit = readU48(value, 0);
      return found.retransmit > 0;
  }
}

const LENGTHS: Readonly<Record<number, number>> = {
  [TAG_NUMBER]: NUMBER_LENGTH,
  [TAG_POSITION]: POSITION_LENGTH,
  [TAG_STREAM]: NODE_ID_LENGTH,
  [TAG_NONCE]: NONCE_LENGTH,
  [TAG_TOKEN]: TOKEN_LENGTH,
  [TAG_SINCE]: 4,
  [TAG_BASE]: BASE_LENGTH,
  [TAG_SETTLED]: NUMBER_LENGTH,
  [TAG_RETRANSMIT]: NUMBER_LENGTH,
  [TAG_ECHO]: NONCE_LENGTH,
  [TAG_PATH]: 1,
  [TAG_MEASURE]: MEASURE_LENGTH,
  [TAG_PENDING]: AGE_LENGTH,
  [TAG_MORE]: NUMBER_LENGTH,
  [TAG_AWAITED_NUMBER]: NUMBER_LENGTH,
  [TAG_AWAITED_MORE]: NUMBER_LENGTH,
  [TAG_AWAITED_RETRANSMIT]: NUMBER_LENGTH,
};

function prefixesValue(prefixes: readonly string[]): Uint8Array {
  const value = new Uint8Array(prefixes.reduce((sum, prefix) => sum + BATCH_KEY_OVERHEAD + utf8Length(prefix), 0));
  let end = 0;
  for (const prefix of prefixes) end = writePrefix(value, end, prefix);
  return value;
}

function metadataValue(metadata: readonly EntryMetadata[]): Uint8Array {
  const value = new Uint8Array(metadata.reduce((sum, entry) => sum + metadataLength(entry), 0));
  let end = 0;
  for (const entry of metadata) end = writeMetadata(value, end, entry);
  return value;
}

function readList(tag: number, value: Uint8Array, found: Mutable<Extension>): boolean {
  if (tag === TAG_HEARD) {
    found.heard = value;
    return isHeard(value);
  }
  return isSet(found, "peers", readPeers(value));
}

/** Sets the value that was read. False when it is `undefined`. */
function isSet<K extends keyof Extension>(
  found: Mutable<Extension>,
  name: K,
  value: Extension[K] | undefined,
): boolean {
  if (value !== undefined) (found as Record<K, Extension[K]>)[name] = value;
  return value !== undefined;
}

function readRanges(value: Uint8Array, found: Mutable<Extension>): boolean {
  const count = value.length / RANGE_LENGTH;
  if (!Number.isInteger(count) || count < 1 || count > MAX_RANGES) return false;
  const ranges: NumberRange[] = [];
  let before = 0;
  for (let offset = 0; offset < value.length; offset += RANGE_LENGTH) {
    const range = { from: readU48(value, offset), to: readU48(value, offset + NUMBER_LENGTH) };
    if (range.from <= before || range.to < range.from) return false;
    before = range.to;
    ranges.push(range);
  }
  found.ranges = ranges;
  return true;
}

function readAge(bytes: Uint8Array, offset: number): number {
  const age = readU32(bytes, offset);
  return age === AGE_NEVER ? Infinity : age;
}

function u48s(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(NUMBER_LENGTH * values.length);
  values.forEach((value, i) => {
    if (!Number.isInteger(value) || value < 0 || value > MAX_NUMBER) {
      throw misuse("encode", "numbers must be integers from 0 to 2^48 - 1", value, true);
    }
    writeU48(bytes, NUMBER_LENGTH * i, value);
  });
  return bytes;
}

function u32(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw misuse("encode", "a nonce must be an integer from 0 to 2^32 - 1", value, true);
  }
  const bytes = new Uint8Array(NONCE_LENGTH);
  writeU32(bytes, 0, value);
  return bytes;
}

/** Ages are rounded down, so that nothing that is younger than the age says is skipped. */
function withAge(numbers: Uint8Array, age: number): Uint8Array {
  if (!(age >= 0)) throw misuse("encode", "an age must be a number from 0 up", age, true);
  const bytes = new Uint8Array(numbers.length + 4);
  bytes.set(numbers);
  writeU32(bytes, numbers.length, Math.min(Math.floor(age), AGE_NEVER));
  return bytes;
}
