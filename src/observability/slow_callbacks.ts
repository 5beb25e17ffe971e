/**
 * Slow callbacks: counts subscriber callbacks that blocked the event loop, and reports them at a bounded rate.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { Topic } from "../pubsub/sync_bus.ts";

/** Counts slow callbacks and reports at most one a second. */
export class SlowCallbacks {
  /** Number of slow callbacks since the start. */
  count = 0;
  readonly #limit: TokenBucket;
  readonly #emit: (event: MeshEvent) => void;
  #suppressed = 0;

  /** `emit` gets at most one `slowCallback` event a second. */
  constructor(clock: Clock, emit: (event: MeshEvent) => void) {
    this.#limit = new TokenBucket(clock, 1, 1);
    this.#emit = emit;
  }

  /** Records that a callback of a subscription to `topic` took `duration` milliseconds. */
  report(topic: Topic, duration: number): void {
    this.count++;
    if (!this.#limit.allow()) {
      this.#suppressed++;
      return;
    }
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.#emit({ type: "slowCallback", topic, duration, suppressed });
  }
}
