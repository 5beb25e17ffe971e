/**
 * Every number of the wire, once. `docs/wire.md` is the text behind them. All integers are big-endian.
 *
 * @module
 */

/** First byte of every datagram: `W`. */
export const MAGIC = 0x57;

/** One key has changed. Received only: nodes send batches. */
export const TYPE_INVALIDATE = 0x01;
/** The sender is there, and can be reached at the address that the packet carries as text. */
export const TYPE_HEARTBEAT = 0x02;
/** Some keys have changed. */
export const TYPE_BATCH = 0x03;

/** magic u8 · type u8 · node id 16 bytes */
export const TYPE_OFFSET = 1;
export const NODE_ID_OFFSET = 2;
export const NODE_ID_LENGTH = 16;
export const HEADER_LENGTH: number = NODE_ID_OFFSET + NODE_ID_LENGTH;

/** Invalidate and heartbeat: header · key hash u64 (written 0, never read) · key length u16 · key */
export const KEY_HASH_OFFSET: number = HEADER_LENGTH;
export const KEY_LENGTH_OFFSET: number = KEY_HASH_OFFSET + 8;
export const KEY_OFFSET: number = KEY_LENGTH_OFFSET + 2;

/** Batch: header · count u16 · (key length u16 · key) × count */
export const COUNT_OFFSET: number = HEADER_LENGTH;
export const BATCH_KEYS_OFFSET: number = COUNT_OFFSET + 2;
export const BATCH_KEY_OVERHEAD = 2;
export const MAX_BATCH_COUNT = 0xffff;

/**
 * Largest datagram that a node sends, in bytes. The original reads into 1,500 bytes and loses what is longer; 1,472 fit
 * an Ethernet frame; 1,400 leave room for tunnels.
 */
export const MAX_DATAGRAM = 1400;

/** Longest key that fits a datagram, in bytes of UTF-8: 1,378. */
export const MAX_KEY: number = MAX_DATAGRAM - BATCH_KEYS_OFFSET - BATCH_KEY_OVERHEAD;
