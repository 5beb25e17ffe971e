/**
 * Wire layout: every number of the wire format, once. `docs/wire.md` explains them. All integers are big-endian.
 *
 * @module
 */

/** First byte of every datagram: `W`. */
export const MAGIC = 0x57;

/** Invalidate: one key has changed. Received only, as nodes send batches. */
export const TYPE_INVALIDATE = 0x01;
/** Heartbeat: the sender is alive, and advertises the address that the packet carries as text. */
export const TYPE_HEARTBEAT = 0x02;
/** Batch: some keys have changed. */
export const TYPE_BATCH = 0x03;

/**
 * Negative acknowledgement (NAK): batches that the sender has not received. Types from 0x10 have no body: an extension
 * block follows the header.
 */
export const TYPE_NAK = 0x10;
/** Acknowledgement: the sender has all of a stream. */
export const TYPE_ACK = 0x11;
/** Leave: the sender closes. */
export const TYPE_LEAVE = 0x12;
/** Catch-up request: what has the receiver published since a given age? */
export const TYPE_CATCH_UP = 0x13;
/** Probe: is the receiver there, and which paths are open? The receiver keeps no state for it. */
export const TYPE_PROBE = 0x14;
/** Probe ack: the answer to a probe. */
export const TYPE_PROBE_ACK = 0x15;
/** Delivery acknowledgement: batches whose keys the sender has handed to its subscribers. */
export const TYPE_DELIVERED = 0x16;
/** State: the position of the sender's stream, after a burst and in answer to requests. */
export const TYPE_STATE = 0x17;

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
 * Largest datagram that a node sends, in bytes. go-warp reads into 1,500 bytes and loses what is longer; 1,472 fit an
 * Ethernet frame; 1,400 leave room for tunnels.
 */
export const MAX_DATAGRAM = 1400;

/** Longest key that fits a datagram without an extension, in bytes of UTF-8: 1,378. */
export const MAX_PLAIN_KEY: number = MAX_DATAGRAM - BATCH_KEYS_OFFSET - BATCH_KEY_OVERHEAD;

/** Extension block: "W+" · version u8 · (tag u8 · length u16 · value) until the datagram ends */
export const EXTENSION_MAGIC: readonly [number, number] = [0x57, 0x2b];
export const EXTENSION_VERSION = 1;
export const EXTENSION_HEADER_LENGTH = 3;
export const RECORD_HEADER_LENGTH = 3;

/** The number of this batch: u48 */
export const TAG_NUMBER = 1;
/** Position of the sender's stream: last u48 · oldest u48 · age u32 */
export const TAG_POSITION = 2;
/** The node whose stream the packet is about: 16 bytes */
export const TAG_STREAM = 3;
/** Nonce of a request: u32 */
export const TAG_NONCE = 4;
/** Address-validation token: 8 bytes */
export const TAG_TOKEN = 5;
/** Missing numbers: (from u48 · to u48) × 1 to 64 */
export const TAG_RANGES = 6;
/** Age from which on a requester wants to know all: u32, milliseconds */
export const TAG_SINCE = 7;
/** Where a stream begins for a joining node: first u48 · age u32 */
export const TAG_BASE = 8;
/** Number up to which the sender has the stream: u48 */
export const TAG_SETTLED = 9;
/** In place of the number in a retransmission: u48 */
export const TAG_RETRANSMIT = 10;
/** The nonce of the path challenge that the heartbeat responds to: u32 */
export const TAG_ECHO = 11;
/** The path of a heartbeat: u8, one of the three values below */
export const TAG_PATH = 12;
/** Nodes whose multicast the sender hears: the first 4 bytes of the id of each */
export const TAG_HEARD = 13;
/** Peer exchange: family u8, 4 or 6 · (id 16 bytes · address 4 or 16 bytes · port u16) × n */
export const TAG_PEERS = 14;
/** How a probe is acknowledged: size u16, in bytes, 0 for the shortest · path u8, 0 to the requester, 1 to the group */
export const TAG_MEASURE = 15;
/** What a probe ack reports: port u16 · heartbeat u32, ms · requester u8, 0 to 3 · flags u8 · group, 4 or 16 bytes */
export const TAG_REPORT = 16;
/** Any bytes, ignored by the receiver: they bring a datagram to a size that is to be tried. */
export const TAG_PADDING = 17;
/** Time since the oldest key was accepted that the sender has not sent yet: u32, milliseconds */
export const TAG_PENDING = 18;
/** In place of the number when more keys were pending as the batch was sent: u48 */
export const TAG_MORE = 19;
/** The same three records in a batch whose delivery is to be acknowledged: u48 */
export const TAG_AWAITED_NUMBER = 20;
export const TAG_AWAITED_MORE = 21;
export const TAG_AWAITED_RETRANSMIT = 22;
/** Prefixes that were published: (length u16 · prefix) × 1 or more */
export const TAG_PREFIXES = 23;
/**
 * What publishers attached to entries of a batch, which are its keys and then its prefixes: (index u16 · flags u8 ·
 * region: length u8 · text · vector clock: count u8 · (length u8 · writer · count u64) × count) × 1 or more. The flags
 * say which of the two are there.
 */
export const TAG_METADATA = 24;
/** Batches that were delivered: (number u48 · outcome u8 · outcomes, see below) × 1 to 64 */
export const TAG_DELIVERED = 25;
/** What a heartbeat says of its sender: flags u8 · zone, 0 to 64 bytes */
export const TAG_NODE = 26;

/** The highest tag that this version knows. */
export const MAX_TAG: number = TAG_NODE;

/** Path of a heartbeat to one node, whose multicast the sender does not hear. */
export const PATH_DEAF = 0;
/** Path of a heartbeat to one node, whose multicast the sender hears. */
export const PATH_HEARD = 1;
/** Path of a heartbeat to the group. */
export const PATH_GROUP = 2;

/** In a report: the requester is not known. */
export const REQUESTER_UNKNOWN = 0;
/** In a report: the requester is heard, and has not responded to any path challenge. */
export const REQUESTER_HEARD = 1;
/** In a report: a path to the requester is validated, but not at the address that it advertises. */
export const REQUESTER_VALIDATED = 2;
/** In a report: the requester's advertised address is validated. */
export const REQUESTER_AT_ADDRESS = 3;

/** In a report: the node sends and hears multicast. */
export const FLAG_MULTICAST = 1;

/** In the flags of metadata: a region follows; a vector clock follows; the scope, which is local or global. */
export const NOTE_REGION = 1;
export const NOTE_CLOCK = 2;
export const NOTE_LOCAL = 4;
export const NOTE_GLOBAL = 8;
/** In the flags of metadata: the key stands for a prefix, which Go nodes cannot read. Others ignore the key. */
export const NOTE_FOR_GO = 16;

/** Outcome of an entry: the node has no subscriber for it; all have it; a callback failed. */
export const OUTCOME_NONE = 0;
export const OUTCOME_DELIVERED = 1;
export const OUTCOME_FAILED = 2;
/**
 * In place of the outcome of all entries: count u16 · 2 bits for each entry, the first the lowest of a byte; there 3
 * says that a callback has not settled yet.
 */
export const OUTCOME_MIXED = 3;

/** In the flags of a node: it acknowledges deliveries. */
export const NODE_ACKNOWLEDGES = 1;

/** Longest zone and region, in bytes of UTF-8: names of regions and zones of clouds have up to 32. */
export const MAX_ZONE = 64;
export const MAX_REGION = 64;
/** Longest name of a writer in a vector clock, in bytes of UTF-8: a UUID has 36. Most writers in a clock. */
export const MAX_WRITER = 64;
export const MAX_WRITERS = 64;
/** Most batches in one delivery acknowledgement. */
export const MAX_ACKNOWLEDGED = 64;

/** Length of the value of each record, in bytes; of one range for `TAG_RANGES`; without the group for `TAG_REPORT`. */
export const NUMBER_LENGTH = 6;
export const AGE_LENGTH = 4;
export const POSITION_LENGTH: number = 2 * NUMBER_LENGTH + AGE_LENGTH;
export const NONCE_LENGTH = 4;
export const TOKEN_LENGTH = 8;
export const RANGE_LENGTH: number = 2 * NUMBER_LENGTH;
export const BASE_LENGTH: number = NUMBER_LENGTH + AGE_LENGTH;

export const MEASURE_LENGTH = 3;
export const REPORT_LENGTH = 8;

/** Length of an id in a list of nodes heard by multicast, in bytes. */
export const SHORT_ID_LENGTH = 4;
/** Most such ids in one heartbeat: 1 kB. */
export const MAX_HEARD = 256;
/** Most nodes in the peer exchange of one heartbeat: 1,088 bytes with IPv6 addresses. */
export const MAX_EXCHANGED = 32;

/** Most ranges of numbers in one packet. */
export const MAX_RANGES = 64;

/** Highest number of a batch. At a million batches a second it would be reached after nine years. */
export const MAX_NUMBER: number = 2 ** 48 - 1;

/** The age that stands for never, or for longer than 49 days. */
export const AGE_NEVER = 0xffffffff;

/** Length of the extension block of a batch, the header and one number: 12 bytes. */
export const BATCH_EXTENSION_LENGTH: number = EXTENSION_HEADER_LENGTH + RECORD_HEADER_LENGTH + NUMBER_LENGTH;

/** Length of the record of a number, which ends the block of a batch: 9 bytes. */
export const NUMBER_RECORD_LENGTH: number = RECORD_HEADER_LENGTH + NUMBER_LENGTH;

/** Longest key that fits a datagram with its number, in bytes of UTF-8: 1,366. */
export const MAX_KEY: number = MAX_PLAIN_KEY - BATCH_EXTENSION_LENGTH;
