/**
 * The parts of a datagram that the tests read: written from `docs/wire.md` without any code of this project's core, so
 * that a mistake there is not repeated here.
 *
 * @module
 */

/** Packet types, as in `docs/wire.md`. */
export const INVALIDATE = 0x01;
export const HEARTBEAT = 0x02;
export const BATCH = 0x03;
export const NAK = 0x10;
export const LEAVE = 0x12;
export const CATCH_UP = 0x13;
export const STATE = 0x17;

const HEADER = 18;
const decoder = new TextDecoder();
const NUMBER_TAG = 1;
const REPAIR_TAG = 10;
/** This is a number too, of a batch after which more is pending. */
const MORE_TAG = 19;
/** The same three of batches whose delivery is awaited. */
const AWAITED_NUMBER_TAG = 20;
const AWAITED_MORE_TAG = 21;
const AWAITED_REPAIR_TAG = 22;
const POSITION_TAG = 2;

/** Tells nodes apart: 48 random bits of the id in a datagram's header, which must be there. */
export function senderOf(data: Uint8Array): number {
  const high = (u8(data, 2) << 16) | (u8(data, 3) << 8) | u8(data, 4);
  const low = (u8(data, 5) << 16) | (u8(data, 6) << 8) | u8(data, 7);
  return high * 2 ** 24 + low;
}

/** The same of a node id as text. */
export function senderNumber(nodeId: string): number {
  return Number.parseInt(nodeId.replaceAll("-", "").slice(0, 12), 16);
}

/** Where the body of a datagram ends; -1 when go-warp's decoder refuses it. */
export function bodyEnd(data: Uint8Array): number {
  if (data.length < HEADER || data[0] !== 0x57) return -1;
  const type = u8(data, 1);
  if (type === INVALIDATE || type === HEARTBEAT) {
    const end = data.length < 28 ? Infinity : 28 + u16(data, 26);
    return end <= data.length ? end : -1;
  }
  if (type !== BATCH) return HEADER;
  if (data.length < 20) return -1;
  let end = 20;
  for (let left = u16(data, 18); left > 0; left--) {
    if (end + 2 > data.length) return -1;
    end += 2 + u16(data, end);
  }
  return end <= data.length ? end : -1;
}

/** A record of an extension block. */
export interface ExtensionRecord {
  readonly tag: number;
  readonly start: number;
  readonly length: number;
}

/** The records of a datagram's extension block; empty without one, `undefined` when it is truncated. */
export function recordsOf(data: Uint8Array, end: number = bodyEnd(data)): readonly ExtensionRecord[] | undefined {
  const records: ExtensionRecord[] = [];
  if (end < 0) return undefined;
  if (data[end] !== 0x57 || data[end + 1] !== 0x2b || data[end + 2] !== 1) return records;
  for (let at = end + 3; at < data.length;) {
    if (at + 3 > data.length) return undefined;
    const record = { tag: u8(data, at), start: at + 3, length: u16(data, at + 1) };
    at = record.start + record.length;
    if (at > data.length) return undefined;
    records.push(record);
  }
  return records;
}

/** The position of a sender's stream as a datagram shows it: the number of a batch, or the last of a position. */
export interface Progress {
  /** 0 when it is no numbered batch. */
  readonly number: number;
  readonly last: number;
}

/** `undefined` when it shows no position, or is truncated. */
export function progressOf(data: Uint8Array): Progress | undefined {
  let [number, last] = [0, -1];
  for (const { tag, start } of recordsOf(data) ?? []) {
    if (isNumber(tag)) number = u48(data, start);
    else if (tag === POSITION_TAG) last = u48(data, start);
  }
  return number > 0 || last >= 0 ? { number, last: Math.max(number, last) } : undefined;
}

/** The number of a batch that is sent for the first time, else 0. */
export function firstNumberOf(data: Uint8Array, records: readonly ExtensionRecord[]): number {
  const record = records.find(({ tag }) => isFirstNumber(tag));
  return record === undefined ? 0 : u48(data, record.start);
}

/** The number of a batch; 0 when it has none. */
export function numberOf(data: Uint8Array): number {
  const record = recordsOf(data)?.find(({ tag }) => isNumber(tag));
  return record === undefined ? 0 : u48(data, record.start);
}

/** A retransmission has another tag before its number. */
function isNumber(tag: number): boolean {
  return tag === REPAIR_TAG || tag === AWAITED_REPAIR_TAG || isFirstNumber(tag);
}

function isFirstNumber(tag: number): boolean {
  return tag === NUMBER_TAG || tag === MORE_TAG || tag === AWAITED_NUMBER_TAG || tag === AWAITED_MORE_TAG;
}

/** The keys of a batch. */
export function keysOf(data: Uint8Array): string[] {
  const keys: string[] = [];
  for (let at = 20, left = u16(data, 18); left > 0; left--) {
    const length = u16(data, at);
    keys.push(decoder.decode(data.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
  return keys;
}

export function u48(data: Uint8Array, at: number): number {
  return u16(data, at) * 2 ** 32 + u16(data, at + 2) * 2 ** 16 + u16(data, at + 4);
}

function u16(data: Uint8Array, at: number): number {
  return (u8(data, at) << 8) | u8(data, at + 1);
}

function u8(data: Uint8Array, at: number): number {
  return data[at] as number;
}
