/**
 * Batches get their numbers as they are taken to be sent, and are announced when they have left.
 *
 * @module
 */

import type { BatchSource } from "../net/transmit_queue.ts";
import type { Batcher } from "../pubsub/batcher.ts";
import type { SendStream } from "./send_stream.ts";

/** One per node. */
export class NumberedBatches implements BatchSource {
  readonly #batcher: Batcher;
  readonly #stream: SendStream | undefined;

  /** Without a `stream` they have no numbers. */
  constructor(batcher: Batcher, stream: SendStream | undefined) {
    this.#batcher = batcher;
    this.#stream = stream;
  }

  get isReady(): boolean {
    return this.#batcher.isReady;
  }

  take(): Uint8Array | undefined {
    const stream = this.#stream;
    const batch = this.#batcher.take(stream?.next);
    if (batch !== undefined) stream?.sent(batch);
    return batch;
  }

  release(): void {
    this.#batcher.release();
    this.#stream?.announce();
  }
}
