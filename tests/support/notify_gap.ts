// Gap notification: every subscriber gets the event of a gap.

import type { Subscriptions } from "../../src/pubsub/subscriptions.ts";

/** Notifies all subscribers of a gap at once. */
export function notifyGap(subscriptions: Subscriptions): void {
  for (const _ of subscriptions.notify("gap")) { /* Each step notifies one subscriber. */ }
}
