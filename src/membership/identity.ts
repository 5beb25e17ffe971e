/**
 * Identity: the id of this node, and its replacement when a second node has the same id.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { RandomBytes } from "../platform/host.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import { NODE_ID_LENGTH } from "../wire/layout.ts";
import { formatNodeId, stampUuid } from "../wire/node_id.ts";

/**
 * Other ids that a node takes, at once and an hour. Each empties the caches of its peers, and any node that can read
 * its datagrams can make it take one.
 */
const RENEWALS = 3;
const HOUR = 3_600_000;

/** Holds the node's id as bytes and as text, and replaces it within a limit. */
export class Identity {
  /** 16 bytes, always in the same array: parts that keep it encode the new id from then on. */
  readonly bytes: Uint8Array;
  readonly #randomBytes: RandomBytes;
  readonly #renewals: TokenBucket;
  #text: string;

  constructor(clock: Clock, randomBytes: RandomBytes) {
    this.#randomBytes = randomBytes;
    this.#renewals = new TokenBucket(clock, RENEWALS, RENEWALS * 1000 / HOUR);
    this.bytes = stampUuid(randomBytes(NODE_ID_LENGTH).slice());
    this.#text = formatNodeId(this.bytes);
  }

  /** The same as text. */
  get text(): string {
    return this.#text;
  }

  /** Takes another id. False when the limit is reached. */
  renew(): boolean {
    if (!this.#renewals.allow()) return false;
    this.bytes.set(stampUuid(this.#randomBytes(NODE_ID_LENGTH)));
    this.#text = formatNodeId(this.bytes);
    return true;
  }
}
