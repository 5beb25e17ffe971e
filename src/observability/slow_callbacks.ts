/**
 * Callbacks that keep the event loop busy: counted always, named at a bounded rate.
 *
 * @module
 */

import type { MeshEvent } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { Topic } from "../pubsub/sync_bus.ts";

/** Counts them, and reports one a second. */
export class SlowCallbacks {
  /** How many there were. */
  count = 0;
  readonly #limit: TokenBucket;
  readonly #emit: (event: MeshEvent) => void;
  #suppressed = 0;

  /** `emit` gets at most one `slowCallback` event a second. */
  constructor(clock: Clock, emit: (event: MeshEvent) => void) {
    this.#limit = new TokenBucket(clock, 1, 1);
    this.#emit = emit;
  }

  /** A callback of a subscription to `topic` took `duration` milliseconds. */
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
