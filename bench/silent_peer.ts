/**
 * Silent peer: a simulated peer that sends heartbeats, and answers path challenges and position requests.
 *
 * @module
 */

import { randomBytes } from "../adapters/system.ts";
import { encodePacket } from "../mod.ts";
import { encodeControl, encodeExtension, type Extension, MALFORMED, readExtension } from "../src/wire/extension.ts";
import {
  HEADER_LENGTH,
  NODE_ID_LENGTH,
  PATH_DEAF,
  PATH_HEARD,
  TOKEN_LENGTH,
  TYPE_CATCH_UP,
  TYPE_HEARTBEAT,
  TYPE_STATE,
} from "../src/wire/layout.ts";
import { stampUuid } from "../src/wire/node_id.ts";
import { packetType, scanPacket } from "../src/wire/packet.ts";

// The last batch is an hour old: it was sent before the measured node was opened.
const POSITION = { last: 1000, oldest: 1001, age: 3_600_000 };
const BASE = { first: POSITION.last + 1, age: POSITION.age };

/** Parses the text of a node id into its bytes. */
export function parseNodeId(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll("-", "").match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** A peer that publishes nothing. */
export class SilentPeer {
  readonly #id = stampUuid(randomBytes(NODE_ID_LENGTH));
  readonly #token = randomBytes(TOKEN_LENGTH);
  /** A heartbeat without its extension block. */
  readonly #body: Uint8Array;

  readonly #path: number;

  /**
   * `address` is the peer's address, `host:port`. With `hears` it receives multicast, else it needs copies by unicast.
   */
  constructor(address: string, hears = true) {
    this.#path = hears ? PATH_HEARD : PATH_DEAF;
    const key = new TextEncoder().encode(address);
    this.#body = encodePacket({ type: TYPE_HEARTBEAT, nodeId: this.#id, keyHash: 0n, key });
  }

  heartbeat(extension: Extension): Uint8Array {
    return Uint8Array.from([...this.#body, ...encodeExtension({ position: POSITION, ...extension })]);
  }

  /** The response that a real node would send; nothing when the datagram is no path challenge or position request. */
  answer(data: Uint8Array): Uint8Array | undefined {
    const type = packetType(data);
    const request = readExtension(data, type === TYPE_CATCH_UP ? HEADER_LENGTH : scanPacket(data));
    if (request === undefined || request === MALFORMED || request.nonce === undefined) return undefined;
    const { nonce } = request;
    if (type === TYPE_HEARTBEAT) return this.heartbeat({ echo: nonce, path: this.#path, token: this.#token });
    if (type !== TYPE_CATCH_UP) return undefined;
    return encodeControl(TYPE_STATE, this.#id, { position: POSITION, nonce, token: this.#token, base: BASE });
  }
}
