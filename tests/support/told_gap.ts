// Gap for subscribers: calls all subscribers of a bus with a gap.
import type { Subscriptions } from "../../src/pubsub/subscriptions.ts";

/** Calls all subscribers with a gap at once. */
export function tellGap(subscriptions: Subscriptions): void {
  for (const _ of subscriptions.tell("gap")) { /* They have it. */ }
}
