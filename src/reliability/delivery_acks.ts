/**
 * Delivery acknowledgements: what this node tells other nodes of the batches whose delivery they await.
 *
 * Kin to RSVP of JGroups: a message is acknowledged when it was delivered to the application, not when it has arrived.
 *
 * @module
 */

import type { Outcome } from "../acknowledgement.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import { DeliveryReceipt } from "../pubsub/delivery_receipt.ts";
import { encodeControl } from "../wire/extension.ts";
import { MAX_ACKNOWLEDGED, TYPE_DELIVERED } from "../wire/layout.ts";
import { type DeliveredBatch, deliveredLength } from "../wire/outcomes.ts";
import { AwaitedDeliveries, type AwaitedDelivery } from "./awaited_deliveries.ts";
import type { ReceiveStream } from "./receive_stream.ts";

/**
 * Shortest time, in milliseconds, between two acknowledgements that are sent at once. Those of batches that were
 * delivered meanwhile share a packet at the end of the turn.
 */
const IMMEDIATE_INTERVAL = 1;

/** Longest list of batches in a packet, in bytes: the rest of 1,400 is for the header, the token and the stream. */
const MAX_LIST = 1300;

/**
 * Batches of a stream whose outcomes are remembered, in case an acknowledgement is lost. The publisher repeats its
 * request within a second; a batch that is not remembered by then is not acknowledged. Anybody can invent a node that
 * was not validated, so of such a one few are.
 */
const REMEMBERED = { validated: 512, others: 64 };

/** The peers, as {@linkcode DeliveryAcks} need them. */
export interface AckedPeers {
  get(id: string): { readonly endpoint: Endpoint; readonly isValidated: boolean } | undefined;
}

/** What {@linkcode DeliveryAcks} are made of. What they call MUST NOT throw. */
export interface DeliveryAcksConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly peers: () => AckedPeers;
  readonly transmit: { sendControlPacket(packet: Uint8Array, to: Endpoint): void };
  /** Sends a catch-up request: the token that is known of a stream may be an old one. */
  readonly streams: { verify(stream: ReceiveStream): void };
}

/** Makes the receipts of awaited batches, and sends what has become of them. */
export class DeliveryAcks {
  /** Packets sent. */
  sent = 0;
  /** The receipt of the batch that {@linkcode DeliveryAcks.begin} was last called for, if it gets one. */
  receipt: DeliveryReceipt | undefined;
  readonly #config: DeliveryAcksConfig;
  readonly #due = new Set<ReceiveStream>();
  #sentAt = -Infinity;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(config: DeliveryAcksConfig) {
    this.#config = config;
  }

  /**
   * A batch has come whose delivery is awaited. `isNew` says that it had not arrived before, `isAgain` that it is a
   * retransmission. Returns whether it is to be delivered.
   */
  begin(
    stream: ReceiveStream | undefined,
    number: number,
    fingerprint: number,
    isNew: boolean,
    isAgain: boolean,
  ): boolean {
    this.receipt = undefined;
    if (stream === undefined) return isNew;
    const { byNumber } = stream.awaited ??= new AwaitedDeliveries();
    const known = byNumber.get(number);
    if (known === undefined) {
      // It was delivered before, or is covered by a gap, and what became of it is not remembered.
      if (!isNew) return false;
      const delivery: AwaitedDelivery = { fingerprint, outcomes: undefined };
      byNumber.set(number, delivery);
      const [oldest = 0] = byNumber.keys();
      if (byNumber.size > (stream.isValidated ? REMEMBERED.validated : REMEMBERED.others)) byNumber.delete(oldest);
      this.receipt = new DeliveryReceipt((each) => this.#delivered(stream, number, delivery, each));
      return true;
    }
    // Another batch with the same number is a gap, and is not acknowledged.
    if (known.fingerprint !== fingerprint) return isNew;
    if (known.outcomes !== undefined && isAgain) {
      // The acknowledgement was lost, or it was refused.
      this.#config.streams.verify(stream);
      this.#queue(stream, { number, outcomes: known.outcomes });
    }
    return false;
  }

  /** Sends nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#due.clear();
  }

  #delivered(
    stream: ReceiveStream,
    number: number,
    delivery: AwaitedDelivery,
    each: readonly (Outcome | undefined)[],
  ): void {
    const [first] = each;
    const isUniform = first !== undefined && each.every((outcome) => outcome === first);
    const outcomes = each.length === 0 ? "unsubscribed" : isUniform ? first : [...each];
    delivery.outcomes = outcomes;
    this.#queue(stream, { number, outcomes });
  }

  #queue(stream: ReceiveStream, batch: DeliveredBatch): void {
    // Any other node repeats its request until its path is validated.
    if (this.#isClosed || this.#config.peers().get(stream.id)?.isValidated !== true) return;
    stream.awaited?.due.push(batch);
    this.#due.add(stream);
    const { clock } = this.#config;
    if (clock.now() - this.#sentAt >= IMMEDIATE_INTERVAL) this.#send();
    else this.#timer ??= clock.setTurnEnd(() => this.#send());
  }

  #send(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#sentAt = this.#config.clock.now();
    for (const stream of this.#due) this.#sendTo(stream);
    this.#due.clear();
  }

  #sendTo(stream: ReceiveStream): void {
    const { nodeId, peers, transmit } = this.#config;
    const endpoint = peers().get(stream.id)?.endpoint;
    const due = stream.awaited?.due ?? [];
    if (stream.awaited !== undefined) stream.awaited.due = [];
    // A publisher that has departed awaits nothing.
    if (endpoint === undefined) return;
    for (const delivered of inPackets(due)) {
      const { token } = stream;
      const records = { stream: stream.nodeId, delivered, ...token && { token } };
      transmit.sendControlPacket(encodeControl(TYPE_DELIVERED, nodeId, records), endpoint);
      this.sent++;
    }
  }
}

/** Lists of batches that fit a packet each. */
function inPackets(batches: readonly DeliveredBatch[]): readonly (readonly DeliveredBatch[])[] {
  const lists: DeliveredBatch[][] = [];
  let bytes = 0;
  for (const batch of batches) {
    const length = deliveredLength(batch);
    const last = lists.at(-1);
    if (last === undefined || last.length === MAX_ACKNOWLEDGED || bytes + length > MAX_LIST) {
      lists.push([batch]);
      bytes = length;
    } else {
      last.push(batch);
      bytes += length;
    }
  }
  return lists;
}
