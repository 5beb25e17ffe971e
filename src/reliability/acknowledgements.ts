/**
 * Acknowledgements: what this node confirms to a node that leaves, and to a node that has given a number twice.
 *
 * @module
 */

import type { ResponseSuppression } from "../membership/response_suppression.ts";
import type { Clock } from "../platform/clock.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import { encodeControl } from "../wire/extension.ts";
import { TYPE_ACK } from "../wire/layout.ts";
import type { ReceiveStream } from "./receive_stream.ts";
import type { StreamAcks } from "./receive_streams.ts";

/** Acknowledgements of leaves a second, and at once: forged leaves get no more than that. */
const ACKS_PER_SECOND = 128;

/** What {@linkcode Acknowledgements} are made of. What they call MUST NOT throw. */
export interface AcknowledgementsConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly suppression: ResponseSuppression;
  readonly peers: () => { get(id: string): { readonly isValidated: boolean } | undefined };
  readonly transmit: { sendControlPacket(packet: Uint8Array, to: Endpoint): void };
}

/** Sends the acknowledgements of this node. */
export class Acknowledgements implements StreamAcks {
  readonly #config: AcknowledgementsConfig;
  readonly #limit: TokenBucket;

  constructor(config: AcknowledgementsConfig) {
    this.#config = config;
    this.#limit = new TokenBucket(config.clock, ACKS_PER_SECOND, ACKS_PER_SECOND);
  }

  /**
   * A leave is acknowledged when the node may wait for that: a node that knows this one does. To an unknown node only a
   * few nodes of a large mesh send one.
   */
  onSettled({ id, nodeId, source, validatedAt }: ReceiveStream, settled: number): void {
    const { peers, suppression } = this.#config;
    const isKnown = validatedAt !== undefined || peers().get(id)?.isValidated === true;
    if (isKnown || suppression.isChosen(0)) this.confirm(nodeId, settled, source);
  }

  /**
   * Sends the number as a settled one, with the token that shows where the node listens. This has no limit of its own:
   * the receive streams notify a node at most eight times, once a second.
   */
  onReused({ nodeId: stream }: ReceiveStream, number: number, token: Uint8Array, to: Endpoint): void {
    const { nodeId, transmit } = this.#config;
    transmit.sendControlPacket(encodeControl(TYPE_ACK, nodeId, { stream, settled: number, token }), to);
  }

  /** Acknowledges that this node needs no number of a stream up to `settled`. */
  confirm(stream: Uint8Array, settled: number, to: Endpoint): void {
    const { nodeId, transmit } = this.#config;
    if (this.#limit.allow()) transmit.sendControlPacket(encodeControl(TYPE_ACK, nodeId, { stream, settled }), to);
  }
}
