/**
 * Key table: a hash table whose keys are looked up by their bytes, as they lie in a datagram.
 *
 * @module
 */

import type { KeyBytes } from "../wire/key_bytes.ts";
import { equalsUtf8, readUtf8 } from "../wire/utf8.ts";
import { hashOf } from "./key_hash.ts";

/**
 * Largest number of slots probed for a key. With at most half of the slots taken, random hashes need as many once in
 * 10^10 keys.
 */
const MAX_PROBES = 128;

/**
 * Largest number of keys with the same 32-bit hash in slots. Random hashes never make so many, and each costs a
 * comparison of up to 1,366 bytes.
 */
const MAX_SAME_HASH = 4;

/** Slots of the smallest table. */
const MIN_SLOT_COUNT = 8;

/**
 * Longest key in bytes whose bytes are stored too. A longer one is compared with its text, which lies elsewhere in
 * memory.
 */
const MAX_STORED_KEY = 64;

/** Stored as the length of a longer key. */
const LONG_KEY = 255;

/**
 * Words at the start of a record: the place of its key, and its hash. A byte with the key's length and the key follow.
 */
const RECORD_HEAD = 2;

/** Fields of one place, in the order in which they lie. */
const FIELDS = 3;

/** Least number of removed keys before the remaining ones are compacted. */
const MIN_FREE = 32;

/** A value that a {@linkcode KeyTable} holds. */
export interface Ordered {
  /** Higher than that of every value added before it, or equal to that of the value it replaced. */
  readonly serial: number;
}

/**
 * Values by key, iterated in the order in which the keys were added. The cost of a look-up is cache misses, so a
 * successful one reads three places in memory: a slot of the hash table, the bytes of the key beside those of keys that
 * were added with it, and the fields kept with it. A `Map` of strings reads five, one after the other.
 *
 * Each value has a short form stored beside it, the part that `deliver` needs for most keys.
 */
export class KeyTable<Value extends Ordered, Short> {
  /** Number of keys. */
  size = 0;
  readonly #seed: number;
  readonly #hashMask: number;
  /** Pairs of a hash and the record's offset plus 1; an offset of 0 marks a free slot. At most half are taken. */
  #slots = new Int32Array(2 * MIN_SLOT_COUNT);
  /** Records of the keys in the order of their places: see {@linkcode RECORD_HEAD}. */
  #words = new Int32Array(0);
  #bytes = new Uint8Array(0);
  #used = 0;
  /** Text, value and short form of each place; `undefined` where a key was removed. */
  #fields: (string | Value | Short | undefined)[] = [];
  /**
   * Places of keys that found no slot within reach: more keys of one hash than chance makes. A `Map` has a seed that
   * nobody knows.
   */
  readonly #overflow = new Map<string, number>();
  /** How often places have changed. */
  #moves = 0;

  /**
   * `seed` makes each bus hash differently; the number of keys of one hash is bounded in any case. Tests pass a
   * `hashMask` with fewer bits.
   */
  constructor(seed: number, hashMask = -1) {
    this.#seed = seed;
    this.#hashMask = hashMask;
  }

  /** The place of the key that ends at `end`, or -1. It is valid until a key is added or removed. */
  find({ bytes, start }: KeyBytes, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const hash = this.#hash(bytes, start, end);
    let sameHashLeft = MAX_SAME_HASH;
    for (let at = (hash << 1) & mask, left = MAX_PROBES; left > 0; at = (at + 2) & mask, left--) {
      const record = (slots[at + 1] as number) - 1;
      if (record < 0) break;
      if (slots[at] !== hash) continue;
      if (this.#equals(record, bytes, start, end)) return this.#words[record] as number;
      if (--sameHashLeft === 0) break;
    }
    return this.#overflow.size === 0 ? -1 : this.#overflow.get(readUtf8(bytes, start, end)) ?? -1;
  }

  /** The key at a place. */
  textAt(place: number): string {
    return this.#fields[FIELDS * place] as string;
  }

  valueAt(place: number): Value {
    return this.#fields[FIELDS * place + 1] as Value;
  }

  shortAt(place: number): Short | undefined {
    return this.#fields[FIELDS * place + 2] as Short | undefined;
  }

  /** Replaces the value at a place. */
  setAt(place: number, value: Value, short: Short | undefined): void {
    this.#fields[FIELDS * place + 1] = value;
    this.#fields[FIELDS * place + 2] = short;
  }

  /** Adds a key, which must not be in the table. */
  add({ bytes, start, end }: KeyBytes, text: string, value: Value, short: Short | undefined): void {
    if (4 * ++this.size > this.#slots.length) this.#grow();
    const place = this.#fields.length / FIELDS;
    this.#fields.push(text, value, short);
    const hash = this.#hash(bytes, start, end);
    const record = this.#write(place, hash, bytes, start, end);
    if (!this.#index(hash, record)) this.#overflow.set(text, place);
  }

  /** Removes the key at a place. */
  removeAt(place: number, { bytes, start, end }: KeyBytes): void {
    if (this.#overflow.size === 0 || !this.#overflow.delete(this.textAt(place))) {
      this.#free(this.#hash(bytes, start, end), place);
    }
    this.#fields.fill(undefined, FIELDS * place, FIELDS * (place + 1));
    const holes = this.#fields.length / FIELDS - --this.size;
    if (holes > MIN_FREE && holes > this.size) this.#compact();
  }

  /** Iterates over the values. Values added meanwhile are visited, removed ones are not. */
  *values(): Generator<Value, void, undefined> {
    let moves = this.#moves;
    let met = -Infinity;
    for (let place = 0;; place++) {
      if (moves !== this.#moves) {
        moves = this.#moves;
        // Compaction keeps the order: visited values are still in front of the others.
        place = 0;
        while (this.#isPlace(place) && !((this.#at(place)?.serial ?? met) > met)) place++;
      }
      if (!this.#isPlace(place)) return;
      const value = this.#at(place);
      if (value === undefined) continue;
      met = value.serial;
      yield value;
    }
  }

  #isPlace(place: number): boolean {
    return FIELDS * place < this.#fields.length;
  }

  #at(place: number): Value | undefined {
    return this.#fields[FIELDS * place + 1] as Value | undefined;
  }

  #hash(bytes: Uint8Array, start: number, end: number): number {
    return hashOf(bytes, start, end, this.#seed) & this.#hashMask;
  }

  #equals(record: number, bytes: Uint8Array, start: number, end: number): boolean {
    const own = this.#bytes;
    let at = 4 * (record + RECORD_HEAD);
    const length = own[at++] as number;
    if (length === LONG_KEY) return equalsUtf8(this.textAt(this.#words[record] as number), bytes, start, end);
    if (length !== end - start) return false;
    for (let i = start; i < end; i++) if (own[at++] !== bytes[i]) return false;
    return true;
  }

  /** Writes a record and returns its offset. */
  #write(place: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const record = this.#used;
    const words = RECORD_HEAD + 1 + (length > MAX_STORED_KEY ? 0 : length >> 2);
    if (record + words > this.#words.length) this.#makeRoom(words);
    this.#used += words;
    this.#words[record] = place;
    this.#words[record + 1] = hash;
    let at = 4 * (record + RECORD_HEAD);
    this.#bytes[at++] = length > MAX_STORED_KEY ? LONG_KEY : length;
    if (length <= MAX_STORED_KEY) { for (let i = start; i < end; i++) this.#bytes[at++] = bytes[i] as number; }
    return record;
  }

  #makeRoom(words: number): void {
    const old = this.#words;
    this.#words = new Int32Array(this.#used + words + (this.#used >> 1));
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#words.set(old);
  }

  /**
   * Puts a record into the first free slot from that of its hash on. False when none is within reach, or too many keys
   * have the same hash.
   */
  #index(hash: number, record: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let sameHashLeft = MAX_SAME_HASH;
    for (let at = (hash << 1) & mask, left = MAX_PROBES; left > 0; at = (at + 2) & mask, left--) {
      if (slots[at + 1] !== 0) {
        if (slots[at] === hash && --sameHashLeft === 0) return false;
        continue;
      }
      slots[at] = hash;
      slots[at + 1] = record + 1;
      return true;
    }
    return false;
  }

  /** Frees the slot of a place, and moves up later entries that would not be found across a free slot. */
  #free(hash: number, place: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = (hash << 1) & mask;
    while (this.#words[(slots[hole + 1] as number) - 1] !== place) hole = (hole + 2) & mask;
    for (let at = (hole + 2) & mask; slots[at + 1] !== 0; at = (at + 2) & mask) {
      const home = ((slots[at] as number) << 1) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at] as number;
      slots[hole + 1] = slots[at + 1] as number;
      hole = at;
    }
    slots[hole + 1] = 0;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== 0) this.#reindex(old[at] as number, (old[at + 1] as number) - 1);
    }
  }

  /** Removes the places of removed keys. The order stays. */
  #compact(): void {
    const [fields, words, bytes, used] = [this.#fields, this.#words, this.#bytes, this.#used];
    let count = MIN_SLOT_COUNT;
    while (count < 3 * this.size) count *= 2;
    this.#slots = new Int32Array(2 * count);
    this.#fields = [];
    this.#overflow.clear();
    this.#moves++;
    let kept = 0;
    for (let from = 0, length = 0; from < used; from += length) {
      const size = bytes[4 * (from + RECORD_HEAD)] as number;
      length = RECORD_HEAD + 1 + (size === LONG_KEY ? 0 : size >> 2);
      const field = FIELDS * (words[from] as number);
      if (fields[field] === undefined) continue;
      const place = this.#fields.length / FIELDS;
      this.#fields.push(fields[field], fields[field + 1], fields[field + 2]);
      words.copyWithin(kept, from, from + length);
      words[kept] = place;
      this.#reindex(words[kept + 1] as number, kept);
      kept += length;
    }
    this.#used = kept;
    this.#words = words.slice(0, kept);
    this.#bytes = new Uint8Array(this.#words.buffer);
  }

  #reindex(hash: number, record: number): void {
    if (this.#index(hash, record)) return;
    const place = this.#words[record] as number;
    this.#overflow.set(this.textAt(place), place);
  }
}
