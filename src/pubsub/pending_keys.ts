/**
 * Pending keys: a hash table over the bytes that the pending keys have in their batches.
 *
 * A `Set` of the strings costs 150 to 250 ns a key to add and delete, as both read memory that has left the processor's
 * caches by then. This table costs 20 to 50 ns, and nothing is deleted: an entry is valid until its batch is taken.
 *
 * @module
 */

/** Slots of an empty table: 2.3 kB. */
const MIN_SLOTS = 256;
/** Least number of slots for each pending key when a table is rebuilt. A table with this many times more is halved. */
const SPARE = 4;
const TOO_MANY = 16;
/**
 * Largest number of slots probed for one key. When none of them is free and most entries are of taken batches, the
 * table is rebuilt without those. Otherwise the collisions are deliberate: the key is not entered, and is sent once
 * more when it is published again.
 */
const MAX_PROBES = 64;
/**
 * Largest number of keys of the same hash that a key is compared with; random hashes never make so many. Beyond it the
 * key counts as not pending and is sent once more.
 */
const MAX_SAME_HASH = 4;
/** Bits of a position that hold the offset in a batch. */
const OFFSET_BITS = 11;
const OFFSET_MASK = (1 << OFFSET_BITS) - 1;
/** Number of batches after which entries of taken batches are removed, before positions of 32 bits wrap around. */
const MAX_AGE = 1 << 19;

/**
 * Keys that were published again while they were pending are remembered by their text, so that the next time is cheap:
 * they are likely to be published once more. Remembering every key would cost 80 ns each.
 */
const RECENT = 64;

/** Finds whether a key is pending. Batches have serials that count up from 0 and never wrap. */
export class PendingKeys {
  /** The serial of the oldest pending batch: keys of older ones are no longer pending. */
  first = 0;
  /** A remembered key for each slot, and the serial of its batch. */
  readonly #recent: string[] = new Array(RECENT).fill("");
  readonly #recentSerials: number[] = new Array(RECENT).fill(-1);
  /** The newest of these serials. */
  #newestRecent = -1;
  readonly #bytesOf: (serial: number) => Uint8Array;
  #slots = newSlots(MIN_SLOTS);
  #spare: Slots | undefined;
  #used = 0;
  #renewedAt = 0;
  /**
   * Where the key that was last looked up without success can be entered: a free slot, its old slot of a taken batch,
   * or -1.
   */
  #place = -1;

  /** `bytesOf` returns the bytes of a pending batch. */
  constructor(bytesOf: (serial: number) => Uint8Array) {
    this.#bytesOf = bytesOf;
  }

  /**
   * The serial of the batch that holds a key, or -1 when the key is not pending. The key has the bytes from `start` to
   * before `end`, and the {@linkcode hashOf} `hash`.
   */
  find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const { tags, pairs } = this.#slots;
    const mask = tags.length - 1;
    const tag = tagOf(hash);
    const first = this.first << OFFSET_BITS;
    let sameHashLeft = MAX_SAME_HASH;
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
        // Reusing the slot keeps a key that is published for ever from taking a new slot each time.
        if (this.#place < 0) this.#place = at;
        continue;
      }
      const serial = this.first + (past >>> OFFSET_BITS);
      if (isSame(this.#bytesOf(serial), past & OFFSET_MASK, bytes, start, end)) return serial;
      if (--sameHashLeft === 0) return -1;
    }
    return -1;
  }

  /**
   * Whether a key is known to be pending by its text alone. That takes a third of the time of encoding it and looking
   * up its bytes.
   */
  hasText(key: string): boolean {
    if (this.#newestRecent < this.first) return false;
    const slot = slotOf(key);
    return (this.#recentSerials[slot] as number) >= this.first && this.#recent[slot] === key;
  }

  /** Remembers the text of a key in the batch `serial`. */
  addText(key: string, serial: number): void {
    const slot = slotOf(key);
    this.#recent[slot] = key;
    this.#recentSerials[slot] = serial;
    if (serial > this.#newestRecent) this.#newestRecent = serial;
  }

  /**
   * Enters a key that {@linkcode PendingKeys.find} has just not found: its length is at `offset` of the batch `serial`,
   * and its bytes follow.
   */
  add(hash: number, serial: number, offset: number, pending: number): void {
    const { tags, pairs } = this.#slots;
    const place = this.#place;
    const position = (serial << OFFSET_BITS) | offset;
    this.#place = -1;
    // At most half of the slots are used. When no slot was found, most entries are of taken batches.
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

  /** The oldest batch was taken; `pending` keys are still pending. */
  take(pending: number): void {
    this.first++;
    if (this.first - this.#renewedAt > MAX_AGE) this.#renew(pending);
  }

  /** Rebuilds the table without entries of taken batches. */
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
 * The slots of the table. Each has a tag, which is 0 when it is free, and a pair: the hash of a key, and its position
 * (the serial of its batch and its offset there). A look-up of a key that is not pending reads only tags, which are few
 * enough for a processor cache. With 10,000 pending keys the pairs take half a megabyte, and reading one of them took a
 * quarter of the time of a publisher.
 */
interface Slots {
  readonly tags: Uint8Array<ArrayBuffer>;
  readonly pairs: Int32Array<ArrayBuffer>;
}

function newSlots(count: number): Slots {
  return { tags: new Uint8Array(count), pairs: new Int32Array(2 * count) };
}

/** Made of hash bits that do not select the slot. */
function tagOf(hash: number): number {
  return (hash >>> 25) + 1;
}

/** Enters a key. False when no slot was free within reach. */
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

/** Similar keys often differ at the end. */
function slotOf(key: string): number {
  const { length } = key;
  return (key.charCodeAt(length - 1) * 5 + key.charCodeAt(length >> 1) + length) & (RECENT - 1);
}
