/**
 * Awaited deliveries: the batches of one other node whose delivery it awaits.
 *
 * @module
 */

import type { DeliveredBatch, Outcomes } from "../wire/outcomes.ts";

/** A batch whose delivery is awaited. */
export interface AwaitedDelivery {
  /** The fingerprint of the batch: a node that was set back gives its number again. */
  readonly fingerprint: number;
  /** What became of its entries; `undefined` while it is being delivered. */
  outcomes: Outcomes | undefined;
}

/** The awaited batches of one stream. */
export class AwaitedDeliveries {
  /** By number, the one that came first is the oldest. */
  readonly byNumber: Map<number, AwaitedDelivery> = new Map();
  /** Batches that are to be acknowledged. */
  due: DeliveredBatch[] = [];
}
