/**
 * Awaited deliveries: the batches of one other node whose delivery it awaits.
 *
 * @module
 */

import type { DeliveredBatch, Outcomes } from "../wire/outcomes.ts";

/** The awaited batches of one stream. */
export class AwaitedDeliveries {
  /** The outcomes by number; `undefined` while a batch is being delivered. The one that came first is the oldest. */
  readonly outcomes: Map<number, Outcomes | undefined> = new Map();
  /** Batches that are to be acknowledged. */
  due: DeliveredBatch[] = [];
}
