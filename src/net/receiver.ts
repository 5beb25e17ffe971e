/**
 * Receiver: checks each datagram that arrives, and hands what it contains to the parts that need it. No datagram can
 * make it throw.
 *
 * @module
 */

import { MAX_RECEIVE } from "../platform/datagram_socket.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import {
  endOfContent,
  type Extension,
  isAwaited,
  MALFORMED,
  NOT_PLAIN_NUMBER,
  type Numbering,
  numberingOf,
  readExtension,
  readNumber,
} from "../wire/extension.ts";
import { KeyBytes } from "../wire/key_bytes.ts";
import {
  KEY_OFFSET,
  NODE_ID_LENGTH,
  TYPE_ACK,
  TYPE_BATCH,
  TYPE_CATCH_UP,
  TYPE_DELIVERED,
  TYPE_HEARTBEAT,
  TYPE_INVALIDATE,
  TYPE_LEAVE,
  TYPE_NAK,
  TYPE_PROBE,
  TYPE_PROBE_ACK,
  TYPE_STATE,
} from "../wire/layout.ts";
import type { EntryMetadata } from "../wire/metadata.ts";
import {
  countOf,
  equalBytes,
  fingerprintOf,
  isFrom,
  nodeIdOf,
  packetType,
  readKey,
  scanPacket,
  TOO_SHORT,
  visitBatch,
} from "../wire/packet.ts";

/** A control packet, of a type from 0x10, and its sender. */
export interface ControlPacket {
  readonly type: number;
  /** The sender's node id: a view. */
  readonly nodeId: Uint8Array;
  readonly extension: Extension;
  readonly source: Endpoint;
  /** Length of the datagram, in bytes. */
  readonly length: number;
}

/** A batch with more than its keys. */
export interface NotedBatch {
  /** How many keys and prefixes it has, those that cannot be read included. */
  readonly count: number;
  readonly metadata: readonly EntryMetadata[] | undefined;
  /** Whether its delivery is to be acknowledged. */
  readonly isAwaited: boolean;
}

/** Takes the keys of datagrams. None of it may throw. */
export interface KeySink {
  /** Whether so many keys wait for slow callbacks that a batch is better dropped and requested again later. */
  readonly isFull: boolean;
  /** Called with a function that reads the keys of a batch, which it MUST call at once. */
  within(read: () => void): void;
  /** Called before the first key of a datagram, with what its batch has besides the keys. */
  begin(noted?: NotedBatch): void;
  /**
   * Called with each key that another node says has changed, and its index. The object is the same for all keys.
   */
  take(key: KeyBytes, index: number): void;
  /** Called with each prefix of which another node says that its keys have changed. Keys come first. */
  takePrefix(prefix: string, index: number): void;
  /** Called after each {@linkcode STRIDE} keys. */
  look(): void;
  /** Called after the last key of a datagram. */
  end(): void;
}

/** Takes the numbers of batches. */
export interface NumberSink {
  /**
   * Called before the keys of each batch that has a number, with that number and a fingerprint of what it carries.
   * Returns false when it is not to be delivered, as when it had arrived before.
   */
  accept(
    nodeId: Uint8Array,
    number: number,
    numbering: Numbering,
    host: string,
    port: number,
    fingerprint: number,
    isAwaited: boolean,
  ): boolean;
}

/** Takes every packet that is no batch. None of it may throw. */
export interface ControlSink {
  /** Called with each heartbeat of another node: its id, the address that it advertises, and the source. */
  onHeartbeat(nodeId: Uint8Array, advertised: string, source: Endpoint, extension: Extension | undefined): void;
  /** Called with each control packet that is for this node and has all the records that its type needs. */
  onControl(control: ControlPacket): void;
  /** Called with each heartbeat that has the id of this node: it is its own, or another node has the same id. */
  onOwnHeartbeat(extension: Extension, source: Endpoint): void;
  /** Called with the nonce of each probe of the node itself: its multicast has come back. */
  onOwnProbe(nonce: number): void;
}

/** What a {@linkcode Receiver} is made of. */
export interface ReceiverConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Whether extension blocks are read. */
  readonly extended: boolean;
  readonly keys: KeySink;
  /** Absent when numbers are not heeded. */
  readonly streams: NumberSink | undefined;
  readonly control: ControlSink;
}

/**
 * A batch of at most this many keys is never dropped for lack of room: a lone key of one node must not suffer for the
 * flood of another.
 */
const FEW_KEYS = 8;

const NO_SENDER = new Uint8Array(NODE_ID_LENGTH);

/** Keys between two readings of the clock while callbacks are quick: a reading takes 30 to 85 ns, a key from 100 ns. */
const STRIDE = 32;

/** The records that each type of control packet must have. */
const REQUIRED_RECORDS: ReadonlyMap<number, readonly (keyof Extension)[]> = new Map([
  [TYPE_NAK, ["stream", "nonce", "ranges"]],
  [TYPE_ACK, ["stream", "settled"]],
  [TYPE_LEAVE, ["position"]],
  [TYPE_CATCH_UP, ["stream", "nonce", "since"]],
  [TYPE_PROBE, ["nonce", "measure"]],
  [TYPE_PROBE_ACK, ["stream", "nonce", "report"]],
  [TYPE_STATE, ["position"]],
  [TYPE_DELIVERED, ["stream", "delivered"]],
]);

/** Reads datagrams, ignores the node's own, and counts. */
export class Receiver {
  /** Datagrams of other nodes, of every type. */
  delivered = 0;
  /** Keys in those datagrams. */
  keys = 0;
  /** Keys left out as they were not UTF-8. */
  invalidKeys = 0;
  /** Datagrams that could not be decoded, or were longer than any node sends. */
  decodeErrors = 0;
  /** Datagrams dropped as their extension block was malformed or lacked a record. */
  malformedExtensions = 0;
  /** Batches with metadata that could not be read. Their keys were delivered without it. */
  invalidMetadata = 0;
  /** Batches dropped, to be requested again, as too many keys waited for slow callbacks. */
  deferred = 0;
  /** Datagrams of unknown types. */
  unknownTypes = 0;
  /** Whether nothing is received any more. */
  isDeaf = false;
  readonly #config: ReceiverConfig;
  readonly #keys: KeySink;
  /** The sender of the last batch. */
  #sender = NO_SENDER;
  /**
   * The cursor over the keys of a datagram. Absent while it is in use: a custom socket may hand over another datagram
   * within a callback.
   */
  #cursor: KeyBytes | undefined = new KeyBytes();

  constructor(config: ReceiverConfig) {
    this.#config = config;
    this.#keys = config.keys;
  }

  /** Reads a datagram that came from `host`:`port`. Keeps nothing of `data`. */
  receive(data: Uint8Array, host: string, port: number): void {
    if (this.isDeaf) return;
    // go-warp reads 1,500 bytes, and an adapter may truncate what is longer than MAX_RECEIVE: longer datagrams are
    // refused everywhere alike. Port 0 is refused as nothing can be sent there.
    const end = data.length > MAX_RECEIVE || port === 0 ? TOO_SHORT : scanPacket(data);
    if (end < 0) {
      this.decodeErrors++;
      return;
    }
    const type = packetType(data);
    if (isFrom(data, this.#config.nodeId)) {
      if (type === TYPE_PROBE || type === TYPE_HEARTBEAT) this.#ownPacket(type, data, end, host, port);
      return;
    }
    this.delivered++;
    const number = type === TYPE_BATCH && this.#config.extended ? readNumber(data, end) : NOT_PLAIN_NUMBER;
    const extension = number === NOT_PLAIN_NUMBER && this.#config.extended ? readExtension(data, end) : undefined;
    if (extension === MALFORMED) {
      this.malformedExtensions++;
      return;
    }
    switch (type) {
      case TYPE_BATCH:
        this.#batch(data, end, number, extension, host, port);
        break;
      case TYPE_HEARTBEAT:
        // An address that is not UTF-8 counts as none: the source replaces it.
        this.#config.control.onHeartbeat(nodeIdOf(data), readKey(data) ?? "", { host, port }, extension);
        break;
      case TYPE_INVALIDATE: {
        const key = this.#borrow();
        this.#keys.begin();
        key.open(data, KEY_OFFSET, end);
        if (key.move(KEY_OFFSET, end)) this.#onKey(key, 0);
        else this.invalidKeys++;
        key.close();
        this.#cursor = key;
        this.#keys.end();
        break;
      }
      default:
        this.#control(type, data, extension, { host, port });
    }
  }

  #batch(
    data: Uint8Array,
    end: number,
    plainNumber: number,
    extension: Extension | undefined,
    host: string,
    port: number,
  ): void {
    const number = extension?.number ?? extension?.retransmit ?? extension?.more ?? plainNumber;
    const numbering = extension === undefined ? numberingOf(data, end) : numberingIn(extension);
    const isToAcknowledge = number > 0 &&
      (extension === undefined ? isAwaited(data, end) : extension.isAwaited === true);
    if (number > 0) {
      // The effect is that of a full receive buffer: the sender gets a NAK, and slows down.
      if (this.#keys.isFull && countOf(data) > FEW_KEYS) {
        this.deferred++;
        return;
      }
      const fingerprint = fingerprintOf(data, extension === undefined ? end : endOfContent(data, end));
      // Most batches in a row come from the same node, and a view for each costs more than the comparison.
      if (!isFrom(data, this.#sender)) this.#sender = nodeIdOf(data).slice();
      const { streams } = this.#config;
      if (streams?.accept(this.#sender, number, numbering, host, port, fingerprint, isToAcknowledge) === false) return;
    }
    // Most batches have nothing but keys.
    if (extension === undefined && !isToAcknowledge) {
      this.#keys.within(() => {
        this.#keys.begin();
        this.#readKeys(data, end);
        this.#keys.end();
      });
    } else this.#keys.within(() => this.#readNoted(data, end, extension, isToAcknowledge));
  }

  #readNoted(data: Uint8Array, end: number, extension: Extension | undefined, isAwaited: boolean): void {
    const { isMetadataUnreadable, metadata, prefixes } = extension ?? {};
    if (isMetadataUnreadable === true) this.invalidMetadata++;
    const keys = countOf(data);
    const isPlain = !isAwaited && prefixes === undefined && metadata === undefined;
    this.#keys.begin(isPlain ? undefined : { count: keys + (prefixes?.length ?? 0), metadata, isAwaited });
    this.#readKeys(data, end);
    prefixes?.forEach((prefix, i) => this.#keys.takePrefix(prefix, keys + i));
    this.#keys.end();
  }

  #readKeys(data: Uint8Array, end: number): void {
    const key = this.#borrow();
    this.invalidKeys += visitBatch(data, end, key, this.#onKey);
    this.#cursor = key;
  }

  #borrow(): KeyBytes {
    const key = this.#cursor ?? new KeyBytes();
    this.#cursor = undefined;
    return key;
  }

  #control(type: number, data: Uint8Array, extension: Extension | undefined, source: Endpoint): void {
    const needed = REQUIRED_RECORDS.get(type);
    if (needed === undefined || !this.#config.extended) {
      this.unknownTypes++;
      return;
    }
    if (extension === undefined || needed.some((name) => extension[name] === undefined)) {
      this.malformedExtensions++;
      return;
    }
    if (extension.stream !== undefined && !equalBytes(extension.stream, this.#config.nodeId)) return;
    this.#config.control.onControl({ type, nodeId: nodeIdOf(data), extension, source, length: data.length });
  }

  #ownPacket(type: number, data: Uint8Array, end: number, host: string, port: number): void {
    const extension = this.#config.extended ? readExtension(data, end) : undefined;
    if (extension === undefined || extension === MALFORMED) return;
    if (type === TYPE_HEARTBEAT) this.#config.control.onOwnHeartbeat(extension, { host, port });
    else if (extension.nonce !== undefined) this.#config.control.onOwnProbe(extension.nonce);
  }

  readonly #onKey = (key: KeyBytes, index: number): void => {
    const count = ++this.keys;
    this.#keys.take(key, index);
    if (count % STRIDE === 0) this.#keys.look();
  };
}

function numberingIn({ number, retransmit }: Extension): Numbering {
  return number !== undefined ? "number" : retransmit !== undefined ? "retransmit" : "more";
}
