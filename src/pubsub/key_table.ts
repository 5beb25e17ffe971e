/**
 * What is kept by key, and found by the bytes of the key as they lie in a datagram.
 *
 * @module
 */

import type { KeyBytes } from "../wire/key_bytes.ts";
import { equalsUtf8, readUtf8 } from "../wire/utf8.ts";
import { hashOf } from "./key_hash.ts";

/** Slots that are looked at for a key, at most. While no more than half are taken, chance needs as many once in 10^10 keys. */
const REACH = 128;

/** Keys of one hash, 32 bits, in slots: chance never makes so many, and each costs a comparison of up to 1,366 bytes. */
const TWINS = 4;

/** Slots of the smallest table. */
const MIN_SLOT_COUNT = 8;

/** Bytes of the longest key that is kept as bytes too. A longer one is compared with its text, which lies elsewhere. */
const LONGEST = 64;

/** What stands for the length of such a key. */
const LONG = 255;

/** What a record begins with, in words: the place of its key, and its hash. Then come a byte with its length and the key. */
const HEAD = 2;

/** Values of one place, in the order in which they lie. */
const FIELDS = 3;

/** Keys that were removed, at least, before what is left is moved together. */
const MIN_FREE = 32;

/** What a {@linkcode KeyTable} holds. */
export interface Ordered {
  /** Higher than that of all values that had been added before it, or of the one whose place it took. */
  readonly serial: number;
}

/**
 * Values by key, walked in the order in which the keys were added. A look-up that finds something reads three places in
 * memory, as what costs the time are the processor's caches: a slot of the hash table, the bytes of the key beside those of keys
 * that were added with it, and what is kept with it. A `Map` of texts reads five, one after the other.
 *
 * Each value has a short cut beside it, which is what `deliver` needs of most.
 */
export class KeyTable<Value extends Ordered, Short> {
  /** Keys in it. */
  size = 0;
  readonly #seed: number;
  readonly #hashMask: number;
  /** Pairs: a hash, and where the record of the key begins, plus 1; or 0 for a slot that is free. At most half are taken. */
  #slots = new Int32Array(2 * MIN_SLOT_COUNT);
  /** Records of keys in the order of their places: see {@linkcode HEAD}. */
  #words = new Int32Array(0);
  #bytes = new Uint8Array(0);
  #used = 0;
  /** Text, value and short cut of each place; `undefined` where a key was removed. */
  #fields: (string | Value | Short | undefined)[] = [];
  /** Places of keys that found no slot within reach: more of the same hash than chance makes. A `Map` has a seed that nobody knows. */
  readonly #suppression = new Map<string, number>();
  /** How often places have changed. */
  #moves = 0;

  /** `seed` makes hashes that are others in each bus; what comes of more of one hash is bounded in any case. Tests take a `hashMask` with fewer bits. */
  constructor(seed: number, hashMask = -1) {
    this.#seed = seed;
    this.#hashMask = hashMask;
  }

  /** The place of the key that ends at `end`, or -1. It is good until something is added or removed. */
  find({ bytes, start }: KeyBytes, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const hash = this.#hash(bytes, start, end);
    let twins = TWINS;
    for (let at = (hash << 1) & mask, left = REACH; left > 0; at = (at + 2) & mask, left--) {
      const record = (slots[at + 1] as number) - 1;
      if (record < 0) break;
      if (slots[at] !== hash) continue;
      if (this.#equals(record, bytes, start, end)) return this.#words[record] as number;
      if (--twins === 0) break;
    }
    return this.#suppression.size === 0 ? -1 : this.#suppression.get(readUtf8(bytes, start, end)) ?? -1;
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

  /** Replaces what is kept at a place. */
  setAt(place: number, value: Value, short: Short | undefined): void {
    this.#fields[FIELDS * place + 1] = value;
    this.#fields[FIELDS * place + 2] = short;
  }

  /** Adds a key, which must not be there. */
  add({ bytes, start, end }: KeyBytes, text: string, value: Value, short: Short | undefined): void {
    if (4 * ++this.size > this.#slots.length) this.#grow();
    const place = this.#fields.length / FIELDS;
    this.#fields.push(text, value, short);
    const hash = this.#hash(bytes, start, end);
    const record = this.#write(place, hash, bytes, start, end);
    if (!this.#index(hash, record)) this.#suppression.set(text, place);
  }

  /** Removes the key at a place. */
  removeAt(place: number, { bytes, start, end }: KeyBytes): void {
    if (this.#suppression.size === 0 || !this.#suppression.delete(this.textAt(place))) {
      this.#free(this.#hash(bytes, start, end), place);
    }
    this.#fields.fill(undefined, FIELDS * place, FIELDS * (place + 1));
    const holes = this.#fields.length / FIELDS - --this.size;
    if (holes > MIN_FREE && holes > this.size) this.#compact();
  }

  /** Walks the values. Those that are added meanwhile are met, those that are removed are not. */
  *values(): Generator<Value, void, undefined> {
    let moves = this.#moves;
    let met = -Infinity;
    for (let place = 0;; place++) {
      if (moves !== this.#moves) {
        moves = this.#moves;
        // What was met is still in front of what was not.
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
    let at = 4 * (record + HEAD);
    const length = own[at++] as number;
    if (length === LONG) return equalsUtf8(this.textAt(this.#words[record] as number), bytes, start, end);
    if (length !== end - start) return false;
    for (let i = start; i < end; i++) if (own[at++] !== bytes[i]) return false;
    return true;
  }

  /** Writes a record and returns where it begins. */
  #write(place: number, hash: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const record = this.#used;
    const words = HEAD + 1 + (length > LONGEST ? 0 : length >> 2);
    if (record + words > this.#words.length) this.#makeRoom(words);
    this.#used += words;
    this.#words[record] = place;
    this.#words[record + 1] = hash;
    let at = 4 * (record + HEAD);
    this.#bytes[at++] = length > LONGEST ? LONG : length;
    if (length <= LONGEST) { for (let i = start; i < end; i++) this.#bytes[at++] = bytes[i] as number; }
    return record;
  }

  #makeRoom(words: number): void {
    const old = this.#words;
    this.#words = new Int32Array(this.#used + words + (this.#used >> 1));
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#words.set(old);
  }

  /** Puts a record into the first free slot from that of its hash on. False when none is within reach, or it has too many twins. */
  #index(hash: number, record: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let twins = TWINS;
    for (let at = (hash << 1) & mask, left = REACH; left > 0; at = (at + 2) & mask, left--) {
      if (slots[at + 1] !== 0) {
        if (slots[at] === hash && --twins === 0) return false;
        continue;
      }
      slots[at] = hash;
      slots[at + 1] = record + 1;
      return true;
    }
    return false;
  }

  /** Frees the slot of a place, and moves up those behind it that would not be found across a free one. */
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

  /** Leaves out what was removed. The order stays. */
  #compact(): void {
    const [fields, words, bytes, used] = [this.#fields, this.#words, this.#bytes, this.#used];
    let count = MIN_SLOT_COUNT;
    while (count < 3 * this.size) count *= 2;
    this.#slots = new Int32Array(2 * count);
    this.#fields = [];
    this.#suppression.clear();
    this.#moves++;
    let kept = 0;
    for (let from = 0, length = 0; from < used; from += length) {
      const size = bytes[4 * (from + HEAD)] as number;
      length = HEAD + 1 + (size === LONG ? 0 : size >> 2);
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
    this.#suppression.set(this.textAt(place), place);
  }
}
