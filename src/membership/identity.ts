/**
 * Who a node is.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { RandomBytes } from "../platform/host.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import { NODE_ID_LENGTH } from "../wire/layout.ts";
import { formatNodeId, stampUuid } from "../wire/node_id.ts";

/**
 * Other ids that a node takes, at once and an hour. Each empties the caches of its peers, and who can read what a node sends can
 * bring it to take one.
 */
const RENEWALS = 3;
const HOUR = 3_600_000;

/** The id of a node, which takes another when there is a second node with it. */
export class Identity {
  /** 16 bytes, in the same array for good: parts that keep it say the new id in all that they encode from then on. */
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

  /** Takes another id. False when it has taken too many of late. */
  renew(): boolean {
    if (!this.#renewals.allow()) return false;
    this.bytes.set(stampUuid(this.#randomBytes(NODE_ID_LENGTH)));
    this.#text = formatNodeId(this.bytes);
    return true;
  }
}
