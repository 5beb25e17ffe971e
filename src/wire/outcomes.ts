/**
 * Outcomes: what became of the entries of a batch at a node, as a delivery acknowledgement says it.
 *
 * @module
 */

import type { Outcome } from "../acknowledgement.ts";
import { readU16, readU48, writeU16, writeU48 } from "./integers.ts";
import {
  MAX_ACKNOWLEDGED,
  NUMBER_LENGTH,
  OUTCOME_DELIVERED,
  OUTCOME_FAILED,
  OUTCOME_MIXED,
  OUTCOME_NONE,
} from "./layout.ts";

/**
 * The outcomes of the entries of one batch: one for all of them, or one each, `undefined` for an entry whose callbacks
 * have not settled yet.
 */
export type Outcomes = Outcome | readonly (Outcome | undefined)[];

/** The outcomes of a batch, by its number. */
export interface DeliveredBatch {
  /** The number of the batch, from 1. */
  readonly number: number;
  /** What became of its entries. */
  readonly outcomes: Outcomes;
}

/** The outcomes in the order of their numbers on the wire. */
const OUTCOMES: readonly Outcome[] = ["unsubscribed", "delivered", "failed"];
const CODES: Readonly<Record<Outcome, number>> = {
  unsubscribed: OUTCOME_NONE,
  delivered: OUTCOME_DELIVERED,
  failed: OUTCOME_FAILED,
};
/** In place of the outcome of one entry: it is not known yet. */
const OPEN = 3;
const PER_BYTE = 4;

/** The outcome of one entry. `undefined` when it is not known yet, or the batch has no such entry. */
export function outcomeOf(outcomes: Outcomes, index: number): Outcome | undefined {
  return typeof outcomes === "string" ? outcomes : outcomes[index];
}

/** Whether all outcomes are known. */
export function isComplete(outcomes: Outcomes): boolean {
  return typeof outcomes === "string" || !outcomes.includes(undefined);
}

/** Bytes that a batch takes in the record. */
export function deliveredLength({ outcomes }: DeliveredBatch): number {
  const each = typeof outcomes === "string" ? 0 : 2 + Math.ceil(outcomes.length / PER_BYTE);
  return NUMBER_LENGTH + 1 + each;
}

/** The value of the record. */
export function writeDelivered(batches: readonly DeliveredBatch[]): Uint8Array {
  const bytes = new Uint8Array(batches.reduce((sum, batch) => sum + deliveredLength(batch), 0));
  let at = 0;
  for (const { number, outcomes } of batches) {
    writeU48(bytes, at, number);
    at += NUMBER_LENGTH;
    if (typeof outcomes === "string") {
      bytes[at++] = CODES[outcomes];
      continue;
    }
    bytes[at] = OUTCOME_MIXED;
    writeU16(bytes, at + 1, outcomes.length);
    at += 3;
    outcomes.forEach((outcome, i) => {
      const place = at + Math.floor(i / PER_BYTE);
      bytes[place] = (bytes[place] as number) |
        ((outcome === undefined ? OPEN : CODES[outcome]) << (2 * (i % PER_BYTE)));
    });
    at += Math.ceil(outcomes.length / PER_BYTE);
  }
  return bytes;
}

/** Reads the record. `undefined` when it does not parse. Never throws; the work is bounded by the bytes. */
export function readDelivered(value: Uint8Array): readonly DeliveredBatch[] | undefined {
  const batches: DeliveredBatch[] = [];
  for (let at = 0; at < value.length;) {
    if (at + NUMBER_LENGTH + 1 > value.length || batches.length === MAX_ACKNOWLEDGED) return undefined;
    const number = readU48(value, at);
    const code = value[at + NUMBER_LENGTH] as number;
    at += NUMBER_LENGTH + 1;
    if (number === 0 || code > OUTCOME_MIXED) return undefined;
    if (code !== OUTCOME_MIXED) {
      batches.push({ number, outcomes: OUTCOMES[code] as Outcome });
      continue;
    }
    if (at + 2 > value.length) return undefined;
    const count = readU16(value, at);
    const end = at + 2 + Math.ceil(count / PER_BYTE);
    if (end > value.length) return undefined;
    const outcomes: (Outcome | undefined)[] = [];
    for (let i = 0; i < count; i++) {
      const byte = value[at + 2 + Math.floor(i / PER_BYTE)] as number;
      outcomes.push(OUTCOMES[(byte >> (2 * (i % PER_BYTE))) & 3]);
    }
    batches.push({ number, outcomes });
    at = end;
  }
  return batches.length === 0 ? undefined : batches;
}
