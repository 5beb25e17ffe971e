/**
 * Which keys are pending: a hash table over the bytes that they have in their batches.
 *
 * A `Set` of the strings costs 150 to 250 ns a key to add and delete, as both walk through memory that is cold by then; this
 * one costs 20 to 50, and nothing is deleted: an entry holds until its batch is taken.
 *
 * @module
 */

/** Slots of an empty table: 2.5 kB. */
const MIN_SLOTS = 256;
/** Slots for each pending key, at least, when a table is made anew. With so many times as many it is halved. */
const SPARE = 4;
const TOO_MANY = 16;
/**
 * Slots that are looked at for one key. A table is never fuller than half, so more has to be contrived: such a key is not noted, and
 * sent once more when it is published again.
 */
const MAX_PROBES = 64;

/** Batches have serials that count up, as 32-bit integers. */
export class PendingKeys {
  /** The serial of the oldest batch that is pending: what is in older ones is not. */
  first = 0;
  readonly #bytesOf: (serial: number) => Uint8Array;
  #table = new Table(MIN_SLOTS);
  #spare: Table | undefined;
  #used = 0;

  /** `bytesOf` gives the bytes of a batch that is pending. */
  constructor(bytesOf: (serial: number) => Uint8Array) {
    this.#bytesOf = bytesOf;
  }

  /** Whether a key with the bytes from `start` to before `end`, and their {@linkcode hashOf}, is pending. */
  has(hash: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { hashes, serials, offsets, mask } = this.#table;
    const { first } = this;
    for (let slot = hash & mask, left = MAX_PROBES; left > 0 && hashes[slot] !== 0; slot = (slot + 1) & mask, left--) {
      if (hashes[slot] !== hash) continue;
      const serial = serials[slot] as number;
      if (((serial - first) | 0) < 0) continue;
      if (isSame(this.#bytesOf(serial), offsets[slot] as number, bytes, start, end)) return true;
    }
    return false;
  }

  /** Notes a key that is not pending: its length is at `offset` of the batch `serial`, and its bytes follow. */
  add(hash: number, serial: number, offset: number, pending: number): void {
    if (this.#used * 2 >= this.#table.hashes.length) this.#renew(pending);
    if (this.#table.put(hash, serial, offset)) this.#used++;
  }

  /** Leaves out what is pending no more. */
  #renew(pending: number): void {
    const old = this.#table;
    const { first } = this;
    let slots = old.hashes.length;
    while (slots < pending * SPARE) slots *= 2;
    if (slots > MIN_SLOTS && slots > pending * SPARE * TOO_MANY) slots /= 2;
    const table = this.#spare?.hashes.length === slots ? this.#spare : new Table(slots);
    this.#used = 0;
    for (let slot = 0; slot < old.hashes.length; slot++) {
      const serial = old.serials[slot] as number;
      if (old.hashes[slot] === 0 || ((serial - first) | 0) < 0) continue;
      if (table.put(old.hashes[slot] as number, serial, old.offsets[slot] as number)) this.#used++;
    }
    old.hashes.fill(0);
    this.#table = table;
    this.#spare = old.hashes.length === slots ? old : undefined;
  }
}

/** Three columns: a slot is 10 bytes. */
class Table {
  readonly hashes: Int32Array<ArrayBuffer>;
  readonly serials: Int32Array<ArrayBuffer>;
  readonly offsets: Uint16Array<ArrayBuffer>;
  readonly mask: number;

  constructor(slots: number) {
    this.hashes = new Int32Array(slots);
    this.serials = new Int32Array(slots);
    this.offsets = new Uint16Array(slots);
    this.mask = slots - 1;
  }

  /** False when there was no room within reach. */
  put(hash: number, serial: number, offset: number): boolean {
    const { hashes, mask } = this;
    for (let slot = hash & mask, left = MAX_PROBES; left > 0; slot = (slot + 1) & mask, left--) {
      if (hashes[slot] !== 0) continue;
      hashes[slot] = hash;
      this.serials[slot] = serial;
      this.offsets[slot] = offset;
      return true;
    }
    return false;
  }
}

/** A hash of the bytes from `start` to before `end`, four at a time; never 0, which stands for an empty slot. */
export function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 ^ (end - start);
  let i = start;
  for (; i + 4 <= end; i += 4) {
    const word = (bytes[i] as number) | ((bytes[i + 1] as number) << 8) | ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  for (; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return hash === 0 ? 1 : hash;
}

function isSame(batch: Uint8Array, offset: number, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (((batch[offset] as number) << 8 | (batch[offset + 1] as number)) !== length) return false;
  for (let i = 0, at = offset + 2; i < length; i++) {
    if (batch[at + i] !== bytes[start + i]) return false;
  }
  return true;
}
