/**
 * What a node does with the datagrams that arrive. Nothing in them can make it throw.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import { MAX_RECEIVE } from "./datagram_socket.ts";
import { TYPE_BATCH, TYPE_HEARTBEAT, TYPE_INVALIDATE } from "./wire/layout.ts";
import { formatNodeId } from "./wire/node_id.ts";
import { isFrom, nodeIdOf, packetType, readBatch, readKey, scanPacket, TOO_SHORT } from "./wire/packet.ts";

/** What a {@linkcode Receiver} is made of. The callbacks MUST NOT throw. */
export interface ReceiverConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Called with each key that another node says has changed. */
  readonly onKey: (key: string) => void;
  /** Called with each heartbeat of another node: its id, the address that it advertises, and where it came from. */
  readonly onHeartbeat: (id: string, advertised: string, source: Endpoint) => void;
}

/** Reads datagrams, leaves out the node's own, and counts. */
export class Receiver {
  /** Datagrams of other nodes, of every type. */
  delivered = 0;
  /** Keys in them. */
  keys = 0;
  /** Keys left out as they were not UTF-8. */
  invalidKeys = 0;
  /** Datagrams that were none, or longer than any node sends. */
  decodeErrors = 0;
  /** Datagrams of types that are not known. */
  unknownTypes = 0;
  readonly #config: ReceiverConfig;

  constructor(config: ReceiverConfig) {
    this.#config = config;
  }

  /** Takes a datagram that came from `host`:`port`. Keeps nothing of `data`. */
  receive(data: Uint8Array, host: string, port: number): void {
    // The original reads 1,500 bytes, and an adapter may cut what is longer than MAX_RECEIVE: refused everywhere alike.
    const end = data.length > MAX_RECEIVE ? TOO_SHORT : scanPacket(data);
    if (end < 0) {
      this.decodeErrors++;
      return;
    }
    if (isFrom(data, this.#config.nodeId)) return;
    this.delivered++;
    switch (packetType(data)) {
      case TYPE_BATCH:
        this.invalidKeys += readBatch(data, end, this.#onKey);
        break;
      case TYPE_HEARTBEAT:
        // An address that is not UTF-8 is as good as none: the source stands in for it.
        this.#config.onHeartbeat(formatNodeId(nodeIdOf(data)), readKey(data) ?? "", { host, port });
        break;
      case TYPE_INVALIDATE: {
        const key = readKey(data);
        if (key === undefined) this.invalidKeys++;
        else this.#onKey(key);
        break;
      }
      default:
        this.unknownTypes++;
    }
  }

  readonly #onKey = (key: string): void => {
    this.keys++;
    this.#config.onKey(key);
  };
}
