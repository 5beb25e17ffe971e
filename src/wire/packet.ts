/**
 * Packets: the three packet types of go-warp, byte for byte. One structural check, {@linkcode scanPacket}, precedes
 * every reader. Readers work in place and copy nothing of the datagram.
 *
 * @module
 */

import { DecodeError, misuse } from "../errors.ts";
import { readU16, writeU16 } from "./integers.ts";
import type { KeyBytes } from "./key_bytes.ts";
import {
  BATCH_KEY_OVERHEAD,
  BATCH_KEYS_OFFSET,
  COUNT_OFFSET,
  HEADER_LENGTH,
  KEY_HASH_OFFSET,
  KEY_LENGTH_OFFSET,
  KEY_OFFSET,
  MAGIC,
  MAX_BATCH_COUNT,
  NODE_ID_LENGTH,
  NODE_ID_OFFSET,
  TYPE_BATCH,
  TYPE_HEARTBEAT,
  TYPE_INVALIDATE,
  TYPE_OFFSET,
} from "./layout.ts";
import { isAscii, isUtf8, readUtf8 } from "./utf8.ts";

/** Result of {@linkcode scanPacket} for a datagram with fewer bytes than it claims to have. */
export const TOO_SHORT = -1;
/** Result of {@linkcode scanPacket} for a datagram whose first byte is not {@linkcode MAGIC}. */
export const WRONG_MAGIC = -2;

/**
 * Checks a datagram and returns where its body ends, or {@linkcode TOO_SHORT} or {@linkcode WRONG_MAGIC}. Never throws.
 * The work is bounded by the size of the datagram. The caller decides what to do with the bytes after the body. A
 * packet of an unknown type has no body.
 */
export function scanPacket(bytes: Uint8Array): number {
  if (bytes.length < HEADER_LENGTH) return TOO_SHORT;
  if (bytes[0] !== MAGIC) return WRONG_MAGIC;
  switch (bytes[TYPE_OFFSET]) {
    case TYPE_INVALIDATE:
    case TYPE_HEARTBEAT: {
      if (bytes.length < KEY_OFFSET) return TOO_SHORT;
      const end = KEY_OFFSET + readU16(bytes, KEY_LENGTH_OFFSET);
      return end > bytes.length ? TOO_SHORT : end;
    }
    case TYPE_BATCH:
      return scanBatch(bytes);
    default:
      return HEADER_LENGTH;
  }
}

function scanBatch(bytes: Uint8Array): number {
  if (bytes.length < BATCH_KEYS_OFFSET) return TOO_SHORT;
  let end = BATCH_KEYS_OFFSET;
  for (let left = readU16(bytes, COUNT_OFFSET); left > 0; left--) {
    if (end + BATCH_KEY_OVERHEAD > bytes.length) return TOO_SHORT;
    end += BATCH_KEY_OVERHEAD + readU16(bytes, end);
  }
  return end > bytes.length ? TOO_SHORT : end;
}

/** The type byte of a scanned datagram. */
export function packetType(bytes: Uint8Array): number {
  return bytes[TYPE_OFFSET] as number;
}

/** The number of keys of a scanned batch. */
export function countOf(bytes: Uint8Array): number {
  return readU16(bytes, COUNT_OFFSET);
}

/** Whether two node ids, or two tokens, are the same. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

/** Whether a scanned datagram has the node id `id` as its sender. */
export function isFrom(bytes: Uint8Array, id: Uint8Array): boolean {
  for (let i = 0; i < NODE_ID_LENGTH; i++) {
    if (bytes[NODE_ID_OFFSET + i] !== id[i]) return false;
  }
  return true;
}

/** The node id of a scanned datagram: a view, not a copy. */
export function nodeIdOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(NODE_ID_OFFSET, HEADER_LENGTH);
}

/** The key of a scanned invalidate, or the address of a heartbeat. `undefined` when it is not UTF-8. */
export function readKey(bytes: Uint8Array): string | undefined {
  const end = KEY_OFFSET + readU16(bytes, KEY_LENGTH_OFFSET);
  return isUtf8(bytes, KEY_OFFSET, end) ? readUtf8(bytes, KEY_OFFSET, end) : undefined;
}

/**
 * Calls `visit` with each key of a scanned batch, in order. Returns how many keys were left out as they are not UTF-8.
 * `end` is the result of {@linkcode scanPacket}. `visit` gets `key` each time, moved to the next key, and its index.
 */
export function visitBatch(
  bytes: Uint8Array,
  end: number,
  key: KeyBytes,
  visit: (key: KeyBytes, index: number) => void,
): number {
  key.open(bytes, BATCH_KEYS_OFFSET, end);
  let invalid = 0;
  let start = BATCH_KEYS_OFFSET;
  for (let index = 0; start < end; index++) {
    const stop = start + BATCH_KEY_OVERHEAD + readU16(bytes, start);
    if (key.move(start + BATCH_KEY_OVERHEAD, stop)) visit(key, index);
    else invalid++;
    start = stop;
  }
  key.close();
  return invalid;
}

/** The same with the text of each key, for tools and tests: {@linkcode KeyBytes} costs 20 ns a key. */
export function readBatch(bytes: Uint8Array, end: number, visit: (key: string) => void): number {
  const text = isAscii(bytes, BATCH_KEYS_OFFSET, end) ? readUtf8(bytes, BATCH_KEYS_OFFSET, end) : undefined;
  let invalid = 0;
  let start = BATCH_KEYS_OFFSET;
  while (start < end) {
    const length = readU16(bytes, start);
    start += BATCH_KEY_OVERHEAD;
    const stop = start + length;
    if (text !== undefined) visit(text.substring(start - BATCH_KEYS_OFFSET, stop - BATCH_KEYS_OFFSET));
    else if (isUtf8(bytes, start, stop)) visit(readUtf8(bytes, start, stop));
    else invalid++;
    start = stop;
  }
  return invalid;
}

/** An invalidate or a heartbeat, as {@linkcode decodePacket} returns it. */
export interface KeyPacket {
  /** 1 for an invalidate, 2 for a heartbeat. */
  readonly type: 1 | 2;
  /** The sender, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Eight bytes that go-warp writes as 0 and never reads. */
  readonly keyHash: bigint;
  /** The changed key, or the address of the sender. It is bytes, as it may not be UTF-8. */
  readonly key: Uint8Array;
}

/** A batch, as {@linkcode decodePacket} returns it. */
export interface BatchPacket {
  /** 3. */
  readonly type: 3;
  /** The sender, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** The changed keys. They are bytes, as they may not be UTF-8. */
  readonly keys: readonly Uint8Array[];
}

/** A packet of a type that this version does not know. That is no error: the mesh ignores it. */
export interface UnknownPacket {
  /** Neither 1, 2 nor 3. */
  readonly type: number;
  /** The sender, 16 bytes. */
  readonly nodeId: Uint8Array;
}

/** Any packet. All its byte arrays are views into the datagram. */
export type Packet = (KeyPacket | BatchPacket | UnknownPacket) & {
  /** What follows the body: empty in what go-warp sends. */
  readonly rest: Uint8Array;
};

/**
 * Decodes a whole datagram, for tools and tests. The mesh itself reads datagrams in place.
 *
 * @throws {DecodeError} when go-warp would refuse it too: too short, or another first byte
 */
export function decodePacket(bytes: Uint8Array): Packet {
  const end = scanPacket(bytes);
  if (end === WRONG_MAGIC) throw new DecodeError(`its first byte must be 0x57: current value is ${bytes[0]}`);
  if (end === TOO_SHORT) throw new DecodeError(`it is shorter than it claims: current length is ${bytes.length}`);
  const type = packetType(bytes);
  const nodeId = nodeIdOf(bytes);
  const rest = bytes.subarray(end);
  if (type === TYPE_INVALIDATE || type === TYPE_HEARTBEAT) {
    const keyHash = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(KEY_HASH_OFFSET);
    return { type, nodeId, keyHash, key: bytes.subarray(KEY_OFFSET, end), rest };
  }
  if (type !== TYPE_BATCH) return { type, nodeId, rest };
  const keys: Uint8Array[] = [];
  for (let start = BATCH_KEYS_OFFSET; start < end;) {
    const stop = start + BATCH_KEY_OVERHEAD + readU16(bytes, start);
    keys.push(bytes.subarray(start + BATCH_KEY_OVERHEAD, stop));
    start = stop;
  }
  return { type, nodeId, keys, rest };
}

/**
 * Encodes an invalidate, a heartbeat or a batch as go-warp does. The counterpart of {@linkcode decodePacket}, without
 * `rest`.
 *
 * @throws {RangeError} when the node id is not 16 bytes, a key is longer than 65,535 or a batch has more keys than that
 */
export function encodePacket(packet: KeyPacket | BatchPacket): Uint8Array {
  if (packet.nodeId.length !== NODE_ID_LENGTH) {
    throw new RangeError(`Cannot encode as \`nodeId\` must have 16 bytes: current length is ${packet.nodeId.length}`);
  }
  const keys = packet.type === TYPE_BATCH ? packet.keys : [packet.key];
  const longest = keys.reduce((most, key) => Math.max(most, key.length), keys.length);
  if (longest > MAX_BATCH_COUNT) {
    throw misuse("encode", "counts and key lengths must be at most 65535", longest, true);
  }
  const prefix = packet.type === TYPE_BATCH ? BATCH_KEYS_OFFSET : KEY_LENGTH_OFFSET;
  const bytes = new Uint8Array(keys.reduce((sum, key) => sum + BATCH_KEY_OVERHEAD + key.length, prefix));
  writeHeader(bytes, packet.type, packet.nodeId);
  if (packet.type === TYPE_BATCH) writeU16(bytes, COUNT_OFFSET, keys.length);
  else new DataView(bytes.buffer).setBigUint64(KEY_HASH_OFFSET, packet.keyHash);
  let end = prefix;
  for (const key of keys) {
    writeU16(bytes, end, key.length);
    bytes.set(key, end + BATCH_KEY_OVERHEAD);
    end += BATCH_KEY_OVERHEAD + key.length;
  }
  return bytes;
}

/**
 * A fingerprint of what a scanned batch carries up to `end`: a hash of 32 bits over all its bytes. A hash of some bytes
 * only would take batches for copies that differ elsewhere. Two lanes of words: 0.4 µs for 1,400
 * bytes, a quarter of FNV-1a.
 */
export function fingerprintOf(bytes: Uint8Array, end: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, end);
  let hash = 0x811c9dc5 ^ end;
  let secondLane = 0x27d4eb2f;
  let i = COUNT_OFFSET;
  for (; i + 8 <= end; i += 8) {
    hash = Math.imul(hash ^ view.getInt32(i), 0x85ebca6b);
    secondLane = Math.imul(secondLane ^ view.getInt32(i + 4), 0xc2b2ae35);
    hash ^= hash >>> 15;
    secondLane ^= secondLane >>> 13;
  }
  for (; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  // Each step is invertible, so batches that differ in one word never have the same fingerprint.
  return hash ^ secondLane ^ (secondLane >>> 7);
}

/** Writes the header: magic, type and node id. */
export function writeHeader(bytes: Uint8Array, type: number, nodeId: Uint8Array): void {
  bytes[0] = MAGIC;
  bytes[TYPE_OFFSET] = type;
  bytes.set(nodeId, NODE_ID_OFFSET);
}
