/**
 * Identity renewal: a node takes another id when there is a second node with its own.
 *
 * @module
 */

import type { GapReason, MeshEvent } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { Identity } from "./identity.ts";

/**
 * Gaps of a node that can take no other id, at once and a second: any node that can read its datagrams can cause them.
 */
const DUPLICATE_ID_GAPS = { burst: 32, perSecond: 1 };

/** What carries the id, in the array that it was given in. */
export interface IdCarrier {
  /** The id is another. */
  rename(): void;
}

/** What an {@linkcode IdentityRenewal} is made of. */
export interface IdentityRenewalConfig {
  readonly clock: Clock;
  readonly identity: Identity;
  /** What holds bytes with the old id in them. */
  readonly carriers: readonly IdCarrier[];
  /** The stream of this node, which begins again. Absent when nothing is numbered. */
  readonly stream: { readonly next: number; restart(): void } | undefined;
  /** Sends a round of heartbeats. */
  readonly membership: { beat(): void };
  readonly losses: { gap(node: string, from: number, to: number | undefined, reason: GapReason): void };
  readonly emit: (event: MeshEvent) => void;
  readonly onError: (error: Error) => void;
}

/**
 * Takes another id when a second node has the same one, such as a clone of this machine, or when this node was set
 * back, such as by restoring an image. Peers may have dropped batches of this node as copies of the other's batches,
 * and this node ignores the other's batches as its own. So the node reports a gap of the old id.
 */
export class IdentityRenewal {
  readonly #config: IdentityRenewalConfig;
  readonly #gaps: TokenBucket;
  #isClosed = false;

  constructor(config: IdentityRenewalConfig) {
    this.#config = config;
    this.#gaps = new TokenBucket(config.clock, DUPLICATE_ID_GAPS.burst, DUPLICATE_ID_GAPS.perSecond);
  }

  /** Another node with the same id was detected. */
  duplicateMet(): void {
    this.#renew(true);
  }

  /** A peer has received two batches of this node with the same number. */
  numbersReused(): void {
    this.#renew(false);
  }

  /** Takes no other id any more. */
  close(): void {
    this.#isClosed = true;
  }

  #renew(hasDuplicate: boolean): void {
    if (this.#isClosed) return;
    const { carriers, emit, identity, losses, membership, onError, stream } = this.#config;
    const { text: from } = identity;
    const next = stream?.next ?? 1;
    if (!identity.renew()) {
      const rule = "a node takes at most three other ids an hour";
      onError(new Error(`Cannot take another id as ${rule}: another node has ${from}`));
      // This node ignores what the other one publishes, as its own. The other is detected again by each of its
      // heartbeats.
      if (hasDuplicate && this.#gaps.allow()) losses.gap(from, next, undefined, "reused");
      return;
    }
    for (const carrier of carriers) carrier.rename();
    stream?.restart();
    emit({ type: "identityChanged", from, to: identity.text });
    losses.gap(from, next, undefined, "reused");
    membership.beat();
  }
}
