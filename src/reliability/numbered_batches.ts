/**
 * Numbered batches: the batch source of the transmit queue; a batch gets its number when it is taken to be sent.
 *
 * @module
 */

import type { BatchSource } from "../net/transmit_queue.ts";
import type { Batcher } from "../pubsub/batcher.ts";
import type { SendStream } from "./send_stream.ts";

/**
 * Takes batches from the batcher and numbers them by the send stream. The position is announced when they have been
 * sent.
 */
export class NumberedBatches implements BatchSource {
  readonly #batcher: Batcher;
  readonly #stream: SendStream | undefined;

  /** Without a `stream` batches get no numbers. */
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
