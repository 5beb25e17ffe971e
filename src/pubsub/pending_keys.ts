/**
 * Which keys are pending: a hash table over the bytes that they have in their batches.
 *
 * A `Set` of the strings costs 150 to 250 ns a key to add and delete, as both walk through memory that is cold by then; this
 * one costs 20 to 50, and nothing is deleted: an entry holds until its batch is taken.
 *
 * @module
 */

/** Slots of an empty table: 2.3 kB. */
const MIN_SLOTS = 256;
/** Slots for each pending key, at least, when a table is made anew. With so many times as many it is halved. */
const SPARE = 4;
const TOO_MANY = 16;
/**
 * Slots that are looked at for one key. When none of them is free, and more of the table is of what was taken than is pending, that is
 * left out; else so many of them are contrived: such a key is not noted, and sent once more when it is published again.
 */
const MAX_PROBES = 64;
/** Keys of the same hash that it is compared with: chance never makes so many. It counts as not pending then, and is sent once more. */
const TWINS = 4;
/** An offset in a batch takes so many bits of a position. */
const OFFSET_BITS = 11;
const OFFSET_MASK = (1 << OFFSET_BITS) - 1;
/** Batches after which what was taken is left out, before positions of 32 bits come round again. */
const MAX_AGE = 1 << 19;

/**
 * Keys that were published while they were pending, of which it is known by their text that they are: they are likely to be again. To
 * note it of every key would cost 80 ns each.
 */
const RECENT = 64;

/** Batches have serials that count up from 0 and never come round again. */
export class PendingKeys {
  /** The serial of the oldest batch that is pending: what is in older ones is not. */
  first = 0;
  /** One for each slot, and the serial of its batch. */
  readonly #recent: string[] = new Array(RECENT).fill("");
  readonly #recentSerials: number[] = new Array(RECENT).fill(-1);
  /** The newest of these. */
  #newestRecent = -1;
  readonly #bytesOf: (serial: number) => Uint8Array;
  #slots = newSlots(MIN_SLOTS);
  #spare: Slots | undefined;
  #used = 0;
  #renewedAt = 0;
  /** Where the key can be noted that was last looked for and not found: a free slot, or its own of a batch that was taken; or -1. */
  #place = -1;

  /** `bytesOf` gives the bytes of a batch that is pending. */
  constructor(bytesOf: (serial: number) => Uint8Array) {
    this.#bytesOf = bytesOf;
  }

  /**
   * The serial of the batch that holds a key with the bytes from `start` to before `end`, and their {@linkcode hashOf}; -1 when it is
   * not pending.
   */
  find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const { tags, pairs } = this.#slots;
    const mask = tags.length - 1;
    const tag = tagOf(hash);
    const first = this.first << OFFSET_BITS;
    let twins = TWINS;
    this.#place = -1;
    for (let at = hash & mask, left = MAX_PROBES; left > 0; at = (at + 1) & mask, left--) {
      const found = tags[at];
      if (found === 0) {
        if (this.#place < 0) this.#place = at;
        return -1;
      }
      if (found !== tag || pairs[2 * at] !== hash) continue;
      const past = ((pairs[2 * at + 1] as number) - first) | 0;
      if (past < 0) {
        // Else a key that is published for ever would have a slot for each time.
        if (this.#place < 0) this.#place = at;
        continue;
      }
      const serial = this.first + (past >>> OFFSET_BITS);
      if (isSame(this.#bytesOf(serial), past & OFFSET_MASK, bytes, start, end)) return serial;
      if (--twins === 0) return -1;
    }
    return -1;
  }

  /** Whether it is known by its text that a key is pending: a third of what it takes to encode it and to look up the bytes. */
  hasText(key: string): boolean {
    if (this.#newestRecent < this.first) return false;
    const slot = slotOf(key);
    return (this.#recentSerials[slot] as number) >= this.first && this.#recent[slot] === key;
  }

  /** Notes the text of a key in the batch `serial`. */
  addText(key: string, serial: number): void {
    const slot = slotOf(key);
    this.#recent[slot] = key;
    this.#recentSerials[slot] = serial;
    if (serial > this.#newestRecent) this.#newestRecent = serial;
  }

  /**
   * Notes a key that {@linkcode PendingKeys.find} was just asked for and has not found: its length is at `offset` of the batch `serial`,
   * and its bytes follow.
   */
  add(hash: number, serial: number, offset: number, pending: number): void {
    const { tags, pairs } = this.#slots;
    const place = this.#place;
    const position = (serial << OFFSET_BITS) | offset;
    this.#place = -1;
    // Half of the slots are used. Without a place there is too much here of what was taken.
    if (this.#used * 2 >= tags.length || place < 0 && this.#used > 2 * pending) {
      this.#renew(pending);
      if (put(this.#slots, hash, position)) this.#used++;
    } else if (place >= 0) {
      if (tags[place] === 0) this.#used++;
      tags[place] = tagOf(hash);
      pairs[2 * place] = hash;
      pairs[2 * place + 1] = position;
    }
  }

  /** The oldest batch was taken, and so many keys are still pending. */
  take(pending: number): void {
    this.first++;
    if (this.first - this.#renewedAt > MAX_AGE) this.#renew(pending);
  }

  /** Leaves out what is pending no more. */
  #renew(pending: number): void {
    const old = this.#slots;
    const { tags, pairs } = old;
    const first = this.first << OFFSET_BITS;
    let count = tags.length;
    while (count < pending * SPARE) count *= 2;
    if (count > MIN_SLOTS && count > pending * SPARE * TOO_MANY) count /= 2;
    const slots = this.#spare?.tags.length === count ? this.#spare : newSlots(count);
    this.#used = 0;
    for (let at = 0; at < tags.length; at++) {
      if (tags[at] === 0) continue;
      const position = pairs[2 * at + 1] as number;
      if (((position - first) | 0) >= 0 && put(slots, pairs[2 * at] as number, position)) this.#used++;
    }
    tags.fill(0);
    this.#slots = slots;
    this.#spare = tags.length === count ? old : undefined;
    this.#renewedAt = this.first;
  }
}

/**
 * What a slot has: a tag, 0 when it is free, and a pair of a hash and where the key is, the serial of its batch and its offset there.
 * A look-up of a key that is not pending reads tags only, as they are few enough for a cache of the processor: with 10,000 pending
 * keys the pairs are half a megabyte, and to read one of them took a quarter of the time of a publisher.
 */
interface Slots {
  readonly tags: Uint8Array<ArrayBuffer>;
  readonly pairs: Int32Array<ArrayBuffer>;
}

function newSlots(count: number): Slots {
  return { tags: new Uint8Array(count), pairs: new Int32Array(2 * count) };
}

/** Of bits that do not say which slot it is. */
function tagOf(hash: number): number {
  return (hash >>> 25) + 1;
}

/** False when there was no room within reach. */
function put({ tags, pairs }: Slots, hash: number, position: number): boolean {
  const mask = tags.length - 1;
  for (let at = hash & mask, left = MAX_PROBES; left > 0; at = (at + 1) & mask, left--) {
    if (tags[at] !== 0) continue;
    tags[at] = tagOf(hash);
    pairs[2 * at] = hash;
    pairs[2 * at + 1] = position;
    return true;
  }
  return false;
}

function isSame(batch: Uint8Array, offset: number, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (((batch[offset] as number) << 8 | (batch[offset + 1] as number)) !== length) return false;
  for (let i = 0, at = offset + 2; i < length; i++) {
    if (batch[at + i] !== bytes[start + i]) return false;
  }
  return true;
}

/** Keys that are alike often differ at the end. */
function slotOf(key: string): number {
  const { length } = key;
  return (key.charCodeAt(length - 1) * 5 + key.charCodeAt(length >> 1) + length) & (RECENT - 1);
}
